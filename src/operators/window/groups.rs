//! Where window partitions and peers (rows equal in the ordering) begin and end.

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat, partition};

use crate::base::{Result, interrupt};
use crate::expr::evaluate::normalise_floats;

/// Whole window partitions, one after the other.
pub struct Chunk {
    pub rows: RecordBatch,
    pub partitions: Vec<Range<usize>>,
    /// Runs of peers; each lies inside a partition. Without an ordering, all rows of a partition are peers.
    pub peers: Vec<Range<usize>>,
    /// The values of the ordering.
    pub order_keys: Vec<ArrayRef>,
}

impl Chunk {
    /// # Errors
    /// `Internal` for keys without an order.
    pub fn new(rows: RecordBatch, partition_keys: &[ArrayRef], order_keys: Vec<ArrayRef>) -> Result<Self> {
        let count = rows.num_rows();
        let partitions = equal_runs(partition_keys, count)?;
        let peers = if order_keys.is_empty() { partitions.clone() } else { equal_runs(&[partition_keys, &order_keys].concat(), count)? };
        Ok(Self { rows, partitions, peers, order_keys })
    }

    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The runs of peers of each partition.
    pub fn peers_by_partition(&self) -> impl Iterator<Item = (&Range<usize>, &[Range<usize>])> {
        let mut rest = &self.peers[..];
        self.partitions.iter().map(move |p| {
            let (inside, after) = rest.split_at(rest.partition_point(|run| run.start < p.end));
            rest = after;
            (p, inside)
        })
    }
}

/// Runs of rows with equal keys; NULLs are equal. One run when there are no keys.
///
/// # Errors
/// `Internal` for keys that cannot be compared; `Cancelled`.
pub fn equal_runs(keys: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    if rows == 0 {
        return Ok(vec![]);
    }
    if keys.is_empty() {
        return Ok(std::iter::once(0..rows).collect());
    }
    let mut runs: Vec<Range<usize>> = vec![];
    for piece in interrupt::pieces(rows) {
        // With the row before, to see whether its run goes on.
        let (from, end) = piece.map(|p| (p.start.saturating_sub(1), p.end))?;
        let keys = keys.iter().map(|k| normalise_floats(&k.slice(from, end - from))).collect::<Result<Vec<_>>>()?;
        for run in partition(&keys)?.ranges() {
            match runs.last_mut().filter(|last| last.end > from + run.start) {
                Some(last) => last.end = from + run.end,
                None => runs.push(from + run.start..from + run.end),
            }
        }
    }
    Ok(runs)
}

/// The keys of one row.
pub fn slice(keys: &[ArrayRef], row: usize) -> Vec<ArrayRef> {
    keys.iter().map(|k| k.slice(row, 1)).collect()
}

/// Whether the first row of `next` has the keys `last`.
///
/// # Errors
/// `Internal` for keys that cannot be compared.
pub fn continues(last: &[ArrayRef], next: &[ArrayRef]) -> Result<bool> {
    let both = last.iter().zip(slice(next, 0)).map(|(l, n)| concat(&[l.as_ref(), n.as_ref()])).collect::<Result<Vec<_>, _>>()?;
    Ok(equal_runs(&both, 2)?.len() == 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn runs_go_on_from_piece_to_piece() {
        // Pieces end at multiples of 2¹⁶: within a run, at the end of one, and one row after.
        let ends = [100_000, 131_072, 196_609, 200_000];
        let key = (0..ends.len()).flat_map(|i| vec![i as i64; ends[i] - if i == 0 { 0 } else { ends[i - 1] }]);
        let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from_iter_values(key))];
        let found: Vec<usize> = equal_runs(&keys, 200_000).unwrap().iter().map(|run| run.end).collect();
        assert_eq!(found, ends);
    }
}
