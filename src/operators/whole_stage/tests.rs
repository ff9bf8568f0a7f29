//! Each stage compiled and interpreted: the same rows, and the same errors.

use std::sync::Arc;

use super::region::{Region, lowerable, resolve_in};
use super::stage::Stage;
use super::{WholeStageCodegen, compile};
use crate::base::{Attribute, DataType, ErrorClass, ExprId, Scalar};
use crate::codegen::Dump;
use crate::expr::{AggregateFunction as F, ArithmeticOp, ComparisonOp, Expr, coerce};
use crate::logical::JoinType;
use crate::operators::test_support::{call, local_table, run, test_context, two_phase};
use crate::operators::{BroadcastExchange, BroadcastMode, BuildSide, Expand, Filter, HashJoin, LocalLimit, Operator, Project, SparkPlan};

fn column(a: &Attribute) -> Expr {
    Expr::Attribute(a.clone())
}

fn literal(v: Scalar) -> Expr {
    Expr::Literal(v)
}

fn named(expr: Expr, name: &str) -> Expr {
    Expr::Alias { expr: Box::new(expr), name: name.into(), id: ExprId::next() }
}

fn over(operator: Operator, child: &Arc<SparkPlan>) -> Arc<SparkPlan> {
    SparkPlan::new(operator, vec![child.clone()])
}

fn project(list: Vec<Expr>, child: &Arc<SparkPlan>) -> Arc<SparkPlan> {
    let list = list.into_iter().enumerate().map(|(i, e)| named(e, &format!("c{i}"))).collect();
    over(Operator::Project(Project { list }), child)
}

fn filter(condition: Expr, child: &Arc<SparkPlan>) -> Arc<SparkPlan> {
    over(Operator::Filter(Filter { condition }), child)
}

fn arithmetic(op: ArithmeticOp, l: Expr, r: Expr) -> Expr {
    coerce::arithmetic(op, l, r).unwrap()
}

fn compare(op: ComparisonOp, l: Expr, r: Expr) -> Expr {
    coerce::comparison(op, l, r).unwrap()
}

/// The same plan with every maximal chain of lowerable operators in a stage.
fn staged(plan: &Arc<SparkPlan>) -> Arc<SparkPlan> {
    if lowerable(plan) {
        return SparkPlan::new(Operator::WholeStageCodegen(WholeStageCodegen { stage_id: 1 }), vec![inside(plan)]);
    }
    plan.with_children(plan.children.iter().map(staged).collect())
}

fn inside(plan: &Arc<SparkPlan>) -> Arc<SparkPlan> {
    if lowerable(plan) {
        return plan.with_children(plan.children.iter().map(inside).collect());
    }
    SparkPlan::new(Operator::InputAdapter, vec![staged(plan)])
}

fn sorted(mut rows: Vec<Vec<Scalar>>) -> Vec<String> {
    let mut out: Vec<String> = rows.drain(..).map(|r| format!("{r:?}")).collect();
    out.sort();
    out
}

/// Both engines, with big and with one-row batches; the rows.
#[track_caller]
fn check(plan: &Arc<SparkPlan>) -> Vec<Vec<Scalar>> {
    let stage = staged(plan);
    assert!(matches!(stage.operator, Operator::WholeStageCodegen(_)) || !stage.children.is_empty());
    let context = |mode: &str, batch: &str| {
        test_context(&[("execution.mode", mode), ("execution.batchSize", batch), ("sql.codegen.fallback", "false")])
    };
    let expected = run(&stage, &context("interpreted", "8192")).unwrap();
    for batch in ["8192", "1"] {
        let found = run(&stage, &context("jit", batch)).unwrap();
        assert_eq!(sorted(found), sorted(expected.clone()), "batch size {batch}");
    }
    expected
}

#[track_caller]
fn check_error(plan: &Arc<SparkPlan>, class: ErrorClass) {
    let stage = staged(plan);
    let fails = |mode: &str| run(&stage, &test_context(&[("execution.mode", mode), ("sql.codegen.fallback", "false")])).unwrap_err();
    let (jit, interpreted) = (fails("jit"), fails("interpreted"));
    assert_eq!(interpreted.class, class);
    assert_eq!(jit, interpreted);
}

