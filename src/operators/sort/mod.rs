//! Sort: orders the rows of each partition.

mod external;
mod interpret;
mod keys;
mod top_k;

pub use external::Sorter;
pub use keys::{EncodedKeys, RangeBounds, SortKeys};

use crate::expr::SortOrder;

use super::Distribution;

#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    pub order: Vec<SortOrder>,
    /// The partitions must follow each other in this order too (required of the child, not done here).
    pub global: bool,
}

impl Sort {
    pub fn required_distribution(&self) -> Distribution {
        if self.global { Distribution::Ordered(self.order.clone()) } else { Distribution::Unspecified }
    }
}
