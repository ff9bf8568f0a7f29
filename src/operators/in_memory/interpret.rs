//! Interpreted face.

use std::sync::Arc;

use super::InMemoryTableScan;
use crate::base::Result;
use crate::base::settings::CACHE_PARTITION_PRUNING;
use crate::operators::SparkPlan;
use crate::operators::scan::{Scanned, scan};
use crate::rdd::{QueryContext, Rdd};

impl InMemoryTableScan {
    /// The partitions that the rows were computed in. Computes the rows if nobody has yet.
    ///
    /// # Errors
    /// Those of computing the rows.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let prunes = context.settings.bool(&CACHE_PARTITION_PRUNING);
        let scanned = Scanned {
            source: self.cached.materialise()?.as_ref(),
            columns: &self.relation_output,
            output: &self.output,
            partition_filters: &[],
            buckets: None,
            data_filters: if prunes { &self.filters } else { &[] },
        };
        scan(plan.name(), &scanned, plan, context)
    }
}
