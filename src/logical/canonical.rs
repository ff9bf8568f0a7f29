//! Queries up to the identities and names of their columns: equal canonical forms give the same rows, column by column.

use std::collections::HashMap;

use super::{LogicalPlan, fresh::Identities};
use crate::base::{ExprId, Result};
use crate::expr::{Expr, SubqueryId};

/// A plan with ids numbered in order of appearance and without names, and the scalar subqueries that it uses likewise, in order.
#[derive(Debug, PartialEq)]
pub struct Canonical {
    plan: LogicalPlan,
    subqueries: Vec<Canonical>,
}

impl Canonical {
    /// Of a plan whose scalar subqueries are among `subqueries`.
    ///
    /// # Errors
    /// None of its own.
    pub fn of(plan: &LogicalPlan, subqueries: &[(SubqueryId, LogicalPlan)]) -> Result<Self> {
        let mut numbers: HashMap<ExprId, ExprId> = HashMap::new();
        let mut number = |id| {
            let next = ExprId(numbers.len() as u64);
            *numbers.entry(id).or_insert(next)
        };
        let mut used: Vec<SubqueryId> = vec![];
        let plan = plan.clone().transform_up(&mut |node| {
            let node = node.map_expressions(&mut |e| number_subqueries(e, &mut used))?;
            Identities { id: &mut number, keep_names: false }.of_node(node)
        })?;
        let of = |id: &SubqueryId| subqueries.iter().find(|(known, _)| known == id);
        let subqueries = used.iter().filter_map(of).map(|(_, plan)| Self::of(plan, subqueries)).collect::<Result<_>>()?;
        Ok(Self { plan, subqueries })
    }
}

fn number_subqueries(expr: Expr, used: &mut Vec<SubqueryId>) -> Result<Expr> {
    expr.transform_up(&mut |e| {
        Ok(e.rename_subquery(|id| {
            let number = used.iter().position(|u| *u == id).unwrap_or_else(|| {
                used.push(id);
                used.len() - 1
            });
            SubqueryId(number as u64)
        }))
    })
}
