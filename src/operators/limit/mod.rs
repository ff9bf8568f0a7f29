//! Limits and top-K.

mod interpret;

use crate::expr::{Expr, SortOrder};

/// The first `limit` rows of the whole input in `order`, less the first `offset`, projected to `list`. One partition.
#[derive(Debug, Clone)]
pub struct TakeOrderedAndProject {
    pub limit: u64,
    pub offset: u64,
    pub order: Vec<SortOrder>,
    pub list: Vec<Expr>,
}

/// A limit at the root: any `limit` rows (all when absent), less the first `offset`; collecting takes partition by partition.
#[derive(Debug, Clone)]
pub struct CollectLimit {
    pub limit: Option<u64>,
    pub offset: u64,
}

/// At most `limit` rows of each partition.
#[derive(Debug, Clone)]
pub struct LocalLimit {
    pub limit: u64,
}

/// At most `limit` rows (all when absent) of the single partition, less the first `offset`. `limit` counts the skipped rows, as Spark's does.
#[derive(Debug, Clone)]
pub struct GlobalLimit {
    pub limit: Option<u64>,
    pub offset: u64,
}
