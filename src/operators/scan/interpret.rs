//! Interpreted face.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{FileScan, LocalTableScan};
use crate::base::schema::arrow_schema;
use crate::base::{Error, Result};
use crate::datasource::ScanRequest;
use crate::expr::evaluate::scalar;
use crate::operators::SparkPlan;
use crate::operators::execute::bind_all;
use crate::operators::stream::{batch_stream, make_batch, with_schema};
use crate::rdd::{QueryContext, Rdd};

impl FileScan {
    /// One partition per packed split.
    ///
    /// # Errors
    /// Those of [`crate::datasource::TableSource::plan_scan`].
    pub fn execute(&self, _plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let position = |id| self.table_output.iter().position(|t| t.id == id);
        let columns = self
            .output
            .iter()
            .map(|a| position(a.id).ok_or_else(|| Error::internal(format!("table {} has no column {a}", self.name))))
            .collect::<Result<_>>()?;
        let request = ScanRequest {
            columns,
            partition_filters: bind_all(&self.partition_filters, &self.table_output, context)?,
            data_filters: bind_all(&self.data_filters, &self.table_output, context)?,
            settings: context.settings.clone(),
        };
        let partitions = self.source.plan_scan(&request)?;
        let schema = arrow_schema(&self.output);
        Ok(Rdd::new(format!("FileScan {}", self.name), partitions.len(), vec![], move |p, _| {
            let schema = schema.clone();
            Ok(Box::new(partitions[p].open()?.map(move |batch| with_schema(batch?, &schema))))
        }))
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
