use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Attribute, DataType, ErrorClass, Result, Scalar};
use crate::expr::{AggregateExpr, AggregateFunction as F, ComparisonOp, Expr};
use crate::operators::SparkPlan;
use crate::operators::test_support::{call, local_table, run, test_context, two_phase};

fn long(v: i64) -> Scalar {
    Scalar::Long(v)
}

fn null(t: DataType) -> Scalar {
    Scalar::Null(t)
}

fn dec(value: i128, precision: u8) -> Scalar {
    Scalar::Decimal { value, precision, scale: 2 }
}

/// Result rows by their first column.
fn grouped(plan: &Arc<SparkPlan>) -> Result<HashMap<Scalar, Vec<Scalar>>> {
    let rows = run(plan, &test_context(&[("execution.batchSize", "3")]))?;
    let count = rows.len();
    let map: HashMap<_, _> = rows.into_iter().map(|mut r| (r.remove(0), r)).collect();
    assert_eq!(map.len(), count, "a group came twice");
    Ok(map)
}

fn table(key: DataType, keys: Vec<Scalar>) -> (Arc<SparkPlan>, Vec<Attribute>) {
    let rows = keys.into_iter().enumerate().map(|(i, k)| vec![k, if i % 4 == 3 { null(DataType::Long) } else { long(i as i64) }]).collect();
    local_table(&[("k", key), ("v", DataType::Long)], rows)
}

#[test]
fn null_keys_are_a_group_and_null_values_do_not_count() {
    let keys = vec![long(1), null(DataType::Long), long(1), null(DataType::Long), long(-7), null(DataType::Long), long(1)];
    let (child, a) = table(DataType::Long, keys);
    let calls = [F::Sum, F::Count, F::Min, F::Max, F::Avg].map(|f| call(f, &a[1])).to_vec();
    let groups = grouped(&two_phase(child, &a[..1], calls)).unwrap();
    assert_eq!(groups.len(), 3);
    assert_eq!(groups[&long(1)], [long(8), long(3), long(0), long(6), Scalar::Double(8.0 / 3.0)]);
    assert_eq!(groups[&null(DataType::Long)], [long(6), long(2), long(1), long(5), Scalar::Double(3.0)]);
    assert_eq!(groups[&long(-7)][..2], [long(4), long(1)]);
}

#[test]
fn a_group_of_nulls_sums_to_null_and_counts_zero() {
    let (child, a) = local_table(
        &[("k", DataType::Int), ("v", DataType::Double)],
        vec![vec![Scalar::Int(1), null(DataType::Double)], vec![Scalar::Int(2), Scalar::Double(0.5)]],
    );
    let calls = [F::Sum, F::Count, F::Max, F::Avg].map(|f| call(f, &a[1])).to_vec();
    let groups = grouped(&two_phase(child, &a[..1], calls)).unwrap();
    assert_eq!(groups[&Scalar::Int(1)], [null(DataType::Double), long(0), null(DataType::Double), null(DataType::Double)]);
    assert_eq!(groups[&Scalar::Int(2)], [Scalar::Double(0.5), long(1), Scalar::Double(0.5), Scalar::Double(0.5)]);
}

#[test]
fn string_keys_short_and_long() {
    let long_key = "a string that is longer than a view holds";
    let words = ["x", long_key, "", "x", long_key, "y", "a string that is longer than a view holdS"];
    let mut keys: Vec<Scalar> = words.iter().map(|w| Scalar::string(*w)).collect();
    keys.push(null(DataType::String));
    keys.push(null(DataType::String));
    let (child, a) = table(DataType::String, keys);
    let groups = grouped(&two_phase(child, &a[..1], vec![call(F::Count, &a[0]), call(F::Max, &a[0])])).unwrap();
    assert_eq!(groups.len(), 6);
    assert_eq!(groups[&Scalar::string(long_key)], [long(2), Scalar::string(long_key)]);
    assert_eq!(groups[&Scalar::string("")], [long(1), Scalar::string("")]);
    assert_eq!(groups[&null(DataType::String)], [long(0), null(DataType::String)]);
}

