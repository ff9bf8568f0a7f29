//! Sort, limits, exchanges, actions and the small operators, run as plans.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::test_support::{local_table, rows_of, run, test_context};
use super::*;
use crate::base::{Attribute, DataType, ErrorClass, Scalar};
use crate::expr::{ArithmeticOp, ComparisonOp, Expr, SortOrder};

fn long(v: i64) -> Scalar {
    Scalar::Long(v)
}

fn column(a: &Attribute) -> Expr {
    Expr::Attribute(a.clone())
}

fn numbers(n: i64, partitions: usize) -> (Arc<SparkPlan>, Attribute) {
    let output = Attribute::new("id", DataType::Long, false);
    let range = Range { start: 0, end: n, step: 1, partitions, output: output.clone() };
    (SparkPlan::new(Operator::Range(range), vec![]), output)
}

fn over(operator: Operator, child: Arc<SparkPlan>) -> Arc<SparkPlan> {
    SparkPlan::new(operator, vec![child])
}

fn exchange(partitioning: Partitioning, child: Arc<SparkPlan>) -> Arc<SparkPlan> {
    over(Operator::Exchange(Exchange { partitioning, origin: ShuffleOrigin::RepartitionByCol }), child)
}

fn longs(rows: Vec<Vec<Scalar>>) -> Vec<i64> {
    rows.into_iter().map(|r| if let Scalar::Long(v) = r[0] { v } else { panic!("{r:?}") }).collect()
}

