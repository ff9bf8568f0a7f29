//! Scans of cached queries.

mod interpret;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::RecordBatch;

use super::{Partitioning, ProvidedOrder, SparkPlan};
use crate::base::{Attribute, Result, Schema, interrupt};
use crate::datasource::{MemoryTable, TableSource};
use crate::expr::Expr;
use crate::logical::statistics::Statistics;
use crate::logical::{CachedRows, StorageLevel};

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

/// Computes all rows of a plan, by partition.
pub type Compute = Box<dyn Fn() -> Result<Vec<Vec<RecordBatch>>> + Send + Sync>;

/// A planned query whose rows are kept in memory from their first use on.
pub struct CachedPlan {
    /// Of the table or view that was cached by name.
    pub name: Option<Arc<str>>,
    pub level: StorageLevel,
    /// The physical plan that computes the rows.
    pub plan: Arc<SparkPlan>,
    /// Its tree.
    pub plan_text: String,
    pub expected: Statistics,
    /// Rows per batch.
    pub batch_rows: usize,
    pub compute: Compute,
    pub rows: OnceLock<Arc<dyn TableSource>>,
    /// Held while the rows are computed, so that this happens once.
    pub running: Mutex<()>,
}

impl CachedPlan {
    /// The rows, computed if they are not there; whoever comes meanwhile waits. Called by those who drive a query, never by its
    /// tasks: the computation needs the workers.
    ///
    /// # Errors
    /// Those of the query; nothing is kept then, and the next caller tries again.
    pub fn materialise(&self) -> Result<&Arc<dyn TableSource>> {
        let _running = interrupt::lock(&self.running)?;
        if let Some(rows) = self.rows.get() {
            return Ok(rows);
        }
        let schema = Schema::new(self.plan.output().iter().map(Attribute::to_field).collect());
        let rows = MemoryTable::in_batches(schema, (self.compute)()?, self.batch_rows)?;
        Ok(self.rows.get_or_init(|| rows))
    }
}

impl Debug for CachedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedPlan({:?}, {})", self.name, self.level)
    }
}

impl CachedRows for CachedPlan {
    fn storage_level(&self) -> StorageLevel {
        self.level
    }

    fn output(&self) -> Vec<Attribute> {
        self.plan.output()
    }

    fn computed(&self) -> Option<&Arc<dyn TableSource>> {
        self.rows.get()
    }

    fn expected(&self) -> &Statistics {
        &self.expected
    }

    fn plan_text(&self) -> &str {
        &self.plan_text
    }
}
