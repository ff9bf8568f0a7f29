//! Interpreted face of BroadcastExchange: rows collected once and shared with all tasks.

use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::BroadcastExchange;
use crate::base::number::format_bytes;
use crate::base::schema::arrow_schema;
use crate::base::settings::{AUTO_BROADCAST_JOIN_THRESHOLD, BROADCAST_TIMEOUT, MAX_BROADCAST_TABLE_SIZE};
use crate::base::{Attribute, Error, ErrorClass, Result};
use crate::expr::Expr;
use crate::operators::SparkPlan;
use crate::operators::join::JoinIndex;
use crate::operators::metrics::OUTPUT_ROWS;
use crate::rdd::{Counter, Future, QueryContext, Rdd, data_size};

/// Spark's limit on the rows of a broadcast.
const MAX_BROADCAST_ROWS: u64 = 512_000_000;

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
    pub fn start(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Arc<Future<Arc<BroadcastRelation>>> {
        context.shared(plan.id, || {
            let (plan, part) = (plan.clone(), context.part());
            Future::start(move || collect(&plan, &part))
        })
    }

    /// The rows of `plan` (this exchange), waited for as long as `sql.broadcastTimeout` says.
    ///
    /// # Errors
    /// Those of the rows; `ResourceExhausted` when they do not come in time.
    pub fn wait(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
        let rows = self.start(plan, context);
        let Ok(seconds) = u64::try_from(context.settings.int(&BROADCAST_TIMEOUT)) else { return rows.get() };
        rows.get_within(Duration::from_secs(seconds)).unwrap_or_else(|| {
            Err(Error::new(
                ErrorClass::ResourceExhausted,
                format!(
                    "Could not execute broadcast in {seconds} secs. You can increase the timeout for broadcasts via \
                     `{}` or disable broadcast join by setting `{}` to -1 or remove the broadcast hint if it exists in your code.",
                    BROADCAST_TIMEOUT.key, AUTO_BROADCAST_JOIN_THRESHOLD.key
                ),
            ))
        })
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
    let (rows, batches) = plan.child().execute_collect_iterator(context)?;
    context.metric(plan.id, "collectTime").store(start.elapsed().as_nanos() as u64, Relaxed);
    if rows >= MAX_BROADCAST_ROWS {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!("Cannot broadcast the table over {MAX_BROADCAST_ROWS} rows: {rows} rows."),
        ));
    }
    let relation = BroadcastRelation::new(batches.collect(), plan.output(), context.metric(plan.id, "buildTime"));
    let bytes = relation.batches.iter().map(data_size).sum::<usize>();
    let limit = context.settings.bytes(&MAX_BROADCAST_TABLE_SIZE);
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
    context.metric(plan.id, OUTPUT_ROWS).store(rows, Relaxed);
    context.metric(plan.id, "dataSize").store(bytes as u64, Relaxed);
    Ok(relation)
}
