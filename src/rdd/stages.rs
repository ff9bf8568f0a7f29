//! Stages of a running query: how far they are and what they did. A stage is what runs between two shuffles: the tasks that
//! compute one [`Rdd`].

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Rdd;
use super::shuffle::Size;
use crate::base::number::{format_bytes, format_count, format_nanos};

/// A stage as it was when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageInfo {
    /// From 0 in the order in which the query's stages began.
    pub id: usize,
    /// Of what computes its rows.
    pub name: String,
    /// Tasks asked for so far.
    pub tasks: usize,
    /// Those that are being tried.
    pub running: usize,
    pub done: usize,
    /// Tries of tasks that failed by other things than lost shuffle rows.
    pub failed_tries: u64,
    /// Summed over tasks and tries.
    pub run_time: Duration,
    /// Rows that its finished tasks made.
    pub rows: u64,
    /// Bytes that they left for the stages behind a shuffle.
    pub shuffle_bytes: u64,
    /// Bytes that its tasks wrote to spill files.
    pub spilled: u64,
}

impl StageInfo {
    pub fn has_ended(&self) -> bool {
        self.done >= self.tasks
    }
}

impl fmt::Display for StageInfo {
    /// `Stage 1 [WholeStageCodegen (2)]: tasks: 4, run time: 12 ms, rows: 1,000, …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format_nanos(self.run_time.as_nanos() as u64);
        write!(f, "Stage {} [{}]: tasks: {}", self.id, self.name, format_count(self.tasks as u64))?;
        if !self.has_ended() {
            write!(f, " ({} done)", format_count(self.done as u64))?;
        }
        write!(f, ", run time: {time}, rows: {}", format_count(self.rows))?;
        for (name, bytes) in [("shuffle bytes", self.shuffle_bytes), ("spill size", self.spilled)] {
            if bytes > 0 {
                write!(f, ", {name}: {}", format_bytes(bytes))?;
            }
        }
        if self.failed_tries > 0 {
            write!(f, ", failed tries: {}", format_count(self.failed_tries))?;
        }
        Ok(())
    }
}

/// A stage while it runs.
#[derive(Debug, Default)]
pub struct RunningStage {
    id: usize,
    pub name: String,
    rdd: u64,
    tasks: AtomicUsize,
    running: AtomicUsize,
    done: AtomicUsize,
    failed_tries: AtomicU64,
    nanos: AtomicU64,
    rows: AtomicU64,
    shuffle_bytes: AtomicU64,
    spilled: AtomicU64,
}

thread_local! {
    /// The stage of the task that runs on this thread.
    static CURRENT: RefCell<Option<Arc<RunningStage>>> = const { RefCell::new(None) };
}

/// Notes that the task on this thread wrote `bytes` to a spill file.
pub fn spilled(bytes: u64) {
    CURRENT.with_borrow(|stage| stage.as_ref().map(|stage| stage.spilled.fetch_add(bytes, Relaxed)));
}

impl RunningStage {
    /// `tasks` more are to run.
    pub fn asked(&self, tasks: usize) {
        self.tasks.fetch_add(tasks, Relaxed);
    }

    /// What `tasks` had made is lost: they are to be asked for again.
    pub fn lost(&self, tasks: usize) {
        self.done.fetch_sub(tasks, Relaxed);
        self.tasks.fetch_sub(tasks, Relaxed);
    }

    pub fn failed_try(&self) {
        self.failed_tries.fetch_add(1, Relaxed);
    }

    /// A task begins on this thread.
    pub fn begin(self: &Arc<Self>) -> RunningTask {
        self.running.fetch_add(1, Relaxed);
        RunningTask { stage: self.clone(), start: Instant::now(), outer: CURRENT.replace(Some(self.clone())) }
    }

    fn info(&self) -> StageInfo {
        StageInfo {
            id: self.id,
            name: self.name.clone(),
            tasks: self.tasks.load(Relaxed),
            running: self.running.load(Relaxed),
            done: self.done.load(Relaxed),
            failed_tries: self.failed_tries.load(Relaxed),
            run_time: Duration::from_nanos(self.nanos.load(Relaxed)),
            rows: self.rows.load(Relaxed),
            shuffle_bytes: self.shuffle_bytes.load(Relaxed),
            spilled: self.spilled.load(Relaxed),
        }
    }
}

/// A task, with all its tries, on the thread that runs it.
pub struct RunningTask {
    stage: Arc<RunningStage>,
    start: Instant,
    /// The stage of the task that this thread was running already.
    outer: Option<Arc<RunningStage>>,
}

impl RunningTask {
    /// The task has made rows, for a shuffle if they have bytes.
    pub fn done(self, made: Size) {
        self.stage.done.fetch_add(1, Relaxed);
        self.stage.rows.fetch_add(made.rows, Relaxed);
        self.stage.shuffle_bytes.fetch_add(made.bytes, Relaxed);
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
        self.stage.nanos.fetch_add(self.start.elapsed().as_nanos() as u64, Relaxed);
        self.stage.running.fetch_sub(1, Relaxed);
    }
}

/// The stages of a query.
#[derive(Debug, Default)]
pub struct Stages(Mutex<Vec<Arc<RunningStage>>>);

impl Stages {
    /// The stage that computes `rdd`, which may have run other partitions of it before.
    pub fn of(&self, rdd: &Rdd) -> Arc<RunningStage> {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(known) = all.iter().find(|stage| stage.rdd == rdd.id()) {
            return known.clone();
        }
        let stage = RunningStage { id: all.len(), name: rdd.name().to_string(), rdd: rdd.id(), ..RunningStage::default() };
        all.push(Arc::new(stage));
        all[all.len() - 1].clone()
    }

    /// All so far, as they are now.
    pub fn infos(&self) -> Vec<StageInfo> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).iter().map(|stage| stage.info()).collect()
    }
}
