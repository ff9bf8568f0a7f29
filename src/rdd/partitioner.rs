//! How an exchange deals out rows.

use crate::expr::{Expr, SortOrder};

/// Assigns rows to reducers. Expressions are bound to the shuffled rows.
#[derive(Debug, Clone)]
pub enum Partitioner {
    Single,
    /// Each map task's rows to the reducer of its number.
    Same {
        partitions: usize,
    },
    /// `pmod(murmur3(exprs, 42), n)`, Spark's hash.
    Hash {
        exprs: Vec<Expr>,
        partitions: usize,
    },
    /// Dealt in turn, each map task starting at a place of its own.
    RoundRobin {
        partitions: usize,
    },
    /// By sorted bounds found by sampling; `bounds` are rows of one batch over the order's expressions.
    Range {
        order: Vec<SortOrder>,
        bounds: arrow::array::RecordBatch,
    },
}

impl Partitioner {
    pub fn num_partitions(&self) -> usize {
        match self {
            Partitioner::Single => 1,
            Partitioner::Same { partitions } | Partitioner::Hash { partitions, .. } | Partitioner::RoundRobin { partitions } => *partitions,
            Partitioner::Range { bounds, .. } => bounds.num_rows() + 1,
        }
    }
}
