//! Rows that do not fit memory, set aside by the hash of their keys, to be dealt with part by part.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};

use super::exchange::deal;
use crate::base::Result;
use crate::expr::evaluate::hash::murmur3;
use crate::rdd::{MapOutput, MapWriter, QueryContext};

/// How many parts there are.
pub const PARTS: usize = 16;
/// How often rows may be set aside again: after that, equal keys are all there can be in a part.
pub const MOST_DEPTH: u32 = 5;

/// Takes the rows; as many as fit stay in memory.
pub struct SetAside {
    depth: u32,
    writer: MapWriter,
}

impl SetAside {
    /// For rows that have been set aside `depth` times before, each time by another hash.
    pub fn new(depth: u32, node: u64, query: &QueryContext) -> Self {
        Self { depth, writer: MapWriter::new(PARTS, node, query) }
    }

    /// Rows and their keys.
    ///
    /// # Errors
    /// `Io`.
    pub fn push(&mut self, batch: &RecordBatch, keys: &[ArrayRef]) -> Result<()> {
        // Not the seed of exchanges: all rows of a task agree in that hash.
        let hashes = murmur3(keys, batch.num_rows(), 1 + self.depth as i32)?;
        let targets: Vec<u32> = hashes.into_iter().map(|h| h as u32 % PARTS as u32).collect();
        deal(batch, &targets, PARTS)?.into_iter().try_for_each(|(part, rows)| self.writer.push(part, rows))
    }

    /// The parts.
    pub fn finish(self) -> Arc<MapOutput> {
        self.writer.finish()
    }
}
