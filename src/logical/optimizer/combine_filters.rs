//! CombineFilters: a filter over a filter becomes one, the lower condition first.

use std::mem;

use super::support::{filter, unique};
use crate::base::{Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } => combine(condition, *input),
            other => other,
        })
    })
}

/// A filter with this condition over `input`, merged with a filter that `input` is.
pub fn combine(condition: Expr, mut input: LogicalPlan) -> LogicalPlan {
    let mut conditions = vec![condition];
    while let LogicalPlan::Filter { condition, input: below } = &mut input {
        // A condition that differs from call to call must see the same rows as before.
        if !condition.is_deterministic() || !conditions.iter().all(Expr::is_deterministic) {
            break;
        }
        let below = mem::replace(&mut **below, LogicalPlan::OneRowRelation);
        conditions.push(mem::replace(condition, Expr::Coalesce(vec![])));
        input = below;
    }
    let conjuncts = unique(conditions.into_iter().rev().flat_map(Expr::split_conjunction).collect());
    filter(conjuncts, input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let (a, b) = (column(&t, "a"), column(&t, "b"));
        let plan = filtered(filtered(t.clone(), greater(a.clone(), 1)), greater(b.clone(), 2));
        let expected = filtered(t, and(greater(a, 1), greater(b, 2)));
        assert_rewrites(apply, plan, &expected);
    }

    #[test]
    fn keeps_random_conditions_apart() {
        let t = table("t", 10);
        let plan = filtered(filtered(t.clone(), random_below(0.5)), greater(column(&t, "a"), 2));
        assert_unchanged(apply, &plan);
    }
}
