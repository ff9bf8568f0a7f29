//! Joins. NULL keys never match (except null-aware anti joins, see `JoinType`); `condition` is what equality of keys does not say.

mod interpret;

use crate::expr::Expr;
use crate::logical::JoinType;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuildSide {
    Left,
    Right,
}

/// BroadcastHashJoin and ShuffledHashJoin. Children are left and right as in SQL; for a broadcast join the build side's child
/// is a BroadcastExchange.
#[derive(Debug, Clone)]
pub struct HashJoin {
    pub left_keys: Vec<Expr>,
    pub right_keys: Vec<Expr>,
    pub join_type: JoinType,
    pub build: BuildSide,
    /// Over the attributes of both sides.
    pub condition: Option<Expr>,
}

#[derive(Debug, Clone)]
pub struct SortMergeJoin {
    pub left_keys: Vec<Expr>,
    pub right_keys: Vec<Expr>,
    pub join_type: JoinType,
    pub condition: Option<Expr>,
    /// A skewed partition was split by adaptive execution.
    pub skew: bool,
}

/// BroadcastNestedLoopJoin and CartesianProduct (`build` is Right there).
#[derive(Debug, Clone)]
pub struct NestedLoopJoin {
    pub join_type: JoinType,
    pub build: BuildSide,
    pub condition: Option<Expr>,
}
