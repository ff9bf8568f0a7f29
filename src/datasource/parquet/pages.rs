//! Pages of a row group that cannot hold rows wanted, found by the page index.

use arrow::array::Array;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection, RowSelector};

use super::footer::{BlockArrays, FileColumn, ParquetFile, converter};
use crate::datasource::prune::{BlockColumn, may_match};
use crate::expr::Expr;

/// The rows of a row group that pass the statistics of their pages; `None` where nothing can be said.
/// `metadata` is that with the page index.
pub(super) fn select(file: &ParquetFile, metadata: &ArrowReaderMetadata, group: usize, filters: &[Expr]) -> Option<RowSelection> {
    let selections = filters.iter().filter_map(|filter| {
        let index = single_column(filter)?;
        let pages = page_blocks(file.columns.get(index)?.as_ref()?, metadata, group)?;
        let kept = |page: &BlockColumn| may_match(filter, &|_| Some(page.clone()));
        let selectors: Vec<RowSelector> = pages
            .iter()
            .map(|page| if kept(page) { RowSelector::select(page.rows as usize) } else { RowSelector::skip(page.rows as usize) })
            .collect();
        Some(RowSelection::from(selectors))
    });
    selections.reduce(|a, b| a.intersection(&b))
}

/// The one column that a filter is over, whose pages alone decide.
fn single_column(filter: &Expr) -> Option<usize> {
    let mut columns = Vec::new();
    filter.visit(&mut |e| {
        if let Expr::Column { index, .. } = e {
            columns.push(*index);
        }
        true
    });
    columns.dedup();
    match columns[..] {
        [index] => Some(index),
        _ => None,
    }
}

/// What is known of a column in each page of a row group.
fn page_blocks(column: &FileColumn, metadata: &ArrowReaderMetadata, group: usize) -> Option<Vec<BlockColumn>> {
    let index = metadata.metadata().page_index()?.as_ref();
    let converter = converter(column, metadata)?;
    let groups = [group];
    let rows = converter.data_page_row_counts(index, metadata.metadata().row_groups(), &groups).ok()??;
    let (min, max) = (converter.data_page_mins(index, &groups).ok()?, converter.data_page_maxes(index, &groups).ok()?);
    let nulls = converter.data_page_null_counts(index, &groups).ok()?;
    if rows.null_count() > 0 || min.len() != rows.len() || nulls.len() != rows.len() {
        return None;
    }
    let bounds = BlockArrays::new(&min, &max, nulls, &column.field)?;
    let block = |i: usize| {
        let mut block = BlockColumn { rows: rows.value(i), ..Default::default() };
        bounds.fill(&mut block, i, &column.field.data_type);
        block
    };
    Some((0..rows.len()).map(block).collect())
}
