//! ReplaceSetOperations, RewriteExceptAll and RewriteIntersectAll.
//!
//! Of sets, INTERSECT and EXCEPT are semi and anti joins on all columns, NULLs being equal; duplicates are removed afterwards. Of bags
//! (ALL), the rows of both sides are grouped and counted by side; each group then gives as many rows as the counts say.

use super::support::{alias, attribute, attributes, comparison, filter, join, project, without_maps};
use crate::base::{Attribute, DataType, ExprId, Result, Scalar, Settings};
use crate::expr::{AggregateExpr, AggregateFunction, ComparisonOp, Expr, ScalarFunction};
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
    if all {
        return bag(operation, left, right);
    }
    let right = with_other_ids(right, &output);
    let condition = same(&output, &right.output());
    LogicalPlan::Distinct { input: Box::new(join(left, right, join_type, condition)) }
}

fn bag(operation: SetOperation, left: LogicalPlan, right: LogicalPlan) -> LogicalPlan {
    let output = left.output();
    let (yes, no) = (Scalar::Boolean(true), Scalar::Null(DataType::Boolean));
    let tags = match operation {
        SetOperation::Except => [vec![Scalar::Long(1)], vec![Scalar::Long(-1)]],
        SetOperation::Intersect => [vec![yes.clone(), no.clone()], vec![no, yes]],
    };
    let count = tags[0].len();
    let columns = output.iter().zip(right.output()).map(|(l, r)| Attribute { nullable: l.nullable || r.nullable, ..l.fresh() });
    let counted = (0..count).map(|i| Attribute::new(tag_name(count, i), tags[0][i].data_type(), count > 1));
    let union: Vec<Attribute> = counted.chain(columns).collect();
    let inputs = [left, right].into_iter().zip(tags).map(|(side, tags)| {
        let tags = tags.into_iter().enumerate().map(|(i, tag)| alias(Expr::Literal(tag), tag_name(count, i)));
        project(tags.chain(attributes(&side)).collect(), side)
    });
    let (counted, keys) = union.split_at(count);
    let keys: Vec<Expr> = keys.iter().map(attribute).collect();
    let call = |of: &Attribute, name: &str| {
        let function = if count == 1 { AggregateFunction::Sum } else { AggregateFunction::Count };
        let call = AggregateExpr { function, args: vec![attribute(of)], distinct: false, filter: None, id: ExprId::next() };
        alias(Expr::Aggregate(Box::new(call)), name)
    };
    let sums: Vec<Expr> = match counted {
        [vcol] => vec![call(vcol, "sum")],
        several => several.iter().map(|a| call(a, &format!("{}_count", a.name))).collect(),
    };
    let results: Vec<Expr> = sums.iter().map(|s| attribute(&s.to_attribute())).collect();
    let list = keys.iter().cloned().chain(sums).collect();
    let inputs = LogicalPlan::Union { inputs: inputs.collect(), output: union.clone() };
    let grouped = LogicalPlan::Aggregate { grouping: keys.clone(), list, input: Box::new(inputs) };
    let long = |n: i64| Expr::Literal(Scalar::Long(n));
    let (times, counted) = match results.as_slice() {
        [l, r] => {
            let both = [l, r].map(|side| comparison(ComparisonOp::GreaterOrEqual, side.clone(), long(1))).to_vec();
            let more = comparison(ComparisonOp::Greater, l.clone(), r.clone());
            let least = alias(Expr::Case { branches: vec![(more, r.clone())], otherwise: Some(Box::new(l.clone())) }, "min_count");
            let times = attribute(&least.to_attribute());
            (times, project(keys.iter().cloned().chain([least]).collect(), filter(both, grouped)))
        }
        sum => (sum[0].clone(), filter(vec![comparison(ComparisonOp::Greater, sum[0].clone(), long(0))], grouped)),
    };
    let generator = Expr::Function { function: ScalarFunction::ReplicateRows, args: [vec![times], keys].concat() };
    let output = output.into_iter().zip(&union[count..]).map(|(o, u)| Attribute { nullable: u.nullable, ..o }).collect();
    let dropped = counted.output().iter().map(|a| a.id).collect();
    LogicalPlan::Generate { generator, outer: false, dropped, output, input: Box::new(counted) }
}

fn tag_name(count: usize, i: usize) -> String {
    if count == 1 { "vcol".into() } else { format!("vcol{}", i + 1) }
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
    fn bags_are_grouped_and_given_out_again() {
        let t = table("t", 10);
        for op in [SetOperation::Intersect, SetOperation::Except] {
            let after = applied(apply, operation(op, true, t.clone(), t.clone()));
            assert_eq!(after.output().iter().map(|a| a.id).collect::<Vec<_>>(), t.output().iter().map(|a| a.id).collect::<Vec<_>>());
            assert!(matches!(after, LogicalPlan::Generate { .. }), "{after:?}");
        }
    }

    #[test]
    fn leaves_unions() {
        let t = table("t", 10);
        assert_unchanged(apply, &LogicalPlan::Union { output: t.output(), inputs: vec![t] });
    }
}
