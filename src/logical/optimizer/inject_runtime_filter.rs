//! InjectRuntimeFilter: where few rows meet many in a join, the many are first reduced to those that the few will look for.
//!
//! Two places gain. An aggregate joined on its grouping key: `few JOIN (SELECT k, avg(x) FROM many GROUP BY k) ON few.k = k` need not
//! compute groups that nobody asks for (TPC-H's Q17 and Q20). And the right side of a semi, anti or left outer join, from all of
//! which a table would be built (Q4, Q21, Q22). The reduction is a semi join with the keys of the few rows, Spark's semi-join
//! reduction; they are computed a second time, or once where exchanges are reused. Needs row counts; off under Spark's profile,
//! which has Bloom filters instead (`inject_bloom_filter`).

use std::collections::{BTreeSet, HashMap};

use super::push_left_semi_left_anti_through_join;
use super::support::{attribute, conjuncts, equal, join, project, unique};
use crate::base::settings::PROFILE;
use crate::base::{Attribute, ExprId, Result, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::statistics::estimate;
use crate::logical::{Join, JoinType, LogicalPlan};

/// The part of an aggregate's input, or of a right side, that may remain for the reduction to pay.
const MOST_LEFT_OF_AGGREGATE: f64 = 0.1;
const MOST_LEFT_OF_BUILD: f64 = 0.2;
/// Rows read for the few, as a part of those read for the many.
const MOST_READ_FOR_AGGREGATE: f64 = 1.0 / 3.0;
const MOST_READ_FOR_BUILD: f64 = 2.0;
/// Tables of fewer rows are built in no time.
const FEWEST_BUILD_ROWS: f64 = 200_000.0;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if settings.text(&PROFILE) == "cluster" {
        return Ok(plan);
    }
    plan.transform_up(&mut |node| {
        let LogicalPlan::Join(mut j) = node else { return Ok(node) };
        let (left_may, right_may) = match j.join_type {
            JoinType::Inner => (true, true),
            // The other side's rows all stay, with or without a match.
            JoinType::LeftOuter | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::Existence(_) | JoinType::LeftSingle => (false, true),
            JoinType::RightOuter => (true, false),
            JoinType::Cross | JoinType::FullOuter | JoinType::NullAwareAnti => (false, false),
        };
        if right_may && let Some(right) = reduced_aggregate(&j.right, &j.left, &j)? {
            j.right = Box::new(right);
        } else if left_may && let Some(left) = reduced_aggregate(&j.left, &j.right, &j)? {
            j.left = Box::new(left);
        } else if right_may
            && j.join_type != JoinType::Inner
            && let Some(right) = reduced_build(&j)?
        {
            j.right = Box::new(right);
        }
        Ok(LogicalPlan::Join(j))
    })
}

/// The aggregate at the top of a plan, under projects and filters.
fn aggregate_of(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Project { input, .. } | LogicalPlan::Filter { input, .. } => aggregate_of(input),
        LogicalPlan::Aggregate { .. } => Some(plan),
        _ => None,
    }
}

/// `side`, an aggregate, with its input reduced to keys that `few` has; `None` where that does not pay.
fn reduced_aggregate(side: &LogicalPlan, few: &LogicalPlan, j: &Join) -> Result<Option<LogicalPlan>> {
    let Some(LogicalPlan::Aggregate { grouping, list, input }) = aggregate_of(side) else { return Ok(None) };
    let keys: BTreeSet<ExprId> =
        list.iter().filter(|e| matches!(e, Expr::Attribute(_)) && grouping.contains(e)).flat_map(Expr::references).collect();
    let reduced = reduction(input, few, &key_pairs(j, few, &keys), MOST_LEFT_OF_AGGREGATE, MOST_READ_FOR_AGGREGATE)?;
    reduced.map(|input| with_aggregate_input(side.clone(), &input)).transpose()
}

