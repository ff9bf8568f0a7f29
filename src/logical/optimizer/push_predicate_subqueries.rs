//! PushPredicateSubqueries: a filter that asks a subquery moves towards the tables that the question is about, as other filters do.
//!
//! Spark rewrites subqueries into joins once filters have moved and joins have their order, so its semi joins stand where a filter
//! would. Here subqueries are rewritten first: under Spark's profile this rule brings them to the same places before. Otherwise
//! estimates decide later (PushLeftSemiLeftAntiThroughJoin).

use std::collections::BTreeSet;

use super::push_down_predicates;
use super::support::attribute;
use crate::base::{Attribute, ExprId, Result, Settings};
use crate::expr::Expr;
use crate::logical::plan::{Apply, Join};
use crate::logical::{JoinHint, JoinType, LogicalPlan, SubqueryKind};

pub fn apply(plan: LogicalPlan, settings: &Settings) -> Result<LogicalPlan> {
    if !settings.plans_as_spark() || !has_apply(&plan) {
        return Ok(plan);
    }
    let plan = push_down_predicates::apply(plan, settings)?;
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::Filter { condition, input } => match Question::of(condition, *input) {
                Ok(question) => question.push().unwrap_or_else(|question| question.over()),
                Err(plan) => *plan,
            },
            other => other,
        })
    })
}

fn has_apply(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Apply(_)) || stacker::maybe_grow(64 * 1024, 1024 * 1024, || plan.children().into_iter().any(has_apply))
}

/// A filter over the answers of subqueries.
struct Question {
    condition: Expr,
    /// From the innermost to the outermost; the inputs stand for nothing.
    applies: Vec<Apply>,
    input: LogicalPlan,
}

impl Question {
    /// Takes a filter apart; gives it back where it asks no subquery.
    fn of(condition: Expr, mut input: LogicalPlan) -> std::result::Result<Self, Box<LogicalPlan>> {
        let asked = condition.references();
        let mut applies = vec![];
        loop {
            input = match input {
                LogicalPlan::Apply(a) if asked.contains(&a.kind.output().id) => {
                    let below = *a.input;
                    applies.push(Apply { input: Box::new(LogicalPlan::OneRowRelation), ..a });
                    below
                }
                other => {
                    input = other;
                    break;
                }
            };
        }
        applies.reverse();
        let question = Question { condition, applies, input };
        if question.applies.is_empty() { Err(Box::new(question.over())) } else { Ok(question) }
    }

    fn over(self) -> LogicalPlan {
        let input = self.applies.into_iter().fold(self.input, |input, a| LogicalPlan::Apply(Apply { input: Box::new(input), ..a }));
        LogicalPlan::Filter { condition: self.condition, input: Box::new(input) }
    }

    fn answers(&self) -> impl Iterator<Item = &Attribute> {
        self.applies.iter().map(|a| a.kind.output())
    }

    /// The columns of the input that it is about.
    fn uses(&self) -> BTreeSet<ExprId> {
        let mut ids = self.condition.references();
        for apply in &self.applies {
            ids.extend(apply.outer.iter().map(|a| a.id));
            if let SubqueryKind::In { values, .. } = &apply.kind {
                ids.extend(values.iter().flat_map(Expr::references));
            }
        }
        self.answers().for_each(|answer| {
            ids.remove(&answer.id);
        });
        ids
    }

    fn with_input(&self, input: LogicalPlan) -> Self {
        Question { condition: self.condition.clone(), applies: self.applies.clone(), input }
    }

    /// With another input, where it may move on.
    fn moved_to(&self, input: LogicalPlan) -> LogicalPlan {
        self.with_input(input).push().unwrap_or_else(|question| question.over())
    }

