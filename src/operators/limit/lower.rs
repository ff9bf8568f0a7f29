//! Compiled face of LocalLimit: a counter in the task's state.

use std::sync::Arc;

use super::LocalLimit;
use crate::base::Result;
use crate::codegen::Op;
use crate::operators::SparkPlan;
use crate::operators::whole_stage::{Object, Region};

impl LocalLimit {
    /// ```text
    /// if wanted == 0 { return Stop }
    /// wanted -= 1
    /// ```
    ///
    /// # Errors
    /// As for [`Region::lower`].
    pub fn lower(&self, plan: &Arc<SparkPlan>, region: &mut Region) -> Result<()> {
        region.add(plan.child())?;
        let slot = region.layout.reserve();
        region.objects.push(Object::Counter { slot, start: self.limit });
        region.push(plan, Op::Limit(slot), region.attributes.clone(), region.bounds.clone());
        Ok(())
    }
}
