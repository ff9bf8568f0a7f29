//! Each kind of subquery, and each way of undoing correlation.

use std::collections::BTreeSet;

use super::*;
use crate::logical::Apply;
use crate::logical::optimizer::support::{self, not};
use crate::logical::optimizer::testing::*;

fn answer(nullable: bool) -> Attribute {
    Attribute::new("answer", DataType::Boolean, nullable)
}

fn with_answer(input: &LogicalPlan, subquery: LogicalPlan, kind: SubqueryKind) -> LogicalPlan {
    let outer = input.output();
    LogicalPlan::Apply(Apply { input: Box::new(input.clone()), subquery: Box::new(subquery), kind, outer })
}

/// The plan rewritten: without Apply, and every attribute used comes from below.
fn rewritten(plan: LogicalPlan) -> LogicalPlan {
    let after = applied(apply, plan);
    check(&after);
    after
}

fn check(plan: &LogicalPlan) {
    assert!(!matches!(plan, LogicalPlan::Apply(_)));
    let below: BTreeSet<_> = plan.children().iter().flat_map(|c| c.output_set()).collect();
    for e in plan.expressions() {
        assert!(refers_only_to_below(e, &below), "{e} uses what is not below");
    }
    plan.children().into_iter().for_each(check);
}

fn refers_only_to_below(e: &Expr, below: &BTreeSet<ExprId>) -> bool {
    support::refers_only_to(e, below)
}

fn join_types(plan: &LogicalPlan) -> Vec<JoinType> {
    joins(plan).iter().map(|j| j.join_type.clone()).collect()
}

/// `SELECT … FROM u WHERE u.a = t.a`.
fn correlated(t: &LogicalPlan, u: &LogicalPlan) -> LogicalPlan {
    filtered(u.clone(), equals(column(u, "a"), column(t, "a")))
}

fn scalar(t: &LogicalPlan, subquery: LogicalPlan) -> LogicalPlan {
    let column = &subquery.output()[0];
    let output = Attribute::new("value", column.data_type.clone(), true);
    with_answer(t, subquery, SubqueryKind::Scalar(output))
}

#[test]
fn exists_as_a_conjunct() {
    let (t, u) = (table("t", 10), table("u", 10));
    let a = answer(false);
    let apply = with_answer(&t, correlated(&t, &u), SubqueryKind::Exists(a.clone()));
    let on = vec![equals(column(&u, "a"), column(&t, "a"))];
    for (condition, join_type, value) in [(attribute(&a), JoinType::LeftSemi, true), (not(attribute(&a)), JoinType::LeftAnti, false)] {
        let after = rewritten(filtered(apply.clone(), condition));
        let list = t.output().iter().map(attribute).chain([alias_as(boolean(value), &a)]).collect();
        assert_eq!(after, project(list, join(t.clone(), u.clone(), join_type, on.clone())));
    }
}

#[test]
fn exists_elsewhere_is_a_column() {
    let (t, u) = (table("t", 10), table("u", 10));
    let a = answer(false);
    let apply = with_answer(&t, correlated(&t, &u), SubqueryKind::Exists(a.clone()));
    let after = rewritten(filtered(apply, or(attribute(&a), greater(column(&t, "b"), 1))));
    assert_eq!(join_types(&after), [JoinType::Existence(a)]);
}

#[test]
fn exists_of_a_global_aggregate_is_true() {
    let (t, u) = (table("t", 10), table("u", 10));
    let a = answer(false);
    let subquery = grouped(vec![], vec![named(count_star(), "n")], correlated(&t, &u));
    let after = rewritten(filtered(with_answer(&t, subquery, SubqueryKind::Exists(a.clone())), attribute(&a)));
    assert!(joins(&after).is_empty());
}

#[test]
fn in_and_not_in() {
    let (t, u) = (table("t", 10), table("u", 10));
    let a = answer(true);
    let of = |t_name: &str, u_name: &str| {
        let subquery = project(vec![column(&u, u_name)], u.clone());
        with_answer(&t, subquery, SubqueryKind::In { values: vec![column(&t, t_name)], output: a.clone() })
    };
    assert_eq!(join_types(&rewritten(filtered(of("a", "a"), attribute(&a)))), [JoinType::LeftSemi]);
    assert_eq!(join_types(&rewritten(filtered(of("a", "a"), not(attribute(&a))))), [JoinType::NullAwareAnti]);
    assert_eq!(join_types(&rewritten(filtered(of("k", "k"), not(attribute(&a))))), [JoinType::LeftAnti]);
    for plan in [of("a", "a"), of("k", "k"), project(vec![named(not(attribute(&a)), "x")], of("a", "a"))] {
        assert_eq!(join_types(&rewritten(plan)), [JoinType::Existence(a.clone().with_nullable(false))]);
    }
    assert_eq!(join_types(&rewritten(filtered(of("a", "a"), or(attribute(&a), greater(column(&t, "b"), 1))))).len(), 1);
}

