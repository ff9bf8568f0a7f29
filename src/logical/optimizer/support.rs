//! What several rules need: short constructors, substitution, questions about expressions and plans.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::base::{Attribute, DataType, Error, ExprId, Result, Scalar};
use crate::expr::{AggregateFunction, ComparisonOp, Expr, ScalarFunction, evaluate};
use crate::logical::{Join, JoinHint, JoinType, LogicalPlan};

pub fn attribute(a: &Attribute) -> Expr {
    Expr::Attribute(a.clone())
}

pub fn attributes(plan: &LogicalPlan) -> Vec<Expr> {
    plan.output().into_iter().map(Expr::Attribute).collect()
}

/// The plan, whose rows can be compared as DISTINCT and set operations do.
///
/// # Errors
/// `Unsupported` when there are maps in its columns.
pub fn without_maps(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan.output().iter().find(|a| !a.data_type.is_orderable()) {
        Some(a) => Err(Error::unsupported(format!(
            "DISTINCT, INTERSECT, EXCEPT and UNION cannot compare columns that hold maps, but the type of column `{}` is \"{}\".",
            a.name,
            a.data_type.to_string().to_uppercase()
        ))),
        None => Ok(plan),
    }
}

pub fn boolean(value: bool) -> Expr {
    Expr::Literal(Scalar::Boolean(value))
}

pub fn null_boolean() -> Expr {
    Expr::Literal(Scalar::Null(DataType::Boolean))
}

pub fn is_true(e: &Expr) -> bool {
    matches!(e, Expr::Literal(Scalar::Boolean(true)))
}

pub fn is_false(e: &Expr) -> bool {
    matches!(e, Expr::Literal(Scalar::Boolean(false)))
}

pub fn is_null_literal(e: &Expr) -> bool {
    matches!(e, Expr::Literal(s) if s.is_null())
}

pub fn comparison(op: ComparisonOp, left: Expr, right: Expr) -> Expr {
    Expr::Comparison { op, left: Box::new(left), right: Box::new(right) }
}

pub fn equal(left: Expr, right: Expr) -> Expr {
    comparison(ComparisonOp::Equal, left, right)
}

/// Equality that treats NULLs as equal; plain equality where neither side can be NULL.
pub fn equal_null_safe(left: Expr, right: Expr) -> Expr {
    let op = if left.nullable() && right.nullable() { ComparisonOp::EqualNullSafe } else { ComparisonOp::Equal };
    comparison(op, left, right)
}

pub fn or(left: Expr, right: Expr) -> Expr {
    Expr::Or(Box::new(left), Box::new(right))
}

pub fn not(e: Expr) -> Expr {
    Expr::Not(Box::new(e))
}

pub fn is_null(e: Expr) -> Expr {
    Expr::IsNull(Box::new(e))
}

pub fn is_not_null(e: Expr) -> Expr {
    Expr::IsNotNull(Box::new(e))
}

/// `expr AS a`, keeping the id of `a`.
pub fn alias_as(expr: Expr, a: &Attribute) -> Expr {
    Expr::Alias { expr: Box::new(expr), name: a.name.clone(), id: a.id }
}

/// `expr AS name` under a fresh id.
pub fn alias(expr: Expr, name: impl Into<Arc<str>>) -> Expr {
    Expr::Alias { expr: Box::new(expr), name: name.into(), id: ExprId::next() }
}

pub fn project(list: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Project { list, input: Box::new(input) }
}

/// `input` filtered by the conjuncts; `input` itself when there are none.
pub fn filter(conjuncts: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    match Expr::conjunction(conjuncts) {
        Some(condition) => LogicalPlan::Filter { condition, input: Box::new(input) },
        None => input,
    }
}

pub fn join(left: LogicalPlan, right: LogicalPlan, join_type: JoinType, conjuncts: Vec<Expr>) -> LogicalPlan {
    LogicalPlan::Join(Join {
        left: Box::new(left),
        right: Box::new(right),
        join_type,
        condition: Expr::conjunction(conjuncts),
        hint: JoinHint::default(),
    })
}

