//! PruneFilters: a filter that is true of every row goes; one that is true of none leaves an empty relation.

use super::support::{empty_relation, is_false, is_null_literal, is_true};
use crate::base::{Result, Settings};
use crate::logical::{JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } if is_true(&condition) => *input,
            LogicalPlan::Filter { ref condition, ref input } if is_false(condition) || is_null_literal(condition) => {
                empty_relation(input.output())
            }
            LogicalPlan::Join(mut j) if j.condition.as_ref().is_some_and(is_true) => {
                j.condition = None;
                LogicalPlan::Join(j)
            }
            LogicalPlan::Join(ref j)
                if matches!(j.join_type, JoinType::Inner | JoinType::LeftSemi)
                    && j.condition.as_ref().is_some_and(|c| is_false(c) || is_null_literal(c)) =>
            {
                empty_relation(node.output())
            }
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::{boolean, null_boolean};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        assert_rewrites(apply, filtered(t.clone(), boolean(true)), &t);
        assert_rewrites(apply, filtered(t.clone(), boolean(false)), &empty_relation(t.output()));
        assert_rewrites(apply, filtered(t.clone(), null_boolean()), &empty_relation(t.output()));
    }

    #[test]
    fn leaves_an_open_condition() {
        let t = table("t", 10);
        assert_unchanged(apply, &filtered(t.clone(), greater(column(&t, "a"), 1)));
    }
}
