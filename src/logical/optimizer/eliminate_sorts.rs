//! EliminateSorts: sorts whose order nobody sees, and sort keys that order nothing.

use super::support::at_most_one_row;
use crate::base::{Result, Settings};
use crate::expr::{AggregateFunction, Expr};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_down(&mut |node| {
        Ok(match node {
            LogicalPlan::Join(mut j) => {
                j.left = Box::new(without_sort(*j.left));
                j.right = Box::new(without_sort(*j.right));
                LogicalPlan::Join(j)
            }
            LogicalPlan::Aggregate { grouping, list, input } if list.iter().all(ignores_order) => {
                LogicalPlan::Aggregate { grouping, list, input: Box::new(without_sort(*input)) }
            }
            // Both are stable no further than their own keys.
            LogicalPlan::Sort { order, global: true, input } => {
                let input = without_sort(*input);
                let keys: Vec<_> = order.into_iter().filter(|o| !matches!(o.expr, Expr::Literal(_))).collect();
                if keys.is_empty() || at_most_one_row(&input) {
                    input
                } else {
                    LogicalPlan::Sort { order: keys, global: true, input: Box::new(input) }
                }
            }
            LogicalPlan::Repartition { partitions, by, kind, input } => {
                LogicalPlan::Repartition { partitions, by, kind, input: Box::new(without_sort(*input)) }
            }
            other => other,
        })
    })
}

/// The plan without sorts at its top, seen through operators that keep order and do not depend on it.
fn without_sort(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Sort { input, .. } => without_sort(*input),
        LogicalPlan::Project { list, input } if list.iter().all(Expr::is_deterministic) => {
            LogicalPlan::Project { list, input: Box::new(without_sort(*input)) }
        }
        LogicalPlan::Filter { condition, input } if condition.is_deterministic() => {
            LogicalPlan::Filter { condition, input: Box::new(without_sort(*input)) }
        }
        other => other,
    }
}

/// Whether the aggregates in the expression give the same for any order of rows.
fn ignores_order(e: &Expr) -> bool {
    use AggregateFunction::*;
    !e.any(&mut |e| match e {
        Expr::Aggregate(a) => match a.function {
            Count | Min | Max | BoolAnd | BoolOr | BitAnd | BitOr | BitXor | TrySum | Mode | ApproxCountDistinct | BloomFilter
            | BitmapConstruct | BitmapOr | BitmapAnd => false,
            // Sums of floats depend on the order in their last digits.
            Sum | Avg | Skewness | Kurtosis | StddevSamp | StddevPop | VarSamp | VarPop => {
                a.args.iter().any(|x| x.data_type().is_fractional())
            }
            // These sum doubles; of rows that tie, max_by and min_by may take any.
            CovarSamp | CovarPop | Corr | RegrSlope | RegrIntercept | RegrR2 | RegrSxx | RegrSyy | RegrSxy | RegrAvgX | RegrAvgY => true,
            MaxBy | MinBy | ListAgg => true,
            Percentile | PercentileDisc => false,
            First | FirstIgnoreNulls | Last | LastIgnoreNulls | CollectList | CollectSet => true,
        },
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::SortOrder;
    use crate::logical::optimizer::testing::*;

    fn sorted(t: &LogicalPlan, name: &str, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Sort { order: vec![SortOrder::ascending(column(t, name))], global: true, input: Box::new(input) }
    }

    #[test]
    fn fires() {
        let (t, u) = (table("t", 10), table("u", 10));
        let total = vec![named(sum(column(&t, "b")), "total")];
        assert_rewrites(apply, grouped(vec![], total.clone(), sorted(&t, "a", t.clone())), &grouped(vec![], total, t.clone()));
        assert_rewrites(apply, sorted(&t, "b", sorted(&t, "a", t.clone())), &sorted(&t, "b", t.clone()));
        let on = equals(column(&t, "a"), column(&u, "a"));
        assert_rewrites(apply, inner_join(sorted(&t, "a", t.clone()), u.clone(), on.clone()), &inner_join(t, u, on));
    }

    #[test]
    fn keeps_a_sort_that_is_seen() {
        let t = table("t", 10);
        assert_unchanged(apply, &sorted(&t, "a", t.clone()));
        let limit = LogicalPlan::Limit { limit: Some(3), offset: 0, input: Box::new(sorted(&t, "a", t.clone())) };
        assert_unchanged(apply, &grouped(vec![], vec![named(sum(column(&t, "b")), "total")], limit));
    }
}
