//! From [`Column`] expressions to [`Expr`]: names to attributes of a DataFrame's output, operators and calls through the same
//! coercions as SQL.

use std::collections::HashMap;
use std::sync::Arc;

use super::column::{Column, Node, WindowSpec};
use crate::base::error::nearest;
use crate::base::{Attribute, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::{Expr, Frame, SortOrder, WindowExpr, WindowFunction, coerce};
use crate::sql;

/// Names of tables and aliases by which a column can be qualified.
pub(super) type Qualifiers = HashMap<ExprId, Vec<Arc<str>>>;

/// The columns that names can mean.
pub(super) struct Scope<'a> {
    pub attributes: &'a [Attribute],
    pub qualifiers: &'a Qualifiers,
}

impl Scope<'_> {
    /// The columns of a select list, each an `Attribute` or `Alias`; stars expanded.
    pub fn named_list(&self, columns: &[Column]) -> Result<Vec<Expr>> {
        let mut out = vec![];
        for c in columns {
            match &c.0 {
                Node::Star(qualifier) => out.extend(self.star(qualifier.as_deref())?),
                node => out.push(self.named(node)?),
            }
        }
        Ok(out)
    }

    fn named(&self, node: &Node) -> Result<Expr> {
        Ok(match node {
            Node::Alias(inner, name) => alias(self.value(inner)?, name),
            Node::Sql(text) => sql::bind_expression(text, self.attributes)?,
            other => match self.value(other)? {
                column @ Expr::Attribute(_) => column,
                value => alias(value, &other.to_string()),
            },
        })
    }

    fn star(&self, qualifier: Option<&str>) -> Result<Vec<Expr>> {
        let all = self.attributes.iter().filter(|a| qualifier.is_none_or(|q| self.has_qualifier(a, q)));
        let columns: Vec<_> = all.cloned().map(Expr::Attribute).collect();
        match qualifier {
            Some(q) if columns.is_empty() => Err(Error::new(ErrorClass::TableNotFound, format!("`{q}.*`: there is no alias `{q}` here."))),
            _ => Ok(columns),
        }
    }

    fn has_qualifier(&self, attribute: &Attribute, qualifier: &str) -> bool {
        self.qualifiers.get(&attribute.id).is_some_and(|names| names.iter().any(|n| n.eq_ignore_ascii_case(qualifier)))
    }

    /// An item of an ordering; ascending when it does not say.
    pub fn order(&self, column: &Column) -> Result<SortOrder> {
        self.order_node(&column.0)
    }

    fn order_node(&self, node: &Node) -> Result<SortOrder> {
        match node {
            Node::Order { value, ascending, nulls_first } => {
                Ok(SortOrder { expr: self.value(value)?, ascending: *ascending, nulls_first: *nulls_first })
            }
            value => Ok(SortOrder::ascending(self.value(value)?)),
        }
    }

    /// A condition.
    pub fn condition(&self, column: &Column) -> Result<Expr> {
        coerce::condition(self.value(&column.0)?)
    }

    /// One value.
    pub fn column(&self, column: &Column) -> Result<Expr> {
        self.value(&column.0)
    }

    fn value(&self, node: &Node) -> Result<Expr> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.value_inner(node))
    }

    fn values(&self, nodes: &[Node]) -> Result<Vec<Expr>> {
        nodes.iter().map(|n| self.value(n)).collect()
    }

    fn value_inner(&self, node: &Node) -> Result<Expr> {
        match node {
            Node::Name(name) => self.attribute(name).map(Expr::Attribute),
            Node::Star(_) => Err(Error::new(ErrorClass::WrongArguments, "`*` is not a value; only a list of columns and count take it.")),
            Node::Literal(v) => Ok(Expr::Literal(v.clone())),
            Node::Alias(inner, _) => self.value(inner),
            Node::Cast { value, to, try_cast } => coerce::explicit_cast(self.value(value)?, to, *try_cast),
            Node::Negate(v) => coerce::negate(self.value(v)?),
            Node::Arithmetic(op, l, r) => coerce::arithmetic(*op, self.value(l)?, self.value(r)?),
            Node::Comparison(op, l, r) => coerce::comparison(*op, self.value(l)?, self.value(r)?),
            Node::And(l, r) => coerce::logical_and(self.value(l)?, self.value(r)?),
            Node::Or(l, r) => coerce::logical_or(self.value(l)?, self.value(r)?),
            Node::Not(v) => coerce::logical_not(self.value(v)?),
            Node::IsNull(v) => Ok(Expr::IsNull(Box::new(self.value(v)?))),
            Node::IsNotNull(v) => Ok(Expr::IsNotNull(Box::new(self.value(v)?))),
            Node::Case { branches, otherwise } => {
                let branches = branches.iter().map(|(c, v)| Ok((self.value(c)?, self.value(v)?))).collect::<Result<_>>()?;
                coerce::case(branches, otherwise.as_ref().map(|v| self.value(v)).transpose()?)
            }
            Node::In(v, list) => coerce::in_list(self.value(v)?, self.values(list)?),
            Node::Like { value, pattern, case_insensitive } => {
                coerce::like(self.value(value)?, self.value(pattern)?, None, *case_insensitive)
            }
            Node::Sql(text) => Ok(sql::bind_expression(text, self.attributes)?.unaliased().clone()),
            Node::Call { name, args, distinct } => self.call(name, args, *distinct),
            Node::Over(function, window) => self.over(function, window),
            Node::Order { .. } => Err(Error::new(ErrorClass::WrongArguments, format!("`{node}` is an ordering, not a value."))),
        }
    }

    /// Arguments of a call; `count(*)` is `count(1)`.
    fn arguments(&self, name: &str, args: &[Node]) -> Result<Vec<Expr>> {
        match args {
            [Node::Star(None)] if name.eq_ignore_ascii_case("count") => Ok(vec![Expr::Literal(Scalar::Int(1))]),
            args => self.values(args),
        }
    }

    fn call(&self, name: &str, args: &[Node], distinct: bool) -> Result<Expr> {
        let args = self.arguments(name, args)?;
        match coerce::aggregate(name, args.clone(), distinct, None)? {
            Some(aggregate) => Ok(Expr::Aggregate(Box::new(aggregate))),
            None => coerce::function(name, args),
        }
    }

    fn over(&self, function: &Node, window: &WindowSpec) -> Result<Expr> {
        let Node::Call { name, args, distinct } = function else {
            return Err(Error::new(ErrorClass::WrongArguments, format!("`{function}` is not a window function.")));
        };
        let args = self.arguments(name, args)?;
        let ranking = coerce::ranking(name, args.clone(), false)?;
        let is_ranking = ranking.is_some();
        let function = match ranking {
            Some(ranking) => ranking,
            None => WindowFunction::Aggregate(coerce::aggregate(name, args, *distinct, None)?.ok_or_else(|| {
                Error::new(ErrorClass::RoutineNotFound, format!("`{name}` is neither a window function nor an aggregate."))
            })?),
        };
        let order_by = window.order_by.iter().map(|n| self.order_node(n)).collect::<Result<Vec<_>>>()?;
        if is_ranking && order_by.is_empty() {
            return Err(Error::new(ErrorClass::WrongArguments, format!("window function `{name}` needs an ORDER BY in its window.")));
        }
        let frame = match &window.frame {
            Some((units, start, end)) => Frame { units: *units, start: start.clone(), end: end.clone() },
            None => Frame::default_for(is_ranking, !order_by.is_empty()),
        };
        Ok(Expr::Window(Box::new(WindowExpr { function, partition_by: self.values(&window.partition_by)?, order_by, frame })))
    }

    fn attribute(&self, name: &str) -> Result<Attribute> {
        let matching = self.matching(name);
        match matching.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let hint = nearest(name, self.attributes.iter().map(|a| a.name.as_ref()));
                let hint = hint.map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
                Err(Error::new(ErrorClass::ColumnNotFound, format!("A column with name `{name}` cannot be resolved.{hint}")))
            }
            many => Err(Error::new(
                ErrorClass::AmbiguousReference,
                format!(
                    "Reference `{name}` is ambiguous, could be: {}.",
                    many.iter().map(|a| self.qualified(a)).collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }

    fn matching(&self, name: &str) -> Vec<&Attribute> {
        let plain = name.strip_prefix('`').and_then(|n| n.strip_suffix('`')).filter(|n| !n.contains('`'));
        let whole: Vec<_> = self.attributes.iter().filter(|a| a.name.eq_ignore_ascii_case(plain.unwrap_or(name))).collect();
        if !whole.is_empty() || plain.is_some() {
            return whole;
        }
        let Some((qualifier, column)) = name.split_once('.') else { return vec![] };
        let (qualifier, column) = (qualifier.trim_matches('`'), column.trim_matches('`'));
        self.attributes.iter().filter(|a| a.name.eq_ignore_ascii_case(column) && self.has_qualifier(a, qualifier)).collect()
    }

    fn qualified(&self, attribute: &Attribute) -> String {
        match self.qualifiers.get(&attribute.id).and_then(|q| q.last()) {
            Some(q) => format!("`{q}`.`{}`", attribute.name),
            None => format!("`{}`", attribute.name),
        }
    }
}

/// `value AS name` under a fresh id.
pub(super) fn alias(value: Expr, name: &str) -> Expr {
    Expr::Alias { expr: Box::new(value), name: name.into(), id: ExprId::next() }
}
