//! What a compiled stage may rely on about a scan's rows: bounds and counts from statistics.

use super::FileScan;
use crate::codegen::value::Bounds;

/// Facts about the rows of an input.
#[derive(Debug, Clone, Default)]
pub struct InputFacts {
    /// Per column: hard bounds (of strings, of the length in bytes), and whether it has no NULLs.
    pub columns: Vec<(Option<Bounds>, bool)>,
    /// Of all partitions together.
    pub most_rows: Option<u64>,
}

impl FileScan {
    /// What the source's statistics say of the columns read.
    pub fn facts(&self) -> InputFacts {
        let statistics = self.source.statistics();
        let columns = self
            .output
            .iter()
            .map(|a| {
                let column = self.table_output.iter().position(|t| t.id == a.id).and_then(|i| statistics.columns.get(i));
                column.map_or((None, false), |c| {
                    let bound = |s: &Option<crate::base::Scalar>| s.as_ref().and_then(|s| s.as_i128());
                    let length = c.length.map(|(least, most)| (i128::from(least), i128::from(most)));
                    let bounds = length.or_else(|| bound(&c.min).zip(bound(&c.max)));
                    (bounds, c.null_count == Some(0))
                })
            })
            .collect();
        InputFacts { columns, most_rows: statistics.row_count }
    }
}
