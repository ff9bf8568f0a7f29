//! CollapseRepartition: of repartitions over each other, or over a sort of all rows, the upper one decides.

use crate::base::{Result, Settings};
use crate::logical::{LogicalPlan, RepartitionKind};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Coalesce { partitions, input } => match *input {
                // A shuffle that made no more partitions leaves nothing to coalesce; one that made more still spread the work.
                LogicalPlan::Repartition { partitions: Some(n), .. } if partitions >= n => *input,
                LogicalPlan::Coalesce { input, .. } => LogicalPlan::Coalesce { partitions, input },
                other => LogicalPlan::Coalesce { partitions, input: Box::new(other) },
            },
            LogicalPlan::Repartition { partitions, by, kind, input } => {
                let rebalances = kind == RepartitionKind::Rebalance;
                let keyed = !by.is_empty();
                let input = match *input {
                    LogicalPlan::Repartition { kind: below, input, .. } if rebalances || below != RepartitionKind::Rebalance => input,
                    LogicalPlan::Coalesce { input, .. } => input,
                    LogicalPlan::Sort { global, input, .. } if rebalances || global && keyed => input,
                    other => Box::new(other),
                };
                LogicalPlan::Repartition { partitions, by, kind, input }
            }
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::SortOrder;
    use crate::logical::optimizer::testing::*;

    fn repartition(partitions: usize, by: &[&str], input: LogicalPlan) -> LogicalPlan {
        let by = by.iter().map(|c| SortOrder::ascending(column(&input, c))).collect();
        LogicalPlan::Repartition { partitions: Some(partitions), by, kind: RepartitionKind::Hash, input: Box::new(input) }
    }

    fn coalesce(partitions: usize, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Coalesce { partitions, input: Box::new(input) }
    }

    #[test]
    fn the_upper_one_decides() {
        let t = table("t", 10);
        assert_rewrites(apply, repartition(3, &["a"], repartition(5, &["b"], t.clone())), &repartition(3, &["a"], t.clone()));
        assert_rewrites(apply, repartition(3, &[], coalesce(5, t.clone())), &repartition(3, &[], t.clone()));
        assert_rewrites(apply, coalesce(5, repartition(3, &[], t.clone())), &repartition(3, &[], t.clone()));
        assert_rewrites(apply, coalesce(5, coalesce(3, t.clone())), &coalesce(5, t.clone()));
    }

    #[test]
    fn coalescing_a_wider_shuffle_stays() {
        let t = table("t", 10);
        assert_unchanged(apply, &coalesce(3, repartition(5, &["a"], t)));
    }
}
