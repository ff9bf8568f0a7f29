//! Running small plans in tests: a single-threaded scheduler, and tables given as literal rows.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{
    Aggregate, AggregateCall, AggregateKind, AggregateMode, Exchange, LocalTableScan, Operator, Partitioning, ShuffleOrigin, SparkPlan,
};
use crate::base::{Attribute, DataType, ExprId, Result, Scalar, Settings};
use crate::expr::aggregate::describe;
use crate::expr::evaluate::scalar;
use crate::expr::{AggregateExpr, AggregateFunction, Expr};
use crate::rdd::{Dependency, JobRunner, QueryContext, Rdd, ShuffleDependency, TaskContext};

/// Runs every task on the calling thread.
pub struct TestRunner;

impl JobRunner for TestRunner {
    fn run_job(&self, rdd: &Rdd, partitions: &[usize], context: &Arc<QueryContext>) -> Result<Vec<Vec<RecordBatch>>> {
        context.jobs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        shuffles_of(rdd, context)?;
        partitions.iter().map(|p| rdd.compute(*p, &task(*p, context))?.collect()).collect()
    }

    fn background(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

fn task(partition: usize, query: &Arc<QueryContext>) -> TaskContext {
    TaskContext::new(partition, query.clone())
}

fn shuffles_of(rdd: &Rdd, context: &Arc<QueryContext>) -> Result<()> {
    for dependency in rdd.dependencies() {
        match dependency {
            Dependency::Narrow(parent) => shuffles_of(parent, context)?,
            Dependency::Shuffle(shuffle) if shuffle.missing().is_empty() => {}
            Dependency::Shuffle(shuffle) => run_shuffle(shuffle, context)?,
            Dependency::Kept(rows) => rows.restore()?,
        }
    }
    Ok(())
}

fn run_shuffle(shuffle: &ShuffleDependency, context: &Arc<QueryContext>) -> Result<()> {
    shuffles_of(&shuffle.rdd, context)?;
    shuffle.materialise(|missing| missing.iter().map(|p| shuffle.run_map_task(*p, &task(*p, context))).collect())
}

/// A context over [`TestRunner`] with these settings.
pub fn test_context(settings: &[(&str, &str)]) -> Arc<QueryContext> {
    let mut all = Settings::new();
    all.set("execution.threads", "2").unwrap();
    settings.iter().for_each(|(key, value)| all.set(key, value).unwrap());
    QueryContext::new(all, Arc::new(TestRunner))
}

/// A LocalTableScan of these columns and rows.
pub fn local_table(columns: &[(&str, DataType)], rows: Vec<Vec<Scalar>>) -> (Arc<SparkPlan>, Vec<Attribute>) {
    let output: Vec<Attribute> = columns.iter().map(|(name, t)| Attribute::new(*name, t.clone(), true)).collect();
    (SparkPlan::new(Operator::LocalTableScan(LocalTableScan { output: output.clone(), rows }), vec![]), output)
}

/// All rows of batches as scalars.
pub fn rows_of(batches: &[RecordBatch]) -> Vec<Vec<Scalar>> {
    batches
        .iter()
        .flat_map(|b| (0..b.num_rows()).map(|i| b.columns().iter().map(|c| scalar::from_array(c, i).unwrap()).collect()))
        .collect()
}

/// Runs the plan by collecting its lineage (no special case of a root applies).
pub fn run(plan: &Arc<SparkPlan>, context: &Arc<QueryContext>) -> Result<Vec<Vec<Scalar>>> {
    plan.prepare(context)?;
    let rdd = plan.execute(context)?;
    let all: Vec<usize> = (0..rdd.num_partitions()).collect();
    Ok(rows_of(&context.runner.run_job(&rdd, &all, context)?.concat()))
}

/// A call of an aggregate function over one column.
pub fn call(function: AggregateFunction, argument: &Attribute) -> AggregateExpr {
    AggregateExpr { function, args: vec![Expr::Attribute(argument.clone())], distinct: false, filter: None, id: ExprId::next() }
}

/// Partial aggregation, an exchange by the keys into two partitions (one without keys), final aggregation: keys, then results.
pub fn two_phase(child: Arc<SparkPlan>, keys: &[Attribute], calls: Vec<AggregateExpr>) -> Arc<SparkPlan> {
    let key_exprs: Vec<Expr> = keys.iter().cloned().map(Expr::Attribute).collect();
    let calls: Vec<AggregateCall> = calls
        .into_iter()
        .map(|expr| AggregateCall {
            mode: AggregateMode::Partial,
            buffers: describe(&expr).unwrap().attributes,
            result: Attribute::new("result", expr.data_type(), true),
            expr,
        })
        .collect();
    let buffers = calls.iter().flat_map(|c| c.buffers.iter().cloned().map(Expr::Attribute));
    let partial = Aggregate {
        kind: AggregateKind::Hash,
        grouping: key_exprs.clone(),
        result: key_exprs.iter().cloned().chain(buffers).collect(),
        calls: calls.clone(),
        required_distribution: None,
    };
    let partitioning = match key_exprs.len() {
        0 => Partitioning::Single,
        _ => Partitioning::Hash { exprs: key_exprs.clone(), partitions: 2 },
    };
    let exchange = Exchange { partitioning, origin: ShuffleOrigin::EnsureRequirements };
    let last = Aggregate {
        result: key_exprs.iter().cloned().chain(calls.iter().map(|c| Expr::Attribute(c.result.clone()))).collect(),
        calls: calls.into_iter().map(|c| AggregateCall { mode: AggregateMode::Final, ..c }).collect(),
        grouping: key_exprs.clone(),
        required_distribution: Some(key_exprs),
        ..partial.clone()
    };
    let partial = SparkPlan::new(Operator::Aggregate(partial), vec![child]);
    let exchange = SparkPlan::new(Operator::Exchange(exchange), vec![partial]);
    SparkPlan::new(Operator::Aggregate(last), vec![exchange])
}
