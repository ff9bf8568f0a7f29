//! Interpreted face.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{FileScan, LocalTableScan};
use crate::base::schema::arrow_schema;
use crate::base::{Attribute, Error, Result};
use crate::datasource::{BucketRequest, ScanRequest, TableSource};
use crate::expr::Expr;
use crate::expr::evaluate::scalar;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_all;
use crate::operators::stream::{batch_stream, make_batch, with_schema};
use crate::rdd::{Dependency, KeptRows, QueryContext, Rdd};

/// What is read of a source.
pub struct Scanned<'a> {
    pub source: &'a dyn TableSource,
    /// All columns of the source as attributes.
    pub columns: &'a [Attribute],
    /// Those read.
    pub output: &'a [Attribute],
    pub partition_filters: &'a [Expr],
    pub data_filters: &'a [Expr],
    pub buckets: Option<BucketRequest>,
    /// Where the rows are those of a cached query.
    pub kept: Option<Arc<dyn KeptRows>>,
}

/// The partitions that the source plans, for plan node `plan`.
///
/// # Errors
/// Those of [`TableSource::plan_scan`].
pub fn scan(name: impl Into<String>, scanned: &Scanned, plan: &SparkPlan, context: &Arc<QueryContext>) -> Result<Rdd> {
    let position = |a: &Attribute| scanned.columns.iter().position(|c| c.id == a.id);
    let column = |a: &Attribute| position(a).ok_or_else(|| Error::internal(format!("the source of a scan has no column {a}")));
    let request = ScanRequest {
        columns: scanned.output.iter().map(column).collect::<Result<_>>()?,
        partition_filters: bind_all(scanned.partition_filters, scanned.columns, context)?,
        data_filters: bind_all(scanned.data_filters, scanned.columns, context)?,
        buckets: scanned.buckets.clone(),
        settings: context.settings.clone(),
    };
    let start = Instant::now();
    let partitions = scanned.source.plan_scan(&request)?;
    if let Some(files) = scanned.source.selected_files(&request)? {
        context.metric(plan.id, "metadataTime").fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        // A compiled stage plans the scan once more for the interpreter, in case.
        context.metric(plan.id, "numFiles").store(files.files, Relaxed);
        context.metric(plan.id, "filesSize").store(files.bytes, Relaxed);
        if scanned.source.partition_columns() > 0 {
            context.metric(plan.id, "numPartitions").store(files.partitions, Relaxed);
        }
    }
    let (schema, time) = (arrow_schema(scanned.output), context.metric(plan.id, "scanTime"));
    let dependencies = scanned.kept.iter().cloned().map(Dependency::Kept).collect();
    Ok(Rdd::new(name, partitions.len(), dependencies, move |p, _| {
        let (schema, time) = (schema.clone(), time.clone());
        let mut batches = partitions[p].open()?;
        let timed = std::iter::from_fn(move || {
            let start = Instant::now();
            let batch = batches.next();
            time.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
            batch
        });
        Ok(Box::new(timed.map(move |batch| with_schema(batch?, &schema))))
    }))
}

impl FileScan {
    /// One partition per packed split, or per bucket.
    ///
    /// # Errors
    /// Those of [`TableSource::plan_scan`].
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let scanned = Scanned {
            source: self.source.as_ref(),
            columns: &self.table_output,
            output: &self.output,
            partition_filters: &self.partition_filters,
            data_filters: &self.data_filters,
            buckets: self.bucket_request(),
            kept: None,
        };
        scan(format!("FileScan {}", self.name), &scanned, plan, context)
    }
}

impl LocalTableScan {
    /// All rows in one batch.
    ///
    /// # Errors
    /// `Internal` when a value is not of its column's type.
    pub fn batch(&self) -> Result<RecordBatch> {
        let schema: SchemaRef = arrow_schema(&self.output);
        let columns = (0..self.output.len())
            .map(|c| {
                let cells: Vec<_> = self.rows.iter().map(|row| row[c].clone()).collect();
                scalar::list_to_array(&cells, &self.output[c].data_type)
            })
            .collect::<Result<_>>()?;
        make_batch(&schema, columns, self.rows.len())
    }

    /// The rows in even slices, at most one per worker thread.
    ///
    /// # Errors
    /// Those of [`Self::batch`].
    pub fn execute(&self, _plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let batch = self.batch()?;
        let rows = batch.num_rows();
        let (partitions, batch_size) = (rows.clamp(1, context.settings.threads()), context.settings.batch_size());
        Ok(Rdd::new("LocalTableScan", partitions, vec![], move |p, _| {
            let (start, end) = (p * rows / partitions, (p + 1) * rows / partitions);
            Ok(batch_stream(batch.slice(start, end - start), batch_size))
        }))
    }
}

/// One row without columns.
pub fn one_row() -> Rdd {
    Rdd::new("OneRowScan", 1, vec![], |_, _| Ok(Box::new(std::iter::once(make_batch(&arrow_schema(&[]), vec![], 1)))))
}
