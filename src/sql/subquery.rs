//! Subqueries in expressions: a column of an `Apply` under the clause, or a query of its own that runs first.

use sqlparser::ast;
use std::collections::BTreeSet;

use super::expr::ExprBinder;
use super::scope::{At, Relation, Scope};
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::{Expr, SubqueryId, coerce};
use crate::logical::{Apply, Canonical, LogicalPlan, SubqueryKind};

/// A subquery to be answered for each row of the clause's input.
#[derive(Debug)]
pub(super) struct PendingApply {
    pub subquery: LogicalPlan,
    pub kind: SubqueryKind,
}

impl PendingApply {
    /// Ids of all attributes that the subquery, or what it is compared with, uses.
    pub fn used(&self) -> BTreeSet<ExprId> {
        let mut ids = references(&self.subquery);
        if let SubqueryKind::In { values, .. } = &self.kind {
            ids.extend(values.iter().flat_map(Expr::references));
        }
        ids
    }

    /// Whether the other one has the same answers; of those that depend on several columns around them it is not known.
    pub fn asks_as(&self, other: &Self, scope: &Scope, subqueries: &[(SubqueryId, LogicalPlan)]) -> Result<bool> {
        let same_kind = match (&self.kind, &other.kind) {
            (SubqueryKind::In { values: a, .. }, SubqueryKind::In { values: b, .. }) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        };
        let outer = |plan| references(plan).into_iter().filter(|id| scope.contains(*id)).collect::<Vec<_>>();
        let (a, b) = (outer(&self.subquery), outer(&other.subquery));
        let known = same_kind && a == b && a.len() < 2;
        Ok(known && Canonical::of(&self.subquery, subqueries)? == Canonical::of(&other.subquery, subqueries)?)
    }
}

/// Puts the subqueries under a clause: `input` with one more column for each.
pub(super) fn attach(input: LogicalPlan, applies: Vec<PendingApply>) -> LogicalPlan {
    applies.into_iter().fold(input, |input, PendingApply { subquery, kind }| {
        let used = references(&subquery);
        let outer = input.output().into_iter().filter(|a| used.contains(&a.id)).collect();
        LogicalPlan::Apply(Apply { input: Box::new(input), subquery: Box::new(subquery), kind, outer })
    })
}

/// Ids of all attributes used anywhere in the plan.
pub(super) fn references(plan: &LogicalPlan) -> BTreeSet<ExprId> {
    let mut ids = BTreeSet::new();
    collect_references(plan, &mut ids);
    ids
}

fn collect_references(plan: &LogicalPlan, ids: &mut BTreeSet<ExprId>) {
    for e in plan.expressions() {
        ids.extend(e.references());
    }
    stacker::maybe_grow(64 << 10, 1 << 20, || plan.children().into_iter().for_each(|c| collect_references(c, ids)));
}

impl ExprBinder<'_, '_, '_> {
    /// `(SELECT …)` as a value.
    pub(super) fn scalar_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let plan = self.subquery(query)?.plan;
        let columns = plan.output();
        let [column] = columns.as_slice() else {
            let message = format!("A scalar subquery must return one column, not {}.", columns.len());
            return Err(Error::new(ErrorClass::WrongArguments, message)).at(query);
        };
        if self.is_correlated(&plan) {
            let output = Attribute::new("scalarsubquery()", column.data_type.clone(), true);
            self.pending.applies.push(PendingApply { subquery: plan, kind: SubqueryKind::Scalar(output.clone()) });
            return Ok(Expr::Attribute(output));
        }
        let id = SubqueryId::next();
        let data_type = column.data_type.clone();
        self.binder.subqueries.push((id, plan));
        Ok(Expr::ScalarSubquery { id, data_type })
    }

    /// `EXISTS (SELECT …)`; a query of its own unless it depends on the rows around it.
    pub(super) fn exists(&mut self, query: &ast::Query) -> Result<Expr> {
        let subquery = self.subquery(query)?.plan;
        if !self.is_correlated(&subquery) {
            // As Spark has it: whether there is a first row, found out once.
            let one = Expr::Alias { expr: Box::new(Expr::Literal(Scalar::Int(1))), name: "col".into(), id: ExprId::next() };
            let rows = LogicalPlan::Project { list: vec![one], input: Box::new(subquery) };
            let first = LogicalPlan::Limit { limit: Some(1), offset: 0, input: Box::new(rows) };
            let id = SubqueryId::next();
            self.binder.subqueries.push((id, first));
            return Ok(Expr::IsNotNull(Box::new(Expr::ScalarSubquery { id, data_type: DataType::Int })));
        }
        let output = Attribute::new("exists", DataType::Boolean, false);
        self.pending.applies.push(PendingApply { subquery, kind: SubqueryKind::Exists(output.clone()) });
        Ok(Expr::Attribute(output))
    }

    /// `value IN (SELECT …)`; a tuple compares with as many columns.
    pub(super) fn in_subquery(&mut self, value: &ast::Expr, query: &ast::Query) -> Result<Expr> {
        let values = match value {
            ast::Expr::Tuple(items) => self.bind_all(items)?,
            one => vec![self.bind(one)?],
        };
        let plan = self.subquery(query)?.plan;
        let columns = plan.output();
        if columns.len() != values.len() {
            let message = format!("The IN subquery returns {} columns where {} are compared.", columns.len(), values.len());
            return Err(Error::new(ErrorClass::WrongArguments, message)).at(query);
        }
        let mut types = vec![];
        for (v, c) in values.iter().zip(&columns) {
            let (left, right) = (v.data_type(), c.data_type.clone());
            let common = coerce::common_type(&[left.clone(), right.clone()]).ok_or_else(|| {
                Error::new(ErrorClass::TypeMismatch, format!("IN compares a value of type {left} with a column of type {right}."))
            });
            let common = common.at(value)?;
            coerce::check_orderable("insubquery", &common).at(value)?;
            types.push(common);
        }
        let values = values.into_iter().zip(&types).map(|(v, t)| coerce::implicit_cast(v, t)).collect::<Result<_>>()?;
        let subquery = super::set_ops::cast_columns(plan, &types)?;
        let output = Attribute::new("exists", DataType::Boolean, true);
        self.pending.applies.push(PendingApply { subquery, kind: SubqueryKind::In { values, output: output.clone() } });
        Ok(Expr::Attribute(output))
    }

    fn subquery(&mut self, query: &ast::Query) -> Result<Relation> {
        if !self.lambdas.is_empty() {
            let message = "Subquery expressions are not supported within higher-order functions.";
            return Err(Error::unsupported(message)).at(query);
        }
        let scope = self.scope;
        self.binder.query(query, Some(&scope))
    }

    /// Whether the plan uses a column of this or an outer scope. Ids are unique, so no other plan can have made them.
    fn is_correlated(&self, plan: &LogicalPlan) -> bool {
        references(plan).into_iter().any(|id| self.scope.contains(id))
    }
}
