//! PushPredicateThroughJoin: conjuncts over one side of a join move to that side, where the join type allows; conjuncts over both
//! sides of an inner join become its condition.
//!
//! | conjunct over | in a filter above moves for | in the join condition moves for |
//! | --- | --- | --- |
//! | left | all but right and full outer | inner, left semi, right outer |
//! | right | inner, right outer | all but right outer, full outer and null-aware anti |

use std::collections::BTreeSet;

use super::support::{conjuncts, filter, refers_only_to};
use crate::base::ExprId;
use crate::expr::Expr;
use crate::logical::{Join, JoinType, LogicalPlan};

/// Conjuncts by what they use.
struct Split {
    left: Vec<Expr>,
    right: Vec<Expr>,
    rest: Vec<Expr>,
}

fn split(conjuncts: Vec<Expr>, left_ids: &BTreeSet<ExprId>, right_ids: &BTreeSet<ExprId>, to_left: bool, to_right: bool) -> Split {
    let mut out = Split { left: vec![], right: vec![], rest: vec![] };
    for c in conjuncts {
        if !c.is_deterministic() {
            out.rest.push(c);
        } else if to_left && refers_only_to(&c, left_ids) {
            out.left.push(c);
        } else if to_right && refers_only_to(&c, right_ids) {
            out.right.push(c);
        } else {
            out.rest.push(c);
        }
    }
    out
}

fn add(side: &mut Box<LogicalPlan>, conjuncts: Vec<Expr>) {
    if !conjuncts.is_empty() {
        let plan = std::mem::replace(&mut **side, LogicalPlan::OneRowRelation);
        **side = filter(conjuncts, plan);
    }
}

/// A filter over a join, its conjuncts moved below or into the join.
pub fn push_filter(condition: Expr, mut join: Join, filter_first: bool) -> LogicalPlan {
    let (to_left, to_right) = match join.join_type {
        JoinType::Inner | JoinType::Cross => (true, true),
        JoinType::RightOuter => (false, true),
        JoinType::FullOuter => (false, false),
        JoinType::LeftOuter
        | JoinType::LeftSingle
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::NullAwareAnti
        | JoinType::Existence(_) => (true, false),
    };
    let split = split(condition.split_conjunction(), &join.left.output_set(), &join.right.output_set(), to_left, to_right);
    add(&mut join.left, split.left);
    add(&mut join.right, split.right);
    if !join.join_type.is_inner() {
        return filter(split.rest, LogicalPlan::Join(join));
    }
    let (both, random): (Vec<_>, Vec<_>) = split.rest.into_iter().partition(Expr::is_deterministic);
    if !both.is_empty() {
        join.join_type = JoinType::Inner;
        let (own, new) = (conjuncts(join.condition), both);
        join.condition = Expr::conjunction(if filter_first { [new, own].concat() } else { [own, new].concat() });
    }
    filter(random, LogicalPlan::Join(push_condition(join)))
}

/// The join with one-sided conjuncts of its condition moved to that side.
pub fn push_condition(mut join: Join) -> Join {
    let (to_left, to_right) = match join.join_type {
        JoinType::Inner | JoinType::Cross | JoinType::LeftSemi => (true, true),
        JoinType::RightOuter => (true, false),
        JoinType::LeftOuter | JoinType::LeftSingle | JoinType::LeftAnti | JoinType::Existence(_) => (false, true),
        // Full outer joins keep all rows; a null-aware anti join looks at all of the right side.
        JoinType::FullOuter | JoinType::NullAwareAnti => (false, false),
    };
    let Some(condition) = join.condition.take() else { return join };
    let split = split(condition.split_conjunction(), &join.left.output_set(), &join.right.output_set(), to_left, to_right);
    add(&mut join.left, split.left);
    add(&mut join.right, split.right);
    join.condition = Expr::conjunction(split.rest);
    join
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::push_down_predicates::apply;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn filters_move_by_join_type() {
        let (t, u) = (table("t", 10), table("u", 10));
        let (a, b) = (column(&t, "a"), column(&u, "a"));
        let on = equals(a.clone(), b.clone());
        let both = and(greater(a.clone(), 1), greater(b.clone(), 2));
        let (ft, fu) = (filtered(t.clone(), greater(a.clone(), 1)), filtered(u.clone(), greater(b.clone(), 2)));
        let joined = |l: &LogicalPlan, r: &LogicalPlan, j| support::join(l.clone(), r.clone(), j, vec![on.clone()]);
        assert_rewrites(apply, filtered(joined(&t, &u, JoinType::Inner), both.clone()), &joined(&ft, &fu, JoinType::Inner));
        assert_rewrites(
            apply,
            filtered(joined(&t, &u, JoinType::LeftOuter), both.clone()),
            &filtered(joined(&ft, &u, JoinType::LeftOuter), greater(b.clone(), 2)),
        );
        assert_rewrites(
            apply,
            filtered(joined(&t, &u, JoinType::RightOuter), both.clone()),
            &filtered(joined(&t, &fu, JoinType::RightOuter), greater(a.clone(), 1)),
        );
        assert_unchanged(apply, &filtered(joined(&t, &u, JoinType::FullOuter), both));
    }

    #[test]
    fn conditions_move_by_join_type() {
        let (t, u) = (table("t", 10), table("u", 10));
        let (a, b) = (column(&t, "a"), column(&u, "a"));
        let on = equals(a.clone(), b.clone());
        let (left, right) = (greater(a.clone(), 1), greater(b.clone(), 2));
        let (ft, fu) = (filtered(t.clone(), left.clone()), filtered(u.clone(), right.clone()));
        let all = vec![on.clone(), left.clone(), right.clone()];
        let join = |j| support::join(t.clone(), u.clone(), j, all.clone());
        let with = |l: &LogicalPlan, r: &LogicalPlan, j, c: Vec<Expr>| support::join(l.clone(), r.clone(), j, c);
        for j in [JoinType::Inner, JoinType::LeftSemi] {
            assert_rewrites(apply, join(j.clone()), &with(&ft, &fu, j, vec![on.clone()]));
        }
        for j in [JoinType::LeftOuter, JoinType::LeftAnti] {
            assert_rewrites(apply, join(j.clone()), &with(&t, &fu, j, vec![on.clone(), left.clone()]));
        }
        assert_rewrites(apply, join(JoinType::RightOuter), &with(&ft, &u, JoinType::RightOuter, vec![on.clone(), right]));
        assert_unchanged(apply, &join(JoinType::FullOuter));
        assert_unchanged(apply, &join(JoinType::NullAwareAnti));
    }

    #[test]
    fn an_equality_makes_a_cross_join_inner() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = equals(column(&t, "a"), column(&u, "a"));
        let cross = support::join(t.clone(), u.clone(), JoinType::Cross, vec![]);
        assert_rewrites(apply, filtered(cross, on.clone()), &inner_join(t, u, on));
    }
}
