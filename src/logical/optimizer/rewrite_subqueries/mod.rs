//! RewriteSubqueries: every `Apply` becomes joins.
//!
//! EXISTS and IN that stand as conjuncts of a filter become semi and anti joins, elsewhere existence joins. There an IN is never
//! NULL, as in Spark: where SQL says so, both the IN and a NOT IN are false. A correlated scalar
//! subquery becomes a left outer join if it gives at most one row per outer row, else a left single join, which checks that.
//!
//! Correlation is undone in one of two ways. [`pull_up`] moves correlated predicates up to the join where that is enough (Spark's
//! way; equality under an aggregate becomes a grouping key). Otherwise [`domain`] computes the subquery for all distinct
//! combinations of outer values at once: T. Neumann, A. Kemper, "Unnesting Arbitrary Queries", BTW 2015.

mod domain;
mod pull_up;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use super::support::{
    alias, alias_as, at_most_one_row, attribute, boolean, by_position, equal, filter, is_null, is_null_literal, join, not, null_boolean,
    or, project,
};
use super::{boolean_simplification, collapse_project, push_down_predicates};
use crate::base::{Attribute, DataType, ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::{JoinType, LogicalPlan, SubqueryKind};

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if !has_unknown_answers(&plan) {
        return rewrite(plan, &BTreeSet::new());
    }
    // Whether an answer is asked for under NOT tells once expressions stand where they will stay.
    let plan = push_down_predicates::apply(plan, settings)?;
    let plan = boolean_simplification::apply(collapse_project::apply(plan, settings)?, settings)?;
    let mut uses = Uses::default();
    uses.of_plan(&plan);
    let negated = uses.negated.difference(&uses.plain).copied().collect();
    rewrite(plan, &negated)
}

/// Whether there is an IN whose answer SQL would have NULL in places.
fn has_unknown_answers(plan: &LogicalPlan) -> bool {
    let unknown = match plan {
        LogicalPlan::Apply(a) => may_be_unknown(&a.kind, &a.subquery),
        _ => false,
    };
    unknown || stacker::maybe_grow(64 * 1024, 1024 * 1024, || plan.children().into_iter().any(has_unknown_answers))
}

fn may_be_unknown(kind: &SubqueryKind, subquery: &LogicalPlan) -> bool {
    let SubqueryKind::In { values, .. } = kind else { return false };
    values.iter().any(Expr::nullable) || subquery.output().iter().any(|a| a.nullable)
}

/// How attributes are used: right under NOT, or otherwise.
#[derive(Default)]
struct Uses {
    negated: BTreeSet<ExprId>,
    plain: BTreeSet<ExprId>,
}

impl Uses {
    fn of_plan(&mut self, plan: &LogicalPlan) {
        // What is only passed on is not used.
        let passed = |e: &Expr| matches!((plan, e), (LogicalPlan::Project { .. }, Expr::Attribute(_)));
        plan.expressions().into_iter().filter(|e| !passed(e)).for_each(|e| self.of(e));
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || plan.children().into_iter().for_each(|c| self.of_plan(c)));
    }

    fn of(&mut self, e: &Expr) {
        e.visit(&mut |e| match e {
            Expr::Not(x) if let Expr::Attribute(a) = &**x => {
                self.negated.insert(a.id);
                false
            }
            Expr::Attribute(a) => {
                self.plain.insert(a.id);
                false
            }
            _ => true,
        });
    }
}

/// A subquery without references to outer attributes: its rows for an outer row are those of `plan` that satisfy `predicates`.
struct Decorrelated {
    plan: LogicalPlan,
    /// Over outer attributes and the output of `plan`.
    predicates: Vec<Expr>,
    /// Columns of the one row that the subquery gives where no row of `plan` matches: a global aggregate over nothing.
    defaults: Option<HashMap<ExprId, Expr>>,
}

/// What the user of an EXISTS or IN needs to know.
#[derive(Clone, Copy, PartialEq)]
enum Usage {
    /// Keep the rows for which it is true.
    True,
    /// Keep the rows for which it is false.
    False,
    /// The value; false where it is unknown.
    Found,
    /// The value; true where it is unknown.
    Possible,
}

struct PendingApply {
    subquery: LogicalPlan,
    kind: SubqueryKind,
    outer: Vec<Attribute>,
}

