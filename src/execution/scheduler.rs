//! Runs jobs on a pool of worker threads.
//!
//! A job is a set of partitions of an [`Rdd`]. The shuffles of its lineage cut it into stages: a shuffle is materialised by one map
//! task per partition of its parent; then the tasks above it run. Stages that do not stand on each other run at once, and so do the
//! tasks of a stage; the first error stops all ([`QueryContext::fail`]). A task is tried several times ([`super::task`]), and a stage
//! whose input was lost runs again from the last shuffles that are whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::stream::{Channel, Stream, StreamOrder};
use super::task::run_task;
use crate::base::number::format_bytes;
use crate::base::settings::{DRIVER_MAX_RESULT_SIZE, STAGE_MAX_ATTEMPTS};
use crate::base::{Error, ErrorClass, Result, interrupt};
use crate::rdd::counter::Tally;
use crate::rdd::shuffle::Size;
use crate::rdd::{
    BatchStream, Counter, Dependency, JobRunner, MapOutput, MemoryPool, QueryContext, Rdd, ShuffleDependency, TaskContext, data_size,
};

/// Plans nest deeply in adversarial queries; the default of 2 MB is little for unoptimised builds.
const STACK_BYTES: usize = 16 << 20;

/// The worker threads of a session.
pub struct Scheduler {
    pool: rayon::ThreadPool,
    memory: Arc<MemoryPool>,
    running: Arc<interrupt::Group>,
}

impl Scheduler {
    /// A pool of `threads` workers.
    ///
    /// # Errors
    /// `ResourceExhausted` when the system refuses the threads.
    pub fn new(threads: usize) -> Result<Arc<Self>> {
        Self::of_session(threads, MemoryPool::new(0), Arc::default())
    }

