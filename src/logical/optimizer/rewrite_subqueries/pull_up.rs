//! Undoing correlation by moving correlated predicates up to the join.

use std::collections::{BTreeSet, HashMap};

use super::{Decorrelated, is_correlated};
use crate::base::{Attribute, ExprId, Result};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::optimizer::support::{
    alias, attribute, comparison, conjuncts, definitions, filter, over_no_rows, refers_only_to, refers_to, substitute, used_attributes,
};
use crate::logical::{Join, JoinType, LogicalPlan};

/// The subquery with its correlated predicates apart; `None` where moving them up would change its meaning.
pub fn pull_up(plan: LogicalPlan, outer: &BTreeSet<ExprId>) -> Result<Option<Decorrelated>> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
        if !is_correlated(&plan, outer) {
            return Ok(Some(Decorrelated { plan, predicates: vec![], defaults: None }));
        }
        match plan {
            LogicalPlan::Filter { condition, input } => through_filter(condition, *input, outer),
            LogicalPlan::Project { list, input } => through_project(list, *input, outer),
            LogicalPlan::Aggregate { grouping, list, input } => through_aggregate(grouping, list, *input, outer),
            LogicalPlan::Join(j) => through_join(j, outer),
            LogicalPlan::Limit { limit, offset, input } => through_limit(limit, offset, *input, outer),
            LogicalPlan::Sort { order, global, input } if !order.iter().any(|o| refers_to(&o.expr, outer)) => {
                Ok(pull_up(*input, outer)?
                    .map(|d| Decorrelated { plan: LogicalPlan::Sort { order, global, input: Box::new(d.plan) }, ..d }))
            }
            LogicalPlan::Hint { strategy, input } => {
                Ok(pull_up(*input, outer)?.map(|d| Decorrelated { plan: LogicalPlan::Hint { strategy, input: Box::new(d.plan) }, ..d }))
            }
            LogicalPlan::Generate { generator, outer: keep, dropped, output, input } if !refers_to(&generator, outer) => {
                let Some(d) = pull_up(*input, outer)? else { return Ok(None) };
                // The row that stands in for no match would have to be generated from.
                if d.defaults.is_some() {
                    return Ok(None);
                }
                Ok(Some(Decorrelated {
                    plan: LogicalPlan::Generate { generator, outer: keep, dropped, output, input: Box::new(d.plan) },
                    ..d
                }))
            }
            LogicalPlan::Relation { .. }
            | LogicalPlan::InMemoryRelation(_)
            | LogicalPlan::LocalRelation { .. }
            | LogicalPlan::OneRowRelation
            | LogicalPlan::Range { .. }
            | LogicalPlan::Apply(_)
            | LogicalPlan::Window { .. }
            | LogicalPlan::WindowGroupLimit { .. }
            | LogicalPlan::Sort { .. }
            | LogicalPlan::Union { .. }
            | LogicalPlan::Distinct { .. }
            | LogicalPlan::SetOperation { .. }
            | LogicalPlan::Expand { .. }
            | LogicalPlan::Generate { .. }
            | LogicalPlan::Sample { .. }
            | LogicalPlan::Repartition { .. }
            | LogicalPlan::Coalesce { .. } => Ok(None),
        }
    })
}

fn through_filter(condition: Expr, input: LogicalPlan, outer: &BTreeSet<ExprId>) -> Result<Option<Decorrelated>> {
    let Some(mut d) = pull_up(input, outer)? else { return Ok(None) };
    // HAVING over a global aggregate would have to judge the stand-in row too.
    if d.defaults.is_some() || !condition.is_deterministic() {
        return Ok(None);
    }
    let (correlated, local): (Vec<_>, Vec<_>) = condition.split_conjunction().into_iter().partition(|c| refers_to(c, outer));
    d.plan = filter(local, d.plan);
    d.predicates.extend(correlated);
    Ok(Some(d))
}

fn through_project(mut list: Vec<Expr>, input: LogicalPlan, outer: &BTreeSet<ExprId>) -> Result<Option<Decorrelated>> {
    if list.iter().any(|e| refers_to(e, outer)) {
        return Ok(None);
    }
    let Some(mut d) = pull_up(input, outer)? else { return Ok(None) };
    d.defaults = d.defaults.map(|below| definitions(&list).into_iter().map(|(id, e)| (id, substitute(e, &below))).collect());
    let kept: BTreeSet<ExprId> = list.iter().filter(|e| matches!(e, Expr::Attribute(_))).map(|e| e.to_attribute().id).collect();
    list.extend(inner_attributes(&d.predicates, outer).iter().filter(|a| !kept.contains(&a.id)).map(attribute));
    d.plan = LogicalPlan::Project { list, input: Box::new(d.plan) };
    Ok(Some(d))
}

