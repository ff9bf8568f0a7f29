//! Build sides of compiled joins: from batches to join tables.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;

use super::region::JoinObject;
use crate::base::{Error, Result};
use crate::expr::evaluate::evaluate_all;
use crate::rdd::{Rdd, TaskContext};
use crate::runtime::join_table::dense_range;
use crate::runtime::{JoinTable, hash, pack};

/// The table of a join: of a broadcast, built once for all tasks; else of this task's partition of the build side.
///
/// # Errors
/// Those of computing the build side and its keys.
pub fn join_table(join: &JoinObject, build: Option<&Rdd>, partition: usize, task: &TaskContext) -> Result<Arc<JoinTable>> {
    let Some(build) = build else {
        let relation = join.build.execute_broadcast(&task.query)?;
        let mut problem = None;
        let table = relation.compiled.get_or_init(|| -> Arc<dyn std::any::Any + Send + Sync> {
            match table(join, &relation.batches, task) {
                Ok(table) => Arc::new(table),
                Err(e) => {
                    problem = Some(e);
                    Arc::new(())
                }
            }
        });
        if let Some(e) = problem {
            return Err(e);
        }
        return table.clone().downcast().map_err(|_| Error::internal("a broadcast's join table could not be built"));
    };
    let batches = build.compute(partition, task)?.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(table(join, &batches, task)?))
}

fn table(join: &JoinObject, batches: &[RecordBatch], task: &TaskContext) -> Result<JoinTable> {
    let start = Instant::now();
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let keys: Vec<Vec<ArrayRef>> = batches.iter().map(|b| evaluate_all(&join.keys, b)).collect::<Result<_>>()?;
    let dense = dense(&keys, rows)?;
    let mut words: Vec<Option<u64>> = Vec::with_capacity(rows);
    let mut columns: Vec<Vec<ArrayRef>> = vec![];
    for (batch, keys) in batches.iter().zip(&keys) {
        let mut piece = vec![];
        match dense {
            Some((least, _)) => pack::integer_offsets(&keys[0], least, &mut piece)?,
            None => {
                piece.resize(batch.num_rows(), hash::SEED);
                for key in keys {
                    pack::hash_column(key, &mut piece)?;
                }
            }
        }
        let nulls: Vec<_> = keys.iter().filter_map(|k| k.nulls().filter(|n| n.null_count() > 0)).collect();
        words.extend(piece.into_iter().enumerate().map(|(i, w)| nulls.iter().all(|n| n.is_valid(i)).then_some(w)));
        let computed = keys.iter().zip(&join.key_fields).filter(|(_, f)| **f >= batch.num_columns()).map(|(k, _)| k.clone());
        columns.push(batch.columns().iter().cloned().chain(computed).collect());
    }
    let whole = |i: usize| -> Result<ArrayRef> {
        let parts: Vec<&dyn Array> = columns.iter().map(|c| c[i].as_ref()).collect();
        Ok(if let [_] = parts[..] { columns[0][i].clone() } else { concat(&parts)? })
    };
    let width = columns.first().map_or(0, Vec::len);
    let columns = (0..width).map(whole).collect::<Result<Vec<_>>>()?;
    let table = JoinTable::build(join.layout.clone(), &words, dense, columns, task.query.settings.threads())?;
    task.query.metric(join.node, "buildTime").fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    Ok(table)
}

/// Whether there is one key, of integers close enough together for a bucket each: the least, and the range.
fn dense(keys: &[Vec<ArrayRef>], rows: usize) -> Result<Option<(i64, u64)>> {
    let mut range: Option<(i64, i64)> = None;
    for keys in keys {
        let [key] = keys.as_slice() else { return Ok(None) };
        if key.is_empty() {
            continue;
        }
        match (pack::integer_range(key)?, range) {
            (Some((lo, hi)), Some((least, most))) => range = Some((lo.min(least), hi.max(most))),
            (Some(first), None) => range = Some(first),
            (None, _) if key.null_count() == key.len() => {}
            (None, _) => return Ok(None),
        }
    }
    Ok(range.and_then(|(least, most)| dense_range(least, most, rows)))
}