    /// Workers whose queries share `memory` and are stopped together by `running`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_session(threads: usize, memory: Arc<MemoryPool>, running: Arc<interrupt::Group>) -> Result<Arc<Self>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|i| format!("worker-{i}"))
            .stack_size(STACK_BYTES)
            .build()
            .map_err(|e| Error::new(ErrorClass::ResourceExhausted, format!("cannot start {threads} worker threads: {e}")))?;
        Ok(Arc::new(Self { pool, memory, running }))
    }

    /// The queries that are stopped together.
    pub fn running(&self) -> &interrupt::Group {
        &self.running
    }

    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The batches of all partitions, made as they are taken. The shuffles below run on the pool; the last stage runs on threads of
    /// its own, so that a slow reader does not hold up other queries.
    ///
    /// # Errors
    /// `ResourceExhausted` when the system refuses a thread.
    pub fn stream(self: &Arc<Self>, rdd: Rdd, context: Arc<QueryContext>, order: StreamOrder) -> Result<Stream> {
        let channel = Channel::new(2 * self.threads());
        let (scheduler, query, target) = (self.clone(), context.clone(), channel.clone());
        let produce = move || {
            let whole = AssertUnwindSafe(|| scheduler.produce(&rdd, &query, order, &target));
            target.end(catch_unwind(whole).unwrap_or_else(|_| Err(Error::internal("the scheduler panicked"))));
        };
        let producer = std::thread::Builder::new().name("stream".into()).spawn(produce);
        let producer = producer.map_err(|e| Error::new(ErrorClass::ResourceExhausted, format!("cannot start a thread: {e}")))?;
        Ok(Stream::new(channel, context, producer))
    }

    fn produce(&self, rdd: &Rdd, context: &Arc<QueryContext>, order: StreamOrder, target: &Channel) -> Result<()> {
        context.jobs.fetch_add(1, Ordering::Relaxed);
        let partitions: Vec<usize> = (0..rdd.num_partitions()).collect();
        let threads = if order == StreamOrder::ByPartition { 1 } else { self.threads() };
        let work = |partition, task: &TaskContext| {
            let mut rows = 0;
            for batch in rdd.compute(partition, task)? {
                task.check()?;
                let batch = batch?;
                task.leave()?;
                rows += batch.num_rows() as u64;
                if !target.send(batch)? {
                    return Err(interrupt::cancelled());
                }
            }
            Ok(rows)
        };
        self.run_stage(Workers::Own(threads), rdd, &partitions, context, work, counted).map(drop)
    }

    /// Does `work` with the rows of each of `partitions`, in a task of its own; what it makes of them, in their order, of which `made`
    /// tells how much it is. A task that failed may be tried again.
    ///
    /// # Errors
    /// The first error of any task.
    pub fn for_partitions<T: Send>(
        &self,
        rdd: &Rdd,
        partitions: &[usize],
        context: &Arc<QueryContext>,
        work: impl Fn(BatchStream, &TaskContext) -> Result<T> + Sync,
        made: impl Fn(&T) -> Size + Sync,
    ) -> Result<Vec<T>> {
        context.jobs.fetch_add(1, Ordering::Relaxed);
        let work = |partition, task: &TaskContext| work(rdd.compute(partition, task)?, task);
        self.run_stage(Workers::Pool, rdd, partitions, context, work, |_, done| made(done))
    }

    /// Runs the map stages that `rdd` stands on, as far as their outputs are not there; those that do not stand on each other at once.
    /// Rows that were kept between queries and are lost are computed again.
    fn materialise(&self, rdd: &Rdd, context: &Arc<QueryContext>) -> Result<()> {
        let mut stages = vec![];
        missing(rdd, &mut stages);
        let next = AtomicUsize::new(0);
        // Each thread only waits for the pool, or for another one that runs a stage which both need.
        let drive = || {
            while let Some(dependency) = stages.get(next.fetch_add(1, Ordering::Relaxed)) {
                match dependency {
                    Dependency::Shuffle(shuffle) => self.run_map_stage(shuffle, context)?,
                    Dependency::Kept(rows) => {
                        let _entered = context.interrupt().enter();
                        rows.restore().map_err(|e| context.fail(e))?;
                    }
                    Dependency::Narrow(_) => {}
                }
            }
            Ok(())
        };
        let helpers = stages.len().min(self.threads()).saturating_sub(1);
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, drive).ok()).collect();
            let own = drive();
            let theirs = helpers.into_iter().map(|h| h.join().unwrap_or_else(|_| Err(Error::internal("the scheduler panicked"))));
            theirs.fold(own, Result::and)
        })
    }

    /// Runs the map tasks whose output is missing.
    fn run_map_stage(&self, shuffle: &ShuffleDependency, context: &Arc<QueryContext>) -> Result<()> {
        shuffle.materialise(|missing| {
            let work = |partition, task: &TaskContext| {
                // What a lost output's task counts is taken back: it counted when the output was made first.
                let _counted = shuffle.was_made(partition).then(Tally::begin);
                shuffle.run_map_task(partition, task)
            };
            let lost = missing.iter().filter(|map| shuffle.was_made(**map)).count();
            if lost > 0 {
                context.stages.of(&shuffle.rdd).lost(lost);
            }
            let new = |map, made: &Arc<MapOutput>| if shuffle.was_made(map) { Size::default() } else { made.written() };
            self.run_stage(Workers::Pool, &shuffle.rdd, missing, context, work, new)
        })
    }

    /// One task per partition, in parallel; the results in the order of `partitions`. The shuffles below run first. What a task
    /// misses of them is computed again, as is then the task, until the settings say that this was tried often enough. `made` tells how
    /// much a task has made.
    fn run_stage<T: Send>(
        &self,
        workers: Workers,
        rdd: &Rdd,
        partitions: &[usize],
        context: &Arc<QueryContext>,
        work: impl Fn(usize, &TaskContext) -> Result<T> + Sync,
        made: impl Fn(usize, &T) -> Size + Sync,
    ) -> Result<Vec<T>> {
        let tries = context.settings.int(&STAGE_MAX_ATTEMPTS).max(1);
        let mut results: Vec<Option<T>> = partitions.iter().map(|_| None).collect();
        for attempt in 1.. {
            stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.materialise(rdd, context))?;
            if partitions.is_empty() {
                return Ok(vec![]);
            }
            let stage = context.stages.of(rdd);
            stage.asked(if attempt == 1 { partitions.len() } else { 0 });
            let lost = OnceLock::new();
            let run = |(result, partition): (&mut Option<T>, usize)| {
                let (task, running) = (TaskContext::new(partition, context.clone()), stage.begin());
                match run_task(&stage, task.clone(), |task| work(partition, task)) {
                    Ok(value) => {
                        running.done(made(partition, &value));
                        *result = Some(value);
                    }
                    Err(e) if e.class == ErrorClass::FetchFailed && !task.has_left() => {
                        let _ = lost.set(e);
                    }
                    Err(e) => return Err(context.fail(e)),
                }
                Ok(())
            };
            let waiting: Vec<_> = results.iter_mut().zip(partitions.iter().copied()).filter(|(result, _)| result.is_none()).collect();
            match workers {
                Workers::Pool => self.pool.install(|| waiting.into_par_iter().with_max_len(1).try_for_each(run))?,
                Workers::Own(threads) => on_own_threads(threads, waiting, |item| {
                    // What comes after a partition that is computed again would wait for it, if there is an order.
                    if lost.get().is_some() { Ok(()) } else { run(item) }
                })?,
            }
            match lost.into_inner() {
                Some(e) if attempt >= tries => {
                    return Err(context.fail(e.context(format!("stage `{}` failed {attempt} times, the last time by", rdd.name()))));
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(results.into_iter().flatten().collect())
    }
}

/// Does `work` for each item, in order, on `threads` new threads.
fn on_own_threads<I: Send>(threads: usize, items: Vec<I>, work: impl Fn(I) -> Result<()> + Sync) -> Result<()> {
    let threads = threads.min(items.len());
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().unwrap_or_else(|e| e.into_inner()).next();
    std::thread::scope(|scope| {
        let run = || {
            while let Some(item) = next() {
                work(item)?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ends = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(Error::internal("the scheduler panicked"))));
        ends.fold(Ok(()), Result::and)
    })
}

/// What a task has made that tells how many rows there were.
fn counted(_: usize, rows: &u64) -> Size {
    Size { rows: *rows, bytes: 0 }
}

/// Whose threads run a stage's tasks.
#[derive(Clone, Copy)]
enum Workers {
    Pool,
    /// So many of the stage's own, since its tasks wait for a reader.
    Own(usize),
}

/// What lacks rows of that which `rdd` stands on, the nearest below it, each once.
fn missing(rdd: &Rdd, found: &mut Vec<Dependency>) {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
        for dependency in rdd.dependencies() {
            let whole = match dependency {
                Dependency::Narrow(parent) => {
                    missing(parent, found);
                    true
                }
                Dependency::Shuffle(shuffle) => shuffle.missing().is_empty(),
                Dependency::Kept(rows) => rows.is_whole(),
            };
            if !whole && !found.iter().any(|f| f.is(dependency)) {
                found.push(dependency.clone());
            }
        }
    });
}

