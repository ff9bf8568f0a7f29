//! Interpreted face of BroadcastNestedLoopJoin and CartesianProduct: every build row is a candidate of every stream row.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::NestedLoopJoin;
use super::join_index::gather;
use super::matches::{Candidates, Joiner};
use super::rows::{Build, join_rows};
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::{BatchStream, Dependency, QueryContext, Rdd, TaskContext};

impl NestedLoopJoin {
    /// A broadcast join that must know which build rows matched in any task runs as one task, in the first partition.
    ///
    /// # Errors
    /// Those of the children, of the broadcast, and of binding the condition.
    pub fn execute(&self, plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Rdd> {
        self.execute_columns(plan, &(0..plan.output().len()).collect::<Vec<_>>(), context)
    }

    /// Only these columns of the output, ascending: a projection above spares copying the others.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_columns(&self, plan: &Arc<SparkPlan>, columns: &[usize], context: &Arc<QueryContext>) -> Result<Rdd> {
        let outputs = [plan.children[0].output(), plan.children[1].output()];
        let joiner =
            Arc::new(Joiner::new(&self.join_type, self.build, self.condition.as_ref(), &outputs[0], &outputs[1], columns, context)?);
        let schema = arrow_schema(&outputs[self.build.index()]);
        let stream = plan.children[self.build.stream().index()].execute(context)?;
        let build = &plan.children[self.build.index()];
        if matches!(plan.operator, Operator::CartesianProduct(_)) {
            let build = build.execute(context)?;
            let (lefts, rights) = (stream.num_partitions(), build.num_partitions());
            let dependencies = vec![Dependency::Narrow(stream.clone()), Dependency::Narrow(build.clone())];
            return Ok(Rdd::new("CartesianProduct", lefts * rights, dependencies, move |p, task| {
                let build_rows = build.compute(p % rights, task)?.collect::<Result<Vec<_>>>()?;
                Ok(join_all(joiner.clone(), gather(&schema, &build_rows)?, stream.compute(p / rights, task)?, task))
            }));
        }
        let rows = gather(&schema, &build.execute_broadcast(context)?.batches)?;
        if self.streams() {
            return Ok(stream.map_partitions("BroadcastNestedLoopJoin", move |_, stream, task| {
                Ok(join_all(joiner.clone(), rows.clone(), stream, task))
            }));
        }
        let partitions = stream.num_partitions();
        let dependencies = vec![Dependency::Narrow(stream.clone())];
        Ok(Rdd::new("BroadcastNestedLoopJoin", partitions.max(1), dependencies, move |p, task| {
            if p > 0 {
                return Ok(Box::new(std::iter::empty()));
            }
            let (parent, parent_task) = (stream.clone(), task.clone());
            let all = (0..partitions).flat_map(move |p| match parent.compute(p, &parent_task) {
                Ok(batches) => batches,
                Err(e) => Box::new(std::iter::once(Err(e))) as BatchStream,
            });
            Ok(join_all(joiner.clone(), rows.clone(), Box::new(all), task))
        }))
    }
}

fn join_all(joiner: Arc<Joiner>, rows: RecordBatch, stream: BatchStream, task: &TaskContext) -> BatchStream {
    let count = rows.num_rows() as u32;
    let find = move |batch: &RecordBatch| match count {
        // Each stream row once, as it is.
        1 => Ok(Candidates::One(vec![0; batch.num_rows()])),
        _ => Ok(Candidates::All(count)),
    };
    join_rows(joiner, Build { rows, order: None }, stream, find, task)
}
