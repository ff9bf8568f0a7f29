//! ReplaceSetOperations: INTERSECT and EXCEPT become semi and anti joins on all columns, NULLs being equal.
//!
//! Of sets, duplicates are removed afterwards. Of bags (ALL), rows are numbered among their equals on either side first: the n-th
//! copy on the left then has a partner if the right side has at least n copies.

use super::rewrite_subqueries::row_number;
use super::support::{alias, attribute, comparison, join, project, without_maps};
use crate::base::{Attribute, Result, Settings};
use crate::expr::{ComparisonOp, Expr};
use crate::logical::plan::SetOperation;
use crate::logical::{JoinType, LogicalPlan};

pub fn apply(plan: LogicalPlan, _: &Settings) -> Result<LogicalPlan> {
    plan.transform_up(&mut |node| {
        Ok(match node {
            LogicalPlan::SetOperation { operation, all, left, right } => replace(operation, all, without_maps(*left)?, *right),
            other => other,
        })
    })
}

fn replace(operation: SetOperation, all: bool, left: LogicalPlan, right: LogicalPlan) -> LogicalPlan {
    let join_type = match operation {
        SetOperation::Intersect => JoinType::LeftSemi,
        SetOperation::Except => JoinType::LeftAnti,
    };
    let output = left.output();
    let right = with_other_ids(right, &output);
    if !all {
        let condition = same(&output, &right.output());
        return LogicalPlan::Distinct { input: Box::new(join(left, right, join_type, condition)) };
    }
    let (left, right) = (numbered(left), numbered(right));
    let condition = same(&left.output(), &right.output());
    project(output.iter().map(attribute).collect(), join(left, right, join_type, condition))
}

/// One table on both sides (`t EXCEPT t`) must not share ids, or the condition would compare the left with itself.
fn with_other_ids(right: LogicalPlan, left: &[Attribute]) -> LogicalPlan {
    let output = right.output();
    if !output.iter().any(|a| left.contains(a)) {
        return right;
    }
    project(output.iter().map(|a| alias(attribute(a), a.name.clone())).collect(), right)
}

fn same(left: &[Attribute], right: &[Attribute]) -> Vec<Expr> {
    let op = |l: &Attribute, r: &Attribute| if l.nullable || r.nullable { ComparisonOp::EqualNullSafe } else { ComparisonOp::Equal };
    left.iter().zip(right).map(|(l, r)| comparison(op(l, r), attribute(l), attribute(r))).collect()
}

fn numbered(plan: LogicalPlan) -> LogicalPlan {
    let keys = plan.output().iter().map(attribute).collect();
    row_number(plan, keys, vec![]).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logical::optimizer::testing::*;

    fn operation(operation: SetOperation, all: bool, left: LogicalPlan, right: LogicalPlan) -> LogicalPlan {
        LogicalPlan::SetOperation { operation, all, left: Box::new(left), right: Box::new(right) }
    }

    #[test]
    fn sets() {
        let (t, u) = (table("t", 10), table("u", 10));
        for (op, join_type) in [(SetOperation::Intersect, JoinType::LeftSemi), (SetOperation::Except, JoinType::LeftAnti)] {
            let after = applied(apply, operation(op, false, t.clone(), u.clone()));
            assert!(matches!(after, LogicalPlan::Distinct { .. }));
            assert_eq!(after.output(), t.output());
            assert_eq!(joins(&after)[0].join_type, join_type);
        }
    }

    #[test]
    fn bags_number_their_rows() {
        let t = table("t", 10);
        let after = applied(apply, operation(SetOperation::Except, true, t.clone(), t.clone()));
        assert_eq!(after.output(), t.output());
        let j = joins(&after)[0].clone();
        assert_eq!(j.left.output().len(), 5);
        assert!(j.left.output_set().is_disjoint(&j.right.output_set()));
    }

    #[test]
    fn leaves_unions() {
        let t = table("t", 10);
        assert_unchanged(apply, &LogicalPlan::Union { output: t.output(), inputs: vec![t] });
    }
}
