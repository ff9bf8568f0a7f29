//! ReorderJoin: joins without a condition are avoided where another order of the inputs has one (`FROM a, b, c` with `a.x = c.x AND
//! c.y = b.y`). Left-deep, in the order written as far as possible; no statistics.

use super::join_group::{JoinGroup, Mask, Tree, take_apart};
use crate::base::{Result, Settings};
use crate::logical::{JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
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
