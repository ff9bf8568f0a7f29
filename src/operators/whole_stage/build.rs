//! Build sides of compiled joins: from batches to join tables.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::RecordBatch;

use super::region::JoinObject;
use crate::base::{Error, Result};
use crate::expr::evaluate::evaluate_all;
use crate::rdd::{Rdd, TaskContext, data_size};
use crate::runtime::JoinTable;
use crate::runtime::join_build::{self, BuildBatch, BuildSpec};

/// The table of a join: of a broadcast, built once for all tasks; else of this task's partition of the build side.
///
/// # Errors
/// Those of computing the build side and its keys.
pub fn join_table(join: &JoinObject, build: Option<&Rdd>, partition: usize, task: &TaskContext) -> Result<Arc<JoinTable>> {
    let Some(build) = build else {
        let relation = join.build.execute_broadcast(&task.query)?;
        // Joins that share a broadcast have the same keys, but may want its rows or only its keys.
        let made = relation.compiled[usize::from(join.set)].get_or_init(|| {
            let table = relation.build(|| table(join, &relation.batches, task))?;
            Ok(Arc::new(table) as Arc<dyn Any + Send + Sync>)
        });
        return made.clone()?.downcast().map_err(|_| Error::internal("a broadcast's join table is something else"));
    };
    let batches = build.compute(partition, task)?.collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let table = table(join, &batches, task)?;
    task.query.metric(join.node, "buildTime").fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
    let bytes: usize = batches.iter().map(data_size).sum();
    task.query.metric(join.node, "buildDataSize").fetch_add(bytes as u64, Relaxed);
    Ok(Arc::new(table))
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
