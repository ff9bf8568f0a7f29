//! Plans of hand-built logical plans over tables that only have a schema and a size.

mod aggregation;
mod basics;
mod explain;
mod join_selection;
mod requirements;
mod rules;
mod worked_examples;

use std::sync::Arc;

use crate::base::{Attribute, DataType, Error, ExprId, Field, Result, Scalar, Schema, Settings};
use crate::datasource::{ScanPartition, ScanRequest, TableSource, TableStatistics};
use crate::expr::{AggregateExpr, AggregateFunction, ComparisonOp, Expr, SortOrder};
use crate::logical::{BoundQuery, Join, JoinHint, JoinType, LogicalPlan, RepartitionKind};
use crate::operators::{Operator, SparkPlan};
use crate::planning::{PhysicalQuery, plan, preparations, validate};

/// A table without rows.
#[derive(Debug)]
struct TestSource {
    schema: Schema,
    partition_columns: usize,
    statistics: TableStatistics,
}

impl TableSource for TestSource {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partition_columns(&self) -> usize {
        self.partition_columns
    }

    fn format(&self) -> &'static str {
        "parquet"
    }

    fn location(&self) -> String {
        "InMemoryFileIndex(1 paths)[file:/t]".into()
    }

    fn statistics(&self) -> &TableStatistics {
        &self.statistics
    }

    fn supports_pushdown(&self) -> bool {
        true
    }

    fn plan_scan(&self, _: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        Err(Error::internal("a test table has no rows"))
    }
}

pub const MIB: u64 = 1 << 20;

/// A relation and its columns by name.
#[derive(Clone)]
pub struct Table {
    pub plan: LogicalPlan,
}

impl Table {
    /// The last `partition_columns` columns are partition columns. `size` in bytes.
    pub fn new(name: &str, columns: &[(&str, DataType)], partition_columns: usize, size: u64) -> Self {
        let schema = Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect());
        let output = schema.fields.iter().map(|f| Attribute::new(f.name.clone(), f.data_type.clone(), true)).collect();
        let statistics = TableStatistics { size_bytes: size, ..TableStatistics::default() };
        let source = Arc::new(TestSource { schema, partition_columns, statistics });
        Self { plan: LogicalPlan::Relation { name: name.into(), source, output } }
    }

    /// Columns `k`, `v` (ints) and `s` (a string).
    pub fn kvs(name: &str, size: u64) -> Self {
        Self::new(name, &[("k", DataType::Int), ("v", DataType::Int), ("s", DataType::String)], 0, size)
    }

    /// The same table again, under other ids.
    pub fn again(&self) -> Self {
        match &self.plan {
            LogicalPlan::Relation { name, source, output } => Self {
                plan: LogicalPlan::Relation {
                    name: name.clone(),
                    source: source.clone(),
                    output: output.iter().map(Attribute::fresh).collect(),
                },
            },
            _ => unreachable!(),
        }
    }

    pub fn attribute(&self, name: &str) -> Attribute {
        self.plan.output().into_iter().find(|a| a.name.as_ref() == name).unwrap()
    }

    pub fn col(&self, name: &str) -> Expr {
        Expr::Attribute(self.attribute(name))
    }
}

pub fn int(v: i32) -> Expr {
    Expr::Literal(Scalar::Int(v))
}

pub fn compare(op: ComparisonOp, l: Expr, r: Expr) -> Expr {
    Expr::Comparison { op, left: Box::new(l), right: Box::new(r) }
}

pub fn eq(l: Expr, r: Expr) -> Expr {
    compare(ComparisonOp::Equal, l, r)
}

pub fn gt(l: Expr, r: Expr) -> Expr {
    compare(ComparisonOp::Greater, l, r)
}

pub fn not_null(e: Expr) -> Expr {
    Expr::IsNotNull(Box::new(e))
}

pub fn all(conjuncts: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::conjunction(conjuncts).unwrap()
}

pub fn alias(e: Expr, name: &str) -> Expr {
    Expr::Alias { expr: Box::new(e), name: name.into(), id: ExprId::next() }
}

pub fn call(function: AggregateFunction, arg: Expr, distinct: bool) -> Expr {
    Expr::Aggregate(Box::new(AggregateExpr { function, args: vec![arg], distinct, filter: None, id: ExprId::next() }))
}

pub fn sum(arg: Expr) -> Expr {
    call(AggregateFunction::Sum, arg, false)
}

