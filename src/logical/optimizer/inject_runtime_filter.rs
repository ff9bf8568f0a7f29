//! InjectRuntimeFilter: an aggregate joined on its grouping key with few rows aggregates only what those rows will look for.
//!
//! `few JOIN (SELECT k, avg(x) FROM many GROUP BY k) ON few.k = k` computes the average for every k of `many`; a semi join of `many`
//! with the keys of `few` below the aggregate leaves the groups that the join wants (TPC-H's Q17 and Q20). This is Spark's semi-join
//! reduction; the keys are broadcast to both joins and computed once. Needs row counts; off under Spark's profile.

use std::collections::HashMap;

use super::support::{attribute, conjuncts, equal, join, project, refers_only_to, used_attributes};
use crate::base::settings::PROFILE;
use crate::base::{Attribute, Result, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::statistics::{estimate, key_column};
use crate::logical::{Join, JoinType, LogicalPlan};

/// The part of the aggregate's keys, and of the rows read below it, that the other side may have.
const MOST_KEYS: f64 = 0.1;
const MOST_ROWS_READ: f64 = 1.0 / 3.0;

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
        if right_may && let Some(right) = reduced(&j.right, &j.left, &j)? {
            j.right = Box::new(right);
        } else if left_may && let Some(left) = reduced(&j.left, &j.right, &j)? {
            j.left = Box::new(left);
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
fn reduced(side: &LogicalPlan, few: &LogicalPlan, j: &Join) -> Result<Option<LogicalPlan>> {
    let Some(LogicalPlan::Aggregate { grouping, list, input }) = aggregate_of(side) else { return Ok(None) };
    if is_reduced(input) {
        return Ok(None);
    }
    // Pairs of a column of `few` and a grouping column.
    let few_ids = few.output_set();
    let passed: Vec<&Attribute> = list
        .iter()
        .filter_map(|e| match e {
            Expr::Attribute(a) if grouping.contains(e) => Some(a),
            _ => None,
        })
        .collect();
    let mut pairs: Vec<(Attribute, Attribute)> = vec![];
    for c in conjuncts(j.condition.clone()) {
        let Expr::Comparison { op: ComparisonOp::Equal, left, right } = c else { continue };
        for (a, b) in [(&left, &right), (&right, &left)] {
            if let (Expr::Attribute(outside), Expr::Attribute(key)) = (a.as_ref(), b.as_ref())
                && few_ids.contains(&outside.id)
                && passed.contains(&key)
            {
                pairs.push((outside.clone(), key.clone()));
            }
        }
    }
    if pairs.is_empty() || !pays(few, input, &pairs) {
        return Ok(None);
    }
    let mut renamed = HashMap::new();
    let keys: Vec<Expr> =
        used_attributes(pairs.iter().map(|(o, _)| attribute(o)).collect::<Vec<_>>().iter()).iter().map(attribute).collect();
    let wanted = project(keys, few.clone()).with_fresh_ids(&mut renamed)?;
    let condition: Vec<Expr> = pairs
        .iter()
        .map(|(outside, key)| {
            let id = renamed.get(&outside.id).copied().unwrap_or(outside.id);
            equal(attribute(key), Expr::Attribute(Attribute { id, ..outside.clone() }))
        })
        .collect();
    Ok(Some(with_input_joined(side.clone(), &wanted, &condition)?))
}

fn is_reduced(input: &LogicalPlan) -> bool {
    match input {
        LogicalPlan::Project { input, .. } | LogicalPlan::Filter { input, .. } => is_reduced(input),
        LogicalPlan::Join(j) => j.join_type == JoinType::LeftSemi,
        _ => false,
    }
}

fn pays(few: &LogicalPlan, input: &LogicalPlan, pairs: &[(Attribute, Attribute)]) -> bool {
    let (few_rows, many) = (estimate(few), estimate(input));
    let (Some(few_rows), Some(many_rows)) = (few_rows.row_count, many.row_count) else { return false };
    let groups = pairs.iter().map(|(_, key)| key_column(&many, &attribute(key)).distinct).product::<f64>().min(many_rows);
    few_rows <= groups * MOST_KEYS && rows_read(few) <= rows_read(input) * MOST_ROWS_READ
}

/// Rows of the leaves: what computing the plan a second time costs, roughly.
fn rows_read(plan: &LogicalPlan) -> f64 {
    let children = plan.children();
    if children.is_empty() { estimate(plan).rows() } else { children.into_iter().map(rows_read).sum() }
}

fn with_input_joined(plan: LogicalPlan, wanted: &LogicalPlan, condition: &[Expr]) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate { grouping, list, input } => {
            debug_assert!(condition.iter().all(|c| {
                let mut ids = input.output_set();
                ids.extend(wanted.output_set());
                refers_only_to(c, &ids)
            }));
            let input = Box::new(join(*input, wanted.clone(), JoinType::LeftSemi, condition.to_vec()));
            Ok(LogicalPlan::Aggregate { grouping, list, input })
        }
        other => other.map_children(&mut |c| with_input_joined(c, wanted, condition)),
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

    #[test]
    fn fires() {
        let few = keyed_table("few", 100, 10_000);
        let after = applied(apply, joined_with_average(few, "a"));
        assert_eq!(joins(&after).iter().map(|j| j.join_type.clone()).collect::<Vec<_>>(), [JoinType::Inner, JoinType::LeftSemi]);
        let semi = joins(&after)[1];
        assert!(semi.left.output_set().is_disjoint(&semi.right.output_set()));
    }

    #[test]
    fn needs_few_rows_and_a_key() {
        assert_unchanged(apply, &joined_with_average(keyed_table("few", 100_000, 10_000), "a"));
        assert_unchanged(apply, &joined_with_average(keyed_table("few", 100, 10_000), "total"));
    }
}
