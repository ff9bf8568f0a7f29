use super::*;
use crate::operators::AggregateMode::{self, *};

/// The aggregates of a plan from the root down: name, modes of the calls, number of keys.
fn phases(plan: &Arc<SparkPlan>) -> Vec<(&'static str, Vec<AggregateMode>, usize)> {
    let mut found = vec![];
    plan.visit(&mut |node| {
        if let Operator::Aggregate(a) = &node.operator {
            found.push((node.name(), a.calls.iter().map(|c| c.mode).collect(), a.grouping.len()));
        }
    });
    found
}

#[test]
fn two_phases_around_an_exchange() {
    let t = Table::kvs("t", 1);
    let query = aggregate(vec![t.col("k")], vec![t.col("k"), alias(sum(t.col("v")), "s")], t.plan.clone());
    let plan = planned(query.clone(), &cluster(&[])).executed_plan;
    assert_eq!(phases(&plan), [("HashAggregate", vec![Final], 1), ("HashAggregate", vec![Partial], 1)]);
    assert_lines(&shape(query, &cluster(&[])), "HashAggregate\n Exchange\n  HashAggregate\n   FileScan");
}

#[test]
fn without_keys_all_rows_come_together() {
    let t = Table::kvs("t", 1);
    let query = aggregate(vec![], vec![alias(sum(t.col("v")), "s")], t.plan.clone());
    let text = explained(query, &cluster(&[]));
    assert!(text.contains("Exchange SinglePartition, ENSURE_REQUIREMENTS"), "{text}");
}

#[test]
fn equal_calls_are_computed_once() {
    let t = Table::kvs("t", 1);
    let twice = vec![alias(sum(t.col("v")), "a"), alias(sum(t.col("v")), "b")];
    let plan = planned(aggregate(vec![], twice, t.plan.clone()), &cluster(&[])).executed_plan;
    assert_eq!(plan.output().len(), 2);
    assert_eq!(phases(&plan)[0].1.len(), 1);
}

#[test]
fn computed_keys_are_projected_below() {
    let t = Table::kvs("t", 1);
    let key = Expr::Negate(Box::new(t.col("k")));
    let list = vec![alias(Expr::Negate(Box::new(key.clone())), "x"), alias(sum(t.col("v")), "s")];
    let text = explained(aggregate(vec![key], list, t.plan.clone()), &cluster(&[]));
    assert!(text.contains("HashAggregate(keys=[_groupingexpression#1], functions=[sum(v#2)])"), "{text}");
    assert!(text.contains("Project [v#2, -k#3 AS _groupingexpression#1]"), "{text}");
}

#[test]
fn distinct_takes_four_phases() {
    let t = Table::kvs("t", 1);
    let list = vec![
        t.col("k"),
        alias(call(AggregateFunction::Count, t.col("v"), true), "d"),
        alias(call(AggregateFunction::Sum, t.col("v"), false), "s"),
    ];
    let query = aggregate(vec![t.col("k")], list, t.plan.clone());
    let plan = planned(query.clone(), &cluster(&[])).executed_plan;
    let expected = [
        ("HashAggregate", vec![Final, Final], 1),
        ("HashAggregate", vec![PartialMerge, Partial], 1),
        ("HashAggregate", vec![PartialMerge], 2),
        ("HashAggregate", vec![Partial], 2),
    ];
    assert_eq!(phases(&plan), expected);
    let text = explained(query, &cluster(&[]));
    let lines: Vec<&str> = text.lines().take(6).collect();
    assert_lines(
        &lines.join("\n"),
        "
        *(3) HashAggregate(keys=[k#1], functions=[sum(v#2), count(distinct v#2)])
        +- Exchange hashpartitioning(k#1, 200), ENSURE_REQUIREMENTS, [plan_id=1]
           +- *(2) HashAggregate(keys=[k#1], functions=[merge_sum(v#2), partial_count(distinct v#2)])
              +- *(2) HashAggregate(keys=[k#1, v#2], functions=[merge_sum(v#2)])
                 +- Exchange hashpartitioning(k#1, v#2, 200), ENSURE_REQUIREMENTS, [plan_id=2]
                    +- *(1) HashAggregate(keys=[k#1, v#2], functions=[partial_sum(v#2)])
        ",
    );
}

#[test]
fn a_filter_on_distinct_goes_into_the_arguments() {
    let t = Table::kvs("t", 1);
    let Expr::Aggregate(count) = call(AggregateFunction::Count, t.col("v"), true) else { unreachable!() };
    let filtered = AggregateExpr { filter: Some(Box::new(gt(t.col("k"), int(3)))), ..*count };
    let text = explained(aggregate(vec![], vec![alias(Expr::Aggregate(Box::new(filtered)), "n")], t.plan.clone()), &cluster(&[]));
    assert!(text.contains("functions=[count(distinct _distinct#1)]"), "{text}");
    assert!(text.contains("Project [CASE WHEN (k#2 > 3) THEN v#3 END AS _distinct#1]"), "{text}");
}

#[test]
fn distinct_changes_nothing_for_max() {
    let t = Table::kvs("t", 1);
    let list = vec![alias(call(AggregateFunction::Max, t.col("v"), true), "m")];
    assert_eq!(phases(&planned(aggregate(vec![], list, t.plan.clone()), &cluster(&[])).executed_plan).len(), 2);
}

#[test]
fn the_buffers_choose_the_operator() {
    let t = Table::kvs("t", 1);
    let with = |function, column: &str| {
        let list = vec![t.col("k"), alias(call(function, t.col(column), false), "x")];
        shape(aggregate(vec![t.col("k")], list, t.plan.clone()), &cluster(&[]))
    };
    assert_lines(&with(AggregateFunction::Max, "v"), "HashAggregate\n Exchange\n  HashAggregate\n   FileScan");
    assert_lines(&with(AggregateFunction::CollectList, "v"), "ObjectHashAggregate\n Exchange\n  ObjectHashAggregate\n   FileScan");
    assert_lines(&with(AggregateFunction::Max, "s"), "SortAggregate\n Sort\n  Exchange\n   SortAggregate\n    Sort\n     FileScan");
}

#[test]
fn rows_clustered_already_are_not_shuffled_again() {
    let t = Table::kvs("t", 1);
    let inner = aggregate(vec![t.col("k")], vec![t.col("k"), alias(sum(t.col("v")), "s")], t.plan.clone());
    let s = Expr::Attribute(inner.output()[1].clone());
    let outer = aggregate(vec![t.col("k"), s.clone()], vec![t.col("k"), s], inner);
    assert_eq!(shape(outer, &cluster(&[])).matches("Exchange").count(), 1);
}
