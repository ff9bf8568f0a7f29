//! Interpreted face of BroadcastExchange: rows collected once and shared with all tasks.

use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::{BroadcastExchange, BroadcastMode};
use crate::base::number::format_bytes;
use crate::base::schema::arrow_schema;
use crate::base::settings::{AUTO_BROADCAST_JOIN_THRESHOLD, BROADCAST_TIMEOUT, MAX_BROADCAST_TABLE_SIZE};
use crate::base::{Attribute, Error, ErrorClass, Result};
use crate::expr::Expr;
use crate::operators::SparkPlan;
use crate::operators::join::{JoinIndex, held_bytes};
use crate::operators::metrics::OUTPUT_ROWS;
use crate::rdd::{Counter, Future, Partitioner, QueryContext, Rdd, Reservation, ShuffleDependency, data_size};

/// Spark's limit on the rows of a broadcast.
const MAX_BROADCAST_ROWS: u64 = 512_000_000;

/// The rows of a broadcast, with what its users made of them for lookups.
pub struct BroadcastRelation {
    /// Time that users took to make lookups of the rows.
    build_time: Counter,
    /// All rows, in order of the partitions they come from, unless they are [kept](Self::kept).
    pub batches: Vec<RecordBatch>,
    /// Where memory is limited, rows that nobody looks up by keys: one partition, in memory or in files.
    pub kept: Option<Rdd>,
    /// For the rows and what was made of them.
    memory: Mutex<Reservation>,
    /// The columns of the batches.
    pub attributes: Vec<Attribute>,
    /// The index that interpreted joins look rows up by.
    pub index: OnceLock<Result<Arc<JoinIndex>>>,
    /// The tables that compiled joins look rows up by: of rows, and of keys alone.
    pub compiled: [OnceLock<Result<Arc<dyn Any + Send + Sync>>>; 2],
}

impl BroadcastRelation {
    fn new(batches: Vec<RecordBatch>, plan: &SparkPlan, context: &QueryContext) -> Self {
        Self {
            build_time: context.metric(plan.id, "buildTime"),
            batches,
            kept: None,
            memory: Mutex::new(context.fixed(plan.id, "BroadcastExchange")),
            attributes: plan.output(),
            index: OnceLock::new(),
            compiled: Default::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Reservation> {
        self.memory.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Makes a lookup of the rows, which counts as time to build the broadcast. It takes about `bytes` while it is made, and as many as
    /// `held` says later.
    ///
    /// # Errors
    /// Those of `make`; `OutOfMemory`.
    pub fn build<T>(&self, bytes: usize, make: impl FnOnce() -> Result<T>, held: impl FnOnce(&T) -> usize) -> Result<T> {
        let mut memory = self.memory();
        let before = memory.size();
        memory.grow(bytes)?;
        let start = Instant::now();
        let made = make();
        self.build_time.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        memory.resize(before + made.as_ref().map_or(0, held).min(bytes))?;
        made
    }

    /// The rows by key, indexed on first use. All users of a relation have the same `keys`, bound to its attributes.
    ///
    /// # Errors
    /// Those of [`JoinIndex::build`]; `OutOfMemory`.
    pub fn join_index(&self, keys: &[Expr]) -> Result<Arc<JoinIndex>> {
        let build = || JoinIndex::build(&arrow_schema(&self.attributes), &self.batches, keys).map(Arc::new);
        let bytes = || self.batches.iter().map(held_bytes).sum();
        self.index.get_or_init(|| self.build(bytes(), build, |index| index.memory())).clone()
    }

    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl BroadcastExchange {
    /// Starts collecting the rows of `plan` (this exchange) unless that has begun in this query.
    pub fn start(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Arc<Future<Arc<BroadcastRelation>>> {
        context.shared(plan.id, || {
            let (plan, mode) = (plan.clone(), self.mode.clone());
            context.beside(move |part| collect(&plan, &mode, part))
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
        if let Some(kept) = &relation.kept {
            return Ok(kept.clone());
        }
        Ok(Rdd::new("Broadcast", 1, vec![], move |_, _| {
            let relation = relation.clone();
            Ok(Box::new((0..relation.batches.len()).map(move |i| Ok(relation.batches[i].clone()))))
        }))
    }
}

fn collect(plan: &Arc<SparkPlan>, mode: &BroadcastMode, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
    let start = Instant::now();
    let collected = || context.metric(plan.id, "collectTime").store(start.elapsed().as_nanos() as u64, Relaxed);
    if context.memory.limit().is_none() {
        let (rows, batches) = plan.child().execute_collect_iterator(context)?;
        collected();
        let relation = BroadcastRelation::new(batches.collect(), plan, context);
        check_size(plan, rows, relation.batches.iter().map(data_size).sum(), context)?;
        return Ok(Arc::new(relation));
    }
    // A shuffle holds the rows, in files if need be, until it is known how many they are.
    let shuffle = ShuffleDependency::new(plan.id, plan.child().execute(context)?, Partitioner::Single);
    let kept = shuffle.shuffled();
    context.runner.run_job(&kept, &[], context)?;
    collected();
    let size = shuffle.sizes().and_then(|sizes| sizes.first().copied()).unwrap_or_default();
    check_size(plan, size.rows, size.bytes as usize, context)?;
    let mut relation = BroadcastRelation::new(vec![], plan, context);
    match mode {
        BroadcastMode::Identity => relation.kept = Some(kept),
        BroadcastMode::Hashed { .. } => {
            relation.memory().resize(size.bytes as usize)?;
            relation.batches = context.runner.run_job(&kept, &[0], context)?.into_iter().flatten().collect();
        }
    }
    Ok(Arc::new(relation))
}

/// Notes how large a broadcast is.
///
/// # Errors
/// `ResourceExhausted` above the limits.
fn check_size(plan: &SparkPlan, rows: u64, bytes: usize, context: &QueryContext) -> Result<()> {
    if rows >= MAX_BROADCAST_ROWS {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!("Cannot broadcast the table over {MAX_BROADCAST_ROWS} rows: {rows} rows."),
        ));
    }
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
    Ok(())
}
