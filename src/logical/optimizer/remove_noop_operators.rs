//! RemoveNoopOperators: operators that pass on what they get disappear.

use super::support::attributes;
use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Project { list, input } if list == attributes(&input) => *input,
            LogicalPlan::Limit { limit: None, offset: 0, input } => *input,
            LogicalPlan::Window { calls, input, .. } if calls.is_empty() => *input,
            LogicalPlan::Sort { order, input, .. } if order.is_empty() => *input,
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::project;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        assert_rewrites(apply, project(attributes(&t), t.clone()), &t);
    }

    #[test]
    fn keeps_a_reordering() {
        let t = table("t", 10);
        let mut list = attributes(&t);
        list.reverse();
        assert_unchanged(apply, &project(list, t));
    }
}
