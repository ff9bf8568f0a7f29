//! InsertSortForLimitAndOffset: a limit above a shuffle into one partition still takes the first rows.
//!
//! `GlobalLimit` over `Exchange SinglePartition` over rows in a global order: the shuffle mixes the partitions, so the order is
//! made again above it.

use std::sync::Arc;

use crate::base::{Result, Settings};
use crate::expr::SortOrder;
use crate::operators::properties::ordering_satisfies;
use crate::operators::{Operator, Partitioning, Sort, SparkPlan};

/// # Errors
/// None of its own.
pub fn apply(plan: Arc<SparkPlan>, _: &Settings) -> Result<Arc<SparkPlan>> {
    plan.transform_up(&mut |plan| {
        let Operator::GlobalLimit(_) = &plan.operator else { return Ok(plan) };
        let exchange = plan.child();
        match &exchange.operator {
            Operator::Exchange(e) if e.partitioning == Partitioning::Single => {}
            _ => return Ok(plan),
        }
        let Some(order) = global_order(exchange.child()) else { return Ok(plan) };
        let sort = SparkPlan::new(Operator::Sort(Sort { order, global: false }), vec![exchange.clone()]);
        Ok(plan.with_children(vec![sort]))
    })
}

/// The order in which rows and partitions below follow each other, if all its columns arrive here.
fn global_order(plan: &Arc<SparkPlan>) -> Option<Vec<SortOrder>> {
    let order = match &plan.operator {
        Operator::Sort(s) if s.global => s.order.clone(),
        Operator::Project(_) | Operator::Filter(_) | Operator::LocalLimit(_) => global_order(plan.child())?,
        _ => return None,
    };
    ordering_satisfies(&plan.output_ordering(), &order).then_some(order)
}
