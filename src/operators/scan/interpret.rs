//! Interpreted face.

use std::sync::Arc;

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
use crate::rdd::{QueryContext, Rdd};

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
}

/// The partitions that the source plans.
///
/// # Errors
/// Those of [`TableSource::plan_scan`].
pub fn scan(name: impl Into<String>, scanned: &Scanned, context: &Arc<QueryContext>) -> Result<Rdd> {
    let position = |a: &Attribute| scanned.columns.iter().position(|c| c.id == a.id);
    let column = |a: &Attribute| position(a).ok_or_else(|| Error::internal(format!("the source of a scan has no column {a}")));
    let request = ScanRequest {
        columns: scanned.output.iter().map(column).collect::<Result<_>>()?,
        partition_filters: bind_all(scanned.partition_filters, scanned.columns, context)?,
        data_filters: bind_all(scanned.data_filters, scanned.columns, context)?,
        buckets: scanned.buckets.clone(),
        settings: context.settings.clone(),
    };
    let partitions = scanned.source.plan_scan(&request)?;
    let schema = arrow_schema(scanned.output);
    Ok(Rdd::new(name, partitions.len(), vec![], move |p, _| {
        let schema = schema.clone();
        Ok(Box::new(partitions[p].open()?.map(move |batch| with_schema(batch?, &schema))))
    }))
}

impl FileScan {
    /// One partition per packed split, or per bucket.
    ///
    /// # Errors
    /// Those of [`TableSource::plan_scan`].
    pub fn execute(&self, _plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let scanned = Scanned {
            source: self.source.as_ref(),
            columns: &self.table_output,
            output: &self.output,
            partition_filters: &self.partition_filters,
            data_filters: &self.data_filters,
            buckets: self.bucket_request(),
        };
        scan(format!("FileScan {}", self.name), &scanned, context)
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
