//! WholeStageCodegen: the operators below it, down to the stage's inputs, compiled into one loop per pipeline.

#[derive(Debug, Clone)]
pub struct WholeStageCodegen {
    /// The number in `*(N)`.
    pub stage_id: usize,
}
