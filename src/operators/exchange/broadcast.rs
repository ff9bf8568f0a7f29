//! Interpreted face of BroadcastExchange: rows collected once and shared with all tasks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{BroadcastExchange, BroadcastRelation};
use crate::base::number::format_bytes;
use crate::base::settings::{AUTO_BROADCAST_JOIN_THRESHOLD, BROADCAST_TIMEOUT, MAX_BROADCAST_TABLE_SIZE};
use crate::base::{Error, ErrorClass, Result};
use crate::operators::SparkPlan;
use crate::operators::metrics::OUTPUT_ROWS;
use crate::rdd::shuffle::Size;
use crate::rdd::{Future, Partitioner, QueryContext, Rdd, ShuffleDependency, data_size};

/// Spark's limit on the rows of a broadcast.
const MAX_BROADCAST_ROWS: u64 = 512_000_000;

impl BroadcastExchange {
    /// Starts collecting the rows of `plan` (this exchange) unless that has begun in this query.
    pub fn start(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Arc<Future<Arc<BroadcastRelation>>> {
        context.shared(plan.id, || {
            let plan = plan.clone();
            context.beside(move |part| collect(&plan, part))
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
        Ok(plan.execute_broadcast(context)?.rows.clone())
    }
}

fn collect(plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Arc<BroadcastRelation>> {
    let start = Instant::now();
    let collected = || context.metric(plan.id, "collectTime").store(start.elapsed().as_nanos() as u64, Relaxed);
    let (rows, size) = if context.memory.limit().is_none() {
        let (rows, batches) = plan.child().execute_collect_iterator(context)?;
        collected();
        let batches: Arc<[_]> = batches.collect();
        let bytes = batches.iter().map(data_size).sum::<usize>() as u64;
        let rdd = Rdd::new("Broadcast", 1, vec![], move |_, _| {
            let batches = batches.clone();
            Ok(Box::new((0..batches.len()).map(move |i| Ok(batches[i].clone()))))
        });
        (rdd, Size { rows, bytes })
    } else {
        // A shuffle holds the rows, in files if need be.
        let shuffle = ShuffleDependency::new(plan.id, plan.child().execute(context)?, Partitioner::Single);
        let rdd = shuffle.shuffled();
        context.runner.run_job(&rdd, &[], context)?;
        collected();
        (rdd, shuffle.sizes().and_then(|sizes| sizes.first().copied()).unwrap_or_default())
    };
    check_size(plan, size, context)?;
    Ok(Arc::new(BroadcastRelation::new(rows, size, plan, context)))
}

/// Notes how large a broadcast is.
///
/// # Errors
/// `ResourceExhausted` above the limits.
fn check_size(plan: &SparkPlan, size: Size, context: &QueryContext) -> Result<()> {
    let Size { rows, bytes } = size;
    if rows >= MAX_BROADCAST_ROWS {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!("Cannot broadcast the table over {MAX_BROADCAST_ROWS} rows: {rows} rows."),
        ));
    }
    let limit = context.settings.bytes(&MAX_BROADCAST_TABLE_SIZE);
    if i128::from(bytes) > i128::from(limit) {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!(
                "Cannot broadcast the table that is larger than {}: {}. The limit is `sql.maxBroadcastTableSize`.",
                format_bytes(limit.max(0) as u64),
                format_bytes(bytes)
            ),
        ));
    }
    context.metric(plan.id, OUTPUT_ROWS).store(rows, Relaxed);
    context.metric(plan.id, "dataSize").store(bytes, Relaxed);
    Ok(())
}