/// No rows with these columns.
pub fn empty_relation(output: Vec<Attribute>) -> LogicalPlan {
    LogicalPlan::LocalRelation { output, rows: vec![] }
}

pub fn is_empty_relation(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::LocalRelation { rows, .. } if rows.is_empty())
}

/// The conjuncts of an optional condition.
pub fn conjuncts(condition: Option<Expr>) -> Vec<Expr> {
    condition.map(Expr::split_conjunction).unwrap_or_default()
}

/// Without repetitions, in order of first occurrence. Random expressions do not repeat each other.
pub fn unique(exprs: Vec<Expr>) -> Vec<Expr> {
    let mut seen = HashSet::new();
    exprs.into_iter().filter(|e| seen.insert(e.clone()) || !e.is_deterministic()).collect()
}

/// Whether every attribute used is one of `ids`.
pub fn refers_only_to(e: &Expr, ids: &BTreeSet<ExprId>) -> bool {
    !e.any(&mut |e| matches!(e, Expr::Attribute(a) if !ids.contains(&a.id)))
}

/// Whether some attribute used is one of `ids`.
pub fn refers_to(e: &Expr, ids: &BTreeSet<ExprId>) -> bool {
    e.any(&mut |e| matches!(e, Expr::Attribute(a) if ids.contains(&a.id)))
}

/// Attributes in order of first use, without repetition.
pub fn used_attributes<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Vec<Attribute> {
    let mut seen = BTreeSet::new();
    let mut out = vec![];
    for e in exprs {
        e.visit(&mut |e| {
            if let Expr::Attribute(a) = e
                && seen.insert(a.id)
            {
                out.push(a.clone());
            }
            true
        });
    }
    out
}

/// What each output of a Project or Aggregate list stands for.
pub fn definitions(list: &[Expr]) -> HashMap<ExprId, Expr> {
    list.iter().map(|e| (e.to_attribute().id, e.unaliased().clone())).collect()
}

/// Replaces attributes by what `map` says of them.
pub fn substitute(e: Expr, map: &HashMap<ExprId, Expr>) -> Expr {
    if map.is_empty() {
        return e;
    }
    e.replace(&mut |e| match &e {
        Expr::Attribute(a) => map.get(&a.id).cloned().ok_or(e),
        _ => Err(e),
    })
}

/// Pairs the outputs of two plans by position: id of the first, attribute of the second.
pub fn by_position(from: &[Attribute], to: &[Attribute]) -> HashMap<ExprId, Expr> {
    from.iter().zip(to).map(|(f, t)| (f.id, Expr::Attribute(t.clone()))).collect()
}

/// `f` on every expression node of every operator, children first.
///
/// # Errors
/// Those of `f`.
pub fn transform_expressions(plan: LogicalPlan, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| node.map_expressions(&mut |e| e.transform_up(f)))
}

/// Value of an aggregate's output expression over no rows.
pub fn over_no_rows(e: Expr) -> Expr {
    e.replace(&mut |e| match &e {
        Expr::Aggregate(a) if a.function == AggregateFunction::Count => Ok(Expr::Literal(Scalar::Long(0))),
        Expr::Aggregate(_) => Ok(Expr::Literal(Scalar::Null(e.data_type()))),
        _ => Err(e),
    })
}

/// Whether the plan can be seen to give at most one row.
pub fn at_most_one_row(plan: &LogicalPlan) -> bool {
    max_rows(plan).is_some_and(|n| n <= 1)
}

