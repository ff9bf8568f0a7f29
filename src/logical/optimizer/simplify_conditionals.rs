//! SimplifyConditionals: branches of CASE that cannot be taken, or must be.

use super::support::{is_false, is_null_literal, is_true, transform_expressions};
use crate::base::{Result, Scalar, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| {
        Ok(match e {
            Expr::Case { branches, otherwise } => case(branches, otherwise),
            other => other,
        })
    })
}

fn case(mut branches: Vec<(Expr, Expr)>, mut otherwise: Option<Box<Expr>>) -> Expr {
    let data_type = Expr::Case { branches: branches.clone(), otherwise: otherwise.clone() }.data_type();
    branches.retain(|(condition, _)| !is_false(condition) && !is_null_literal(condition));
    if let Some(i) = branches.iter().position(|(condition, _)| is_true(condition)) {
        otherwise = Some(Box::new(branches.swap_remove(i).1));
        branches.truncate(i);
    }
    // All ways lead to one value.
    let same = otherwise.as_ref().is_some_and(|o| branches.iter().all(|(c, v)| v == o.as_ref() && c.is_deterministic() && !c.can_fail()));
    if same {
        branches.clear();
    }
    match (branches.is_empty(), otherwise) {
        (true, Some(value)) => *value,
        (true, None) => Expr::Literal(Scalar::Null(data_type)),
        (false, otherwise) => Expr::Case { branches, otherwise },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support::boolean;
    use crate::logical::optimizer::testing::*;

    #[test]
    fn fires() {
        let t = table("t", 10);
        let (a, b) = (column(&t, "a"), column(&t, "b"));
        let case = |branches, otherwise: Option<Expr>| Expr::Case { branches, otherwise: otherwise.map(Box::new) };
        let live = (greater(a.clone(), 1), int(1));
        let with = |e| filtered(t.clone(), equals(b.clone(), e));
        assert_rewrites(apply, with(case(vec![(boolean(true), int(1))], Some(int(2)))), &with(int(1)));
        assert_rewrites(apply, with(case(vec![(boolean(false), int(1))], Some(int(2)))), &with(int(2)));
        assert_rewrites(
            apply,
            with(case(vec![live.clone(), (boolean(true), int(5)), (greater(a.clone(), 7), int(6))], None)),
            &with(case(vec![live.clone()], Some(int(5)))),
        );
        assert_rewrites(apply, with(case(vec![live.clone()], Some(int(1)))), &with(int(1)));
    }

    #[test]
    fn leaves_open_conditions() {
        let t = table("t", 10);
        let a = column(&t, "a");
        let case = Expr::Case { branches: vec![(greater(a.clone(), 1), int(1))], otherwise: None };
        assert_unchanged(apply, &filtered(t, equals(a, case)));
    }
}