fn decimal(value: i128, precision: u8, scale: i8) -> Scalar {
    Scalar::Decimal { value, precision, scale }
}

/// A table with a column of every type that stages handle; NULLs in all but the first.
fn everything() -> (Arc<SparkPlan>, Vec<Attribute>) {
    let types = [
        ("id", DataType::Long),
        ("b", DataType::Boolean),
        ("y", DataType::Byte),
        ("s", DataType::Short),
        ("i", DataType::Int),
        ("l", DataType::Long),
        ("f", DataType::Float),
        ("d", DataType::Double),
        ("n", DataType::decimal(15, 2)),
        ("w", DataType::decimal(38, 4)),
        ("t", DataType::String),
        ("a", DataType::Date),
        ("m", DataType::Timestamp),
    ];
    let texts = ["", "a", "abcd", "exactly12byt", "longer than twelve", "longer than twelvf", "ünïcödé", "promo brass"];
    let rows = (0..50i64)
        .map(|k| {
            let mut row = vec![
                Scalar::Long(k),
                Scalar::Boolean(k % 3 == 0),
                Scalar::Byte((k % 11 - 5) as i8),
                Scalar::Short((k * 7 % 13 - 6) as i16),
                Scalar::Int((k * 37 % 17 - 8) as i32),
                Scalar::Long(k * 1_000_003 % 19 - 9),
                Scalar::Float([0.0, -0.0, f32::NAN, 1.5, -2.25][k as usize % 5]),
                Scalar::Double([0.0, -0.0, f64::NAN, 1e10, -7.125, f64::INFINITY][k as usize % 6]),
                decimal(i128::from(k * 311 % 1009 - 500), 15, 2),
                decimal(i128::from(k * 7919 % 10007) * 10i128.pow(20), 38, 4),
                Scalar::string(texts[k as usize % texts.len()]),
                Scalar::Date((k * 997 % 40000 - 20000) as i32),
                Scalar::Timestamp(k * 86_399_999_999 - 10_000_000_000_000),
            ];
            for (c, value) in row.iter_mut().enumerate().skip(1) {
                if (k as usize * 31 + c * 17).is_multiple_of(7) {
                    *value = Scalar::Null(types[c].1.clone());
                }
            }
            row
        })
        .collect();
    local_table(&types, rows)
}

#[test]
fn columns_of_every_type_pass() {
    let (child, a) = everything();
    let rows = check(&filter(compare(ComparisonOp::Less, column(&a[0]), literal(Scalar::Long(40))), &child));
    assert_eq!(rows.len(), 40);
}

#[test]
fn comparisons_of_every_type() {
    use ComparisonOp::*;
    let (child, a) = everything();
    for c in &a[1..] {
        for op in [Equal, EqualNullSafe, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual] {
            // Each row's value against that of the literal of row 12, and against itself.
            let other = Expr::Coalesce(vec![column(c), column(c)]);
            let list = vec![column(&a[0]), compare(op, column(c), other)];
            check(&project(list, &child));
            check(&filter(compare(op, column(c), literal(middle(&c.data_type))), &child));
        }
    }
}

fn middle(t: &DataType) -> Scalar {
    match t {
        DataType::Boolean => Scalar::Boolean(true),
        DataType::Byte => Scalar::Byte(0),
        DataType::Short => Scalar::Short(-1),
        DataType::Int => Scalar::Int(2),
        DataType::Long => Scalar::Long(0),
        DataType::Float => Scalar::Float(0.0),
        DataType::Double => Scalar::Double(f64::NAN),
        DataType::Decimal { precision: 15, .. } => decimal(1, 15, 2),
        DataType::Decimal { .. } => decimal(5000 * 10i128.pow(20), 38, 4),
        DataType::String => Scalar::string("longer than twelve"),
        DataType::Date => Scalar::Date(0),
        _ => Scalar::Timestamp(-9_000_000_000_000),
    }
}

