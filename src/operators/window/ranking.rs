//! Ranking functions: they depend on partitions and peers alone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array};

use super::groups::Chunk;
use crate::base::{Error, ErrorClass, Result};
use crate::expr::Expr;
use crate::expr::window::RankingFunction;

/// The column of a ranking function; `None` for the offset functions.
///
/// # Errors
/// `InvalidParameter` for `ntile` of less than one bucket.
pub fn compute(function: RankingFunction, args: &[Expr], chunk: &Chunk) -> Result<Option<ArrayRef>> {
    let ints = |values: Vec<i32>| -> Result<Option<ArrayRef>> { Ok(Some(Arc::new(Int32Array::from(values)))) };
    let doubles = |values: Vec<f64>| -> Result<Option<ArrayRef>> { Ok(Some(Arc::new(Float64Array::from(values)))) };
    match function {
        RankingFunction::RowNumber => ints(chunk.partitions.iter().flat_map(|p| 1..=p.len() as i32).collect()),
        RankingFunction::Rank => ints(by_peers(chunk, |rows, _, peers| (peers - rows.start + 1) as i32)),
        RankingFunction::DenseRank => ints(by_peers(chunk, |_, number, _| number as i32 + 1)),
        RankingFunction::PercentRank => {
            doubles(by_peers(
                chunk,
                |rows, _, peers| if rows.len() > 1 { (peers - rows.start) as f64 / (rows.len() - 1) as f64 } else { 0.0 },
            ))
        }
        RankingFunction::CumeDist => {
            let mut out = Vec::with_capacity(chunk.num_rows());
            for (rows, runs) in chunk.peers_by_partition() {
                for run in runs {
                    out.resize(run.end, (run.end - rows.start) as f64 / rows.len() as f64);
                }
            }
            doubles(out)
        }
        RankingFunction::Ntile => {
            let buckets = super::offset::literal(args.first())?.unwrap_or(0);
            if buckets < 1 {
                return Err(Error::new(ErrorClass::InvalidParameter, format!("ntile needs at least 1 bucket, not {buckets}.")));
            }
            let mut out = Vec::with_capacity(chunk.num_rows());
            for p in &chunk.partitions {
                let (size, larger) = (p.len() as i64 / buckets, p.len() as i64 % buckets);
                // The first buckets take the rows that do not divide evenly, one each.
                let in_larger = larger * (size + 1);
                out.extend(
                    (0..p.len() as i64).map(|i| (if i < in_larger { i / (size + 1) } else { larger + (i - in_larger) / size } + 1) as i32),
                );
            }
            ints(out)
        }
        RankingFunction::Lead | RankingFunction::Lag | RankingFunction::NthValue => Ok(None),
    }
}

/// One value per run of peers, from the partition, the run's number in it, and the run's first row.
fn by_peers<T: Copy>(chunk: &Chunk, value: impl Fn(&std::ops::Range<usize>, usize, usize) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(chunk.num_rows());
    for (rows, runs) in chunk.peers_by_partition() {
        for (number, run) in runs.iter().enumerate() {
            let v = value(rows, number, run.start);
            out.resize(run.end, v);
        }
    }
    out
}