#[test]
fn several_keys_of_every_width() {
    let types = [
        vec![DataType::Boolean, DataType::Byte],
        vec![DataType::Date, DataType::Short, DataType::Int],
        vec![DataType::Long, DataType::Int],
        vec![DataType::Long, DataType::Long],
        vec![DataType::decimal(20, 2), DataType::String],
        vec![DataType::Array(Box::new(DataType::Int)), DataType::Double],
    ];
    for types in types {
        let value = |t: &DataType, i: usize| match t {
            _ if i == 2 => null(t.clone()),
            DataType::Boolean => Scalar::Boolean(i == 1),
            DataType::Byte => Scalar::Byte(-(i as i8)),
            DataType::Short => Scalar::Short(i as i16),
            DataType::Int => Scalar::Int(-(i as i32)),
            DataType::Long => long(i as i64 - 1),
            DataType::Double => Scalar::Double([0.5, f64::NAN][i]),
            DataType::Date => Scalar::Date(i as i32),
            DataType::Array(_) => Scalar::Array(vec![Scalar::Int(i as i32), null(DataType::Int)], DataType::Int),
            DataType::String => Scalar::string(format!("{i}")),
            _ => dec(i as i128, 20),
        };
        let columns: Vec<(&str, DataType)> = types.iter().map(|t| ("k", t.clone())).collect();
        // All combinations of three values per column, each twice.
        let n = 3usize.pow(types.len() as u32);
        let combination = |i: usize| types.iter().enumerate().map(|(c, t)| value(t, i / 3usize.pow(c as u32) % 3)).collect::<Vec<_>>();
        let (child, a) = local_table(&columns, (0..2 * n).map(|i| combination(i % n)).collect());
        let rows = run(&two_phase(child, &a, vec![]), &test_context(&[("execution.batchSize", "5")])).unwrap();
        assert_eq!(rows.len(), n, "{types:?}");
        assert!((0..n).all(|i| rows.contains(&combination(i))), "{types:?}: {rows:?}");
    }
}

#[test]
fn zero_and_nan_are_one_group_each() {
    let keys = [0.0, -0.0, f64::NAN, -f64::NAN, 1.0].map(Scalar::Double).to_vec();
    let (child, a) = table(DataType::Double, keys);
    assert_eq!(grouped(&two_phase(child, &a[..1], vec![])).unwrap().len(), 3);
}

#[test]
fn without_keys_empty_input_gives_one_row() {
    let (child, a) = local_table(&[("v", DataType::Long)], vec![]);
    let calls: Vec<AggregateExpr> = [F::Count, F::Sum, F::Min, F::First, F::CollectList].map(|f| call(f, &a[0])).to_vec();
    let context = test_context(&[]);
    let rows = run(&two_phase(child.clone(), &[], calls.clone()), &context).unwrap();
    let nothing = null(DataType::Long);
    assert_eq!(rows, [vec![long(0), nothing.clone(), nothing.clone(), nothing, Scalar::Array(vec![], DataType::Long)]]);
    assert!(run(&two_phase(child, &a, calls), &context).unwrap().is_empty(), "with keys there are no groups");
}

#[test]
fn sums_that_do_not_fit_are_errors() {
    let context = test_context(&[]);
    let (child, a) = local_table(&[("v", DataType::Long)], vec![vec![long(i64::MAX)], vec![long(1)], vec![long(5)]]);
    assert_eq!(run(&two_phase(child, &[], vec![call(F::Sum, &a[0])]), &context).unwrap_err().class, ErrorClass::ArithmeticOverflow);
    let most = 10i128.pow(38) - 1;
    let (child, a) = local_table(&[("v", DataType::decimal(38, 2))], vec![vec![dec(most, 38)], vec![dec(most, 38)]]);
    assert_eq!(run(&two_phase(child, &[], vec![call(F::Sum, &a[0])]), &context).unwrap_err().class, ErrorClass::ArithmeticOverflow);
}

#[test]
fn decimals_sum_in_wider_types() {
    let (child, a) = local_table(&[("v", DataType::decimal(15, 2))], (1..=4).map(|i| vec![dec(i * 100_000_000_000, 15)]).collect());
    let rows = run(&two_phase(child, &[], [F::Sum, F::Max].map(|f| call(f, &a[0])).to_vec()), &test_context(&[])).unwrap();
    assert_eq!(rows, [vec![dec(1_000_000_000_000, 25), dec(400_000_000_000, 15)]]);
}

#[test]
fn first_last_lists_and_sets() {
    let n = || null(DataType::Int);
    let values = [n(), Scalar::Int(3), Scalar::Int(1), Scalar::Int(3), n()];
    let (child, a) = local_table(&[("v", DataType::Int)], values.into_iter().map(|v| vec![v]).collect());
    let functions = [F::First, F::FirstIgnoreNulls, F::Last, F::LastIgnoreNulls, F::CollectList, F::CollectSet];
    let rows = run(&two_phase(child, &[], functions.map(|f| call(f, &a[0])).to_vec()), &test_context(&[])).unwrap();
    let list = |v: &[i32]| Scalar::Array(v.iter().map(|i| Scalar::Int(*i)).collect(), DataType::Int);
    assert_eq!(rows, [vec![n(), Scalar::Int(3), n(), Scalar::Int(3), list(&[3, 1, 3]), list(&[3, 1])]]);
}

