//! Range: the numbers `start, start + step, …` below (above) `end`, cut into `partitions` slices.

mod interpret;

use crate::base::Attribute;

#[derive(Debug, Clone)]
pub struct Range {
    pub start: i64,
    pub end: i64,
    pub step: i64,
    pub partitions: usize,
    pub output: Attribute,
}
