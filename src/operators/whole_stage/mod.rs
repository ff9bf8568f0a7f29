//! WholeStageCodegen: the operators below it, down to the stage's inputs, compiled into one loop per pipeline.
//!
//! | file | holds |
//! | --- | --- |
//! | `support` | which operators may be in a stage |
//! | `facts` | what is known of a region's input |
//! | `region` | operators to pipelines; each operator's own part is its `lower.rs` |
//! | `stage` | the compiled functions, shared by tasks; their texts |
//! | `run` | the choice between engines; operators within a stage that do not fuse |
//! | `task` | one partition: state, tables, the loop over batches, what happens after an error |
//! | `build` | build sides of joins |

mod build;
mod facts;
mod region;
mod run;
mod stage;
mod support;
mod task;
#[cfg(test)]
mod tests;

pub use facts::facts;
pub use region::{JoinObject, Object, Region};
pub use stage::{CompiledStage, compile_stage as compile};
pub use support::supports_codegen;

#[derive(Debug, Clone, PartialEq)]
pub struct WholeStageCodegen {
    /// The number in `*(N)`.
    pub stage_id: usize,
}
