//! Grouping: GROUP BY, aggregate calls, HAVING.

use std::collections::BTreeSet;

use sqlparser::ast::{self, GroupByExpr, GroupByWithModifier};

use super::Binder;
use super::expr::{Aliases, Clause, ExprBinder, Pending};
use super::grouping_sets::{cross, cube, expand, rollup};
use super::order::{Organization, nth_item, ordinal};
use super::scope::{At, Scope};
use super::select_list::SelectList;
use super::subquery::{PendingApply, attach};
use super::window::prepare_calls;
use crate::base::{Attribute, Error, ErrorClass, ExprId, Result};
use crate::expr::Expr;
use crate::logical::{LogicalPlan, SubqueryKind};

/// What rows are grouped by. Default: all rows are one group.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    pub exprs: Vec<Expr>,
    /// Positions in `exprs` of each grouping set; `None` without ROLLUP, CUBE or GROUPING SETS.
    pub sets: Option<Vec<Vec<usize>>>,
}

impl Grouping {
    /// The position of an expression, which is added if it is new.
    fn position(&mut self, e: Expr) -> usize {
        self.exprs.iter().position(|known| *known == e).unwrap_or_else(|| {
            self.exprs.push(e);
            self.exprs.len() - 1
        })
    }
}

impl Binder<'_> {
    pub(super) fn group_by(&mut self, s: &ast::Select, list: &SelectList, scope: Scope, pending: &mut Pending) -> Result<Option<Grouping>> {
        let mut grouping = Grouping::default();
        let (exprs, modifiers) = match &s.group_by {
            GroupByExpr::Expressions(exprs, modifiers) if exprs.is_empty() && modifiers.is_empty() => return Ok(None),
            GroupByExpr::All(modifiers) => {
                if !modifiers.is_empty() {
                    return Err(Error::unsupported("GROUP BY ALL takes no ROLLUP, CUBE or GROUPING SETS.")).at(s);
                }
                for item in list.items.iter().filter(|i| !i.has_aggregate() && !i.has_window()) {
                    grouping.position(item.unaliased().clone());
                }
                return Ok(Some(grouping));
            }
            GroupByExpr::Expressions(exprs, modifiers) => (exprs, modifiers),
        };
        let mut binder = GroupBinder { binder: self, list, scope, pending, grouping: &mut grouping };
        // Each item is a list of alternatives; what is grouped by is every way to take one of each.
        let mut sets: Vec<Vec<usize>> = vec![vec![]];
        let mut grouped_by_sets = false;
        for e in exprs {
            let alternatives = match e {
                ast::Expr::Rollup(parts) => rollup(&binder.parts(parts)?),
                ast::Expr::Cube(parts) => cube(&binder.parts(parts)?).at(e)?,
                ast::Expr::GroupingSets(parts) => binder.grouping_sets(parts)?,
                plain => {
                    sets = cross(&sets, &[binder.columns(plain)?]);
                    continue;
                }
            };
            grouped_by_sets = true;
            sets = cross(&sets, &alternatives);
        }
        for modifier in modifiers {
            grouped_by_sets = true;
            let singles = || (0..sets[0].len()).map(|i| vec![sets[0][i]]).collect::<Vec<_>>();
            sets = match modifier {
                GroupByWithModifier::Rollup => rollup(&singles()),
                GroupByWithModifier::Cube => cube(&singles()).at(s)?,
                GroupByWithModifier::GroupingSets(ast::Expr::GroupingSets(parts)) => binder.grouping_sets(parts)?,
                other => return Err(Error::unsupported(format!("GROUP BY {other} is not supported."))).at(s),
            };
        }
        grouping.sets = grouped_by_sets.then_some(sets);
        Ok(Some(grouping))
    }
}

struct GroupBinder<'x, 'a, 's> {
    binder: &'x mut Binder<'a>,
    list: &'x SelectList,
    scope: Scope<'s>,
    pending: &'x mut Pending,
    grouping: &'x mut Grouping,
}

