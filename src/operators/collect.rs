//! Actions: from a plan to rows.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::limit::limited;
use super::{CollectLimit, Operator, SparkPlan};
use crate::base::settings::{DRIVER_MAX_RESULT_SIZE, LIMIT_INITIAL_NUM_PARTITIONS, LIMIT_SCALE_UP_FACTOR};
use crate::base::{Error, ErrorClass, Result};
use crate::rdd::{QueryContext, data_size};

/// All rows, in order of partitions, by one job. A limit at the root takes no more partitions than it needs, and literal rows
/// need no job.
///
/// # Errors
/// Those of the query; `ResourceExhausted` when the rows are larger than `driver.maxResultSize`.
pub fn execute_collect(plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Vec<RecordBatch>> {
    match &plan.operator {
        Operator::CollectLimit(CollectLimit { limit, offset }) => {
            let rows = match limit {
                Some(limit) => execute_take(plan.child(), *limit, context)?,
                None => execute_collect(plan.child(), context)?,
            };
            Ok(skip(rows, *offset))
        }
        Operator::LocalTableScan(scan) => Ok(vec![scan.batch()?]),
        _ => {
            plan.prepare(context)?;
            let rdd = plan.execute(context)?;
            let partitions: Vec<usize> = (0..rdd.num_partitions()).collect();
            let rows: Vec<_> = context.runner.run_job(&rdd, &partitions, context)?.into_iter().flatten().collect();
            check_size(&rows, context)?;
            Ok(rows)
        }
    }
}

/// The first `n` rows: a job over the first partition, then over more and more, as the rows found so far suggest.
///
/// # Errors
/// Those of the query.
pub fn execute_take(plan: &Arc<SparkPlan>, n: u64, context: &Arc<QueryContext>) -> Result<Vec<RecordBatch>> {
    if n == 0 {
        return Ok(vec![]);
    }
    match &plan.operator {
        Operator::CollectLimit(CollectLimit { limit: None, offset }) => {
            return Ok(skip(execute_take(plan.child(), n.saturating_add(*offset), context)?, *offset));
        }
        Operator::CollectLimit(CollectLimit { limit: Some(limit), offset }) => {
            let rows = execute_take(plan.child(), n.saturating_add(*offset).min(*limit), context)?;
            return Ok(skip(rows, *offset));
        }
        Operator::LocalTableScan(scan) => {
            let rows = scan.batch()?;
            return Ok(vec![rows.slice(0, rows.num_rows().min(n as usize))]);
        }
        _ => {}
    }
    plan.prepare(context)?;
    let rdd = limited(&plan.execute(context)?, "Take", Some(n), 0);
    let total = rdd.num_partitions();
    let (mut scanned, mut found, mut rows) = (0, 0u64, vec![]);
    while found < n && scanned < total {
        let partitions: Vec<usize> = (scanned..scanned.saturating_add(next_partitions(n, scanned, found, context)).min(total)).collect();
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

/// How many partitions the next job scans for `n` rows, of which those scanned so far gave `found`.
fn next_partitions(n: u64, scanned: usize, found: u64, context: &QueryContext) -> usize {
    if scanned == 0 {
        return context.settings.int(&LIMIT_INITIAL_NUM_PARTITIONS).max(1) as usize;
    }
    let most = scanned.saturating_mul(context.settings.int(&LIMIT_SCALE_UP_FACTOR).max(2) as usize);
    if found == 0 { most } else { most.min((1.5 * (n - found) as f64 * scanned as f64 / found as f64).ceil() as usize) }
}

/// The last `n` rows, in order: as [`execute_take`], from the last partition backwards.
///
/// # Errors
/// Those of the query.
pub fn execute_tail(plan: &Arc<SparkPlan>, n: u64, context: &Arc<QueryContext>) -> Result<Vec<RecordBatch>> {
    if n == 0 {
        return Ok(vec![]);
    }
    if matches!(plan.operator, Operator::CollectLimit(_) | Operator::LocalTableScan(_)) {
        return Ok(last(execute_collect(plan, context)?, n));
    }
    plan.prepare(context)?;
    let rdd = plan.execute(context)?.map_partitions("Tail", move |_, input, _| {
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

/// The last `n` of some rows.
fn last(rows: Vec<RecordBatch>, n: u64) -> Vec<RecordBatch> {
    let total: u64 = rows.iter().map(|b| b.num_rows() as u64).sum();
    skip(rows, total.saturating_sub(n))
}

/// The rows partition by partition, each by a job of its own when it is reached.
///
/// # Errors
/// Those of describing the computation; the iterator gives those of running it.
pub fn execute_to_iterator(
    plan: &Arc<SparkPlan>,
    context: &Arc<QueryContext>,
) -> Result<Box<dyn Iterator<Item = Result<Vec<RecordBatch>>> + Send>> {
    plan.prepare(context)?;
    let (rdd, context) = (plan.execute(context)?, context.clone());
    Ok(Box::new((0..rdd.num_partitions()).map(move |p| Ok(context.runner.run_job(&rdd, &[p], &context)?.into_iter().flatten().collect()))))
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

fn check_size(rows: &[RecordBatch], context: &QueryContext) -> Result<()> {
    let limit = context.settings.bytes(&DRIVER_MAX_RESULT_SIZE);
    if limit <= 0 {
        return Ok(());
    }
    let size: usize = rows.iter().map(data_size).sum();
    if size as i128 > i128::from(limit) {
        return Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!("Total size of results ({size} bytes) is bigger than driver.maxResultSize ({limit} bytes)."),
        ));
    }
    Ok(())
}
