//! Floor 3: where rows come from and go to: Parquet, CSV, NDJSON, Arrow IPC, memory.
//!
//! A format is one file with a [`TableSource`]. A scan is planned ([`TableSource::plan_scan`]: files listed and pruned, splits
//! packed into partitions) and then opened partition by partition.

mod arrow_ipc;
mod buckets;
mod chunked;
mod convert;
mod csv;
pub mod generate;
mod json;
mod listing;
mod memory;
mod open;
mod packing;
mod parquet;
mod prune;
mod statistics;
mod summary;
pub mod write;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::base::{Result, Scalar, Schema, Settings};
use crate::expr::Expr;

pub use buckets::{BucketRequest, BucketSpec, Bucketing};
pub use convert::{make_batch, normalise};
pub use memory::MemoryTable;
pub use open::{FileTable, list_folder, open_folder, open_path};
pub use summary::{Block, Summary};

/// Batches in the representation of [`crate::base::DataType::to_arrow`], pulled one at a time.
pub type BatchStream = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table that can be scanned.
pub trait TableSource: Debug + Send + Sync {
    /// All columns: data columns first, then partition columns.
    fn schema(&self) -> &Schema;

    /// How many of the last columns of [`Self::schema`] are partition columns.
    fn partition_columns(&self) -> usize {
        0
    }

    /// `parquet`, `csv`, `json`, `arrow` or `memory`.
    fn format(&self) -> &'static str;

    /// As EXPLAIN shows it: `InMemoryFileIndex(1 paths)[file:/d/orders]`; empty for memory.
    fn location(&self) -> String;

    /// What is known of the data without reading it.
    fn statistics(&self) -> &TableStatistics;

    /// How the rows are dealt out to buckets, if they are.
    fn bucketing(&self) -> Option<&Bucketing> {
        None
    }

    /// Whether the reader can skip data by `filters` (they stay advisory: the plan filters again).
    fn supports_pushdown(&self) -> bool {
        false
    }

    /// Lists and prunes what is to be read and packs it into partitions. Reads no rows.
    ///
    /// # Errors
    /// `PathNotFound`, `Io`, `MalformedData`, naming the file.
    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>>;

    /// The files that such a scan reads, parts of files pruned by data filters aside; `None` where there are no files.
    ///
    /// # Errors
    /// Those of evaluating the filters over partition columns.
    fn selected_files(&self, _request: &ScanRequest) -> Result<Option<SelectedFiles>> {
        Ok(None)
    }
}

/// How much a scan selects of a table's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SelectedFiles {
    pub files: u64,
    /// Of whole files.
    pub bytes: u64,
    /// Combinations of partition values; 1 without partition columns.
    pub partitions: u64,
}

/// What a scan is asked for.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Positions in the table's schema, in output order.
    pub columns: Vec<usize>,
    /// Conjuncts over partition columns only, bound to the table's schema; the source must apply them exactly.
    pub partition_filters: Vec<Expr>,
    /// Conjuncts bound to the table's schema by which the source may skip rows; the plan filters again.
    pub data_filters: Vec<Expr>,
    /// Of a bucketed table.
    pub buckets: Option<BucketRequest>,
    pub settings: Settings,
}

/// One partition of a planned scan; may be opened several times (retries).
pub trait ScanPartition: Debug + Send + Sync {
    /// # Errors
    /// `PathNotFound`, `Io`, `MalformedData`, naming the file.
    fn open(&self) -> Result<BatchStream>;

    /// Rows, where known: exactly where the scan has no data filters, else an upper bound.
    fn row_count(&self) -> Option<u64> {
        None
    }
}

/// Statistics of a table, from file footers or memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableStatistics {
    /// Size of the data as stored (files) or held (memory), in bytes.
    pub size_bytes: u64,
    pub row_count: Option<u64>,
    /// Per column of the schema; may be shorter.
    pub columns: Vec<ColumnStatistics>,
}

/// Statistics of a column; bounds are of the column's type and hold for every value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnStatistics {
    pub min: Option<Scalar>,
    pub max: Option<Scalar>,
    pub null_count: Option<u64>,
    pub distinct_count: Option<u64>,
    /// Bytes of the shortest and of the longest string.
    pub length: Option<(u64, u64)>,
}

impl PartialEq for dyn TableSource {
    /// The same object.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self, other)
    }
}

/// A table for tests of planning: a schema and what is known of the data, and nothing to read.
#[cfg(test)]
#[derive(Debug)]
pub struct Described {
    pub schema: Schema,
    pub statistics: TableStatistics,
}

#[cfg(test)]
impl TableSource for Described {
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

    fn plan_scan(&self, _: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        Ok(vec![])
    }
}
