//! EliminateResolvedHint: hints leave the relations they stand on and become part of the joins that they are for.
//!
//! A hint is for the next join above it, through any operators of one input; of several the outermost counts. Hints on subqueries
//! wait until these are joins. What no join takes is dropped with a warning.

use crate::base::warning::warn;
use crate::base::{Result, Settings};
use crate::logical::{Apply, JoinHint, JoinHintStrategy, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    let plan = plan.transform_up(&mut |node| {
        let LogicalPlan::Join(mut j) = node else { return Ok(node) };
        if j.hint == JoinHint::default() {
            let (left, left_hint) = extract(*j.left)?;
            let (right, right_hint) = extract(*j.right)?;
            j.left = Box::new(left);
            j.right = Box::new(right);
            j.hint = JoinHint { left: left_hint, right: right_hint };
        }
        Ok(LogicalPlan::Join(j))
    })?;
    drop_hints(plan, false)
}

/// The side of a join without its hints, and the one that counts.
fn extract(plan: LogicalPlan) -> Result<(LogicalPlan, Option<JoinHintStrategy>)> {
    if let LogicalPlan::Hint { strategy, input } = plan {
        let (plan, inner) = extract(*input)?;
        return Ok((plan, Some(inner.map_or(strategy, |inner| strategy.over(inner)))));
    }
    let mut found = None;
    let plan = along(plan, &mut |input, passes| {
        if !passes {
            return Ok(input);
        }
        let (input, hint) = stacker::maybe_grow(64 * 1024, 1024 * 1024, || extract(input))?;
        found = hint;
        Ok(input)
    })?;
    Ok((plan, found))
}

/// The same node with `f` applied to each child, told whether a hint on that child is one on the node.
fn along(plan: LogicalPlan, f: &mut dyn FnMut(LogicalPlan, bool) -> Result<LogicalPlan>) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Apply(a) => {
            Ok(LogicalPlan::Apply(Apply { input: Box::new(f(*a.input, true)?), subquery: Box::new(f(*a.subquery, false)?), ..a }))
        }
        LogicalPlan::SetOperation { operation, all, left, right } => {
            Ok(LogicalPlan::SetOperation { operation, all, left: Box::new(f(*left, true)?), right: Box::new(f(*right, false)?) })
        }
        other => {
            let unary = other.children().len() == 1;
            other.map_children(&mut |child| f(child, unary))
        }
    }
}

/// `keep`: hints on the plan itself, which is a subquery not yet joined.
fn drop_hints(plan: LogicalPlan, keep: bool) -> Result<LogicalPlan> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match plan {
        LogicalPlan::Hint { strategy, input } if keep => Ok(LogicalPlan::Hint { strategy, input: Box::new(drop_hints(*input, keep)?) }),
        LogicalPlan::Hint { strategy, input } => {
            warn(format!("A join hint ({strategy}) is specified but it is not part of a join relation."));
            drop_hints(*input, keep)
        }
        LogicalPlan::Apply(a) => {
            let (input, subquery) = (drop_hints(*a.input, keep)?, drop_hints(*a.subquery, true)?);
            Ok(LogicalPlan::Apply(Apply { input: Box::new(input), subquery: Box::new(subquery), ..a }))
        }
        other => along(other, &mut |child, passes| drop_hints(child, keep && passes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::warning::gather;
    use crate::logical::JoinHintStrategy::{Broadcast, Merge};
    use crate::logical::optimizer::testing::*;

    fn hint(strategy: JoinHintStrategy, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Hint { strategy, input: Box::new(input) }
    }

    #[test]
    fn hints_reach_the_next_join_through_operators_of_one_input() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = equals(column(&t, "a"), column(&u, "a"));
        let left = filtered(hint(Merge, hint(Broadcast, t.clone())), greater(column(&t, "a"), 1));
        let (after, warnings) = gather(|| applied(apply, inner_join(left, hint(Broadcast, u.clone()), on.clone())));
        assert_eq!(joins(&after)[0].hint, JoinHint { left: Some(Merge), right: Some(Broadcast) });
        assert_eq!(warnings, ["Hint (strategy=broadcast) is overridden by another hint and will not take effect."]);
        // Not past another join.
        let inner = inner_join(hint(Merge, t.clone()), u.clone(), on.clone());
        let (after, warnings) = gather(|| applied(apply, inner_join(inner, table("v", 10), greater(column(&t, "b"), 1))));
        assert_eq!(joins(&after).iter().map(|j| j.hint.left).collect::<Vec<_>>(), [None, Some(Merge)]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn a_hint_without_a_join_is_dropped_with_a_warning() {
        let t = table("t", 10);
        let (after, warnings) = gather(|| applied(apply, hint(Broadcast, t.clone())));
        assert_eq!(after, t);
        assert_eq!(warnings, ["A join hint (strategy=broadcast) is specified but it is not part of a join relation."]);
    }
}
