//! Cached queries and scans of them.
//!
//! The rows of a cached query are kept by partition, each as what a map task leaves for one reducer ([`MapOutput`]): it is written by
//! the task that computes the partition, goes to a file when others need its memory, and is read from there all the same. A query that
//! reads the rows [holds](table::Reading) them until it ends. What is lost nevertheless (a file that is gone or corrupt) it computes again by
//! the plan, and reads again; what has been dropped before, since it is for memory only, is computed before it begins. Where one partition that
//! is computed again may not fit the others ([`repeatable`]), all are, before the query that comes next.
//!
//! [`MapOutput`]: crate::rdd::MapOutput

mod interpret;
mod plan;
mod repeatable;
mod table;

pub use plan::{CachedPlan, Compute, Partition};
pub use repeatable::is_repeatable;

use std::sync::Arc;

use super::{Partitioning, ProvidedOrder};
use crate::base::Attribute;
use crate::expr::Expr;

/// Reads the rows of a cached query.
#[derive(Debug, Clone)]
pub struct InMemoryTableScan {
    pub cached: Arc<CachedPlan>,
    /// All columns of the cached query as attributes of this scan, by position.
    pub relation_output: Vec<Attribute>,
    /// The columns read, of `relation_output`.
    pub output: Vec<Attribute>,
    /// Conjuncts by which batches may be passed over; a Filter above tests them again.
    pub filters: Vec<Expr>,
}

impl PartialEq for InMemoryTableScan {
    fn eq(&self, other: &Self) -> bool {
        let Self { cached, relation_output, output, filters } = self;
        Arc::ptr_eq(cached, &other.cached)
            && *relation_output == other.relation_output
            && *output == other.output
            && *filters == other.filters
    }
}

impl InMemoryTableScan {
    /// That of the cached plan, under this scan's attributes.
    pub fn output_partitioning(&self) -> Partitioning {
        self.cached.plan.output_partitioning().renamed(&self.cached.plan.output(), &self.relation_output)
    }

    /// As for the partitioning.
    pub fn output_ordering(&self) -> Vec<ProvidedOrder> {
        let from = self.cached.plan.output();
        self.cached.plan.output_ordering().into_iter().map(|o| o.renamed(&from, &self.relation_output)).collect()
    }
}
