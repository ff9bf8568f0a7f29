//! ReorderJoin: joins without a condition are avoided where another order of the inputs has one (`FROM a, b, c` with `a.x = c.x AND
//! c.y = b.y`). Left-deep, in the order written as far as possible; no statistics.

use std::collections::BTreeSet;

use super::join_group::{JoinGroup, Mask, Tree, take_apart};
use super::support::{attribute, conjuncts, filter, join, project, refers_only_to};
use crate::base::{ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::{Join, JoinHint, JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if settings.plans_as_spark() {
        return plan.transform_down(&mut |node| Ok(ordered_as_spark(node)));
    }
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || reorder(plan)?.map_children(&mut |c| apply(c, &Settings::new())))
}

fn reorder(plan: LogicalPlan) -> Result<LogicalPlan> {
    // Most plans have no cross join at all: leave them as they are.
    if !has_cross_join(&plan) {
        return Ok(plan);
    }
    let original = plan.clone();
    let Ok(group) = take_apart(plan) else { return Ok(original) };
    let order = ordered(&group);
    if cross_joins(&group, &order) < cross_joins(&group, &group.tree) { Ok(group.build(&order)) } else { Ok(original) }
}

fn has_cross_join(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(j) if matches!(j.join_type, JoinType::Inner | JoinType::Cross) => {
            j.condition.is_none() || has_cross_join(&j.left) || has_cross_join(&j.right)
        }
        LogicalPlan::Project { input, .. } => has_cross_join(input),
        _ => false,
    }
}

fn cross_joins(group: &JoinGroup, tree: &Tree) -> usize {
    match tree {
        Tree::Input(_) => 0,
        Tree::Join(l, r) => usize::from(!group.connected(l.mask(), r.mask())) + cross_joins(group, l) + cross_joins(group, r),
    }
}

fn ordered(group: &JoinGroup) -> Tree {
    let mut tree = Tree::Input(0);
    let mut waiting: Vec<usize> = (1..group.inputs.len()).collect();
    while !waiting.is_empty() {
        let mask: Mask = tree.mask();
        let next = waiting.iter().position(|i| group.connected(mask, 1 << i)).unwrap_or(0);
        tree = Tree::join(tree, Tree::Input(waiting.remove(next)));
    }
    tree
}

/// The inner joins down the left side, and the filters between them, in Spark's order: the first input, then always the first one that
/// some condition links with those joined so far, else the next. Only conditions as they are written link.
fn ordered_as_spark(plan: LogicalPlan) -> LogicalPlan {
    let (mut inputs, mut conditions) = (vec![], vec![]);
    take_left_spine(&plan, &mut inputs, &mut conditions);
    if inputs.len() < 3 || conditions.is_empty() {
        return plan;
    }
    let output = plan.output();
    let mut joined = inputs.remove(0);
    while !inputs.is_empty() {
        let left = joined.output_set();
        let links = |input: &LogicalPlan| {
            let right = input.output_set();
            let both = left.union(&right).copied().collect();
            conditions.iter().any(|c: &Expr| {
                let within = |ids: &BTreeSet<ExprId>| !c.references().is_empty() && refers_only_to(c, ids);
                !within(&left) && !within(&right) && refers_only_to(c, &both)
            })
        };
        let right = inputs.remove(inputs.iter().position(links).unwrap_or(0));
        let both = left.union(&right.output_set()).copied().collect();
        let (now, later): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|c| refers_only_to(c, &both));
        conditions = later;
        let join_type = if now.is_empty() { JoinType::Cross } else { JoinType::Inner };
        joined = join(joined, right, join_type, now);
    }
    let joined = filter(conditions, joined);
    if joined.output() == output { joined } else { project(output.iter().map(attribute).collect(), joined) }
}

fn take_left_spine(plan: &LogicalPlan, inputs: &mut Vec<LogicalPlan>, conditions: &mut Vec<Expr>) {
    match plan {
        LogicalPlan::Join(j) if is_plain(j) => {
            take_left_spine(&j.left, inputs, conditions);
            inputs.push((*j.right).clone());
            conditions.extend(conjuncts(j.condition.clone()));
        }
        LogicalPlan::Filter { condition, input }
            if condition.is_deterministic() && matches!(&**input, LogicalPlan::Join(j) if is_plain(j)) =>
        {
            take_left_spine(input, inputs, conditions);
            conditions.extend(condition.clone().split_conjunction());
        }
        other => inputs.push(other.clone()),
    }
}

fn is_plain(j: &Join) -> bool {
    j.join_type.is_inner() && j.hint == JoinHint::default() && j.condition.as_ref().is_none_or(Expr::is_deterministic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn avoids_a_cross_join() {
        let (a, b, c) = (table("a", 10), table("b", 10), table("c", 10));
        let cross = support::join(a.clone(), b.clone(), JoinType::Cross, vec![]);
        let on = vec![equals(column(&a, "a"), column(&c, "a")), equals(column(&c, "b"), column(&b, "b"))];
        let plan = support::join(cross, c, JoinType::Inner, on);
        let after = applied(apply, plan.clone());
        assert_eq!(plan.output(), after.output());
        assert!(joins(&after).iter().all(|j| j.condition.is_some()), "{after:?}");
    }

    #[test]
    fn leaves_an_order_without_cross_joins() {
        let (a, b, c) = (table("a", 10), table("b", 10), table("c", 10));
        let ab = inner_join(a.clone(), b.clone(), equals(column(&a, "a"), column(&b, "a")));
        assert_unchanged(apply, &inner_join(ab, c.clone(), equals(column(&b, "b"), column(&c, "b"))));
    }
}