#[test]
fn correlated_not_in_keeps_rows_apart_by_correlation() {
    let (t, u) = (table("t", 10), table("u", 10));
    let a = answer(true);
    let subquery = project(vec![column(&u, "b")], correlated(&t, &u));
    let apply = with_answer(&t, subquery, SubqueryKind::In { values: vec![column(&t, "b")], output: a.clone() });
    let after = rewritten(filtered(apply, not(attribute(&a))));
    assert_eq!(join_types(&after), [JoinType::LeftAnti]);
    let condition = joins(&after)[0].condition.clone().unwrap().split_conjunction();
    assert!(condition.contains(&equals(column(&u, "a"), column(&t, "a"))), "the equality can be hashed: {condition:?}");
}

#[test]
fn scalar_aggregates_group_by_the_correlation() {
    let (t, u) = (table("t", 10), table("u", 10));
    let total = grouped(vec![], vec![named(sum(column(&u, "b")), "s")], correlated(&t, &u));
    let after = rewritten(scalar(&t, total));
    assert_eq!(join_types(&after), [JoinType::LeftOuter]);
    assert!(matches!(&*joins(&after)[0].right, LogicalPlan::Aggregate { grouping, .. } if *grouping == [column(&u, "a")]));
}

#[test]
fn count_over_nothing_is_zero() {
    let (t, u) = (table("t", 10), table("u", 10));
    let count = grouped(vec![], vec![named(count_star(), "n")], correlated(&t, &u));
    let LogicalPlan::Project { list, .. } = rewritten(scalar(&t, count)) else { panic!() };
    assert!(matches!(list.last().unwrap().unaliased(), Expr::Case { .. }));
}

#[test]
fn scalars_without_aggregate_must_be_single() {
    let (t, u) = (table("t", 10), table("u", 10));
    let after = rewritten(scalar(&t, project(vec![column(&u, "b")], correlated(&t, &u))));
    assert_eq!(join_types(&after), [JoinType::LeftSingle]);
}

#[test]
fn limits_count_per_outer_row() {
    let (t, u) = (table("t", 10), table("u", 10));
    let sorted = LogicalPlan::Sort {
        order: vec![crate::expr::SortOrder::descending(column(&u, "c"))],
        global: true,
        input: Box::new(project(vec![column(&u, "b"), column(&u, "c")], correlated(&t, &u))),
    };
    let first = LogicalPlan::Limit { limit: Some(1), offset: 0, input: Box::new(sorted) };
    let after = rewritten(scalar(&t, project(vec![column(&u, "b")], first)));
    assert_eq!(join_types(&after), [JoinType::LeftOuter]);
    let windows = |p: &LogicalPlan| matches!(p, LogicalPlan::Window { order_by, .. } if order_by.len() == 1);
    fn any(p: &LogicalPlan, test: &dyn Fn(&LogicalPlan) -> bool) -> bool {
        test(p) || p.children().into_iter().any(|c| any(c, test))
    }
    assert!(any(&after, &windows));
}

#[test]
fn inequalities_under_an_aggregate_need_the_domain() {
    let (t, u) = (table("t", 10), table("u", 10));
    let below = filtered(u.clone(), greater_than(column(&t, "a"), column(&u, "a")));
    let count = grouped(vec![], vec![named(count_star(), "n")], below);
    let after = rewritten(scalar(&t, count));
    // The rows, the domain with every group, the domain with its matches.
    assert_eq!(join_types(&after), [JoinType::LeftOuter, JoinType::LeftOuter, JoinType::Cross]);
}

#[test]
fn unions_having_and_outer_values_need_the_domain() {
    let (t, u, v) = (table("t", 10), table("u", 10), table("v", 10));
    let branch = |p: &LogicalPlan| project(vec![column(p, "b")], correlated(&t, p));
    let union = LogicalPlan::Union { output: vec![u.output()[1].fresh()], inputs: vec![branch(&u), branch(&v)] };
    rewritten(scalar(&t, union));

    let n = named(count_star(), "n");
    let having = filtered(grouped(vec![], vec![n.clone()], correlated(&t, &u)), greater(Expr::Attribute(n.to_attribute()), 1));
    rewritten(scalar(&t, having));

    let sum_of_both = project(vec![named(plus(column(&t, "b"), column(&u, "b")), "x")], correlated(&t, &u));
    rewritten(scalar(&t, sum_of_both));
}

#[test]
fn leaves_plans_without_subqueries() {
    let t = table("t", 10);
    assert_unchanged(apply, &filtered(t.clone(), greater(column(&t, "a"), 1)));
}
