//! InferFiltersFromConstraints: what joins and filters imply of each side becomes a filter of its own.
//!
//! `a = b AND a > 5` in an inner join implies `b > 5`; columns that a condition compares are not NULL.

use std::collections::HashSet;

use super::constraints::{constraints, with_consequences};
use super::support::{conjuncts, filter, refers_only_to};
use crate::base::{Result, Settings};
use crate::expr::Expr;
use crate::logical::{Join, JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } => {
                let known = constraints(&input);
                let mut own = condition.clone().split_conjunction();
                own.retain(Expr::is_deterministic);
                let mut new = with_consequences(known.iter().chain(&own).cloned().collect());
                let said: HashSet<&Expr> = known.iter().chain(&own).collect();
                new.retain(|c| !said.contains(c));
                // Cheap tests for NULL first, as Spark has them.
                let all = Expr::conjunction(new.into_iter().chain([condition.clone()])).unwrap_or(condition);
                LogicalPlan::Filter { condition: all, input }
            }
            // Spark makes most of these of subqueries only later.
            LogicalPlan::Join(j) if settings.plans_as_spark() && !j.join_type.keeps_right() => LogicalPlan::Join(j),
            LogicalPlan::Join(j) => LogicalPlan::Join(infer(j)),
            other => other,
        })
    })
}

fn infer(mut j: Join) -> Join {
    let (to_left, to_right) = match j.join_type {
        JoinType::Inner | JoinType::Cross | JoinType::LeftSemi => (true, true),
        JoinType::LeftOuter | JoinType::LeftSingle | JoinType::LeftAnti | JoinType::Existence(_) => (false, true),
        JoinType::RightOuter => (true, false),
        // A null-aware anti join must see the NULLs.
        JoinType::FullOuter | JoinType::NullAwareAnti => return j,
    };
    let (left, right) = (constraints(&j.left), constraints(&j.right));
    let mut all: Vec<Expr> = left.iter().chain(&right).cloned().collect();
    all.extend(conjuncts(j.condition.clone()).into_iter().filter(Expr::is_deterministic));
    let all = with_consequences(all);
    let add = |side: &mut Box<LogicalPlan>, known: &[Expr]| {
        let known: HashSet<&Expr> = known.iter().collect();
        let ids = side.output_set();
        // Nothing to say of rows that are not there.
        let new: Vec<Expr> =
            all.iter().filter(|c| refers_only_to(c, &ids) && !c.references().is_empty() && !known.contains(c)).cloned().collect();
        if !new.is_empty() {
            let plan = std::mem::replace(&mut **side, LogicalPlan::OneRowRelation);
            **side = filter(new, plan);
        }
    };
    if to_left {
        add(&mut j.left, &left);
    }
    if to_right {
        add(&mut j.right, &right);
    }
    j
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::{self, is_not_null};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn columns_compared_are_not_null() {
        let t = table("t", 10);
        let a = column(&t, "a");
        let plan = filtered(t.clone(), greater(a.clone(), 1));
        assert_rewrites(apply, plan, &filtered(t, and(is_not_null(a.clone()), greater(a, 1))));
    }

    #[test]
    fn conditions_cross_an_equi_join() {
        let (t, u) = (table("t", 10), table("u", 10));
        let (a, b) = (column(&t, "k"), column(&u, "k"));
        let on = equals(a.clone(), b.clone());
        let left = filtered(t, greater(a, 5));
        let with = |r: LogicalPlan, j| support::join(left.clone(), r, j, vec![on.clone()]);
        let right = filtered(u.clone(), greater(b, 5));
        for j in [JoinType::Inner, JoinType::LeftOuter, JoinType::LeftSemi, JoinType::LeftAnti] {
            assert_rewrites(apply, with(u.clone(), j.clone()), &with(right.clone(), j));
        }
        assert_unchanged(apply, &with(u.clone(), JoinType::FullOuter));
        assert_unchanged(apply, &with(u, JoinType::NullAwareAnti));
    }

    #[test]
    fn leaves_what_follows_already() {
        let t = table("t", 10);
        assert_unchanged(apply, &filtered(t.clone(), greater(column(&t, "k"), 1)));
    }
}