#[test]
fn filters_of_calls() {
    let (child, a) = table(DataType::Int, vec![Scalar::Int(1), Scalar::Int(1), Scalar::Int(2), Scalar::Int(2), Scalar::Int(1)]);
    let filter = |op, v| {
        Some(Box::new(Expr::Comparison { op, left: Box::new(Expr::Attribute(a[1].clone())), right: Box::new(Expr::Literal(long(v))) }))
    };
    let calls = vec![
        AggregateExpr { filter: filter(ComparisonOp::Greater, 0), ..call(F::Sum, &a[1]) },
        AggregateExpr { filter: filter(ComparisonOp::Greater, 100), ..call(F::Max, &a[1]) },
        AggregateExpr { filter: filter(ComparisonOp::Less, 4), ..call(F::Count, &a[1]) },
    ];
    let groups = grouped(&two_phase(child, &a[..1], calls)).unwrap();
    assert_eq!(groups[&Scalar::Int(1)], [long(5), null(DataType::Long), long(2)]);
    assert_eq!(groups[&Scalar::Int(2)], [long(2), null(DataType::Long), long(1)]);
}

#[test]
fn extremes_of_floats_and_booleans() {
    let double = |v| vec![Scalar::Double(v)];
    let (child, a) = local_table(&[("v", DataType::Double)], vec![double(f64::NAN), double(1.0), double(f64::NEG_INFINITY)]);
    let rows = run(&two_phase(child, &[], [F::Min, F::Max].map(|f| call(f, &a[0])).to_vec()), &test_context(&[])).unwrap();
    assert!(matches!(rows[0][..], [Scalar::Double(min), Scalar::Double(max)] if min == f64::NEG_INFINITY && max.is_nan()));
    let (child, a) = local_table(&[("v", DataType::Boolean)], vec![vec![Scalar::Boolean(true)], vec![Scalar::Boolean(false)]]);
    let rows = run(&two_phase(child, &[], [F::BoolAnd, F::BoolOr].map(|f| call(f, &a[0])).to_vec()), &test_context(&[])).unwrap();
    assert_eq!(rows, [vec![Scalar::Boolean(false), Scalar::Boolean(true)]]);
}

#[test]
fn keys_that_stop_fitting_their_encoding() {
    let n = || null(DataType::String);
    let words =
        [Scalar::string("a"), n(), Scalar::string("bb"), Scalar::string("a"), Scalar::string("twelve bytes"), n(), Scalar::string("")];
    let long_words = [Scalar::string("more than twelve bytes"), Scalar::string("a"), n(), Scalar::string("twelve bytes")];
    let all: Vec<Scalar> = words.iter().chain(&long_words).cloned().collect();
    for columns in 1..=2 {
        let types: Vec<(&str, DataType)> = vec![("k", DataType::String); columns];
        let (child, a) = local_table(&types, all.iter().map(|w| vec![w.clone(); columns]).collect());
        let counts = grouped(&two_phase(child, &a, vec![])).unwrap();
        assert_eq!(counts.len(), 6, "{columns}: {counts:?}");
        assert!(all.iter().all(|w| counts.contains_key(w)));
    }
    // A NULL in a column that is declared to have none.
    let rows = (0..9).map(|i| vec![long(i % 2), if i == 7 { null(DataType::Long) } else { long(0) }]).collect();
    let (child, mut a) = local_table(&[("x", DataType::Long), ("y", DataType::Long)], rows);
    a.iter_mut().for_each(|a| a.nullable = false);
    let child = match &child.operator {
        crate::operators::Operator::LocalTableScan(scan) => {
            let scan = crate::operators::LocalTableScan { output: a.clone(), ..scan.clone() };
            SparkPlan::new(crate::operators::Operator::LocalTableScan(scan), vec![])
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(run(&two_phase(child, &a, vec![]), &test_context(&[("execution.batchSize", "2")])).unwrap().len(), 3);
}

#[test]
fn many_groups_are_given_out_early_and_merged() {
    let rows = (0..270_000i64).chain(0..270_000).map(|i| vec![long(i), long(1)]).collect();
    let (child, a) = local_table(&[("k", DataType::Long), ("v", DataType::Long)], rows);
    let rows = run(&two_phase(child, &a[..1], vec![call(F::Sum, &a[1])]), &test_context(&[])).unwrap();
    assert_eq!(rows.len(), 270_000);
    assert!(rows.iter().all(|r| r[1] == long(2)));
}
