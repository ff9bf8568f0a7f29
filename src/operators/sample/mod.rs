//! Sample: a random subset of the rows, the same for the same seed and partition.

mod interpret;

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub lower: f64,
    pub upper: f64,
    pub with_replacement: bool,
    pub seed: u64,
}