impl GroupBinder<'_, '_, '_> {
    /// Positions of the columns of one item: a tuple has several.
    fn columns(&mut self, e: &ast::Expr) -> Result<Vec<usize>> {
        match e {
            ast::Expr::Tuple(items) => items.iter().map(|i| self.column(i)).collect(),
            one => Ok(vec![self.column(one)?]),
        }
    }

    fn column(&mut self, e: &ast::Expr) -> Result<usize> {
        let bound = match ordinal(e) {
            Some(n) => nth_item(n, &self.list.items, "GROUP BY").at(e)?.unaliased().clone(),
            None => {
                let mut own = Pending { time_window: self.pending.time_window.clone(), ..Pending::default() };
                let aliases = Aliases::Fallback(&self.list.items);
                let mut bound =
                    ExprBinder::new(self.binder, &mut own, self.scope, Clause::plain("GROUP BY")).with_aliases(aliases).expression(e)?;
                for apply in own.applies {
                    match self.asked(&apply)? {
                        Some(known) => {
                            let answer = Expr::Attribute(apply.kind.output().clone());
                            bound = bound.replace(&mut |e| if e == answer { Ok(Expr::Attribute(known.clone())) } else { Err(e) });
                        }
                        None => self.pending.below.push(apply),
                    }
                }
                bound
            }
        };
        // Subqueries here are answered before grouping.
        let used = bound.references();
        let (below, applies) = std::mem::take(&mut self.pending.applies).into_iter().partition(|a| used.contains(&a.kind.output().id));
        self.pending.applies = applies;
        self.pending.below.extend::<Vec<_>>(below);
        if bound.has_aggregate() || bound.has_window() {
            let message = format!("GROUP BY refers to `{bound}`, which contains an aggregate or window function.");
            return Err(Error::new(ErrorClass::InvalidGrouping, message)).at(e);
        }
        Ok(self.grouping.position(bound))
    }

    /// The answer to the same question in the select list.
    fn asked(&self, apply: &PendingApply) -> Result<Option<Attribute>> {
        for known in self.pending.applies.iter().chain(&self.pending.below) {
            if apply.asks_as(known, &self.scope, &self.binder.subqueries)? {
                return Ok(Some(known.kind.output().clone()));
            }
        }
        Ok(None)
    }

    fn parts(&mut self, parts: &[Vec<ast::Expr>]) -> Result<Vec<Vec<usize>>> {
        parts.iter().map(|part| part.iter().map(|e| self.column(e)).collect()).collect()
    }

    /// A set may itself be a ROLLUP, CUBE or GROUPING SETS.
    fn grouping_sets(&mut self, parts: &[Vec<ast::Expr>]) -> Result<Vec<Vec<usize>>> {
        let mut sets = vec![];
        for part in parts {
            match part.as_slice() {
                [ast::Expr::Rollup(inner)] => sets.extend(rollup(&self.parts(inner)?)),
                [e @ ast::Expr::Cube(inner)] => sets.extend(cube(&self.parts(inner)?).at(e)?),
                [ast::Expr::GroupingSets(inner)] => sets.extend(self.grouping_sets(inner)?),
                [ast::Expr::Tuple(items)] => sets.push(items.iter().map(|e| self.column(e)).collect::<Result<_>>()?),
                items => sets.push(items.iter().map(|e| self.column(e)).collect::<Result<_>>()?),
            }
        }
        Ok(sets)
    }
}

