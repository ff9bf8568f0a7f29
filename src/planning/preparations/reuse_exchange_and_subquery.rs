//! ReuseExchangeAndSubquery: equal exchanges and equal scalar subqueries run once in a query.
//!
//! In the order of execution: subqueries first, then the main plan, each bottom-up and left to right. The first of equal exchanges
//! stays, later ones become references to it under their own columns. Users of a subquery that equals an earlier one are pointed
//! at that.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::expr::{Expr, SubqueryId};
use crate::operators::{Operator, ReusedExchange, SparkPlan};
use crate::planning::PhysicalQuery;
use crate::planning::canonical::Canonical;

/// # Errors
/// None of its own.
pub fn apply(query: PhysicalQuery, settings: &Settings) -> Result<PhysicalQuery> {
    let mut reuse = Reuse {
        exchanges: settings.bool(&settings::EXCHANGE_REUSE).then(Vec::new),
        subqueries: settings.bool(&settings::SUBQUERY_REUSE).then(Vec::new),
        replaced: HashMap::new(),
    };
    let mut subqueries = vec![];
    for mut subquery in query.subqueries {
        let plan = reuse.rename_subqueries(&subquery.executed_plan)?;
        if reuse.is_new_subquery(subquery.id, &plan) {
            subquery.executed_plan = reuse.exchanges(&plan)?;
            subqueries.push(subquery);
        }
    }
    let plan = reuse.rename_subqueries(&query.executed_plan)?;
    Ok(PhysicalQuery { executed_plan: reuse.exchanges(&plan)?, subqueries, ..query })
}

struct Reuse {
    /// Those met so far; absent where exchanges are not to be reused.
    exchanges: Option<Vec<(Canonical, Arc<SparkPlan>)>>,
    subqueries: Option<Vec<(Canonical, SubqueryId)>>,
    replaced: HashMap<SubqueryId, SubqueryId>,
}

impl Reuse {
    fn exchanges(&mut self, plan: &Arc<SparkPlan>) -> Result<Arc<SparkPlan>> {
        let Some(seen) = &mut self.exchanges else { return Ok(plan.clone()) };
        plan.transform_up(&mut |node| {
            if !matches!(node.operator, Operator::Exchange(_) | Operator::BroadcastExchange(_)) {
                return Ok(node);
            }
            let canonical = Canonical::of(&node);
            Ok(match seen.iter().find(|(c, _)| *c == canonical) {
                Some((_, first)) => SparkPlan::new(Operator::ReusedExchange(ReusedExchange { output: node.output() }), vec![first.clone()]),
                None => {
                    seen.push((canonical, node.clone()));
                    node
                }
            })
        })
    }

    fn is_new_subquery(&mut self, id: SubqueryId, plan: &Arc<SparkPlan>) -> bool {
        let Some(seen) = &mut self.subqueries else { return true };
        let canonical = Canonical::of(plan);
        match seen.iter().find(|(c, _)| *c == canonical) {
            Some((_, first)) => {
                self.replaced.insert(id, *first);
                false
            }
            None => {
                seen.push((canonical, id));
                true
            }
        }
    }

    fn rename_subqueries(&self, plan: &Arc<SparkPlan>) -> Result<Arc<SparkPlan>> {
        if self.replaced.is_empty() {
            return Ok(plan.clone());
        }
        let replaced = |e: &Expr| matches!(e, Expr::ScalarSubquery { id, .. } if self.replaced.contains_key(id));
        plan.transform_up(&mut |node| {
            if !node.expressions().into_iter().any(|e| e.any(&mut |e| replaced(e))) {
                return Ok(node);
            }
            let operator = node.operator.clone().map_expressions(&mut |e| {
                e.transform_up(&mut |e| {
                    Ok(match e {
                        Expr::ScalarSubquery { id, data_type } => {
                            Expr::ScalarSubquery { id: self.replaced.get(&id).copied().unwrap_or(id), data_type }
                        }
                        other => other,
                    })
                })
            })?;
            Ok(SparkPlan::new(operator, node.children.clone()))
        })
    }
}
