//! Interpreted face.

use std::sync::Arc;

use super::InMemoryTableScan;
use super::table::CachedTable;
use crate::base::Result;
use crate::base::settings::CACHE_PARTITION_PRUNING;
use crate::operators::SparkPlan;
use crate::operators::scan::{Scanned, scan};
use crate::rdd::{QueryContext, Rdd};

impl InMemoryTableScan {
    /// The partitions that the rows were computed in. Computes those that are not there.
    ///
    /// # Errors
    /// Those of computing the rows.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let prunes = context.settings.bool(&CACHE_PARTITION_PRUNING);
        let reading = self.cached.read()?;
        let scanned = Scanned {
            source: &CachedTable::new(reading.clone()),
            columns: &self.relation_output,
            output: &self.output,
            partition_filters: &[],
            buckets: None,
            data_filters: if prunes { &self.filters } else { &[] },
            kept: Some(reading),
        };
        scan(plan.name(), &scanned, plan, context)
    }
}
