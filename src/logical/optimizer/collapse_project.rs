//! CollapseProject: a Project over a Project, or over an Aggregate, becomes one operator.
//!
//! Not where an expression below that costs something would then be computed more than once, or one that is random at all.

use std::collections::HashMap;

use super::support::{definitions, project, substitute};
use crate::base::{ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Project { list, input } => collapse(list, *input),
            other => other,
        })
    })
}

fn collapse(upper: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    match input {
        LogicalPlan::Project { list, input } if can_collapse(&upper, &list) => project(merge(upper, &list), *input),
        LogicalPlan::Aggregate { grouping, list, input } if !upper.is_empty() && can_collapse(&upper, &list) => {
            LogicalPlan::Aggregate { grouping, list: merge(upper, &list), input }
        }
        other => project(upper, other),
    }
}

fn can_collapse(upper: &[Expr], lower: &[Expr]) -> bool {
    if lower.iter().all(|e| matches!(e, Expr::Attribute(_))) {
        return true;
    }
    let mut uses: HashMap<ExprId, usize> = HashMap::new();
    for e in upper {
        e.visit(&mut |e| {
            if let Expr::Attribute(a) = e {
                *uses.entry(a.id).or_default() += 1;
            }
            true
        });
    }
    lower.iter().all(|e| {
        let body = e.unaliased();
        body.is_deterministic() && (is_cheap(body) || uses.get(&e.to_attribute().id).is_none_or(|n| *n <= 1))
    })
}

fn is_cheap(e: &Expr) -> bool {
    matches!(e, Expr::Attribute(_) | Expr::Literal(_) | Expr::Column { .. } | Expr::ScalarSubquery { .. })
}

fn merge(upper: Vec<Expr>, lower: &[Expr]) -> Vec<Expr> {
    let named: HashMap<ExprId, &Expr> = lower.iter().map(|e| (e.to_attribute().id, e)).collect();
    let bodies = definitions(lower);
    upper
        .into_iter()
        .map(|e| match &e {
            // Passed on under its own name.
            Expr::Attribute(a) => named.get(&a.id).map_or_else(|| e.clone(), |lower| (*lower).clone()),
            _ => substitute(e, &bodies),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires_and_keeps_ids() {
        let t = table("t", 10);
        let x = named(plus(column(&t, "a"), column(&t, "b")), "x");
        let y = named(plus(Expr::Attribute(x.to_attribute()), column(&t, "c")), "y");
        let inner = project(vec![x.clone(), column(&t, "c")], t.clone());
        let plan = project(vec![y.clone(), column(&t, "c")], inner);
        let merged = Expr::Alias {
            expr: Box::new(plus(plus(column(&t, "a"), column(&t, "b")), column(&t, "c"))),
            name: "y".into(),
            id: y.to_attribute().id,
        };
        assert_rewrites(apply, plan, &project(vec![merged, column(&t, "c")], t));
    }

    #[test]
    fn merges_into_an_aggregate() {
        let t = table("t", 10);
        let total = named(sum(column(&t, "b")), "total");
        let more = named(plus(Expr::Attribute(total.to_attribute()), Expr::Attribute(total.to_attribute())), "more");
        let aggregate = grouped(vec![], vec![total.clone()], t.clone());
        assert_unchanged(apply, &project(vec![more], aggregate.clone()));
        let plan = project(vec![Expr::Attribute(total.to_attribute())], aggregate.clone());
        assert_rewrites(apply, plan, &aggregate);
    }

    #[test]
    fn does_not_compute_twice() {
        let t = table("t", 10);
        let x = named(plus(column(&t, "a"), column(&t, "b")), "x");
        let twice = named(plus(Expr::Attribute(x.to_attribute()), Expr::Attribute(x.to_attribute())), "y");
        assert_unchanged(apply, &project(vec![twice], project(vec![x], t)));
    }
}
