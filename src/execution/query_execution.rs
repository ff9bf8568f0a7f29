//! One query through its phases.
//!
//! Each phase is computed when first asked for and kept. An action starts a run: a [`QueryContext`] of its own, all scalar subqueries
//! and broadcasts started at once in the background, then the plan executed, each node once its subqueries have answered.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::{CacheManager, Scheduler, Stream, StreamOrder};
use crate::base::settings::JIT_COUNT_ROWS;
use crate::base::{Attribute, Error, ErrorClass, Interrupt, Result, Settings, interrupt, warning};
use crate::datasource::BatchStream;
use crate::logical::{BoundQuery, LogicalPlan, optimizer};
use crate::operators::metrics::OUTPUT_ROWS;
use crate::operators::{Metric, Operator, SparkPlan, whole_stage};
use crate::planning::{self, Details, ExplainLevel, PhysicalQuery, explain, explain_json};
use crate::rdd::shuffle::Size;
use crate::rdd::{QueryContext, Rdd, StageInfo, TaskContext};

/// How long the phases took. A phase not yet run took nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct PhaseTimings {
    /// SQL text to bound plan.
    pub parse: Duration,
    pub optimize: Duration,
    pub plan: Duration,
    /// Making machine code for the last action, summed over threads; part of `run`.
    pub compile: Duration,
    /// Of the compiled stages, the median.
    pub compile_median: Duration,
    /// The last action: subqueries, broadcasts, shuffles, result.
    pub run: Duration,
}

/// What an operator of a plan has counted in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorMetrics {
    /// The number of the plan node.
    pub node: u64,
    /// Spark's name of the operator.
    pub operator: &'static str,
    pub metrics: Vec<(Metric, u64)>,
}

impl OperatorMetrics {
    /// The metric of Spark's key `key`, if it was counted.
    pub fn get(&self, key: &str) -> Option<u64> {
        self.metrics.iter().find(|(metric, _)| metric.key == key).map(|(_, value)| *value)
    }
}

/// How far a query is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryProgress {
    /// Those that have begun, subqueries' and broadcasts' too.
    pub stages: Vec<StageInfo>,
    /// Rows that have left the plan's scans.
    pub rows_read: u64,
    /// Bytes that finished tasks left for stages behind shuffles.
    pub shuffle_bytes: u64,
    /// Bytes written to spill files.
    pub spilled: u64,
}

/// Stops a query from another thread. Clones stop the same query.
#[derive(Debug, Clone)]
pub struct CancelHandle(Interrupt);

impl CancelHandle {
    /// Makes what runs of the query, and whatever is begun of it later, fail with the error `Cancelled`.
    pub fn cancel(&self) {
        self.0.request();
    }

    /// Whether [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.requested()
    }
}

/// A query and everything known about it.
pub struct QueryExecution {
    settings: Settings,
    scheduler: Arc<Scheduler>,
    query: BoundQuery,
    cache: Option<Arc<CacheManager>>,
    optimized: OnceLock<Result<BoundQuery>>,
    physical: OnceLock<Result<PhysicalQuery>>,
    timings: Mutex<PhaseTimings>,
    warnings: Mutex<Vec<String>>,
    last_run: Mutex<Option<Arc<QueryContext>>>,
    /// The next run is for EXPLAIN ANALYZE: compiled stages count all rows.
    counting: AtomicBool,
    /// Of the whole query, all its actions.
    interrupt: Interrupt,
}

impl QueryExecution {
    /// `parse` is how long it took to make `query`.
    pub fn new(query: BoundQuery, settings: Settings, scheduler: Arc<Scheduler>, parse: Duration) -> Self {
        Self {
            settings,
            scheduler,
            query,
            cache: None,
            optimized: OnceLock::new(),
            physical: OnceLock::new(),
            timings: Mutex::new(PhaseTimings { parse, ..PhaseTimings::default() }),
            warnings: Mutex::new(vec![]),
            last_run: Mutex::new(None),
            counting: AtomicBool::new(false),
            interrupt: Interrupt::new(),
        }
    }