impl PendingApply {
    /// The same question, answered in a column of that name.
    fn asking(&self, answer: Attribute) -> Self {
        let kind = match &self.kind {
            SubqueryKind::Exists(_) => SubqueryKind::Exists(answer),
            SubqueryKind::In { values, .. } => SubqueryKind::In { values: values.clone(), output: answer },
            SubqueryKind::Scalar(_) => SubqueryKind::Scalar(answer),
        };
        Self { subquery: self.subquery.clone(), kind, outer: self.outer.clone() }
    }
}

/// `negated` are the answers that are asked for under NOT alone.
fn rewrite(plan: LogicalPlan, negated: &BTreeSet<ExprId>) -> Result<LogicalPlan> {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match plan {
        LogicalPlan::Filter { condition, input } if matches!(*input, LogicalPlan::Apply(_)) => rewrite_filter(condition, *input, negated),
        LogicalPlan::Apply(a) => {
            let apply = PendingApply { subquery: rewrite(*a.subquery, negated)?, kind: a.kind, outer: a.outer };
            let usage = if negated.contains(&apply.kind.output().id) { Usage::Possible } else { Usage::Found };
            to_join(rewrite(*a.input, negated)?, apply, usage)
        }
        other => other.map_children(&mut |child| rewrite(child, negated)),
    })
}

/// A filter over a chain of applies: those whose answer is a conjunct become semi or anti joins and leave a constant behind.
fn rewrite_filter(condition: Expr, mut input: LogicalPlan, negated: &BTreeSet<ExprId>) -> Result<LogicalPlan> {
    let output = input.output();
    let mut chain = vec![];
    while let LogicalPlan::Apply(a) = input {
        chain.push(PendingApply { subquery: rewrite(*a.subquery, negated)?, kind: a.kind, outer: a.outer });
        input = *a.input;
    }
    let mut plan = rewrite(input, negated)?;
    let mut conjuncts = condition.split_conjunction();
    let mut decided: HashMap<ExprId, Expr> = HashMap::new();
    // Whether there are columns for the filter alone.
    let mut extra = false;
    while let Some(apply) = chain.pop() {
        let answer = apply.kind.output().clone();
        let used_by_later = chain.iter().any(|later| {
            later.outer.contains(&answer)
                || matches!(&later.kind, SubqueryKind::In { values, .. } if values.iter().any(|v| v.references().contains(&answer.id)))
        });
        let usage = match negated.contains(&answer.id) {
            true if used_by_later => Usage::Possible,
            _ if used_by_later => Usage::Found,
            negated => usage_of(&answer, &apply.kind, &conjuncts, negated),
        };
        if usage == Usage::Found && may_be_unknown(&apply.kind, &apply.subquery) {
            // Where it is asked for under NOT as well it is a question of its own.
            let possible = answer.fresh();
            let mut asked = false;
            let mut rename = |e: Expr| match e {
                Expr::Not(x) if *x == attribute(&answer) => {
                    asked = true;
                    Ok(not(attribute(&possible)))
                }
                other => Err(other),
            };
            conjuncts = conjuncts.into_iter().map(|c| c.replace(&mut rename)).collect();
            if asked {
                plan = to_join(plan, apply.asking(possible), Usage::Possible)?;
                extra = true;
            }
        }
        if matches!(usage, Usage::True | Usage::False) {
            conjuncts.retain(|c| !c.references().contains(&answer.id));
            decided.insert(answer.id, boolean(usage == Usage::True));
        }
        plan = to_join(plan, apply, usage)?;
    }
    let plan = filter(conjuncts, plan);
    if decided.is_empty() && !extra {
        return Ok(plan);
    }
    let list = output.iter().map(|a| decided.get(&a.id).map_or_else(|| attribute(a), |value| alias_as(value.clone(), a))).collect();
    Ok(project(list, plan))
}

fn usage_of(answer: &Attribute, kind: &SubqueryKind, conjuncts: &[Expr], negated: bool) -> Usage {
    if matches!(kind, SubqueryKind::Scalar(_)) {
        return Usage::Found;
    }
    let is_answer = |e: &Expr| matches!(e, Expr::Attribute(a) if a == answer);
    let users: Vec<&Expr> = conjuncts.iter().filter(|c| c.references().contains(&answer.id)).collect();
    match users.as_slice() {
        [e] if is_answer(e) => Usage::True,
        [Expr::Not(e)] if is_answer(e) => Usage::False,
        _ if negated => Usage::Possible,
        _ => Usage::Found,
    }
}

