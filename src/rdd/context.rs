//! What a running query and its tasks share: settings, cancellation, metrics, results of subqueries and broadcasts.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};

use super::counter::Counter;
use super::faults::Faults;
use super::future::Future;
use super::spill::SpillSite;
use super::stages::Stages;
use super::{MemoryPool, Rdd, Reservation};
use crate::base::settings::{FAULTS, TEMP_DIR};
use crate::base::{Error, ErrorClass, Interrupt, Result, Settings, interrupt};
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

/// State of one running query, or of a part of it whose failure is its own ([`QueryContext::part`]).
pub struct QueryContext {
    pub settings: Settings,
    pub runner: Arc<dyn JobRunner>,
    pub memory: Arc<MemoryPool>,
    /// Failures that tests ask for.
    pub faults: Arc<Faults>,
    fate: Arc<Fate>,
    /// That of the whole query, where this is a part of it.
    whole: Option<Arc<Fate>>,
    subqueries: Arc<Mutex<HashMap<SubqueryId, Arc<Subquery>>>>,
    metrics: Arc<Mutex<HashMap<(u64, &'static str), Counter>>>,
    /// What plan nodes keep for the length of the query (shuffles, broadcasts), by node and type.
    shared: Arc<Mutex<HashMap<(u64, TypeId), Arc<dyn Any + Send + Sync>>>>,
    /// Jobs run so far (actions, shuffles aside).
    pub jobs: Arc<AtomicU64>,
    pub stages: Arc<Stages>,
}

/// Whether to go on.
struct Fate {
    /// What all threads poll.
    interrupt: Interrupt,
    /// The first error of any task.
    failure: OnceLock<Error>,
}

impl Fate {
    fn under(interrupt: &Interrupt) -> Arc<Self> {
        Arc::new(Self { interrupt: Interrupt::under(&[interrupt]), failure: OnceLock::new() })
    }
}

/// A query whose answer, a column, others wait for.
struct Subquery {
    compute: Arc<ComputeSubquery>,
    running: OnceLock<Future<ArrayRef>>,
}

/// Computes the answer of a subquery, on a thread that may block.
pub type ComputeSubquery = dyn Fn(&Arc<QueryContext>) -> Result<ArrayRef> + Send + Sync;

impl QueryContext {
    /// A query that stops, at the latest, when what the thread does is to stop.
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
            fate: Fate::under(&interrupt::current()),
            whole: None,
            subqueries: Arc::default(),
            metrics: Arc::default(),
            shared: Arc::default(),
            jobs: Arc::default(),
            stages: Arc::default(),
        });
        // Met by the first task.
        invalid.map(|e| context.fail(e));
        context
    }

    /// The same query, for a part that is computed beside others: its failure stops its own tasks only and is met by those who wait
    /// for the part, so that which of several failures is reported does not depend on which comes first.
    pub fn part(&self) -> Arc<Self> {
        Arc::new(Self {
            settings: self.settings.clone(),
            runner: self.runner.clone(),
            memory: self.memory.clone(),
            faults: self.faults.clone(),
            fate: Fate::under(self.interrupt()),
            whole: Some(self.whole.as_ref().unwrap_or(&self.fate).clone()),
            subqueries: self.subqueries.clone(),
            metrics: self.metrics.clone(),
            shared: self.shared.clone(),
            jobs: self.jobs.clone(),
            stages: self.stages.clone(),
        })
    }

    /// What all threads of the query (or this part) poll.
    pub fn interrupt(&self) -> &Interrupt {
        &self.fate.interrupt
    }

    /// Computes a [part](Self::part) in the background.
    pub fn beside<T: Clone + Send + Sync + 'static>(
        &self,
        compute: impl FnOnce(&Arc<QueryContext>) -> Result<T> + Send + 'static,
    ) -> Future<T> {
        let part = self.part();
        Future::start(move || {
            let _entered = part.interrupt().enter();
            compute(&part)
        })
    }

    /// Asks all tasks to stop.
    pub fn cancel(&self) {
        self.fate.interrupt.request();
    }

    /// Records a task's error and stops the other tasks; returns the error that the query (or this part) reports, the first one recorded.
    pub fn fail(&self, error: Error) -> Error {
        let first = self.fate.failure.get_or_init(|| error).clone();
        self.cancel();
        first
    }

    /// # Errors
    /// The error of the task that failed first, or `Cancelled` once [`Self::cancel`] was called.
    pub fn check_cancelled(&self) -> Result<()> {
        self.fate.interrupt.check().map_err(|cancelled| {
            let failed = [Some(&self.fate), self.whole.as_ref()].into_iter().flatten().find_map(|fate| fate.failure.get());
            failed.cloned().unwrap_or(cancelled)
        })
    }

    /// Makes a subquery known; it runs when it is first asked for.
    pub fn declare_subquery(&self, id: SubqueryId, compute: Arc<ComputeSubquery>) {
        let subquery = Arc::new(Subquery { compute, running: OnceLock::new() });
        self.subqueries.lock().unwrap_or_else(|e| e.into_inner()).insert(id, subquery);
    }

    /// Starts a subquery in the background, unless it has been.
    ///
    /// # Errors
    /// `Internal` when there is no such subquery.
    pub fn start_subquery(&self, id: SubqueryId) -> Result<()> {
        self.running_subquery(id).map(|_| ())
    }

    fn running_subquery(&self, id: SubqueryId) -> Result<Arc<Subquery>> {
        let known = self.subqueries.lock().unwrap_or_else(|e| e.into_inner()).get(&id).cloned();
        let subquery = known.ok_or_else(|| Error::internal(format!("subquery {} is not part of the query", id.0)))?;
        subquery.running.get_or_init(|| {
            let compute = subquery.compute.clone();
            self.beside(move |part| compute(part))
        });
        Ok(subquery)
    }

    /// The answer of a subquery: of a scalar one its value alone. Waits for it; never called by a task, whose worker it may need.
    ///
    /// # Errors
    /// Those of the subquery.
    pub fn subquery(&self, id: SubqueryId) -> Result<ArrayRef> {
        let subquery = self.running_subquery(id)?;
        subquery.running.get().map_or_else(|| Err(Error::internal("a subquery that was started does not run")), Future::get)
    }

    /// What plan node `node` shares between all its uses in this query, one value of each type, made by `make` on first use; `make` must
    /// not block.
    pub fn shared<T: Send + Sync + 'static>(&self, node: u64, make: impl FnOnce() -> T) -> Arc<T> {
        let key = (node, TypeId::of::<T>());
        let slot = self.shared.lock().unwrap_or_else(|e| e.into_inner()).entry(key).or_insert_with(|| Arc::new(make())).clone();
        slot.downcast().unwrap_or_else(|_| unreachable!("the key says the type"))
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

    /// Lets go of what plan nodes shared and of subqueries: the query has ended. What still runs of it (a broadcast that turned out not
    /// to be needed) is stopped, and waited for.
    pub fn release(&self) {
        self.cancel();
        loop {
            let shared = std::mem::take(&mut *self.shared.lock().unwrap_or_else(|e| e.into_inner()));
            let subqueries = std::mem::take(&mut *self.subqueries.lock().unwrap_or_else(|e| e.into_inner()));
            // What was still running may have added to them.
            if shared.is_empty() && subqueries.is_empty() {
                return;
            }
        }
    }

    /// Does away with a counter whose number is not known.
    pub fn forget_metric(&self, node: u64, name: &'static str) {
        self.metrics.lock().unwrap_or_else(|e| e.into_inner()).remove(&(node, name));
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
