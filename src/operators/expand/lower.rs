//! Compiled face of Expand: what follows is emitted once per projection.

use std::sync::Arc;

use super::Expand;
use crate::base::Result;
use crate::codegen::Op;
use crate::codegen::bounds::bounds;
use crate::codegen::value::union;
use crate::operators::SparkPlan;
use crate::operators::whole_stage::Region;

impl Expand {
    /// # Errors
    /// As for [`Region::lower`].
    pub fn lower(&self, plan: &Arc<SparkPlan>, region: &mut Region) -> Result<()> {
        region.add(plan.child())?;
        let bound =
            self.projections.iter().map(|p| p.iter().map(|e| region.bind(e)).collect::<Result<Vec<_>>>()).collect::<Result<Vec<_>>>()?;
        let ranges = (0..self.output.len()).map(|i| bound.iter().map(|p| bounds(&p[i], &region.bounds)).reduce(union).flatten()).collect();
        region.most_rows = region.most_rows.and_then(|n| n.checked_mul(bound.len() as u64));
        region.push(plan, Op::Expand(bound), self.output.clone(), ranges);
        Ok(())
    }
}
