//! Logical plan nodes.
//!
//! A subquery that depends on the rows around it, or that answers a question about them, is an [`Apply`] node:
//! "for each row of the input, the answer of the subquery as one more column". The optimizer turns every `Apply` into
//! joins. An uncorrelated scalar subquery is a query of its own: the expression holds its id, [`BoundQuery`] its plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::InMemoryRelation;
use crate::base::warning::warn;
use crate::base::{Attribute, ExprId, Result, Scalar};
use crate::datasource::TableSource;
use crate::expr::{Expr, GroupLimit, SortOrder, SubqueryId, traverse::map_orders};

/// A statement's query with its uncorrelated scalar subqueries, innermost first.
#[derive(Debug, Clone)]
pub struct BoundQuery {
    pub plan: LogicalPlan,
    pub subqueries: Vec<(SubqueryId, LogicalPlan)>,
}

/// A relational operator over its inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum LogicalPlan {
    /// A table of the catalog. `output` lists all its columns in table order (the optimizer narrows it).
    Relation {
        name: Arc<str>,
        source: Arc<dyn TableSource>,
        output: Vec<Attribute>,
    },
    /// The rows of a cached query.
    InMemoryRelation(InMemoryRelation),
    /// Literal rows.
    LocalRelation {
        output: Vec<Attribute>,
        rows: Vec<Vec<Scalar>>,
    },
    /// One row without columns: `SELECT 1`.
    OneRowRelation,
    /// `range(start, end, step)`; one bigint column.
    Range {
        start: i64,
        end: i64,
        step: i64,
        partitions: Option<usize>,
        output: Attribute,
    },
    /// Each expression is an `Attribute` or an `Alias`.
    Project {
        list: Vec<Expr>,
        input: Box<LogicalPlan>,
    },
    /// Keeps rows for which the condition is true.
    Filter {
        condition: Expr,
        input: Box<LogicalPlan>,
    },
    Join(Join),
    /// Answers a subquery for each row of the input.
    Apply(Apply),
    /// Groups by `grouping` (none: one group, also on empty input). `list` is the output: `Attribute`s and `Alias`es over grouping
    /// expressions and aggregate calls.
    Aggregate {
        grouping: Vec<Expr>,
        list: Vec<Expr>,
        input: Box<LogicalPlan>,
    },
    /// Adds one column per window call; `calls` are `Alias`es of `Expr::Window` that share partitioning and ordering.
    Window {
        calls: Vec<Expr>,
        partition_by: Vec<Expr>,
        order_by: Vec<SortOrder>,
        input: Box<LogicalPlan>,
    },
    /// Drops rows that a filter above a Window will drop anyway.
    WindowGroupLimit {
        group: GroupLimit,
        input: Box<LogicalPlan>,
    },
    /// Advice on how to join these rows.
    Hint {
        strategy: JoinHintStrategy,
        input: Box<LogicalPlan>,
    },
    /// `global`: over all rows; else within each partition (SORT BY).
    Sort {
        order: Vec<SortOrder>,
        global: bool,
        input: Box<LogicalPlan>,
    },
    /// Skips `offset` rows, then passes at most `limit` (all when absent).
    Limit {
        limit: Option<u64>,
        offset: u64,
        input: Box<LogicalPlan>,
    },
    /// UNION ALL; columns by position, `output` has the common types.
    Union {
        inputs: Vec<LogicalPlan>,
        output: Vec<Attribute>,
    },
    Distinct {
        input: Box<LogicalPlan>,
    },
    /// INTERSECT or EXCEPT, of sets or (`all`) of bags. Output is the left side's.
    SetOperation {
        operation: SetOperation,
        all: bool,
        left: Box<LogicalPlan>,
        right: Box<LogicalPlan>,
    },
    /// One output row per projection for each input row (grouping sets).
    Expand {
        projections: Vec<Vec<Expr>>,
        output: Vec<Attribute>,
        input: Box<LogicalPlan>,
    },
    /// One output row per element that `generator` yields; `outer` keeps rows for which it yields none.
    Generate {
        generator: Expr,
        outer: bool,
        /// Columns of the input that are not passed on.
        dropped: Vec<ExprId>,
        output: Vec<Attribute>,
        input: Box<LogicalPlan>,
    },
    /// Bernoulli sample of rows with a random number in `[lower, upper)`, or Poisson with replacement.
    Sample {
        lower: f64,
        upper: f64,
        with_replacement: bool,
        seed: u64,
        input: Box<LogicalPlan>,
    },
    /// `REPARTITION(n, by)`; by nothing is round-robin.
    Repartition {
        partitions: Option<usize>,
        by: Vec<SortOrder>,
        kind: RepartitionKind,
        input: Box<LogicalPlan>,
    },
    /// Fewer partitions without a shuffle.
    Coalesce {
        partitions: usize,
        input: Box<LogicalPlan>,
    },
}

