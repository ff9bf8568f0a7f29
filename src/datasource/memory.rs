//! Tables held in memory.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema as ArrowSchema;

use super::convert::{batch_schema, make_batch, normalise};
use super::{BatchStream, ScanPartition, ScanRequest, TableSource, TableStatistics, statistics};
use crate::base::{Field, Result, Schema};

/// Batches held in memory, with exact statistics (distinct counts are estimates).
pub struct MemoryTable {
    schema: Schema,
    partitions: Vec<Vec<RecordBatch>>,
    statistics: TableStatistics,
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
        Ok(Arc::new(Self { schema, partitions, statistics }))
    }

    /// The batches, at most `batch_size` rows each, in partitions: those given, or where there are fewer than `threads`,
    /// runs of batches of about as many rows.
    fn repack(&self, batch_size: usize, threads: usize) -> Vec<Vec<RecordBatch>> {
        let slices = |batches: &[RecordBatch]| batches.iter().flat_map(|b| slices(b, batch_size)).collect::<Vec<_>>();
        if self.partitions.len() >= threads {
            return self.partitions.iter().map(|p| slices(p)).collect();
        }
        let all: Vec<RecordBatch> = self.partitions.iter().flat_map(|p| slices(p)).collect();
        let rows: usize = all.iter().map(RecordBatch::num_rows).sum();
        let mut packed: Vec<Vec<RecordBatch>> = vec![Vec::new()];
        let mut packed_rows = 0;
        for batch in all {
            let full = packed.len() < threads && packed_rows * threads >= rows * packed.len();
            match packed.last_mut() {
                Some(last) if !full || last.is_empty() => {
                    packed_rows += batch.num_rows();
                    last.push(batch);
                }
                _ => {
                    packed_rows += batch.num_rows();
                    packed.push(vec![batch]);
                }
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

    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        let schema = projected_schema(&self.schema, &request.columns);
        let partitions = self.repack(request.settings.batch_size(), request.settings.threads());
        Ok(partitions
            .into_iter()
            .map(|batches| {
                let columns = request.columns.clone();
                Arc::new(MemoryPartition { schema: schema.clone(), columns, batches }) as Arc<dyn ScanPartition>
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
    batches: Vec<RecordBatch>,
}

impl ScanPartition for MemoryPartition {
    fn open(&self) -> Result<BatchStream> {
        let (schema, columns) = (self.schema.clone(), self.columns.clone());
        Ok(Box::new(self.batches.clone().into_iter().map(move |batch| {
            let projected = columns.iter().map(|c| batch.column(*c).clone()).collect();
            make_batch(&schema, projected, batch.num_rows())
        })))
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.batches.iter().map(|b| b.num_rows() as u64).sum())
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
        ScanRequest { columns: columns.to_vec(), partition_filters: vec![], data_filters: vec![], settings: all }
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
