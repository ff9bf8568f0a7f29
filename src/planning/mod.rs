//! Floor 6: from the optimized logical plan to the physical plan that runs, and its explanation.
//!
//! Two phases. [`planner`]: the ordered strategies turn logical nodes into physical operators; for each node the first strategy
//! that answers wins, nothing is costed against anything else. [`preparations`]: ordered rules, each applied once, make the result
//! executable: exchanges and sorts, compiled stages, reuse. Uncorrelated scalar subqueries go through both on their own.

pub mod canonical;
pub mod explain;
pub mod planner;
pub mod preparations;
pub mod strategies;
pub mod validate;

#[cfg(test)]
mod tests;

pub use explain::{Details, ExplainLevel, explain, explain_json};

use std::sync::Arc;

use crate::base::{Result, Settings};
use crate::expr::SubqueryId;
use crate::logical::{BoundQuery, LogicalPlan};
use crate::operators::SparkPlan;

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

/// An uncorrelated scalar subquery of a planned query.
#[derive(Debug, Clone)]
pub struct PhysicalSubquery {
    pub id: SubqueryId,
    pub spark_plan: Arc<SparkPlan>,
    pub executed_plan: Arc<SparkPlan>,
}

/// Plans an optimized query and its subqueries.
///
/// # Errors
/// `Unsupported` for what has no physical counterpart; `Internal` when a preparation breaks the plan.
pub fn plan(query: BoundQuery, settings: &Settings) -> Result<PhysicalQuery> {
    let one = |logical: &LogicalPlan| -> Result<_> {
        let spark_plan = planner::Planner::new(settings).plan_root(logical)?;
        let executed_plan = preparations::prepare(spark_plan.clone(), settings)?;
        Ok((spark_plan, executed_plan))
    };
    let mut subqueries = vec![];
    for (id, logical) in &query.subqueries {
        let (spark_plan, executed_plan) = one(logical)?;
        subqueries.push(PhysicalSubquery { id: *id, spark_plan, executed_plan });
    }
    let (spark_plan, executed_plan) = one(&query.plan)?;
    let query = PhysicalQuery { spark_plan, executed_plan, subqueries };
    let query = preparations::reuse_exchange_and_subquery::apply(query, settings)?;
    if cfg!(debug_assertions) {
        for plan in query.subqueries.iter().map(|s| &s.executed_plan).chain([&query.executed_plan]) {
            validate::validate(plan, settings, true)?;
        }
    }
    Ok(query)
}
