//! SimplifyBinaryComparison: a value compared with itself, or with a truth value.

use super::support::{boolean, is_false, is_true, not, transform_expressions};
use crate::base::{Result, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| {
        Ok(match e {
            Expr::Comparison { op, left, right } if left == right && left.is_deterministic() && !left.can_fail() => {
                use ComparisonOp::*;
                match op {
                    EqualNullSafe => boolean(true),
                    Equal | LessOrEqual | GreaterOrEqual if !left.nullable() => boolean(true),
                    NotEqual | Less | Greater if !left.nullable() => boolean(false),
                    _ => Expr::Comparison { op, left, right },
                }
            }
            Expr::Comparison { op: ComparisonOp::Equal, left, right } if is_true(&right) => *left,
            Expr::Comparison { op: ComparisonOp::Equal, left, right } if is_true(&left) => *right,
            Expr::Comparison { op: ComparisonOp::Equal, left, right } if is_false(&right) => not(*left),
            Expr::Comparison { op: ComparisonOp::Equal, left, right } if is_false(&left) => not(*right),
            other => other,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let key = column(&t, "k");
        assert_rewrites(apply, filtered(t.clone(), equals(key.clone(), key.clone())), &filtered(t.clone(), boolean(true)));
        let more = greater_than(key.clone(), column(&t, "a"));
        assert_rewrites(apply, filtered(t.clone(), equals(more.clone(), boolean(true))), &filtered(t.clone(), more.clone()));
        assert_rewrites(apply, filtered(t.clone(), equals(boolean(false), more.clone())), &filtered(t.clone(), not(more)));
        assert_rewrites(apply, filtered(t.clone(), greater_than(key.clone(), key)), &filtered(t, boolean(false)));
    }

    #[test]
    fn leaves_what_may_be_null() {
        let t = table("t", 10);
        let a = column(&t, "a");
        assert_unchanged(apply, &filtered(t, equals(a.clone(), a)));
    }
}
