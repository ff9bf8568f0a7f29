//! InferWindowGroupLimit: a filter that keeps the first ranks of each window partition drops rows before they reach the window.
//!
//! `row_number() OVER (PARTITION BY p ORDER BY o) <= 3` needs no more than three rows of each `p` from any partition of the input.
//! Only where every call of the window sees nothing beyond the current row, and is not told the size of its partition.

use super::support::{conjuncts, empty_relation, max_rows};
use crate::base::settings::{TOP_K_SORT_FALLBACK_THRESHOLD, WINDOW_GROUP_LIMIT_THRESHOLD};
use crate::base::{Attribute, Result, Settings};
use crate::expr::window::RankingFunction;
use crate::expr::{ComparisonOp, Expr, Frame, GroupLimit, WindowFunction};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    let threshold = settings.int(&WINDOW_GROUP_LIMIT_THRESHOLD);
    if threshold == -1 {
        return Ok(plan);
    }
    let top_k = settings.int(&TOP_K_SORT_FALLBACK_THRESHOLD);
    plan.transform_up(&mut |node| {
        let LogicalPlan::Filter { condition, input } = node else { return Ok(node) };
        let Some((function, limit)) = first_ranks(&condition, &input).filter(|(_, limit)| *limit <= threshold) else {
            return Ok(LogicalPlan::Filter { condition, input });
        };
        let Ok(limit @ 1..) = u64::try_from(limit) else { return Ok(empty_relation(input.output())) };
        let input = match *input {
            // Top-K does this better than a window over a single partition.
            window @ LogicalPlan::Window { .. } if is_global_row_number(&window, function) && (limit as i64) < top_k => {
                LogicalPlan::Limit { limit: Some(limit), offset: 0, input: Box::new(window) }
            }
            LogicalPlan::Window { calls, partition_by, order_by, input } => {
                let group = GroupLimit { partition_by: partition_by.clone(), order_by: order_by.clone(), function, limit };
                LogicalPlan::Window { calls, partition_by, order_by, input: Box::new(LogicalPlan::WindowGroupLimit { group, input }) }
            }
            other => other,
        };
        Ok(LogicalPlan::Filter { condition, input: Box::new(input) })
    })
}

/// The least bound that the condition sets on a rank computed by the window below it; preferably on row numbers, since they have
/// no ties. A bound of zero or less lets nothing pass.
fn first_ranks(condition: &Expr, input: &LogicalPlan) -> Option<(RankingFunction, i64)> {
    let LogicalPlan::Window { calls, order_by, input, .. } = input else { return None };
    if order_by.is_empty() || !calls.iter().all(looks_back) || matches!(**input, LogicalPlan::WindowGroupLimit { .. }) {
        return None;
    }
    let bounds = calls.iter().filter_map(|call| {
        let function = rank(call)?;
        let bound = conjuncts(Some(condition.clone())).iter().filter_map(|c| upper_bound(c, &call.to_attribute())).min()?;
        Some((function, bound))
    });
    let (function, limit) = bounds.min_by_key(|(f, bound)| (*f != RankingFunction::RowNumber, *bound))?;
    max_rows(input).is_none_or(|rows| i64::try_from(rows).is_ok_and(|rows| rows > limit)).then_some((function, limit))
}

/// Whether a window call is a function of the current row and those before it.
pub(super) fn looks_back(call: &Expr) -> bool {
    match call.unaliased() {
        Expr::Window(w) => {
            let sized = |f| matches!(f, RankingFunction::PercentRank | RankingFunction::CumeDist | RankingFunction::Ntile);
            let looks_ahead = |f| matches!(f, RankingFunction::Lead | RankingFunction::Lag);
            let ranking = matches!(&w.function, WindowFunction::Ranking { function, .. } if sized(*function) || looks_ahead(*function));
            w.frame == Frame::expanding() && !ranking
        }
        _ => false,
    }
}

/// The function of a call that numbers rows by the ordering.
pub(super) fn rank(call: &Expr) -> Option<RankingFunction> {
    match call.unaliased() {
        Expr::Window(w) => match w.function {
            WindowFunction::Ranking {
                function: function @ (RankingFunction::RowNumber | RankingFunction::Rank | RankingFunction::DenseRank),
                ..
            } => Some(function),
            _ => None,
        },
        _ => None,
    }
}

/// The greatest value of the column that the conjunct lets pass.
fn upper_bound(conjunct: &Expr, column: &Attribute) -> Option<i64> {
    let Expr::Comparison { op, left, right } = conjunct else { return None };
    let (op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Attribute(a), Expr::Literal(v)) if a.id == column.id => (*op, v),
        (Expr::Literal(v), Expr::Attribute(a)) if a.id == column.id => (op.swapped(), v),
        _ => return None,
    };
    let value = i64::try_from(value.as_i128()?).ok()?;
    match op {
        ComparisonOp::Equal | ComparisonOp::LessOrEqual => Some(value),
        ComparisonOp::Less => value.checked_sub(1),
        _ => None,
    }
}

