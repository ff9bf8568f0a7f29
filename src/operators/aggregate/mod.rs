//! HashAggregate, ObjectHashAggregate and SortAggregate: one payload, one core; the kind says which is planned and shown.
//!
//! Without grouping keys there is one group even on empty input (in Final and Complete mode, and one buffer row per task in
//! Partial mode); with keys, empty input gives no rows. NULL keys form a group. Float keys are normalised by the planner.

mod interpret;

use crate::base::Attribute;
use crate::expr::{AggregateExpr, Expr};

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
#[derive(Debug, Clone)]
pub struct AggregateCall {
    pub expr: AggregateExpr,
    pub mode: AggregateMode,
    /// The buffer columns: output of Partial and PartialMerge, input of PartialMerge and Final (found in the child by id).
    pub buffers: Vec<Attribute>,
    /// The result column, by which `result` of a Final or Complete aggregate refers to it.
    pub result: Attribute,
}

#[derive(Debug, Clone)]
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