#[test]
fn sort_places_nulls_and_keeps_equal_rows_in_order() {
    let rows = [(Some(2), "b"), (None, "x"), (Some(1), "a"), (Some(2), "a"), (None, "y")];
    let values = rows.iter().map(|(k, v)| vec![k.map_or(Scalar::Null(DataType::Int), Scalar::Int), Scalar::string(*v)]).collect();
    let (child, a) = local_table(&[("k", DataType::Int), ("v", DataType::String)], values);
    let child = exchange(Partitioning::Single, child);
    let sorted = |order: Vec<SortOrder>| -> String {
        let plan = over(Operator::Sort(Sort { order, global: true }), child.clone());
        let rows = run(&plan, &test_context(&[("execution.batchSize", "2")])).unwrap();
        rows.iter()
            .map(|r| match (&r[0], &r[1]) {
                (Scalar::Int(k), Scalar::String(v)) => format!("{k}{v} "),
                (_, Scalar::String(v)) => format!("-{v} "),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(sorted(vec![SortOrder::ascending(column(&a[0]))]), "-x -y 1a 2b 2a ");
    assert_eq!(sorted(vec![SortOrder::descending(column(&a[0]))]), "2b 2a 1a -x -y ");
    let order = vec![SortOrder::descending(column(&a[0])), SortOrder::ascending(column(&a[1]))];
    assert_eq!(sorted(order), "2a 2b 1a -x -y ");
    let order = vec![SortOrder { nulls_first: false, ..SortOrder::ascending(column(&a[0])) }, SortOrder::descending(column(&a[1]))];
    assert_eq!(sorted(order), "1a 2b 2a -y -x ");
}

#[test]
fn sort_of_wide_and_floating_keys() {
    let doubles = [f64::NAN, 1.0, -0.0, 0.0, f64::NEG_INFINITY];
    let values = doubles.iter().map(|d| vec![Scalar::Double(*d), long(1), long(2)]).collect();
    let (child, a) = local_table(&[("d", DataType::Double), ("x", DataType::Long), ("y", DataType::Long)], values);
    let child = exchange(Partitioning::Single, child);
    for keys in 1..=3 {
        let order = (0..keys).map(|k| SortOrder::ascending(column(&a[k]))).collect();
        let rows = run(&over(Operator::Sort(Sort { order, global: true }), child.clone()), &test_context(&[])).unwrap();
        let shown: Vec<String> = rows.iter().map(|r| format!("{:?}", r[0])).collect();
        assert_eq!(shown, ["Double(-inf)", "Double(-0.0)", "Double(0.0)", "Double(1.0)", "Double(NaN)"]);
    }
}

#[test]
fn top_k_equals_sort_and_limit() {
    let (child, id) = numbers(5000, 3);
    let key = Expr::Arithmetic {
        op: ArithmeticOp::Remainder,
        left: Box::new(column(&id)),
        right: Box::new(Expr::Literal(long(7))),
        try_arithmetic: false,
    };
    let top = TakeOrderedAndProject { limit: 20, offset: 3, order: vec![SortOrder::descending(key)], list: vec![column(&id)] };
    let plan = over(Operator::TakeOrderedAndProject(top), child);
    let expected: Vec<i64> = (0..5000).filter(|i| i % 7 == 6).take(20).skip(3).collect();
    assert_eq!(longs(run(&plan, &test_context(&[("execution.batchSize", "16")])).unwrap()), expected);
}

#[test]
fn limits_and_offsets() {
    let context = test_context(&[("execution.batchSize", "4")]);
    let (child, _) = numbers(30, 3);
    let local = over(Operator::LocalLimit(LocalLimit { limit: 6 }), child.clone());
    assert_eq!(run(&local, &context).unwrap().len(), 18);
    let global = GlobalLimit { limit: Some(9), offset: 5 };
    let plan = over(Operator::GlobalLimit(global), exchange(Partitioning::Single, local));
    assert_eq!(longs(run(&plan, &context).unwrap()), [5, 10, 11, 12]);
    let collect = over(Operator::CollectLimit(CollectLimit { limit: Some(12), offset: 9 }), child);
    assert_eq!(longs(run(&collect, &context).unwrap()), [9, 10, 11]);
    assert_eq!(longs(rows_of(&collect.execute_collect(&context).unwrap())), [9, 10, 11]);
}

/// The worked example of Spark's take: `range(0, 20, 1, 4)` dealt into 10 partitions by `id % 8`.
#[test]
fn take_scans_as_few_partitions_as_spark() {
    let (child, id) = numbers(20, 4);
    let key = Expr::Arithmetic {
        op: ArithmeticOp::Remainder,
        left: Box::new(column(&id)),
        right: Box::new(Expr::Literal(long(8))),
        try_arithmetic: false,
    };
    let plan = exchange(Partitioning::Hash { exprs: vec![key], partitions: 10 }, child);
    let context = test_context(&[]);
    let partitions: Vec<Vec<i64>> = plan.execute_to_iterator(&context).unwrap().map(|rows| longs(rows_of(&rows.unwrap()))).collect();
    let expected: [&[i64]; 10] =
        [&[4, 12], &[7, 15], &[], &[], &[], &[0, 6, 8, 14, 16], &[], &[3, 11, 19], &[2, 5, 10, 13, 18], &[1, 9, 17]];
    assert_eq!(partitions, expected);
    for (n, jobs) in [(13, 3), (5, 3), (3, 2), (0, 0)] {
        let context = test_context(&[]);
        let rows = plan.execute_take(n, &context).unwrap();
        assert_eq!(rows.iter().map(|b| b.num_rows() as u64).sum::<u64>(), n);
        assert_eq!(context.jobs.load(Ordering::Relaxed), jobs, "take({n})");
    }
}

#[test]
fn range_exchange_orders_partitions() {
    let (child, id) = numbers(1000, 4);
    let order = vec![SortOrder::descending(column(&id))];
    let plan = exchange(Partitioning::Range { order: order.clone(), partitions: 3 }, child);
    let plan = over(Operator::Sort(Sort { order, global: true }), plan);
    let context = test_context(&[("execution.batchSize", "50")]);
    assert_eq!(longs(run(&plan, &context).unwrap()), (0..1000).rev().collect::<Vec<_>>());
    let largest = plan.execute_to_iterator(&context).unwrap().map(|p| rows_of(&p.unwrap()).len()).max();
    assert!(largest.unwrap() < 500, "{largest:?}");
}

#[test]
fn range_exchange_of_nothing() {
    let (child, id) = numbers(0, 2);
    let plan = exchange(Partitioning::Range { order: vec![SortOrder::ascending(column(&id))], partitions: 3 }, child);
    assert!(run(&plan, &test_context(&[])).unwrap().is_empty());
}

#[test]
fn round_robin_deals_evenly() {
    let (child, _) = numbers(100, 2);
    let plan = exchange(Partitioning::RoundRobin(4), child);
    let context = test_context(&[("execution.batchSize", "7")]);
    let sizes: Vec<usize> = plan.execute_to_iterator(&context).unwrap().map(|p| rows_of(&p.unwrap()).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 100);
    assert!(sizes.iter().all(|s| (24..=26).contains(s)), "{sizes:?}");
}

#[test]
fn a_reused_exchange_is_computed_once() {
    let (child, id) = numbers(10, 2);
    let first = exchange(Partitioning::Hash { exprs: vec![column(&id)], partitions: 2 }, child.clone());
    let again = Attribute::new("again", DataType::Long, false);
    let reused = over(Operator::ReusedExchange(ReusedExchange { output: vec![again.clone()] }), first.clone());
    let plan = SparkPlan::new(Operator::Union(Union { output: vec![again] }), vec![first, reused]);
    let context = test_context(&[]);
    assert_eq!(run(&plan, &context).unwrap().len(), 20);
    assert_eq!(context.metric(child.id, "numOutputRows").load(Ordering::Relaxed), 10);
}

#[test]
fn filter_and_project_together() {
    let (child, a) = local_table(
        &[("a", DataType::Long), ("b", DataType::Long)],
        (0..50).map(|i| vec![if i % 5 == 0 { Scalar::Null(DataType::Long) } else { long(i) }, long(-i)]).collect(),
    );
    let condition = Expr::Comparison { op: ComparisonOp::Greater, left: Box::new(column(&a[0])), right: Box::new(Expr::Literal(long(40))) };
    let filter = over(Operator::Filter(Filter { condition }), child);
    let context = test_context(&[("execution.batchSize", "8")]);
    assert_eq!(run(&filter, &context).unwrap().len(), 8, "NULL is not true");
    let plan = over(Operator::Project(Project { list: vec![column(&a[1])] }), filter.clone());
    assert_eq!(longs(run(&plan, &context).unwrap()), [-41, -42, -43, -44, -46, -47, -48, -49]);
    let nothing = over(Operator::Project(Project { list: vec![] }), filter);
    assert_eq!(run(&nothing, &context).unwrap().len(), 8, "rows without columns are still rows");
}

#[test]
fn expand_union_coalesce_and_one_row() {
    let context = test_context(&[]);
    let (child, id) = numbers(3, 3);
    let output = vec![Attribute::new("x", DataType::Long, true)];
    let projections = vec![vec![column(&id)], vec![Expr::Literal(Scalar::Null(DataType::Long))]];
    let expand = over(Operator::Expand(Expand { projections, output }), child.clone());
    assert_eq!(run(&expand, &context).unwrap().iter().filter(|r| r[0].is_null()).count(), 3);
    let union = SparkPlan::new(Operator::Union(Union { output: vec![id] }), vec![child.clone(), child]);
    let merged = over(Operator::Coalesce(Coalesce { partitions: 4 }), union);
    assert_eq!(merged.execute(&context).unwrap().num_partitions(), 4);
    assert_eq!(longs(run(&merged, &context).unwrap()), [0, 1, 2, 0, 1, 2]);
    assert_eq!(run(&SparkPlan::new(Operator::OneRowScan, vec![]), &context).unwrap(), [vec![]]);
}

#[test]
fn range_at_the_edges_of_bigint() {
    let output = Attribute::new("id", DataType::Long, false);
    let all = |start, end, step| {
        let range = Range { start, end, step, partitions: 3, output: output.clone() };
        longs(run(&SparkPlan::new(Operator::Range(range), vec![]), &test_context(&[])).unwrap())
    };
    assert_eq!(all(i64::MIN, i64::MAX, i64::MAX), [i64::MIN, -1, i64::MAX - 1]);
    assert_eq!(all(5, -6, -5), [5, 0, -5]);
    assert!(all(5, 5, 1).is_empty() && all(0, 5, -1).is_empty());
}

#[test]
fn samples_are_repeatable() {
    let (child, _) = numbers(1000, 2);
    for with_replacement in [false, true] {
        let sample = Sample { lower: 0.0, upper: 0.3, with_replacement, seed: 42 };
        let plan = over(Operator::Sample(sample), child.clone());
        let rows = run(&plan, &test_context(&[])).unwrap();
        assert!((200..400).contains(&rows.len()), "{}", rows.len());
        assert_eq!(rows, run(&plan, &test_context(&[])).unwrap());
    }
}

#[test]
fn broadcasts_collect_once_and_have_a_limit() {
    let (child, _) = numbers(100, 4);
    let plan = over(Operator::BroadcastExchange(BroadcastExchange { mode: BroadcastMode::Identity }), child);
    let context = test_context(&[]);
    plan.prepare(&context).unwrap();
    let relation = plan.execute_broadcast(&context).unwrap();
    assert_eq!(relation.size.rows, 100);
    assert!(Arc::ptr_eq(&relation, &plan.execute_broadcast(&context).unwrap()));
    assert_eq!(context.jobs.load(Ordering::Relaxed), 1);
    let context = test_context(&[("sql.maxBroadcastTableSize", "100")]);
    assert_eq!(plan.execute_broadcast(&context).err().map(|e| e.class), Some(ErrorClass::ResourceExhausted));
}

#[test]
fn a_cancelled_query_stops() {
    let (child, _) = numbers(100, 1);
    let context = test_context(&[]);
    context.cancel();
    assert_eq!(run(&child, &context).unwrap_err().class, ErrorClass::Cancelled);
}
