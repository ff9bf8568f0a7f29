//! Tables held in memory.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::Schema as ArrowSchema;
use rayon::prelude::*;

use super::buckets::{BucketSpec, BucketedTable};
use super::convert::{batch_schema, make_batch, normalise};
use super::summary::Block;
use super::{BatchStream, ScanPartition, ScanRequest, TableSource, TableStatistics, statistics};
use crate::base::{Field, Result, Schema};

/// Batches held in memory, with exact statistics (distinct counts are estimates).
pub struct MemoryTable {
    schema: Schema,
    partitions: Arc<Vec<Vec<RecordBatch>>>,
    statistics: TableStatistics,
    /// What is known of each batch, by partition, where partitions are to stay as they are.
    blocks: Option<Vec<Vec<Block>>>,
}

/// Some rows of a batch of a table.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Partition and batch.
    batch: (usize, usize),
    from: usize,
    rows: usize,
}

impl MemoryTable {
    /// A table of `partitions` of batches whose columns are those of `schema` by position, in any Arrow representation.
    ///
    /// # Errors
    /// `MalformedData` where a column does not fit its declaration.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(schema: Schema, partitions: Vec<Vec<RecordBatch>>) -> Result<Arc<dyn TableSource>> {
        let partitions = partitions
            .iter()
            .map(|p| p.iter().filter(|b| b.num_rows() > 0).map(|b| normalise(b, &schema)).collect::<Result<Vec<_>>>())
            .collect::<Result<Vec<_>>>()?;
        let statistics = statistics::of_batches(&partitions.iter().flatten().collect::<Vec<_>>(), &schema);
        Ok(Arc::new(Self { schema, partitions: Arc::new(partitions), statistics, blocks: None }))
    }

    /// A table whose partitions stay as they are, each in batches of `batch_rows` rows that a scan passes over where their bounds
    /// exclude its filters. The batches must be in the representation of `schema`.
    ///
    /// # Errors
    /// `MalformedData` where a column does not fit its declaration.
    pub fn in_batches(schema: Schema, partitions: Vec<Vec<RecordBatch>>, batch_rows: usize) -> Result<Arc<dyn TableSource>> {
        let batches = |p: Vec<RecordBatch>| -> Result<Vec<RecordBatch>> {
            let mut coalescer = BatchCoalescer::new(batch_schema(&schema), batch_rows.max(1));
            for batch in p.iter().filter(|b| b.num_rows() > 0) {
                coalescer.push_batch(normalise(batch, &schema)?)?;
            }
            coalescer.finish_buffered_batch()?;
            Ok(std::iter::from_fn(|| coalescer.next_completed_batch()).collect())
        };
        let partitions = partitions.into_par_iter().map(batches).collect::<Result<Vec<_>>>()?;
        let statistics = statistics::of_batches(&partitions.iter().flatten().collect::<Vec<_>>(), &schema);
        let blocks = partitions.par_iter().map(|p| p.iter().map(|b| Block::of(b, &schema)).collect()).collect();
        Ok(Arc::new(Self { schema, partitions: Arc::new(partitions), statistics, blocks: Some(blocks) }))
    }

    /// A table whose partitions are the buckets that `spec` tells.
    ///
    /// # Errors
    /// As for [`Self::in_batches`].
    pub fn in_buckets(schema: Schema, buckets: Vec<Vec<RecordBatch>>, batch_rows: usize, spec: BucketSpec) -> Result<Arc<dyn TableSource>> {
        Ok(BucketedTable::in_memory(Self::in_batches(schema, buckets, batch_rows)?, spec))
    }

    /// The batches that may have rows that pass all filters, partition by partition.
    fn matching(&self, blocks: &[Vec<Block>], request: &ScanRequest) -> Vec<Vec<Piece>> {
        let whole = |partition: usize, batch: usize| {
            let block = &blocks[partition][batch];
            block.may_match(&request.data_filters).then_some(Piece { batch: (partition, batch), from: 0, rows: block.rows })
        };
        let of_partition = |p: usize| (0..self.partitions[p].len()).filter_map(move |b| whole(p, b));
        let Some(buckets) = &request.buckets else { return (0..self.partitions.len()).map(|p| of_partition(p).collect()).collect() };
        // The partitions are the buckets.
        let count = buckets.partitions.unwrap_or(self.partitions.len()).max(1);
        let mut out = vec![vec![]; count];
        for bucket in (0..self.partitions.len()).filter(|b| buckets.selects(*b)) {
            out[bucket % count].extend(of_partition(bucket));
        }
        out
    }

    /// The rows in pieces of at most `batch_size`, in partitions: those given, or where there are fewer than `threads`, runs of
    /// pieces of about as many rows.
    fn repack(&self, batch_size: usize, threads: usize) -> Vec<Vec<Piece>> {
        let pieces = |partition: usize| -> Vec<Piece> {
            let cut = |(batch, rows): (usize, usize)| {
                let piece = move |from| Piece { batch: (partition, batch), from, rows: batch_size.min(rows - from) };
                (0..rows).step_by(batch_size).map(piece)
            };
            self.partitions[partition].iter().map(RecordBatch::num_rows).enumerate().flat_map(cut).collect()
        };
        if self.partitions.len() >= threads {
            return (0..self.partitions.len()).map(pieces).collect();
        }
        let all: Vec<Piece> = (0..self.partitions.len()).flat_map(pieces).collect();
        let rows: usize = all.iter().map(|p| p.rows).sum();
        let mut packed: Vec<Vec<Piece>> = vec![Vec::new()];
        let mut packed_rows = 0;
        for piece in all {
            let full = packed.len() < threads && packed_rows * threads >= rows * packed.len();
            packed_rows += piece.rows;
            match packed.last_mut() {
                Some(last) if !full || last.is_empty() => last.push(piece),
                _ => packed.push(vec![piece]),
            }
        }
        packed
    }
}

