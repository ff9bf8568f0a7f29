//! Bucketed tables: rows dealt out to a fixed number of buckets by Spark's hash of some columns, each file holding rows of one bucket,
//! whose number is in its name (`part-00000-…_00003.c000.snappy.parquet`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::listing::Listing;
use super::{ScanPartition, ScanRequest, SelectedFiles, TableSource, TableStatistics};
use crate::base::{Error, ErrorClass, Result, Schema};

/// How a table is bucketed: `CLUSTERED BY (columns) SORTED BY (sort) INTO buckets BUCKETS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSpec {
    pub buckets: usize,
    pub columns: Vec<String>,
    /// By which the rows of each file are sorted, ascending.
    pub sort: Vec<String>,
}

/// Most buckets of a table, as in Spark.
const MAX_BUCKETS: usize = 100_000;

impl BucketSpec {
    /// # Errors
    /// `InvalidParameter` for a number of buckets out of range or a column named twice; `ColumnNotFound` for one that the table does
    /// not have, or has as a partition column.
    pub fn check(&self, schema: &Schema, partition_columns: usize) -> Result<()> {
        if self.buckets == 0 || self.buckets > MAX_BUCKETS {
            let message = format!("The number of buckets must be from 1 to {MAX_BUCKETS}, not {}.", self.buckets);
            return Err(Error::new(ErrorClass::InvalidParameter, message));
        }
        let columns: Vec<&str> = schema.fields[..schema.fields.len() - partition_columns].iter().map(|f| f.name.as_ref()).collect();
        for (role, names) in [("bucket", &self.columns), ("sort", &self.sort)] {
            for (i, name) in names.iter().enumerate() {
                if !columns.iter().any(|c| c.eq_ignore_ascii_case(name)) {
                    let message = format!("The {role} column `{name}` is not among the columns: {}.", columns.join(", "));
                    return Err(Error::new(ErrorClass::ColumnNotFound, message));
                }
                if names[..i].iter().any(|n| n.eq_ignore_ascii_case(name)) {
                    let message = format!("The {role} column `{name}` is named twice.");
                    return Err(Error::new(ErrorClass::InvalidParameter, message));
                }
            }
        }
        Ok(())
    }
}

/// What a table's source says of its buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucketing {
    pub spec: BucketSpec,
    /// No bucket has several files: rows of a bucket are sorted if those of its file are.
    pub single_files: bool,
}

/// What a scan wants of a bucketed table.
#[derive(Debug, Clone)]
pub struct BucketRequest {
    /// Those to read, of all; all when absent.
    pub selected: Option<Vec<bool>>,
    /// One partition for all buckets equal modulo this number; else files are packed as ever.
    pub partitions: Option<usize>,
}

impl BucketRequest {
    pub(super) fn selects(&self, bucket: usize) -> bool {
        self.selected.as_ref().is_none_or(|s| s.get(bucket).copied().unwrap_or(true))
    }

    /// Whether the file may hold rows that are wanted.
    pub(super) fn selects_file(&self, path: &Path) -> bool {
        bucket_of_file(path).is_none_or(|bucket| self.selects(bucket))
    }
}

/// The bucket in a file's name: the number after its last underscore, before any dot.
pub(super) fn bucket_of_file(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    let digits = name.rsplit_once('_')?.1.split('.').next()?;
    digits.parse().ok()
}

/// A table in files that are known to be buckets.
#[derive(Debug)]
pub(super) struct BucketedTable {
    files: Arc<dyn TableSource>,
    bucketing: Bucketing,
}

impl BucketedTable {
    /// # Errors
    /// Those of [`BucketSpec::check`]; `MalformedData` for a file whose name names no bucket of the table.
    pub fn open(files: Arc<dyn TableSource>, listing: &Listing, spec: BucketSpec) -> Result<Arc<dyn TableSource>> {
        spec.check(files.schema(), files.partition_columns())?;
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for file in &listing.files {
            match bucket_of_file(&file.path).filter(|b| *b < spec.buckets) {
                Some(bucket) => *counts.entry(bucket).or_default() += 1,
                None => {
                    let message = format!("{}: the name has no number of a bucket below {}.", file.path.display(), spec.buckets);
                    return Err(Error::new(ErrorClass::MalformedData, message));
                }
            }
        }
        let single_files = counts.values().all(|n| *n == 1);
        Ok(Arc::new(Self { files, bucketing: Bucketing { spec, single_files } }))
    }

    /// A table in memory whose partitions are the buckets.
    pub fn in_memory(partitions: Arc<dyn TableSource>, spec: BucketSpec) -> Arc<dyn TableSource> {
        Arc::new(Self { files: partitions, bucketing: Bucketing { spec, single_files: true } })
    }
}

impl TableSource for BucketedTable {
    fn schema(&self) -> &Schema {
        self.files.schema()
    }

    fn partition_columns(&self) -> usize {
        self.files.partition_columns()
    }

    fn format(&self) -> &'static str {
        self.files.format()
    }

    fn location(&self) -> String {
        self.files.location()
    }

    fn statistics(&self) -> &TableStatistics {
        self.files.statistics()
    }

    fn supports_pushdown(&self) -> bool {
        self.files.supports_pushdown()
    }

    fn bucketing(&self) -> Option<&Bucketing> {
        Some(&self.bucketing)
    }

    fn selected_files(&self, request: &ScanRequest) -> Result<Option<SelectedFiles>> {
        self.files.selected_files(request)
    }

    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        self.files.plan_scan(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_the_bucket() {
        let bucket = |name: &str| bucket_of_file(Path::new(name));
        assert_eq!(bucket("/t/part-00000-ad0f693f-1441-417e-9adf-ba88df027224_00003.c000.snappy.parquet"), Some(3));
        assert_eq!(bucket("p=1/part_7"), Some(7));
        assert_eq!(bucket("part-00000-c000.snappy.parquet"), None);
        assert_eq!(bucket("_SUCCESS"), None);
    }
}
