//! CombineLimits: a limit of a limit is one limit. A limit that the rows cannot reach is none (Spark's EliminateLimits).
//! A limit of nothing is no rows (Spark's OptimizeLimitZero).

use super::support::{empty_relation, max_rows};
use crate::base::{Result, Settings};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Limit { limit: Some(0), ref input, .. } => empty_relation(input.output()),
            LogicalPlan::Limit { limit, offset, input } => match *input {
                LogicalPlan::Limit { limit: inner, offset: skipped, input } => {
                    // The inner limit yields `inner` rows, of which the outer one skips `offset`.
                    let left = inner.map(|n| n.saturating_sub(offset));
                    let limit = match (limit, left) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    LogicalPlan::Limit { limit, offset: offset.saturating_add(skipped), input }
                }
                other if offset == 0 && limit.zip(max_rows(&other)).is_some_and(|(n, rows)| n >= rows) => other,
                other => LogicalPlan::Limit { limit, offset, input: Box::new(other) },
            },
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    fn limit(limit: Option<u64>, offset: u64, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Limit { limit, offset, input: Box::new(input) }
    }

    #[test]
    fn fires() {
        let t = table("t", 10);
        assert_rewrites(apply, limit(Some(5), 0, limit(Some(3), 0, t.clone())), &limit(Some(3), 0, t.clone()));
        assert_rewrites(apply, limit(Some(5), 2, limit(Some(6), 1, t.clone())), &limit(Some(4), 3, t.clone()));
        assert_rewrites(apply, limit(None, 2, limit(Some(6), 0, t.clone())), &limit(Some(4), 2, t.clone()));
        assert_rewrites(apply, limit(Some(0), 0, t.clone()), &empty_relation(t.output()));
    }

    #[test]
    fn leaves_one_limit() {
        assert_unchanged(apply, &limit(Some(5), 1, table("t", 10)));
    }
}
