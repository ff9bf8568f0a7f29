//! RemoveRedundantProjects: drops a Project that gives its child's columns.
//!
//! Top-down, knowing whether the parent minds the order of columns: it does not below a kept Project, a top-K or a Generate, nor
//! below an aggregate over rows; filters, joins and windows pass on what their parent minds.

use std::sync::Arc;

use crate::base::{ExprId, Result, Settings, settings};
use crate::operators::plan::deep;
use crate::operators::{Operator, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    if settings.bool(&settings::REMOVE_REDUNDANT_PROJECTS) { Ok(remove(plan, true)) } else { Ok(plan) }
}

fn remove(plan: Arc<SparkPlan>, ordered: bool) -> Arc<SparkPlan> {
    let ordered_below = match &plan.operator {
        Operator::Project(_) if is_redundant(&plan, ordered) => return remove(plan.child().clone(), ordered),
        Operator::Project(_) | Operator::TakeOrderedAndProject(_) | Operator::Generate(_) => false,
        Operator::Aggregate(a) => a.calls.iter().any(|c| !c.mode.reads_rows()),
        Operator::Filter(_)
        | Operator::Window(_)
        | Operator::WindowGroupLimit(_)
        | Operator::BroadcastHashJoin(_)
        | Operator::ShuffledHashJoin(_)
        | Operator::SortMergeJoin(_)
        | Operator::BroadcastNestedLoopJoin(_)
        | Operator::CartesianProduct(_) => ordered,
        Operator::FileScan(_)
        | Operator::InMemoryTableScan(_)
        | Operator::LocalTableScan(_)
        | Operator::OneRowScan
        | Operator::Range(_)
        | Operator::Sort(_)
        | Operator::CollectLimit(_)
        | Operator::LocalLimit(_)
        | Operator::GlobalLimit(_)
        | Operator::Exchange(_)
        | Operator::BroadcastExchange(_)
        | Operator::ReusedExchange(_)
        | Operator::Union(_)
        | Operator::Expand(_)
        | Operator::Sample(_)
        | Operator::Coalesce(_)
        | Operator::WholeStageCodegen(_)
        | Operator::InputAdapter => true,
    };
    deep(|| plan.with_children(plan.children.iter().map(|c| remove(c.clone(), ordered_below)).collect()))
}

fn is_redundant(project: &SparkPlan, ordered: bool) -> bool {
    let ids = |plan: &SparkPlan| {
        let mut ids: Vec<ExprId> = plan.output().iter().map(|a| a.id).collect();
        if !ordered {
            ids.sort_unstable();
        }
        ids
    };
    ids(project) == ids(project.child())
}