/// `input` with the answer of the subquery: as a column, or by keeping the rows that `usage` asks for.
fn to_join(input: LogicalPlan, apply: PendingApply, usage: Usage) -> Result<LogicalPlan> {
    let PendingApply { subquery, kind, outer } = apply;
    match kind {
        SubqueryKind::Exists(answer) => exists_to_join(input, subquery, &outer, answer, usage),
        SubqueryKind::In { values, output } => in_to_join(input, subquery, &outer, values, output, usage),
        SubqueryKind::Scalar(answer) => scalar_to_join(input, subquery, &outer, &answer),
    }
}

fn exists_to_join(input: LogicalPlan, subquery: LogicalPlan, outer: &[Attribute], answer: Attribute, usage: Usage) -> Result<LogicalPlan> {
    let rows = without_effect_on_existence(subquery);
    if matches!(&rows, LogicalPlan::Aggregate { grouping, .. } if grouping.is_empty()) {
        // A global aggregate always has its row.
        return Ok(match usage {
            Usage::True => input,
            Usage::False => filter(vec![boolean(false)], input),
            Usage::Found | Usage::Possible => with_column(input, boolean(true), &answer),
        });
    }
    let mut sub = decorrelate(rows, outer, &input, false)?;
    if sub.predicates.is_empty() {
        sub.plan = LogicalPlan::Limit { limit: Some(1), offset: 0, input: Box::new(project(vec![], sub.plan)) };
    }
    let join_type = match usage {
        Usage::True => JoinType::LeftSemi,
        Usage::False => JoinType::LeftAnti,
        Usage::Found | Usage::Possible => JoinType::Existence(answer.with_nullable(false)),
    };
    Ok(join(input, sub.plan, join_type, sub.predicates))
}

/// The plan without operators on top that neither add the first nor remove the last row.
fn without_effect_on_existence(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Project { input, .. } | LogicalPlan::Sort { input, .. } | LogicalPlan::Distinct { input } => {
            without_effect_on_existence(*input)
        }
        LogicalPlan::Limit { limit, offset: 0, input } if limit != Some(0) => without_effect_on_existence(*input),
        LogicalPlan::Aggregate { grouping, input, .. } if !grouping.is_empty() => without_effect_on_existence(*input),
        other => other,
    }
}

fn in_to_join(
    input: LogicalPlan,
    subquery: LogicalPlan,
    outer: &[Attribute],
    values: Vec<Expr>,
    answer: Attribute,
    usage: Usage,
) -> Result<LogicalPlan> {
    let columns = subquery.output();
    let mut sub = decorrelate(subquery, outer, &input, false)?;
    let renamed = avoid_collisions(&mut sub, &input);
    let pairs: Vec<(Expr, Expr)> = values
        .into_iter()
        .zip(&columns)
        .map(|(value, column)| (value, renamed.get(&column.id).cloned().unwrap_or_else(|| attribute(column))))
        .collect();
    let nullable = pairs.iter().any(|(v, c)| v.nullable() || c.nullable());
    let found = |sub: &Decorrelated| -> Vec<Expr> {
        pairs.iter().map(|(v, c)| equal(v.clone(), c.clone())).chain(sub.predicates.iter().cloned()).collect()
    };
    // Rows that are equal or could be, were their NULLs known.
    let not_refuted = |sub: &Decorrelated| -> Vec<Expr> {
        let possible = |(v, c): &(Expr, Expr)| {
            let eq = equal(v.clone(), c.clone());
            if v.nullable() || c.nullable() { or(eq.clone(), is_null(eq)) } else { eq }
        };
        pairs.iter().map(possible).chain(sub.predicates.iter().cloned()).collect()
    };
    Ok(match usage {
        Usage::True => {
            let condition = found(&sub);
            join(input, sub.plan, JoinType::LeftSemi, condition)
        }
        Usage::False if !nullable => {
            let condition = found(&sub);
            join(input, sub.plan, JoinType::LeftAnti, condition)
        }
        Usage::False if pairs.len() == 1 && sub.predicates.is_empty() && !is_null_literal(&pairs[0].0) => {
            let condition = found(&sub);
            join(input, sub.plan, JoinType::NullAwareAnti, condition)
        }
        Usage::False => {
            let condition = not_refuted(&sub);
            join(input, sub.plan, JoinType::LeftAnti, condition)
        }
        // NULL is in nothing, and is not known to be in what there is.
        Usage::Found | Usage::Possible if sub.predicates.is_empty() && pairs.iter().all(|(v, _)| is_null_literal(v)) => {
            let some = Attribute::new("exists", DataType::Boolean, false);
            let first = LogicalPlan::Limit { limit: Some(1), offset: 0, input: Box::new(project(vec![], sub.plan)) };
            let kept: Vec<Expr> = input.output().iter().map(attribute).collect();
            let value = Expr::Case { branches: vec![(attribute(&some), null_boolean())], otherwise: Some(Box::new(boolean(false))) };
            project([kept, vec![alias_as(value, &answer)]].concat(), join(input, first, JoinType::Existence(some), vec![]))
        }
        Usage::Found | Usage::Possible => {
            let condition = if usage == Usage::Found { found(&sub) } else { not_refuted(&sub) };
            join(input, sub.plan, JoinType::Existence(answer.with_nullable(false)), condition)
        }
    })
}

