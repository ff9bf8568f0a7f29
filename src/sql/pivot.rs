//! PIVOT: values of a column become columns, each the aggregate of the rows with that value.

use std::collections::BTreeSet;

use sqlparser::ast::{self, ExprWithAlias, PivotValueSource};

use super::Binder;
use super::expr::{Clause, ExprBinder, Pending};
use super::naming::column_name;
use super::scope::{At, Relation, Scope};
use crate::base::{DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::{AggregateFunction, ComparisonOp, Expr, coerce};
use crate::logical::LogicalPlan;

/// The parts of `PIVOT (aggregates FOR columns IN (values))`.
pub(super) struct Pivot<'q> {
    pub aggregates: &'q [ExprWithAlias],
    pub columns: &'q [ast::Expr],
    pub values: &'q PivotValueSource,
}

impl Binder<'_> {
    /// Groups by all columns that the pivot does not mention; each aggregate is computed once per value, over the rows with it.
    pub(super) fn pivot(&mut self, table: Relation, pivot: &Pivot, outer: Option<&Scope>) -> Result<Relation> {
        let PivotValueSource::List(values) = pivot.values else {
            return Err(Error::unsupported("PIVOT needs a list of values."));
        };
        let mut pending = Pending::default();
        let scope = Scope::new(&table.columns, outer);
        let columns = pivot
            .columns
            .iter()
            .map(|e| ExprBinder::new(self, &mut pending, scope, Clause::plain("PIVOT")).expression(e))
            .collect::<Result<Vec<_>>>()?;
        let clause = Clause { aggregates: true, ..Clause::plain("PIVOT") };
        let mut aggregates = vec![];
        for a in pivot.aggregates {
            let bound = ExprBinder::new(self, &mut pending, scope, clause).expression(&a.expr)?;
            if !bound.has_aggregate() {
                let message = format!("PIVOT needs aggregate functions, not `{}`.", a.expr);
                return Err(Error::new(ErrorClass::InvalidGrouping, message)).at(&a.expr);
            }
            aggregates.push((bound, a));
        }
        let used: BTreeSet<ExprId> = columns.iter().chain(aggregates.iter().map(|(a, _)| a)).flat_map(Expr::references).collect();
        let grouping: Vec<Expr> =
            table.visible().filter(|c| !used.contains(&c.attribute.id)).map(|c| Expr::Attribute(c.attribute.clone())).collect();
        let mut list = grouping.clone();
        for value in values {
            let parts: Vec<&ast::Expr> = match &value.expr {
                ast::Expr::Tuple(items) if columns.len() > 1 => items.iter().collect(),
                one => vec![one],
            };
            if parts.len() != columns.len() {
                return Err(Error::new(ErrorClass::WrongArguments, "A PIVOT value has another number of columns.")).at(&value.expr);
            }
            let mut matches = vec![];
            for (column, part) in columns.iter().zip(parts) {
                let bound = ExprBinder::new(self, &mut pending, Scope::default(), Clause::plain("PIVOT")).expression(part)?;
                matches.push(coerce::comparison(ComparisonOp::EqualNullSafe, column.clone(), bound).at(part)?);
            }
            let Some(matches) = Expr::conjunction(matches) else { continue };
            let value_name = value.alias.as_ref().map_or_else(|| column_name(&value.expr), |a| a.value.clone());
            for (aggregate, written) in &aggregates {
                let name = match (&written.alias, aggregates.len()) {
                    (_, 1) => value_name.clone(),
                    (Some(alias), _) => format!("{value_name}_{}", alias.value),
                    (None, _) => format!("{value_name}_{}", column_name(&written.expr)),
                };
                let expr = over_rows(aggregate.clone(), &matches)?;
                list.push(Expr::Alias { expr: Box::new(expr), name: name.into(), id: ExprId::next() });
            }
        }
        if !pending.applies.is_empty() || !pending.below.is_empty() {
            return Err(Error::unsupported("Subqueries in PIVOT are not supported."));
        }
        Ok(Relation::new(LogicalPlan::Aggregate { grouping, list, input: Box::new(table.plan) }, &[]))
    }
}

/// The aggregate over the rows that match. Where there are none it is NULL, counts too.
fn over_rows(aggregate: Expr, matches: &Expr) -> Result<Expr> {
    aggregate.transform_up(&mut |node| {
        let Expr::Aggregate(mut call) = node else { return Ok(node) };
        let filter = match call.filter.take() {
            Some(filter) => coerce::logical_and(matches.clone(), *filter)?,
            None => matches.clone(),
        };
        call.filter = Some(Box::new(filter));
        call.id = ExprId::next();
        if call.function != AggregateFunction::Count {
            return Ok(Expr::Aggregate(call));
        }
        let one = vec![Expr::Literal(Scalar::Int(1))];
        let rows =
            coerce::aggregate("count", one, false, Some(matches.clone()))?.ok_or_else(|| Error::internal("count is an aggregate"))?;
        let some = coerce::comparison(ComparisonOp::Greater, Expr::Aggregate(Box::new(rows)), Expr::Literal(Scalar::Long(0)))?;
        coerce::case(vec![(some, Expr::Aggregate(call))], Some(Expr::Literal(Scalar::Null(DataType::Long))))
    })
}
