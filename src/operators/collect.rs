//! Actions: from a plan to rows.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, Schema};
use arrow::row::{RowConverter, SortField};

use super::execute::bind;
use super::limit::limited;
use super::metrics::OUTPUT_ROWS;
use super::{CollectLimit, Operator, SparkPlan};
use crate::base::settings::{LIMIT_INITIAL_NUM_PARTITIONS, LIMIT_SCALE_UP_FACTOR};
use crate::base::{DataType, Error, Result};
use crate::expr::{Expr, evaluate::evaluate};
use crate::rdd::QueryContext;

impl SparkPlan {
    /// All rows, in order of partitions, by one job. A limit at the root takes no more partitions than it needs, and literal rows
    /// need no job.
    ///
    /// # Errors
    /// Those of the query; `ResourceExhausted` when the rows are larger than `driver.maxResultSize`.
    pub fn execute_collect(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<Vec<RecordBatch>> {
        match &self.operator {
            Operator::CollectLimit(CollectLimit { limit, offset }) => {
                let rows = match limit {
                    Some(limit) => self.child().execute_take(*limit, context)?,
                    None => self.child().execute_collect(context)?,
                };
                Ok(skip(rows, *offset))
            }
            Operator::LocalTableScan(scan) => {
                let rows = scan.batch()?;
                context.metric(self.id, OUTPUT_ROWS).fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
                Ok(vec![rows])
            }
            _ => {
                let rdd = self.execute(context)?;
                let partitions: Vec<usize> = (0..rdd.num_partitions()).collect();
                Ok(context.runner.run_job(&rdd, &partitions, context)?.into_iter().flatten().collect())
            }
        }
    }

    /// The first `n` rows: a job over the first partition, then over more and more, as the rows found so far suggest.
    ///
    /// # Errors
    /// Those of the query.
    pub fn execute_take(self: &Arc<Self>, n: u64, context: &Arc<QueryContext>) -> Result<Vec<RecordBatch>> {
        if n == 0 {
            return Ok(vec![]);
        }
        match &self.operator {
            Operator::CollectLimit(CollectLimit { limit: None, offset }) => {
                return Ok(skip(self.child().execute_take(n.saturating_add(*offset), context)?, *offset));
            }
            Operator::CollectLimit(CollectLimit { limit: Some(limit), offset }) => {
                let rows = self.child().execute_take(n.saturating_add(*offset).min(*limit), context)?;
                return Ok(skip(rows, *offset));
            }
            Operator::LocalTableScan(scan) => {
                let rows = scan.batch()?;
                let taken = rows.slice(0, rows.num_rows().min(n as usize));
                context.metric(self.id, OUTPUT_ROWS).fetch_add(taken.num_rows() as u64, Ordering::Relaxed);
                return Ok(vec![taken]);
            }
            _ => {}
        }
        let rdd = limited(&self.execute(context)?, "Take", Some(n), 0);
        let total = rdd.num_partitions();
        let (mut scanned, mut found, mut rows) = (0, 0u64, vec![]);
        while found < n && scanned < total {
            let partitions: Vec<usize> =
                (scanned..scanned.saturating_add(next_partitions(n, scanned, found, context)).min(total)).collect();
            for batch in context.runner.run_job(&rdd, &partitions, context)?.into_iter().flatten() {
                let wanted = (n - found).min(batch.num_rows() as u64);
                if wanted > 0 {
                    rows.push(batch.slice(0, wanted as usize));
                    found += wanted;
                }
            }
            scanned += partitions.len();
        }
        Ok(rows)
    }

    /// The last `n` rows, in order: as [`Self::execute_take`], from the last partition backwards.
    ///
    /// # Errors
    /// Those of the query.
    pub fn execute_tail(self: &Arc<Self>, n: u64, context: &Arc<QueryContext>) -> Result<Vec<RecordBatch>> {
        if n == 0 {
            return Ok(vec![]);
        }
        if matches!(self.operator, Operator::CollectLimit(_) | Operator::LocalTableScan(_)) {
            return Ok(last(self.execute_collect(context)?, n));
        }
        let rdd = self.execute(context)?.map_partitions("Tail", move |_, input, _| {
            // What is certainly not among the last rows is let go as rows come.
            let (mut kept, mut rows) = (VecDeque::new(), 0);
            for batch in input {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                kept.push_back(batch);
                while let Some(first) = kept.front().map(|b: &RecordBatch| b.num_rows() as u64).filter(|first| rows - first >= n) {
                    rows -= first;
                    kept.pop_front();
                }
            }
            Ok(Box::new(last(kept.into(), n).into_iter().map(Ok)))
        });
        let total = rdd.num_partitions();
        let (mut scanned, mut found, mut rows) = (0, 0, vec![]);
        while found < n && scanned < total {
            let tried = next_partitions(n, scanned, found, context).min(total - scanned);
            let partitions: Vec<usize> = (total - scanned - tried..total - scanned).collect();
            let batches = context.runner.run_job(&rdd, &partitions, context)?.into_iter().flatten();
            rows = last(batches.chain(rows).collect(), n);
            found = rows.iter().map(|b| b.num_rows() as u64).sum();
            scanned += tried;
        }
        Ok(rows)
    }

    /// The rows partition by partition, each by a job of its own when it is reached.
    ///
    /// # Errors
    /// Those of describing the computation; the iterator gives those of running it.
    pub fn execute_to_iterator(
        self: &Arc<Self>,
        context: &Arc<QueryContext>,
    ) -> Result<Box<dyn Iterator<Item = Result<Vec<RecordBatch>>> + Send>> {
        let (rdd, context) = (self.execute(context)?, context.clone());
        Ok(Box::new(
            (0..rdd.num_partitions()).map(move |p| Ok(context.runner.run_job(&rdd, &[p], &context)?.into_iter().flatten().collect())),
        ))
    }

    /// How many rows there are, and the rows: all computed by one job, so that they are counted before anyone looks at them.
    ///
    /// # Errors
    /// As [`Self::execute_collect`].
    pub fn execute_collect_iterator(
        self: &Arc<Self>,
        context: &Arc<QueryContext>,
    ) -> Result<(u64, impl Iterator<Item = RecordBatch> + use<>)> {
        let rows = self.execute_collect(context)?;
        Ok((rows.iter().map(|b| b.num_rows() as u64).sum(), rows.into_iter()))
    }

    /// The value of this plan as a scalar subquery, a column of one row: NULL where it gives no row.
    ///
    /// # Errors
    /// Those of the query; `ScalarSubqueryTooManyRows` for more than one row.
    pub fn execute_scalar(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<ArrayRef> {
        let batches = self.execute_take(2, context)?;
        if batches.iter().map(RecordBatch::num_rows).sum::<usize>() > 1 {
            return Err(Error::scalar_subquery_too_many_rows());
        }
        match batches.iter().find(|b| b.num_rows() > 0) {
            Some(batch) => Ok(batch.column(0).clone()),
            None => {
                let output = self.output();
                let column = output.first().ok_or_else(|| Error::internal("a scalar subquery without a column"))?;
                Ok(new_null_array(&column.data_type.to_arrow(), 1))
            }
        }
    }

    /// The values of the only column, each once.
    ///
    /// # Errors
    /// Those of the query.
    pub fn execute_values(self: &Arc<Self>, context: &Arc<QueryContext>) -> Result<ArrayRef> {
        let output = self.output();
        let column = output.first().ok_or_else(|| Error::internal("a subquery for values without a column"))?;
        distinct(self.execute_collect(context)?.iter().map(|b| b.column(0).clone()).collect(), &column.data_type)
    }

    /// The values of `key`, over the columns of this broadcast, each once.
    ///
    /// # Errors
    /// Those of [`Self::execute_broadcast`] and of evaluating the key.
    pub fn execute_broadcast_key(self: &Arc<Self>, key: &Expr, context: &Arc<QueryContext>) -> Result<ArrayRef> {
        let bound = bind(key, &self.output(), context)?;
        let schema = Arc::new(Schema::new(vec![Field::new("key", key.data_type().to_arrow(), true)]));
        let keys = self.execute_broadcast(context)?.rows.map_partitions("Keys", move |_, rows, _| {
            let (bound, schema) = (bound.clone(), schema.clone());
            Ok(Box::new(rows.map(move |batch| Ok(RecordBatch::try_new(schema.clone(), vec![evaluate(&bound, &batch?)?])?))))
        });
        let keys = context.runner.run_job(&keys, &[0], context)?.into_iter().flatten();
        distinct(keys.map(|batch| batch.column(0).clone()).collect(), &key.data_type())
    }
}

/// Each of the values once.
fn distinct(parts: Vec<ArrayRef>, data_type: &DataType) -> Result<ArrayRef> {
    let arrow = data_type.to_arrow();
    let converter = RowConverter::new(vec![SortField::new(arrow.clone())])?;
    let mut seen = HashSet::new();
    let mut kept = vec![new_empty_array(&arrow)];
    for part in &parts {
        let rows = converter.convert_columns(std::slice::from_ref(part))?;
        let new = (0..part.len() as u32).filter(|i| seen.insert(rows.row(*i as usize).owned()));
        kept.push(take(part, &UInt32Array::from_iter_values(new), None)?);
    }
    Ok(concat(&kept.iter().map(|a| a.as_ref()).collect::<Vec<_>>())?)
}

/// How many partitions the next job scans for `n` rows, of which those scanned so far gave `found`.
fn next_partitions(n: u64, scanned: usize, found: u64, context: &QueryContext) -> usize {
    if scanned == 0 {
        return context.settings.int(&LIMIT_INITIAL_NUM_PARTITIONS).max(1) as usize;
    }
    let most = scanned.saturating_mul(context.settings.int(&LIMIT_SCALE_UP_FACTOR).max(2) as usize);
    if found == 0 { most } else { most.min((1.5 * (n - found) as f64 * scanned as f64 / found as f64).ceil() as usize) }
}

/// The last `n` of some rows.
fn last(rows: Vec<RecordBatch>, n: u64) -> Vec<RecordBatch> {
    let total: u64 = rows.iter().map(|b| b.num_rows() as u64).sum();
    skip(rows, total.saturating_sub(n))
}

fn skip(rows: Vec<RecordBatch>, mut offset: u64) -> Vec<RecordBatch> {
    rows.into_iter()
        .filter_map(|batch| {
            let skipped = offset.min(batch.num_rows() as u64);
            offset -= skipped;
            let left = batch.num_rows() - skipped as usize;
            (left > 0).then(|| batch.slice(skipped as usize, left))
        })
        .collect()
}
