//! What every plan keeps to: `prepare`, `execute` and what they may and may not run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};

use super::execute::new_predicate;
use super::plan::Shape;
use super::test_support::{local_table, rows_of, test_context};
use super::*;
use crate::base::{Attribute, DataType, Error, ErrorClass, Result, Scalar};
use crate::expr::{ComparisonOp, Expr, SubqueryId};
use crate::rdd::memory::Evictable;
use crate::rdd::{MapWriter, QueryContext};

fn numbers(n: i64) -> (Arc<SparkPlan>, Expr) {
    let output = Attribute::new("id", DataType::Long, false);
    let range = Range { start: 0, end: n, step: 1, partitions: 4, output: output.clone() };
    (SparkPlan::new(Operator::Range(range), vec![]), Expr::Attribute(output))
}

fn over(operator: Operator, child: Arc<SparkPlan>) -> Arc<SparkPlan> {
    SparkPlan::new(operator, vec![child])
}

fn less(left: &Expr, right: Expr) -> Expr {
    Expr::Comparison { op: ComparisonOp::Less, left: Box::new(left.clone()), right: Box::new(right) }
}

fn value(id: SubqueryId) -> Expr {
    Expr::ScalarSubquery { id, data_type: DataType::Long }
}

/// Numbers below the values of both subqueries, the first tested on top.
fn below_both(first: SubqueryId, second: SubqueryId) -> Arc<SparkPlan> {
    let (child, id) = numbers(100);
    let child = over(Operator::Filter(Filter { condition: less(&id, value(second)) }), child);
    over(Operator::Filter(Filter { condition: less(&id, value(first)) }), child)
}

fn answers(context: &QueryContext, compute: impl Fn() -> Result<i64> + Send + Sync + 'static) -> SubqueryId {
    let id = SubqueryId::next();
    context.declare_subquery(id, Arc::new(move |_| Ok(Arc::new(Int64Array::from(vec![compute()?])) as ArrayRef)));
    id
}

fn broadcast(child: Arc<SparkPlan>) -> Arc<SparkPlan> {
    over(Operator::BroadcastExchange(BroadcastExchange { mode: BroadcastMode::Identity }), child)
}