/// `batch` cut into pieces of at most `size` rows, without copying.
pub(super) fn slices(batch: &RecordBatch, size: usize) -> Vec<RecordBatch> {
    if batch.num_rows() <= size {
        return vec![batch.clone()];
    }
    (0..batch.num_rows()).step_by(size).map(|from| batch.slice(from, size.min(batch.num_rows() - from))).collect()
}

impl fmt::Debug for MemoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.statistics.row_count.unwrap_or_default();
        write!(f, "MemoryTable({} columns, {rows} rows)", self.schema.fields.len())
    }
}

impl TableSource for MemoryTable {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn format(&self) -> &'static str {
        "memory"
    }

    fn location(&self) -> String {
        String::new()
    }

    fn statistics(&self) -> &TableStatistics {
        &self.statistics
    }

    fn supports_pushdown(&self) -> bool {
        self.blocks.is_some()
    }

    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        let schema = projected_schema(&self.schema, &request.columns);
        let partitions = match &self.blocks {
            Some(blocks) => self.matching(blocks, request),
            None => self.repack(request.settings.batch_size(), request.settings.threads()),
        };
        Ok(partitions
            .into_iter()
            .map(|pieces| {
                let (columns, table) = (request.columns.clone(), self.partitions.clone());
                Arc::new(MemoryPartition { schema: schema.clone(), columns, table, pieces: pieces.into() }) as Arc<dyn ScanPartition>
            })
            .collect())
    }
}

/// The schema of scan output: the chosen columns, every field nullable.
pub(super) fn projected_schema(schema: &Schema, columns: &[usize]) -> Arc<ArrowSchema> {
    let fields: Vec<Field> = columns.iter().map(|c| schema.fields[*c].clone()).collect();
    batch_schema(&Schema::new(fields))
}

/// Batches of a memory table.
#[derive(Debug)]
struct MemoryPartition {
    schema: Arc<ArrowSchema>,
    columns: Vec<usize>,
    table: Arc<Vec<Vec<RecordBatch>>>,
    pieces: Arc<[Piece]>,
}

impl ScanPartition for MemoryPartition {
    fn open(&self) -> Result<BatchStream> {
        let (schema, columns, table, pieces) = (self.schema.clone(), self.columns.clone(), self.table.clone(), self.pieces.clone());
        Ok(Box::new((0..pieces.len()).map(move |i| {
            let Piece { batch: (partition, batch), from, rows } = pieces[i];
            let batch = &table[partition][batch];
            let whole = rows == batch.num_rows();
            let column = |c: &usize| if whole { batch.column(*c).clone() } else { batch.column(*c).slice(from, rows) };
            make_batch(&schema, columns.iter().map(column).collect(), rows)
        })))
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.pieces.iter().map(|p| p.rows as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::*;

    use super::*;
    use crate::base::{DataType, Scalar, Settings};

    fn table(rows: i32) -> Arc<dyn TableSource> {
        let schema = Schema::new(vec![Field::new("a", DataType::Int, false), Field::new("b", DataType::String, true)]);
        let a = Int32Array::from_iter_values(0..rows);
        let b = StringArray::from_iter((0..rows).map(|i| (i % 2 == 0).then(|| format!("s{i}"))));
        let batch = RecordBatch::try_from_iter([("a", Arc::new(a) as ArrayRef), ("b", Arc::new(b))]).unwrap();
        MemoryTable::new(schema, vec![vec![batch]]).unwrap()
    }

    fn request(columns: &[usize], settings: &[(&str, &str)]) -> ScanRequest {
        let mut all = Settings::new();
        settings.iter().for_each(|(k, v)| all.set(k, v).unwrap());
        ScanRequest { columns: columns.to_vec(), partition_filters: vec![], data_filters: vec![], buckets: None, settings: all }
    }

    #[test]
    fn statistics_and_projection() {
        let t = table(10);
        let s = t.statistics();
        assert_eq!(s.row_count, Some(10));
        assert_eq!((&s.columns[0].min, &s.columns[0].max), (&Some(Scalar::Int(0)), &Some(Scalar::Int(9))));
        assert_eq!((s.columns[1].null_count, s.columns[1].distinct_count), (Some(5), Some(5)));
        let parts = t.plan_scan(&request(&[1, 0], &[("execution.threads", "1")])).unwrap();
        let batch = parts[0].open().unwrap().next().unwrap().unwrap();
        assert_eq!(batch.schema().field(0).data_type(), &arrow::datatypes::DataType::Utf8View);
        assert_eq!(batch.num_rows(), 10);
        let none = t.plan_scan(&request(&[], &[])).unwrap();
        assert_eq!(none[0].open().unwrap().map(|b| b.unwrap().num_rows()).sum::<usize>(), 10);
    }

    #[test]
    fn batches_are_dealt_to_threads_in_order() {
        let parts = table(10).plan_scan(&request(&[0], &[("execution.threads", "3"), ("execution.batchSize", "2")])).unwrap();
        assert_eq!(parts.iter().map(|p| p.row_count().unwrap()).collect::<Vec<_>>(), [4, 4, 2]);
        let rows: Vec<i32> = parts
            .iter()
            .flat_map(|p| p.open().unwrap())
            .flat_map(|b| b.unwrap().column(0).as_primitive::<arrow::datatypes::Int32Type>().values().to_vec())
            .collect();
        assert_eq!(rows, (0..10).collect::<Vec<_>>());
        assert_eq!(table(0).plan_scan(&request(&[0], &[])).unwrap().len(), 1);
    }
}
