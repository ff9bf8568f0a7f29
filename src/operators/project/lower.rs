//! Compiled face of Project: nothing by itself; each column is computed where it is first used.

use std::sync::Arc;

use super::Project;
use crate::base::Result;
use crate::codegen::Op;
use crate::codegen::bounds::bounds;
use crate::expr::Expr;
use crate::operators::SparkPlan;
use crate::operators::whole_stage::Region;

impl Project {
    /// # Errors
    /// As for [`Region::lower`].
    pub fn lower(&self, plan: &Arc<SparkPlan>, region: &mut Region) -> Result<()> {
        region.add(plan.child())?;
        project(&self.list, plan, region)
    }
}

/// Adds a projection to `list` (attributes and aliases) to the pipeline.
///
/// # Errors
/// As for [`Region::lower`].
pub fn project(list: &[Expr], plan: &SparkPlan, region: &mut Region) -> Result<()> {
    let bound = list.iter().map(|e| region.bind(e)).collect::<Result<Vec<_>>>()?;
    let attributes = list.iter().zip(&bound).map(|(e, b)| e.to_attribute().with_nullable(b.nullable())).collect();
    let ranges = bound.iter().map(|e| bounds(e, &region.bounds)).collect();
    region.push(plan, Op::Project(bound), attributes, ranges);
    Ok(())
}
