//! WindowGroupLimit: in two phases, so that rows are dropped before they are exchanged.

use std::sync::Arc;

use crate::base::Result;
use crate::logical::LogicalPlan;
use crate::operators::{LimitPhase, Operator, SparkPlan, WindowGroupLimit};
use crate::planning::planner::Planner;

/// # Errors
/// Those of planning the input.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let LogicalPlan::WindowGroupLimit { group, input } = logical else { return Ok(None) };
    let limit = |phase, child| SparkPlan::new(Operator::WindowGroupLimit(WindowGroupLimit { group: group.clone(), phase }), vec![child]);
    Ok(Some(limit(LimitPhase::Final, limit(LimitPhase::Partial, planner.plan(input)?))))
}
