//! ReplaceDistinctWithAggregate: DISTINCT groups by all columns.

use super::support::{attributes, without_maps};
use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            // Without columns all rows are equal: one remains of many, none of none.
            LogicalPlan::Distinct { input } if input.output().is_empty() => LogicalPlan::Limit { limit: Some(1), offset: 0, input },
            LogicalPlan::Distinct { input } => {
                let input = Box::new(without_maps(*input)?);
                let list = attributes(&input);
                LogicalPlan::Aggregate { grouping: list.clone(), list, input }
            }
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let list = attributes(&t);
        assert_rewrites(apply, LogicalPlan::Distinct { input: Box::new(t.clone()) }, &grouped(list.clone(), list, t));
    }

    #[test]
    fn leaves_others() {
        assert_unchanged(apply, &table("t", 10));
    }
}
