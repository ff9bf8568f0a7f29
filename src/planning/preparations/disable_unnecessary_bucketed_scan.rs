//! DisableUnnecessaryBucketedScan: reads a bucketed table as ordinary files where nobody profits from its buckets.
//!
//! Nobody does where no operator above wants rows clustered or all together, or where they go through an exchange after nothing but
//! filters, projections, sorts and partial aggregates. Scans whose order within buckets counts stay: a Sort may have been left out
//! for it.

use std::sync::Arc;

use super::coalesce_buckets_in_join::with_buckets;
use crate::base::{Result, Settings, settings};
use crate::operators::plan::deep;
use crate::operators::{BucketUse, Distribution, Operator, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    let enabled = settings.bool(&settings::AUTO_BUCKETED_SCAN);
    Ok(if enabled { disable(plan, Above::default()) } else { plan })
}

/// What stands above a node.
#[derive(Clone, Copy, Default)]
struct Above {
    /// An operator that wants rows clustered or all together.
    interested: bool,
    /// Below that an exchange.
    exchange: bool,
    /// Below these something else than what keeps rows in their partitions.
    other: bool,
}

fn disable(plan: Arc<SparkPlan>, above: Above) -> Arc<SparkPlan> {
    let interested = plan.required_child_distribution().iter().any(|d| matches!(d, Distribution::Clustered(_) | Distribution::AllTuples));
    let below = match &plan.operator {
        Operator::FileScan(_) if !above.interested || (above.exchange && !above.other) => return disabled(plan),
        _ if interested => Above { interested: true, exchange: false, other: false },
        Operator::Exchange(_) | Operator::BroadcastExchange(_) if above.interested => Above { exchange: true, ..above },
        Operator::Sort(_) | Operator::Project(_) | Operator::Filter(_) => above,
        Operator::Aggregate(a) if a.required_distribution.is_none() => above,
        _ => Above { other: true, ..above },
    };
    deep(|| plan.with_children(plan.children.iter().map(|c| disable(c.clone(), below)).collect()))
}

fn disabled(scan: Arc<SparkPlan>) -> Arc<SparkPlan> {
    match scan.output_ordering().is_empty() {
        true => with_buckets(scan, |buckets| buckets.usage = BucketUse::DisabledByPlanner),
        false => scan,
    }
}
