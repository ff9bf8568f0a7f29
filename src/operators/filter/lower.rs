//! Compiled face of Filter.
//!
//! ```text
//! if !(c1 & c2 & …) { continue }
//! ```

use std::sync::Arc;

use super::Filter;
use crate::base::Result;
use crate::codegen::Op;
use crate::codegen::value::{Bounds, intersect};
use crate::expr::{ComparisonOp, Expr};
use crate::operators::SparkPlan;
use crate::operators::whole_stage::Region;

impl Filter {
    /// # Errors
    /// As for [`Region::lower`].
    pub fn lower(&self, plan: &Arc<SparkPlan>, region: &mut Region) -> Result<()> {
        region.add(plan.child())?;
        let conjuncts = region.bind(&self.condition)?.split_conjunction();
        let mut bounds = region.bounds.clone();
        let mut attributes = region.attributes.clone();
        for c in &conjuncts {
            narrow(c, &mut bounds);
            if let Expr::IsNotNull(inner) = c
                && let Expr::Column { index, .. } = inner.as_ref()
            {
                attributes[*index].nullable = false;
            }
        }
        region.push(plan, Op::Filter(conjuncts), attributes, bounds);
        Ok(())
    }
}

/// What a comparison with a literal says about a column's bounds.
fn narrow(conjunct: &Expr, bounds: &mut [Option<Bounds>]) {
    let Expr::Comparison { op, left, right } = conjunct else { return };
    let (op, column, literal) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column { index, .. }, Expr::Literal(l)) => (*op, *index, l),
        (Expr::Literal(l), Expr::Column { index, .. }) => (op.swapped(), *index, l),
        _ => return,
    };
    let Some(v) = literal.as_i128() else { return };
    let range = match op {
        ComparisonOp::Equal | ComparisonOp::EqualNullSafe => (v, v),
        ComparisonOp::Less | ComparisonOp::LessOrEqual => (i128::MIN, v),
        ComparisonOp::Greater | ComparisonOp::GreaterOrEqual => (v, i128::MAX),
        ComparisonOp::NotEqual => return,
    };
    if bounds[column].is_some() {
        bounds[column] = intersect(bounds[column], Some(range));
    }
}
