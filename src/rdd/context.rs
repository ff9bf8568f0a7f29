//! What a running query and its tasks share: settings, cancellation, metrics, results of subqueries and broadcasts.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::RecordBatch;

use super::counter::Counter;
use super::faults::Faults;
use super::spill::SpillSite;
use super::{MemoryPool, Rdd, Reservation};
use crate::base::settings::{FAULTS, TEMP_DIR};
use crate::base::{Error, ErrorClass, Result, Scalar, Settings};
use crate::expr::SubqueryId;

/// Runs jobs over lineages; implemented by the scheduler, called by operators that need results early
/// (broadcast, range sampling, subqueries) and by actions.
pub trait JobRunner: Send + Sync {
    /// Computes `partitions` of `rdd`, shuffles below first; the batches of each, in the order asked.
    ///
    /// # Errors
    /// The first error of any task; a panic in a task is an error.
    fn run_job(&self, rdd: &Rdd, partitions: &[usize], context: &Arc<QueryContext>) -> Result<Vec<Vec<RecordBatch>>>;

    /// Runs `work` when a worker has nothing better to do; it must not block on jobs.
    fn background(&self, work: Box<dyn FnOnce() + Send>);

    /// The memory that queries share; without a limit unless said otherwise.
    fn memory(&self) -> Arc<MemoryPool> {
        MemoryPool::new(0)
    }
}

/// State of one running query.
pub struct QueryContext {
    pub settings: Settings,
    pub runner: Arc<dyn JobRunner>,
    pub memory: Arc<MemoryPool>,
    /// Failures that tests ask for.
    pub faults: Arc<Faults>,
    cancelled: AtomicBool,
    /// The first error of any task: the answer of the whole query.
    failure: OnceLock<Error>,
    /// Values of the uncorrelated scalar subqueries that have finished.
    subqueries: Mutex<HashMap<SubqueryId, Scalar>>,
    metrics: Mutex<HashMap<(u64, &'static str), Counter>>,
    /// What plan nodes keep for the length of the query (shuffles, broadcasts), by node.
    shared: Mutex<HashMap<u64, Arc<dyn Any + Send + Sync>>>,
    /// Jobs run so far (actions, shuffles aside).
    pub jobs: AtomicU64,
}

impl QueryContext {
    pub fn new(settings: Settings, runner: Arc<dyn JobRunner>) -> Arc<Self> {
        let faults = Faults::parse(settings.text(&FAULTS));
        let (faults, invalid) = match faults {
            Ok(faults) => (faults, None),
            Err(e) => (Arc::default(), Some(e)),
        };
        let context = Arc::new(Self {
            settings,
            memory: runner.memory(),
            runner,
            faults,
            cancelled: AtomicBool::new(false),
            failure: OnceLock::new(),
            subqueries: Mutex::default(),
            metrics: Mutex::default(),
            shared: Mutex::default(),
            jobs: AtomicU64::new(0),
        });
        // Met by the first task.
        invalid.map(|e| context.fail(e));
        context
    }

    /// Asks all tasks to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Records a task's error and stops the other tasks; returns the error that the query reports, the first one recorded.
    pub fn fail(&self, error: Error) -> Error {
        let first = self.failure.get_or_init(|| error).clone();
        self.cancel();
        first
    }

    /// # Errors
    /// The error of the task that failed first, or `Cancelled` once [`Self::cancel`] was called.
    pub fn check_cancelled(&self) -> Result<()> {
        if !self.cancelled.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(self.failure.get().cloned().unwrap_or_else(|| Error::new(ErrorClass::Cancelled, "The query was cancelled.")))
    }

    pub fn set_subquery(&self, id: SubqueryId, value: Scalar) {
        self.subqueries.lock().unwrap_or_else(|e| e.into_inner()).insert(id, value);
    }

    /// # Errors
    /// `Internal` when the subquery has not run.
    pub fn subquery(&self, id: SubqueryId) -> Result<Scalar> {
        self.subqueries
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .get(&id)
            .cloned()
            .ok_or_else(|| Error::internal(format!("subquery {} was not run before its user", id.0)))
    }

    /// What plan node `node` shares between all its uses in this query, made by `make` on first use; `make` must not block.
    ///
    /// # Errors
    /// `Internal` when the node shares a value of another type.
    pub fn shared<T: Send + Sync + 'static>(&self, node: u64, make: impl FnOnce() -> T) -> Result<Arc<T>> {
        let slot = self.shared.lock().unwrap_or_else(|e| e.into_inner()).entry(node).or_insert_with(|| Arc::new(make())).clone();
        slot.downcast().map_err(|_| Error::internal(format!("plan node {node} shares values of two types")))
    }

