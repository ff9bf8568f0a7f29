//! Floor 6: from the optimized logical plan to the physical plan that runs, and its explanation.
//!
//! Two phases. [`planner`]: the ordered strategies turn logical nodes into physical operators; for each node the first strategy
//! that answers wins, nothing is costed against anything else. [`preparations`]: ordered rules, each applied once, make the result
//! executable: exchanges and sorts, compiled stages, reuse. Uncorrelated scalar subqueries go through both on their own.

pub mod canonical;
mod dynamic_pruning;
pub mod explain;
pub mod planner;
pub mod preparations;
pub mod strategies;
pub mod validate;

#[cfg(test)]
mod tests;

pub use explain::{Details, ExplainLevel, explain, explain_json};

use std::sync::Arc;

use arrow::array::ArrayRef;

use crate::base::{Result, Settings};
use crate::expr::{Expr, SubqueryId};
use crate::logical::{BoundQuery, LogicalPlan};
use crate::operators::SparkPlan;
use crate::rdd::QueryContext;

/// A planned query.
#[derive(Debug, Clone)]
pub struct PhysicalQuery {
    /// As the strategies made it.
    pub spark_plan: Arc<SparkPlan>,
    /// After all preparations; this is run.
    pub executed_plan: Arc<SparkPlan>,
    /// To be run before the main plan, in this order: a later one may use an earlier one's value.
    pub subqueries: Vec<PhysicalSubquery>,
}

/// A subquery of a planned query that is run apart: a scalar one, or the keys for dynamic partition pruning.
#[derive(Debug, Clone)]
pub struct PhysicalSubquery {
    pub id: SubqueryId,
    /// What it answers with.
    pub answer: SubqueryAnswer,
    pub spark_plan: Arc<SparkPlan>,
    pub executed_plan: Arc<SparkPlan>,
}

/// What is asked of a subquery.
#[derive(Debug, Clone, PartialEq)]
pub enum SubqueryAnswer {
    /// The single value.
    Value,
    /// The values of the only column.
    Values,
    /// The values of one of the keys that a broadcast (the root of the plan, or what it reuses) is looked up by.
    BroadcastKey { index: usize, keys: Vec<Expr> },
}

impl PhysicalSubquery {
    /// Computes the answer.
    ///
    /// # Errors
    /// Those of the query; `ScalarSubqueryTooManyRows`.
    pub fn compute(&self, context: &Arc<QueryContext>) -> Result<ArrayRef> {
        match &self.answer {
            SubqueryAnswer::Value => self.executed_plan.execute_scalar(context),
            SubqueryAnswer::Values => self.executed_plan.execute_values(context),
            SubqueryAnswer::BroadcastKey { index, keys } => self.executed_plan.execute_broadcast_key(&keys[*index], context),
        }
    }
}

/// Plans an optimized query and its subqueries.
///
/// # Errors
/// `Unsupported` for what has no physical counterpart; `Internal` when a preparation breaks the plan.
pub fn plan(query: BoundQuery, settings: &Settings) -> Result<PhysicalQuery> {
    let mut pruning = dynamic_pruning::Planning::new(&query, settings);
    let mut one = |logical: &LogicalPlan| -> Result<_> {
        let spark_plan = planner::Planner::new(settings).plan_root(logical)?;
        let executed_plan = preparations::prepare(pruning.apply(spark_plan.clone())?, settings)?;
        Ok((spark_plan, executed_plan))
    };
    let mut subqueries = vec![];
    let pruned_by = dynamic_pruning::subqueries(&query);
    for (id, logical) in query.subqueries.iter().filter(|(id, _)| !pruned_by.contains(id)) {
        let (spark_plan, executed_plan) = one(logical)?;
        subqueries.push(PhysicalSubquery { id: *id, answer: SubqueryAnswer::Value, spark_plan, executed_plan });
    }
    let (spark_plan, executed_plan) = one(&query.plan)?;
    subqueries.extend(pruning.planned);
    let query = PhysicalQuery { spark_plan, executed_plan, subqueries };
    let query = preparations::reuse_exchange_and_subquery::apply(query, settings)?;
    if cfg!(debug_assertions) {
        for plan in query.subqueries.iter().map(|s| &s.executed_plan).chain([&query.executed_plan]) {
            validate::validate(plan, settings, true)?;
        }
    }
    Ok(query)
}
