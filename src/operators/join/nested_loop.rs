//! Interpreted face of BroadcastNestedLoopJoin and CartesianProduct: every build row is a candidate of every stream row.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::NestedLoopJoin;
use super::chunks::{ChunkReader, ChunkedJoin, all_rows, restorer};
use super::join_index::gather;
use super::matches::Joiner;
use super::rows::{Build, join_rows, whole_batches};
use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::operators::sort::Sorter;
use crate::operators::{Operator, SparkPlan};
use crate::rdd::{BatchStream, Dependency, MapWriter, QueryContext, Rdd, TaskContext};

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
            let node = plan.id;
            return Ok(Rdd::new("CartesianProduct", lefts * rights, dependencies, move |p, task| {
                let build = build.compute(p % rights, task)?;
                join_in_chunks(&joiner, &schema, build, stream.compute(p / rights, task)?, node, None, task)
            }));
        }
        let relation = build.execute_broadcast(context)?;
        let restorer = restorer(plan, columns, context)?;
        let mut dependencies = vec![Dependency::Narrow(stream.clone())];
        dependencies.extend_from_slice(relation.rows.dependencies());
        let node = plan.id;
        let join = move |stream: BatchStream, task: &TaskContext| match relation.gathered(task)? {
            Some(rows) => Ok(join_all(joiner.clone(), rows, stream, task)),
            None => join_in_chunks(&joiner, &schema, relation.rows.compute(0, task)?, stream, node, restorer.as_ref(), task),
        };
        let partitions = stream.num_partitions();
        if self.streams() {
            return Ok(Rdd::new("BroadcastNestedLoopJoin", partitions, dependencies, move |p, task| join(stream.compute(p, task)?, task)));
        }
        Ok(Rdd::new("BroadcastNestedLoopJoin", partitions.max(1), dependencies, move |p, task| {
            if p > 0 {
                return Ok(Box::new(std::iter::empty()));
            }
            let (parent, parent_task) = (stream.clone(), task.clone());
            let all = (0..partitions).flat_map(move |p| match parent.compute(p, &parent_task) {
                Ok(batches) => batches,
                Err(e) => Box::new(std::iter::once(Err(e))) as BatchStream,
            });
            join(Box::new(all), task)
        }))
    }
}

/// Every row of `stream` with every row of `build`, which need not fit memory: the stream rows are set aside then, and `restorer` brings
/// back their order.
fn join_in_chunks(
    joiner: &Arc<Joiner>,
    schema: &SchemaRef,
    build: BatchStream,
    stream: BatchStream,
    node: u64,
    restorer: Option<&Arc<Sorter>>,
    task: &TaskContext,
) -> Result<BatchStream> {
    let memory = || task.query.spillable(node, "NestedLoopJoin");
    let mut build = ChunkReader::new(build, memory());
    let rows = build.read()?;
    if build.ended() {
        let (_, memory) = build.into_rest();
        return Ok(memory.while_read(join_all(joiner.clone(), gather(schema, &rows)?.into(), stream, task)));
    }
    let mut aside = MapWriter::new(1, node, &task.query);
    for batch in stream {
        aside.push(0, batch?)?;
    }
    let aside = aside.finish();
    let count = aside.written().rows;
    let mut join = ChunkedJoin::new(joiner.clone(), schema, Box::new(move || aside.read(0)), count, memory(), task);
    let (schema, mut first) = (schema.clone(), Some(rows));
    let mut chunk = move || {
        let rows = first.take().map_or_else(|| build.read(), Ok)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let rows = gather(&schema, &rows)?;
        let find = all_rows(rows.num_rows());
        Ok(Some((Build { rows, order: None }, find)))
    };
    let rows = whole_batches(joiner, Box::new(std::iter::from_fn(move || join.next(&mut chunk).transpose())));
    match restorer {
        Some(restorer) => restorer.sort(rows, &task.query),
        None => Ok(rows),
    }
}

fn join_all(joiner: Arc<Joiner>, rows: Arc<RecordBatch>, stream: BatchStream, task: &TaskContext) -> BatchStream {
    let mut all = all_rows(rows.num_rows());
    let build = Build { rows: rows.as_ref().clone(), order: None };
    let find = move |batch: &RecordBatch| {
        // The rows are in use as long as the stream is there.
        let _ = &rows;
        all(batch)
    };
    join_rows(joiner, build, stream, find, task)
}
