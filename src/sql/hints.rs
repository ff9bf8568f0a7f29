//! Hints: `/*+ BROADCAST(a), REPARTITION(8, k) */`.
//!
//! A hint that means nothing here is ignored with a warning in Spark's words. How join hints reach their joins is told in
//! `logical::optimizer::eliminate_resolved_hint`.

use std::cell::Cell;

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, OptimizerHint, SelectItem};

use super::Binder;
use super::expr::{Clause, ExprBinder, Pending};
use super::order::sort_order;
use super::parse::parse_expression;
use super::scope::{Relation, Scope, is_suffix};
use crate::base::warning::warn;
use crate::base::{Error, ErrorClass, Result};
use crate::expr::SortOrder;
use crate::logical::{JoinHintStrategy, LogicalPlan, RepartitionKind};

/// The hints of one SELECT.
#[derive(Debug, Default)]
pub(super) struct Hints {
    joins: Vec<JoinHint>,
    partitions: Vec<PartitionHint>,
}

#[derive(Debug)]
struct JoinHint {
    strategy: JoinHintStrategy,
    /// As written.
    text: String,
    /// The names of relations, and whether there was one of that name. None: the hint is for the whole SELECT.
    relations: Vec<(Vec<Ident>, Cell<bool>)>,
}

#[derive(Debug)]
struct PartitionHint {
    kind: PartitionHintKind,
    args: Vec<ast::Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum PartitionHintKind {
    Coalesce,
    Repartition(RepartitionKind),
}

impl PartitionHintKind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "COALESCE" => Self::Coalesce,
            "REPARTITION" => Self::Repartition(RepartitionKind::Hash),
            "REPARTITION_BY_RANGE" => Self::Repartition(RepartitionKind::Range),
            "REBALANCE" => Self::Repartition(RepartitionKind::Rebalance),
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Coalesce => "COALESCE",
            Self::Repartition(RepartitionKind::Hash) => "REPARTITION",
            Self::Repartition(RepartitionKind::Range) => "REPARTITION_BY_RANGE",
            Self::Repartition(RepartitionKind::Rebalance) => "REBALANCE",
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorClass::InvalidParameter, message)
}

impl Hints {
    /// `adaptive`: whether partitions can be rebalanced while the query runs.
    ///
    /// # Errors
    /// `InvalidParameter` for wrong arguments of a join hint.
    pub fn parse(comments: &[OptimizerHint], adaptive: bool) -> Result<Self> {
        let mut hints = Self::default();
        for text in comments.iter().flat_map(|c| split(&c.text)) {
            match parse_expression(text, Ok) {
                Ok(item) => hints.add(item, text, adaptive)?,
                Err(_) => warn(format!("Unrecognized hint: {text}")),
            }
        }
        Ok(hints)
    }

    fn add(&mut self, item: SelectItem, text: &str, adaptive: bool) -> Result<()> {
        let (name, args) = match item {
            SelectItem::UnnamedExpr(ast::Expr::Function(f)) => {
                let args = match f.args {
                    FunctionArguments::List(list) => list.args,
                    _ => vec![],
                };
                let arg = |a| if let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = a { Some(e) } else { None };
                (f.name.to_string(), args.into_iter().filter_map(arg).collect())
            }
            SelectItem::UnnamedExpr(ast::Expr::Identifier(name)) => (name.value, vec![]),
            _ => (text.to_string(), vec![]),
        };
        if let Some(strategy) = JoinHintStrategy::parse(&name) {
            let relations = args.iter().map(|e| Ok((relation_name(e)?, Cell::new(false)))).collect::<Result<_>>()?;
            self.joins.push(JoinHint { strategy, text: call(&name, &args), relations });
            return Ok(());
        }
        match PartitionHintKind::parse(&name) {
            Some(PartitionHintKind::Repartition(RepartitionKind::Rebalance)) if !adaptive => {
                warn(format!("Unrecognized hint: {}", call(&name, &args)));
            }
            Some(kind) => self.partitions.push(PartitionHint { kind, args }),
            None => warn(format!("Unrecognized hint: {}", call(&name, &args))),
        }
        Ok(())
    }

    /// The relation under the join hints that name it: of several the first counts.
    pub fn on(&self, mut relation: Relation, name: &[String]) -> Relation {
        let mut chosen: Option<JoinHintStrategy> = None;
        for hint in &self.joins {
            for (_, found) in hint.relations.iter().filter(|(named, _)| is_suffix(name, named)) {
                found.set(true);
                chosen = Some(chosen.map_or(hint.strategy, |first| first.over(hint.strategy)));
            }
        }
        if let Some(strategy) = chosen {
            relation.plan = LogicalPlan::Hint { strategy, input: Box::new(relation.plan) };
        }
        relation
    }

