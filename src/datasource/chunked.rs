//! Tables of files that are read in chunks from front to back: everything on disk but Parquet.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema as ArrowSchema;

use super::buckets::bucket_of_file;
use super::convert::make_batch;
use super::listing::Listing;
use super::memory::projected_schema;
use super::packing::{FileUnits, Piece, Unit, partition};
use super::{BatchStream, ScanPartition, ScanRequest, SelectedFiles, TableSource, TableStatistics};
use crate::base::{Field, Result, Scalar, Schema};
use crate::expr::evaluate::scalar::to_array;

/// A part of a file that can be read by itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chunk {
    /// The first byte (or whatever else the format counts in).
    pub start: u64,
    pub length: u64,
    /// Line of the first byte, from 1; 0 where there are no lines.
    pub first_line: u64,
    pub rows: Option<u64>,
}

/// How the chunks of a format are read.
pub(super) trait ChunkFormat: Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// The columns at `columns` (positions among the data columns) of a chunk, in the representation of the table.
    ///
    /// # Errors
    /// `PathNotFound`, `Io`, `MalformedData`, naming the file.
    fn read(&self, path: &Path, chunk: &Chunk, columns: &[usize], batch_size: usize) -> Result<BatchStream>;
}

/// A table of such files.
#[derive(Debug)]
pub(super) struct ChunkedTable<F> {
    format: Arc<F>,
    listing: Arc<Listing>,
    schema: Schema,
    /// Per file.
    chunks: Arc<Vec<Vec<Chunk>>>,
    statistics: TableStatistics,
}

impl<F: ChunkFormat> ChunkedTable<F> {
    /// A table with the given data columns; `chunks` are those of each listed file.
    pub fn create(format: F, listing: Listing, data_fields: Vec<Field>, chunks: Vec<Vec<Chunk>>) -> Arc<dyn TableSource> {
        let mut fields = data_fields;
        fields.extend(listing.partition_fields.iter().cloned());
        let row_count = chunks.iter().flatten().map(|c| c.rows).sum();
        let statistics = TableStatistics { size_bytes: listing.total_size(), row_count, columns: Vec::new() };
        Arc::new(Self {
            format: Arc::new(format),
            listing: Arc::new(listing),
            schema: Schema::new(fields),
            chunks: Arc::new(chunks),
            statistics,
        })
    }
}

/// The data columns that the path does not name as well: the value in the path wins.
pub(super) fn without_partition_columns(fields: &[Field], listing: &Listing) -> Vec<usize> {
    let named = |f: &Field| listing.partition_fields.iter().any(|p| p.name.eq_ignore_ascii_case(&f.name));
    (0..fields.len()).filter(|i| !named(&fields[*i])).collect()
}

impl<F: ChunkFormat> TableSource for ChunkedTable<F> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partition_columns(&self) -> usize {
        self.listing.partition_fields.len()
    }

    fn format(&self) -> &'static str {
        self.format.name()
    }

    fn location(&self) -> String {
        self.listing.location()
    }

    fn statistics(&self) -> &TableStatistics {
        &self.statistics
    }

    fn selected_files(&self, request: &ScanRequest) -> Result<Option<SelectedFiles>> {
        self.listing.selected(&self.schema, request).map(Some)
    }

    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        let selected = self.listing.select(&self.schema, request)?;
        let files: Vec<FileUnits> = self
            .listing
            .files
            .iter()
            .zip(self.chunks.iter())
            .zip(&selected)
            .map(|((file, chunks), selected)| {
                let unit = |c: &Chunk| Unit { midpoint: c.start + c.length / 2, weight: c.length };
                let units = if *selected { chunks.iter().map(unit).collect() } else { Vec::new() };
                FileUnits { size: if *selected { file.size } else { 0 }, bucket: bucket_of_file(&file.path), units }
            })
            .collect();
        let scan = Arc::new(Scan {
            format: self.format.clone(),
            listing: self.listing.clone(),
            chunks: self.chunks.clone(),
            data_columns: self.schema.fields.len() - self.listing.partition_fields.len(),
            columns: request.columns.clone(),
            schema: projected_schema(&self.schema, &request.columns),
            batch_size: request.settings.batch_size(),
        });
        let open = |pieces: Vec<Piece>| Arc::new(ChunkedPartition { scan: scan.clone(), pieces }) as Arc<dyn ScanPartition>;
        Ok(partition(&files, request).into_iter().map(open).collect())
    }
}

/// What the partitions of a scan share.
#[derive(Debug)]
struct Scan<F> {
    format: Arc<F>,
    listing: Arc<Listing>,
    chunks: Arc<Vec<Vec<Chunk>>>,
    data_columns: usize,
    columns: Vec<usize>,
    schema: Arc<ArrowSchema>,
    batch_size: usize,
}

impl<F: ChunkFormat> Scan<F> {
    fn open(&self, file: usize, chunk: usize) -> Result<BatchStream> {
        let read: Vec<usize> = self.columns.iter().copied().filter(|c| *c < self.data_columns).collect();
        self.format.read(&self.listing.files[file].path, &self.chunks[file][chunk], &read, self.batch_size)
    }

    /// Puts partition values among the columns read.
    fn complete(&self, file: usize, batch: &RecordBatch) -> Result<RecordBatch> {
        let values: &[Scalar] = &self.listing.files[file].partition_values;
        let mut read = batch.columns().iter().cloned();
        let columns = self.columns.iter().map(|c| match c.checked_sub(self.data_columns) {
            Some(p) => to_array(&values[p], batch.num_rows()),
            None => read.next().ok_or_else(|| crate::base::Error::internal("a reader left out a column")),
        });
        make_batch(&self.schema, columns.collect::<Result<_>>()?, batch.num_rows())
    }
}

#[derive(Debug)]
struct ChunkedPartition<F> {
    scan: Arc<Scan<F>>,
    pieces: Vec<Piece>,
}

impl<F: ChunkFormat> ScanPartition for ChunkedPartition<F> {
    fn open(&self) -> Result<BatchStream> {
        let scan = self.scan.clone();
        let chunks: Vec<(usize, usize)> = self.pieces.iter().flat_map(|p| p.units.iter().map(|u| (p.file, *u))).collect();
        Ok(Box::new(chunks.into_iter().flat_map(move |(file, chunk)| -> BatchStream {
            let scan = scan.clone();
            match scan.open(file, chunk) {
                Ok(batches) => Box::new(batches.map(move |b| b.and_then(|b| scan.complete(file, &b)))),
                Err(e) => Box::new(std::iter::once(Err(e))),
            }
        })))
    }

    fn row_count(&self) -> Option<u64> {
        self.pieces.iter().flat_map(|p| p.units.iter().map(|u| self.scan.chunks[p.file][*u].rows)).sum()
    }
}
