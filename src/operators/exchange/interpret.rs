//! Interpreted face of Exchange and ReusedExchange.

use std::sync::{Arc, Mutex};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema};

use super::Exchange;
use crate::base::random::XorShiftRandom;
use crate::base::schema::arrow_schema;
use crate::base::settings::SAMPLE_SIZE_PER_PARTITION;
use crate::base::{Error, Result};
use crate::expr::SortOrder;
use crate::expr::evaluate::evaluate_all;
use crate::operators::execute::{bind_all, bind_orders};
use crate::operators::sort::SortKeys;
use crate::operators::stream::{coalesced, make_batch, with_schema};
use crate::operators::{Partitioning, ReusedExchange, SparkPlan};
use crate::rdd::{Partitioner, QueryContext, Rdd, ShuffleDependency};

/// The shuffle of an exchange, made when the first of its users executes.
type SharedShuffle = Mutex<Option<Arc<ShuffleDependency>>>;

impl Exchange {
    /// # Errors
    /// Those of the child, of binding, and for ranges of computing the child's rows.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let shuffled = self.dependency(plan, context)?.shuffled();
        let schema = arrow_schema(&plan.output());
        let batch_size = context.settings.batch_size();
        // Each map batch was cut into as many pieces as there are reducers: small ones are put together.
        Ok(shuffled.map_partitions("Exchange", move |_, input, _| {
            Ok(coalesced(input, schema.clone(), batch_size, |buffer, batch| Ok(buffer.push_batch(batch)?)))
        }))
    }

    /// The shuffle of the exchange `plan`, the same one each time in one query.
    ///
    /// # Errors
    /// See [`Self::execute`].
    pub fn dependency(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Arc<ShuffleDependency>> {
        let shared = context.shared(plan.id, SharedShuffle::default);
        let mut shared = shared.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(made) = &*shared {
            return Ok(made.clone());
        }
        let child = plan.child();
        let (input, rdd) = (child.output(), child.execute(context)?);
        let made = match &self.partitioning {
            Partitioning::Single => ShuffleDependency::new(plan.id, rdd, Partitioner::Single),
            Partitioning::RoundRobin(partitions) => {
                ShuffleDependency::new(plan.id, rdd, Partitioner::RoundRobin { partitions: *partitions })
            }
            Partitioning::Hash { exprs, partitions } => ShuffleDependency::new(
                plan.id,
                rdd,
                Partitioner::Hash { exprs: bind_all(exprs, &input, context)?, partitions: *partitions },
            ),
            Partitioning::Range { order, partitions } => {
                let order = bind_orders(order, &input, context)?;
                let (rdd, bounds) = range_bounds(plan.id, rdd, &order, *partitions, context)?;
                ShuffleDependency::new(plan.id, rdd, Partitioner::Range { order, bounds })
            }
            other @ (Partitioning::Unknown(_) | Partitioning::Collection(_) | Partitioning::Broadcast(_)) => {
                return Err(Error::internal(format!("an exchange cannot deal out rows by {other:?}")));
            }
        };
        *shared = Some(made.clone());
        Ok(made)
    }
}

impl ReusedExchange {
    /// The rows of the exchange it stands for, shuffled once for all users.
    ///
    /// # Errors
    /// Those of that exchange.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let schema = arrow_schema(&self.output);
        Ok(plan.child().execute(context)?.map_partitions("ReusedExchange", move |_, input, _| {
            let schema = schema.clone();
            Ok(Box::new(input.map(move |batch| with_schema(batch?, &schema))))
        }))
    }
}

/// Computes all rows and finds at most `partitions - 1` bounds that cut them into ranges of about equal size.
///
/// Spark samples by computing the input once more; the rows are kept here instead, by a shuffle that leaves each partition as it is.
fn range_bounds(node: u64, rdd: Rdd, order: &[SortOrder], partitions: usize, context: &Arc<QueryContext>) -> Result<(Rdd, RecordBatch)> {
    let same = Partitioner::Same { partitions: rdd.num_partitions() };
    let kept = ShuffleDependency::new(node, rdd, same);
    let rows = kept.shuffled();
    let exprs: Vec<_> = order.iter().map(|o| o.expr.clone()).collect();
    let fields: Vec<Field> = exprs.iter().enumerate().map(|(i, e)| Field::new(format!("key{i}"), e.data_type().to_arrow(), true)).collect();
    let schema = Arc::new(Schema::new(fields));

    // A job of no partition runs the map stage.
    context.runner.run_job(&rows, &[], context)?;
    let total = kept.rows().unwrap_or(0);
    let wanted = (context.settings.int(&SAMPLE_SIZE_PER_PARTITION).max(1) as u64).saturating_mul(partitions as u64).min(1_000_000);
    let mut sample = vec![RecordBatch::new_empty(schema.clone())];
    if partitions > 1 {
        let key_schema = schema.clone();
        let keys = rows.map_partitions("Sample", move |p, input, _| {
            let (exprs, schema) = (exprs.clone(), key_schema.clone());
            let mut random = XorShiftRandom::new(p as i64);
            Ok(Box::new(input.map(move |batch| {
                let mut batch = batch?;
                if total > wanted {
                    let share = wanted as f64 / total as f64;
                    let rows = (0..batch.num_rows() as u32).filter(|_| random.next_f64() < share);
                    batch = take_record_batch(&batch, &UInt32Array::from_iter_values(rows))?;
                }
                make_batch(&schema, evaluate_all(&exprs, &batch)?, batch.num_rows())
            })))
        });
        let all: Vec<usize> = (0..keys.num_partitions()).collect();
        sample.extend(context.runner.run_job(&keys, &all, context)?.into_iter().flatten());
    }
    let sample = concat_batches(&schema, &sample)?;
    let encoded = SortKeys::new(order)?.encode(sample.columns(), sample.num_rows())?;
    let sorted = encoded.sorted(None)?;
    let mut bounds: Vec<u32> = (1..partitions).filter_map(|i| sorted.get((i * sorted.len() / partitions).max(1) - 1).copied()).collect();
    bounds.dedup_by(|b, a| encoded.compare(*a as usize, *b as usize).is_eq());
    Ok((rows, take_record_batch(&sample, &UInt32Array::from(bounds))?))
}
