//! ReplaceHashWithSortAgg: hash aggregates by keys of rows that come sorted by them become sort aggregates.
//!
//! A partial aggregate right below a final one becomes one aggregate with it.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::operators::plan::deep;
use crate::operators::properties::ordering_satisfies;
use crate::operators::{Aggregate, AggregateCall, AggregateKind, AggregateMode, Operator, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    if settings.bool(&settings::REPLACE_HASH_WITH_SORT_AGG) { Ok(replace(plan)) } else { Ok(plan) }
}

fn replace(plan: Arc<SparkPlan>) -> Arc<SparkPlan> {
    let plan = sorted(&plan).unwrap_or(plan);
    deep(|| plan.with_children(plan.children.iter().map(|c| replace(c.clone())).collect()))
}

fn sorted(plan: &Arc<SparkPlan>) -> Option<Arc<SparkPlan>> {
    let upper = Aggregate { kind: AggregateKind::Sort, ..hashed_by_keys(plan)?.clone() };
    let (upper, child) = match hashed_by_keys(plan.child()) {
        Some(lower) if is_partial_of(lower, &upper) => {
            let calls = upper.calls.iter().map(|c| AggregateCall { mode: AggregateMode::Complete, ..c.clone() }).collect();
            (Aggregate { calls, grouping: lower.grouping.clone(), ..upper }, plan.child().child())
        }
        _ => (upper, plan.child()),
    };
    ordering_satisfies(&child.output_ordering(), &upper.required_ordering())
        .then(|| SparkPlan::new(Operator::Aggregate(upper), vec![child.clone()]))
}

fn hashed_by_keys(plan: &SparkPlan) -> Option<&Aggregate> {
    match &plan.operator {
        Operator::Aggregate(a) if a.kind != AggregateKind::Sort && !a.grouping.is_empty() => Some(a),
        _ => None,
    }
}

fn is_partial_of(lower: &Aggregate, upper: &Aggregate) -> bool {
    let all = |a: &Aggregate, mode| a.calls.iter().all(|c| c.mode == mode);
    let results = |a: &Aggregate| a.calls.iter().map(|c| c.result.id).collect::<Vec<_>>();
    all(lower, AggregateMode::Partial)
        && all(upper, AggregateMode::Final)
        && results(lower) == results(upper)
        && lower.keys() == upper.keys()
}
