//! Queries: WITH, the SELECT pipeline, LIMIT.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast::{self, SetExpr};

use super::aggregate::{Grouping, plan_aggregate};
use super::expr::{Aliases, Clause, ExprBinder, Pending};
use super::hints::Hints;
use super::order::{Clauses, Organization};
use super::parse::location;
use super::scope::{At, Column, Relation, Scope, dotted};
use super::select_list::SelectList;
use super::subquery::{attach, references};
use super::{Binder, Cte, MAX_NESTING, parse::too_deep, window};
use crate::base::{Attribute, Error, ErrorClass, ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::optimizer::settle_hints;
use crate::logical::{BoundQuery, LogicalPlan};

/// The select list, HAVING and QUALIFY admit aggregate and window calls.
const SELECT_LIST: Clause = Clause { aggregates: true, windows: true, ..Clause::plain("the select list") };

impl Binder<'_> {
    /// Binds a query; `outer` is what a subquery sees of the queries around it.
    pub(super) fn query(&mut self, q: &ast::Query, outer: Option<&Scope>) -> Result<Relation> {
        self.depth += 1;
        if self.depth > 4 * MAX_NESTING {
            return Err(too_deep());
        }
        let bound = stacker::maybe_grow(512 << 10, 4 << 20, || self.query_node(q, outer));
        self.depth -= 1;
        bound
    }

    fn query_node(&mut self, q: &ast::Query, outer: Option<&Scope>) -> Result<Relation> {
        if !q.pipe_operators.is_empty() || !q.locks.is_empty() || q.for_clause.is_some() {
            return Err(Error::unsupported("Pipe operators and locking clauses are not supported.")).at(q);
        }
        let ctes_before = self.ctes.len();
        if let Some(with) = &q.with {
            self.with(with, outer)?;
        }
        let bound = match (q.body.as_ref(), &q.order_by) {
            (SetExpr::Select(s), order_by) => self.select(s, order_by.as_ref(), outer),
            (body, None) => self.set_expr(body, outer),
            (body, Some(order_by)) => {
                let relation = self.set_expr(body, outer)?;
                self.order_output(relation, order_by, outer)
            }
        };
        let bound = bound?;
        self.ctes.truncate(ctes_before);
        let plan = self.limit(bound.plan, q)?;
        Ok(Relation { plan, ..bound })
    }

    fn with(&mut self, with: &ast::With, outer: Option<&Scope>) -> Result<()> {
        if with.recursive {
            return Err(Error::unsupported("Recursive common table expressions are not supported.")).at(with);
        }
        for (i, cte) in with.cte_tables.iter().enumerate() {
            let name = cte.alias.name.value.clone();
            if with.cte_tables[..i].iter().any(|other| other.alias.name.value.eq_ignore_ascii_case(&name)) {
                let message = format!("The WITH clause defines `{name}` twice.");
                return Err(Error::new(ErrorClass::Parse, message).at(location(cte.alias.name.span.start)));
            }
            let columns: Vec<ast::Ident> = cte.alias.columns.iter().map(|c| c.name.clone()).collect();
            let BoundQuery { plan, subqueries } = self.template(&cte.query, &columns, outer)?;
            // A hint within is not one on the joins of those who mention the CTE, as it would be in a derived table or a view.
            let query = Arc::new(BoundQuery { plan: settle_hints(plan, &Settings::default())?, subqueries });
            let used = references(&query.plan);
            let outer = used.into_iter().filter(|id| outer.is_some_and(|o| o.contains(*id))).collect();
            self.ctes.push(Cte { name, query, outer });
        }
        Ok(())
    }

    /// A query that mentions copy, with its subqueries apart; `columns` rename its columns.
    pub(super) fn template(&mut self, q: &ast::Query, columns: &[ast::Ident], outer: Option<&Scope>) -> Result<BoundQuery> {
        let around = std::mem::take(&mut self.subqueries);
        let relation = self.query(q, outer)?;
        let subqueries = std::mem::replace(&mut self.subqueries, around);
        let plan = rename_columns(relation.plan, columns)?;
        if depth(&plan) > MAX_NESTING {
            return Err(too_deep()).at(q);
        }
        Ok(BoundQuery { plan, subqueries })
    }

    /// A fresh copy of a template; `outer` are columns around it, which stay themselves. Its subqueries keep their ids: their values are the same at each mention.
    pub(super) fn instantiate(&mut self, query: &BoundQuery, outer: &[ExprId]) -> Result<LogicalPlan> {
        for (id, plan) in &query.subqueries {
            if !self.subqueries.iter().any(|(known, _)| known == id) {
                self.subqueries.push((*id, plan.clone()));
            }
        }
        query.plan.clone().with_fresh_ids(&mut outer.iter().map(|id| (*id, *id)).collect())
    }

    /// `SELECT …`, with the ORDER BY that follows it.
    pub(super) fn select(&mut self, s: &ast::Select, order_by: Option<&ast::OrderBy>, outer: Option<&Scope>) -> Result<Relation> {
        reject_unsupported(s)?;
        let hints = Hints::parse(&s.optimizer_hints, self.adaptive).at(s)?;
        let mut from = self.from(&s.from, &hints, outer)?;
        for view in &s.lateral_views {
            from = self.lateral_view(from, view, outer)?;
        }
        hints.warn_of_unknown_relations();
        let Relation { plan, columns } = from;
        let scope = Scope::new(&columns, outer);
        let mut plan = match &s.selection {
            Some(condition) => self.filter(plan, condition, scope)?,
            None => plan,
        };

        // The column of windows is no part of `*`, and others of its name come first.
        let time_window = self.time_window(s, scope)?;
        let windows_of_time: Vec<Column> = time_window.iter().map(|w| Column::new(w.column.clone())).collect();
        let around = Scope::new(&windows_of_time, outer);
        let scope = if time_window.is_some() { Scope::new(&columns, Some(&around)) } else { scope };
        plan = match time_window.clone() {
            Some(window) => window.over(plan),
            None => plan,
        };
        let mut pending = Pending { time_window, ..Pending::default() };
        let mut list = self.select_list(s, scope, &mut pending)?;
        let mut grouping = self.group_by(s, &list, scope, &mut pending)?;
        let mut condition = |binder: &mut Self, e: &Option<ast::Expr>, name, windows| {
            let clause = Clause { name, windows, ..SELECT_LIST };
            let aliases = Aliases::Fallback(&list.items);
            let mut b = ExprBinder::new(binder, &mut pending, scope, clause).with_aliases(aliases).with_windows(&s.named_window);
            e.as_ref().map(|e| b.condition(e)).transpose()
        };
        let mut having = condition(self, &s.having, "HAVING", false)?;
        let mut qualify = condition(self, &s.qualify, "QUALIFY", true)?;
        let plain =
            grouping.is_none() && matches!(s.distinct, None | Some(ast::Distinct::All)) && !list.items.iter().any(Expr::has_aggregate);
        let clauses = Clauses { order_by, sort_by: &s.sort_by, distribute_by: &s.distribute_by, cluster_by: &s.cluster_by, plain };
        let clause = Clause { name: "ORDER BY", ..SELECT_LIST };
        let aliases = Aliases::First(&list.items);
        let mut organization = ExprBinder::new(self, &mut pending, scope, clause)
            .with_aliases(aliases)
            .with_windows(&s.named_window)
            .organization(&clauses, &list.items)?;

        if grouping.is_none() && (having.is_some() || list.exprs().chain(organization.exprs()).chain(&qualify).any(Expr::has_aggregate)) {
            grouping = Some(Grouping::default());
        }
        match grouping {
            Some(grouping) => {
                plan = plan_aggregate(plan, grouping, &mut list, &mut having, &mut qualify, &mut organization, pending)?;
            }
            None => {
                if let Some(call) = pending.grouping_calls.first() {
                    let message = format!("{}() needs a GROUP BY with grouping sets.", call.placeholder.name);
                    return Err(Error::new(ErrorClass::InvalidGrouping, message)).at(s);
                }
                plan = attach(plan, pending.applies);
            }
        }
        for generator in std::mem::take(&mut list.generators) {
            plan = generator.over(plan);
        }
        (plan, organization) = windows(plan, &mut list, &mut qualify, organization)?;
        if let Some(condition) = qualify {
            plan = LogicalPlan::Filter { condition, input: Box::new(plan) };
        }
        let distinct = match &s.distinct {
            None | Some(ast::Distinct::All) => false,
            Some(ast::Distinct::Distinct) => true,
            Some(ast::Distinct::On(_)) => return Err(Error::unsupported("DISTINCT ON is not supported.")).at(s),
        };
        let plan = self.finish(plan, list.items, organization, distinct, &hints).at(s)?;
        Ok(Relation::new(plan, &[]))
    }

    /// WHERE.
    fn filter(&mut self, input: LogicalPlan, condition: &ast::Expr, scope: Scope) -> Result<LogicalPlan> {
        let mut pending = Pending::default();
        let condition = ExprBinder::new(self, &mut pending, scope, Clause::plain("WHERE")).condition(condition)?;
        Ok(LogicalPlan::Filter { condition, input: Box::new(attach(input, pending.applies)) })
    }

    /// The select list, DISTINCT, the hints on the output, then the order; columns only sorted by are dropped at the end.
    fn finish(
        &mut self,
        input: LogicalPlan,
        items: Vec<Expr>,
        organization: Organization,
        distinct: bool,
        hints: &Hints,
    ) -> Result<LogicalPlan> {
        let outputs: Vec<Attribute> = items.iter().map(Expr::to_attribute).collect();
        let known: BTreeSet<ExprId> = outputs.iter().map(|a| a.id).collect();
        let missing = missing(&organization, &known, &input);
        if distinct && let Some(column) = missing.first() {
            let message = format!("`{}` is sorted by, but not in the select list of SELECT DISTINCT.", column.name);
            return Err(Error::new(ErrorClass::ColumnNotFound, message));
        }
        let list: Vec<Expr> = items.into_iter().chain(missing.iter().cloned().map(Expr::Attribute)).collect();
        let mut plan = project(list, input);
        if distinct {
            plan = LogicalPlan::Distinct { input: Box::new(plan) };
        }
        plan = self.output_hints(plan, hints)?;
        plan = organization.apply(plan);
        if !missing.is_empty() {
            plan = LogicalPlan::Project { list: outputs.into_iter().map(Expr::Attribute).collect(), input: Box::new(plan) };
        }
        Ok(plan)
    }
}