/// How a repartition deals out its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepartitionKind {
    /// By the hash of its columns.
    Hash,
    /// By ranges of its order.
    Range,
    /// By hash, into partitions that may be merged and split afterwards to be of about the same size.
    Rebalance,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub left: Box<LogicalPlan>,
    pub right: Box<LogicalPlan>,
    pub join_type: JoinType,
    pub condition: Option<Expr>,
    pub hint: JoinHint,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JoinType {
    Inner,
    Cross,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftSemi,
    LeftAnti,
    /// `NOT IN` over one key: nothing when the right side has a NULL key; a NULL left key passes only if the right side is empty.
    NullAwareAnti,
    /// Every left row with a boolean column: does a match exist?
    Existence(Attribute),
    /// Every left row with its only match, or NULLs; more than one match is an error.
    LeftSingle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinHintStrategy {
    Broadcast,
    Merge,
    ShuffleHash,
    ShuffleReplicateNl,
}

impl JoinHintStrategy {
    /// By any of the names that Spark knows, without regard to case.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "BROADCAST" | "BROADCASTJOIN" | "MAPJOIN" => Self::Broadcast,
            "MERGE" | "SHUFFLE_MERGE" | "MERGEJOIN" => Self::Merge,
            "SHUFFLE_HASH" => Self::ShuffleHash,
            "SHUFFLE_REPLICATE_NL" => Self::ShuffleReplicateNl,
            _ => return None,
        })
    }

    /// Of two hints on the same rows this one, with a warning where the other one differs.
    pub fn over(self, other: Self) -> Self {
        if self != other {
            warn(format!("Hint ({other}) is overridden by another hint and will not take effect."));
        }
        self
    }
}

/// Hints of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct JoinHint {
    pub left: Option<JoinHintStrategy>,
    pub right: Option<JoinHintStrategy>,
}

/// A dependent join. The subquery may use attributes of `input` (those in `outer`) anywhere inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Apply {
    pub input: Box<LogicalPlan>,
    pub subquery: Box<LogicalPlan>,
    pub kind: SubqueryKind,
    /// Attributes of `input` that the subquery uses; empty when it is uncorrelated.
    pub outer: Vec<Attribute>,
}

/// What the column added by an [`Apply`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubqueryKind {
    /// The value of the subquery's one row, NULL for none, an error for more than one.
    Scalar(Attribute),
    /// Whether the subquery has a row.
    Exists(Attribute),
    /// `values IN (subquery)`, three-valued; values over the input, as many as the subquery has columns, of the same types.
    In { values: Vec<Expr>, output: Attribute },
}

