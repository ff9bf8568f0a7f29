use super::*;

#[test]
fn scans_read_the_columns_used_in_table_order() {
    let t = Table::kvs("t", 1);
    let query = project(vec![t.col("s"), t.col("k")], filter(gt(t.col("v"), int(1)), t.plan.clone()));
    let text = explained(query, &cluster(&[]));
    assert_lines(
        text.split(" Batched").next().unwrap(),
        "
        *(1) Project [s#1, k#2]
        +- *(1) Filter (v#3 > 1)
           +- *(1) FileScan parquet t[k#2,v#3,s#1]
        ",
    );
}

#[test]
fn partition_filters_leave_the_plan_and_mixed_ones_stay() {
    let t = Table::new("t", &[("a", DataType::Int), ("p", DataType::Int)], 1, 1);
    let pure = filter(gt(t.col("p"), int(1)), t.plan.clone());
    let text = explained(project(vec![t.col("a")], pure), &cluster(&[]));
    assert!(!text.contains("Filter (") && text.contains("PartitionFilters: [(p#2 > 1)]"), "{text}");
    assert!(text.contains("ReadSchema: struct<a:int>"), "{text}");
    let mixed = filter(gt(t.col("p"), t.col("a")), t.plan.clone());
    let text = explained(mixed, &cluster(&[]));
    assert!(text.contains("Filter (p#1 > a#2)") && text.contains("PartitionFilters: []"), "{text}");
}

#[test]
fn projections_over_a_scan_become_one() {
    let t = Table::kvs("t", 1);
    let inner = project(vec![alias(t.col("k"), "a"), t.col("v")], t.plan.clone());
    let a = Expr::Attribute(inner.output()[0].clone());
    let outer = project(vec![a.clone()], filter(gt(a, int(0)), inner));
    assert_lines(&shape(outer, &cluster(&[])), "Project\n Filter\n  FileScan");
}

#[test]
fn limits() {
    let t = Table::kvs("t", 1);
    let s = cluster(&[]);
    let sorted = sort(vec![t.col("v")], true, t.plan.clone());
    let first_line = |query| explained(query, &s).lines().next().unwrap().to_string();
    assert_eq!(
        first_line(limit(10, 2, project(vec![t.col("k")], sorted.clone()))),
        "TakeOrderedAndProject(limit=12, offset=2, orderBy=[v#1 ASC NULLS FIRST], output=[k#2])"
    );
    assert_eq!(first_line(limit(10, 0, t.plan.clone())), "CollectLimit 10");
    assert_eq!(first_line(limit(10, 3, t.plan.clone())), "CollectLimit 13, 3");
    let inside = filter(gt(t.col("k"), int(0)), limit(5, 0, t.plan.clone()));
    assert_lines(&shape(inside, &s), "Filter\n GlobalLimit\n  Exchange\n   LocalLimit\n    FileScan");
    let no_top_k = cluster(&[("sql.execution.topKSortFallbackThreshold", "5")]);
    assert_lines(&shape(limit(10, 0, sorted), &no_top_k), "CollectLimit\n Sort\n  Exchange\n   FileScan");
}

#[test]
fn a_limit_below_the_root_keeps_the_order_of_its_input() {
    let t = Table::kvs("t", 1);
    let ordered = limit(5, 0, sort(vec![t.col("v")], true, t.plan.clone()));
    let query = filter(gt(t.col("k"), int(0)), ordered);
    let no_top_k = cluster(&[("sql.execution.topKSortFallbackThreshold", "0")]);
    assert_lines(
        &shape(query, &no_top_k),
        "Filter\n GlobalLimit\n  Sort\n   Exchange\n    LocalLimit\n     Sort\n      Exchange\n       FileScan",
    );
}

#[test]
fn global_sort_ranges_and_local_sort_does_not() {
    let t = Table::kvs("t", 1);
    let s = cluster(&[]);
    let global = explained(sort(vec![t.col("v")], true, t.plan.clone()), &s);
    assert!(
        global.starts_with("*(2) Sort [v#1 ASC NULLS FIRST], true, 0\n+- Exchange rangepartitioning(v#1 ASC NULLS FIRST, 200)"),
        "{global}"
    );
    assert_lines(&shape(sort(vec![t.col("v")], false, t.plan.clone()), &s), "Sort\n FileScan");
}

#[test]
fn repartitions() {
    let t = Table::kvs("t", 1);
    let by = |partitions, columns: &[&str], kind| LogicalPlan::Repartition {
        partitions,
        by: columns.iter().map(|c| SortOrder::ascending(t.col(c))).collect(),
        kind,
        input: Box::new(t.plan.clone()),
    };
    let first = |query| explained(query, &cluster(&[])).lines().next().unwrap().to_string();
    assert_eq!(first(by(Some(10), &[], RepartitionKind::Hash)), "Exchange RoundRobinPartitioning(10), REPARTITION_BY_NUM, [plan_id=1]");
    assert_eq!(first(by(Some(1), &[], RepartitionKind::Hash)), "Exchange SinglePartition, REPARTITION_BY_NUM, [plan_id=1]");
    assert_eq!(
        first(by(None, &[], RepartitionKind::Hash)),
        "Exchange RoundRobinPartitioning(200), REBALANCE_PARTITIONS_BY_NONE, [plan_id=1]"
    );
    let rebalanced = "Exchange hashpartitioning(k#1, 7), REBALANCE_PARTITIONS_BY_COL, [plan_id=1]";
    assert_eq!(first(by(Some(7), &["k"], RepartitionKind::Rebalance)), rebalanced);
    assert_eq!(first(by(None, &["k"], RepartitionKind::Hash)), "Exchange hashpartitioning(k#1, 200), REPARTITION_BY_COL, [plan_id=1]");
    assert_eq!(
        first(by(Some(7), &["k"], RepartitionKind::Range)),
        "Exchange rangepartitioning(k#1 ASC NULLS FIRST, 7), REPARTITION_BY_NUM, [plan_id=1]"
    );
    let twice = LogicalPlan::Repartition {
        partitions: None,
        by: vec![SortOrder::ascending(t.col("k"))],
        kind: RepartitionKind::Hash,
        input: Box::new(by(None, &["k"], RepartitionKind::Hash)),
    };
    assert_lines(&shape(twice, &cluster(&[])), "Exchange\n FileScan");
}

#[test]
fn distinct_is_an_aggregate_and_unions_concatenate() {
    let t = Table::kvs("t", 1);
    let u = t.again();
    let output = t.plan.output().iter().map(Attribute::fresh).collect();
    let union = LogicalPlan::Union { inputs: vec![t.plan.clone(), u.plan.clone()], output };
    let query = LogicalPlan::Distinct { input: Box::new(union) };
    assert_lines(&shape(query, &cluster(&[])), "HashAggregate\n Exchange\n  HashAggregate\n   Union\n    FileScan\n    FileScan");
}

#[test]
fn one_row_and_ranges() {
    let s = cluster(&[]);
    let one = project(vec![alias(int(1), "one")], LogicalPlan::OneRowRelation);
    assert_lines(&explained(one, &s), "*(1) Project [1 AS one#1]\n+- *(1) Scan OneRowRelation[]");
    let id = Attribute::new("id", DataType::Long, false);
    let range = LogicalPlan::Range { start: 0, end: 20, step: 1, partitions: Some(4), output: id.clone() };
    assert_lines(&explained(range.clone(), &s), "*(1) Range (0, 20, step=1, splits=4)");
    // A range is ordered and partitioned by range as it is.
    assert_lines(&shape(sort(vec![Expr::Attribute(id)], true, range), &s), "Range");
}