    /// The plan with the question further down; the question itself where it must stay.
    fn push(self) -> std::result::Result<LogicalPlan, Box<Question>> {
        let uses = self.uses();
        // A subquery about nothing around it may be asked anywhere: here.
        if uses.is_empty() || !self.condition.is_deterministic() {
            return Err(Box::new(self));
        }
        let below = match &self.input {
            LogicalPlan::Join(j) if j.hint == JoinHint::default() => {
                let (to_left, to_right) = match j.join_type {
                    JoinType::Inner | JoinType::Cross => (true, true),
                    JoinType::LeftOuter => (true, false),
                    JoinType::RightOuter => (false, true),
                    _ => (false, false),
                };
                let over = |side: &LogicalPlan| uses.is_subset(&side.output_set());
                if to_left && over(&j.left) {
                    LogicalPlan::Join(Join { left: Box::new(self.moved_to((*j.left).clone())), ..j.clone() })
                } else if to_right && over(&j.right) {
                    LogicalPlan::Join(Join { right: Box::new(self.moved_to((*j.right).clone())), ..j.clone() })
                } else {
                    return Err(Box::new(self));
                }
            }
            // Past other questions, if something below them lets it on.
            LogicalPlan::Filter { condition, input } => {
                let Ok(other) = Question::of(condition.clone(), (**input).clone()) else { return Err(Box::new(self)) };
                if !uses.is_subset(&other.input.output_set()) {
                    return Err(Box::new(self));
                }
                match self.with_input(other.input.clone()).push() {
                    Ok(plan) => other.with_input(plan).over(),
                    Err(_) => return Err(Box::new(self)),
                }
            }
            LogicalPlan::Project { list, input } if list.iter().all(|e| matches!(e, Expr::Attribute(_))) => {
                let list = list.iter().cloned().chain(self.answers().map(attribute)).collect();
                return Ok(LogicalPlan::Project { list, input: Box::new(self.moved_to((**input).clone())) });
            }
            _ => return Err(Box::new(self)),
        };
        // Columns in the order they had.
        let list = self.input.output().iter().chain(self.answers()).map(attribute).collect();
        Ok(LogicalPlan::Project { list, input: Box::new(below) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DataType;
    use crate::logical::optimizer::testing::*;

    fn question(input: LogicalPlan, key: Expr) -> LogicalPlan {
        let s = table("s", 10);
        let values = LogicalPlan::Project { list: vec![column(&s, "a")], input: Box::new(s) };
        let output = Attribute::new("in", DataType::Boolean, true);
        let kind = SubqueryKind::In { values: vec![key], output: output.clone() };
        let apply = Apply { input: Box::new(input), subquery: Box::new(values), kind, outer: vec![] };
        filtered(LogicalPlan::Apply(apply), attribute(&output))
    }

    #[test]
    fn moves_to_the_table_under_sparks_profile_only() {
        let (t, u) = (table("t", 10), table("u", 10));
        let joined = inner_join(t.clone(), u.clone(), equals(column(&t, "a"), column(&u, "a")));
        let plan = question(joined, column(&u, "b"));
        assert_unchanged(apply, &plan);
        let mut cluster = Settings::new();
        cluster.set("planner.profile", "cluster").unwrap();
        let after = apply(plan.clone(), &cluster).unwrap();
        assert_eq!(after.output(), plan.output());
        let LogicalPlan::Project { input, .. } = &after else { panic!("{after:?}") };
        let LogicalPlan::Join(j) = input.as_ref() else { panic!("{after:?}") };
        assert_eq!(*j.left, t);
        assert!(matches!(*j.right, LogicalPlan::Filter { .. }));
    }

    #[test]
    fn subqueries_of_one_condition_move_together() {
        let (t, u) = (table("t", 10), table("u", 10));
        let joined = inner_join(t.clone(), u.clone(), equals(column(&t, "a"), column(&u, "a")));
        let LogicalPlan::Filter { condition: first, input } = question(joined, column(&u, "b")) else { panic!() };
        let LogicalPlan::Filter { condition: second, input } = question(*input, column(&u, "c")) else { panic!() };
        let plan = filtered(*input, Expr::Or(Box::new(first), Box::new(second)));
        let mut cluster = Settings::new();
        cluster.set("planner.profile", "cluster").unwrap();
        let after = apply(plan.clone(), &cluster).unwrap();
        assert_eq!(after.output(), plan.output());
        let j = joins(&after)[0].clone();
        assert_eq!(*j.left, t);
        assert!(matches!(*j.right, LogicalPlan::Filter { .. }), "{j:?}");
    }
}
