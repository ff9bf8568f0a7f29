//! Window calls and frames, as data.

use super::traverse::map_orders;
use super::{AggregateExpr, Expr, SortOrder};
use crate::base::{Result, Scalar};

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

impl Frame {
    /// `ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`.
    pub fn expanding() -> Self {
        Self { units: FrameUnits::Rows, start: FrameBound::UnboundedPreceding, end: FrameBound::CurrentRow }
    }

    /// Whether it is the whole window partition of each row; without an ordering all rows are peers.
    pub fn is_whole(&self, ordered: bool) -> bool {
        let to_last =
            self.end == FrameBound::UnboundedFollowing || !ordered && self.units == FrameUnits::Range && self.end == FrameBound::CurrentRow;
        self.start == FrameBound::UnboundedPreceding && to_last
    }

    /// The frame of a call that names none: up to the peers of the current row when ordered, else everything.
    pub fn default_for(ranking: bool, ordered: bool) -> Self {
        match (ranking, ordered) {
            (true, _) => Self::expanding(),
            (false, true) => Self { units: FrameUnits::Range, ..Self::expanding() },
            (false, false) => Self { end: FrameBound::UnboundedFollowing, ..Self::expanding() },
        }
    }
}

/// The rows with `function() OVER (PARTITION BY partition_by ORDER BY order_by) <= limit`.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupLimit {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortOrder>,
    /// row_number, rank or dense_rank.
    pub function: RankingFunction,
    pub limit: u64,
}

impl GroupLimit {
    pub fn expressions(&self) -> Vec<&Expr> {
        self.partition_by.iter().chain(self.order_by.iter().map(|o| &o.expr)).collect()
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        let partition_by = self.partition_by.into_iter().map(&mut *f).collect::<Result<_>>()?;
        Ok(Self { partition_by, order_by: map_orders(self.order_by, f)?, ..self })
    }

    /// `rank(v#2)`: Spark shows the ordering as the argument of those functions that ask who is equal in it.
    pub fn call(&self) -> String {
        super::display::ranking_call(self.function, &[], &self.order_by)
    }
}