    /// Reads what is cached there when it is planned.
    pub fn with_cache(self, cache: Arc<CacheManager>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// With what was warned of before this phase.
    pub fn warned(self, warnings: Vec<String>) -> Self {
        self.lock(&self.warnings).extend(warnings);
        self
    }

    /// Stops the query, planning included.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.interrupt.clone())
    }

    /// Lets the thread poll whatever can stop the query.
    fn enter(&self) -> interrupt::Entered {
        Interrupt::under(&[&self.interrupt, &self.scheduler.running().interrupt(), &interrupt::current()]).enter()
    }

    /// A phase that is computed once. One that was stopped may be tried again.
    fn once<'s, T>(&self, cell: &'s OnceLock<Result<T>>, compute: impl FnOnce() -> Result<T>) -> Result<&'s T> {
        if cell.get().is_none() {
            let _entered = self.enter();
            match interrupt::check().and_then(|()| compute()) {
                Err(e) if e.class == ErrorClass::Cancelled => return Err(e),
                computed => drop(cell.set(computed)),
            }
        }
        match cell.get() {
            Some(Ok(computed)) => Ok(computed),
            Some(Err(e)) => Err(e.clone()),
            None => Err(Error::internal("a phase without a result")),
        }
    }

    /// What a user should know of the query: hints that cannot be followed, plans that will be slow. Those of the phases so far.
    pub fn warnings(&self) -> Vec<String> {
        self.lock(&self.warnings).clone()
    }

    fn lock<'m, T>(&self, mutex: &'m Mutex<T>) -> std::sync::MutexGuard<'m, T> {
        mutex.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Runs a phase, keeping what it warns of.
    fn phase<T>(&self, f: impl FnOnce() -> T) -> T {
        let (result, new) = warning::gather(f);
        let mut known = self.lock(&self.warnings);
        for warning in new {
            if !known.contains(&warning) {
                known.push(warning);
            }
        }
        result
    }

    /// The plan as written. Names are resolved while binding, so this is [`Self::analyzed`].
    pub fn logical(&self) -> &LogicalPlan {
        &self.query.plan
    }

    /// The plan with names resolved and types coerced.
    pub fn analyzed(&self) -> &LogicalPlan {
        &self.query.plan
    }

    /// The analyzed query with its scalar subqueries.
    pub fn query(&self) -> &BoundQuery {
        &self.query
    }

    /// Columns of the result.
    pub fn output(&self) -> Vec<Attribute> {
        self.query.plan.output()
    }

    /// The query after the optimizer's rules.
    ///
    /// # Errors
    /// Those of the rules: errors of constant expressions among them.
    pub fn optimized(&self) -> Result<&BoundQuery> {
        self.once(&self.optimized, || {
            let start = Instant::now();
            let query = match &self.cache {
                Some(cache) => cache.use_cached(self.query.clone()),
                None => Ok(self.query.clone()),
            };
            let optimized = query.and_then(|query| self.phase(|| optimizer::optimize(query, &self.settings)));
            self.timed(|t| t.optimize = start.elapsed());
            optimized
        })
    }

    /// # Errors
    /// Those of [`Self::optimized`].
    pub fn optimized_plan(&self) -> Result<&LogicalPlan> {
        Ok(&self.optimized()?.plan)
    }

    /// The physical plans, of the query and of its subqueries.
    ///
    /// # Errors
    /// Those of [`Self::optimized`], and of planning.
    pub fn physical(&self) -> Result<&PhysicalQuery> {
        let optimized = self.optimized()?;
        self.once(&self.physical, || {
            let start = Instant::now();
            let physical = self.phase(|| planning::plan(optimized.clone(), &self.settings));
            self.timed(|t| t.plan = start.elapsed());
            physical
        })
    }

    /// The physical plan before preparations.
    ///
    /// # Errors
    /// Those of [`Self::physical`].
    pub fn spark_plan(&self) -> Result<&Arc<SparkPlan>> {
        Ok(&self.physical()?.spark_plan)
    }

    /// The physical plan that runs.
    ///
    /// # Errors
    /// Those of [`Self::physical`].
    pub fn executed_plan(&self) -> Result<&Arc<SparkPlan>> {
        Ok(&self.physical()?.executed_plan)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn timings(&self) -> PhaseTimings {
        *self.lock(&self.timings)
    }

    fn timed(&self, set: impl FnOnce(&mut PhaseTimings)) {
        set(&mut self.lock(&self.timings));
    }

    /// The context of the last action: its metrics and jobs.
    pub fn last_run(&self) -> Option<Arc<QueryContext>> {
        self.lock(&self.last_run).clone()
    }

    /// What the operators of the last action have counted so far, in the order of EXPLAIN, subqueries last; empty before there was
    /// one. May be asked while it runs.
    pub fn metrics(&self) -> Vec<OperatorMetrics> {
        let (Some(context), Ok(physical)) = (self.last_run(), self.physical()) else { return vec![] };
        let mut all: Vec<OperatorMetrics> = vec![];
        for root in [&physical.executed_plan].into_iter().chain(physical.subqueries.iter().map(|s| &s.executed_plan)) {
            root.visit(&mut |node| {
                // A reused exchange stands above the one that it reuses.
                let metrics = node.metrics(&context);
                if !metrics.is_empty() && all.iter().all(|known| known.node != node.id) {
                    all.push(OperatorMetrics { node: node.id, operator: node.name(), metrics });
                }
            });
        }
        all
    }

    /// How far the last action is, or what it came to; `None` before there was one. Other threads may ask while it runs.
    pub fn progress(&self) -> Option<QueryProgress> {
        let context = self.last_run()?;
        let (mut leaves, mut rows_read) = (HashSet::new(), 0);
        if let Ok(physical) = self.physical() {
            for root in [&physical.executed_plan].into_iter().chain(physical.subqueries.iter().map(|s| &s.executed_plan)) {
                root.visit(&mut |node| {
                    if node.children.is_empty() {
                        leaves.insert(node.id);
                    }
                });
            }
        }
        let mut spilled = 0;
        for (node, name, value) in context.metrics() {
            match name {
                OUTPUT_ROWS if leaves.contains(&node) => rows_read += value,
                "spillSize" => spilled += value,
                _ => {}
            }
        }
        let stages = context.stages.infos();
        let shuffle_bytes = stages.iter().map(|stage| stage.shuffle_bytes).sum();
        Some(QueryProgress { stages, rows_read, shuffle_bytes, spilled })
    }

    /// Begins a new run: its subqueries and broadcasts.
    fn start(&self, context: &Arc<QueryContext>) -> Result<&Arc<SparkPlan>> {
        let physical = self.physical()?;
        for subquery in &physical.subqueries {
            let subquery = subquery.clone();
            context.declare_subquery(subquery.id, Arc::new(move |part| subquery.compute(part)));
        }
        physical.executed_plan.prepare(context)?;
        Ok(&physical.executed_plan)
    }

    fn run<T>(&self, action: impl FnOnce(Arc<QueryContext>, &Arc<SparkPlan>) -> Result<T>) -> Result<T> {
        self.physical()?;
        let start = Instant::now();
        let _query = self.enter();
        let mut settings = self.settings.clone();
        if self.counting.load(Ordering::Relaxed) {
            settings.set(JIT_COUNT_ROWS.key, "true")?;
        }
        let context = QueryContext::new(settings, self.scheduler.clone());
        *self.lock(&self.last_run) = Some(context.clone());
        let result = {
            let _run = context.interrupt().enter();
            self.start(&context).and_then(|plan| action(context.clone(), plan))
        };
        // The first error of a task stops the others, which then fail because they were stopped; say the first.
        let result = result.map_err(|e| if e.class == ErrorClass::Cancelled { context.check_cancelled().err().unwrap_or(e) } else { e });
        if result.is_err() {
            context.release();
        }
        let mut times: Vec<u64> = context.metrics().into_iter().filter(|(_, name, _)| *name == "compileTime").map(|(.., ns)| ns).collect();
        times.sort_unstable();
        self.timed(|t| {
            t.run = start.elapsed();
            t.compile = Duration::from_nanos(times.iter().sum());
            t.compile_median = Duration::from_nanos(times.get(times.len() / 2).copied().unwrap_or(0));
        });
        result
    }

    /// An action that has all its rows when it ends: nothing of the run is kept but its metrics.
    fn run_whole<T>(&self, action: impl FnOnce(&Arc<QueryContext>, &Arc<SparkPlan>) -> Result<T>) -> Result<T> {
        self.run(|context, plan| {
            let ending = Ending(context);
            action(&ending.0, plan)
        })
    }

    /// All rows.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn collect(&self) -> Result<Vec<RecordBatch>> {
        self.run_whole(|context, plan| plan.execute_collect(context))
    }

    /// All rows, by partition.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn collect_partitions(&self) -> Result<Vec<Vec<RecordBatch>>> {
        self.run_whole(|context, plan| {
            let rdd = plan.execute(context)?;
            context.runner.run_job(&rdd, &(0..rdd.num_partitions()).collect::<Vec<_>>(), context)
        })
    }

    /// The first `n` rows, computing no more partitions than they need.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn take(&self, n: usize) -> Result<Vec<RecordBatch>> {
        self.run_whole(|context, plan| plan.execute_take(n as u64, context))
    }

    /// The last `n` rows, in order, computing no more partitions than they need.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn tail(&self, n: usize) -> Result<Vec<RecordBatch>> {
        self.run_whole(|context, plan| plan.execute_tail(n as u64, context))
    }

    /// The rows in order, one partition computed at a time.
    ///
    /// # Errors
    /// Those of planning; later ones come through the iterator.
    pub fn to_local_iterator(&self) -> Result<BatchStream> {
        self.run(|context, plan| {
            let partitions = plan.execute_to_iterator(&context)?;
            let ends = Ending(context);
            let rows: BatchStream = Box::new(partitions.flat_map(move |partition| {
                let _held = &ends;
                match partition {
                    Ok(batches) => batches.into_iter().map(Ok).collect(),
                    Err(e) => vec![Err(e)],
                }
            }));
            Ok(rows)
        })
    }

    /// The batches, made as they are taken: of all partitions at once, or in order.
    ///
    /// # Errors
    /// Those of planning; later ones come through the stream.
    pub fn execute_stream(&self, order: StreamOrder) -> Result<Stream> {
        self.run(|context, plan| self.scheduler.stream(plan.execute(&context)?, context, order))
    }

    /// Does `work` with the rows of each partition, in a task of its own; what it tells of how many rows there were, in order of
    /// partitions. A task that failed may be tried again.
    ///
    /// # Errors
    /// The first error of planning or of any task.
    pub fn for_each_partition(&self, work: impl Fn(usize, BatchStream, &TaskContext) -> Result<u64> + Sync) -> Result<Vec<u64>> {
        let work = |batches: BatchStream, task: &TaskContext| work(task.partition, batches, task);
        self.for_partitions(|all| Ok((0..all).collect()), work, |rows| Size { rows: *rows, bytes: 0 })
    }

    /// As [`Self::for_each_partition`], with those that `which` chooses when it is told how many there are. `made` tells how much
    /// `work` has made.
    ///
    /// # Errors
    /// The first error of planning, of `which` or of any task.
    pub fn for_partitions<T: Send>(
        &self,
        which: impl FnOnce(usize) -> Result<Vec<usize>>,
        work: impl Fn(BatchStream, &TaskContext) -> Result<T> + Sync,
        made: impl Fn(&T) -> Size + Sync,
    ) -> Result<Vec<T>> {
        self.run_whole(|context, plan| {
            let rdd = plan.execute(context)?;
            self.scheduler.for_partitions(&rdd, &which(rdd.num_partitions())?, context, work, made)
        })
    }

    /// The lineage that computes the result. Scalar subqueries and broadcasts of the plan are computed for it.
    ///
    /// # Errors
    /// Those of planning and of the subqueries.
    pub fn to_rdd(&self) -> Result<Rdd> {
        self.run(|context, plan| plan.execute(&context))
    }

    /// Every compiled stage of the plan and its subqueries, with its number in `*(N)`. Compiles them now if need be; scalar
    /// subqueries are run, since their values are constants of the code.
    ///
    /// # Errors
    /// `Codegen` for a stage that cannot be compiled, and the errors of planning.
    pub fn stages(&self) -> Result<Vec<(usize, Arc<whole_stage::CompiledStage>)>> {
        self.run_whole(|context, plan| {
            let mut found = vec![];
            let physical = self.physical()?;
            for root in physical.subqueries.iter().map(|s| &s.executed_plan).chain([plan]) {
                root.visit(&mut |node| {
                    if let Operator::WholeStageCodegen(stage) = &node.operator {
                        found.push((stage.stage_id, node.clone()));
                    }
                });
            }
            found.sort_by_key(|(id, _)| *id);
            let stages = found.into_iter().map(|(id, node)| Ok((id, whole_stage::compile(&node, context)?))).collect::<Result<Vec<_>>>()?;
            self.timed(|t| t.compile = stages.iter().map(|(_, s)| s.compile_time()).sum());
            Ok(stages)
        })
    }

    /// The plan as JSON (see [`crate::planning::explain_json`]); `analyze`: with the metrics of its run, which runs it unless it has been.
    ///
    /// # Errors
    /// Those of planning, and of running where it is run.
    pub fn explain_json(&self, analyze: bool) -> Result<String> {
        let context = if analyze { self.analyzed_run()? } else { None };
        let metrics = |plan: &SparkPlan| context.as_ref().map(|context| plan.metrics(context)).unwrap_or_default();
        let stages = context.as_ref().map(|context| context.stages.infos()).unwrap_or_default();
        let details = Details { code: &|_| Ok(String::new()), metrics: &metrics, stages };
        Ok(explain_json(self.physical()?, &self.settings, analyze.then_some(&details)))
    }

    fn analyzed_run(&self) -> Result<Option<Arc<QueryContext>>> {
        if self.last_run().is_none() {
            self.counting.store(true, Ordering::Relaxed);
            let ran = self.collect();
            self.counting.store(false, Ordering::Relaxed);
            ran?;
        }
        Ok(self.last_run())
    }

    /// The plans as text, in Spark's formats. [`ExplainLevel::Analyze`] runs the query unless it has run;
    /// [`ExplainLevel::Codegen`] compiles its stages.
    ///
    /// # Errors
    /// Those of planning, and of running where it is run.
    pub fn explain(&self, level: ExplainLevel) -> Result<String> {
        let context = match level {
            ExplainLevel::Codegen => Some(self.run(|context, _| Ok(context))?),
            ExplainLevel::Analyze => self.analyzed_run()?,
            ExplainLevel::Simple | ExplainLevel::Extended | ExplainLevel::Formatted | ExplainLevel::Cost => None,
        };
        let _ending = context.clone().map(Ending);
        let code = |stage: &Arc<SparkPlan>| match &context {
            Some(context) => Ok(whole_stage::compile(stage, context)?.clif().to_string()),
            None => Ok(String::new()),
        };
        let metrics = |plan: &SparkPlan| context.as_ref().map(|context| plan.metrics(context)).unwrap_or_default();
        let stages = context.as_ref().map(|context| context.stages.infos()).unwrap_or_default();
        let details = Details { code: &code, metrics: &metrics, stages };
        Ok(explain(&self.query, self.optimized()?, self.physical()?, level, &self.settings, &details))
    }
}

/// Lets go of what a run holds (shuffles, broadcasts) when it ends, however it ends.
struct Ending(Arc<QueryContext>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.release();
    }
}
