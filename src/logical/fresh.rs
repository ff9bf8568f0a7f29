//! A plan once more under identities of its own, for a second mention of the same rows in one plan.

use std::collections::HashMap;
use std::sync::Arc;

use super::LogicalPlan;
use super::plan::{Apply, Join, JoinType, SubqueryKind};
use crate::base::{Attribute, ExprId, Result};
use crate::expr::{AggregateExpr, Expr, WindowFunction};

impl LogicalPlan {
    /// The same plan with every attribute and alias id replaced by a fresh one, consistently; `renamed` tells old from new, and
    /// ids already in it keep their new id.
    ///
    /// # Errors
    /// None of its own.
    pub fn with_fresh_ids(self, renamed: &mut HashMap<ExprId, ExprId>) -> Result<LogicalPlan> {
        let mut id = |id| *renamed.entry(id).or_insert_with(ExprId::next);
        self.transform_up(&mut |node| Identities { id: &mut id, keep_names: true }.of_node(node))
    }
}

/// Gives columns other identities.
pub(super) struct Identities<'a> {
    pub id: &'a mut dyn FnMut(ExprId) -> ExprId,
    /// Else names become empty.
    pub keep_names: bool,
}

impl Identities<'_> {
    /// A node over children that have theirs already.
    pub fn of_node(mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        let node = node.map_expressions(&mut |e| self.expr(e))?;
        Ok(self.output(node))
    }

    fn name(&self, name: Arc<str>) -> Arc<str> {
        if self.keep_names { name } else { "".into() }
    }

    fn attribute(&mut self, a: Attribute) -> Attribute {
        Attribute { id: (self.id)(a.id), name: self.name(a.name), ..a }
    }

    fn attributes(&mut self, list: Vec<Attribute>) -> Vec<Attribute> {
        list.into_iter().map(|a| self.attribute(a)).collect()
    }

    fn expr(&mut self, e: Expr) -> Result<Expr> {
        e.transform_up(&mut |e| {
            Ok(match e {
                Expr::Attribute(a) => Expr::Attribute(self.attribute(a)),
                Expr::LambdaVariable(a) => Expr::LambdaVariable(self.attribute(a)),
                Expr::Lambda { params, body, hidden } => Expr::Lambda { params: self.attributes(params), body, hidden },
                Expr::Alias { expr, name, id } => Expr::Alias { expr, name: self.name(name), id: (self.id)(id) },
                Expr::Aggregate(a) => Expr::Aggregate(Box::new(AggregateExpr { id: (self.id)(a.id), ..*a })),
                Expr::Window(mut w) => {
                    if let WindowFunction::Aggregate(a) = w.function {
                        w.function = WindowFunction::Aggregate(AggregateExpr { id: (self.id)(a.id), ..a });
                    }
                    Expr::Window(w)
                }
                other => other,
            })
        })
    }

    /// Attributes that a node makes outside its expressions.
    fn output(&mut self, node: LogicalPlan) -> LogicalPlan {
        use LogicalPlan::*;
        match node {
            Relation { name, source, output } => Relation { name: self.name(name), source, output: self.attributes(output) },
            InMemoryRelation(r) => InMemoryRelation(super::InMemoryRelation { output: self.attributes(r.output), ..r }),
            LocalRelation { output, rows } => LocalRelation { output: self.attributes(output), rows },
            Union { inputs, output } => Union { inputs, output: self.attributes(output) },
            Expand { projections, output, input } => Expand { projections, output: self.attributes(output), input },
            Generate { generator, outer, dropped, output, input } => {
                let dropped = dropped.into_iter().map(|id| (self.id)(id)).collect();
                Generate { generator, outer, dropped, output: self.attributes(output), input }
            }
            Range { start, end, step, partitions, output } => Range { start, end, step, partitions, output: self.attribute(output) },
            Join(self::Join { left, right, join_type: JoinType::Existence(a), condition, hint }) => {
                Join(self::Join { left, right, join_type: JoinType::Existence(self.attribute(a)), condition, hint })
            }
            Apply(self::Apply { input, subquery, kind, outer }) => {
                let outer = self.attributes(outer);
                let kind = match kind {
                    SubqueryKind::Scalar(a) => SubqueryKind::Scalar(self.attribute(a)),
                    SubqueryKind::Exists(a) => SubqueryKind::Exists(self.attribute(a)),
                    SubqueryKind::In { values, output } => SubqueryKind::In { values, output: self.attribute(output) },
                };
                Apply(self::Apply { input, subquery, kind, outer })
            }
            same => same,
        }
    }
}
