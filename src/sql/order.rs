//! ORDER BY, SORT BY, DISTRIBUTE BY, CLUSTER BY, LIMIT and OFFSET.

use sqlparser::ast::{self, LimitClause, OrderByKind, OrderByOptions};

use super::Binder;
use super::expr::{Aliases, Clause, ExprBinder, Pending};
use super::scope::{At, Relation, Scope};
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::{Expr, SortOrder, coerce, evaluate};
use crate::logical::{LogicalPlan, RepartitionKind};

/// What follows the select list: how rows are dealt out and sorted.
#[derive(Debug, Default)]
pub(super) struct Organization {
    pub distribute: Vec<Expr>,
    pub order: Vec<SortOrder>,
    /// Sorted over all rows rather than within each partition.
    pub global: bool,
}

impl Organization {
    /// # Errors
    /// Those of `f`.
    pub fn map(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self {
            distribute: self.distribute.into_iter().map(&mut *f).collect::<Result<_>>()?,
            order: self.order.into_iter().map(|o| Ok(SortOrder { expr: f(o.expr)?, ..o })).collect::<Result<_>>()?,
            global: self.global,
        })
    }

    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.distribute.iter().chain(self.order.iter().map(|o| &o.expr))
    }

    /// Deals out and sorts.
    pub fn apply(self, mut input: LogicalPlan) -> LogicalPlan {
        if !self.distribute.is_empty() {
            let by = self.distribute.into_iter().map(SortOrder::ascending).collect();
            input = LogicalPlan::Repartition { partitions: None, by, kind: RepartitionKind::Hash, input: Box::new(input) };
        }
        if !self.order.is_empty() {
            input = LogicalPlan::Sort { order: self.order, global: self.global, input: Box::new(input) };
        }
        input
    }
}

/// With Spark's defaults: NULLs first ascending, last descending.
pub(super) fn sort_order(expr: Expr, options: &OrderByOptions) -> SortOrder {
    let ascending = !matches!(options.sort, Some(ast::OrderBySort::Desc));
    SortOrder { expr, ascending, nulls_first: options.nulls_first.unwrap_or(ascending) }
}

/// The clauses of a SELECT that organize its rows.
pub(super) struct Clauses<'q> {
    pub order_by: Option<&'q ast::OrderBy>,
    pub sort_by: &'q [ast::OrderByExpr],
    pub distribute_by: &'q [ast::Expr],
    pub cluster_by: &'q [ast::Expr],
    /// Whether rows have their columns beside those of the select list: neither grouped nor DISTINCT.
    pub plain: bool,
}

impl ExprBinder<'_, '_, '_> {
    /// Binds the clauses; names and numbers mean the select list's columns first.
    pub(super) fn organization(&mut self, clauses: &Clauses, items: &[Expr]) -> Result<Organization> {
        let mut out = Organization { global: true, ..Organization::default() };
        match clauses.order_by.map(|o| &o.kind) {
            None => {}
            Some(OrderByKind::All(options)) => {
                out.order = items.iter().map(|i| sort_order(Expr::Attribute(i.to_attribute()), options)).collect();
            }
            Some(OrderByKind::Expressions(list)) => {
                out.order = list.iter().map(|o| self.sort_item(o, items, clauses.plain)).collect::<Result<_>>()?;
            }
        }
        if !clauses.sort_by.is_empty() {
            out.global = false;
            out.order = clauses.sort_by.iter().map(|o| self.sort_item(o, items, clauses.plain)).collect::<Result<_>>()?;
        }
        out.distribute = clauses.distribute_by.iter().map(|e| self.item(e, items, clauses.plain)).collect::<Result<_>>()?;
        if !clauses.cluster_by.is_empty() {
            out.global = false;
            out.distribute = clauses.cluster_by.iter().map(|e| self.item(e, items, clauses.plain)).collect::<Result<_>>()?;
            out.order = out.distribute.iter().cloned().map(SortOrder::ascending).collect();
        }
        Ok(out)
    }

    fn sort_item(&mut self, o: &ast::OrderByExpr, items: &[Expr], plain: bool) -> Result<SortOrder> {
        let order = sort_order(self.item(&o.expr, items, plain)?, &o.options);
        coerce::check_orderable("sortorder", &order.expr.data_type()).at(&o.expr)?;
        Ok(order)
    }

    /// An expression, or the number of a select item. Rows that are not `plain` are sorted by select items only.
    fn item(&mut self, e: &ast::Expr, items: &[Expr], plain: bool) -> Result<Expr> {
        if let Some(n) = ordinal(e) {
            return Ok(Expr::Attribute(nth_item(n, items, self.clause.name).at(e)?.to_attribute()));
        }
        let bound = self.expression(e)?;
        // Written out again, a select item is that item; but a column is read again rather than called by another name.
        if plain && !bound.has_window() {
            return Ok(bound);
        }
        let same = items.iter().find(|i| matches!(i, Expr::Alias { .. }) && *i.unaliased() == bound && bound.is_deterministic());
        Ok(match same {
            Some(item) if !bound.is_foldable() => Expr::Attribute(item.to_attribute()),
            _ => bound,
        })
    }
}