impl JobRunner for Scheduler {
    fn run_job(&self, rdd: &Rdd, partitions: &[usize], context: &Arc<QueryContext>) -> Result<Vec<Vec<RecordBatch>>> {
        context.jobs.fetch_add(1, Ordering::Relaxed);
        let gathered = Gathered::new(context);
        let work = |partition, task: &TaskContext| {
            let mut rows = vec![];
            for batch in rdd.compute(partition, task)? {
                task.check()?;
                let batch = batch?;
                gathered.add(&batch, rows.is_empty())?;
                rows.push(batch);
            }
            Ok(rows)
        };
        let rows = |batches: &Vec<RecordBatch>| batches.iter().map(|b| b.num_rows() as u64).sum();
        self.run_stage(Workers::Pool, rdd, partitions, context, work, |_, batches| Size { rows: rows(batches), bytes: 0 })
    }

    fn background(&self, work: Box<dyn FnOnce() + Send>) {
        // Whoever needs the outcome asks for it again, and meets the panic in a task.
        self.pool.spawn(move || drop(catch_unwind(AssertUnwindSafe(work))));
    }

    fn memory(&self) -> Arc<MemoryPool> {
        self.memory.clone()
    }
}

/// What the tasks of a job have given so far.
struct Gathered {
    /// Most bytes; 0 is unlimited.
    limit: u64,
    bytes: Counter,
    tasks: Counter,
}

impl Gathered {
    fn new(context: &QueryContext) -> Self {
        let limit = context.settings.bytes(&DRIVER_MAX_RESULT_SIZE).max(0) as u64;
        Self { limit, bytes: Counter::default(), tasks: Counter::default() }
    }

