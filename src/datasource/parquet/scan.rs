//! Planning a scan: row groups pruned and packed into partitions; and reading a partition.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType as ArrowType, Schema as ArrowSchema};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};

use super::chunks::{ChunkFile, ColumnChunk};
use super::footer::{ParquetFile, chunk_start, malformed, open};
use super::pages;
use crate::base::{Field, Result, Scalar, Schema};
use crate::datasource::convert::{make_batch, normalise_column};
use crate::datasource::listing::constant;
use crate::datasource::memory::projected_schema;
use crate::datasource::packing::{FileUnits, Piece, Unit, is_local, partition};
use crate::datasource::prune::may_match;
use crate::datasource::{BatchStream, ScanPartition, ScanRequest};
use crate::expr::Expr;

/// What the partitions of a scan share.
#[derive(Debug)]
struct Scan {
    files: Arc<Vec<ParquetFile>>,
    columns: Vec<usize>,
    schema: Arc<ArrowSchema>,
    filters: Vec<Expr>,
    batch_size: usize,
}

/// A row group, or some rows of one.
#[derive(Debug, Clone)]
struct GroupRows {
    group: usize,
    rows: Range<u64>,
}

/// What a partition reads of one file.
#[derive(Debug)]
struct FileRows {
    file: usize,
    groups: Vec<GroupRows>,
}

/// Fewest rows worth a partition of their own.
const MIN_ROWS: u64 = 65_536;

/// The partitions of a scan of the files that are `selected`.
pub(super) fn plan(
    schema: &Schema,
    files: &Arc<Vec<ParquetFile>>,
    selected: &[bool],
    request: &ScanRequest,
) -> Result<Vec<Arc<dyn ScanPartition>>> {
    let wanted = |file: &ParquetFile, group: usize| {
        let block = |column: usize| Some(file.block(group, column));
        request.data_filters.iter().all(|f| may_match(f, &block))
    };
    let groups: Vec<Vec<usize>> =
        files.iter().zip(selected).map(|(f, selected)| (0..f.row_groups()).filter(|g| *selected && wanted(f, *g)).collect()).collect();
    // With fewer row groups than threads, threads share row groups.
    let threads = request.settings.threads() as u64;
    let count = groups.iter().map(Vec::len).sum::<usize>() as u64;
    let pieces = if is_local(&request.settings) && count < threads { threads.div_ceil(count.max(1)) } else { 1 };
    let parts: Vec<Vec<GroupRows>> =
        groups.iter().zip(files.iter()).map(|(g, f)| g.iter().flat_map(|g| cut(*g, f.group_rows(*g), pieces)).collect()).collect();
    let units: Vec<FileUnits> = parts
        .iter()
        .zip(files.iter())
        .zip(selected)
        .map(|((parts, f), selected)| {
            let unit = |p: &GroupRows| Unit { midpoint: f.midpoint(p.group), weight: p.rows.end - p.rows.start };
            FileUnits { size: if *selected { f.file.size } else { 0 }, units: parts.iter().map(unit).collect() }
        })
        .collect();
    let scan = Arc::new(Scan {
        files: files.clone(),
        columns: request.columns.clone(),
        schema: projected_schema(schema, &request.columns),
        filters: request.data_filters.clone(),
        batch_size: request.settings.batch_size(),
    });
    let open = |pieces: Vec<Piece>| {
        let file_rows = |p: Piece| FileRows { file: p.file, groups: p.units.iter().map(|u| parts[p.file][*u].clone()).collect() };
        let pieces = pieces.into_iter().map(file_rows).collect();
        Arc::new(ParquetPartition { scan: scan.clone(), pieces }) as Arc<dyn ScanPartition>
    };
    Ok(partition(&units, &request.settings).into_iter().map(open).collect())
}

/// The rows of a group in up to `pieces` parts.
fn cut(group: usize, rows: u64, pieces: u64) -> Vec<GroupRows> {
    let pieces = pieces.min(rows / MIN_ROWS).max(1);
    let step = rows.div_ceil(pieces).max(1);
    (0..pieces).map(|i| GroupRows { group, rows: i * step..((i + 1) * step).min(rows) }).collect()
}

/// One partition of a Parquet scan.
#[derive(Debug)]
struct ParquetPartition {
    scan: Arc<Scan>,
    pieces: Arc<[FileRows]>,
}

impl ScanPartition for ParquetPartition {
    fn open(&self) -> Result<BatchStream> {
        let (scan, pieces) = (self.scan.clone(), self.pieces.clone());
        let mut next = 0;
        let mut current: Option<PieceReader> = None;
        Ok(Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(batch) = current.as_mut().and_then(PieceReader::next) {
                    return Some(batch);
                }
                let piece = pieces.get(next)?;
                next += 1;
                match PieceReader::open(&scan, piece) {
                    Ok(reader) => current = Some(reader),
                    Err(e) => return Some(Err(e)),
                }
            }
        })))
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.pieces.iter().flat_map(|p| &p.groups).map(|g| g.rows.end - g.rows.start).sum())
    }
}

/// Reads row groups of a file.
struct PieceReader {
    scan: Arc<Scan>,
    file: usize,
    source: Source,
    /// Where each output column comes from.
    outputs: Vec<Output>,
}

enum Source {
    Columns(ParquetRecordBatchReader),
    /// No column of the file is read: only rows are counted.
    Rows(u64),
}

enum Output {
    /// A column read, by position, to be brought to the table's type.
    Read(usize, Field),
    /// NULL: the file lacks the column.
    Missing(ArrowType),
    Constant(Scalar),
}

