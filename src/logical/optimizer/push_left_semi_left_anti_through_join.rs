//! PushLeftSemiLeftAntiThroughJoin: a semi or anti join over inner joins moves to the one input it is about.
//!
//! Where that input has more rows than the joins give, it must be expected to remove most of them (Spark moves it always, even if it
//! must then look at far more rows than before).

use super::support::{conjuncts, project, refers_only_to};
use crate::base::{Result, Settings};
use crate::expr::Expr;
use crate::logical::statistics::estimate;
use crate::logical::{Join, JoinHint, JoinType, LogicalPlan};

/// Part of a larger input's rows that may remain.
const MOST_ROWS_LEFT: f64 = 0.1;

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| Ok(push_down(node)))
}

/// A semi or anti join, with the right to move, moved as far down as it pays; any other plan as it is.
pub fn push_down(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Join(j) if is_movable(&j) && inputs_moved_into(&j.left) => {
            let Join { left, right, join_type, condition, hint } = j;
            let joined_rows = estimate(&left).rows();
            match (Semi { right: *right, join_type, condition, hint }).push(*left, joined_rows) {
                Ok(plan) => plan,
                Err((semi, left)) => semi.over(*left),
            }
        }
        other => other,
    }
}

fn is_movable(j: &Join) -> bool {
    matches!(j.join_type, JoinType::LeftSemi | JoinType::LeftAnti) && j.condition.as_ref().is_some_and(Expr::is_deterministic)
}

fn inputs_moved_into(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(j) => j.join_type.is_inner() && j.hint == JoinHint::default(),
        LogicalPlan::Project { list, input } => list.iter().all(|e| matches!(e, Expr::Attribute(_))) && inputs_moved_into(input),
        _ => false,
    }
}

/// A semi or anti join without its left side.
struct Semi {
    right: LogicalPlan,
    join_type: JoinType,
    condition: Option<Expr>,
    hint: JoinHint,
}

type NotPushed = (Box<Semi>, Box<LogicalPlan>);

impl Semi {
    fn over(self, left: LogicalPlan) -> LogicalPlan {
        LogicalPlan::Join(Join {
            left: Box::new(left),
            right: Box::new(self.right),
            join_type: self.join_type,
            condition: self.condition,
            hint: self.hint,
        })
    }

    /// Whether the condition uses columns of `input` (and of the right side) alone.
    fn is_about(&self, input: &LogicalPlan) -> bool {
        let mut ids = input.output_set();
        ids.extend(self.right.output_set());
        conjuncts(self.condition.clone()).iter().all(|c| refers_only_to(c, &ids))
    }

    fn push(self, left: LogicalPlan, joined_rows: f64) -> Result<LogicalPlan, NotPushed> {
        match left {
            LogicalPlan::Project { list, input } if inputs_moved_into(&input) => match self.push(*input, joined_rows) {
                Ok(plan) => Ok(project(list, plan)),
                Err((semi, input)) => Err((semi, Box::new(LogicalPlan::Project { list, input }))),
            },
            LogicalPlan::Join(mut j) if j.join_type.is_inner() && j.hint == JoinHint::default() => {
                let side = if self.is_about(&j.left) {
                    &mut j.left
                } else if self.is_about(&j.right) {
                    &mut j.right
                } else {
                    return Err((Box::new(self), Box::new(LogicalPlan::Join(j))));
                };
                let input = std::mem::replace(&mut **side, LogicalPlan::OneRowRelation);
                let pushed = if inputs_moved_into(&input) { self.push(input, joined_rows) } else { self.push_onto(input, joined_rows) };
                match pushed {
                    Ok(plan) => {
                        **side = plan;
                        Ok(LogicalPlan::Join(j))
                    }
                    Err((semi, input)) => {
                        *side = input;
                        Err((semi, Box::new(LogicalPlan::Join(j))))
                    }
                }
            }
            other => Err((Box::new(self), Box::new(other))),
        }
    }

    fn push_onto(self, input: LogicalPlan, joined_rows: f64) -> Result<LogicalPlan, NotPushed> {
        let before = estimate(&input).rows();
        let joined = self.over(input);
        if before <= joined_rows || estimate(&joined).rows() <= before * MOST_ROWS_LEFT {
            return Ok(joined);
        }
        match joined {
            LogicalPlan::Join(Join { left, right, join_type, condition, hint }) => {
                Err((Box::new(Semi { right: *right, join_type, condition, hint }), left))
            }
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::support;
    use crate::logical::optimizer::testing::*;

    /// `(t JOIN u) SEMI s` about t.
    fn semi_over_join(u: &LogicalPlan, rows: u64) -> (LogicalPlan, LogicalPlan) {
        let (t, u) = (keyed_table("t", 1000, 1000), u.clone());
        let s = keyed_table("s", rows, rows);
        let on = equals(column(&t, "a"), column(&u, "a"));
        let about = vec![equals(column(&t, "b"), column(&s, "a"))];
        let plan = support::join(inner_join(t.clone(), u.clone(), on.clone()), s.clone(), JoinType::LeftSemi, about.clone());
        let pushed = inner_join(support::join(t, s, JoinType::LeftSemi, about), u, on);
        (plan, pushed)
    }

    #[test]
    fn moves_where_it_removes_much_or_sees_fewer_rows() {
        let u = keyed_table("u", 1000, 1000);
        let few = filtered(u.clone(), equals(column(&u, "c"), int(7)));
        for (u, rows) in [(few, 10), (keyed_table("u", 5000, 1000), 1000)] {
            let (plan, pushed) = semi_over_join(&u, rows);
            assert_rewrites(apply, plan, &pushed);
        }
    }

    #[test]
    fn stays_where_it_would_see_more_rows_and_remove_few() {
        let u = keyed_table("u", 1000, 1000);
        let few = filtered(u.clone(), equals(column(&u, "c"), int(7)));
        assert_unchanged(apply, &semi_over_join(&few, 1000).0);
    }
}
