//! A cached query: the plan that computes its rows, and what is kept of them.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::table::Reading;
use crate::base::schema::arrow_schema;
use crate::base::{Attribute, Error, ErrorClass, Result, Schema, interrupt};
use crate::datasource::{Block, Summary, TableStatistics};
use crate::logical::statistics::Statistics;
use crate::logical::{CachedRows, StorageLevel};
use crate::operators::SparkPlan;
use crate::operators::stream::{in_batches, with_schema};
use crate::rdd::size::compacted_to;
use crate::rdd::{BatchStream, Held, MapOutput, MapWriter, TaskContext};

/// Of what strings need at least, what they may take.
const SPARE: f64 = 1.1;

/// Runs the plan for the partitions that the first function chooses when it is told how many there are; the second one keeps the rows
/// of one, in its task.
pub type Compute = Box<
    dyn Fn(&dyn Fn(usize) -> Result<Vec<usize>>, &(dyn Fn(BatchStream, &TaskContext) -> Result<Partition> + Sync)) -> Result<Vec<Partition>>
        + Send
        + Sync,
>;

/// A planned query whose rows are kept from their first use on.
pub struct CachedPlan {
    /// Of the table or view that was cached by name.
    pub name: Option<Arc<str>>,
    pub level: StorageLevel,
    /// The physical plan that computes the rows.
    pub plan: Arc<SparkPlan>,
    /// Its tree.
    plan_text: String,
    expected: Statistics,
    /// Rows per batch.
    batch_rows: usize,
    compute: Compute,
    /// Whether partitions may be computed again one by one.
    pub(super) repeatable: bool,
    /// By partition; `None`: lost.
    kept: Mutex<Vec<Option<KeptPartition>>>,
    known: OnceLock<Arc<Known>>,
    /// Held while rows are computed, so that this happens once.
    running: Mutex<()>,
}

/// What was found out about the rows when they were computed first. Plans are made, and code is compiled, in the belief that it is so.
pub struct Known {
    pub statistics: TableStatistics,
    /// By partition.
    rows: Vec<u64>,
}

/// The rows of a partition, for as long as they are there.
#[derive(Clone)]
struct KeptPartition {
    output: Arc<MapOutput>,
    blocks: Arc<[Block]>,
}

/// The rows of a partition.
pub struct Partition {
    pub held: Held,
    /// What is known of them, in their order.
    pub blocks: Arc<[Block]>,
}

impl KeptPartition {
    fn hold(&self) -> Option<Partition> {
        Some(Partition { held: self.output.hold()?, blocks: self.blocks.clone() })
    }
}

impl CachedPlan {
    /// `plan` is that which `compute` runs, `plan_text` its tree, `expected` what is expected of its rows, `batch_rows` the rows per
    /// batch; `repeatable`: see [`super::is_repeatable`].
    pub fn new(
        name: Option<Arc<str>>,
        level: StorageLevel,
        (plan, plan_text): (Arc<SparkPlan>, String),
        expected: Statistics,
        batch_rows: usize,
        compute: Compute,
        repeatable: bool,
    ) -> Self {
        let (kept, known, running) = (Mutex::default(), OnceLock::new(), Mutex::default());
        Self { name, level, plan, plan_text, expected, batch_rows, compute, repeatable, kept, known, running }
    }

    pub fn schema(&self) -> Schema {
        Schema::new(self.plan.output().iter().map(Attribute::to_field).collect())
    }

