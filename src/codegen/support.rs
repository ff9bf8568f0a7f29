//! What can be compiled: asked when stages are formed, so that what cannot is never fused.

use super::cast::castable;
use super::function::lowered;
use super::value::kind_of;
use crate::base::DataType;
use crate::expr::{ArithmeticOp, Expr};

/// Largest expression that is compiled; compile time grows faster than linearly.
const MOST_NODES: usize = 1000;

/// Whether values of the type can be in a compiled stage.
///
/// # Errors
/// Says which type cannot.
pub fn data_type(t: &DataType) -> Result<(), String> {
    kind_of(t).map(drop).ok_or_else(|| format!("values of type {t} are not compiled"))
}

/// Whether the expression can be compiled.
///
/// # Errors
/// Says what cannot.
pub fn expression(expr: &Expr) -> Result<(), String> {
    let mut nodes = 0usize;
    let mut problem = None;
    expr.visit(&mut |e| {
        nodes += 1;
        if problem.is_none() {
            problem = node(e).err();
        }
        problem.is_none() && nodes <= MOST_NODES
    });
    match problem {
        Some(problem) => Err(problem),
        None if nodes > MOST_NODES => Err(format!("an expression of over {MOST_NODES} nodes is not compiled")),
        None => Ok(()),
    }
}

fn node(expr: &Expr) -> Result<(), String> {
    let t = expr.data_type();
    let untyped_null = t == DataType::Null;
    match expr {
        Expr::Literal(_) if untyped_null => Ok(()),
        Expr::Literal(_) | Expr::Attribute(_) | Expr::Column { .. } | Expr::ScalarSubquery { .. } => data_type(&t),
        Expr::Alias { .. } | Expr::Not(_) | Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::And(..) | Expr::Or(..) => Ok(()),
        Expr::Cast { expr: inner, to, .. } => match (inner.data_type(), to) {
            (from, to) if castable(&from, to) => Ok(()),
            (from, to) => Err(format!("a cast of {from} to {to} is not compiled")),
        },
        Expr::Negate(_) | Expr::Case { .. } | Expr::Coalesce(_) => data_type(&t),
        Expr::Comparison { left, right, .. } => data_type(&left.data_type()).and_then(|()| data_type(&right.data_type())),
        Expr::In { value, .. } => data_type(&value.data_type()),
        Expr::Arithmetic { op, left, right, .. } => match (op, left.data_type(), right.data_type()) {
            (ArithmeticOp::IntegralDivide, DataType::Decimal { .. }, _) => Err("integral division of decimals is not compiled".into()),
            (ArithmeticOp::Remainder, DataType::Float | DataType::Double, _) => Err("the remainder of floats is not compiled".into()),
            (_, l, r) if l.is_numeric() && r.is_numeric() => Ok(()),
            (_, l, r) => Err(format!("arithmetic of {l} and {r} is not compiled")),
        },
        Expr::Like { pattern, .. } => match pattern.as_ref() {
            Expr::Literal(s) if !s.is_null() => Ok(()),
            _ => Err("LIKE with a pattern that is not a literal is not compiled".into()),
        },
        Expr::Function { function, args } => {
            if lowered(*function, args) {
                Ok(())
            } else {
                Err(format!("the function {} is not compiled", function.name()))
            }
        }
        Expr::Lambda { .. } | Expr::LambdaVariable(_) => Err("lambda functions are not compiled".into()),
        Expr::DynamicPruning { .. } => Err("dynamic partition pruning outside a scan".into()),
        Expr::Aggregate(_) | Expr::Window(_) => Err("a nested aggregate or window call".into()),
    }
}
