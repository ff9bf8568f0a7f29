//! Conditions known to hold for every row of a plan.

use std::collections::{BTreeSet, HashMap};

use super::support::{conjuncts, is_not_null, refers_only_to, rejects_nulls, substitute, unique, used_attributes};
use crate::base::{Attribute, ExprId};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::{JoinType, LogicalPlan};

/// Conjuncts over the plan's output that every row satisfies: from its filters and joins.
pub fn constraints(plan: &LogicalPlan) -> Vec<Expr> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match plan {
        LogicalPlan::Filter { condition, input } => {
            let mut out = constraints(input);
            out.extend(condition.clone().split_conjunction().into_iter().filter(Expr::is_deterministic));
            unique(out)
        }
        LogicalPlan::Project { list, input } | LogicalPlan::Aggregate { list, input, .. } => renamed(constraints(input), list),
        LogicalPlan::Join(j) => {
            let condition = || conjuncts(j.condition.clone()).into_iter().filter(Expr::is_deterministic);
            match j.join_type {
                JoinType::Inner | JoinType::Cross => {
                    let mut out = constraints(&j.left);
                    out.extend(constraints(&j.right));
                    out.extend(condition());
                    unique(out)
                }
                JoinType::RightOuter => constraints(&j.right),
                JoinType::FullOuter => vec![],
                JoinType::LeftOuter
                | JoinType::LeftSingle
                | JoinType::LeftSemi
                | JoinType::LeftAnti
                | JoinType::NullAwareAnti
                | JoinType::Existence(_) => constraints(&j.left),
            }
        }
        LogicalPlan::Apply(a) => constraints(&a.input),
        LogicalPlan::SetOperation { left, .. } => constraints(left),
        LogicalPlan::Window { input, .. }
        | LogicalPlan::WindowGroupLimit { input, .. }
        | LogicalPlan::Hint { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Limit { input, .. }
        | LogicalPlan::Distinct { input }
        | LogicalPlan::Generate { input, .. }
        | LogicalPlan::Sample { input, .. }
        | LogicalPlan::Repartition { input, .. }
        | LogicalPlan::Coalesce { input, .. } => constraints(input),
        LogicalPlan::Relation { .. }
        | LogicalPlan::InMemoryRelation(_)
        | LogicalPlan::LocalRelation { .. }
        | LogicalPlan::OneRowRelation
        | LogicalPlan::Range { .. }
        | LogicalPlan::Union { .. }
        | LogicalPlan::Expand { .. } => vec![],
    })
}

/// Constraints below a Project or Aggregate in the words of its list: for columns passed on, under old and new names.
fn renamed(below: Vec<Expr>, list: &[Expr]) -> Vec<Expr> {
    let kept: BTreeSet<ExprId> = list.iter().filter(|e| matches!(e, Expr::Attribute(_))).map(|e| e.to_attribute().id).collect();
    let mut names: HashMap<ExprId, Expr> = HashMap::new();
    for e in list {
        if let (Expr::Alias { .. }, Expr::Attribute(a)) = (e, e.unaliased()) {
            names.entry(a.id).or_insert_with(|| Expr::Attribute(e.to_attribute()));
        }
    }
    let nameable: BTreeSet<ExprId> = names.keys().copied().collect();
    let mut out = vec![];
    for c in below {
        if refers_only_to(&c, &kept) {
            out.push(c.clone());
        }
        if !nameable.is_empty() && c.references().iter().all(|id| kept.contains(id) || nameable.contains(id)) {
            out.push(substitute(c, &names));
        }
    }
    unique(out)
}

/// The constraints and what follows from them: a condition on one of several equal columns holds for the others, and columns that
/// are compared are not NULL.
pub fn with_consequences(constraints: Vec<Expr>) -> Vec<Expr> {
    let classes = equal_columns(&constraints);
    let mut out = constraints;
    for c in out.clone() {
        let used = c.references();
        let (Some(id), 1) = (used.first().copied(), used.len()) else { continue };
        let Some(class) = classes.iter().find(|class| class.iter().any(|a| a.id == id)) else { continue };
        // Equal values may still differ in their text (-0.0 and 0.0) or in what fails.
        if c.can_fail() || class.iter().any(|a| a.data_type.is_fractional() || a.data_type.is_nested()) {
            continue;
        }
        for other in class.iter().filter(|a| a.id != id) {
            let map = HashMap::from([(id, Expr::Attribute(other.clone()))]);
            out.push(substitute(c.clone(), &map));
        }
    }
    for c in out.clone() {
        // Spark infers nothing from lists.
        if matches!(if let Expr::Not(inner) = &c { inner } else { &c }, Expr::In { .. }) {
            continue;
        }
        for a in used_attributes([&c]) {
            if a.nullable && rejects_nulls(&c, &BTreeSet::from([a.id])) {
                out.push(is_not_null(Expr::Attribute(a)));
            }
        }
    }
    unique(out)
}

/// Sets of columns that equalities make equal.
fn equal_columns(constraints: &[Expr]) -> Vec<Vec<Attribute>> {
    let mut classes: Vec<Vec<Attribute>> = vec![];
    for c in constraints {
        let Expr::Comparison { op: ComparisonOp::Equal, left, right } = c else { continue };
        let (Expr::Attribute(l), Expr::Attribute(r)) = (left.as_ref(), right.as_ref()) else { continue };
        let (mut joined, apart): (Vec<_>, Vec<_>) = classes.into_iter().partition(|class| class.contains(l) || class.contains(r));
        joined.push(vec![l.clone(), r.clone()]);
        let mut merged: Vec<Attribute> = vec![];
        for a in joined.into_iter().flatten() {
            if !merged.contains(&a) {
                merged.push(a);
            }
        }
        classes = apart;
        classes.push(merged);
    }
    classes
}
