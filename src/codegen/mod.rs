//! Floor 3: how CLIF is written, knowing expressions and runtime layouts but no operators.
//!
//! A stage is lowered by `operators` to [`pipeline::Pipeline`]s; [`pipeline::compile`] makes a function of each:
//!
//! | file | holds |
//! | --- | --- |
//! | `pipeline` | source loop, operator by operator (`produce` and `consume`) |
//! | `selection` | which rows of a block go on: the selection vector |
//! | `probe`, `aggregate` and `group`, `output` | join lookup, grouping, output buffers |
//! | `expr` and its families (`arithmetic`, `compare`, `cast`, `strings`, `function`) | expressions to values |
//! | `value`, `scope`, `emitter` | nullable values; where columns come from; control flow, hoisting, the error flag |
//! | `state` | the slots that generated code reads in place of addresses and constants |
//! | `module`, `cache`, `dump` | Cranelift's module, freeing, functions kept for later queries, annotated texts |
//! | `support`, `bounds` | what can be compiled; what cannot overflow |

pub mod aggregate;
pub mod arithmetic;
pub mod bounds;
pub mod cache;
pub mod cast;
pub mod compare;
pub mod dump;
pub mod emitter;
pub mod expr;
pub mod function;
pub mod group;
pub mod hash;
pub mod module;
pub mod output;
pub mod pipeline;
pub mod probe;
pub mod scope;
pub mod selection;
pub mod spark_hash;
pub mod state;
pub mod strings;
pub mod support;
pub mod value;

pub use module::{Code, Dump};
pub use pipeline::{Op, Pipeline, Sink, Source};
