//! UNION, INTERSECT, EXCEPT: columns by position, brought to common types.

use std::sync::Arc;

use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier, Spanned};

use super::Binder;
use super::parse::location;
use super::scope::{Relation, Scope};
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result};
use crate::expr::{Expr, coerce};
use crate::logical::LogicalPlan;
use crate::logical::plan::SetOperation;

impl Binder<'_> {
    /// A body of a query: SELECT, a nested query, VALUES, or an operation on two of them.
    pub(super) fn set_expr(&mut self, body: &SetExpr, outer: Option<&Scope>) -> Result<Relation> {
        // Operators of one precedence nest to the left, as deep as the text is long.
        let mut spine = vec![];
        let mut first = body;
        while let SetExpr::SetOperation { op, set_quantifier, left, right } = first {
            spine.push((*op, *set_quantifier, right.as_ref()));
            first = left;
        }
        let mut plan = self.operand(first, outer)?;
        if spine.is_empty() {
            return Ok(plan);
        }
        let mut chain = Chain { inputs: vec![plan.plan], distinct: false };
        for (op, quantifier, right) in spine.into_iter().rev() {
            let all = match quantifier {
                SetQuantifier::All => true,
                SetQuantifier::None | SetQuantifier::Distinct => false,
                other => return Err(Error::unsupported(format!("{op} {other} is not supported.")).at(location(right.span().start))),
            };
            let at = |e: Error| e.at(location(right.span().start));
            let right_plan = self.operand(right, outer)?.plan;
            match op {
                // What is made distinct by a later UNION need not be so before; what UNION ALL appends to must.
                SetOperator::Union => {
                    if all && chain.distinct {
                        chain = Chain { inputs: vec![chain.close().map_err(at)?], distinct: false };
                    }
                    chain.inputs.push(right_plan);
                    chain.distinct |= !all;
                }
                SetOperator::Intersect | SetOperator::Except | SetOperator::Minus => {
                    let operation = if op == SetOperator::Intersect { SetOperation::Intersect } else { SetOperation::Except };
                    let left = chain.close().map_err(at)?;
                    let plan = set_operation(operation, all, left, right_plan).map_err(at)?;
                    chain = Chain { inputs: vec![plan], distinct: false };
                }
            }
        }
        plan = Relation::new(chain.close().map_err(|e| e.at(location(body.span().start)))?, &[]);
        Ok(plan)
    }

    fn operand(&mut self, body: &SetExpr, outer: Option<&Scope>) -> Result<Relation> {
        match body {
            SetExpr::Select(s) => self.select(s, None, outer),
            SetExpr::Query(q) => self.query(q, outer),
            SetExpr::Values(v) => self.values(v, outer),
            SetExpr::SetOperation { .. } => self.set_expr(body, outer),
            SetExpr::Table(t) => {
                let parts = [&t.schema_name, &t.table_name].into_iter().flatten().map(|p| ast::Ident::new(p.clone())).collect::<Vec<_>>();
                self.table(&parts)
            }
            other => Err(Error::unsupported(format!("`{other}` is not supported here."))),
        }
    }
}

/// UNIONs in a row, which become one node.
struct Chain {
    inputs: Vec<LogicalPlan>,
    distinct: bool,
}

impl Chain {
    fn close(mut self) -> Result<LogicalPlan> {
        match self.inputs.len() {
            1 => self.inputs.pop().ok_or_else(|| Error::internal("a chain of set operations has an input")),
            _ if self.distinct => Ok(LogicalPlan::Distinct { input: Box::new(union(self.inputs)?) }),
            _ => union(self.inputs),
        }
    }
}

/// The column types that all inputs can be cast to.
fn common_types(inputs: &[LogicalPlan], what: &str) -> Result<Vec<DataType>> {
    let outputs: Vec<Vec<Attribute>> = inputs.iter().map(LogicalPlan::output).collect();
    let width = outputs[0].len();
    if let Some((i, other)) = outputs.iter().enumerate().find(|(_, o)| o.len() != width) {
        let message =
            format!("{what} needs inputs with as many columns each, but the first has {width} and number {} has {}.", i + 1, other.len());
        return Err(Error::new(ErrorClass::WrongArguments, message));
    }
    (0..width)
        .map(|c| {
            let types: Vec<DataType> = outputs.iter().map(|o| o[c].data_type.clone()).collect();
            coerce::common_type(&types).ok_or_else(|| {
                let names: Vec<String> = types.iter().map(DataType::to_string).collect();
                let message = format!("{what} cannot bring column {} of types {} to one type.", c + 1, names.join(", "));
                Error::new(ErrorClass::TypeMismatch, message)
            })
        })
        .collect()
}

/// UNION ALL.
///
/// # Errors
/// `WrongArguments` for inputs of different widths, `TypeMismatch`.
pub(super) fn union(inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    let types = common_types(&inputs, "UNION")?;
    let inputs = inputs.into_iter().map(|p| cast_columns(p, &types)).collect::<Result<Vec<_>>>()?;
    let outputs: Vec<Vec<Attribute>> = inputs.iter().map(LogicalPlan::output).collect();
    let output = (0..types.len())
        .map(|c| Attribute::new(outputs[0][c].name.clone(), types[c].clone(), outputs.iter().any(|o| o[c].nullable)))
        .collect();
    Ok(LogicalPlan::Union { inputs, output })
}

fn set_operation(operation: SetOperation, all: bool, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    let inputs = vec![left, right];
    let types = common_types(&inputs, if operation == SetOperation::Intersect { "INTERSECT" } else { "EXCEPT" })?;
    let mut inputs = inputs.into_iter().map(|p| cast_columns(p, &types));
    match (inputs.next(), inputs.next()) {
        (Some(left), Some(right)) => Ok(LogicalPlan::SetOperation { operation, all, left: Box::new(left?), right: Box::new(right?) }),
        _ => Err(Error::internal("a set operation has two sides")),
    }
}

/// The plan with its columns cast to `types` where they differ.
///
/// # Errors
/// Those of the casts.
pub(super) fn cast_columns(plan: LogicalPlan, types: &[DataType]) -> Result<LogicalPlan> {
    let output = plan.output();
    if output.iter().zip(types).all(|(a, t)| a.data_type == *t) {
        return Ok(plan);
    }
    let list = output
        .into_iter()
        .zip(types)
        .map(|(a, t)| {
            if a.data_type == *t {
                return Ok(Expr::Attribute(a));
            }
            let name: Arc<str> = a.name.clone();
            Ok(Expr::Alias { expr: Box::new(coerce::implicit_cast(Expr::Attribute(a), t)?), name, id: ExprId::next() })
        })
        .collect::<Result<_>>()?;
    Ok(LogicalPlan::Project { list, input: Box::new(plan) })
}
