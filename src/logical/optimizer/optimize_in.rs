//! OptimizeIn: lists without repeated literals; a list of one is an equality.

use super::support::{equal, transform_expressions};
use crate::base::{Result, Settings};
use crate::expr::Expr;
use crate::logical::LogicalPlan;
use std::collections::HashSet;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    transform_expressions(plan, &mut |e| {
        Ok(match e {
            Expr::In { value, list } if list.iter().all(|item| matches!(item, Expr::Literal(_))) => {
                let mut seen = HashSet::new();
                let mut list: Vec<Expr> = list.into_iter().filter(|item| seen.insert(item.clone())).collect();
                match list.len() {
                    1 => equal(*value, list.swap_remove(0)),
                    _ => Expr::In { value, list },
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

    fn a_in(t: &LogicalPlan, list: Vec<Expr>) -> LogicalPlan {
        filtered(t.clone(), Expr::In { value: Box::new(column(t, "a")), list })
    }

    #[test]
    fn fires() {
        let t = table("t", 10);
        assert_rewrites(apply, a_in(&t, vec![int(1), int(2), int(1)]), &a_in(&t, vec![int(1), int(2)]));
        assert_rewrites(apply, a_in(&t, vec![int(1), int(1)]), &filtered(t.clone(), equals(column(&t, "a"), int(1))));
    }

    #[test]
    fn leaves_columns_in_lists() {
        let t = table("t", 10);
        assert_unchanged(apply, &a_in(&t, vec![column(&t, "b"), column(&t, "b")]));
    }
}