/// Plans the grouping over `input`, with HAVING; what follows is rewritten to use the aggregate's columns.
///
/// # Errors
/// `InvalidGrouping` for a column that is neither grouped by nor aggregated.
pub(super) fn plan_aggregate(
    input: LogicalPlan,
    grouping: Grouping,
    list: &mut SelectList,
    having: &mut Option<Expr>,
    qualify: &mut Option<Expr>,
    organization: &mut Organization,
    pending: Pending,
) -> Result<LogicalPlan> {
    let mut input = attach(input, pending.below);
    let mut applies = pending.applies;
    let mut grouping_exprs = grouping.exprs;
    if grouping.sets.is_some() || !pending.grouping_calls.is_empty() {
        let expanded = expand(input, grouping_exprs, grouping.sets, pending.grouping_calls)?;
        let mut replace = |e: Expr| Ok(expanded.replace(e));
        list.items = std::mem::take(&mut list.items).into_iter().map(&mut replace).collect::<Result<_>>()?;
        for generator in &mut list.generators {
            generator.call = expanded.replace(generator.call.clone());
        }
        *having = having.take().map(&mut replace).transpose()?;
        *qualify = qualify.take().map(&mut replace).transpose()?;
        *organization = std::mem::take(organization).map(&mut replace)?;
        for apply in &mut applies {
            if let SubqueryKind::In { values, .. } = &mut apply.kind {
                *values = std::mem::take(values).into_iter().map(|v| expanded.replace(v)).collect();
            }
        }
        (input, grouping_exprs) = (expanded.plan, expanded.grouping);
    }

    let mut above: BTreeSet<ExprId> = applies.iter().map(|a| a.kind.output().id).collect();
    above.extend(list.items.iter().filter(|i| matches!(i, Expr::Alias { .. })).map(|i| i.to_attribute().id));
    let mut output = Output { grouping: &grouping_exprs, list: vec![], above };
    // Generators run over the groups.
    output.above.extend(list.generators.iter().flat_map(|g| &g.output).map(|a| a.id));
    let plain = applies.is_empty() && list.generators.is_empty();
    let direct = plain && !list.items.iter().chain(qualify.iter()).chain(organization.exprs()).any(Expr::has_window);
    if direct {
        for (item, at) in list.items.iter().zip(&list.locations) {
            output.check(item.unaliased()).map_err(|e| e.at(*at))?;
        }
        output.list = list.items.clone();
        list.items = list.items.iter().map(|i| Expr::Attribute(i.to_attribute())).collect();
    } else if plain {
        // What windows work on and items without windows are columns of the aggregate.
        let mut prepared = vec![];
        let mut items = vec![];
        for (item, at) in std::mem::take(&mut list.items).into_iter().zip(&list.locations) {
            let known = prepared.len();
            let item = prepare_calls(item, &mut prepared);
            let (has_window, exprs) = (item.has_window(), prepared[known..].iter().map(Expr::unaliased));
            exprs.chain((!has_window).then(|| item.unaliased())).try_for_each(|e| output.check(e)).map_err(|e| e.at(*at))?;
            items.push((item, has_window, *at));
        }
        *qualify = qualify.take().map(|e| prepare_calls(e, &mut prepared));
        *organization = std::mem::take(organization).map(&mut |e| Ok(prepare_calls(e, &mut prepared)))?;
        output.above.extend(prepared.iter().map(|e| e.to_attribute().id));
        prepared.iter().try_for_each(|e| output.check(e.unaliased()))?;
        output.list = prepared;
        // Windows first: to them columns have the names of the input, not those that they get.
        let mut windows = vec![];
        for (item, _, at) in items.iter().filter(|(_, has_window, _)| *has_window) {
            windows.push(output.require(item.clone()).map_err(|e| e.at(*at))?);
        }
        let mut windows = windows.into_iter();
        for (item, has_window, at) in items {
            list.items.extend(match item {
                _ if has_window => windows.next(),
                // A column keeps its name below, so that its order does.
                item if matches!(item.unaliased(), Expr::Attribute(_)) => Some(output.require(item).map_err(|e| e.at(at))?),
                item => {
                    output.list.push(item);
                    output.list.last().map(|e| Expr::Attribute(e.to_attribute()))
                }
            });
        }
    } else {
        let items = std::mem::take(&mut list.items).into_iter().zip(&list.locations);
        list.items = items.map(|(item, at)| output.require(item).map_err(|e| e.at(*at))).collect::<Result<_>>()?;
    }
    for generator in &mut list.generators {
        generator.call = output.require(generator.call.clone())?;
    }
    *having = having.take().map(|e| output.require(e)).transpose()?;
    *qualify = qualify.take().map(|e| output.require(e)).transpose()?;
    *organization = std::mem::take(organization).map(&mut |e| output.require(e))?;
    for apply in &mut applies {
        if let SubqueryKind::In { values, .. } = &mut apply.kind {
            *values = std::mem::take(values).into_iter().map(|v| output.require(v)).collect::<Result<_>>()?;
        }
        // The columns of the groups that a subquery uses must come out of the aggregate.
        let used = super::subquery::references(&apply.subquery);
        for column in input.output().into_iter().filter(|a| used.contains(&a.id)) {
            output.require(Expr::Attribute(column))?;
        }
    }
    let list = output.list;
    let mut plan = LogicalPlan::Aggregate { grouping: grouping_exprs, list, input: Box::new(input) };
    plan = attach(plan, applies);
    if let Some(condition) = having.take() {
        plan = LogicalPlan::Filter { condition, input: Box::new(plan) };
    }
    Ok(plan)
}