#[test]
fn arithmetic_of_every_type() {
    use ArithmeticOp::*;
    let (child, a) = everything();
    for c in &a[2..10] {
        for op in [Add, Subtract, Multiply] {
            if matches!(c.data_type, DataType::Decimal { precision: 38, .. }) && op == Multiply {
                continue;
            }
            check(&project(vec![column(&a[0]), arithmetic(op, column(c), column(c)), Expr::Negate(Box::new(column(c)))], &child));
        }
        let one = coerce::implicit_cast(literal(Scalar::Int(3)), &c.data_type).unwrap();
        check(&project(vec![column(&a[0]), arithmetic(Divide, column(c), one.clone())], &child));
        if !c.data_type.is_fractional() {
            check(&project(vec![column(&a[0]), arithmetic(Remainder, column(c), one)], &child));
        }
    }
    // A price as TPC-H computes it.
    let one = || literal(decimal(1, 1, 0));
    let charge = arithmetic(
        Multiply,
        arithmetic(Multiply, column(&a[8]), arithmetic(Subtract, one(), column(&a[8]))),
        arithmetic(Add, one(), column(&a[8])),
    );
    check(&project(vec![column(&a[0]), charge], &child));
}

#[test]
fn casts() {
    let (child, a) = everything();
    let numbers = [DataType::Boolean, DataType::Int, DataType::Long, DataType::Float, DataType::Double, DataType::decimal(30, 10)];
    for c in &a[1..6] {
        for to in &numbers {
            let cast = Expr::Cast { expr: Box::new(column(c)), to: to.clone(), try_cast: false };
            check(&project(vec![column(&a[0]), cast], &child));
        }
    }
    for (c, to) in [
        (7, DataType::Long),
        (6, DataType::Byte),
        (8, DataType::decimal(5, 1)),
        (8, DataType::decimal(3, 2)),
        (8, DataType::Double),
        (11, DataType::Timestamp),
        (12, DataType::Date),
    ] {
        let cast = Expr::Cast { expr: Box::new(column(&a[c])), to, try_cast: true };
        check(&project(vec![column(&a[0]), cast], &child));
    }
}

#[test]
fn logic_conditionals_and_functions() {
    let (child, a) = everything();
    let (b, i, l, t, n) = (column(&a[1]), column(&a[4]), column(&a[5]), column(&a[10]), column(&a[8]));
    let positive = compare(ComparisonOp::Greater, i.clone(), literal(Scalar::Int(0)));
    let and = Expr::And(Box::new(b.clone()), Box::new(positive.clone()));
    let or = Expr::Or(Box::new(b.clone()), Box::new(positive.clone()));
    let not = Expr::Not(Box::new(and.clone()));
    // The division happens only where the divisor is not zero.
    let guarded = Expr::Case {
        branches: vec![(
            compare(ComparisonOp::NotEqual, l.clone(), literal(Scalar::Long(0))),
            arithmetic(ArithmeticOp::Divide, literal(Scalar::Long(100)), l.clone()),
        )],
        otherwise: None,
    };
    let case = Expr::Case {
        branches: vec![(b.clone(), n.clone()), (positive.clone(), literal(decimal(7, 15, 2)))],
        otherwise: Some(Box::new(literal(decimal(0, 15, 2)))),
    };
    let coalesce = Expr::Coalesce(vec![t.clone(), literal(Scalar::string("nothing at all here"))]);
    let lists = [
        coerce::in_list(i.clone(), vec![literal(Scalar::Int(1)), literal(Scalar::Int(-3))]).unwrap(),
        coerce::in_list(i.clone(), (0..9).map(|v| literal(Scalar::Int(v))).chain([literal(Scalar::Null(DataType::Int))]).collect())
            .unwrap(),
        coerce::in_list(t.clone(), ["a", "exactly12byt", "longer than twelve"].map(|s| literal(Scalar::string(s))).to_vec()).unwrap(),
    ];
    let like = |p: &str| coerce::like(t.clone(), literal(Scalar::string(p)), None, false).unwrap();
    let function = |name: &str, args: Vec<Expr>| coerce::function(name, args).unwrap();
    let mut list = vec![column(&a[0]), and, or, not, guarded, case, coalesce];
    list.extend(lists);
    list.extend(["a%", "%than%", "%e", "_b%", "promo%brass"].map(like));
    list.extend(["year", "month", "day", "quarter"].map(|f| function(f, vec![column(&a[11])])));
    for (position, length) in [(1, 2), (2, 3), (-3, 2), (0, 2), (3, 100)] {
        list.push(function("substring", vec![t.clone(), literal(Scalar::Int(position)), literal(Scalar::Int(length))]));
    }
    list.push(function("abs", vec![n]));
    list.push(Expr::IsNull(Box::new(t.clone())));
    list.push(Expr::IsNotNull(Box::new(b)));
    check(&project(list, &child));
}

