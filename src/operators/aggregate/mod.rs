//! HashAggregate, ObjectHashAggregate and SortAggregate: one payload, one core; the kind says which is planned and shown.
//!
//! Without grouping keys there is one group even on empty input (in Final and Complete mode, and one buffer row per task in
//! Partial mode); with keys, empty input gives no rows. NULL keys form a group. Float keys are normalised by the planner.

mod accumulators;
mod bitmap;
mod bloom;
pub mod distinct_count;
mod gather;
mod group_keys;
mod interpret;
mod key_columns;
mod lower;
mod min_max;
pub mod moments;
#[cfg(test)]
mod tests;

use crate::base::{Attribute, Result};
use crate::expr::{AggregateExpr, Expr, SortOrder};

use super::SparkPlan;
use super::plan::map_list;
use super::properties::{Distribution, Partitioning, ProvidedOrder, project_ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateKind {
    Hash,
    ObjectHash,
    Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateMode {
    /// Input rows to buffers.
    Partial,
    /// Buffers to buffers.
    PartialMerge,
    /// Buffers to results.
    Final,
    /// Input rows to results.
    Complete,
}

/// An aggregate function in a physical aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// Its `distinct` is there to be shown: the planner has already made the rows that reach it distinct.
    pub expr: AggregateExpr,
    pub mode: AggregateMode,
    /// The buffer columns: output of Partial and PartialMerge, input of PartialMerge and Final (found in the child by id).
    pub buffers: Vec<Attribute>,
    /// The result column, by which `result` of a Final or Complete aggregate refers to it.
    pub result: Attribute,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    pub kind: AggregateKind,
    /// `Attribute`s and `Alias`es over the child; the output keys are their attributes.
    pub grouping: Vec<Expr>,
    pub calls: Vec<AggregateCall>,
    /// Output: for Partial and PartialMerge the key attributes and all buffers; for Final and Complete `Attribute`s and
    /// `Alias`es over key attributes and call results.
    pub result: Vec<Expr>,
    /// `None`: no requirement (Partial). `Some([])`: all rows together. `Some(keys)`: clustered by these.
    pub required_distribution: Option<Vec<Expr>>,
}

impl Aggregate {
    /// Spark's node name.
    pub fn name(&self) -> &'static str {
        match self.kind {
            AggregateKind::Hash => "HashAggregate",
            AggregateKind::ObjectHash => "ObjectHashAggregate",
            AggregateKind::Sort => "SortAggregate",
        }
    }

    /// The output attributes of the keys.
    pub fn keys(&self) -> Vec<Attribute> {
        self.grouping.iter().map(Expr::to_attribute).collect()
    }

    pub fn output(&self) -> Vec<Attribute> {
        self.result.iter().map(Expr::to_attribute).collect()
    }

    /// What is evaluated over the child's columns or over the keys and results; the arguments of merging calls are not.
    pub fn expressions(&self) -> Vec<&Expr> {
        let fed = self.calls.iter().filter(|c| c.mode.reads_rows()).flat_map(|c| c.expr.children());
        self.grouping.iter().chain(fed).chain(&self.result).collect()
    }

    pub fn required_distribution(&self) -> Distribution {
        match &self.required_distribution {
            None => Distribution::Unspecified,
            Some(keys) => Distribution::clustered(keys),
        }
    }

    /// Only the sorting kind needs its groups together.
    pub fn required_ordering(&self) -> Vec<SortOrder> {
        match self.kind {
            AggregateKind::Sort => self.grouping.iter().map(|g| SortOrder::ascending(g.unaliased().clone())).collect(),
            AggregateKind::Hash | AggregateKind::ObjectHash => vec![],
        }
    }

    /// That of the child where its expressions are among the results.
    pub fn output_partitioning(&self, child: &SparkPlan) -> Partitioning {
        child.output_partitioning().project(&self.result)
    }

    /// Groups come out in key order where the input came in it.
    pub fn output_ordering(&self) -> Vec<ProvidedOrder> {
        project_ordering(self.required_ordering().into_iter().map(ProvidedOrder::from).collect(), &self.result)
    }

    /// # Errors
    /// Those of `f`.
    pub fn map_expressions(self, f: &mut dyn FnMut(Expr) -> Result<Expr>) -> Result<Self> {
        Ok(Self {
            grouping: map_list(self.grouping, f)?,
            calls: self.calls.into_iter().map(|c| Ok(AggregateCall { expr: c.expr.map_children(f)?, ..c })).collect::<Result<_>>()?,
            result: map_list(self.result, f)?,
            required_distribution: self.required_distribution.map(|d| map_list(d, f)).transpose()?,
            ..self
        })
    }
}

impl AggregateMode {
    /// Whether the mode consumes input rows rather than buffers.
    pub fn reads_rows(self) -> bool {
        matches!(self, AggregateMode::Partial | AggregateMode::Complete)
    }

    /// Whether the mode yields results rather than buffers.
    pub fn gives_results(self) -> bool {
        matches!(self, AggregateMode::Final | AggregateMode::Complete)
    }
}
