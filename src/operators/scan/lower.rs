//! What a compiled stage may rely on about a scan's rows: bounds and counts from statistics.

use super::FileScan;
use crate::base::Attribute;
use crate::codegen::value::Bounds;
use crate::datasource::TableSource;
use crate::operators::InMemoryTableScan;

/// Facts about the rows of an input.
#[derive(Debug, Clone, Default)]
pub struct InputFacts {
    /// Per column: hard bounds (of strings, of the length in bytes), and whether it has no NULLs.
    pub columns: Vec<(Option<Bounds>, bool)>,
    /// Of all partitions together.
    pub most_rows: Option<u64>,
}

impl InputFacts {
    /// What a source's statistics say of some of its columns; `position` is a column's in the source.
    pub fn of_source(source: &dyn TableSource, output: &[Attribute], position: impl Fn(&Attribute) -> Option<usize>) -> Self {
        let statistics = source.statistics();
        let columns = output
            .iter()
            .map(|a| {
                position(a).and_then(|i| statistics.columns.get(i)).map_or((None, false), |c| {
                    let bound = |s: &Option<crate::base::Scalar>| s.as_ref().and_then(|s| s.as_i128());
                    let length = c.length.map(|(least, most)| (i128::from(least), i128::from(most)));
                    let bounds = length.or_else(|| bound(&c.min).zip(bound(&c.max)));
                    (bounds, c.null_count == Some(0))
                })
            })
            .collect();
        Self { columns, most_rows: statistics.row_count }
    }
}

impl FileScan {
    pub fn facts(&self) -> InputFacts {
        InputFacts::of_source(self.source.as_ref(), &self.output, |a| self.table_output.iter().position(|t| t.id == a.id))
    }
}

impl InMemoryTableScan {
    /// Nothing before the rows are there.
    pub fn facts(&self) -> InputFacts {
        let position = |a: &Attribute| self.relation_output.iter().position(|t| t.id == a.id);
        self.cached.rows.get().map(|rows| InputFacts::of_source(rows.as_ref(), &self.output, position)).unwrap_or_default()
    }
}
