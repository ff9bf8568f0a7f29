//! RemoveRedundantSorts: drops a Sort whose input is sorted already.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::operators::plan::deep;
use crate::operators::properties::ordering_satisfies;
use crate::operators::{Operator, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    if settings.bool(&settings::REMOVE_REDUNDANT_SORTS) { Ok(remove(plan, settings)) } else { Ok(plan) }
}

fn remove(plan: Arc<SparkPlan>, settings: &Settings) -> Arc<SparkPlan> {
    if let Operator::Sort(sort) = &plan.operator {
        let all_keys = settings.bool(&settings::REQUIRE_ALL_CLUSTER_KEYS_FOR_DISTRIBUTION);
        let child = plan.child();
        if ordering_satisfies(&child.output_ordering(), &sort.order)
            && child.output_partitioning().satisfies(&sort.required_distribution(), all_keys)
        {
            return remove(child.clone(), settings);
        }
    }
    deep(|| plan.with_children(plan.children.iter().map(|c| remove(c.clone(), settings)).collect()))
}
