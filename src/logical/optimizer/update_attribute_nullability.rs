//! UpdateAttributeNullability: columns are used with the nullability that the operator below gives them now.

use std::collections::HashMap;

use crate::base::{ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        let known: HashMap<ExprId, bool> = node.children().iter().flat_map(|c| c.output()).map(|a| (a.id, a.nullable)).collect();
        let node = node.map_expressions(&mut |e| {
            Ok(e.replace(&mut |e| match e {
                Expr::Attribute(mut a) => {
                    a.nullable = known.get(&a.id).copied().unwrap_or(a.nullable);
                    Ok(Expr::Attribute(a))
                }
                other => Err(other),
            }))
        })?;
        Ok(match node {
            LogicalPlan::Union { inputs, mut output } => {
                let outputs: Vec<_> = inputs.iter().map(LogicalPlan::output).collect();
                for (i, a) in output.iter_mut().enumerate() {
                    a.nullable = outputs.iter().any(|o| o.get(i).is_none_or(|c| c.nullable));
                }
                LogicalPlan::Union { inputs, output }
            }
            LogicalPlan::Expand { projections, mut output, input } => {
                for (i, a) in output.iter_mut().enumerate() {
                    a.nullable = projections.iter().any(|p| p.get(i).is_none_or(Expr::nullable));
                }
                LogicalPlan::Expand { projections, output, input }
            }
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::JoinType;
    use crate::logical::optimizer::support::{self, project};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn follows_outer_joins_both_ways() {
        let (t, u) = (table("t", 10), table("u", 10));
        let key = column(&u, "k");
        let on = vec![equals(column(&t, "k"), key.clone())];
        for (join_type, nullable) in [(JoinType::LeftOuter, true), (JoinType::Inner, false)] {
            let plan = project(vec![key.clone()], support::join(t.clone(), u.clone(), join_type, on.clone()));
            assert_eq!(applied(apply, plan).output()[0].nullable, nullable);
        }
    }
}