/// The output list of an aggregate as it grows.
struct Output<'g> {
    grouping: &'g [Expr],
    list: Vec<Expr>,
    /// Columns made above the aggregate: answers of subqueries, outputs of the select list.
    above: BTreeSet<ExprId>,
}

impl Output<'_> {
    /// Whether the aggregate can compute the expression.
    fn check(&self, e: &Expr) -> Result<()> {
        if self.grouping.contains(e) {
            return Ok(());
        }
        match e {
            Expr::Aggregate(_) => Ok(()),
            Expr::Attribute(a) if self.above.contains(&a.id) => Ok(()),
            Expr::Attribute(a) => Err(Error::new(
                ErrorClass::InvalidGrouping,
                format!(
                    "The column `{}` is neither grouped by nor inside an aggregate function. Add it to GROUP BY, or use `any_value({})`.",
                    a.name, a.name
                ),
            )),
            other => stacker::maybe_grow(64 << 10, 1 << 20, || other.children().into_iter().try_for_each(|c| self.check(c))),
        }
    }

    /// The expression over the output of the aggregate, which is extended by what is missing.
    fn require(&mut self, e: Expr) -> Result<Expr> {
        if let Expr::Attribute(a) = &e
            && self.above.contains(&a.id)
        {
            return Ok(e);
        }
        if self.grouping.contains(&e) || matches!(e, Expr::Aggregate(_)) {
            return Ok(Expr::Attribute(self.column(e)));
        }
        if e.has_aggregate()
            && !matches!(e, Expr::Alias { .. })
            && let Some(known) = self.list.iter().find(|known| same(known.unaliased(), &e))
        {
            return Ok(Expr::Attribute(known.to_attribute()));
        }
        self.check_leaf(&e)?;
        stacker::maybe_grow(64 << 10, 1 << 20, || e.map_children(&mut |c| self.require(c)))
    }

    fn check_leaf(&self, e: &Expr) -> Result<()> {
        if matches!(e, Expr::Attribute(_)) { self.check(e) } else { Ok(()) }
    }

    /// The output column of a grouping expression or an aggregate call.
    fn column(&mut self, e: Expr) -> crate::base::Attribute {
        if let Some(known) = self.list.iter().find(|known| same(known.unaliased(), &e)) {
            return known.to_attribute();
        }
        let item = match e {
            Expr::Attribute(_) => e,
            other => {
                let name = without_ids(&other.to_string());
                Expr::Alias { expr: Box::new(other), name: name.into(), id: ExprId::next() }
            }
        };
        self.list.push(item);
        self.list[self.list.len() - 1].to_attribute()
    }
}

/// `sum(b)` of `sum(b#2L)`.
pub(super) fn without_ids(text: &str) -> String {
    let mut parts = text.split('#');
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |out, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out + if rest.len() < part.len() { rest.strip_prefix('L').unwrap_or(rest) } else { rest }
    })
}

/// Equal, whatever the identities of aggregate calls.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    let anonymous = |e: &Expr| {
        e.clone().replace(&mut |node| match node {
            Expr::Aggregate(mut call) => {
                call.id = ExprId(0);
                Ok(Expr::Aggregate(call))
            }
            other => Err(other),
        })
    };
    a == b || (a.has_aggregate() && b.has_aggregate() && anonymous(a) == anonymous(b))
}