impl PieceReader {
    fn open(scan: &Arc<Scan>, piece: &FileRows) -> Result<Self> {
        let file = &scan.files[piece.file];
        let found: Vec<_> = scan.columns.iter().map(|c| file.columns.get(*c)).collect();
        let mut roots: Vec<usize> = found.iter().filter_map(|f| Some((*f)?.as_ref()?.root)).collect();
        roots.sort_unstable();
        roots.dedup();
        let outputs = scan.columns.iter().zip(&found).enumerate().map(|(i, (column, found))| match found {
            Some(Some(c)) => Output::Read(roots.partition_point(|r| *r < c.root), c.field.clone()),
            Some(None) => Output::Missing(scan.schema.field(i).data_type().clone()),
            None => Output::Constant(file.file.partition_values[column - file.columns.len()].clone()),
        });
        let outputs = outputs.collect();
        let source = if roots.is_empty() {
            Source::Rows(piece.groups.iter().map(|g| g.rows.end - g.rows.start).sum())
        } else {
            Source::Columns(reader(scan, file, piece, &roots)?)
        };
        Ok(Self { scan: scan.clone(), file: piece.file, source, outputs })
    }

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        match &mut self.source {
            Source::Rows(0) => None,
            Source::Rows(left) => {
                let rows = (*left).min(self.scan.batch_size as u64);
                *left -= rows;
                Some(self.assemble(&[], rows as usize))
            }
            Source::Columns(reader) => {
                let path = &self.scan.files[self.file].file.path;
                // The decoder takes some rules of the format for granted.
                let batch = catch_unwind(AssertUnwindSafe(|| reader.next()));
                let batch = batch.unwrap_or_else(|_| Some(Err(ArrowError::ParquetError("its pages are broken".into()))))?;
                Some(batch.map_err(|e| malformed(path, e)).and_then(|b| self.assemble(b.columns(), b.num_rows())))
            }
        }
    }

    fn assemble(&self, read: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let column = |output: &Output| match output {
            Output::Read(i, field) => normalise_column(&read[*i], field),
            Output::Missing(data_type) => Ok(new_null_array(data_type, rows)),
            Output::Constant(value) => constant(value, rows),
        };
        let columns = self.outputs.iter().map(column).collect::<Result<Vec<_>>>();
        columns.and_then(|c| make_batch(&self.scan.schema, c, rows)).map_err(|e| e.context(self.scan.files[self.file].file.path.display()))
    }
}

fn reader(scan: &Scan, file: &ParquetFile, piece: &FileRows, roots: &[usize]) -> Result<ParquetRecordBatchReader> {
    let handle = open(&file.file.path)?;
    if handle.metadata().is_ok_and(|m| m.len() != file.file.size) {
        return Err(malformed(&file.file.path, "the file has changed since its footer was read"));
    }
    let selection = selection(scan, file, piece)?;
    // Where rows are passed over, pages are read one by one; else whole column chunks.
    let chunks = if selection.is_some() { Vec::new() } else { column_chunks(file, piece, roots) };
    let metadata = if selection.is_some() { file.page_index()? } else { &file.metadata };
    let source = ChunkFile::new(handle, file.file.size, chunks);
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata.clone())
        .with_batch_size(scan.batch_size)
        .with_row_groups(piece.groups.iter().map(|g| g.group).collect())
        .with_projection(ProjectionMask::roots(file.metadata.parquet_schema(), roots.iter().copied()));
    if let Some(selection) = selection {
        builder = builder.with_row_selection(selection);
    }
    builder.build().map_err(|e| malformed(&file.file.path, e))
}

/// Which rows of the piece's row groups are read; `None` for all.
fn selection(scan: &Scan, file: &ParquetFile, piece: &FileRows) -> Result<Option<RowSelection>> {
    let partial = piece.groups.iter().any(|g| g.rows.end - g.rows.start < file.group_rows(g.group));
    let paged = !scan.filters.is_empty() && piece.groups.iter().any(|g| file.has_page_index(g.group));
    if !partial && !paged {
        return Ok(None);
    }
    let index = if paged { Some(file.page_index()?) } else { None };
    let mut selectors: Vec<RowSelector> = Vec::new();
    for g in &piece.groups {
        let range = std::iter::once(g.rows.start as usize..g.rows.end as usize);
        let rows = RowSelection::from_consecutive_ranges(range, file.group_rows(g.group) as usize);
        match index.and_then(|metadata| pages::select(file, metadata, g.group, &scan.filters)) {
            Some(kept) => selectors.extend(rows.intersection(&kept).iter()),
            None => selectors.extend(rows.iter()),
        }
    }
    Ok(Some(RowSelection::from(selectors)).filter(|s| s.skipped_row_count() > 0))
}

fn column_chunks(file: &ParquetFile, piece: &FileRows, roots: &[usize]) -> Vec<ColumnChunk> {
    let descriptor = file.metadata.parquet_schema();
    let leaves = (0..descriptor.num_columns()).filter(|l| roots.binary_search(&descriptor.get_column_root_idx(*l)).is_ok());
    let chunk = |group: usize, column: usize| {
        let chunk = file.group(group).column(column);
        ColumnChunk { column, start: chunk_start(chunk).max(0) as u64, length: chunk.compressed_size().max(0) as u64 }
    };
    leaves.flat_map(|l| piece.groups.iter().map(move |g| chunk(g.group, l))).collect()
}