    /// The counter `name` of plan node `node`, made on first use. Names are Spark's (`numOutputRows`); times in nanoseconds.
    pub fn metric(&self, node: u64, name: &'static str) -> Counter {
        self.metrics.lock().unwrap_or_else(|e| e.into_inner()).entry((node, name)).or_default().clone()
    }

    /// Memory for what plan node `node` holds and can spill; `name` is for errors.
    pub fn spillable(&self, node: u64, name: &'static str) -> Reservation {
        self.memory.spillable(name, self.metric(node, "peakMemory"))
    }

    /// Memory for what plan node `node` holds and cannot spill.
    pub fn fixed(&self, node: u64, name: &'static str) -> Reservation {
        self.memory.fixed(name, self.metric(node, "peakMemory"))
    }

    /// Where plan node `node` spills to.
    pub fn spill_site(&self, node: u64) -> SpillSite {
        SpillSite {
            memory: self.memory.clone(),
            parent: self.settings.text(&TEMP_DIR).to_string(),
            faults: self.faults.clone(),
            written: self.metric(node, "spillSize"),
        }
    }

    /// Lets go of what plan nodes shared: the query has ended.
    pub fn release(&self) {
        let shared = std::mem::take(&mut *self.shared.lock().unwrap_or_else(|e| e.into_inner()));
        drop(shared);
    }

    /// The counters of plan node `node`, by name.
    pub fn metrics_of(&self, node: u64) -> Vec<(&'static str, u64)> {
        let all = self.metrics.lock().unwrap_or_else(|e| e.into_inner());
        all.iter().filter(|((of, _), _)| *of == node).map(|((_, name), value)| (*name, value.load(Ordering::Relaxed))).collect()
    }

    /// All counters, by node and name.
    pub fn metrics(&self) -> Vec<(u64, &'static str, u64)> {
        let mut all: Vec<_> =
            self.metrics.lock().unwrap_or_else(|e| e.into_inner()).iter().map(|((n, k), v)| (*n, *k, v.load(Ordering::Relaxed))).collect();
        all.sort_unstable();
        all
    }
}

/// What one task knows.
#[derive(Clone)]
pub struct TaskContext {
    pub partition: usize,
    pub query: Arc<QueryContext>,
    /// Which try of the task this is, from 1.
    pub attempt: u64,
    /// Whether rows have left that cannot be taken back.
    left: Arc<AtomicBool>,
}

impl TaskContext {
    /// The first try.
    pub fn new(partition: usize, query: Arc<QueryContext>) -> Self {
        Self { partition, query, attempt: 1, left: Arc::default() }
    }

    /// The same task, tried once more.
    pub fn again(&self) -> Self {
        Self { attempt: self.attempt + 1, ..self.clone() }
    }

    /// Called between batches by whoever runs the task.
    ///
    /// # Errors
    /// Those of [`QueryContext::check_cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.query.faults.hit_attempt("panic", self.attempt) {
            // Not `panic!`: nobody needs to read of it.
            std::panic::resume_unwind(Box::new("injected"));
        }
        self.query.check_cancelled()
    }

    /// The failure that tests ask for, of a try that has done all its work.
    ///
    /// # Errors
    /// `Io`.
    pub fn injected(&self) -> Result<()> {
        match self.query.faults.hit_attempt("task", self.attempt) {
            true => Err(Error::new(ErrorClass::Io, "Input/output error (injected)")),
            false => Ok(()),
        }
    }

    /// To be called before the first row leaves for good: the task is not tried again then.
    ///
    /// # Errors
    /// Those of [`Self::injected`].
    pub fn leave(&self) -> Result<()> {
        if !self.has_left() {
            self.injected()?;
            self.left.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

/// A value computed once, on a thread of its own, and waited for by its users (broadcasts).
pub struct Future<T> {
    cell: Arc<OnceLock<Result<T>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl<T: Clone + Send + Sync + 'static> Future<T> {
    /// Starts `compute` on a new thread, outside the worker pool: it blocks on jobs that need the pool.
    pub fn start(compute: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let cell = Arc::new(OnceLock::new());
        let filled = cell.clone();
        let thread = std::thread::spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compute))
                .unwrap_or_else(|_| Err(Error::internal("a background computation panicked")));
            let _ = filled.set(result);
        });
        Self { cell, thread: Mutex::new(Some(thread)) }
    }

    /// Waits for the value.
    ///
    /// # Errors
    /// Those of the computation.
    pub fn get(&self) -> Result<T> {
        if let Some(thread) = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take() {
            let _ = thread.join();
        }
        self.cell.get().cloned().unwrap_or_else(|| Err(Error::internal("a background computation ended without a value")))
    }
}
