//! Where window partitions and peers (rows equal in the ordering) begin and end.

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat, partition};

use crate::base::Result;
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
/// `Internal` for keys that cannot be compared.
pub fn equal_runs(keys: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    if rows == 0 {
        return Ok(vec![]);
    }
    if keys.is_empty() {
        return Ok(std::iter::once(0..rows).collect());
    }
    let keys = keys.iter().map(normalise_floats).collect::<Result<Vec<_>>>()?;
    Ok(partition(&keys)?.ranges())
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
