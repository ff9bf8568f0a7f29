//! How many bytes a plan yields, judged by the sizes of its files alone: what Spark goes by without its cost-based optimizer.
//!
//! Rows are never counted: a filter leaves the size as it is, a join multiplies both (or adds them, where one side's keys are unique). Only the widths of rows matter.

use super::{meets_once, row_size, row_size_of_fields};
use crate::base::Attribute;
use crate::logical::{JoinType, LogicalPlan};

/// Whole bytes, at least one: sizes of inputs are multiplied.
pub fn size_in_bytes(plan: &LogicalPlan) -> f64 {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || size_of_node(plan).floor().max(1.0))
}

fn size_of_node(plan: &LogicalPlan) -> f64 {
    match plan {
        LogicalPlan::Relation { source, output, .. } => {
            source.statistics().size_bytes as f64 * row_size(output) / row_size_of_fields(source.schema())
        }
        LogicalPlan::LocalRelation { output, rows } => row_size(output) * rows.len() as f64,
        LogicalPlan::OneRowRelation => 1.0,
        LogicalPlan::Range { start, end, step, .. } => {
            8.0 * ((*end as f64 - *start as f64) / if *step == 0 { 1.0 } else { *step as f64 }).ceil().max(0.0)
        }
        LogicalPlan::Aggregate { grouping, list, .. } if grouping.is_empty() => {
            row_size(&list.iter().map(crate::expr::Expr::to_attribute).collect::<Vec<_>>())
        }
        LogicalPlan::Limit { limit: Some(n), .. } => row_size(&plan.output()) * *n as f64,
        LogicalPlan::Join(j) => match j.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::NullAwareAnti => size_in_bytes(&j.left),
            JoinType::Inner | JoinType::LeftOuter | JoinType::RightOuter | JoinType::FullOuter
                if matches!(meets_once(j), (true, _) | (_, true)) =>
            {
                size_in_bytes(&j.left) + size_in_bytes(&j.right)
            }
            JoinType::Inner
            | JoinType::Cross
            | JoinType::LeftOuter
            | JoinType::RightOuter
            | JoinType::FullOuter
            | JoinType::Existence(_)
            | JoinType::LeftSingle => size_in_bytes(&j.left) * size_in_bytes(&j.right),
        },
        LogicalPlan::Apply(a) => size_in_bytes(&a.input) * size_in_bytes(&a.subquery),
        LogicalPlan::Union { inputs, .. } => inputs.iter().map(size_in_bytes).sum(),
        LogicalPlan::SetOperation { left, .. } => size_in_bytes(left),
        LogicalPlan::Expand { projections, input, output } => resized(input, output) * projections.len() as f64,
        LogicalPlan::Sample { lower, upper, input, .. } => (size_in_bytes(input) * (upper - lower)).ceil(),
        LogicalPlan::Project { input, .. } | LogicalPlan::Aggregate { input, .. } | LogicalPlan::Window { input, .. } => {
            resized(input, &plan.output())
        }
        LogicalPlan::InMemoryRelation(_) => super::estimate(plan).size_bytes as f64,
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::WindowGroupLimit { input, .. }
        | LogicalPlan::Hint { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Limit { input, .. }
        | LogicalPlan::Distinct { input }
        | LogicalPlan::Generate { input, .. }
        | LogicalPlan::Repartition { input, .. }
        | LogicalPlan::Coalesce { input, .. } => size_in_bytes(input),
    }
}

/// As many rows of another width.
fn resized(input: &LogicalPlan, output: &[Attribute]) -> f64 {
    (size_in_bytes(input) * row_size(output) / row_size(&input.output())).floor().max(1.0)
}
