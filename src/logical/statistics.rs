//! Estimated sizes of logical plans.

use super::LogicalPlan;

/// Estimates for a plan's output.
#[derive(Debug, Clone)]
pub struct Statistics {
    pub size_bytes: u64,
    pub row_count: Option<f64>,
}

/// Estimates a plan's output: relations as they say, anything else the product of its inputs.
pub fn estimate(plan: &LogicalPlan) -> Statistics {
    let size_bytes = match plan {
        LogicalPlan::Relation { source, .. } => source.statistics().size_bytes,
        other => other.children().into_iter().map(|c| estimate(c).size_bytes.max(1)).fold(1, u64::saturating_mul),
    };
    Statistics { size_bytes, row_count: None }
}
