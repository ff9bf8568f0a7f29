//! Window: one more column per window call, over rows grouped by `partition_by` and sorted by `order_by`.

mod aggregates;
mod frames;
pub(super) mod groups;
mod interpret;
mod offset;
mod passes;
mod ranking;
#[cfg(test)]
mod tests;

use crate::base::{Attribute, Result};
use crate::expr::traverse::map_orders;
use crate::expr::{Expr, SortOrder};

use super::plan::map_list;
use super::{Distribution, SparkPlan};

#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// `Alias`es of `Expr::Window`, all of this partitioning and ordering.
    pub calls: Vec<Expr>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortOrder>,
}

impl Window {
    pub fn output(&self, child: &SparkPlan) -> Vec<Attribute> {
        let mut output = child.output();
        output.extend(self.calls.iter().map(Expr::to_attribute));
        output
    }

    pub fn expressions(&self) -> Vec<&Expr> {
        self.calls.iter().chain(&self.partition_by).chain(self.order_by.iter().map(|o| &o.expr)).collect()
    }

    pub fn required_distribution(&self) -> Distribution {
        Distribution::clustered(&self.partition_by)
    }

    pub fn required_ordering(&self) -> Vec<SortOrder> {
        partitions_in_order(&self.partition_by, &self.order_by)
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self { calls: map_list(self.calls, f)?, partition_by: map_list(self.partition_by, f)?, order_by: map_orders(self.order_by, f)? })
    }
}

/// Rows of a window partition together, and in order within it.
pub(super) fn partitions_in_order(partition_by: &[Expr], order_by: &[SortOrder]) -> Vec<SortOrder> {
    partition_by.iter().cloned().map(SortOrder::ascending).chain(order_by.iter().cloned()).collect()
}