#[test]
fn execute_runs_nothing_and_describes_once() {
    let (child, id) = numbers(100);
    let exchange = Exchange { partitioning: Partitioning::RoundRobin(3), origin: ShuffleOrigin::RepartitionByNum };
    let plan = over(Operator::Exchange(exchange), child);
    let plan = over(Operator::Filter(Filter { condition: less(&id, Expr::Literal(Scalar::Long(10))) }), plan);
    let context = test_context(&[]);
    let rdd = plan.execute(&context).unwrap();
    assert!(rdd.is(&plan.execute(&context).unwrap()));
    assert!(!rdd.is(&plan.execute(&test_context(&[])).unwrap()));
    assert_eq!(context.jobs.load(Ordering::Relaxed), 0);
    assert!(context.metrics().iter().all(|(.., value)| *value == 0), "{:?}", context.metrics());
    assert_eq!(plan.execute_collect(&context).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    assert_eq!(context.jobs.load(Ordering::Relaxed), 1);
}

#[test]
fn prepare_starts_all_subqueries_once_and_at_once() {
    let context = test_context(&[]);
    let (met, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let [first, second] = [30, 20].map(|value| {
        let (met, runs) = (met.clone(), runs.clone());
        answers(&context, move || {
            // Each waits for the other.
            met.wait();
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(value)
        })
    });
    let plan = below_both(first, second);
    plan.prepare(&context).unwrap();
    plan.prepare(&context).unwrap();
    assert_eq!(rows_of(&plan.execute_collect(&context).unwrap()).len(), 20);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[test]
fn of_failing_subqueries_the_first_in_the_plan_is_reported() {
    for _ in 0..5 {
        let context = test_context(&[]);
        let (fails, failed) = std::sync::mpsc::channel();
        let failed = std::sync::Mutex::new(failed);
        let slow = answers(&context, move || {
            // The other one has failed by then.
            failed.lock().unwrap().recv().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
            Err(Error::divide_by_zero())
        });
        let quick = answers(&context, move || {
            fails.send(()).unwrap();
            Err(Error::overflow("long"))
        });
        let e = below_both(slow, quick).execute_collect(&context).unwrap_err();
        assert_eq!(e.class, ErrorClass::DivideByZero);
    }
}

#[test]
fn what_does_not_broadcast_says_so() {
    let (child, _) = numbers(3);
    let e = child.execute_broadcast(&test_context(&[])).err().unwrap();
    assert_eq!((e.class, e.message.as_str()), (ErrorClass::Internal, "Range does not implement doExecuteBroadcast."));
}

#[test]
fn a_broadcast_that_takes_too_long_is_an_error() {
    let context = test_context(&[("sql.broadcastTimeout", "0")]);
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = answers(&context, move || Ok(wait.lock().unwrap().recv().map_or(7, |()| 0)));
    let (child, id) = numbers(100);
    let plan = broadcast(over(Operator::Filter(Filter { condition: less(&id, value(slow)) }), child));
    let e = plan.execute_broadcast(&context).err().unwrap();
    assert!(e.message.starts_with("Could not execute broadcast in 0 secs. You can increase the timeout for broadcasts via"), "{e}");
    drop(release);
    let context = test_context(&[("sql.broadcastTimeout", "-1")]);
    assert_eq!(broadcast(numbers(7).0).execute_broadcast(&context).unwrap().size.rows, 7);
}

#[test]
fn rows_are_counted_before_they_are_seen() {
    let context = test_context(&[("execution.batchSize", "10")]);
    let (rows, batches) = numbers(100).0.execute_collect_iterator(&context).unwrap();
    assert_eq!((rows, batches.map(|b| b.num_rows()).sum::<usize>(), context.jobs.load(Ordering::Relaxed)), (100, 100, 1));
}

#[test]
fn a_predicate_takes_null_for_false() {
    let (plan, a) =
        local_table(&[("x", DataType::Long)], [Scalar::Long(1), Scalar::Null(DataType::Long), Scalar::Long(3)].map(|v| vec![v]).into());
    let context = test_context(&[]);
    let batch = plan.execute_collect(&context).unwrap().remove(0);
    let limit = answers(&context, || Ok(2));
    let x = Expr::Attribute(a[0].clone());
    let condition = new_predicate(&less(&x, value(limit)), &a, &context).unwrap();
    assert_eq!(condition.eval(&batch).unwrap(), BooleanArray::from(vec![true, false, false]));
    assert_eq!(new_predicate(&x, &a, &context).unwrap_err().class, ErrorClass::Internal);
}

#[test]
fn shapes() {
    let (leaf, id) = numbers(1);
    let unary = over(Operator::Filter(Filter { condition: less(&id, id.clone()) }), leaf.clone());
    assert_eq!((leaf.shape(), unary.shape()), (Shape::Leaf, Shape::Unary));
    assert!(Shape::Binary.admits(2) && !Shape::Unary.admits(2) && Shape::Many.admits(3) && !Shape::Many.admits(0));
}

/// Whoever reads a map output holds none of its rows, and goes on in the file when they are written out.
#[test]
fn map_outputs_are_read_while_they_are_written_out() {
    let context = test_context(&[]);
    let batch = |i: i64| RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(vec![i, i + 1, i + 2])) as ArrayRef)]).unwrap();
    for stop in [0, 1, 17, 50] {
        let mut writer = MapWriter::new(2, 0, &context);
        (0..100).for_each(|i| writer.push(i % 2, batch(3 * i as i64)).unwrap());
        let output = writer.finish();
        let mut rows = output.read(1);
        let mut read: Vec<RecordBatch> = rows.by_ref().take(stop).collect::<Result<_>>().unwrap();
        assert!(context.memory.used() > 0);
        output.evict().unwrap();
        assert_eq!(context.memory.used(), 0);
        read.extend(rows.collect::<Result<Vec<_>>>().unwrap());
        let values: Vec<i64> = rows_of(&read).into_iter().map(|r| i64::try_from(r[0].as_i128().unwrap()).unwrap()).collect();
        let expected: Vec<i64> = (0..100).filter(|i| i % 2 == 1).flat_map(|i| 3 * i..3 * i + 3).collect();
        assert_eq!(values, expected, "evicted after {stop} batches");
    }
}
