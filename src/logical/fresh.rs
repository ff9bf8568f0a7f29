//! A plan once more under identities of its own, for a second mention of the same rows in one plan.

use std::collections::HashMap;

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
        self.transform_up(&mut |node| {
            let node = node.map_expressions(&mut |e| rename_expr(e, renamed))?;
            Ok(rename_output(node, renamed))
        })
    }
}

fn fresh(id: ExprId, renamed: &mut HashMap<ExprId, ExprId>) -> ExprId {
    *renamed.entry(id).or_insert_with(ExprId::next)
}

fn attribute(a: Attribute, renamed: &mut HashMap<ExprId, ExprId>) -> Attribute {
    Attribute { id: fresh(a.id, renamed), ..a }
}

fn rename_expr(e: Expr, renamed: &mut HashMap<ExprId, ExprId>) -> Result<Expr> {
    e.transform_up(&mut |e| {
        let call = |a: AggregateExpr, renamed: &mut HashMap<ExprId, ExprId>| AggregateExpr { id: fresh(a.id, renamed), ..a };
        Ok(match e {
            Expr::Attribute(a) => Expr::Attribute(attribute(a, renamed)),
            Expr::Alias { expr, name, id } => Expr::Alias { expr, name, id: fresh(id, renamed) },
            Expr::Aggregate(a) => Expr::Aggregate(Box::new(call(*a, renamed))),
            Expr::Window(mut w) => {
                if let WindowFunction::Aggregate(a) = w.function {
                    w.function = WindowFunction::Aggregate(call(a, renamed));
                }
                Expr::Window(w)
            }
            other => other,
        })
    })
}

/// Attributes that a node makes outside its expressions.
fn rename_output(node: LogicalPlan, renamed: &mut HashMap<ExprId, ExprId>) -> LogicalPlan {
    use LogicalPlan::*;
    let mut all = |list: Vec<Attribute>| -> Vec<Attribute> { list.into_iter().map(|a| attribute(a, renamed)).collect() };
    match node {
        Relation { name, source, output } => Relation { name, source, output: all(output) },
        LocalRelation { output, rows } => LocalRelation { output: all(output), rows },
        Union { inputs, output } => Union { inputs, output: all(output) },
        Expand { projections, output, input } => Expand { projections, output: all(output), input },
        Generate { generator, outer, output, input } => Generate { generator, outer, output: all(output), input },
        Range { start, end, step, partitions, output } => Range { start, end, step, partitions, output: attribute(output, renamed) },
        Join(self::Join { left, right, join_type: JoinType::Existence(a), condition, hint }) => {
            Join(self::Join { left, right, join_type: JoinType::Existence(attribute(a, renamed)), condition, hint })
        }
        Apply(self::Apply { input, subquery, kind, outer }) => {
            let outer = all(outer);
            let kind = match kind {
                SubqueryKind::Scalar(a) => SubqueryKind::Scalar(attribute(a, renamed)),
                SubqueryKind::Exists(a) => SubqueryKind::Exists(attribute(a, renamed)),
                SubqueryKind::In { values, output } => SubqueryKind::In { values, output: attribute(output, renamed) },
            };
            Apply(self::Apply { input, subquery, kind, outer })
        }
        same => same,
    }
}