fn is_global_row_number(window: &LogicalPlan, function: RankingFunction) -> bool {
    matches!(window, LogicalPlan::Window { calls, partition_by, .. }
        if partition_by.is_empty() && function == RankingFunction::RowNumber && calls.iter().all(|c| rank(c).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{FrameBound, FrameUnits, SortOrder, WindowExpr};
    use crate::logical::optimizer::support::comparison;
    use crate::logical::optimizer::testing::*;

    fn ranking(function: RankingFunction, t: &LogicalPlan, partition: &str, frame: Frame) -> Expr {
        let partition_by = if partition.is_empty() { vec![] } else { vec![column(t, partition)] };
        let order_by = vec![SortOrder::ascending(column(t, "b"))];
        let function = WindowFunction::Ranking { function, args: vec![], ignore_nulls: false };
        named(Expr::Window(Box::new(WindowExpr { function, partition_by, order_by, frame })), "rn")
    }

    /// `condition` over a window of one call.
    fn ranked(call: Expr, t: &LogicalPlan, condition: impl Fn(Expr) -> Expr) -> LogicalPlan {
        let Expr::Window(w) = call.unaliased().clone() else { panic!() };
        let window = LogicalPlan::Window {
            calls: vec![call.clone()],
            partition_by: w.partition_by.clone(),
            order_by: w.order_by,
            input: Box::new(t.clone()),
        };
        filtered(window, condition(Expr::Attribute(call.to_attribute())))
    }

    fn limits(plan: &LogicalPlan) -> Vec<(RankingFunction, u64)> {
        let own = match plan {
            LogicalPlan::WindowGroupLimit { group, .. } => Some((group.function, group.limit)),
            _ => None,
        };
        own.into_iter().chain(plan.children().into_iter().flat_map(limits)).collect()
    }

    #[test]
    fn fires_by_function_and_comparison() {
        let t = table("t", 100);
        for function in [RankingFunction::RowNumber, RankingFunction::Rank, RankingFunction::DenseRank] {
            for (op, bound, limit) in [(ComparisonOp::LessOrEqual, 3, 3), (ComparisonOp::Less, 3, 2), (ComparisonOp::Equal, 7, 7)] {
                let plan = ranked(ranking(function, &t, "a", Frame::expanding()), &t, |rn| comparison(op, rn, int(bound)));
                assert_eq!(limits(&applied(apply, plan)), [(function, limit)]);
            }
        }
        let turned = ranked(ranking(RankingFunction::Rank, &t, "a", Frame::expanding()), &t, |rn| greater_than(int(3), rn));
        assert_eq!(limits(&applied(apply, turned)), [(RankingFunction::Rank, 2)]);
    }

    #[test]
    fn nothing_ranks_below_one() {
        let t = table("t", 100);
        let plan = ranked(ranking(RankingFunction::Rank, &t, "a", Frame::expanding()), &t, |rn| greater_than(int(1), rn));
        assert!(matches!(applied(apply, plan), LogicalPlan::LocalRelation { rows, .. } if rows.is_empty()));
    }

    #[test]
    fn a_row_number_over_all_rows_is_a_limit() {
        let t = table("t", 100);
        let call = |function| ranking(function, &t, "", Frame::expanding());
        let below = |rn| greater_than(int(4), rn);
        let after = applied(apply, ranked(call(RankingFunction::RowNumber), &t, below));
        assert!(matches!(&after, LogicalPlan::Filter { input, .. } if matches!(**input, LogicalPlan::Limit { limit: Some(3), .. })));
        assert_eq!(limits(&applied(apply, ranked(call(RankingFunction::Rank), &t, below))).len(), 1);
    }

    #[test]
    fn needs_a_bound_within_the_threshold_on_a_call_that_looks_back() {
        let t = table("t", 100);
        let whole = Frame { units: FrameUnits::Rows, start: FrameBound::UnboundedPreceding, end: FrameBound::UnboundedFollowing };
        let rank = |frame| ranking(RankingFunction::Rank, &t, "a", frame);
        assert_unchanged(apply, &ranked(rank(Frame::expanding()), &t, |rn| greater(rn, 3)));
        assert_unchanged(apply, &ranked(rank(Frame::expanding()), &t, |rn| greater_than(int(1002), rn)));
        assert_unchanged(apply, &ranked(rank(whole), &t, |rn| greater_than(int(3), rn)));
        let percent = ranking(RankingFunction::PercentRank, &t, "a", Frame::expanding());
        assert_unchanged(apply, &ranked(percent, &t, |rn| greater_than(int(3), rn)));
    }
}
