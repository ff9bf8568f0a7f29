//! Preparations: ordered rules that make a physical plan executable, each applied once.

pub mod coalesce_buckets_in_join;
pub mod collapse_codegen_stages;
pub mod disable_unnecessary_bucketed_scan;
pub mod ensure_requirements;
pub mod insert_sort_for_limit_and_offset;
pub mod remove_redundant_projects;
pub mod remove_redundant_sorts;
pub mod remove_redundant_window_group_limits;
pub mod reorder_join_keys;
pub mod replace_hash_with_sort_agg;
pub mod reuse_exchange_and_subquery;

use std::sync::Arc;

use crate::base::{Result, Settings};
use crate::operators::SparkPlan;

use super::validate::validate;

/// Rewrites a plan; the result means the same.
pub type Preparation = fn(Arc<SparkPlan>, &Settings) -> Result<Arc<SparkPlan>>;

/// In Spark's order. Numbers of buckets are settled first. Projects go before requirements are ensured, since they stand between operators and what their children
/// provide. Sorts are added where a limit would lose an order, then dropped where the input has it. Stages are collapsed once all
/// operators are there. Reuse follows for the whole query ([`reuse_exchange_and_subquery`]): exchanges are compared as whole
/// subtrees; the numbers of stages that disappear are not given again.
pub const PREPARATIONS: &[(&str, Preparation)] = &[
    ("CoalesceBucketsInJoin", coalesce_buckets_in_join::apply),
    ("RemoveRedundantProjects", remove_redundant_projects::apply),
    ("EnsureRequirements", ensure_requirements::apply),
    ("InsertSortForLimitAndOffset", insert_sort_for_limit_and_offset::apply),
    ("ReplaceHashWithSortAgg", replace_hash_with_sort_agg::apply),
    ("RemoveRedundantSorts", remove_redundant_sorts::apply),
    ("RemoveRedundantWindowGroupLimits", remove_redundant_window_group_limits::apply),
    ("DisableUnnecessaryBucketedScan", disable_unnecessary_bucketed_scan::apply),
    ("CollapseCodegenStages", collapse_codegen_stages::apply),
];

/// Applies all preparations.
///
/// # Errors
/// `Internal` when a rule breaks the plan (checked in debug builds).
pub fn prepare(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    prepare_traced(plan, settings, &mut |_, _| ())
}

/// Like [`prepare`], telling `seen` the name of each rule that changed the plan, and the plan it made.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_traced(
    mut plan: Arc<SparkPlan>,
    settings: &Settings,
    seen: &mut dyn FnMut(&'static str, &Arc<SparkPlan>),
) -> Result<Arc<SparkPlan>> {
    let mut ensured = false;
    for (name, rule) in PREPARATIONS {
        let before = plan.clone();
        plan = rule(plan, settings)?;
        ensured |= *name == "EnsureRequirements";
        if cfg!(debug_assertions) {
            validate(&plan, settings, ensured).map_err(|e| e.context(format!("after {name}")))?;
        }
        if !Arc::ptr_eq(&before, &plan) {
            seen(name, &plan);
        }
    }
    Ok(plan)
}
