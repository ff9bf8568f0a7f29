//! LimitPushDown: a limit over a join that gives every left (right) row at least once is put on that side too.
//!
//! Not into unions, where Spark puts local limits: the limit above already stops each partition, and a limit here is global.

use crate::base::{Result, Settings};
use crate::logical::{JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_down(&mut |node| {
        let LogicalPlan::Limit { limit: Some(limit), offset, input } = node else { return Ok(node) };
        let input = match *input {
            LogicalPlan::Join(mut j) => {
                let side = match j.join_type {
                    JoinType::LeftOuter | JoinType::Existence(_) | JoinType::LeftSingle => Some(&mut j.left),
                    JoinType::RightOuter => Some(&mut j.right),
                    JoinType::Inner
                    | JoinType::Cross
                    | JoinType::FullOuter
                    | JoinType::LeftSemi
                    | JoinType::LeftAnti
                    | JoinType::NullAwareAnti => None,
                };
                if let Some(side) = side
                    && !has_limit(side)
                {
                    let below = std::mem::replace(&mut **side, LogicalPlan::OneRowRelation);
                    **side = LogicalPlan::Limit { limit: Some(limit.saturating_add(offset)), offset: 0, input: Box::new(below) };
                }
                LogicalPlan::Join(j)
            }
            other => other,
        };
        Ok(LogicalPlan::Limit { limit: Some(limit), offset, input: Box::new(input) })
    })
}

fn has_limit(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Limit { .. } => true,
        LogicalPlan::Project { input, .. } => has_limit(input),
        other => super::support::at_most_one_row(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    fn limit(limit: u64, offset: u64, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Limit { limit: Some(limit), offset, input: Box::new(input) }
    }

    #[test]
    fn by_join_type() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = vec![equals(column(&t, "a"), column(&u, "a"))];
        let join = |l: LogicalPlan, r: LogicalPlan, j| support::join(l, r, j, on.clone());
        let outer = |l, r| join(l, r, JoinType::LeftOuter);
        assert_rewrites(apply, limit(5, 2, outer(t.clone(), u.clone())), &limit(5, 2, outer(limit(7, 0, t.clone()), u.clone())));
        assert_unchanged(apply, &limit(5, 0, join(t.clone(), u.clone(), JoinType::Inner)));
        assert_unchanged(apply, &limit(5, 0, join(t, u, JoinType::LeftSemi)));
    }
}