/// Equality with outer values splits the aggregate into one group per value: its inner side becomes a grouping key.
fn through_aggregate(
    mut grouping: Vec<Expr>,
    mut list: Vec<Expr>,
    input: LogicalPlan,
    outer: &BTreeSet<ExprId>,
) -> Result<Option<Decorrelated>> {
    if grouping.iter().chain(&list).any(|e| refers_to(e, outer)) {
        return Ok(None);
    }
    let Some(d) = pull_up(input, outer)? else { return Ok(None) };
    if d.defaults.is_some() {
        return Ok(None);
    }
    let defaults: Option<HashMap<ExprId, Expr>> =
        grouping.is_empty().then(|| definitions(&list).into_iter().map(|(id, e)| (id, over_no_rows(e))).collect());
    let mut predicates = vec![];
    for predicate in d.predicates {
        if refers_only_to(&predicate, outer) {
            predicates.push(predicate);
            continue;
        }
        let Some((op, inner, outside)) = correlated_equality(&predicate, outer) else { return Ok(None) };
        let existing = list.iter().find(|e| *e.unaliased() == inner).map(Expr::to_attribute);
        let key = match existing {
            Some(a) => a,
            None => {
                let named = if matches!(inner, Expr::Attribute(_)) { inner.clone() } else { alias(inner.clone(), "key") };
                let key = named.to_attribute();
                list.push(named);
                key
            }
        };
        if !grouping.contains(&inner) {
            grouping.push(inner);
        }
        predicates.push(comparison(op, attribute(&key), outside));
    }
    Ok(Some(Decorrelated { plan: LogicalPlan::Aggregate { grouping, list, input: Box::new(d.plan) }, predicates, defaults }))
}

fn through_join(j: Join, outer: &BTreeSet<ExprId>) -> Result<Option<Decorrelated>> {
    let Join { left, right, join_type, condition, hint } = j;
    let (pull_left, pull_right) = match join_type {
        JoinType::Inner | JoinType::Cross => (true, true),
        JoinType::RightOuter => (false, true),
        JoinType::FullOuter => (false, false),
        JoinType::LeftOuter
        | JoinType::LeftSingle
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::NullAwareAnti
        | JoinType::Existence(_) => (true, false),
    };
    if (!pull_left && is_correlated(&left, outer)) || (!pull_right && is_correlated(&right, outer)) {
        return Ok(None);
    }
    let (correlated, local): (Vec<_>, Vec<_>) = conjuncts(condition).into_iter().partition(|c| refers_to(c, outer));
    if !correlated.is_empty() && !join_type.is_inner() {
        return Ok(None);
    }
    let (Some(l), Some(r)) = (pull_up(*left, outer)?, pull_up(*right, outer)?) else { return Ok(None) };
    if l.defaults.is_some() || r.defaults.is_some() {
        return Ok(None);
    }
    let join = Join { left: Box::new(l.plan), right: Box::new(r.plan), join_type, condition: Expr::conjunction(local), hint };
    let predicates = l.predicates.into_iter().chain(r.predicates).chain(correlated).collect();
    Ok(Some(Decorrelated { plan: LogicalPlan::Join(join), predicates, defaults: None }))
}

/// The first rows for each outer row are the first rows of each group of equal keys.
fn through_limit(limit: Option<u64>, offset: u64, input: LogicalPlan, outer: &BTreeSet<ExprId>) -> Result<Option<Decorrelated>> {
    // At most one row anyway: a global aggregate with LIMIT 1.
    let trivial = offset == 0 && limit != Some(0) && crate::logical::optimizer::support::at_most_one_row(&input);
    let Some(mut d) = pull_up(input, outer)? else { return Ok(None) };
    if trivial {
        return Ok(Some(d));
    }
    if d.defaults.is_some() {
        return Ok(None);
    }
    let mut keys = vec![];
    for predicate in d.predicates.iter().filter(|p| !refers_only_to(p, outer)) {
        match correlated_equality(predicate, outer) {
            Some((_, inner, _)) => keys.push(inner),
            None => return Ok(None),
        }
    }
    d.plan = super::domain::limit_per_group(d.plan, keys, limit, offset);
    Ok(Some(d))
}

/// `inner = outer` (or `<=>`) with each side over one of the two, as (operator, inner side, outer side).
fn correlated_equality(predicate: &Expr, outer: &BTreeSet<ExprId>) -> Option<(ComparisonOp, Expr, Expr)> {
    let Expr::Comparison { op: op @ (ComparisonOp::Equal | ComparisonOp::EqualNullSafe), left, right } = predicate else { return None };
    let (l, r) = (left.as_ref().clone(), right.as_ref().clone());
    if refers_only_to(&r, outer) && !refers_to(&l, outer) {
        Some((*op, l, r))
    } else if refers_only_to(&l, outer) && !refers_to(&r, outer) {
        Some((*op, r, l))
    } else {
        None
    }
}

fn inner_attributes(predicates: &[Expr], outer: &BTreeSet<ExprId>) -> Vec<Attribute> {
    used_attributes(predicates).into_iter().filter(|a| !outer.contains(&a.id)).collect()
}
