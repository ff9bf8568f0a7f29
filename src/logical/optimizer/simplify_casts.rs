//! SimplifyCasts: casts to the type a value has already, and casts of integers that a comparison can do without.
//!
//! `cast(i as bigint) > 5L` becomes `i > 5` (Spark's UnwrapCastInBinaryComparison): readers can prune by the bare column.

use super::support::transform_expressions;
use crate::base::{DataType, Result, Scalar, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| Ok(simplify(e)))
}

fn simplify(e: Expr) -> Expr {
    match e {
        Expr::Cast { expr, to, .. } if expr.data_type() == to => *expr,
        Expr::Comparison { op, left, right } => match (unwrapped(&left, &right), unwrapped(&right, &left)) {
            (Some((column, value)), _) => compare(op, column, value),
            (None, Some((column, value))) => compare(op.swapped(), column, value),
            (None, None) => Expr::Comparison { op, left, right },
        },
        Expr::In { value, list } => {
            let items: Option<Vec<Expr>> = list.iter().map(|item| Some(Expr::Literal(unwrapped(&value, item)?.1))).collect();
            match (items, &*value) {
                (Some(items), Expr::Cast { expr, .. }) if !items.is_empty() => Expr::In { value: expr.clone(), list: items },
                _ => Expr::In { value, list },
            }
        }
        other => other,
    }
}

fn compare(op: ComparisonOp, column: Expr, value: Scalar) -> Expr {
    Expr::Comparison { op, left: Box::new(column), right: Box::new(Expr::Literal(value)) }
}

/// The operand of a widening integer cast, and the literal in the operand's type, if it fits.
fn unwrapped(cast: &Expr, literal: &Expr) -> Option<(Expr, Scalar)> {
    let (Expr::Cast { expr, to, .. }, Expr::Literal(value)) = (cast, literal) else { return None };
    let from = expr.data_type();
    if !from.is_integral() || !to.is_integral() || from.default_size() > to.default_size() {
        return None;
    }
    let value = value.as_i128()?;
    let value = match from {
        DataType::Byte => Scalar::Byte(value.try_into().ok()?),
        DataType::Short => Scalar::Short(value.try_into().ok()?),
        DataType::Int => Scalar::Int(value.try_into().ok()?),
        _ => return None,
    };
    Some((expr.as_ref().clone(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Attribute;
    use crate::logical::optimizer::testing::*;

    fn widened(e: Expr) -> Expr {
        Expr::Cast { expr: Box::new(e), to: DataType::Long, try_cast: false }
    }

    #[test]
    fn fires() {
        let t = table("t", 10);
        let (a, i) = (column(&t, "a"), Expr::Attribute(Attribute::new("i", DataType::Int, true)));
        let condition = |e| filtered(t.clone(), e);
        assert_rewrites(apply, condition(greater(widened(a.clone()), 5)), &condition(greater(a, 5)));
        let narrow = compare(ComparisonOp::Greater, i.clone(), Scalar::Int(5));
        assert_rewrites(apply, condition(greater(widened(i.clone()), 5)), &condition(narrow));
    }

    #[test]
    fn keeps_casts_that_values_need() {
        let t = table("t", 10);
        let i = Expr::Attribute(Attribute::new("i", DataType::Int, true));
        assert_unchanged(apply, &filtered(t.clone(), greater(widened(i.clone()), 1 << 40)));
        assert_unchanged(apply, &filtered(t.clone(), equals(widened(i), column(&t, "a"))));
    }
}
