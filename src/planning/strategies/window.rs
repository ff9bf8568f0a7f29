//! Window: a node of its own; what it requires of its input is met by EnsureRequirements.

use std::sync::Arc;

use crate::base::Result;
use crate::base::warning::warn;
use crate::logical::LogicalPlan;
use crate::operators::{Operator, SparkPlan, Window};
use crate::planning::planner::Planner;

/// # Errors
/// Those of planning the input.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let LogicalPlan::Window { calls, partition_by, order_by, input } = logical else { return Ok(None) };
    if partition_by.is_empty() {
        warn(
            "No Partition Defined for Window operation! Moving all data to a single partition, this can cause serious performance degradation.",
        );
    }
    let window = Window { calls: calls.clone(), partition_by: partition_by.clone(), order_by: order_by.clone() };
    Ok(Some(SparkPlan::new(Operator::Window(window), vec![planner.plan(input)?])))
}
