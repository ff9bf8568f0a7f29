//! Interpreted face of BroadcastHashJoin and ShuffledHashJoin.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{filter_record_batch, is_not_null};
use arrow::datatypes::SchemaRef;

use super::chunks::Find;
use super::matches::{Candidates, Joiner};
use super::partitioned::Partitioned;
use super::rows::{Build, join_rows};
use super::{BuildSide, HashJoin, JoinIndex};
use crate::base::schema::arrow_schema;
use crate::base::{Error, Result};
use crate::expr::Expr;
use crate::expr::evaluate::evaluate_all;
use crate::logical::JoinType;
use crate::operators::execute::bind_all;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::{BatchStream, Dependency, QueryContext, Rdd, TaskContext};

/// What all tasks of a hash join share.
pub struct Shared {
    pub joiner: Arc<Joiner>,
    pub build_keys: Vec<Expr>,
    pub stream_keys: Arc<Vec<Expr>>,
    pub build_schema: SchemaRef,
    pub null_aware: bool,
}

impl HashJoin {
    /// # Errors
    /// Those of the children, of the broadcast, and of binding expressions.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        self.execute_columns(plan, &(0..plan.output().len()).collect::<Vec<_>>(), context)
    }

    /// Only these columns of the output, ascending: a projection above spares copying the others.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_columns(&self, plan: &Arc<SparkPlan>, columns: &[usize], context: &Arc<QueryContext>) -> Result<Rdd> {
        let shared = self.shared(plan, columns, context)?;
        let build = &plan.children[self.build.index()];
        let stream = plan.children[self.build.stream().index()].execute(context)?;
        if matches!(plan.operator, Operator::BroadcastHashJoin(_)) {
            if shared.joiner.tracks_build() {
                return Err(Error::internal(format!("a broadcast join cannot preserve its build side ({:?})", self.join_type)));
            }
            let relation = build.execute_broadcast(context)?;
            let join = Arc::new(Partitioned::new(shared, plan, columns, context)?);
            let mut dependencies = vec![Dependency::Narrow(stream.clone())];
            dependencies.extend_from_slice(relation.rows.dependencies());
            return Ok(Rdd::new("BroadcastHashJoin", stream.num_partitions(), dependencies, move |p, task| {
                let rows = stream.compute(p, task)?;
                match relation.join_index(&join.shared.build_keys, task)? {
                    Some(index) => Ok(join.shared.join(index, rows, task)),
                    None => join.join(relation.rows.compute(0, task)?, rows, task),
                }
            }));
        }
        if shared.null_aware {
            return Err(Error::internal("a null-aware anti join has all build rows in one place"));
        }
        let build = build.execute(context)?;
        let join = Arc::new(Partitioned::new(shared, plan, columns, context)?);
        Ok(stream.zip_partitions(&build, "ShuffledHashJoin", move |_, rows, build_rows, task| join.join(build_rows, rows, task)))
    }

    fn shared(&self, plan: &SparkPlan, columns: &[usize], context: &QueryContext) -> Result<Shared> {
        let outputs = [plan.children[0].output(), plan.children[1].output()];
        let null_aware = self.join_type == JoinType::NullAwareAnti;
        if null_aware && (self.left_keys.len() != 1 || self.condition.is_some() || self.build == BuildSide::Left) {
            return Err(Error::internal("a null-aware anti hash join has one key, no further condition, and builds on the right"));
        }
        let keys = |side: BuildSide| bind_all(self.keys(side), &outputs[side.index()], context);
        Ok(Shared {
            joiner: Arc::new(Joiner::new(
                &self.join_type,
                self.build,
                self.condition.as_ref(),
                &outputs[0],
                &outputs[1],
                columns,
                context,
            )?),
            build_keys: keys(self.build)?,
            stream_keys: Arc::new(keys(self.build.stream())?),
            build_schema: arrow_schema(&outputs[self.build.index()]),
            null_aware,
        })
    }
}

impl Shared {
    pub fn join(&self, index: Arc<JoinIndex>, stream: BatchStream, task: &TaskContext) -> BatchStream {
        if self.null_aware && index.has_null_keys() {
            return Box::new(std::iter::empty());
        }
        let (build, find) = self.lookup(index);
        join_rows(self.joiner.clone(), build, stream, find, task)
    }

    /// The stream rows without those whose key is NULL: where there are build rows, a null-aware anti join drops them.
    pub fn without_null_keys(&self, stream: BatchStream) -> BatchStream {
        let keys = self.stream_keys.clone();
        Box::new(stream.map(move |batch| {
            let batch = batch?;
            evaluate_all(&keys, &batch)?.iter().try_fold(batch, |rows, key| Ok(filter_record_batch(&rows, &is_not_null(key)?)?))
        }))
    }

    /// The rows of an index, and how to find candidates among them.
    pub fn lookup(&self, index: Arc<JoinIndex>) -> (Build, Find) {
        // NULL compared with anything is not false; without build rows there is nothing to compare with.
        let drop_nulls = self.null_aware && index.rows().num_rows() > 0;
        let build = Build { rows: index.rows().clone(), order: index.order().cloned() };
        let keys = self.stream_keys.clone();
        let any = self.joiner.any_match_decides();
        let find = move |batch: &RecordBatch| {
            let (mut candidates, nulls) = index.find(&evaluate_all(&keys, batch)?, any)?;
            if let (true, Some(nulls)) = (drop_nulls, nulls) {
                (0..nulls.len()).filter(|&r| nulls.is_null(r)).for_each(|r| candidates.set_any(r));
            }
            Ok(candidates)
        };
        (build, Box::new(find))
    }
}

impl Candidates {
    /// Makes some build row the candidate of row `row`.
    fn set_any(&mut self, row: usize) {
        match self {
            Candidates::One(found) => found[row] = 0,
            Candidates::Ranges { starts, ends } => (starts[row], ends[row]) = (0, 1),
            Candidates::All(_) => {}
        }
    }
}
