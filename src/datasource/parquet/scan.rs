//! Planning a scan: row groups pruned and packed into partitions; and reading a partition.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType as ArrowType, Schema as ArrowSchema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::footer::{ParquetFile, malformed, open};
use crate::base::{Field, Result, Scalar, Schema, Settings, settings};
use crate::datasource::convert::{make_batch, normalise_column};
use crate::datasource::listing::constant;
use crate::datasource::memory::projected_schema;
use crate::datasource::packing::pack;
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

/// Row groups of one file.
#[derive(Debug, Clone)]
struct Piece {
    file: usize,
    groups: Vec<usize>,
}

/// The partitions of a scan of the files that are `selected`.
pub(super) fn plan(
    schema: &Schema,
    files: &Arc<Vec<ParquetFile>>,
    selected: &[bool],
    request: &ScanRequest,
) -> Result<Vec<Arc<dyn ScanPartition>>> {
    let sizes: Vec<(usize, u64)> = files.iter().enumerate().filter(|(i, _)| selected[*i]).map(|(i, f)| (i, f.file.size)).collect();
    let wanted = |file: usize, group: usize| {
        let block = |column: usize| Some(files[file].block(group, column));
        request.data_filters.iter().all(|f| may_match(f, &block))
    };
    let mut partitions: Vec<Vec<Piece>> = pack(&sizes, true, &request.settings)
        .into_iter()
        .map(|splits| {
            let mut pieces = Vec::new();
            for split in splits {
                let file = &files[split.file];
                let inside = |g: &usize| (split.start..split.start + split.length).contains(&file.midpoint(*g));
                let groups: Vec<usize> = (0..file.row_groups()).filter(inside).filter(|g| wanted(split.file, *g)).collect();
                if !groups.is_empty() {
                    pieces.push(Piece { file: split.file, groups });
                }
            }
            pieces
        })
        .collect();
    if is_local(&request.settings) {
        partitions.retain(|p| !p.is_empty());
        spread(&mut partitions, request.settings.threads(), &|p| rows(p, files));
    }
    if partitions.is_empty() {
        partitions.push(Vec::new());
    }
    let scan = Arc::new(Scan {
        files: files.clone(),
        columns: request.columns.clone(),
        schema: projected_schema(schema, &request.columns),
        filters: request.data_filters.clone(),
        batch_size: request.settings.batch_size(),
    });
    Ok(partitions
        .into_iter()
        .map(|pieces| Arc::new(ParquetPartition { scan: scan.clone(), pieces: pieces.into() }) as Arc<dyn ScanPartition>)
        .collect())
}

fn is_local(settings: &Settings) -> bool {
    settings.text(&settings::PROFILE) == "local"
}

fn rows(pieces: &[Piece], files: &[ParquetFile]) -> u64 {
    pieces.iter().flat_map(|p| p.groups.iter().map(|g| files[p.file].group_rows(*g))).sum()
}

/// Halves the largest partitions between row groups until there are `wanted`, if there are row groups enough.
fn spread(partitions: &mut Vec<Vec<Piece>>, wanted: usize, rows: &dyn Fn(&[Piece]) -> u64) {
    while partitions.len() < wanted {
        let splittable = |p: &&mut Vec<Piece>| p.iter().map(|piece| piece.groups.len()).sum::<usize>() > 1;
        let Some(largest) = partitions.iter_mut().filter(splittable).max_by_key(|p| rows(p)) else { return };
        let units: Vec<Piece> = largest.iter().flat_map(|p| p.groups.iter().map(|g| Piece { file: p.file, groups: vec![*g] })).collect();
        let half = rows(&units) / 2;
        let mut taken = 0;
        let cut = units
            .iter()
            .take_while(|u| {
                let before = taken;
                taken += rows(std::slice::from_ref(*u));
                before + (taken - before) / 2 < half
            })
            .count();
        let (first, second) = units.split_at(cut.clamp(1, units.len() - 1));
        let second = joined(second);
        *largest = joined(first);
        partitions.push(second);
    }
}

/// Neighbouring row groups of one file as one piece.
fn joined(units: &[Piece]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for unit in units {
        match pieces.last_mut() {
            Some(last) if last.file == unit.file => last.groups.extend(&unit.groups),
            _ => pieces.push(unit.clone()),
        }
    }
    pieces
}

/// One partition of a Parquet scan.
#[derive(Debug)]
struct ParquetPartition {
    scan: Arc<Scan>,
    pieces: Arc<[Piece]>,
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
        Some(rows(&self.pieces, &self.scan.files))
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
    fn open(scan: &Arc<Scan>, piece: &Piece) -> Result<Self> {
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
            Source::Rows(piece.groups.iter().map(|g| file.group_rows(*g)).sum())
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
                let batch = reader.next()?;
                let path = &self.scan.files[self.file].file.path;
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

fn reader(scan: &Scan, file: &ParquetFile, piece: &Piece, roots: &[usize]) -> Result<ParquetRecordBatchReader> {
    let handle = open(&file.file.path)?;
    let _ = &scan.filters;
    ParquetRecordBatchReaderBuilder::new_with_metadata(handle, file.metadata.clone())
        .with_batch_size(scan.batch_size)
        .with_row_groups(piece.groups.clone())
        .with_projection(ProjectionMask::roots(file.metadata.parquet_schema(), roots.iter().copied()))
        .build()
        .map_err(|e| malformed(&file.file.path, e))
}
