//! PushDownPredicates: filters move towards the tables, through one operator after the other, and meet other filters on the way.

use super::{combine_filters, push_predicate_through_join, push_predicate_through_non_join};
use crate::base::{Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    // Top-down: a filter moved below an operator is met again there, so one pass takes it all the way.
    plan.transform_down(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } => one(condition, *input, settings.plans_as_spark()),
            LogicalPlan::Join(join) => LogicalPlan::Join(push_predicate_through_join::push_condition(join)),
            other => other,
        })
    })
}

/// A filter moved through the operator below it.
pub fn one(condition: Expr, input: LogicalPlan, filter_first: bool) -> LogicalPlan {
    match combine_filters::combine(condition, input) {
        LogicalPlan::Filter { condition, input } => match *input {
            LogicalPlan::Join(join) => push_predicate_through_join::push_filter(condition, join, filter_first),
            other => push_predicate_through_non_join::push(condition, other),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::project;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn takes_a_filter_to_its_table_in_one_pass() {
        let (t, u) = (table("t", 10), table("u", 10));
        let (a, b) = (column(&t, "a"), column(&u, "a"));
        let on = equals(a.clone(), b.clone());
        let plan = filtered(project(vec![a.clone(), b.clone()], inner_join(t.clone(), u.clone(), on.clone())), greater(b.clone(), 3));
        let expected = project(vec![a, b.clone()], inner_join(t, filtered(u, greater(b, 3)), on));
        assert_rewrites(apply, plan, &expected);
    }

    #[test]
    fn leaves_a_filter_on_a_table() {
        let t = table("t", 10);
        assert_unchanged(apply, &filtered(t.clone(), greater(column(&t, "a"), 3)));
    }
}
