//! Floor 1: what running queries stand on, knowing nothing of plans.
//!
//! Everything that generated code touches has its layout here, once: the view of a batch, strings in registers, packed rows,
//! the aggregation and join tables, output builders, and the one table of functions that generated code may call.

pub mod aggregate_table;
pub mod allocator;
pub mod arena;
pub mod batch;
pub mod bloom;
pub mod buffers;
pub mod hash;
pub mod hyper_log_log;
pub mod join_build;
pub mod join_table;
pub mod like;
pub mod murmur3;
pub mod output;
pub mod pack;
pub mod pages;
pub mod row;
pub mod search;
pub mod select;
pub mod string;
pub mod symbols;

pub use aggregate_table::AggregateTable;
pub use batch::{BatchView, ColumnView, Input};
pub use join_table::{Form, JoinTable};
pub use output::{Output, OutputColumn};
pub use row::{FieldKind, RowLayout};
pub use string::StrRef;

/// What a pipeline function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Status {
    /// All rows were consumed.
    Done = 0,
    /// A row failed (overflow, division by zero, …); the interpreter finds out how.
    Error = 1,
    /// No more rows are wanted (LIMIT, or the query was cancelled).
    Stop = 2,
}

impl Status {
    /// The status behind a returned number.
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Status::Done,
            2 => Status::Stop,
            _ => Status::Error,
        }
    }
}