    /// Warns of names that no relation has.
    pub fn warn_of_unknown_relations(&self) {
        for hint in &self.joins {
            for (name, _) in hint.relations.iter().filter(|(_, found)| !found.get()) {
                let name: Vec<&str> = name.iter().map(|i| i.value.as_str()).collect();
                warn(format!("Count not find relation '{}' specified in hint '{}'.", name.join("."), hint.text));
            }
        }
    }
}

/// Spark's form of a hint in messages.
fn call(name: &str, args: &[ast::Expr]) -> String {
    format!("{name}({})", args.iter().map(ast::Expr::to_string).collect::<Vec<_>>().join(", "))
}

fn relation_name(e: &ast::Expr) -> Result<Vec<Ident>> {
    match e {
        ast::Expr::Identifier(name) => Ok(vec![name.clone()]),
        ast::Expr::CompoundIdentifier(parts) => Ok(parts.clone()),
        ast::Expr::Value(v) if let Some(text) = super::literal::text(&v.value) => Ok(text.split('.').map(Ident::new).collect()),
        other => Err(invalid(format!("Join strategy hint parameter should be an identifier or string but was {other}."))),
    }
}

/// The hints of a comment: separated by commas or blanks outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut out, mut start, mut open, mut closed) = (vec![], 0, 0_i32, false);
    for (i, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' => {
                open -= 1;
                closed = open == 0;
                continue;
            }
            ',' if open == 0 => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            c if closed && !c.is_whitespace() => {
                out.push(&text[start..i]);
                start = i;
            }
            c if c.is_whitespace() => continue,
            _ => {}
        }
        closed = false;
    }
    out.push(&text[start..]);
    out.into_iter().map(str::trim).filter(|s| !s.is_empty()).collect()
}

impl Binder<'_> {
    /// The hints that concern the output of the SELECT: join hints without a name, and those on partitions, of which the first one
    /// listed is outermost.
    pub(super) fn output_hints(&mut self, mut plan: LogicalPlan, hints: &Hints) -> Result<LogicalPlan> {
        let whole = hints.joins.iter().filter(|h| h.relations.is_empty()).map(|h| h.strategy);
        if let Some(strategy) = whole.reduce(JoinHintStrategy::over) {
            plan = LogicalPlan::Hint { strategy, input: Box::new(plan) };
        }
        for hint in hints.partitions.iter().rev() {
            plan = self.partition_hint(plan, hint)?;
        }
        Ok(plan)
    }

    fn partition_hint(&mut self, plan: LogicalPlan, hint: &PartitionHint) -> Result<LogicalPlan> {
        let (partitions, columns) = match hint.args.split_first() {
            Some((ast::Expr::Value(v), rest)) if let ast::Value::Number(n, _) = &v.value => match n.parse::<usize>() {
                Ok(n @ 1..) => (Some(n), rest),
                _ => return Err(invalid(format!("Number of partitions ({n}) must be positive."))),
            },
            _ => (None, hint.args.as_slice()),
        };
        let PartitionHintKind::Repartition(kind) = hint.kind else {
            let partitions = partitions.filter(|_| columns.is_empty());
            let partitions = partitions.ok_or_else(|| invalid("COALESCE Hint expects a partition number as a parameter.".into()))?;
            return Ok(LogicalPlan::Coalesce { partitions, input: Box::new(plan) });
        };
        let relation = Relation::new(plan, &[]);
        let mut pending = Pending::default();
        let scope = Scope::new(&relation.columns, None);
        let mut binder = ExprBinder::new(self, &mut pending, scope, Clause::plain("a hint"));
        let options = ast::OrderByOptions { sort: None, nulls_first: None };
        let by = columns
            .iter()
            .map(|column| {
                let column = relation_name(column)
                    .ok()
                    .map(ast::Expr::CompoundIdentifier)
                    .ok_or_else(|| invalid(format!("{} Hint parameter should include columns, but {column} found.", hint.kind.name())))?;
                Ok(sort_order(binder.expression(&column)?, &options))
            })
            .collect::<Result<Vec<SortOrder>>>()?;
        Ok(LogicalPlan::Repartition { partitions, by, kind, input: Box::new(relation.plan) })
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn hints_are_separated_by_commas_or_blanks() {
        assert_eq!(split(" BROADCAST(a, b), MERGE(c) REPARTITION(3, x) "), ["BROADCAST(a, b)", "MERGE(c)", "REPARTITION(3, x)"]);
        assert_eq!(split("COALESCE (2)"), ["COALESCE (2)"]);
    }
}
