//! InferSemiJoins: rows that a semi join drops on one side of an equi-join find no partner on the other, so the same semi join is
//! put on both. Under Spark's profile only: there `k IN (subquery)` is still a filter when filters are inferred across joins.

use std::collections::{BTreeSet, HashMap};

use super::support::{conjuncts, substitute};
use crate::base::{Attribute, ExprId, Result, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::{Join, JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if !settings.plans_as_spark() {
        return Ok(plan);
    }
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Join(j) if matches!(j.join_type, JoinType::Inner) => LogicalPlan::Join(infer(j)?),
            other => other,
        })
    })
}

fn infer(mut j: Join) -> Result<Join> {
    let mut from_left = HashMap::new();
    for c in conjuncts(j.condition.clone()) {
        if let Expr::Comparison { op: ComparisonOp::Equal, left, right } = c
            && let (Expr::Attribute(l), Expr::Attribute(r)) = (*left, *right)
        {
            from_left.insert(l.id, r.clone());
            from_left.insert(r.id, l);
        }
    }
    let (of_left, of_right) = (semi_joins(&j.left), semi_joins(&j.right));
    *j.right = with_all(*j.right, &of_left, &from_left)?;
    *j.left = with_all(*j.left, &of_right, &from_left)?;
    Ok(j)
}

/// The semi joins that all rows of the plan have passed.
fn semi_joins(plan: &LogicalPlan) -> Vec<Join> {
    match plan {
        LogicalPlan::Project { input, .. } | LogicalPlan::Filter { input, .. } => semi_joins(input),
        LogicalPlan::Join(j) if j.join_type.is_inner() => [semi_joins(&j.left), semi_joins(&j.right)].concat(),
        LogicalPlan::Join(j) if j.join_type == JoinType::LeftSemi => [semi_joins(&j.left), vec![j.clone()]].concat(),
        _ => vec![],
    }
}

fn with_all(mut side: LogicalPlan, semi_joins: &[Join], equal: &HashMap<ExprId, Attribute>) -> Result<LogicalPlan> {
    for semi in semi_joins {
        let (outside, inside) = (semi.left.output_set(), semi.right.output_set());
        let condition = conjuncts(semi.condition.clone());
        let used: BTreeSet<ExprId> = condition.iter().flat_map(Expr::references).filter(|id| !inside.contains(id)).collect();
        let keys: Option<HashMap<ExprId, Expr>> =
            used.iter().map(|id| Some((*id, Expr::Attribute(equal.get(id).filter(|_| outside.contains(id))?.clone())))).collect();
        let Some(keys) = keys.filter(|k| !k.is_empty()) else { continue };
        // The subquery's columns under names of their own: both copies may meet above.
        let mut renamed = HashMap::new();
        let right = semi.right.as_ref().clone().with_fresh_ids(&mut renamed)?;
        let fresh: HashMap<ExprId, Expr> = semi
            .right
            .output()
            .into_iter()
            .filter_map(|a| Some((a.id, Expr::Attribute(Attribute { id: *renamed.get(&a.id)?, ..a }))))
            .collect();
        let condition = condition.into_iter().map(|c| substitute(substitute(c, &fresh), &keys)).collect();
        let keys = keys.values().flat_map(Expr::references).collect();
        side = placed(side, &keys, right, condition);
    }
    Ok(side)
}

/// The semi join as far down as a filter on these keys would go.
fn placed(plan: LogicalPlan, keys: &BTreeSet<ExprId>, right: LogicalPlan, condition: Vec<Expr>) -> LogicalPlan {
    let passes = |list: &[Expr]| keys.iter().all(|k| list.iter().any(|e| matches!(e, Expr::Attribute(a) if a.id == *k)));
    match plan {
        LogicalPlan::Filter { condition: own, input } if !matches!(*input, LogicalPlan::Relation { .. }) => {
            LogicalPlan::Filter { condition: own, input: Box::new(placed(*input, keys, right, condition)) }
        }
        LogicalPlan::Project { list, input }
            if passes(&list) && !matches!(*input, LogicalPlan::Filter { .. } | LogicalPlan::Relation { .. }) =>
        {
            LogicalPlan::Project { list, input: Box::new(placed(*input, keys, right, condition)) }
        }
        LogicalPlan::Aggregate { grouping, list, input } if passes(&list) && passes(&grouping) => {
            LogicalPlan::Aggregate { grouping, list, input: Box::new(placed(*input, keys, right, condition)) }
        }
        LogicalPlan::Join(mut j) if j.join_type.is_inner() && keys.is_subset(&j.left.output_set()) => {
            *j.left = placed(*j.left, keys, right, condition);
            LogicalPlan::Join(j)
        }
        LogicalPlan::Join(mut j) if j.join_type.is_inner() && keys.is_subset(&j.right.output_set()) => {
            *j.right = placed(*j.right, keys, right, condition);
            LogicalPlan::Join(j)
        }
        other => super::support::join(other, right, JoinType::LeftSemi, condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::join;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn puts_a_semi_join_on_both_sides_under_sparks_profile() {
        let (t, u, s) = (table("t", 10), table("u", 10), table("s", 10));
        let few = join(t.clone(), s.clone(), JoinType::LeftSemi, vec![equals(column(&t, "a"), column(&s, "a"))]);
        let on = |key: &str| inner_join(few.clone(), u.clone(), equals(column(&t, key), column(&u, "a")));
        assert_unchanged(apply, &on("a"));
        let mut cluster = Settings::new();
        cluster.set("planner.profile", "cluster").unwrap();
        let after = apply(on("a"), &cluster).unwrap();
        let types: Vec<JoinType> = joins(&after).iter().map(|j| j.join_type.clone()).collect();
        assert_eq!(types, [JoinType::Inner, JoinType::LeftSemi, JoinType::LeftSemi]);
        assert_eq!(apply(on("b"), &cluster).unwrap(), on("b"));
    }
}
