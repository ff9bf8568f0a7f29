//! What a compiled stage may rely on about a scan's rows: bounds and counts from statistics.

use super::FileScan;
use crate::base::Attribute;
use crate::codegen::value::Bounds;
use crate::datasource::{ColumnStatistics, TableStatistics};
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
    /// What statistics say of some of a source's columns; `position` is a column's in the source.
    pub fn of_source(statistics: &TableStatistics, output: &[Attribute], position: impl Fn(&Attribute) -> Option<usize>) -> Self {
        let known = |c: &ColumnStatistics| (c.range(), c.null_count == Some(0));
        let columns = output.iter().map(|a| position(a).and_then(|i| statistics.columns.get(i)).map_or((None, false), known)).collect();
        Self { columns, most_rows: statistics.row_count }
    }
}

impl FileScan {
    pub fn facts(&self) -> InputFacts {
        InputFacts::of_source(self.source.statistics(), &self.output, |a| self.table_output.iter().position(|t| t.id == a.id))
    }
}

impl InMemoryTableScan {
    /// Nothing before the rows are there.
    pub fn facts(&self) -> InputFacts {
        let position = |a: &Attribute| self.relation_output.iter().position(|t| t.id == a.id);
        self.cached.statistics().map(|known| InputFacts::of_source(known, &self.output, position)).unwrap_or_default()
    }
}
