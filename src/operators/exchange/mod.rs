//! Exchange (shuffle) and BroadcastExchange: interpreted glue between stages.

mod broadcast;
mod interpret;
mod partition;
mod relation;

pub use partition::deal;
pub use relation::BroadcastRelation;

use crate::base::Result;
use crate::expr::Expr;

use super::Partitioning;
use super::plan::map_list;

/// Deals the child's rows out to the partitions of `partitioning`; the one stage boundary.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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

impl ShuffleOrigin {
    /// As EXPLAIN prints it.
    pub fn name(self) -> &'static str {
        match self {
            ShuffleOrigin::EnsureRequirements => "ENSURE_REQUIREMENTS",
            ShuffleOrigin::RepartitionByCol => "REPARTITION_BY_COL",
            ShuffleOrigin::RepartitionByNum => "REPARTITION_BY_NUM",
            ShuffleOrigin::RebalancePartitionsByNone => "REBALANCE_PARTITIONS_BY_NONE",
            ShuffleOrigin::RebalancePartitionsByCol => "REBALANCE_PARTITIONS_BY_COL",
        }
    }
}

impl BroadcastMode {
    pub fn keys(&self) -> &[Expr] {
        match self {
            BroadcastMode::Identity => &[],
            BroadcastMode::Hashed { keys, .. } => keys,
        }
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(match self {
            BroadcastMode::Identity => BroadcastMode::Identity,
            BroadcastMode::Hashed { keys, null_aware } => BroadcastMode::Hashed { keys: map_list(keys, f)?, null_aware },
        })
    }
}
