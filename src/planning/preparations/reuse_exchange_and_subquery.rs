//! ReuseExchangeAndSubquery: equal exchanges and equal scalar subqueries run once in a query.
//!
//! Bottom-up and left to right, a node's subqueries after the nodes below it, as Spark does. The first of equal exchanges stays, later
//! ones become references to it under their own columns. Users of a subquery that equals an earlier one are pointed at that.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::expr::{Expr, SubqueryId};
use crate::operators::plan::deep;
use crate::operators::{Operator, ReusedExchange, SparkPlan};
use crate::planning::canonical::Canonical;
use crate::planning::{PhysicalQuery, PhysicalSubquery, SubqueryAnswer};

/// # Errors
/// None of its own.
pub fn apply(query: PhysicalQuery, settings: &Settings) -> Result<PhysicalQuery> {
    let mut reuse = Reuse {
        exchanges: settings.bool(&settings::EXCHANGE_REUSE).then(Vec::new),
        subqueries: settings.bool(&settings::SUBQUERY_REUSE).then(Vec::new),
        replaced: HashMap::new(),
        waiting: query.subqueries,
        done: vec![],
    };
    let executed_plan = reuse.plan(&query.executed_plan)?;
    Ok(PhysicalQuery { executed_plan, subqueries: reuse.done, ..query })
}

struct Reuse {
    /// Those met so far; absent where exchanges are not to be reused.
    exchanges: Option<Vec<(Canonical, Arc<SparkPlan>)>>,
    /// With what is asked of them.
    subqueries: Option<Vec<((Canonical, Option<usize>), SubqueryId)>>,
    replaced: HashMap<SubqueryId, SubqueryId>,
    waiting: Vec<PhysicalSubquery>,
    /// In an order in which they can run.
    done: Vec<PhysicalSubquery>,
}

impl Reuse {
    fn plan(&mut self, plan: &Arc<SparkPlan>) -> Result<Arc<SparkPlan>> {
        deep(|| {
            let children = plan.children.iter().map(|c| self.plan(c)).collect::<Result<Vec<_>>>()?;
            self.subqueries_of(plan)?;
            let same = children.iter().zip(&plan.children).all(|(a, b)| Arc::ptr_eq(a, b));
            let node = if same { plan.clone() } else { plan.with_children(children) };
            let node = self.rename_subqueries(node)?;
            if !matches!(node.operator, Operator::Exchange(_) | Operator::BroadcastExchange(_)) {
                return Ok(node);
            }
            // Compared as planned: what is reused below would hide that two are equal.
            let canonical = Canonical::of(&plan.transform_up(&mut |node| self.rename_subqueries(node))?);
            let Some(seen) = &mut self.exchanges else { return Ok(node) };
            Ok(match seen.iter().find(|(c, _)| *c == canonical) {
                Some((_, first)) => SparkPlan::new(Operator::ReusedExchange(ReusedExchange { output: node.output() }), vec![first.clone()]),
                None => {
                    seen.push((canonical, node.clone()));
                    node
                }
            })
        })
    }

    fn subqueries_of(&mut self, node: &Arc<SparkPlan>) -> Result<()> {
        let mut used = vec![];
        for e in node.expressions() {
            used.extend(e.subqueries());
        }
        for id in used {
            let Some(position) = self.waiting.iter().position(|s| s.id == id) else { continue };
            let mut subquery = self.waiting.remove(position);
            let planned = subquery.executed_plan;
            subquery.executed_plan = self.plan(&planned)?;
            let planned = planned.transform_up(&mut |node| self.rename_subqueries(node))?;
            if self.is_new_subquery(&subquery, &planned) {
                self.done.push(subquery);
            }
        }
        Ok(())
    }

    /// Whether no earlier subquery gives the same answer as this one, whose plan was `plan`.
    fn is_new_subquery(&mut self, subquery: &PhysicalSubquery, plan: &Arc<SparkPlan>) -> bool {
        let Some(seen) = &mut self.subqueries else { return true };
        let key = match &subquery.answer {
            SubqueryAnswer::Value => None,
            SubqueryAnswer::Values => Some(usize::MAX),
            SubqueryAnswer::BroadcastKey { index, .. } => Some(*index),
        };
        let form = (Canonical::of(plan), key);
        match seen.iter().find(|(known, _)| *known == form) {
            Some((_, first)) => {
                self.replaced.insert(subquery.id, *first);
                false
            }
            None => {
                seen.push((form, subquery.id));
                true
            }
        }
    }

    fn rename_subqueries(&self, node: Arc<SparkPlan>) -> Result<Arc<SparkPlan>> {
        let replaced = |e: &Expr| e.subquery().is_some_and(|id| self.replaced.contains_key(&id));
        if self.replaced.is_empty() || !node.expressions().into_iter().any(|e| e.any(&mut |e| replaced(e))) {
            return Ok(node);
        }
        let operator = node
            .operator
            .clone()
            .map_expressions(&mut |e| e.transform_up(&mut |e| Ok(e.rename_subquery(|id| self.replaced.get(&id).copied().unwrap_or(id)))))?;
        Ok(SparkPlan::new(operator, node.children.clone()))
    }
}