/// Levels of a plan.
fn depth(plan: &LogicalPlan) -> usize {
    let below = || plan.children().into_iter().map(depth).max().unwrap_or(0);
    1 + stacker::maybe_grow(64 << 10, 1 << 20, below)
}

/// Columns of the input that the order uses and the select list lacks.
fn missing(organization: &Organization, known: &BTreeSet<ExprId>, input: &LogicalPlan) -> Vec<Attribute> {
    let used: BTreeSet<ExprId> = organization.exprs().flat_map(Expr::references).collect();
    input.output().into_iter().filter(|a| used.contains(&a.id) && !known.contains(&a.id)).collect()
}

/// A projection, left out over a grouping that gives just these columns.
fn project(list: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    let grouped = match &input {
        LogicalPlan::Filter { input, .. } => matches!(input.as_ref(), LogicalPlan::Aggregate { .. }),
        other => matches!(other, LogicalPlan::Aggregate { .. }),
    };
    if grouped {
        let output = input.output();
        let same = |(e, a): (&Expr, &Attribute)| matches!(e, Expr::Attribute(b) if b.id == a.id && b.name == a.name);
        if list.len() == output.len() && list.iter().zip(&output).all(same) {
            return input;
        }
    }
    LogicalPlan::Project { list, input: Box::new(input) }
}

