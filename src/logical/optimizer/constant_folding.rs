//! ConstantFolding: an expression over literals becomes its value.
//!
//! One that fails is left alone: it must fail when (and only if) it is run.

use super::support::transform_expressions;
use crate::base::{Result, Settings};
use crate::expr::{Expr, evaluate};
use crate::logical::LogicalPlan;

/// Bytes of a value that plans may hold: they are copied, and an element of an array takes more there than where it is computed.
const LARGEST: usize = 64 << 10;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| Ok(fold(e)))
}

/// The value of an expression whose children are literals; any other expression as it is.
pub fn fold(e: Expr) -> Expr {
    let foldable = match &e {
        Expr::Literal(_)
        | Expr::Attribute(_)
        | Expr::Column { .. }
        | Expr::ScalarSubquery { .. }
        | Expr::DynamicPruning { .. }
        | Expr::Alias { .. }
        | Expr::Lambda { .. }
        | Expr::LambdaVariable(_)
        | Expr::Aggregate(_)
        | Expr::Window(_) => false,
        Expr::Function { function, .. } => function.is_deterministic() && !function.is_generator(),
        Expr::Cast { .. }
        | Expr::Negate(_)
        | Expr::Arithmetic { .. }
        | Expr::Comparison { .. }
        | Expr::And(..)
        | Expr::Or(..)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Case { .. }
        | Expr::Coalesce(_)
        | Expr::In { .. }
        | Expr::Like { .. } => true,
    };
    if !foldable || !e.children().into_iter().all(|c| matches!(c, Expr::Literal(_))) {
        return e;
    }
    match evaluate::fold_within(&e, LARGEST) {
        // A value of another type would change the types above.
        Ok(Some(value)) if value.data_type() == e.data_type() => Expr::Literal(value),
        _ => e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Scalar;
    use crate::expr::{ArithmeticOp, ScalarFunction};
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let plan = filtered(t.clone(), greater_than(column(&t, "a"), plus(int(1), int(2))));
        assert_rewrites(apply, plan, &filtered(t.clone(), greater(column(&t, "a"), 3)));
    }

    #[test]
    fn leaves_long_arrays_to_the_run() {
        let t = table("t", 10);
        let longer_than = |n: i64| {
            let array = Expr::Function { function: ScalarFunction::Sequence, args: vec![int(1), int(n)] };
            filtered(
                t.clone(),
                greater_than(Expr::Function { function: ScalarFunction::Size, args: vec![array] }, Expr::Literal(Scalar::Int(9))),
            )
        };
        assert_unchanged(apply, &longer_than(100_000));
        assert_rewrites(apply, longer_than(10), &filtered(t.clone(), Expr::Literal(Scalar::Boolean(true))));
    }

    #[test]
    fn leaves_errors_and_random_values_to_the_run() {
        let t = table("t", 10);
        let overflow = plus(Expr::Literal(Scalar::Long(i64::MAX)), int(1));
        assert_unchanged(apply, &filtered(t.clone(), greater_than(column(&t, "a"), overflow)));
        let by_zero =
            Expr::Arithmetic { op: ArithmeticOp::Remainder, left: Box::new(int(1)), right: Box::new(int(0)), try_arithmetic: false };
        assert_unchanged(apply, &filtered(t.clone(), greater_than(column(&t, "a"), by_zero)));
        assert_unchanged(apply, &filtered(t, random_below(0.5)));
    }
}