#[test]
fn errors_are_the_interpreters() {
    let (child, a) = everything();
    let l = column(&a[5]);
    check_error(
        &project(vec![arithmetic(ArithmeticOp::Remainder, literal(Scalar::Long(1)), l.clone())], &child),
        ErrorClass::RemainderByZero,
    );
    check_error(&project(vec![arithmetic(ArithmeticOp::Divide, literal(Scalar::Long(1)), l.clone())], &child), ErrorClass::DivideByZero);
    let huge = literal(Scalar::Long(i64::MAX));
    check_error(&project(vec![arithmetic(ArithmeticOp::Multiply, huge.clone(), l.clone())], &child), ErrorClass::ArithmeticOverflow);
    let narrow = Expr::Cast { expr: Box::new(column(&a[8])), to: DataType::decimal(2, 2), try_cast: false };
    check_error(&project(vec![narrow], &child), ErrorClass::NumericOutOfRange);
    let (big, b) = local_table(&[("v", DataType::Long)], vec![vec![Scalar::Long(i64::MAX)], vec![Scalar::Long(1)]]);
    check_error(&two_phase(big, &[], vec![call(F::Sum, &b[0])]), ErrorClass::ArithmeticOverflow);
}

#[test]
fn aggregates_with_and_without_keys() {
    let (child, a) = everything();
    for c in &a {
        let mut functions = vec![F::Count, F::Min, F::Max];
        if c.data_type.is_numeric() {
            functions.extend([F::Sum, F::Avg]);
        }
        let calls = || functions.iter().map(|f| call(*f, c)).collect::<Vec<_>>();
        for keys in [vec![1], vec![10], vec![2, 11], vec![7], vec![9, 10]] {
            let keys: Vec<Attribute> = keys.into_iter().map(|k| a[k].clone()).collect();
            check(&two_phase(child.clone(), &keys, calls()));
        }
        if c.data_type != DataType::String {
            check(&two_phase(child.clone(), &[], calls()));
            let none = filter(compare(ComparisonOp::Less, column(&a[0]), literal(Scalar::Long(-1))), &child);
            assert_eq!(check(&two_phase(none.clone(), &[], calls())).len(), 1);
            assert_eq!(check(&two_phase(none, &a[1..2], calls())).len(), 0);
        }
    }
}

fn join(kind: JoinType, build: BuildSide, keys: &[(usize, usize)], condition: bool, broadcast: bool) -> Arc<SparkPlan> {
    let ((left, l), (right, r)) = (everything(), everything());
    let left = filter(compare(ComparisonOp::Less, column(&l[0]), literal(Scalar::Long(45))), &left);
    let right = filter(compare(ComparisonOp::Greater, column(&r[0]), literal(Scalar::Long(9))), &right);
    let left_keys: Vec<Expr> = keys.iter().map(|k| column(&l[k.0])).collect();
    let right_keys: Vec<Expr> = keys.iter().map(|k| column(&r[k.1])).collect();
    let condition = condition.then(|| compare(ComparisonOp::Less, column(&l[0]), column(&r[0])));
    let mut children = vec![left, right];
    if broadcast {
        let keys = if build == BuildSide::Left { left_keys.clone() } else { right_keys.clone() };
        let mode = BroadcastMode::Hashed { keys, null_aware: kind == JoinType::NullAwareAnti };
        children[build.index()] = over(Operator::BroadcastExchange(BroadcastExchange { mode }), &children[build.index()]);
    }
    let join = HashJoin { left_keys, right_keys, join_type: kind, build, condition };
    SparkPlan::new(if broadcast { Operator::BroadcastHashJoin(join) } else { Operator::ShuffledHashJoin(join) }, children)
}