pub fn project(list: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Project { list, input: Box::new(input) }
}

pub fn filter(condition: Expr, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Filter { condition, input: Box::new(input) }
}

pub fn aggregate(grouping: Vec<Expr>, list: Vec<Expr>, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Aggregate { grouping, list, input: Box::new(input) }
}

pub fn sort(keys: Vec<Expr>, global: bool, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Sort { order: keys.into_iter().map(SortOrder::ascending).collect(), global, input: Box::new(input) }
}

pub fn limit(limit: u64, offset: u64, input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Limit { limit: Some(limit), offset, input: Box::new(input) }
}

pub fn join(left: LogicalPlan, right: LogicalPlan, join_type: JoinType, condition: Option<Expr>) -> LogicalPlan {
    LogicalPlan::Join(Join { left: Box::new(left), right: Box::new(right), join_type, condition, hint: JoinHint::default() })
}

/// Spark's defaults, with changes.
pub fn cluster(changes: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new();
    settings.set("planner.profile", "cluster").unwrap();
    // Texts are cut where ids make them too long, and ids differ from run to run.
    settings.set("sql.maxMetadataStringLength", "10000").unwrap();
    for (key, value) in changes {
        settings.set(key, value).unwrap();
    }
    settings
}

pub fn planned(logical: LogicalPlan, settings: &Settings) -> PhysicalQuery {
    let query = plan(BoundQuery { plan: logical, subqueries: vec![] }, settings).unwrap();
    validate::validate(&query.executed_plan, settings, true).unwrap();
    query
}

/// The executed plan as EXPLAIN draws it, ids renumbered from 1 in order of appearance.
pub fn explained(logical: LogicalPlan, settings: &Settings) -> String {
    let query = planned(logical, settings);
    normalise(&super::explain::tree_string(&query.executed_plan, Some(&query), settings))
}

/// The operators' names, a line each, indented by depth.
pub fn shape(logical: LogicalPlan, settings: &Settings) -> String {
    outline(&planned(logical, settings).executed_plan)
}

pub fn outline(plan: &Arc<SparkPlan>) -> String {
    fn go(plan: &Arc<SparkPlan>, depth: usize, out: &mut String) {
        let wrapper = matches!(plan.operator, Operator::WholeStageCodegen(_) | Operator::InputAdapter);
        if !wrapper {
            out.push_str(&format!("{}{}\n", " ".repeat(depth), plan.name()));
        }
        plan.children.iter().for_each(|c| go(c, depth + usize::from(!wrapper), out));
    }
    let mut out = String::new();
    go(plan, 0, &mut out);
    out
}

/// A single preparation, by name.
pub fn apply(rule: &str, plan: &Arc<SparkPlan>, settings: &Settings) -> Arc<SparkPlan> {
    let (_, rule) = preparations::PREPARATIONS.iter().find(|(name, _)| *name == rule).unwrap();
    rule(plan.clone(), settings).unwrap()
}

/// `#17L` and `plan_id=40` renumbered by first appearance.
pub fn normalise(text: &str) -> String {
    let mut seen: Vec<String> = vec![];
    let pattern = regex::Regex::new(r"(#|plan_id=)(\d+)").unwrap();
    let renumbered = pattern.replace_all(text, |found: &regex::Captures| {
        let key = format!("{}{}", &found[1], &found[2]);
        if !seen.contains(&key) {
            seen.push(key.clone());
        }
        let of_kind: Vec<_> = seen.iter().filter(|k| k.starts_with(&found[1])).collect();
        format!("{}{}", &found[1], of_kind.iter().position(|k| **k == key).unwrap() + 1)
    });
    renumbered.into_owned()
}

#[track_caller]
pub fn assert_lines(actual: &str, expected: &str) {
    let expected: Vec<&str> = expected.trim_matches('\n').lines().collect();
    let indent = expected.iter().filter(|l| !l.trim().is_empty()).map(|l| l.len() - l.trim_start().len()).min().unwrap_or(0);
    let expected: Vec<&str> = expected.iter().map(|l| l.get(indent..).unwrap_or("").trim_end()).collect();
    let expected = expected.join("\n");
    let actual: Vec<&str> = actual.trim_end().lines().map(str::trim_end).collect();
    let actual = actual.join("\n");
    assert_eq!(actual, expected.trim_end(), "\nactual:\n{actual}");
}
