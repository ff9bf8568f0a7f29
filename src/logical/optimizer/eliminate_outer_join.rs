//! EliminateOuterJoin: an outer join whose padded rows a filter above removes anyway is a lesser outer join or an inner one.

use super::support::rejects_nulls;
use crate::base::{Result, Settings};
use crate::logical::{Join, JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } => {
                let input = match *input {
                    LogicalPlan::Join(j) => LogicalPlan::Join(Join { join_type: lesser(&condition, &j), ..j }),
                    other => other,
                };
                LogicalPlan::Filter { condition, input: Box::new(input) }
            }
            other => other,
        })
    })
}

fn lesser(condition: &crate::expr::Expr, j: &Join) -> JoinType {
    let rejects = |side: &LogicalPlan| condition.is_deterministic() && rejects_nulls(condition, &side.output_set());
    match &j.join_type {
        JoinType::LeftOuter if rejects(&j.right) => JoinType::Inner,
        JoinType::RightOuter if rejects(&j.left) => JoinType::Inner,
        // Rows padded on the left come from the right side, and the other way round.
        JoinType::FullOuter => match (rejects(&j.left), rejects(&j.right)) {
            (true, true) => JoinType::Inner,
            (true, false) => JoinType::LeftOuter,
            (false, true) => JoinType::RightOuter,
            (false, false) => JoinType::FullOuter,
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::{self, is_null};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn by_side() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = vec![equals(column(&t, "a"), column(&u, "a"))];
        let join = |j| support::join(t.clone(), u.clone(), j, on.clone());
        let (left, right) = (greater(column(&t, "b"), 1), greater(column(&u, "b"), 1));
        for (from, condition, to) in [
            (JoinType::LeftOuter, right.clone(), JoinType::Inner),
            (JoinType::RightOuter, left.clone(), JoinType::Inner),
            (JoinType::FullOuter, left.clone(), JoinType::LeftOuter),
            (JoinType::FullOuter, right.clone(), JoinType::RightOuter),
            (JoinType::FullOuter, and(left.clone(), right.clone()), JoinType::Inner),
        ] {
            assert_rewrites(apply, filtered(join(from), condition.clone()), &filtered(join(to), condition));
        }
        let zero_for_null = greater(crate::expr::Expr::Coalesce(vec![column(&u, "b"), int(0)]), 0);
        let plan = |j| filtered(join(j), zero_for_null.clone());
        assert_rewrites(apply, plan(JoinType::LeftOuter), &plan(JoinType::Inner));
    }

    #[test]
    fn keeps_padded_rows_that_may_pass() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = vec![equals(column(&t, "a"), column(&u, "a"))];
        let join = support::join(t.clone(), u.clone(), JoinType::LeftOuter, on);
        assert_unchanged(apply, &filtered(join.clone(), is_null(column(&u, "b"))));
        assert_unchanged(apply, &filtered(join, greater(column(&t, "b"), 1)));
    }
}
