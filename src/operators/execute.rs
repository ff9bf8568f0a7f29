//! `execute`: from a physical plan to the lineage that computes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{BroadcastRelation, Operator, SparkPlan};
use crate::base::{Attribute, Error, Result};
use crate::expr::{Expr, SortOrder, traverse::map_orders};
use crate::rdd::{QueryContext, Rdd};

impl SparkPlan {
    /// Describes the computation; runs nothing but broadcasts (in the background) and the input of range exchanges, whose bounds
    /// are sampled. Operators' rows are counted into their metrics, and a cancelled query ends at the next batch.
    ///
    /// # Errors
    /// What planning scans and binding expressions meets; what a broadcast or a sampled input meets.
    pub fn execute(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Rdd> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let rdd = match &self.operator {
                Operator::FileScan(o) => o.execute(self, context)?,
                Operator::InMemoryTableScan(o) => o.execute(self, context)?,
                Operator::LocalTableScan(o) => o.execute(self, context)?,
                Operator::OneRowScan => super::scan::one_row(),
                Operator::Range(o) => o.execute(self, context)?,
                Operator::Filter(o) => o.execute(self, context)?,
                Operator::Project(o) => o.execute(self, context)?,
                Operator::Aggregate(o) => o.execute(self, context)?,
                Operator::Sort(o) => o.execute(self, context)?,
                Operator::TakeOrderedAndProject(o) => o.execute(self, context)?,
                Operator::CollectLimit(o) => o.execute(self, context)?,
                Operator::LocalLimit(o) => o.execute(self, context)?,
                Operator::GlobalLimit(o) => o.execute(self, context)?,
                Operator::Exchange(o) => o.execute(self, context)?,
                Operator::BroadcastExchange(o) => o.execute(self, context)?,
                Operator::ReusedExchange(o) => o.execute(self, context)?,
                Operator::BroadcastHashJoin(o) | Operator::ShuffledHashJoin(o) => o.execute(self, context)?,
                Operator::SortMergeJoin(o) => o.execute(self, context)?,
                Operator::BroadcastNestedLoopJoin(o) | Operator::CartesianProduct(o) => o.execute(self, context)?,
                Operator::Generate(o) => o.execute(self, context)?,
                Operator::Window(o) => o.execute(self, context)?,
                Operator::WindowGroupLimit(o) => o.execute(self, context)?,
                Operator::Union(o) => o.execute(self, context)?,
                Operator::Expand(o) => o.execute(self, context)?,
                Operator::Sample(o) => o.execute(self, context)?,
                Operator::Coalesce(o) => o.execute(self, context)?,
                Operator::WholeStageCodegen(o) => return o.execute(self, context),
                Operator::InputAdapter => return self.child().execute(context),
            };
            Ok(self.watch(rdd))
        })
    }

    /// Starts the broadcasts of the plan in the background; scalar subqueries must have finished. Starting twice is harmless.
    ///
    /// # Errors
    /// `Internal` only; errors of a broadcast are met by those who wait for it.
    pub fn prepare(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<()> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            for child in &self.children {
                child.prepare(context)?;
            }
            if let Operator::BroadcastExchange(exchange) = &self.operator {
                exchange.start(self, context)?;
            }
            Ok(())
        })
    }

    /// The rows of a BroadcastExchange, or of the one that a ReusedExchange stands for; waits for them.
    ///
    /// # Errors
    /// Those of computing the rows; `ResourceExhausted` when they are more than a broadcast may hold; `Internal` for other operators.
    pub fn execute_broadcast(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
        match &self.operator {
            Operator::BroadcastExchange(exchange) => exchange.start(self, context)?.get(),
            Operator::ReusedExchange(_) | Operator::InputAdapter | Operator::WholeStageCodegen(_) => {
                self.child().execute_broadcast(context)
            }
            other => Err(Error::internal(format!("not a broadcast: {other:?}"))),
        }
    }

    /// The same partitions, with rows counted for this node, empty batches dropped and cancellation checked at each batch.
    pub fn watch(&self, rdd: Rdd) -> Rdd {
        let (node, key) = (self.id, self.operator.rows_key());
        Rdd::new(rdd.name().to_string(), rdd.num_partitions(), rdd.dependencies().to_vec(), move |p, task| {
            let query = task.query.clone();
            // What never runs, since compiled code runs in its place, has no count.
            let rows = key.map(|key| query.metric(node, key)).unwrap_or_default();
            query.check_cancelled()?;
            let batches = rdd.compute(p, task)?;
            Ok(Box::new(batches.filter_map(move |batch| match batch.and_then(|b| query.check_cancelled().map(|()| b)) {
                Ok(batch) if batch.num_rows() == 0 => None,
                Ok(batch) => {
                    rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                    Some(Ok(batch))
                }
                error => Some(error),
            })))
        })
    }
}

/// Binds `expr` to positions in `input`, with the values of finished scalar subqueries in their places.
///
/// # Errors
/// `Internal` when an attribute is not in `input` or a subquery has not run.
pub fn bind(expr: &Expr, input: &[Attribute], context: &QueryContext) -> Result<Expr> {
    expr.clone()
        .transform_up(&mut |e| match e {
            Expr::ScalarSubquery { id, .. } => Ok(Expr::Literal(context.subquery(id)?)),
            other => Ok(other),
        })?
        .bind(input)
}

/// [`bind`] for a list.
///
/// # Errors
/// Those of [`bind`].
pub fn bind_all<'a>(exprs: impl IntoIterator<Item = &'a Expr>, input: &[Attribute], context: &QueryContext) -> Result<Vec<Expr>> {
    exprs.into_iter().map(|e| bind(e, input, context)).collect()
}

/// [`bind`] for sort orders.
///
/// # Errors
/// Those of [`bind`].
pub fn bind_orders(order: &[SortOrder], input: &[Attribute], context: &QueryContext) -> Result<Vec<SortOrder>> {
    map_orders(order.to_vec(), &mut |e| bind(&e, input, context))
}
