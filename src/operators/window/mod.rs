//! Window: one more column per window call, over rows grouped by `partition_by` and sorted by `order_by`.

mod interpret;

use crate::expr::{Expr, SortOrder};

#[derive(Debug, Clone)]
pub struct Window {
    /// `Alias`es of `Expr::Window`, all of this partitioning and ordering.
    pub calls: Vec<Expr>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortOrder>,
}
