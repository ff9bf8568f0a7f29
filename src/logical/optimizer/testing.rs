//! Plans and assertions for tests of rules.

use std::sync::Arc;

use crate::base::{Attribute, DataType, ExprId, Field, Result, Scalar, Schema, Settings};
use crate::datasource::{ColumnStatistics, Described, TableStatistics};
use crate::expr::{AggregateExpr, AggregateFunction, ArithmeticOp, ComparisonOp, Expr, ScalarFunction};
use crate::logical::{Join, JoinType, LogicalPlan};

type Apply = fn(LogicalPlan, &Settings) -> Result<LogicalPlan>;

fn relation(name: &str, fields: Vec<Field>, statistics: TableStatistics) -> LogicalPlan {
    let output = fields.iter().map(|f| Attribute::new(f.name.clone(), f.data_type.clone(), f.nullable)).collect();
    let source = Arc::new(Described { schema: Schema::new(fields), statistics });
    LogicalPlan::Relation { name: name.into(), source, output }
}

/// Bigint columns a, b, c that may be NULL and k that may not; `rows` rows, nothing else known.
pub fn table(name: &str, rows: u64) -> LogicalPlan {
    let fields = ["a", "b", "c", "k"].map(|n| Field::new(n, DataType::Long, n != "k")).to_vec();
    relation(name, fields, TableStatistics { size_bytes: rows * 32, row_count: Some(rows), columns: vec![] })
}

/// Bigint columns a, b, c that are not NULL, with values from 0 to `distinct`.
pub fn keyed_table(name: &str, rows: u64, distinct: u64) -> LogicalPlan {
    let fields = ["a", "b", "c"].map(|n| Field::new(n, DataType::Long, false)).to_vec();
    let column = ColumnStatistics {
        min: Some(Scalar::Long(0)),
        max: Some(Scalar::Long(distinct as i64 - 1)),
        null_count: Some(0),
        distinct_count: None,
        length: None,
    };
    let statistics = TableStatistics { size_bytes: rows * 24, row_count: Some(rows), columns: vec![column; 3] };
    relation(name, fields, statistics)
}

/// A bigint column a that could be NULL by its schema but never is.
pub fn nullable_table_without_nulls(name: &str) -> LogicalPlan {
    let column = ColumnStatistics { null_count: Some(0), ..ColumnStatistics::default() };
    let statistics = TableStatistics { size_bytes: 80, row_count: Some(10), columns: vec![column] };
    relation(name, vec![Field::new("a", DataType::Long, true)], statistics)
}

pub fn column(plan: &LogicalPlan, name: &str) -> Expr {
    Expr::Attribute(plan.output().into_iter().find(|a| &*a.name == name).unwrap())
}

pub fn int(v: i64) -> Expr {
    Expr::Literal(Scalar::Long(v))
}

pub fn greater(e: Expr, v: i64) -> Expr {
    greater_than(e, int(v))
}

pub fn greater_than(left: Expr, right: Expr) -> Expr {
    super::support::comparison(ComparisonOp::Greater, left, right)
}

pub fn equals(left: Expr, right: Expr) -> Expr {
    super::support::equal(left, right)
}

pub fn and(left: Expr, right: Expr) -> Expr {
    Expr::And(Box::new(left), Box::new(right))
}

pub fn plus(left: Expr, right: Expr) -> Expr {
    Expr::Arithmetic { op: ArithmeticOp::Add, left: Box::new(left), right: Box::new(right), try_arithmetic: false }
}

pub fn random_below(v: f64) -> Expr {
    let random = Expr::Function { function: ScalarFunction::Rand, args: vec![] };
    super::support::comparison(ComparisonOp::Less, random, Expr::Literal(Scalar::Double(v)))
}

pub fn named(e: Expr, name: &str) -> Expr {
    super::support::alias(e, name)
}

fn call(function: AggregateFunction, arg: Expr) -> Expr {
    Expr::Aggregate(Box::new(AggregateExpr { function, args: vec![arg], distinct: false, filter: None, id: ExprId::next() }))
}

pub fn sum(e: Expr) -> Expr {
    call(AggregateFunction::Sum, e)
}

pub fn count_star() -> Expr {
    call(AggregateFunction::Count, Expr::Literal(Scalar::Int(1)))
}

pub fn filtered(input: LogicalPlan, condition: Expr) -> LogicalPlan {
    LogicalPlan::Filter { condition, input: Box::new(input) }
}

pub fn inner_join(left: LogicalPlan, right: LogicalPlan, on: Expr) -> LogicalPlan {
    super::support::join(left, right, JoinType::Inner, vec![on])
}

pub fn grouped(grouping: Vec<Expr>, list: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Aggregate { grouping, list, input: Box::new(input) }
}

/// The plan after the rule, which must keep the output and find nothing to do a second time.
pub fn applied(apply: Apply, plan: LogicalPlan) -> LogicalPlan {
    let settings = Settings::new();
    let output = plan.output();
    let once = apply(plan, &settings).unwrap();
    assert_eq!(once.output(), output, "output changed");
    let twice = apply(once.clone(), &settings).unwrap();
    assert_eq!(twice, once, "not idempotent");
    once
}

pub fn assert_rewrites(apply: Apply, plan: LogicalPlan, expected: &LogicalPlan) {
    let after = applied(apply, plan);
    assert_eq!(&after, expected);
}

pub fn assert_unchanged(apply: Apply, plan: &LogicalPlan) {
    assert_eq!(&apply(plan.clone(), &Settings::new()).unwrap(), plan);
}

/// Plans without children, left to right.
pub fn leaves(plan: &LogicalPlan) -> Vec<&LogicalPlan> {
    let children = plan.children();
    if children.is_empty() { vec![plan] } else { children.into_iter().flat_map(leaves).collect() }
}

/// All joins, outermost first.
pub fn joins(plan: &LogicalPlan) -> Vec<&Join> {
    let own = match plan {
        LogicalPlan::Join(j) => Some(j),
        _ => None,
    };
    own.into_iter().chain(plan.children().into_iter().flat_map(joins)).collect()
}

pub fn relation_name(plan: &LogicalPlan) -> &str {
    match plan {
        LogicalPlan::Relation { name, .. } => name,
        other => panic!("{other:?} is not a table"),
    }
}
