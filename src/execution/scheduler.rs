//! Runs jobs on a pool of worker threads.
//!
//! A job is a set of partitions of an [`Rdd`]. The shuffles of its lineage are cut points: each is materialised first, deepest
//! first, by one map task per partition of its parent; then the job's own tasks run. All tasks of a stage run in parallel, and
//! the first error stops the others ([`QueryContext::fail`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::array::RecordBatch;
use rayon::prelude::*;

use crate::base::settings::TASK_MAX_FAILURES;
use crate::base::{Error, ErrorClass, Result};
use crate::rdd::{Dependency, JobRunner, MemoryPool, QueryContext, Rdd, TaskContext};

/// Plans nest deeply in adversarial queries; the default of 2 MB is little for unoptimised builds.
const STACK_BYTES: usize = 16 << 20;

/// The worker threads of a session.
pub struct Scheduler {
    pool: rayon::ThreadPool,
    memory: Arc<MemoryPool>,
}

impl Scheduler {
    /// A pool of `threads` workers.
    ///
    /// # Errors
    /// `ResourceExhausted` when the system refuses the threads.
    pub fn new(threads: usize) -> Result<Arc<Self>> {
        Self::with_memory(threads, MemoryPool::new(0))
    }

    /// Workers whose queries share `memory`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_memory(threads: usize, memory: Arc<MemoryPool>) -> Result<Arc<Self>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|i| format!("worker-{i}"))
            .stack_size(STACK_BYTES)
            .build()
            .map_err(|e| Error::new(ErrorClass::ResourceExhausted, format!("cannot start {threads} worker threads: {e}")))?;
        Ok(Arc::new(Self { pool, memory }))
    }

    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The batches of all partitions as they come, in no order between partitions. The shuffles below run on the pool; the
    /// last stage runs on threads of its own, so that a slow reader does not hold up other queries.
    pub fn stream(self: &Arc<Self>, rdd: Rdd, context: Arc<QueryContext>) -> Stream {
        let (sender, receiver) = sync_channel(2 * self.threads());
        let scheduler = self.clone();
        let query = context.clone();
        std::thread::spawn(move || scheduler.produce(&rdd, &query, &sender));
        Stream { receiver, context }
    }

    fn produce(&self, rdd: &Rdd, context: &Arc<QueryContext>, sender: &SyncSender<Result<RecordBatch>>) {
        context.jobs.fetch_add(1, Ordering::Relaxed);
        if let Err(e) = self.materialise(rdd, context) {
            let _ = sender.send(Err(e));
            return;
        }
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let partition = next.fetch_add(1, Ordering::Relaxed);
                if partition >= rdd.num_partitions() {
                    return;
                }
                // A try that fails after its first batch left cannot be repeated, so nothing is retried here.
                let task = TaskContext { partition, query: context.clone() };
                let sent = caught(rdd.name(), partition, || {
                    for batch in rdd.compute(partition, &task)? {
                        context.check_cancelled()?;
                        if sender.send(Ok(batch?)).is_err() {
                            context.cancel();
                            return Ok(());
                        }
                    }
                    Ok(())
                });
                if let Err(e) = sent {
                    let _ = sender.send(Err(context.fail(e)));
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.threads().min(rdd.num_partitions()) {
                scope.spawn(work);
            }
        });
    }

    /// Runs the map stages that `rdd` stands on.
    fn materialise(&self, rdd: &Rdd, context: &Arc<QueryContext>) -> Result<()> {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            for dependency in rdd.dependencies() {
                match dependency {
                    Dependency::Narrow(parent) => self.materialise(parent, context)?,
                    Dependency::Shuffle(shuffle) => {
                        if !shuffle.missing().is_empty() {
                            self.materialise(&shuffle.rdd, context)?;
                            shuffle.materialise(|missing| {
                                self.run_tasks(&shuffle.rdd, missing, context, |partition, task| shuffle.run_map_task(partition, task))
                            })?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// One task per partition, in parallel; the results in the order of `partitions`.
    fn run_tasks<T: Send>(
        &self,
        rdd: &Rdd,
        partitions: &[usize],
        context: &Arc<QueryContext>,
        task: impl Fn(usize, &TaskContext) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let run = |&partition: &usize| {
            let task_context = TaskContext { partition, query: context.clone() };
            attempt(rdd.name(), &task_context, || task(partition, &task_context))
        };
        self.pool.install(|| partitions.par_iter().with_max_len(1).map(run).collect())
    }
}

impl JobRunner for Scheduler {
    fn run_job(&self, rdd: &Rdd, partitions: &[usize], context: &Arc<QueryContext>) -> Result<Vec<Vec<RecordBatch>>> {
        context.jobs.fetch_add(1, Ordering::Relaxed);
        self.materialise(rdd, context)?;
        self.run_tasks(rdd, partitions, context, |partition, task| {
            rdd.compute(partition, task)?
                .map(|batch| {
                    context.check_cancelled()?;
                    batch
                })
                .collect()
        })
    }

    fn background(&self, work: Box<dyn FnOnce() + Send>) {
        // Whoever needs the outcome asks for it again, and meets the panic in a task.
        self.pool.spawn(move || drop(catch_unwind(AssertUnwindSafe(work))));
    }

    fn memory(&self) -> Arc<MemoryPool> {
        self.memory.clone()
    }
}

/// Batches of a running query; dropping it stops the query.
pub struct Stream {
    receiver: Receiver<Result<RecordBatch>>,
    context: Arc<QueryContext>,
}

impl Iterator for Stream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.context.cancel();
        self.context.release();
    }
}

/// Runs a task, again if reading or writing failed, until the settings say that it was tried often enough.
fn attempt<T>(stage: &str, task: &TaskContext, run: impl Fn() -> Result<T>) -> Result<T> {
    let tries = task.query.settings.int(&TASK_MAX_FAILURES).max(1);
    let mut failures = 0;
    loop {
        task.query.check_cancelled()?;
        match caught(stage, task.partition, &run) {
            Ok(value) => return Ok(value),
            Err(e) => {
                failures += 1;
                if e.class != ErrorClass::Io || failures >= tries {
                    return Err(task.query.fail(e));
                }
            }
        }
    }
}

/// A panic in a task is an error of its query, never the end of the process.
fn caught<T>(stage: &str, partition: usize, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        Err(Error::internal(format!("task {partition} of stage `{stage}` panicked: {}", panic_message(payload.as_ref()))))
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Settings;
    use crate::rdd::{Partitioner, ShuffleDependency};
    use arrow::array::{Array, ArrayRef, Int64Array, cast::AsArray};
    use arrow::datatypes::Int64Type;

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)]).unwrap()
    }

    fn numbers(partitions: usize, rows: i64) -> Rdd {
        Rdd::new("Numbers", partitions, vec![], move |p, _| {
            let first = p as i64 * rows;
            Ok(Box::new((0..rows / 10).map(move |i| Ok(batch(first + i * 10..first + (i + 1) * 10)))))
        })
    }

    fn run(rdd: &Rdd, threads: usize) -> Result<Vec<Vec<RecordBatch>>> {
        let scheduler = Scheduler::new(threads)?;
        let context = QueryContext::new(Settings::new(), scheduler.clone());
        scheduler.run_job(rdd, &(0..rdd.num_partitions()).collect::<Vec<_>>(), &context)
    }

    fn values(batches: &[RecordBatch]) -> Vec<i64> {
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn a_shuffle_gathers_in_map_order() {
        let shuffle = ShuffleDependency::new(0, numbers(4, 100), Partitioner::Single);
        let out = run(&shuffle.shuffled(), 2).unwrap();
        assert_eq!(out.len(), 1);
        assert_eq!(values(&out[0]), (0..400).collect::<Vec<_>>());
    }

    #[test]
    fn a_shuffle_used_twice_runs_once() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        let source = numbers(1, 10).map_partitions("Count", move |_, s, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(s)
        });
        let shuffle = ShuffleDependency::new(0, source, Partitioner::Single);
        let both = Rdd::union(vec![shuffle.shuffled(), shuffle.shuffled()]);
        assert_eq!(run(&both, 2).unwrap().len(), 2);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_is_an_internal_error_that_names_the_stage() {
        let rdd = numbers(3, 10).map_partitions("Sort", |p, s, _| if p == 1 { panic!("boom") } else { Ok(s) });
        let e = run(&rdd, 1).unwrap_err();
        assert_eq!(e.class, ErrorClass::Internal);
        assert!(e.message.contains("`Sort`") && e.message.contains("boom"), "{e}");
    }

    #[test]
    fn only_io_errors_are_tried_again() {
        for (class, tries) in [(ErrorClass::Io, 4), (ErrorClass::DivideByZero, 1)] {
            let seen = Arc::new(AtomicUsize::new(0));
            let counter = seen.clone();
            let rdd = Rdd::new("Failing", 1, vec![], move |_, _| {
                counter.fetch_add(1, Ordering::Relaxed);
                Err(Error::new(class, "no"))
            });
            assert_eq!(run(&rdd, 1).unwrap_err().class, class);
            assert_eq!(seen.load(Ordering::Relaxed), tries);
        }
    }

    #[test]
    fn a_stream_gives_every_batch_and_stops_when_dropped() {
        let scheduler = Scheduler::new(2).unwrap();
        let context = QueryContext::new(Settings::new(), scheduler.clone());
        let rows: usize = scheduler.stream(numbers(3, 100), context).map(|b| b.unwrap().num_rows()).sum();
        assert_eq!(rows, 300);
        let endless = Rdd::new("Endless", 2, vec![], |_, _| Ok(Box::new(std::iter::repeat_with(|| Ok(batch(0..10))))));
        let context = QueryContext::new(Settings::new(), scheduler.clone());
        let taken: Vec<_> = scheduler.stream(endless, context.clone()).take(5).collect();
        assert!(taken.iter().all(Result::is_ok));
        assert_eq!(context.check_cancelled().unwrap_err().class, ErrorClass::Cancelled);
        assert!(!taken[0].as_ref().unwrap().column(0).is_empty());
    }
}
