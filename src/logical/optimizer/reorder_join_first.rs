//! ReorderJoin once before conditions are simplified, under Spark's profile: there it is the first rule of its batch, and what
//! simplification finds in a disjunction links no inputs yet.

use super::{push_down_predicates, reorder_join};
use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if !settings.plans_as_spark() {
        return Ok(plan);
    }
    // Past subqueries to the joins below, which Spark has right below the filter.
    let plan = plan.transform_down(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } if matches!(*input, LogicalPlan::Apply(_)) => {
                push_down_predicates::one(condition, *input, true)
            }
            other => other,
        })
    })?;
    reorder_join::apply(plan, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::JoinType;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn orders_inputs_by_the_conditions_as_written() {
        let (a, b, c) = (table("a", 10), table("b", 10), table("c", 10));
        let cross = |l, r| support::join(l, r, JoinType::Cross, vec![]);
        let (ac, cb) = (equals(column(&a, "a"), column(&c, "a")), equals(column(&c, "b"), column(&b, "b")));
        let plan = filtered(cross(cross(a.clone(), b.clone()), c.clone()), and(ac.clone(), cb.clone()));
        assert_unchanged(apply, &plan);
        let mut cluster = Settings::new();
        cluster.set("planner.profile", "cluster").unwrap();
        let after = apply(plan.clone(), &cluster).unwrap();
        assert_eq!(after.output(), plan.output());
        let LogicalPlan::Project { input, .. } = &after else { panic!("{after:?}") };
        assert_eq!(**input, inner_join(inner_join(a, c, ac), b, cb));
    }
}
