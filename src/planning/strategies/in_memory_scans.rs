//! InMemoryScans: a cached query with the projections and filters above it.
//!
//! The filters are offered for passing over batches and stay in a Filter above. Where the projection computes nothing and gives
//! all that the filters use, the scan gives its columns; else a Project stands above a scan of all columns used, in order of names.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::file_source::PhysicalOperation;
use crate::base::{Attribute, Error, ExprId, Result};
use crate::expr::Expr;
use crate::logical::LogicalPlan;
use crate::operators::{CachedPlan, Filter, InMemoryTableScan, Operator, Project, SparkPlan};
use crate::planning::planner::Planner;

/// # Errors
/// `Internal` for cached rows that no plan computes.
pub fn plan(_: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let Some(operation) = PhysicalOperation::collect(logical) else { return Ok(None) };
    let LogicalPlan::InMemoryRelation(relation) = operation.relation else { return Ok(None) };
    let rows: Arc<dyn Any + Send + Sync> = relation.rows.clone();
    let cached: Arc<CachedPlan> = rows.downcast().map_err(|_| Error::internal("cached rows without a plan"))?;

    let filters = operation.filters;
    let list = operation.list.unwrap_or_else(|| relation.output.iter().cloned().map(Expr::Attribute).collect());
    let columns: Vec<Attribute> = list.iter().filter_map(|e| if let Expr::Attribute(a) = e { Some(a.clone()) } else { None }).collect();
    let mut used: BTreeSet<ExprId> = filters.iter().flat_map(Expr::references).collect();
    let given: BTreeSet<ExprId> = columns.iter().map(|a| a.id).collect();
    let plain = columns.len() == list.len() && given.len() == list.len() && used.is_subset(&given);
    let output = if plain {
        columns
    } else {
        used.extend(list.iter().flat_map(Expr::references));
        let mut output: Vec<Attribute> = relation.output.iter().filter(|a| used.contains(&a.id)).cloned().collect();
        output.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        output
    };
    let scan = InMemoryTableScan { cached, relation_output: relation.output.clone(), output, filters: filters.clone() };
    let mut plan = SparkPlan::new(Operator::InMemoryTableScan(scan), vec![]);
    if let Some(condition) = Expr::conjunction(filters) {
        plan = SparkPlan::new(Operator::Filter(Filter { condition }), vec![plan]);
    }
    if !plain {
        plan = SparkPlan::new(Operator::Project(Project { list }), vec![plan]);
    }
    Ok(Some(plan))
}
