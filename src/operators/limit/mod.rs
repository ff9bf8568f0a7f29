//! Limits and top-K.

mod interpret;
mod lower;

pub(super) use interpret::limited;

use crate::base::{Attribute, Result};
use crate::expr::traverse::map_orders;
use crate::expr::{Expr, SortOrder};

use super::plan::map_list;
use super::properties::{ProvidedOrder, project_ordering};

/// The first `limit` rows of the whole input in `order`, less the first `offset`, projected to `list`. One partition.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeOrderedAndProject {
    pub limit: u64,
    pub offset: u64,
    pub order: Vec<SortOrder>,
    pub list: Vec<Expr>,
}

/// A limit at the root: any `limit` rows (all when absent), less the first `offset`; collecting takes partition by partition.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectLimit {
    pub limit: Option<u64>,
    pub offset: u64,
}

/// At most `limit` rows of each partition.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalLimit {
    pub limit: u64,
}

/// At most `limit` rows (all when absent) of the single partition, less the first `offset`. `limit` counts the skipped rows, as Spark's does.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalLimit {
    pub limit: Option<u64>,
    pub offset: u64,
}

impl TakeOrderedAndProject {
    pub fn output(&self) -> Vec<Attribute> {
        self.list.iter().map(Expr::to_attribute).collect()
    }

    pub fn expressions(&self) -> Vec<&Expr> {
        self.order.iter().map(|o| &o.expr).chain(&self.list).collect()
    }

    /// The order, as far as the list keeps it.
    pub fn output_ordering(&self) -> Vec<ProvidedOrder> {
        project_ordering(self.order.iter().cloned().map(ProvidedOrder::from).collect(), &self.list)
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self { order: map_orders(self.order, f)?, list: map_list(self.list, f)?, ..self })
    }
}
