//! SpecialLimits: a limit over a global sort is a top-K; a limit at the root collects partition by partition.

use std::sync::Arc;

use crate::base::{Result, settings};
use crate::expr::{Expr, SortOrder};
use crate::logical::LogicalPlan;
use crate::operators::{CollectLimit, Operator, SparkPlan, TakeOrderedAndProject};
use crate::planning::planner::Planner;

/// Top-K, anywhere in the plan.
///
/// # Errors
/// Those of planning the input.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let LogicalPlan::Limit { limit: Some(limit), offset, input } = logical else { return Ok(None) };
    let Some((order, list, input)) = sorted(input) else { return Ok(None) };
    // Spark's limit counts the rows that the offset skips.
    let limit = limit.saturating_add(*offset);
    if limit >= planner.settings.int(&settings::TOP_K_SORT_FALLBACK_THRESHOLD).max(0) as u64 {
        return Ok(None);
    }
    let take = TakeOrderedAndProject { limit, offset: *offset, order: order.to_vec(), list };
    Ok(Some(SparkPlan::new(Operator::TakeOrderedAndProject(take), vec![planner.plan(input)?])))
}

/// A limit at the root of the query.
///
/// # Errors
/// Those of planning the input.
pub fn plan_root(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    if let Some(plan) = plan(planner, logical)? {
        return Ok(Some(plan));
    }
    let LogicalPlan::Limit { limit, offset, input } = logical else { return Ok(None) };
    let collect = CollectLimit { limit: limit.map(|l| l.saturating_add(*offset)), offset: *offset };
    Ok(Some(SparkPlan::new(Operator::CollectLimit(collect), vec![planner.plan(input)?])))
}

/// `Sort` or `Project` over `Sort`: its order, what is projected, its input.
fn sorted(plan: &LogicalPlan) -> Option<(&[SortOrder], Vec<Expr>, &LogicalPlan)> {
    match plan {
        LogicalPlan::Sort { order, global: true, input } => Some((order, input.output().into_iter().map(Expr::Attribute).collect(), input)),
        LogicalPlan::Project { list, input } => match input.as_ref() {
            LogicalPlan::Sort { order, global: true, input } => Some((order, list.clone(), input)),
            _ => None,
        },
        _ => None,
    }
}
