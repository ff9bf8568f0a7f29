//! TransposeWindow: of two windows over each other, the one with fewer partition columns goes below if the other's begin with them.
//! Rows that are dealt out and sorted for the lower one then need not be dealt out again for the upper one.

use std::collections::BTreeSet;

use super::support::{attribute, project};
use crate::base::{Attribute, ExprId, Result, Settings};
use crate::expr::{Expr, SortOrder};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        let LogicalPlan::Window { calls, partition_by, order_by, input } = node else { return Ok(node) };
        let upper = Part { calls, partition_by, order_by };
        let (list, below) = match *input {
            LogicalPlan::Project { list, input } => (Some(list), input),
            other => (None, Box::new(other)),
        };
        let (lower, input) = match *below {
            LogicalPlan::Window { calls, partition_by, order_by, input } => (Part { calls, partition_by, order_by }, input),
            other => return Ok(upper.over(projected(list, other))),
        };
        if !transposable(&upper, &lower) || !upper.references().is_subset(&input.output_set()) {
            return Ok(upper.over(projected(list, lower.over(*input))));
        }
        let added = upper.calls.iter().map(|c| Expr::Attribute(c.to_attribute())).collect::<Vec<_>>();
        let list = list.unwrap_or_else(|| input.output().iter().chain(&lower.outputs()).map(attribute).collect());
        Ok(project([list, added].concat(), lower.over(upper.over(*input))))
    })
}

/// A Window without its input.
struct Part {
    calls: Vec<Expr>,
    partition_by: Vec<Expr>,
    order_by: Vec<SortOrder>,
}

impl Part {
    fn over(self, input: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Window { calls: self.calls, partition_by: self.partition_by, order_by: self.order_by, input: Box::new(input) }
    }

    fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.calls.iter().chain(&self.partition_by).chain(self.order_by.iter().map(|o| &o.expr))
    }

    fn references(&self) -> BTreeSet<ExprId> {
        self.expressions().flat_map(Expr::references).collect()
    }

    fn outputs(&self) -> Vec<Attribute> {
        self.calls.iter().map(Expr::to_attribute).collect()
    }
}

fn projected(list: Option<Vec<Expr>>, input: LogicalPlan) -> LogicalPlan {
    match list {
        Some(list) => project(list, input),
        None => input,
    }
}

fn transposable(upper: &Part, lower: &Part) -> bool {
    let (few, many) = (&upper.partition_by, &lower.partition_by);
    let deterministic = |part: &Part| part.expressions().all(Expr::is_deterministic);
    few.len() < many.len() && permuted(few, &many[..few.len()]) && deterministic(upper) && deterministic(lower)
}

/// Whether two lists have the same members.
fn permuted(a: &[Expr], b: &[Expr]) -> bool {
    let mut rest: Vec<&Expr> = b.iter().collect();
    a.iter().all(|e| rest.iter().position(|r| *r == e).map(|at| rest.swap_remove(at)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::window::RankingFunction;
    use crate::expr::{Frame, WindowExpr, WindowFunction};
    use crate::logical::optimizer::testing::*;

    fn numbered(input: LogicalPlan, keys: &[&str], name: &str) -> LogicalPlan {
        let partition_by: Vec<Expr> = keys.iter().map(|k| column(&input, k)).collect();
        let call = WindowExpr {
            function: WindowFunction::Ranking { function: RankingFunction::RowNumber, args: vec![], ignore_nulls: false },
            partition_by: partition_by.clone(),
            order_by: vec![],
            frame: Frame::expanding(),
        };
        let calls = vec![named(Expr::Window(Box::new(call)), name)];
        LogicalPlan::Window { calls, partition_by, order_by: vec![], input: Box::new(input) }
    }

    #[test]
    fn the_coarser_window_goes_below() {
        let plan = numbered(numbered(table("t", 10), &["a", "b", "c"], "fine"), &["b", "a"], "coarse");
        let LogicalPlan::Project { input, .. } = applied(apply, plan) else { panic!() };
        let LogicalPlan::Window { calls, .. } = *input else { panic!() };
        assert_eq!(&*calls[0].to_attribute().name, "fine");
        // Also where a projection between them drops a column.
        let fine = numbered(table("t", 10), &["a", "b", "c"], "fine");
        let some = project(["a", "b", "fine"].map(|c| column(&fine, c)).to_vec(), fine);
        let LogicalPlan::Project { input, .. } = applied(apply, numbered(some, &["b", "a"], "coarse")) else { panic!() };
        assert!(matches!(*input, LogicalPlan::Window { .. }));
    }

    #[test]
    fn others_stay() {
        let fine = numbered(table("t", 10), &["a", "b", "c"], "fine");
        assert_unchanged(apply, &numbered(fine.clone(), &["c"], "no prefix"));
        assert_unchanged(apply, &numbered(fine.clone(), &["a", "b", "c"], "as many"));
        assert_unchanged(apply, &numbered(fine, &["fine"], "uses the other"));
    }
}
