//! NullPropagation: what NULLs, or their absence, decide already.

use super::support::{boolean, is_null_literal, null_boolean, transform_expressions};
use crate::base::{Result, Scalar, Settings};
use crate::expr::{AggregateFunction, ComparisonOp, Expr};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| Ok(simplify(e)))
}

/// The expression with what its own operator makes of NULL operands.
pub fn simplify(e: Expr) -> Expr {
    match e {
        Expr::IsNull(x) if is_null_literal(&x) => boolean(true),
        Expr::IsNull(x) if !x.nullable() => boolean(false),
        Expr::IsNotNull(x) if is_null_literal(&x) => boolean(false),
        Expr::IsNotNull(x) if !x.nullable() => boolean(true),
        Expr::Comparison { op: ComparisonOp::EqualNullSafe, left, right } if is_null_literal(&left) => simplify_is_null(*right),
        Expr::Comparison { op: ComparisonOp::EqualNullSafe, left, right } if is_null_literal(&right) => simplify_is_null(*left),
        Expr::Comparison { op, ref left, ref right }
            if op != ComparisonOp::EqualNullSafe && (is_null_literal(left) || is_null_literal(right)) =>
        {
            null_boolean()
        }
        Expr::Arithmetic { ref left, ref right, .. } if is_null_literal(left) || is_null_literal(right) => null_of(&e),
        Expr::Negate(ref x) | Expr::Cast { expr: ref x, .. } if is_null_literal(x) => null_of(&e),
        Expr::Not(ref x) if is_null_literal(x) => null_boolean(),
        Expr::Like { ref value, ref pattern, .. } if is_null_literal(value) || is_null_literal(pattern) => null_boolean(),
        Expr::In { ref value, .. } if is_null_literal(value) => null_boolean(),
        Expr::Coalesce(args) => coalesce(args),
        Expr::Aggregate(mut a) => {
            // What is never NULL need not be looked at to be counted.
            if a.function == AggregateFunction::Count
                && !a.distinct
                && !a.args.iter().any(Expr::nullable)
                && a.args != [Expr::Literal(Scalar::Int(1))]
            {
                a.args = vec![Expr::Literal(Scalar::Int(1))];
            }
            Expr::Aggregate(a)
        }
        other => other,
    }
}

fn simplify_is_null(e: Expr) -> Expr {
    simplify(Expr::IsNull(Box::new(e)))
}

fn null_of(e: &Expr) -> Expr {
    Expr::Literal(Scalar::Null(e.data_type()))
}

fn coalesce(mut args: Vec<Expr>) -> Expr {
    let data_type = args.first().map(Expr::data_type);
    args.retain(|a| !is_null_literal(a));
    if let Some(i) = args.iter().position(|a| !a.nullable()) {
        args.truncate(i + 1);
    }
    match (args.len(), data_type) {
        (0, Some(t)) => Expr::Literal(Scalar::Null(t)),
        (1, _) => args.swap_remove(0),
        _ => Expr::Coalesce(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::{is_not_null, is_null};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let (a, key) = (column(&t, "a"), column(&t, "k"));
        let null = Expr::Literal(Scalar::Null(a.data_type()));
        for (condition, expected) in [
            (is_not_null(key.clone()), boolean(true)),
            (is_null(key.clone()), boolean(false)),
            (equals(a.clone(), null.clone()), null_boolean()),
            (equals(plus(a.clone(), null.clone()), int(1)), null_boolean()),
            (greater(Expr::Coalesce(vec![null.clone(), key.clone(), a.clone()]), 1), greater(key.clone(), 1)),
        ] {
            assert_rewrites(apply, filtered(t.clone(), condition), &filtered(t.clone(), expected));
        }
    }

    #[test]
    fn leaves_what_may_be_null() {
        let t = table("t", 10);
        let a = column(&t, "a");
        for condition in [is_not_null(a.clone()), is_null(a.clone()), greater(Expr::Coalesce(vec![a.clone(), column(&t, "b")]), 1)] {
            assert_unchanged(apply, &filtered(t.clone(), condition));
        }
    }
}
