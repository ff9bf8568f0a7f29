//! Reading what a partition has of one file.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType as ArrowType, Schema as ArrowSchema};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};

use super::chunks::{ChunkFile, ColumnChunk};
use super::footer::{ParquetFile, chunk_start, malformed, open};
use super::{late, pages};
use crate::base::{Error, Field, Result, Scalar};
use crate::datasource::BatchStream;
use crate::datasource::convert::{make_batch, normalise_column};
use crate::expr::Expr;
use crate::expr::evaluate::scalar::to_array;

/// What the partitions of a scan share.
#[derive(Debug)]
pub(super) struct Scan {
    pub files: Arc<Vec<ParquetFile>>,
    pub columns: Vec<usize>,
    pub schema: Arc<ArrowSchema>,
    pub filters: Vec<Expr>,
    pub batch_size: usize,
}

/// A row group, or some rows of one.
#[derive(Debug, Clone)]
pub(super) struct GroupRows {
    pub group: usize,
    pub rows: Range<u64>,
}

impl GroupRows {
    pub fn count(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// What a partition reads of one file.
#[derive(Debug)]
pub(super) struct FileRows {
    pub file: usize,
    pub groups: Vec<GroupRows>,
}

/// Where an output column comes from.
enum Output {
    /// A column read, by position, to be brought to the table's type.
    Read(usize, Field),
    /// NULL: the file lacks the column.
    Missing(ArrowType),
    Constant(Scalar),
}

/// The batches of a scan in one file. Errors come as items.
pub(super) fn read(scan: &Arc<Scan>, piece: &FileRows) -> BatchStream {
    let file = &scan.files[piece.file];
    let found: Vec<_> = scan.columns.iter().map(|c| file.columns.get(*c)).collect();
    let mut roots: Vec<usize> = found.iter().filter_map(|f| Some((*f)?.as_ref()?.root)).collect();
    roots.sort_unstable();
    roots.dedup();
    let output = |(i, column): (usize, &usize)| match found[i] {
        Some(Some(c)) => Output::Read(roots.partition_point(|r| *r < c.root), c.field.clone()),
        Some(None) => Output::Missing(scan.schema.field(i).data_type().clone()),
        None => Output::Constant(file.file.partition_values[column - file.columns.len()].clone()),
    };
    let outputs: Vec<Output> = scan.columns.iter().enumerate().map(output).collect();
    let (scan, index) = (scan.clone(), piece.file);
    let at = move |scan: &Scan, e: Error| e.context(scan.files[index].file.path.display());
    if roots.is_empty() {
        // Rows alone are counted.
        let rows: u64 = piece.groups.iter().map(GroupRows::count).sum();
        let size = scan.batch_size as u64;
        return Box::new((0..rows.div_ceil(size)).map(move |i| {
            let count = size.min(rows - i * size) as usize;
            assemble(&scan, &outputs, &[], count).map_err(|e| at(&scan, e))
        }));
    }
    let segments = segments(&scan, file, piece, &roots);
    Box::new(
        segments
            .into_iter()
            .flat_map({
                let scan = scan.clone();
                move |segment| -> BatchStream {
                    let file = &scan.files[index];
                    let batches = match &segment {
                        Segment::Plain(groups) => columns(&scan, file, groups, &roots, None),
                        Segment::Late(group, plan) => late::read(&scan, file, group, plan),
                    };
                    batches.unwrap_or_else(|e| Box::new(std::iter::once(Err(e))))
                }
            })
            .map(move |batch| {
                let batch = batch?;
                assemble(&scan, &outputs, batch.columns(), batch.num_rows()).map_err(|e| at(&scan, e))
            }),
    )
}

/// Row groups that are read in one way.
enum Segment {
    Plain(Vec<GroupRows>),
    /// Columns of filters first, then the others where rows are left.
    Late(GroupRows, late::Plan),
}

fn segments(scan: &Scan, file: &ParquetFile, piece: &FileRows, roots: &[usize]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for g in &piece.groups {
        match (late::plan(scan, file, g.group, roots), segments.last_mut()) {
            (Some(plan), _) => segments.push(Segment::Late(g.clone(), plan)),
            (None, Some(Segment::Plain(groups))) => groups.push(g.clone()),
            (None, _) => segments.push(Segment::Plain(vec![g.clone()])),
        }
    }
    segments
}

fn assemble(scan: &Scan, outputs: &[Output], read: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
    let column = |output: &Output| match output {
        Output::Read(i, field) => normalise_column(&read[*i], field),
        Output::Missing(data_type) => Ok(new_null_array(data_type, rows)),
        Output::Constant(value) => to_array(value, rows),
    };
    make_batch(&scan.schema, outputs.iter().map(column).collect::<Result<_>>()?, rows)
}

/// The columns at `roots` of some row groups, in the order of the file: the rows of `chosen`, or without it those that the
/// statistics of pages let through.
pub(super) fn columns(
    scan: &Scan,
    file: &ParquetFile,
    groups: &[GroupRows],
    roots: &[usize],
    chosen: Option<RowSelection>,
) -> Result<BatchStream> {
    let path = file.file.path.clone();
    let handle = open(&path)?;
    if handle.metadata().is_ok_and(|m| m.len() != file.file.size) {
        return Err(malformed(&path, "the file has changed since its footer was read"));
    }
    // Rows chosen one by one are in most pages; the statistics of pages pass over whole ones.
    let (selection, whole) = match chosen {
        Some(chosen) => (Some(chosen), true),
        None => selection(scan, file, groups)?.map_or((None, true), |s| (Some(s), false)),
    };
    let metadata = if whole { &file.metadata } else { file.page_index()? };
    let source = ChunkFile::new(handle, file.file.size, column_chunks(file, groups, roots), whole);
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata.clone())
        .with_batch_size(scan.batch_size)
        .with_row_groups(groups.iter().map(|g| g.group).collect())
        .with_projection(ProjectionMask::roots(file.metadata.parquet_schema(), roots.iter().copied()));
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    let mut reader = builder.build().map_err(|e| malformed(&path, e))?;
    Ok(Box::new(std::iter::from_fn(move || {
        // The decoder takes some rules of the format for granted.
        let batch = catch_unwind(AssertUnwindSafe(|| reader.next()));
        let batch = batch.unwrap_or_else(|_| Some(Err(ArrowError::ParquetError("its pages are broken".into()))))?;
        Some(batch.map_err(|e| malformed(&path, e)))
    })))
}

/// Which rows of the row groups are read; `None` for all.
pub(super) fn selection(scan: &Scan, file: &ParquetFile, groups: &[GroupRows]) -> Result<Option<RowSelection>> {
    let partial = groups.iter().any(|g| g.count() < file.group_rows(g.group));
    let paged = !scan.filters.is_empty() && groups.iter().any(|g| file.has_page_index(g.group));
    if !partial && !paged {
        return Ok(None);
    }
    let index = if paged { Some(file.page_index()?) } else { None };
    let mut selectors: Vec<RowSelector> = Vec::new();
    for g in groups {
        let range = std::iter::once(g.rows.start as usize..g.rows.end as usize);
        let rows = RowSelection::from_consecutive_ranges(range, file.group_rows(g.group) as usize);
        match index.and_then(|metadata| pages::select(file, metadata, g.group, &scan.filters)) {
            Some(kept) => selectors.extend(rows.intersection(&kept).iter()),
            None => selectors.extend(rows.iter()),
        }
    }
    Ok(Some(RowSelection::from(selectors)).filter(|s| s.skipped_row_count() > 0))
}

fn column_chunks(file: &ParquetFile, groups: &[GroupRows], roots: &[usize]) -> Vec<ColumnChunk> {
    let chunk = |group: usize, column: usize| {
        let chunk = file.group(group).column(column);
        ColumnChunk { column, start: chunk_start(chunk).max(0) as u64, length: chunk.compressed_size().max(0) as u64 }
    };
    leaves(file, roots).flat_map(|l| groups.iter().map(move |g| chunk(g.group, l))).collect()
}

/// The leaves of top-level columns.
pub(super) fn leaves(file: &ParquetFile, roots: &[usize]) -> impl Iterator<Item = usize> {
    let descriptor = file.metadata.parquet_schema();
    (0..descriptor.num_columns()).filter(move |l| roots.binary_search(&descriptor.get_column_root_idx(*l)).is_ok())
}
