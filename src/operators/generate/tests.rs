//! Generators run as plans.

use super::*;
use crate::base::{DataType, Scalar};
use crate::expr::ScalarFunction;
use crate::operators::Operator;
use crate::operators::SparkPlan;
use crate::operators::test_support::{local_table, run, test_context};

fn ints(values: &[i32]) -> Scalar {
    Scalar::Array(values.iter().copied().map(Scalar::Int).collect(), DataType::Int)
}

#[test]
fn explode_repeats_the_row_per_element_and_outer_keeps_empty_ones() {
    let array = DataType::Array(Box::new(DataType::Int));
    let rows = [ints(&[7, 8, 9]), ints(&[]), Scalar::Null(array.clone()), ints(&[5])];
    let rows = rows.into_iter().enumerate().map(|(i, a)| vec![Scalar::Int(i as i32), a]).collect();
    let (table, output) = local_table(&[("id", DataType::Int), ("a", array)], rows);
    let generated = |outer: bool| -> Vec<(Scalar, Scalar, Scalar)> {
        let generator = Expr::Function { function: ScalarFunction::PosExplode, args: vec![Expr::Attribute(output[1].clone())] };
        let columns = [Attribute::new("pos", DataType::Int, true), Attribute::new("col", DataType::Int, true)];
        let generate = Generate { generator, required: output.clone(), outer, generator_output: columns.into() };
        let plan = SparkPlan::new(Operator::Generate(generate), vec![table.clone()]);
        let rows = run(&plan, &test_context(&[("execution.batchSize", "2")])).unwrap();
        rows.into_iter().map(|r| (r[0].clone(), r[2].clone(), r[3].clone())).collect()
    };
    let row = |id, pos, value| (Scalar::Int(id), Scalar::Int(pos), Scalar::Int(value));
    let null = || Scalar::Null(DataType::Int);
    assert_eq!(generated(false), [row(0, 0, 7), row(0, 1, 8), row(0, 2, 9), row(3, 0, 5)]);
    let missing = |id| (Scalar::Int(id), null(), null());
    assert_eq!(generated(true), [row(0, 0, 7), row(0, 1, 8), row(0, 2, 9), missing(1), missing(2), row(3, 0, 5)]);
}