#[test]
fn joins() {
    use BuildSide::*;
    let exists = JoinType::Existence(Attribute::new("exists", DataType::Boolean, false));
    let kinds = [
        (JoinType::Inner, Left),
        (JoinType::Inner, Right),
        (JoinType::LeftOuter, Right),
        (JoinType::RightOuter, Left),
        (JoinType::LeftSemi, Right),
        (JoinType::LeftAnti, Right),
        (exists, Right),
    ];
    for (kind, build) in kinds {
        for keys in [vec![(0, 0)], vec![(4, 4)], vec![(10, 10)], vec![(2, 3), (1, 1)], vec![(9, 9)], vec![(7, 7)], vec![(11, 11), (10, 10)]]
        {
            for condition in [false, true] {
                if keys == [(2, 3), (1, 1)] {
                    continue;
                }
                check(&join(kind.clone(), build, &keys, condition, true));
                check(&join(kind.clone(), build, &keys, condition, false));
            }
        }
    }
    check(&join(JoinType::NullAwareAnti, Right, &[(4, 4)], false, true));
    check(&join(JoinType::NullAwareAnti, Right, &[(0, 0)], false, true));
}

#[test]
fn limits_and_expansions() {
    let (child, a) = everything();
    let limited = over(Operator::LocalLimit(LocalLimit { limit: 7 }), &child);
    // Seven rows of each of the two partitions.
    assert_eq!(check(&project(vec![column(&a[0])], &limited)).len(), 14);
    let (k, n) = (Attribute::new("k", DataType::Int, true), Attribute::new("n", DataType::Int, false));
    let projections =
        vec![vec![column(&a[4]), literal(Scalar::Int(0))], vec![literal(Scalar::Null(DataType::Int)), literal(Scalar::Int(1))]];
    let expanded = over(Operator::Expand(Expand { projections, output: vec![k.clone(), n.clone()] }), &child);
    assert_eq!(check(&expanded).len(), 100);
    check(&two_phase(expanded, &[k, n.clone()], vec![call(F::Count, &n)]));
}

#[test]
fn texts_name_operators_and_hold_no_address() {
    let (child, a) = everything();
    let plan = filter(compare(ComparisonOp::Less, column(&a[0]), literal(Scalar::Long(40))), &child);
    let plan = staged(&project(vec![arithmetic(ArithmeticOp::Add, column(&a[0]), column(&a[0]))], &plan));
    let context = test_context(&[]);
    let stage = compile(&plan, &context).unwrap();
    assert!(stage.clif().contains("; Filter"), "{}", stage.clif());
    assert!(stage.clif().contains("; Project") || stage.clif().contains("; Output"), "{}", stage.clif());
    assert!(stage.disassembly().contains("stage1_pipeline0"), "{}", stage.disassembly());
    assert_eq!(stage.clif(), compile(&plan, &context).unwrap().clif());
}

#[test]
fn queries_that_differ_in_constants_share_code() {
    let (input, columns) = everything();
    let code = |least: i64| {
        let condition = compare(ComparisonOp::Greater, column(&columns[0]), literal(Scalar::Long(least)));
        let plan = filter(condition, &SparkPlan::new(Operator::InputAdapter, vec![input.clone()]));
        let context = test_context(&[]);
        let resolve = resolve_in(&context);
        let region = Region::lower(&plan, 1, &resolve).unwrap();
        Stage::new(region, context.settings.clone(), Dump::Nothing).variant(0, false, &[], None).unwrap().code.clone()
    };
    assert!(Arc::ptr_eq(&code(7), &code(8)));
}
