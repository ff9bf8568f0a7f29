//! Interpreted face of BroadcastExchange: rows collected once and shared with all tasks.

use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arrow::array::RecordBatch;

use super::BroadcastExchange;
use crate::base::number::format_bytes;
use crate::base::schema::arrow_schema;
use crate::base::settings::MAX_BROADCAST_TABLE_SIZE;
use crate::base::{Attribute, Error, ErrorClass, Result};
use crate::expr::Expr;
use crate::operators::SparkPlan;
use crate::operators::join::JoinIndex;
use crate::operators::metrics::OUTPUT_ROWS;
use crate::rdd::context::Future;
use crate::rdd::{Counter, QueryContext, Rdd, data_size};

/// Spark's limit on the rows of a broadcast.
const MAX_BROADCAST_ROWS: usize = 512_000_000;

/// The rows of a broadcast, with what its users made of them for lookups.
pub struct BroadcastRelation {
    /// Time that users took to make lookups of the rows.
    build_time: Counter,
    /// All rows, in order of the partitions they come from.
    pub batches: Vec<RecordBatch>,
    /// The columns of the batches.
    pub attributes: Vec<Attribute>,
    /// The index that interpreted joins look rows up by.
    pub index: OnceLock<Result<Arc<JoinIndex>>>,
    /// The tables that compiled joins look rows up by: of rows, and of keys alone.
    pub compiled: [OnceLock<Result<Arc<dyn Any + Send + Sync>>>; 2],
}

impl BroadcastRelation {
    pub fn new(batches: Vec<RecordBatch>, attributes: Vec<Attribute>, build_time: Counter) -> Arc<Self> {
        Arc::new(Self { build_time, batches, attributes, index: OnceLock::new(), compiled: Default::default() })
    }

    /// Makes a lookup of the rows, which counts as time to build the broadcast.
    pub fn build<T>(&self, make: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let made = make();
        self.build_time.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        made
    }

    /// The rows by key, indexed on first use. All users of a relation have the same `keys`, bound to its attributes.
    ///
    /// # Errors
    /// Those of [`JoinIndex::build`].
    pub fn join_index(&self, keys: &[Expr]) -> Result<Arc<JoinIndex>> {
        let build = || JoinIndex::build(&arrow_schema(&self.attributes), &self.batches, keys).map(Arc::new);
        self.index.get_or_init(|| self.build(build)).clone()
    }

    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl BroadcastExchange {
    /// Starts collecting the rows of `plan` (this exchange) unless that has begun in this query.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn start(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Arc<Future<Arc<BroadcastRelation>>>> {
        let (plan, query) = (plan.clone(), context.clone());
        context.shared(plan.id, move || Future::start(move || collect(&plan, &query)))
    }

    /// The rows as one partition; joins use [`SparkPlan::execute_broadcast`] instead.
    ///
    /// # Errors
    /// Those of the child.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let relation = plan.execute_broadcast(context)?;
        Ok(Rdd::new("Broadcast", 1, vec![], move |_, _| {
            let relation = relation.clone();
            Ok(Box::new((0..relation.batches.len()).map(move |i| Ok(relation.batches[i].clone()))))
        }))
    }
}

fn collect(plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
    let start = Instant::now();
    let rdd = plan.child().execute(context)?;
    let partitions: Vec<usize> = (0..rdd.num_partitions()).collect();
    let batches: Vec<RecordBatch> = context.runner.run_job(&rdd, &partitions, context)?.into_iter().flatten().collect();
    context.metric(plan.id, "collectTime").store(start.elapsed().as_nanos() as u64, Relaxed);
    let relation = BroadcastRelation::new(batches, plan.output(), context.metric(plan.id, "buildTime"));
    let (rows, bytes) = (relation.num_rows(), relation.batches.iter().map(data_size).sum::<usize>());
    let limit = context.settings.bytes(&MAX_BROADCAST_TABLE_SIZE);
    if rows >= MAX_BROADCAST_ROWS {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!("Cannot broadcast the table over {MAX_BROADCAST_ROWS} rows: {rows} rows."),
        ));
    }
    if bytes as i128 > i128::from(limit) {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!(
                "Cannot broadcast the table that is larger than {}: {}. The limit is `sql.maxBroadcastTableSize`.",
                format_bytes(limit.max(0) as u64),
                format_bytes(bytes as u64)
            ),
        ));
    }
    context.metric(plan.id, OUTPUT_ROWS).store(rows as u64, Relaxed);
    context.metric(plan.id, "dataSize").store(bytes as u64, Relaxed);
    Ok(relation)
}