    /// Counts a batch, `first` of its task.
    ///
    /// # Errors
    /// `ResourceExhausted` as soon as all batches together are larger than `driver.maxResultSize`.
    fn add(&self, batch: &RecordBatch, first: bool) -> Result<()> {
        if self.limit == 0 {
            return Ok(());
        }
        self.tasks.fetch_add(u64::from(first), Ordering::Relaxed);
        let size = data_size(batch) as u64;
        let total = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        if total <= self.limit {
            return Ok(());
        }
        let tasks = self.tasks.load(Ordering::Relaxed);
        Err(Error::new(
            ErrorClass::ResourceExhausted,
            format!(
                "Total size of serialized results of {tasks} tasks ({}) is bigger than {} ({})",
                format_bytes(total),
                DRIVER_MAX_RESULT_SIZE.key,
                format_bytes(self.limit)
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Settings;
    use crate::rdd::Partitioner;
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
    fn independent_stages_run_at_once() {
        // Each map task waits for the one of the other stage.
        let met = Arc::new(std::sync::Barrier::new(2));
        let stage = |met: Arc<std::sync::Barrier>| {
            let waits = numbers(1, 10).map_partitions("Wait", move |_, s, _| {
                met.wait();
                Ok(s)
            });
            ShuffleDependency::new(0, waits, Partitioner::Single)
        };
        let both = Rdd::union(vec![stage(met.clone()).shuffled(), stage(met).shuffled()]);
        assert_eq!(run(&both, 2).unwrap().len(), 2);
    }

    #[test]
    fn many_stages_need_one_thread_only() {
        let leaf = ShuffleDependency::new(0, numbers(2, 10), Partitioner::Single);
        let middle: Vec<_> = (0..10).map(|_| ShuffleDependency::new(0, leaf.shuffled(), Partitioner::Single).shuffled()).collect();
        for threads in [1, 2] {
            assert_eq!(run(&Rdd::union(middle.clone()), threads).unwrap().iter().map(|b| values(b).len()).sum::<usize>(), 200);
        }
    }

    #[test]
    fn lost_rows_are_computed_again_and_only_those() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        let source = numbers(4, 10).map_partitions("Count", move |_, s, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(s)
        });
        let shuffle = ShuffleDependency::new(0, source, Partitioner::Single);
        let (reads, rows) = (Arc::new(AtomicUsize::new(0)), shuffle.shuffled());
        let fails_once = rows.map_partitions("Read", move |_, s, _| {
            if reads.fetch_add(1, Ordering::Relaxed) == 0 {
                shuffle.forget(2);
                return Err(Error::new(ErrorClass::FetchFailed, "gone"));
            }
            Ok(s)
        });
        assert_eq!(values(&run(&fails_once, 2).unwrap()[0]), (0..40).collect::<Vec<_>>());
        assert_eq!(runs.load(Ordering::Relaxed), 5);
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
        let rows: usize = scheduler.stream(numbers(3, 100), context, StreamOrder::AsMade).unwrap().map(|b| b.unwrap().num_rows()).sum();
        assert_eq!(rows, 300);
        let endless = Rdd::new("Endless", 2, vec![], |_, _| Ok(Box::new(std::iter::repeat_with(|| Ok(batch(0..10))))));
        let context = QueryContext::new(Settings::new(), scheduler.clone());
        let taken: Vec<_> = scheduler.stream(endless, context.clone(), StreamOrder::AsMade).unwrap().take(5).collect();
        assert!(taken.iter().all(Result::is_ok));
        assert_eq!(context.check_cancelled().unwrap_err().class, ErrorClass::Cancelled);
        assert!(!taken[0].as_ref().unwrap().column(0).is_empty());
    }

    #[test]
    fn a_stream_makes_no_more_than_is_taken_and_keeps_an_order_asked_for() {
        let scheduler = Scheduler::new(2).unwrap();
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let counted = Rdd::new("Counted", 3, vec![], move |p, _| {
            let counter = counter.clone();
            Ok(Box::new((0..1000).map(move |i| {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(batch(p as i64 * 1000 + i..p as i64 * 1000 + i + 1))
            })))
        });
        let context = QueryContext::new(Settings::new(), scheduler.clone());
        let mut stream = scheduler.stream(counted, context, StreamOrder::ByPartition).unwrap();
        assert_eq!(values(&[stream.next().unwrap().unwrap()]), [0]);
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(made.load(Ordering::Relaxed) < 10, "{made:?}");
        assert_eq!(values(&stream.collect::<Result<Vec<_>>>().unwrap()), (1..3000).collect::<Vec<_>>());
    }
}