/// The most rows that the plan can be seen to give.
pub fn max_rows(plan: &LogicalPlan) -> Option<u64> {
    match plan {
        LogicalPlan::OneRowRelation => Some(1),
        LogicalPlan::LocalRelation { rows, .. } => Some(rows.len() as u64),
        LogicalPlan::Aggregate { grouping, .. } if grouping.is_empty() => Some(1),
        LogicalPlan::Limit { limit, input, .. } => limit.iter().copied().chain(max_rows(input)).min(),
        LogicalPlan::Project { input, .. }
        | LogicalPlan::Filter { input, .. }
        | LogicalPlan::Window { input, .. }
        | LogicalPlan::WindowGroupLimit { input, .. }
        | LogicalPlan::Hint { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Distinct { input } => max_rows(input),
        LogicalPlan::Join(j) if j.join_type.is_inner() => max_rows(&j.left)?.checked_mul(max_rows(&j.right)?),
        LogicalPlan::Join(j) if !j.join_type.keeps_right() => max_rows(&j.left),
        _ => None,
    }
}

/// Whether the expression is NULL whenever all attributes in `ids` are NULL.
pub fn is_null_when(e: &Expr, ids: &BTreeSet<ExprId>) -> bool {
    match e {
        Expr::Attribute(a) => ids.contains(&a.id),
        Expr::Literal(s) => s.is_null(),
        Expr::Cast { expr, .. } | Expr::Alias { expr, .. } => is_null_when(expr, ids),
        Expr::Negate(e) | Expr::Not(e) => is_null_when(e, ids),
        Expr::Arithmetic { left, right, .. } => is_null_when(left, ids) || is_null_when(right, ids),
        Expr::Comparison { op, left, right } => *op != ComparisonOp::EqualNullSafe && (is_null_when(left, ids) || is_null_when(right, ids)),
        Expr::And(l, r) | Expr::Or(l, r) => is_null_when(l, ids) && is_null_when(r, ids),
        Expr::Like { value, pattern, .. } => is_null_when(value, ids) || is_null_when(pattern, ids),
        Expr::In { value, .. } => is_null_when(value, ids),
        Expr::Coalesce(args) => args.iter().all(|a| is_null_when(a, ids)),
        Expr::Function { function: ScalarFunction::StartsWith | ScalarFunction::EndsWith | ScalarFunction::Contains, args } => {
            args.iter().any(|a| is_null_when(a, ids))
        }
        // What a function or a CASE makes of NULL is its own affair.
        Expr::Column { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Case { .. }
        | Expr::Function { .. }
        | Expr::Aggregate(_)
        | Expr::Window(_)
        | Expr::Lambda { .. }
        | Expr::LambdaVariable(_)
        | Expr::DynamicPruning { .. }
        | Expr::ScalarSubquery { .. } => false,
    }
}

/// Whether a row in which all attributes in `ids` are NULL cannot satisfy the condition.
pub fn rejects_nulls(condition: &Expr, ids: &BTreeSet<ExprId>) -> bool {
    match condition {
        Expr::And(l, r) => rejects_nulls(l, ids) || rejects_nulls(r, ids),
        Expr::Or(l, r) => rejects_nulls(l, ids) && rejects_nulls(r, ids),
        Expr::IsNotNull(e) => is_null_when(e, ids),
        Expr::Not(e) if matches!(**e, Expr::IsNull(_)) => e.children().first().is_some_and(|e| is_null_when(e, ids)),
        other => is_false(other) || is_null_when(other, ids) || fails_over_nulls(other, ids),
    }
}

/// Whether a condition on attributes in `ids` alone comes out false or NULL when all of them are NULL.
fn fails_over_nulls(condition: &Expr, ids: &BTreeSet<ExprId>) -> bool {
    if !refers_only_to(condition, ids) || !condition.is_deterministic() {
        return false;
    }
    let nulls = condition.clone().replace(&mut |e| match e {
        Expr::Attribute(a) => Ok(Expr::Literal(Scalar::Null(a.data_type))),
        other => Err(other),
    });
    nulls.is_foldable() && matches!(evaluate::fold(&nulls), Ok(Scalar::Boolean(false) | Scalar::Null(_)))
}
