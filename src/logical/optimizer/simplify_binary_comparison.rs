//! SimplifyBinaryComparison: a value compared with itself.

use super::support::{boolean, transform_expressions};
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
        assert_rewrites(apply, filtered(t.clone(), greater_than(key.clone(), key)), &filtered(t, boolean(false)));
    }

    #[test]
    fn leaves_what_may_be_null() {
        let t = table("t", 10);
        let a = column(&t, "a");
        assert_unchanged(apply, &filtered(t, equals(a.clone(), a)));
    }
}
