//! ReuseExchange: equal exchanges run once.
//!
//! Bottom-up, left to right; the first of equal exchanges stays, later ones become references to it under their own columns.

use std::sync::Arc;

use crate::base::{Result, Settings, settings};
use crate::operators::{Operator, ReusedExchange, SparkPlan};
use crate::planning::canonical::Canonical;

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, settings: &Settings) -> Result<Arc<SparkPlan>> {
    if !settings.bool(&settings::EXCHANGE_REUSE) {
        return Ok(plan);
    }
    let mut seen: Vec<(Canonical, Arc<SparkPlan>)> = vec![];
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
