//! PlanSubqueries: equal uncorrelated scalar subqueries run once.
//!
//! Each subquery is planned and prepared on its own, with stage numbers of its own; users of one that equals an earlier one are
//! pointed at that.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::expr::{Expr, SubqueryId};
use crate::logical::LogicalPlan;
use crate::operators::SparkPlan;
use crate::planning::canonical::Canonical;

/// The subqueries planned so far.
pub struct ReuseSubquery {
    enabled: bool,
    known: Vec<(SubqueryId, Canonical)>,
    replaced: HashMap<SubqueryId, SubqueryId>,
}

impl ReuseSubquery {
    pub fn new(settings: &Settings) -> Self {
        Self { enabled: settings.bool(&settings::SUBQUERY_REUSE), known: vec![], replaced: HashMap::new() }
    }

    /// Whether the subquery is to be run: no earlier one gives the same rows.
    pub fn is_new(&mut self, id: SubqueryId, executed_plan: &Arc<SparkPlan>) -> bool {
        if !self.enabled {
            return true;
        }
        let canonical = Canonical::of(executed_plan);
        match self.known.iter().find(|(_, c)| *c == canonical) {
            Some((earlier, _)) => {
                self.replaced.insert(id, *earlier);
                false
            }
            None => {
                self.known.push((id, canonical));
                true
            }
        }
    }

    /// The plan with reused subqueries under their first ids.
    ///
    /// # Errors
    /// None of its own.
    pub fn rewrite(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if self.replaced.is_empty() {
            return Ok(plan);
        }
        plan.transform_up(&mut |node| {
            node.map_expressions(&mut |e| {
                e.transform_up(&mut |e| {
                    Ok(match e {
                        Expr::ScalarSubquery { id, data_type } => {
                            Expr::ScalarSubquery { id: self.replaced.get(&id).copied().unwrap_or(id), data_type }
                        }
                        other => other,
                    })
                })
            })
        })
    }
}