fn scalar_to_join(input: LogicalPlan, subquery: LogicalPlan, outer: &[Attribute], answer: &Attribute) -> Result<LogicalPlan> {
    let join_type = if at_most_one_row(&subquery) { JoinType::LeftOuter } else { JoinType::LeftSingle };
    let column = subquery.output().swap_remove(0);
    let mut sub = decorrelate(subquery, outer, &input, true)?;
    let default = sub.defaults.as_mut().and_then(|d| d.remove(&column.id)).map(folded).filter(|d| !is_null_literal(d));
    let matched = Attribute::new("matched", DataType::Boolean, true);
    if default.is_some() {
        let list = sub.plan.output().into_iter().map(Expr::Attribute).chain([alias_as(boolean(true), &matched)]).collect();
        sub.plan = project(list, sub.plan);
    }
    let renamed = avoid_collisions(&mut sub, &input);
    let column = renamed.get(&column.id).cloned().unwrap_or_else(|| attribute(&column.with_nullable(true)));
    let value = match default {
        // The COUNT bug: where nothing matched, the aggregate over no rows still has a value.
        Some(default) => Expr::Case { branches: vec![(is_null(attribute(&matched)), default)], otherwise: Some(Box::new(column)) },
        None => column,
    };
    let list = input.output().into_iter().map(Expr::Attribute).chain([alias_as(value, answer)]).collect();
    Ok(project(list, join(input, sub.plan, join_type, sub.predicates)))
}

fn folded(e: Expr) -> Expr {
    e.clone().transform_up(&mut |e| Ok(super::null_propagation::simplify(super::constant_folding::fold(e)))).unwrap_or(e)
}

fn with_column(input: LogicalPlan, value: Expr, column: &Attribute) -> LogicalPlan {
    let list = input.output().into_iter().map(Expr::Attribute).chain([alias_as(value, column)]).collect();
    project(list, input)
}

/// `defaults`: whether the caller can supply the row of a global aggregate over nothing.
fn decorrelate(subquery: LogicalPlan, outer: &[Attribute], input: &LogicalPlan, defaults: bool) -> Result<Decorrelated> {
    let ids: BTreeSet<ExprId> = outer.iter().map(|a| a.id).collect();
    if !is_correlated(&subquery, &ids) {
        return Ok(Decorrelated { plan: subquery, predicates: vec![], defaults: None });
    }
    match pull_up::pull_up(subquery.clone(), &ids)? {
        Some(done) if defaults || done.defaults.is_none() => Ok(done),
        _ => domain::decorrelate(subquery, outer, input),
    }
}

/// Whether any expression below uses an outer attribute.
fn is_correlated(plan: &LogicalPlan, outer: &BTreeSet<ExprId>) -> bool {
    if outer.is_empty() {
        return false;
    }
    uses(plan, outer) || stacker::maybe_grow(64 * 1024, 1024 * 1024, || plan.children().into_iter().any(|c| is_correlated(c, outer)))
}

/// Whether an expression of this node uses an outer attribute.
fn uses(plan: &LogicalPlan, outer: &BTreeSet<ExprId>) -> bool {
    plan.expressions().into_iter().any(|e| super::support::refers_to(e, outer))
}

/// Gives columns of the subquery that the input has too (a CTE used on both sides) fresh ids; returns how they are called now.
fn avoid_collisions(sub: &mut Decorrelated, input: &LogicalPlan) -> HashMap<ExprId, Expr> {
    let taken = input.output_set();
    let output = sub.plan.output();
    if !output.iter().any(|a| taken.contains(&a.id)) {
        return HashMap::new();
    }
    let list: Vec<Expr> =
        output.iter().map(|a| if taken.contains(&a.id) { alias(attribute(a), a.name.clone()) } else { attribute(a) }).collect();
    let plan = project(list, std::mem::replace(&mut sub.plan, LogicalPlan::OneRowRelation));
    let mut renamed = by_position(&output, &plan.output());
    renamed.retain(|id, _| taken.contains(id));
    sub.plan = plan;
    renamed
}