impl SubqueryKind {
    /// The column that the apply adds.
    pub fn output(&self) -> &Attribute {
        match self {
            SubqueryKind::Scalar(a) | SubqueryKind::Exists(a) | SubqueryKind::In { output: a, .. } => a,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetOperation {
    Intersect,
    Except,
}

impl BoundQuery {
    /// The query over other rows of a table; `None` where it does not read the table.
    ///
    /// # Errors
    /// None of its own.
    pub fn with_source(&self, old: &Arc<dyn TableSource>, new: &Arc<dyn TableSource>) -> Result<Option<Self>> {
        let mut found = false;
        let mut replaced = |plan: &LogicalPlan| {
            plan.clone().transform_up(&mut |node| {
                Ok(match node {
                    LogicalPlan::Relation { name, source, output } if Arc::ptr_eq(&source, old) => {
                        found = true;
                        LogicalPlan::Relation { name, source: new.clone(), output }
                    }
                    other => other,
                })
            })
        };
        let plan = replaced(&self.plan)?;
        let subqueries = self.subqueries.iter().map(|(id, plan)| Ok((*id, replaced(plan)?))).collect::<Result<_>>()?;
        Ok(found.then_some(Self { plan, subqueries }))
    }
}

impl From<LogicalPlan> for BoundQuery {
    /// A query without scalar subqueries.
    fn from(plan: LogicalPlan) -> Self {
        Self { plan, subqueries: vec![] }
    }
}

impl JoinType {
    /// Whether the output has the right side's columns.
    pub fn keeps_right(&self) -> bool {
        !matches!(self, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::NullAwareAnti | JoinType::Existence(_))
    }

    pub fn is_inner(&self) -> bool {
        matches!(self, JoinType::Inner | JoinType::Cross)
    }
}

/// Output of a join of that type over children with these outputs; shared with the physical joins.
pub fn join_output(join_type: &JoinType, left: &[Attribute], right: &[Attribute]) -> Vec<Attribute> {
    let nullable = |side: &[Attribute]| side.iter().map(|a| a.clone().with_nullable(true)).collect::<Vec<_>>();
    match join_type {
        JoinType::Inner | JoinType::Cross => [left, right].concat(),
        JoinType::LeftOuter | JoinType::LeftSingle => [left.to_vec(), nullable(right)].concat(),
        JoinType::RightOuter => [nullable(left), right.to_vec()].concat(),
        JoinType::FullOuter => [nullable(left), nullable(right)].concat(),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::NullAwareAnti => left.to_vec(),
        JoinType::Existence(a) => [left, std::slice::from_ref(a)].concat(),
    }
}

impl LogicalPlan {
    /// A mention of a table: all its columns, under fresh ids.
    pub fn relation(name: &str, source: Arc<dyn TableSource>) -> Self {
        let output = source.schema().fields.iter().map(|f| Attribute::new(f.name.clone(), f.data_type.clone(), f.nullable)).collect();
        LogicalPlan::Relation { name: name.into(), source, output }
    }

    /// The columns of the result.
    pub fn output(&self) -> Vec<Attribute> {
        match self {
            LogicalPlan::Relation { output, .. }
            | LogicalPlan::LocalRelation { output, .. }
            | LogicalPlan::Union { output, .. }
            | LogicalPlan::Expand { output, .. } => output.clone(),
            LogicalPlan::InMemoryRelation(r) => r.output.clone(),
            LogicalPlan::OneRowRelation => vec![],
            LogicalPlan::Range { output, .. } => vec![output.clone()],
            LogicalPlan::Project { list, .. } | LogicalPlan::Aggregate { list, .. } => list.iter().map(Expr::to_attribute).collect(),
            LogicalPlan::Join(j) => join_output(&j.join_type, &j.left.output(), &j.right.output()),
            LogicalPlan::Apply(a) => [a.input.output(), vec![a.kind.output().clone()]].concat(),
            LogicalPlan::Window { calls, input, .. } => [input.output(), calls.iter().map(Expr::to_attribute).collect()].concat(),
            LogicalPlan::Generate { dropped, output, input, .. } => {
                input.output().into_iter().filter(|a| !dropped.contains(&a.id)).chain(output.iter().cloned()).collect()
            }
            LogicalPlan::SetOperation { left, .. } => left.output(),
            LogicalPlan::Filter { input, .. }
            | LogicalPlan::WindowGroupLimit { input, .. }
            | LogicalPlan::Hint { input, .. }
            | LogicalPlan::Sort { input, .. }
            | LogicalPlan::Limit { input, .. }
            | LogicalPlan::Distinct { input }
            | LogicalPlan::Sample { input, .. }
            | LogicalPlan::Repartition { input, .. }
            | LogicalPlan::Coalesce { input, .. } => input.output(),
        }
    }

    /// Ids of the output columns.
    pub fn output_set(&self) -> BTreeSet<ExprId> {
        self.output().iter().map(|a| a.id).collect()
    }

    pub fn children(&self) -> Vec<&LogicalPlan> {
        match self {
            LogicalPlan::Relation { .. }
            | LogicalPlan::InMemoryRelation(_)
            | LogicalPlan::LocalRelation { .. }
            | LogicalPlan::OneRowRelation
            | LogicalPlan::Range { .. } => vec![],
            LogicalPlan::Join(j) => vec![&j.left, &j.right],
            LogicalPlan::Apply(a) => vec![&a.input, &a.subquery],
            LogicalPlan::SetOperation { left, right, .. } => vec![left, right],
            LogicalPlan::Union { inputs, .. } => inputs.iter().collect(),
            LogicalPlan::Project { input, .. }
            | LogicalPlan::Filter { input, .. }
            | LogicalPlan::Aggregate { input, .. }
            | LogicalPlan::Window { input, .. }
            | LogicalPlan::WindowGroupLimit { input, .. }
            | LogicalPlan::Hint { input, .. }
            | LogicalPlan::Sort { input, .. }
            | LogicalPlan::Limit { input, .. }
            | LogicalPlan::Distinct { input }
            | LogicalPlan::Expand { input, .. }
            | LogicalPlan::Generate { input, .. }
            | LogicalPlan::Sample { input, .. }
            | LogicalPlan::Repartition { input, .. }
            | LogicalPlan::Coalesce { input, .. } => vec![input],
        }
    }

    /// The same node with `f` applied to each child.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map_children(self, f: &mut dyn FnMut(LogicalPlan) -> Result<LogicalPlan>) -> Result<LogicalPlan> {
        use LogicalPlan::*;
        let mut go = |p: Box<LogicalPlan>| -> Result<Box<LogicalPlan>> { Ok(Box::new(f(*p)?)) };
        Ok(match self {
            leaf @ (Relation { .. } | InMemoryRelation(_) | LocalRelation { .. } | OneRowRelation | Range { .. }) => leaf,
            Project { list, input } => Project { list, input: go(input)? },
            Filter { condition, input } => Filter { condition, input: go(input)? },
            Join(j) => Join(self::Join { left: go(j.left)?, right: go(j.right)?, ..j }),
            Apply(a) => Apply(self::Apply { input: go(a.input)?, subquery: go(a.subquery)?, ..a }),
            Aggregate { grouping, list, input } => Aggregate { grouping, list, input: go(input)? },
            Window { calls, partition_by, order_by, input } => Window { calls, partition_by, order_by, input: go(input)? },
            WindowGroupLimit { group, input } => WindowGroupLimit { group, input: go(input)? },
            Hint { strategy, input } => Hint { strategy, input: go(input)? },
            Sort { order, global, input } => Sort { order, global, input: go(input)? },
            Limit { limit, offset, input } => Limit { limit, offset, input: go(input)? },
            Union { inputs, output } => Union { inputs: inputs.into_iter().map(f).collect::<Result<_>>()?, output },
            Distinct { input } => Distinct { input: go(input)? },
            SetOperation { operation, all, left, right } => SetOperation { operation, all, left: go(left)?, right: go(right)? },
            Expand { projections, output, input } => Expand { projections, output, input: go(input)? },
            Generate { generator, outer, dropped, output, input } => Generate { generator, outer, dropped, output, input: go(input)? },
            Sample { lower, upper, with_replacement, seed, input } => Sample { lower, upper, with_replacement, seed, input: go(input)? },
            Repartition { partitions, by, kind, input } => Repartition { partitions, by, kind, input: go(input)? },
            Coalesce { partitions, input } => Coalesce { partitions, input: go(input)? },
        })
    }

    /// Rebuilds bottom-up.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn transform_up(self, f: &mut dyn FnMut(LogicalPlan) -> Result<LogicalPlan>) -> Result<LogicalPlan> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let node = self.map_children(&mut |c| c.transform_up(f))?;
            f(node)
        })
    }

    /// Rebuilds top-down: the node first, then the children of what it became.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn transform_down(self, f: &mut dyn FnMut(LogicalPlan) -> Result<LogicalPlan>) -> Result<LogicalPlan> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || f(self)?.map_children(&mut |c| c.transform_down(f)))
    }

    /// The expressions of this node alone.
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            LogicalPlan::Project { list, .. } => list.iter().collect(),
            LogicalPlan::Filter { condition, .. } => vec![condition],
            LogicalPlan::Join(j) => j.condition.iter().collect(),
            LogicalPlan::Apply(a) => match &a.kind {
                SubqueryKind::In { values, .. } => values.iter().collect(),
                SubqueryKind::Scalar(_) | SubqueryKind::Exists(_) => vec![],
            },
            LogicalPlan::Aggregate { grouping, list, .. } => grouping.iter().chain(list).collect(),
            LogicalPlan::Window { calls, partition_by, order_by, .. } => {
                calls.iter().chain(partition_by).chain(order_by.iter().map(|o| &o.expr)).collect()
            }
            LogicalPlan::WindowGroupLimit { group, .. } => group.expressions(),
            LogicalPlan::Sort { order, .. } => order.iter().map(|o| &o.expr).collect(),
            LogicalPlan::Repartition { by, .. } => by.iter().map(|o| &o.expr).collect(),
            LogicalPlan::Expand { projections, .. } => projections.iter().flatten().collect(),
            LogicalPlan::Generate { generator, .. } => vec![generator],
            LogicalPlan::Relation { .. }
            | LogicalPlan::InMemoryRelation(_)
            | LogicalPlan::LocalRelation { .. }
            | LogicalPlan::OneRowRelation
            | LogicalPlan::Range { .. }
            | LogicalPlan::Hint { .. }
            | LogicalPlan::Limit { .. }
            | LogicalPlan::Union { .. }
            | LogicalPlan::Distinct { .. }
            | LogicalPlan::SetOperation { .. }
            | LogicalPlan::Sample { .. }
            | LogicalPlan::Coalesce { .. } => vec![],
        }
    }

    /// The same node with `f` applied to each of its own expressions (roots only; use `Expr::transform_up` inside).
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<LogicalPlan> {
        use LogicalPlan::*;
        Ok(match self {
            Project { list, input } => Project { list: map_list(list, f)?, input },
            Filter { condition, input } => Filter { condition: f(condition)?, input },
            Join(j) => Join(self::Join { condition: j.condition.map(f).transpose()?, ..j }),
            Apply(a) => Apply(self::Apply {
                kind: match a.kind {
                    SubqueryKind::In { values, output } => SubqueryKind::In { values: map_list(values, f)?, output },
                    kind @ (SubqueryKind::Scalar(_) | SubqueryKind::Exists(_)) => kind,
                },
                ..a
            }),
            Aggregate { grouping, list, input } => Aggregate { grouping: map_list(grouping, f)?, list: map_list(list, f)?, input },
            Window { calls, partition_by, order_by, input } => {
                Window { calls: map_list(calls, f)?, partition_by: map_list(partition_by, f)?, order_by: map_orders(order_by, f)?, input }
            }
            WindowGroupLimit { group, input } => WindowGroupLimit { group: group.map_expressions(f)?, input },
            Sort { order, global, input } => Sort { order: map_orders(order, f)?, global, input },
            Repartition { partitions, by, kind, input } => Repartition { partitions, by: map_orders(by, f)?, kind, input },
            Expand { projections, output, input } => {
                Expand { projections: projections.into_iter().map(|p| map_list(p, f)).collect::<Result<_>>()?, output, input }
            }
            Generate { generator, outer, dropped, output, input } => Generate { generator: f(generator)?, outer, dropped, output, input },
            same @ (Relation { .. }
            | InMemoryRelation(_)
            | LocalRelation { .. }
            | OneRowRelation
            | Range { .. }
            | Hint { .. }
            | Limit { .. }
            | Union { .. }
            | Distinct { .. }
            | SetOperation { .. }
            | Sample { .. }
            | Coalesce { .. }) => same,
        })
    }
}

fn map_list(list: Vec<Expr>, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Vec<Expr>> {
    list.into_iter().map(f).collect()
}
