//! `execute`: from a physical plan to the lineage that computes it.

use std::sync::Arc;

use super::SparkPlan;
use crate::base::Result;
use crate::rdd::{QueryContext, Rdd};

impl SparkPlan {
    /// Describes the computation; runs nothing (broadcasts aside, which start in the background).
    ///
    /// # Errors
    /// What planning scans and binding expressions meets.
    pub fn execute(self: &Arc<Self>, _context: &Arc<QueryContext>) -> Result<Rdd> {
        todo!()
    }
}
