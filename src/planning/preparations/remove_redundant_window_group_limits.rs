//! RemoveRedundantWindowGroupLimits: the partial limit goes where no exchange came between it and the final one.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::operators::{LimitPhase, Operator, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    let all_keys = settings.bool(&settings::REQUIRE_ALL_CLUSTER_KEYS_FOR_DISTRIBUTION);
    plan.transform_up(&mut |plan| {
        let Operator::WindowGroupLimit(last) = &plan.operator else { return Ok(plan) };
        let partial = plan.child();
        let redundant = last.phase == LimitPhase::Final
            && matches!(&partial.operator, Operator::WindowGroupLimit(p) if p.phase == LimitPhase::Partial && p.group == last.group)
            && partial.child().output_partitioning().satisfies(&last.required_distribution(), all_keys);
        Ok(if redundant { plan.with_children(partial.children.clone()) } else { plan })
    })
}
