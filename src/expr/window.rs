//! Window calls and frames, as data.

use super::{AggregateExpr, Expr, SortOrder};
use crate::base::Scalar;

/// `function OVER (PARTITION BY … ORDER BY … frame)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowExpr {
    pub function: WindowFunction,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortOrder>,
    pub frame: Frame,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WindowFunction {
    Aggregate(AggregateExpr),
    /// Ranking and offset functions; `args` are literals except the value of lead, lag and nth_value.
    Ranking {
        function: RankingFunction,
        args: Vec<Expr>,
        ignore_nulls: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RankingFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    /// `ntile(n)`.
    Ntile,
    /// `lead(value, offset, default)`.
    Lead,
    /// `lag(value, offset, default)`.
    Lag,
    /// `nth_value(value, n)`.
    NthValue,
}

/// Which rows around the current one a window function sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    pub units: FrameUnits,
    pub start: FrameBound,
    pub end: FrameBound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameUnits {
    Rows,
    /// By value of the single order key; peers of the current row belong to `CurrentRow`.
    Range,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FrameBound {
    UnboundedPreceding,
    /// A row count for ROWS; for RANGE a value of the order key's offset type.
    Preceding(Scalar),
    CurrentRow,
    Following(Scalar),
    UnboundedFollowing,
}
