//! Range: the numbers `start, start + step, …` below (above) `end`, cut into `partitions` slices.

mod interpret;

use crate::base::Attribute;
use crate::expr::{Expr, SortOrder};

use super::properties::{Partitioning, ProvidedOrder};

#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    pub start: i64,
    pub end: i64,
    pub step: i64,
    pub partitions: usize,
    pub output: Attribute,
}

impl Range {
    /// Slices follow each other.
    pub fn output_partitioning(&self) -> Partitioning {
        match self.partitions {
            1 => Partitioning::Single,
            partitions => Partitioning::Range { order: self.order(), partitions },
        }
    }

    pub fn output_ordering(&self) -> Vec<ProvidedOrder> {
        self.order().into_iter().map(ProvidedOrder::from).collect()
    }

    fn order(&self) -> Vec<SortOrder> {
        let column = Expr::Attribute(self.output.clone());
        vec![if self.step > 0 { SortOrder::ascending(column) } else { SortOrder::descending(column) }]
    }
}
