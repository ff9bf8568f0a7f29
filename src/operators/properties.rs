//! What operators require of their children and provide to their parents.

use crate::expr::{Expr, SortOrder};

use super::BroadcastMode;

/// What an operator requires of a child's rows across partitions.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    Unspecified,
    /// All rows in one partition.
    AllTuples,
    /// Rows with equal values of these expressions in one partition. Never empty.
    Clustered(Vec<Expr>),
    /// Partitions follow each other in this order.
    Ordered(Vec<SortOrder>),
    Broadcast(BroadcastMode),
}

/// What an operator guarantees about its rows across partitions.
#[derive(Debug, Clone, PartialEq)]
pub enum Partitioning {
    Unknown(usize),
    RoundRobin(usize),
    Single,
    Hash {
        exprs: Vec<Expr>,
        partitions: usize,
    },
    Range {
        order: Vec<SortOrder>,
        partitions: usize,
    },
    /// All of these hold.
    Collection(Vec<Partitioning>),
    Broadcast(BroadcastMode),
}
