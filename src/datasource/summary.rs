//! What is known of rows that come batch by batch: of each batch, and of all together.

use arrow::array::RecordBatch;

use super::prune::{BlockColumn, may_match};
use super::statistics::{ColumnSummary, of_block};
use super::{ColumnStatistics, TableStatistics};
use crate::base::{Scalar, Schema};
use crate::expr::Expr;

/// A run of rows, and what is known of each of its columns.
#[derive(Debug, Clone)]
pub struct Block {
    pub rows: usize,
    columns: Vec<BlockColumn>,
}

impl Block {
    /// Of a batch in the representation of `schema`.
    pub fn of(batch: &RecordBatch, schema: &Schema) -> Self {
        let columns = batch.columns().iter().zip(&schema.fields).map(|(array, field)| of_block(array, &field.data_type)).collect();
        Self { rows: batch.num_rows(), columns }
    }

    /// Whether all of the filters, which are bound to the schema, may be true for a row. Never wrongly `false`.
    pub fn may_match(&self, filters: &[Expr]) -> bool {
        filters.iter().all(|filter| may_match(filter, &|column| self.columns.get(column).cloned()))
    }
}

/// Statistics as they grow. Their numbers of rows and NULLs are those of the [`Block`]s.
pub struct Summary {
    schema: Schema,
    columns: Vec<ColumnSummary>,
}

impl Summary {
    pub fn new(schema: &Schema) -> Self {
        Self { schema: schema.clone(), columns: schema.fields.iter().map(|_| ColumnSummary::new()).collect() }
    }

    /// Adds a batch in the representation of the schema; what is known of it alone.
    pub fn add(&mut self, batch: &RecordBatch) -> Block {
        let block = Block::of(batch, &self.schema);
        for ((summary, array), known) in self.columns.iter_mut().zip(batch.columns()).zip(&block.columns) {
            summary.add(array, known);
        }
        block
    }

    pub fn merge(&mut self, other: Self) {
        self.columns.iter_mut().zip(other.columns).for_each(|(own, theirs)| own.merge(theirs));
    }

    /// The statistics of `blocks`, all that were added.
    pub fn finish<'b>(self, blocks: impl Iterator<Item = &'b Block>, size_bytes: u64) -> TableStatistics {
        let (mut rows, mut nulls) = (0, vec![0; self.columns.len()]);
        for block in blocks {
            rows += block.rows as u64;
            nulls.iter_mut().zip(&block.columns).for_each(|(all, column)| *all += column.null_count.unwrap_or_default());
        }
        let columns = self.columns.into_iter().zip(nulls).map(|(column, nulls)| column.finish(rows, nulls)).collect();
        TableStatistics { size_bytes, row_count: Some(rows), columns }
    }
}

impl TableStatistics {
    /// Whether what generated code relies on (bounds of whole numbers, lengths of strings, that there are no NULLs) is true of
    /// other rows too.
    pub fn hold_for(&self, other: &TableStatistics) -> bool {
        self.columns.iter().zip(&other.columns).all(|(known, column)| {
            let no_new_nulls = known.null_count != Some(0) || column.null_count == Some(0);
            let (Some(known), Some((min, max))) = (known.range(), column.range()) else { return no_new_nulls };
            no_new_nulls && known.0 <= min && max <= known.1
        })
    }
}

impl ColumnStatistics {
    /// Least and greatest value of whole numbers and their like, or length in bytes of strings.
    pub fn range(&self) -> Option<(i128, i128)> {
        let whole = |bound: &Option<Scalar>| bound.as_ref()?.as_i128();
        let length = self.length.map(|(least, most)| (i128::from(least), i128::from(most)));
        length.or_else(|| whole(&self.min).zip(whole(&self.max)))
    }
}
