//! WindowGroupLimit: of each window partition the rows of the first ranks, before a Window and a Filter that keep no others.
//!
//! Partial: per partition of the input, before rows are exchanged. Final: over whole window partitions.

mod interpret;

use crate::expr::{GroupLimit, SortOrder};

use super::Distribution;
use super::window::partitions_in_order;

#[derive(Debug, Clone, PartialEq)]
pub struct WindowGroupLimit {
    pub group: GroupLimit,
    pub phase: LimitPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitPhase {
    Partial,
    Final,
}

impl LimitPhase {
    pub fn name(self) -> &'static str {
        match self {
            LimitPhase::Partial => "Partial",
            LimitPhase::Final => "Final",
        }
    }
}

impl WindowGroupLimit {
    pub fn required_distribution(&self) -> Distribution {
        match self.phase {
            LimitPhase::Partial => Distribution::Unspecified,
            LimitPhase::Final => Distribution::clustered(&self.group.partition_by),
        }
    }

    pub fn required_ordering(&self) -> Vec<SortOrder> {
        partitions_in_order(&self.group.partition_by, &self.group.order_by)
    }
}
