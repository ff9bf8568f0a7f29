//! PushExtraPredicateThroughJoin: an OR over both sides of a join still says something of either side.
//!
//! `(l.n = 'F' AND r.n = 'G') OR (l.n = 'G' AND r.n = 'F')` implies `l.n = 'F' OR l.n = 'G'` (TPC-H's Q7). The condition stays.

use std::collections::BTreeSet;

use super::constraints::constraints;
use super::support::{conjuncts, filter, or, refers_only_to};
use super::{push_down_predicates, push_predicate_through_join::push_condition};
use crate::base::{ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::{Join, JoinType, LogicalPlan};

/// Conditions with more alternatives would grow the plan more than they help.
const MAX_DISJUNCTS: usize = 100;

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    plan.transform_down(&mut |node| {
        Ok(match node {
            LogicalPlan::Join(j) => LogicalPlan::Join(push(push_condition(j), settings)?),
            other => other,
        })
    })
}

fn push(mut j: Join, settings: &Settings) -> Result<Join> {
    let (to_left, to_right) = match j.join_type {
        JoinType::Inner | JoinType::LeftSemi => (true, true),
        JoinType::LeftOuter | JoinType::LeftSingle | JoinType::LeftAnti | JoinType::Existence(_) => (false, true),
        JoinType::RightOuter => (true, false),
        JoinType::Cross | JoinType::FullOuter | JoinType::NullAwareAnti => return Ok(j),
    };
    let alternatives: Vec<Expr> = conjuncts(j.condition.clone()).into_iter().filter(|c| matches!(c, Expr::Or(..))).collect();
    let add = |side: &mut Box<LogicalPlan>| -> Result<()> {
        let ids = side.output_set();
        let mut new: Vec<Expr> = alternatives.iter().filter_map(|c| implied(c, &ids)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let known = constraints(side);
        new.retain(|c| !known.contains(c));
        if !new.is_empty() {
            let plan = std::mem::replace(&mut **side, LogicalPlan::OneRowRelation);
            // Down at once: over several tables it is an OR of the next join, to be looked at in turn.
            **side = push_down_predicates::apply(filter(new, plan), settings)?;
        }
        Ok(())
    };
    if to_left {
        add(&mut j.left)?;
    }
    if to_right {
        add(&mut j.right)?;
    }
    Ok(j)
}

/// What an OR says of rows with these columns alone, if every alternative says something.
fn implied(condition: &Expr, ids: &BTreeSet<ExprId>) -> Option<Expr> {
    let disjuncts = condition.clone().split_disjunction();
    if disjuncts.len() > MAX_DISJUNCTS {
        return None;
    }
    let parts: Option<Vec<Expr>> = disjuncts
        .into_iter()
        .map(|d| {
            let about = |c: &Expr| refers_only_to(c, ids) && c.is_deterministic() && !c.can_fail();
            Expr::conjunction(d.split_conjunction().into_iter().filter(about))
        })
        .collect();
    let mut unique: Vec<Expr> = vec![];
    for p in parts? {
        if !unique.contains(&p) {
            unique.push(p);
        }
    }
    unique.into_iter().reduce(or)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let (t, u) = (table("t", 10), table("u", 10));
        let (a, b) = (column(&t, "a"), column(&u, "a"));
        let is = |e: &Expr, v| equals(e.clone(), int(v));
        let on = or(and(is(&a, 1), is(&b, 2)), and(is(&a, 2), is(&b, 1)));
        let plan = inner_join(t.clone(), u.clone(), on.clone());
        let expected = inner_join(filtered(t, or(is(&a, 1), is(&a, 2))), filtered(u, or(is(&b, 2), is(&b, 1))), on);
        assert_rewrites(apply, plan, &expected);
    }

    #[test]
    fn needs_every_alternative() {
        let (t, u) = (table("t", 10), table("u", 10));
        let on = or(equals(column(&t, "a"), int(1)), equals(column(&u, "a"), int(2)));
        assert_unchanged(apply, &inner_join(t, u, on));
    }
}