/// The right side of a join that builds from it, reduced to keys that the left has; `None` where that does not pay.
fn reduced_build(j: &Join) -> Result<Option<LogicalPlan>> {
    if estimate(&j.right).row_count.is_none_or(|rows| rows < FEWEST_BUILD_ROWS) {
        return Ok(None);
    }
    // Without its own semi and anti joins, the left has some more keys but is cheaper to compute.
    let mut few = j.left.as_ref();
    while let LogicalPlan::Join(inner) = few
        && matches!(inner.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
    {
        few = &inner.left;
    }
    reduction(&j.right, few, &key_pairs(j, few, &j.right.output_set()), MOST_LEFT_OF_BUILD, MOST_READ_FOR_BUILD)
}

/// The equalities of the join's condition between a column of `few` and one of `keys`.
fn key_pairs(j: &Join, few: &LogicalPlan, keys: &BTreeSet<ExprId>) -> Vec<(Attribute, Attribute)> {
    let few = few.output_set();
    let mut pairs = vec![];
    for c in conjuncts(j.condition.clone()) {
        let Expr::Comparison { op: ComparisonOp::Equal, left, right } = c else { continue };
        for (a, b) in [(&left, &right), (&right, &left)] {
            if let (Expr::Attribute(outside), Expr::Attribute(key)) = (a.as_ref(), b.as_ref())
                && few.contains(&outside.id)
                && keys.contains(&key.id)
            {
                pairs.push((outside.clone(), key.clone()));
            }
        }
    }
    pairs
}

/// `many` semi-joined with the keys of `few`.
fn reduction(
    many: &LogicalPlan,
    few: &LogicalPlan,
    pairs: &[(Attribute, Attribute)],
    most_left: f64,
    most_read: f64,
) -> Result<Option<LogicalPlan>> {
    if pairs.is_empty() || is_reduced(many) || rows_read(few) > rows_read(many) * most_read {
        return Ok(None);
    }
    let outside: Vec<Expr> = pairs.iter().map(|(o, _)| attribute(o)).collect();
    let mut renamed = HashMap::new();
    let keys = project(unique(outside), few.clone()).with_fresh_ids(&mut renamed)?;
    let condition = pairs
        .iter()
        .map(|(outside, key)| {
            let id = renamed.get(&outside.id).copied().unwrap_or(outside.id);
            equal(attribute(key), Expr::Attribute(Attribute { id, ..outside.clone() }))
        })
        .collect();
    let before = estimate(many).row_count;
    let reduced = join(many.clone(), keys, JoinType::LeftSemi, condition);
    let pays = before.zip(estimate(&reduced).row_count).is_some_and(|(before, after)| after <= before * most_left);
    Ok(pays.then(|| push_left_semi_left_anti_through_join::push_down(reduced)))
}

fn is_reduced(input: &LogicalPlan) -> bool {
    match input {
        LogicalPlan::Project { input, .. } | LogicalPlan::Filter { input, .. } => is_reduced(input),
        LogicalPlan::Join(j) if j.join_type.is_inner() => is_reduced(&j.left) || is_reduced(&j.right),
        LogicalPlan::Join(j) => j.join_type == JoinType::LeftSemi,
        _ => false,
    }
}

/// Rows of the leaves: what computing the plan costs, roughly.
fn rows_read(plan: &LogicalPlan) -> f64 {
    let children = plan.children();
    if children.is_empty() { estimate(plan).rows() } else { children.into_iter().map(rows_read).sum() }
}

fn with_aggregate_input(plan: LogicalPlan, input: &LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate { grouping, list, .. } => Ok(LogicalPlan::Aggregate { grouping, list, input: Box::new(input.clone()) }),
        other => other.map_children(&mut |c| with_aggregate_input(c, input)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    fn joined_with_average(few: LogicalPlan, key: &str) -> LogicalPlan {
        let many = keyed_table("many", 1_000_000, 10_000);
        let by = vec![column(&many, "a")];
        let total = named(sum(column(&many, "b")), "total");
        let totals = grouped(by.clone(), vec![by[0].clone(), total.clone()], many);
        let on = if key == "total" { Expr::Attribute(total.to_attribute()) } else { by[0].clone() };
        let few_key = column(&few, "a");
        inner_join(few, totals, equals(few_key, on))
    }

    /// One row of ten thousand.
    fn few() -> LogicalPlan {
        let all = keyed_table("few", 10_000, 10_000);
        filtered(all.clone(), equals(column(&all, "c"), int(7)))
    }

    #[test]
    fn fires() {
        let after = applied(apply, joined_with_average(few(), "a"));
        assert_eq!(joins(&after).iter().map(|j| j.join_type.clone()).collect::<Vec<_>>(), [JoinType::Inner, JoinType::LeftSemi]);
        let semi = joins(&after)[1];
        assert!(semi.left.output_set().is_disjoint(&semi.right.output_set()));
    }

    #[test]
    fn reduces_what_a_semi_join_builds_from() {
        let (few, many) = (few(), keyed_table("many", 1_000_000, 10_000));
        let on = vec![equals(column(&few, "a"), column(&many, "a"))];
        let of = |many: &LogicalPlan, join_type| join(few.clone(), many.clone(), join_type, on.clone());
        for join_type in [JoinType::LeftSemi, JoinType::LeftAnti, JoinType::LeftOuter] {
            let after = applied(apply, of(&many, join_type.clone()));
            assert_eq!(joins(&after).iter().map(|j| j.join_type.clone()).collect::<Vec<_>>(), [join_type, JoinType::LeftSemi]);
        }
        // An inner join builds from the few anyway; a null-aware one must see all.
        assert_unchanged(apply, &of(&many, JoinType::Inner));
        assert_unchanged(apply, &of(&many, JoinType::NullAwareAnti));
        assert_unchanged(apply, &of(&keyed_table("small", 1000, 10_000), JoinType::LeftSemi));
    }

    #[test]
    fn needs_few_rows_and_a_key() {
        assert_unchanged(apply, &joined_with_average(keyed_table("few", 100_000, 10_000), "a"));
        assert_unchanged(apply, &joined_with_average(few(), "total"));
    }
}
