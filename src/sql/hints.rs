//! Hints: `/*+ BROADCAST(a), REPARTITION(8, k) */`.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, OptimizerHint, SelectItem};

use super::Binder;
use super::expr::{Clause, ExprBinder, Pending};
use super::order::sort_order;
use super::parse::parse_expression;
use super::scope::{Relation, Scope};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::SortOrder;
use crate::logical::{JoinHintStrategy, LogicalPlan};

/// The hints of one SELECT. Hints that mean nothing here are ignored, as Spark does with a warning.
#[derive(Debug, Default)]
pub(super) struct Hints {
    joins: Vec<(JoinHintStrategy, String)>,
    partitions: Vec<PartitionHint>,
}

#[derive(Debug)]
struct PartitionHint {
    name: String,
    args: Vec<ast::Expr>,
}

impl Hints {
    /// # Errors
    /// `InvalidParameter` for malformed hints on partitions.
    pub fn parse(comments: &[OptimizerHint]) -> Result<Self> {
        let mut hints = Self::default();
        for comment in comments {
            for text in split(&comment.text) {
                // What does not read as a hint is a comment.
                let _ = parse_expression(text, |item| hints.add(item));
            }
        }
        Ok(hints)
    }

    fn add(&mut self, item: SelectItem) -> Result<()> {
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
            _ => return Ok(()),
        };
        let name = name.to_ascii_uppercase();
        let strategy = match name.as_str() {
            "BROADCAST" | "BROADCASTJOIN" | "MAPJOIN" => Some(JoinHintStrategy::Broadcast),
            "MERGE" | "SHUFFLE_MERGE" | "MERGEJOIN" => Some(JoinHintStrategy::Merge),
            "SHUFFLE_HASH" => Some(JoinHintStrategy::ShuffleHash),
            "SHUFFLE_REPLICATE_NL" => Some(JoinHintStrategy::ShuffleReplicateNl),
            _ => None,
        };
        match strategy {
            Some(strategy) => {
                let names = args.into_iter().filter_map(|e| match e {
                    ast::Expr::Identifier(i) => Some(i.value),
                    ast::Expr::CompoundIdentifier(is) => is.into_iter().next_back().map(|i| i.value),
                    _ => None,
                });
                self.joins.extend(names.map(|n| (strategy, n)));
            }
            None => self.partitions.push(PartitionHint { name, args }),
        }
        Ok(())
    }

    /// The join hint that names a table or alias; of several the first.
    pub fn of(&self, name: &str) -> Option<JoinHintStrategy> {
        self.joins.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(s, _)| *s)
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
    /// COALESCE, REPARTITION, REPARTITION_BY_RANGE and REBALANCE over the output of the SELECT; the first one listed is outermost.
    pub(super) fn partition_hints(&mut self, mut plan: LogicalPlan, hints: &Hints) -> Result<LogicalPlan> {
        for hint in hints.partitions.iter().rev() {
            let range = hint.name == "REPARTITION_BY_RANGE";
            if !range && !matches!(hint.name.as_str(), "COALESCE" | "REPARTITION" | "REBALANCE") {
                continue;
            }
            let invalid = |what: &str| Error::new(ErrorClass::InvalidParameter, format!("The hint {} {what}.", hint.name));
            let (partitions, exprs) = match hint.args.split_first() {
                Some((ast::Expr::Value(v), rest)) => match &v.value {
                    ast::Value::Number(n, _) => match n.parse::<usize>() {
                        Ok(n @ 1..) => (Some(n), rest),
                        _ => return Err(invalid("needs a positive number of partitions")),
                    },
                    _ => return Err(invalid("takes a number of partitions and columns")),
                },
                _ => (None, hint.args.as_slice()),
            };
            if hint.name == "COALESCE" {
                let partitions = partitions.filter(|_| exprs.is_empty()).ok_or_else(|| invalid("takes one number of partitions"))?;
                plan = LogicalPlan::Coalesce { partitions, input: Box::new(plan) };
                continue;
            }
            if range && exprs.is_empty() {
                return Err(invalid("needs columns"));
            }
            let relation = Relation::new(plan, &[]);
            let mut pending = Pending::default();
            let scope = Scope::new(&relation.columns, None);
            let mut binder = ExprBinder::new(self, &mut pending, scope, Clause::plain("a hint"));
            let options = ast::OrderByOptions { sort: None, nulls_first: None };
            let by = exprs.iter().map(|e| Ok(sort_order(binder.expression(e)?, &options))).collect::<Result<Vec<SortOrder>>>()?;
            plan = LogicalPlan::Repartition { partitions, by, range, input: Box::new(relation.plan) };
        }
        Ok(plan)
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
