//! Interpreted face: rows come sorted, so of each run of rows with equal partition keys a prefix stays.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;

use super::WindowGroupLimit;
use crate::base::Result;
use crate::expr::evaluate::evaluate_all;
use crate::expr::window::RankingFunction;
use crate::expr::{Expr, GroupLimit};
use crate::operators::SparkPlan;
use crate::operators::execute::bind;
use crate::operators::window::groups::{Chunk, continues, slice};
use crate::rdd::{QueryContext, Rdd};

impl WindowGroupLimit {
    /// # Errors
    /// Those of the child and of binding expressions.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        let input = plan.child().output();
        let group = Arc::new(self.group.clone().map_expressions(&mut |e| bind(&e, &input, context))?);
        Ok(plan.child().execute(context)?.map_partitions("WindowGroupLimit", move |_, input, _| {
            let mut ranks = Ranks::new(group.clone());
            Ok(Box::new(input.map(move |batch| ranks.limited(batch?))))
        }))
    }
}

/// Ranks the rows of a sorted stream, batch by batch.
struct Ranks {
    group: Arc<GroupLimit>,
    order_by: Vec<Expr>,
    /// The keys of the last row so far.
    last: Option<Keys>,
    position: Position,
}

struct Keys {
    partition: Vec<ArrayRef>,
    order: Vec<ArrayRef>,
}

/// Where the last row stands in its window partition.
#[derive(Default)]
struct Position {
    /// Rows up to and including it.
    rows: u64,
    rank: u64,
}

impl Ranks {
    fn new(group: Arc<GroupLimit>) -> Self {
        // Row numbers do not depend on who is equal in the ordering.
        let order_by = match group.function {
            RankingFunction::RowNumber => vec![],
            _ => group.order_by.iter().map(|o| o.expr.clone()).collect(),
        };
        Self { group, order_by, last: None, position: Position::default() }
    }

    /// The rows whose rank is within the limit.
    fn limited(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let count = batch.num_rows();
        if count == 0 {
            return Ok(batch);
        }
        let keys = Keys { partition: evaluate_all(&self.group.partition_by, &batch)?, order: evaluate_all(&self.order_by, &batch)? };
        let (mut same_partition, mut same_peers) = match &self.last {
            Some(last) => {
                let same_partition = continues(&last.partition, &keys.partition)?;
                (same_partition, same_partition && continues(&last.order, &keys.order)?)
            }
            None => (false, false),
        };
        self.last = Some(Keys { partition: slice(&keys.partition, count - 1), order: slice(&keys.order, count - 1) });
        let chunk = Chunk::new(batch, &keys.partition, keys.order)?;
        let mut kept = BooleanBufferBuilder::new(count);
        for (rows, peers) in chunk.peers_by_partition() {
            if !std::mem::take(&mut same_partition) {
                self.position = Position::default();
            }
            let kept_rows = match self.group.function {
                RankingFunction::RowNumber => {
                    let left = self.group.limit.saturating_sub(self.position.rows);
                    self.position.rows += rows.len() as u64;
                    rows.len().min(usize::try_from(left).unwrap_or(usize::MAX))
                }
                function => {
                    let mut end = rows.start;
                    for run in peers {
                        if !std::mem::take(&mut same_peers) {
                            let dense = function == RankingFunction::DenseRank;
                            self.position.rank = if dense { self.position.rank + 1 } else { self.position.rows + 1 };
                        }
                        self.position.rows += run.len() as u64;
                        if self.position.rank <= self.group.limit {
                            end = run.end;
                        }
                    }
                    end - rows.start
                }
            };
            kept.append_n(kept_rows, true);
            kept.append_n(rows.len() - kept_rows, false);
        }
        Ok(filter_record_batch(&chunk.rows, &BooleanArray::new(kept.finish(), None))?)
    }
}
