//! `execute`: from a physical plan to the lineage that computes it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::{BooleanArray, RecordBatch};

use super::plan::deep;
use super::{BroadcastRelation, Operator, SparkPlan};
use crate::base::{Attribute, DataType, Error, Result, Scalar};
use crate::expr::evaluate::{predicate, scalar};
use crate::expr::{Expr, Pruning, SortOrder, SubqueryId, traverse::map_orders};
use crate::rdd::{QueryContext, Rdd};

/// What a plan node keeps while a query runs.
struct NodeState {
    /// Keeps the node, whose address is the key of this: stages have nodes that share an id.
    _node: Arc<SparkPlan>,
    prepared: Mutex<bool>,
    executed: OnceLock<Rdd>,
}

impl SparkPlan {
    fn state(self: &Arc<Self>, context: &QueryContext) -> Arc<NodeState> {
        let state = || NodeState { _node: self.clone(), prepared: Mutex::default(), executed: OnceLock::new() };
        context.shared(Arc::as_ptr(self) as usize as u64, state)
    }

    /// Describes the computation: prepares the plan, waits for the node's own subqueries, then [`Self::do_execute`]. Runs nothing but
    /// broadcasts and subqueries (in the background) and the input of range exchanges, whose bounds are sampled. The same lineage each
    /// time in one query. Operators' rows are counted into their metrics, and a cancelled query ends at the next batch.
    ///
    /// # Errors
    /// What planning scans and binding expressions meets; what a subquery, a broadcast or a sampled input meets.
    pub fn execute(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let state = self.state(context);
        if let Some(rdd) = state.executed.get() {
            return Ok(rdd.clone());
        }
        let rdd = self.execute_query(context, || self.do_execute(context))?;
        Ok(state.executed.get_or_init(|| rdd).clone())
    }

    /// Does what every way to run a plan begins with, then `body`.
    fn execute_query<T>(self: &Arc<Self>, context: &Arc<QueryContext>, body: impl FnOnce() -> Result<T>) -> Result<T> {
        deep(|| {
            self.prepare(context)?;
            self.wait_for_subqueries(context)?;
            body()
        })
    }

    /// The lineage of this operator over those of its children.
    fn do_execute(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Rdd> {
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
    }

    /// Starts what runs before the plan: for each node, those below it first, its subqueries and what [`Self::do_prepare`] starts. Once
    /// in a query, however often it is called.
    ///
    /// # Errors
    /// `Internal` only; errors of what is started are met by those who wait for it.
    pub fn prepare(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<()> {
        let state = self.state(context);
        let prepared = || state.prepared.lock().unwrap_or_else(|e| e.into_inner());
        if *prepared() {
            return Ok(());
        }
        deep(|| self.children.iter().try_for_each(|child| child.prepare(context)))?;
        let mut prepared = prepared();
        if !*prepared {
            self.prepare_subqueries(context)?;
            self.do_prepare(context)?;
            *prepared = true;
        }
        Ok(())
    }

    /// Starts what the operator itself computes in the background: the rows of a broadcast.
    fn do_prepare(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<()> {
        match &self.operator {
            Operator::BroadcastExchange(exchange) => {
                exchange.start(self, context);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts the subqueries in the node's own expressions, all at once.
    fn prepare_subqueries(&self, context: &QueryContext) -> Result<()> {
        self.subqueries().into_iter().try_for_each(|id| context.start_subquery(id))
    }

    /// Waits for the subqueries in the node's own expressions, in order: of several that fail the first one's error is reported.
    fn wait_for_subqueries(&self, context: &QueryContext) -> Result<()> {
        self.subqueries().into_iter().try_for_each(|id| context.subquery(id).map(|_| ()))
    }

    /// The subqueries in the node's own expressions, in their order.
    fn subqueries(&self) -> Vec<SubqueryId> {
        self.expressions().into_iter().flat_map(Expr::subqueries).collect()
    }

    /// The rows of a BroadcastExchange, or of the one that a ReusedExchange stands for; waits for them.
    ///
    /// # Errors
    /// Those of computing the rows; `ResourceExhausted` when they are more than a broadcast may hold, or are not there within
    /// `sql.broadcastTimeout`; `Internal`, with Spark's words, for operators that do not broadcast.
    pub fn execute_broadcast(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
        self.execute_query(context, || self.do_execute_broadcast(context))
    }

    fn do_execute_broadcast(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
        match &self.operator {
            Operator::BroadcastExchange(exchange) => exchange.wait(self, context),
            Operator::ReusedExchange(_) | Operator::InputAdapter | Operator::WholeStageCodegen(_) => {
                self.child().execute_broadcast(context)
            }
            _ => Err(Error::internal(format!("{} does not implement doExecuteBroadcast.", self.name()))),
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

/// A condition ready to be tested.
#[derive(Debug, Clone)]
pub struct Predicate(Expr);

impl Predicate {
    /// For each row of a batch of the input, whether the condition is true; NULL is not.
    ///
    /// # Errors
    /// Those of evaluating the condition.
    pub fn eval(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        predicate(&self.0, batch)
    }
}

/// The condition over rows of these attributes, its subqueries answered.
///
/// # Errors
/// Those of [`bind`]; `Internal` when it is not boolean.
pub fn new_predicate(condition: &Expr, input: &[Attribute], context: &QueryContext) -> Result<Predicate> {
    match condition.data_type() {
        DataType::Boolean => Ok(Predicate(bind(condition, input, context)?)),
        other => Err(Error::internal(format!("a condition of type {other}: {condition}"))),
    }
}

/// The value of a scalar subquery; waits for it.
///
/// # Errors
/// Those of the subquery.
pub fn scalar_subquery(id: SubqueryId, context: &QueryContext) -> Result<Scalar> {
    scalar::from_array(context.subquery(id)?.as_ref(), 0)
}

/// Binds `expr` to positions in `input`, with the values of finished scalar subqueries in their places.
///
/// # Errors
/// `Internal` when an attribute is not in `input` or a subquery has not run.
pub fn bind(expr: &Expr, input: &[Attribute], context: &QueryContext) -> Result<Expr> {
    expr.clone()
        .transform_up(&mut |e| match e {
            Expr::ScalarSubquery { id, .. } => Ok(Expr::Literal(scalar_subquery(id, context)?)),
            Expr::DynamicPruning { value, id, state: Pruning::Planned } => {
                let keys = context.subquery(id)?;
                let list = (0..keys.len()).map(|i| Ok(Expr::Literal(scalar::from_array(&keys, i)?))).collect::<Result<_>>()?;
                Ok(Expr::In { value, list })
            }
            Expr::DynamicPruning { .. } => Ok(Expr::Literal(Scalar::Boolean(true))),
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
