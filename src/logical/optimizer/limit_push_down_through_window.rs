//! LimitPushDownThroughWindow: the first rows above a window that numbers all rows are the first rows below it, in its order.

use super::infer_window_group_limit::rank;
use super::support::max_rows;
use crate::base::settings::TOP_K_SORT_FALLBACK_THRESHOLD;
use crate::base::{Result, Settings};
use crate::expr::Frame;
use crate::expr::{Expr, SortOrder};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    let most = settings.int(&TOP_K_SORT_FALLBACK_THRESHOLD).max(0) as u64;
    plan.transform_down(&mut |node| {
        let LogicalPlan::Limit { limit: Some(limit), offset, input } = node else { return Ok(node) };
        let rows = limit.saturating_add(offset);
        let input = match *input {
            LogicalPlan::Project { list, input } if rows < most => LogicalPlan::Project { list, input: Box::new(push(rows, *input)) },
            other if rows < most => push(rows, other),
            other => other,
        };
        Ok(LogicalPlan::Limit { limit: Some(limit), offset, input: Box::new(input) })
    })
}

/// A window by no keys over the first `rows` rows in its order; other plans as they are.
fn push(rows: u64, plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Window { calls, partition_by, order_by, input }
            if partition_by.is_empty() && calls.iter().all(numbers_rows) && max_rows(&input).is_none_or(|n| n > rows) =>
        {
            let input = Box::new(first(rows, order_by.clone(), input));
            LogicalPlan::Window { calls, partition_by, order_by, input }
        }
        other => other,
    }
}

fn first(rows: u64, order: Vec<SortOrder>, input: Box<LogicalPlan>) -> LogicalPlan {
    let sorted = if order.is_empty() { input } else { Box::new(LogicalPlan::Sort { order, global: true, input }) };
    LogicalPlan::Limit { limit: Some(rows), offset: 0, input: sorted }
}

fn numbers_rows(call: &Expr) -> bool {
    rank(call).is_some() && matches!(call.unaliased(), Expr::Window(w) if w.frame == Frame::expanding())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::window::RankingFunction;
    use crate::expr::{WindowExpr, WindowFunction};
    use crate::logical::optimizer::testing::*;

    fn limited_window(t: &LogicalPlan, function: RankingFunction, by: &[&str]) -> LogicalPlan {
        let order_by = vec![SortOrder::ascending(column(t, "b"))];
        let partition_by: Vec<Expr> = by.iter().map(|c| column(t, c)).collect();
        let function = WindowFunction::Ranking { function, args: vec![], ignore_nulls: false };
        let window = WindowExpr { function, partition_by: partition_by.clone(), order_by: order_by.clone(), frame: Frame::expanding() };
        let calls = vec![named(Expr::Window(Box::new(window)), "rn")];
        let window = LogicalPlan::Window { calls, partition_by, order_by, input: Box::new(t.clone()) };
        LogicalPlan::Limit { limit: Some(3), offset: 1, input: Box::new(window) }
    }

    #[test]
    fn fires() {
        let t = table("t", 100);
        let LogicalPlan::Limit { input, .. } = applied(apply, limited_window(&t, RankingFunction::Rank, &[])) else { panic!() };
        let LogicalPlan::Window { input, .. } = *input else { panic!() };
        assert!(matches!(*input, LogicalPlan::Limit { limit: Some(4), offset: 0, .. }));
    }

    #[test]
    fn not_below_other_windows() {
        let t = table("t", 100);
        assert_unchanged(apply, &limited_window(&t, RankingFunction::Rank, &["a"]));
        assert_unchanged(apply, &limited_window(&t, RankingFunction::PercentRank, &[]));
    }
}