/// The number of a select item, written as an integer.
pub(super) fn ordinal(e: &ast::Expr) -> Option<usize> {
    match e {
        ast::Expr::Value(v) => match &v.value {
            ast::Value::Number(n, _) => n.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// # Errors
/// `InvalidParameter` for a position that there is not.
pub(super) fn nth_item<'e>(n: usize, items: &'e [Expr], clause: &str) -> Result<&'e Expr> {
    n.checked_sub(1).and_then(|i| items.get(i)).ok_or_else(|| {
        Error::new(
            ErrorClass::InvalidParameter,
            format!("{clause} position {n} is not in the select list (valid range is [1, {}]).", items.len()),
        )
    })
}

impl Binder<'_> {
    /// ORDER BY over a plan whose columns are all there is to sort by.
    pub(super) fn order_output(&mut self, relation: Relation, order_by: &ast::OrderBy, outer: Option<&Scope>) -> Result<Relation> {
        let items: Vec<Expr> = relation.visible().map(|c| Expr::Attribute(c.attribute.clone())).collect();
        let mut pending = Pending::default();
        let mut binder = ExprBinder::new(self, &mut pending, Scope::new(&relation.columns, outer), Clause::plain("ORDER BY"))
            .with_aliases(Aliases::First(&items));
        let clauses = Clauses { order_by: Some(order_by), sort_by: &[], distribute_by: &[], cluster_by: &[], plain: true };
        let organization = binder.organization(&clauses, &items)?;
        if !pending.applies.is_empty() {
            return Err(Error::unsupported("Subqueries in the ORDER BY of a set operation are not supported.")).at(order_by);
        }
        Ok(Relation { plan: organization.apply(relation.plan), ..relation })
    }

    /// LIMIT, OFFSET and FETCH FIRST.
    pub(super) fn limit(&mut self, plan: LogicalPlan, q: &ast::Query) -> Result<LogicalPlan> {
        let (mut limit, offset) = match &q.limit_clause {
            None => (None, None),
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                if !limit_by.is_empty() {
                    return Err(Error::unsupported("LIMIT BY is not supported.")).at(q);
                }
                (limit.as_ref(), offset.as_ref().map(|o| &o.value))
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => (Some(limit), Some(offset)),
        };
        if let Some(fetch) = &q.fetch {
            if fetch.percent || fetch.with_ties {
                return Err(Error::unsupported("FETCH with PERCENT or TIES is not supported.")).at(q);
            }
            limit = fetch.quantity.as_ref().or(limit);
        }
        let limit = limit.map(|e| self.row_count(e, "LIMIT")).transpose()?;
        let offset = offset.map(|e| self.row_count(e, "OFFSET")).transpose()?.unwrap_or(0);
        if limit.is_none() && offset == 0 {
            return Ok(plan);
        }
        Ok(LogicalPlan::Limit { limit, offset, input: Box::new(plan) })
    }

    /// A constant number of rows.
    pub(super) fn row_count(&mut self, e: &ast::Expr, clause: &'static str) -> Result<u64> {
        let invalid = |what: String| Error::new(ErrorClass::InvalidParameter, format!("{clause} {what}."));
        let mut pending = Pending::default();
        let bound = ExprBinder::new(self, &mut pending, Scope::default(), Clause::plain(clause)).expression(e)?;
        if !bound.is_foldable() {
            return Err(invalid(format!("must be a constant, not `{e}`"))).at(e);
        }
        if !bound.data_type().is_integral() {
            return Err(invalid(format!("must be an integer, not a {}", bound.data_type()))).at(e);
        }
        let value = evaluate::fold(&coerce::implicit_cast(bound, &DataType::Long)?).at(e)?;
        let value = value.as_i128().ok_or_else(|| invalid("must not be NULL".to_string())).at(e)?;
        u64::try_from(value).map_err(|_| invalid(format!("must not be negative, but it is {value}"))).at(e)
    }
}