/// Takes window calls out of the select list, QUALIFY and the order, and computes them.
fn windows(
    plan: LogicalPlan,
    list: &mut SelectList,
    qualify: &mut Option<Expr>,
    organization: Organization,
) -> Result<(LogicalPlan, Organization)> {
    if !list.items.iter().chain(qualify.iter()).chain(organization.exprs()).any(Expr::has_window) {
        return Ok((plan, organization));
    }
    let mut exprs = std::mem::take(&mut list.items);
    let items = exprs.len();
    exprs.extend(qualify.take());
    let qualified = exprs.len() > items;
    exprs.extend(organization.exprs().cloned());
    let (plan, exprs) = window::extract(plan, exprs)?;
    let mut exprs = exprs.into_iter();
    list.items = exprs.by_ref().take(items).collect();
    if qualified {
        *qualify = exprs.next();
    }
    let organization = organization.map(&mut |_| exprs.next().ok_or_else(|| Error::internal("an expression of the order is lost")))?;
    Ok((plan, organization))
}

/// The plan with its columns renamed, when names are given.
///
/// # Errors
/// `WrongArguments` for another number of names.
pub(super) fn rename_columns(plan: LogicalPlan, names: &[ast::Ident]) -> Result<LogicalPlan> {
    if names.is_empty() {
        return Ok(plan);
    }
    let output = plan.output();
    if output.len() != names.len() {
        let message = format!("{} column names [{}] are given for {} columns.", names.len(), dotted(names), output.len());
        return Err(Error::new(ErrorClass::WrongArguments, message).at(location(names[0].span.start)));
    }
    let alias = |(a, name): (Attribute, &ast::Ident)| Expr::Alias {
        expr: Box::new(Expr::Attribute(a)),
        name: name.value.as_str().into(),
        id: ExprId::next(),
    };
    Ok(LogicalPlan::Project { list: output.into_iter().zip(names).map(alias).collect(), input: Box::new(plan) })
}

fn reject_unsupported(s: &ast::Select) -> Result<()> {
    let clause = [
        (s.top.is_some(), "TOP"),
        (s.into.is_some(), "INTO"),
        (s.prewhere.is_some(), "PREWHERE"),
        (!s.connect_by.is_empty(), "CONNECT BY"),
        (s.value_table_mode.is_some(), "SELECT AS"),
        (s.select_modifiers.is_some(), "a SELECT modifier"),
    ];
    match clause.iter().find(|(there, _)| *there) {
        Some((_, name)) => Err(Error::unsupported(format!("{name} is not supported."))).at(s),
        None => Ok(()),
    }
}
