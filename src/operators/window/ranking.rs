//! Ranking functions: they depend on partitions and peers alone.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array};

use super::groups::Chunk;
use crate::base::{Error, ErrorClass, Result};
use crate::expr::Expr;
use crate::expr::window::RankingFunction;

/// Where the first row of a chunk stands, if the chunk is a piece of one window partition; else at the start of one.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// Rows of the partition before it.
    pub rows: usize,
    /// Runs of peers that end before it.
    pub runs: usize,
    /// Where the run begins that it goes on with, counted from the partition's first row.
    pub run: Option<usize>,
    /// Rows of the whole partition.
    pub total: Option<usize>,
}

/// The column of a ranking function; `None` for the offset functions.
///
/// # Errors
/// `InvalidParameter` for `ntile` of less than one bucket.
pub fn compute(function: RankingFunction, args: &[Expr], chunk: &Chunk, place: Place) -> Result<Option<ArrayRef>> {
    let ints = |values: Vec<i32>| -> Result<Option<ArrayRef>> { Ok(Some(Arc::new(Int32Array::from(values)))) };
    let doubles = |values: Vec<f64>| -> Result<Option<ArrayRef>> { Ok(Some(Arc::new(Float64Array::from(values)))) };
    // From the partition's number of rows and the number of a row, from 0.
    let by_rows = |value: &dyn Fn(i64, i64) -> i32| {
        let pieces = chunk.partitions.iter().flat_map(|p| {
            let total = place.total.unwrap_or(p.len()) as i64;
            (place.rows..place.rows + p.len()).map(move |row| value(total, row as i64))
        });
        ints(pieces.collect())
    };
    match function {
        RankingFunction::RowNumber => by_rows(&|_, row| row as i32 + 1),
        RankingFunction::Rank => ints(by_peers(chunk, place, |_, _, peers| peers.start as i32 + 1)),
        RankingFunction::DenseRank => ints(by_peers(chunk, place, |_, number, _| number as i32 + 1)),
        RankingFunction::PercentRank => {
            doubles(by_peers(chunk, place, |total, _, peers| if total > 1 { peers.start as f64 / (total - 1) as f64 } else { 0.0 }))
        }
        RankingFunction::CumeDist => doubles(by_peers(chunk, place, |total, _, peers| peers.end as f64 / total as f64)),
        RankingFunction::Ntile => {
            let buckets = super::offset::literal(args.first())?.unwrap_or(0);
            if buckets < 1 {
                return Err(Error::new(ErrorClass::InvalidParameter, format!("ntile needs at least 1 bucket, not {buckets}.")));
            }
            by_rows(&|total, row| {
                let (size, larger) = (total / buckets, total % buckets);
                // The first buckets take the rows that do not divide evenly, one each.
                let in_larger = larger * (size + 1);
                (if row < in_larger { row / (size + 1) } else { larger + (row - in_larger) / size } + 1) as i32
            })
        }
        RankingFunction::Lead | RankingFunction::Lag | RankingFunction::NthValue => Ok(None),
    }
}

/// One value per run of peers, from the partition's number of rows, the run's number in it, and the run's rows, counted from the
/// partition's first.
fn by_peers<T: Copy>(chunk: &Chunk, place: Place, value: impl Fn(usize, usize, Range<usize>) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(chunk.num_rows());
    for (rows, runs) in chunk.peers_by_partition() {
        for (number, run) in runs.iter().enumerate() {
            let in_partition = |row: usize| place.rows + row - rows.start;
            let start = place.run.filter(|_| number == 0).unwrap_or(in_partition(run.start));
            let v = value(place.total.unwrap_or(rows.len()), place.runs + number, start..in_partition(run.end));
            out.resize(run.end, v);
        }
    }
    out
}
