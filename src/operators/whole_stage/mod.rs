//! WholeStageCodegen: the operators below it, down to the stage's inputs, compiled into one loop per pipeline.

mod support;

pub use support::supports_codegen;

#[derive(Debug, Clone, PartialEq)]
pub struct WholeStageCodegen {
    /// The number in `*(N)`.
    pub stage_id: usize,
}
