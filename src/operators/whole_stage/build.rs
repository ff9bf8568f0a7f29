//! Build sides of compiled joins: from batches to join tables.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::RecordBatch;

use super::region::JoinObject;
use crate::base::Result;
use crate::expr::evaluate::evaluate_all;
use crate::rdd::{Rdd, Reservation, TaskContext, data_size};
use crate::runtime::JoinTable;
use crate::runtime::join_build::{self, BuildBatch, BuildSpec};

/// What a build row costs while the table is made, beside its columns and its row: hash, place and bucket.
const ROW_BYTES: usize = 48;

/// The table of a join: of a broadcast, built once for all tasks; else of this task's partition of the build side, with its memory.
/// `None` if that does not fit memory.
///
/// # Errors
/// Those of computing the build side and its keys.
pub fn join_table(
    join: &JoinObject,
    build: Option<&Rdd>,
    partition: usize,
    task: &TaskContext,
) -> Result<Option<(Arc<JoinTable>, Option<Reservation>)>> {
    let Some(build) = build else {
        let relation = join.build.execute_broadcast(&task.query)?;
        // Joins that share a broadcast have the same keys, but may want its rows or only its keys.
        let table = relation.join_table(join.set, join.layout.size + ROW_BYTES, |batches| table(join, batches, task), task)?;
        return Ok(table.map(|table| (table, None)));
    };
    let mut memory = task.query.spillable(join.node, "ShuffledHashJoin");
    let (mut batches, mut bytes) = (vec![], 0);
    for batch in build.compute(partition, task)? {
        let batch = batch?;
        let size = data_size(&batch);
        bytes += size;
        if !memory.try_grow(size + batch.num_rows() * (join.layout.size + ROW_BYTES))? {
            return Ok(None);
        }
        batches.push(batch);
    }
    let start = Instant::now();
    let table = table(join, &batches, task)?;
    task.query.metric(join.node, "buildTime").fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
    task.query.metric(join.node, "buildDataSize").fetch_add(bytes as u64, Relaxed);
    drop(batches);
    // What it took to make is more.
    memory.try_resize(table.memory().min(memory.size()))?;
    Ok(Some((Arc::new(table), Some(memory))))
}

fn table(join: &JoinObject, batches: &[RecordBatch], task: &TaskContext) -> Result<JoinTable> {
    let batches = batches.iter().map(|batch| {
        let keys = evaluate_all(&join.keys, batch)?;
        let columns = if join.set {
            keys.clone()
        } else {
            let computed = keys.iter().zip(&join.key_fields).filter(|(_, f)| **f >= batch.num_columns()).map(|(k, _)| k.clone());
            batch.columns().iter().cloned().chain(computed).collect()
        };
        Ok(BuildBatch { keys, columns })
    });
    let batches = batches.collect::<Result<Vec<_>>>()?;
    let spec = BuildSpec { layout: &join.layout, integer_keys: &join.integer_keys, set: join.set, shared: join.broadcast };
    join_build::build(&spec, &batches, task.query.settings.threads())
}
