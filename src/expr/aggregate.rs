//! Aggregate functions, described as buffer columns so that neither engine has code per function.
//!
//! A function is a list of buffers, each with an initial value, one primitive update over an input expression, one primitive
//! merge of two buffer values, and one expression over the buffers that gives the result. The primitives ([`Accumulate`])
//! are a closed set that both engines implement once; a new aggregate is a new entry of [`describe`].

use std::sync::Arc;

use super::Expr;
use crate::base::{Attribute, DataType, ExprId, Scalar};

/// An aggregate call. Two calls with equal function, arguments, DISTINCT and FILTER compute the same, whatever their `id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AggregateExpr {
    pub function: AggregateFunction,
    pub args: Vec<Expr>,
    pub distinct: bool,
    /// Rows for which this is not true are not seen (`FILTER (WHERE …)`).
    pub filter: Option<Box<Expr>>,
    /// Identity of the result column in a physical aggregate.
    pub id: ExprId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(a, b, …)`: rows in which no argument is NULL; `count(*)` is `count(1)`.
    Count,
    Sum,
    Avg,
    Min,
    Max,
    /// First value, NULLs included.
    First,
    /// First value that is not NULL.
    FirstIgnoreNulls,
    Last,
    LastIgnoreNulls,
    BoolAnd,
    BoolOr,
    StddevSamp,
    StddevPop,
    VarSamp,
    VarPop,
    CollectList,
    CollectSet,
}

/// Update (of a buffer by an input value) and merge (of two buffer values). NULL inputs change nothing unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accumulate {
    /// Adds; overflow of the buffer's type is an error. A NULL buffer takes the first value.
    Sum,
    /// Adds 1 for each input that is not NULL. The buffer is a bigint, never NULL.
    Count,
    Min,
    Max,
    /// Takes the first input even if NULL. The buffer following it says whether one was seen (see [`describe`]).
    First,
    FirstIgnoreNulls,
    Last,
    LastIgnoreNulls,
    /// Appends to an array.
    CollectList,
    /// Appends to an array unless there.
    CollectSet,
    /// Concatenates arrays (merge of [`Accumulate::CollectList`]).
    ConcatList,
    /// Union of arrays (merge of [`Accumulate::CollectSet`]).
    ConcatSet,
}

/// One buffer column of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// Name and type in the output of a partial aggregate.
    pub name: Arc<str>,
    pub data_type: DataType,
    pub nullable: bool,
    pub init: Scalar,
    pub update: Accumulate,
    /// What is fed to `update`, over the aggregate's input; already of the buffer's type where `update` needs it.
    pub input: Expr,
    pub merge: Accumulate,
}

/// An aggregate call as buffers and a result.
#[derive(Debug, Clone)]
pub struct Description {
    pub buffers: Vec<Buffer>,
    /// The attributes by which `finish` refers to the buffers, in order.
    pub attributes: Vec<Attribute>,
    /// The result over `attributes`.
    pub finish: Expr,
}
