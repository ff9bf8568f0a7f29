//! Exchange (shuffle) and BroadcastExchange: interpreted glue between stages.

mod interpret;

use crate::expr::Expr;

use super::Partitioning;

/// Deals the child's rows out to the partitions of `partitioning`; the one stage boundary.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub partitioning: Partitioning,
    pub origin: ShuffleOrigin,
}

/// Who asked for a shuffle; printed by EXPLAIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShuffleOrigin {
    EnsureRequirements,
    RepartitionByCol,
    RepartitionByNum,
    RebalancePartitionsByNone,
    RebalancePartitionsByCol,
}

/// Collects the child's rows once and shares them with all tasks.
#[derive(Debug, Clone)]
pub struct BroadcastExchange {
    pub mode: BroadcastMode,
}

/// What a broadcast is built for.
#[derive(Debug, Clone, PartialEq)]
pub enum BroadcastMode {
    /// Rows as they are.
    Identity,
    /// Rows to be looked up by these keys (over the child's attributes); `null_aware` for NOT IN.
    Hashed { keys: Vec<Expr>, null_aware: bool },
}
