//! CombineUnions: a union within a union is one union.

use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        let LogicalPlan::Union { inputs, output } = node else { return Ok(node) };
        let same_types = |inner: &[crate::base::Attribute]| {
            inner.len() == output.len() && inner.iter().zip(&output).all(|(i, o)| i.data_type == o.data_type)
        };
        let inputs = inputs
            .into_iter()
            .flat_map(|input| match input {
                // Columns go by position, so the outer names apply.
                LogicalPlan::Union { inputs, output: inner } if same_types(&inner) => inputs,
                other => vec![other],
            })
            .collect();
        Ok(LogicalPlan::Union { inputs, output })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let [t, u, v] = ["t", "u", "v"].map(|n| table(n, 10));
        let output = |p: &LogicalPlan| p.output().iter().map(|a| a.fresh()).collect::<Vec<_>>();
        let inner = LogicalPlan::Union { output: output(&t), inputs: vec![t.clone(), u.clone()] };
        let outer = output(&t);
        let plan = LogicalPlan::Union { output: outer.clone(), inputs: vec![inner, v.clone()] };
        assert_rewrites(apply, plan, &LogicalPlan::Union { output: outer, inputs: vec![t, u, v] });
    }

    #[test]
    fn leaves_a_flat_union() {
        let [t, u] = ["t", "u"].map(|n| table(n, 10));
        assert_unchanged(apply, &LogicalPlan::Union { output: t.output(), inputs: vec![t, u] });
    }
}