    /// Exact once the rows have been computed, `None` before.
    pub fn statistics(&self) -> Option<&TableStatistics> {
        self.known.get().map(|known| &known.statistics)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Option<KeptPartition>>> {
        self.kept.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Bytes of the rows in memory, and in files.
    pub fn held(&self) -> (u64, u64) {
        let held = self.kept().iter().flatten().map(|p| p.output.held()).collect::<Vec<_>>();
        held.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// The rows for somebody who reads them.
    ///
    /// # Errors
    /// Those of [`Self::materialise`].
    pub fn read(self: &Arc<Self>) -> Result<Arc<Reading>> {
        let (known, partitions) = self.materialise()?;
        Ok(Reading::new(self.clone(), known, partitions))
    }

    /// The rows; those that are not there are computed, and whoever comes meanwhile waits. Called by those who drive a query, never by
    /// its tasks: the computation needs the workers.
    ///
    /// # Errors
    /// Those of the query; nothing new is kept then, and the next caller tries again. `FetchFailed` when rows that were lost are others
    /// now.
    pub fn materialise(&self) -> Result<(Arc<Known>, Vec<Partition>)> {
        let _running = interrupt::lock(&self.running)?;
        let known = self.known.get();
        let mut held: Vec<Option<Partition>> = self.kept().iter().map(|p| p.as_ref()?.hold()).collect();
        if !self.repeatable && held.iter().any(Option::is_none) {
            held.iter_mut().for_each(|p| *p = None);
        }
        let missing: Vec<usize> = (0..held.len()).filter(|p| held[*p].is_none()).collect();
        if let Some(known) = known.filter(|_| missing.is_empty()) {
            return Ok((known.clone(), held.into_iter().flatten().collect()));
        }
        let summary = Mutex::new(Summary::new(&self.schema()));
        let which = |partitions: usize| match known {
            None => Ok((0..partitions).collect()),
            Some(known) if known.rows.len() == partitions => Ok(missing.clone()),
            Some(_) => Err(self.changed()),
        };
        let mut made = (self.compute)(&which, &|rows, task| self.keep(rows, task, &summary))?.into_iter();
        let summary = summary.into_inner().unwrap_or_else(|e| e.into_inner());
        let sizes = made.as_slice().iter().map(|p| p.held.output().written()).collect::<Vec<_>>();
        let blocks = made.as_slice().iter().flat_map(|p| p.blocks.iter());
        let statistics = summary.finish(blocks, sizes.iter().map(|s| s.bytes).sum());
        let rows: Vec<u64> = sizes.iter().map(|s| s.rows).collect();
        let (known, partitions) = match known {
            None => (self.known.get_or_init(|| Arc::new(Known { statistics, rows })), made.collect::<Vec<_>>()),
            Some(known) => {
                let before: u64 = missing.iter().map(|p| known.rows[*p]).sum();
                if before != rows.iter().sum::<u64>() || !known.statistics.hold_for(&statistics) {
                    return Err(self.changed());
                }
                (known, held.into_iter().filter_map(|p| p.or_else(|| made.next())).collect())
            }
        };
        let keep = |p: &Partition| Some(KeptPartition { output: p.held.output().clone(), blocks: p.blocks.clone() });
        *self.kept() = partitions.iter().map(keep).collect();
        Ok((known.clone(), partitions))
    }

    /// Keeps the rows of the partition of a task.
    fn keep(&self, rows: BatchStream, task: &TaskContext, summary: &Mutex<Summary>) -> Result<Partition> {
        let schema = arrow_schema(&self.plan.output());
        let (mut writer, mut blocks, mut own) = (MapWriter::new(1, self.plan.id, &task.query), vec![], Summary::new(&self.schema()));
        let shaped = {
            let schema = schema.clone();
            Box::new(rows.map(move |batch| with_schema(batch?, &schema)))
        };
        for batch in in_batches(shaped, schema, self.batch_rows) {
            task.check()?;
            let batch = batch?;
            blocks.push(own.add(&batch));
            writer.push(0, compacted_to(&batch, SPARE)?)?;
            if !self.level.uses_memory() {
                writer.spill()?;
            }
        }
        summary.lock().unwrap_or_else(|e| e.into_inner()).merge(own);
        // What may come out otherwise the next time is written out rather than dropped, whatever the level.
        let memory_only = self.repeatable && !self.level.uses_disk();
        Ok(Partition { held: writer.finish_held(memory_only), blocks: blocks.into() })
    }

    /// Forgets rows that cannot be read, unless there are others by now.
    pub fn lose(&self, partition: usize, output: &Arc<MapOutput>) {
        if let Some(slot) = self.kept().get_mut(partition)
            && slot.as_ref().is_some_and(|p| Arc::ptr_eq(&p.output, output))
        {
            *slot = None;
        }
    }

    fn changed(&self) -> Error {
        self.unreadable("computed again they are not what they were. UNCACHE or REFRESH what has changed.")
    }

    /// The error of rows that are there no longer.
    pub fn unreadable(&self, why: &str) -> Error {
        let of = self.name.as_ref().map_or_else(|| "a cached query".to_string(), |name| format!("the cached table `{name}`"));
        Error::new(ErrorClass::FetchFailed, format!("rows of {of} cannot be read: {why}"))
    }
}

impl Debug for CachedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedPlan({:?}, {})", self.name, self.level)
    }
}

impl CachedRows for CachedPlan {
    fn storage_level(&self) -> StorageLevel {
        self.level
    }

    fn output(&self) -> Vec<Attribute> {
        self.plan.output()
    }

    fn computed(&self) -> Option<&TableStatistics> {
        self.statistics()
    }

    fn expected(&self) -> &Statistics {
        &self.expected
    }

    fn plan_text(&self) -> &str {
        &self.plan_text
    }
}
