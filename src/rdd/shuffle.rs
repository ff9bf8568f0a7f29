//! Shuffles: what map tasks leave for the tasks after the stage boundary, in memory or in spill files.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arrow::array::RecordBatch;

use super::memory::{Evictable, Reservation};
use super::size::{compacted, data_size};
use super::spill::{Frame, SpillFile, SpillSite};
use super::{BatchStream, Dependency, Partitioner, QueryContext, Rdd};
use crate::base::{Error, ErrorClass, Result};

/// A shuffle boundary: the rows of `rdd` dealt out by `partitioner`.
pub struct ShuffleDependency {
    pub id: u64,
    /// The plan node whose metrics are the shuffle's.
    pub node: u64,
    pub rdd: Rdd,
    pub partitioner: Partitioner,
    /// Of each map task, once it has run.
    outputs: Mutex<Vec<Option<Arc<MapOutput>>>>,
    /// Map tasks that have run before: what they count when their output was lost has been counted.
    counted: Mutex<HashSet<usize>>,
    /// Held while the map stage runs, so that concurrent jobs over one lineage run it once.
    running: Mutex<()>,
}

static NEXT_SHUFFLE_ID: AtomicU64 = AtomicU64::new(0);

impl ShuffleDependency {
    pub fn new(node: u64, rdd: Rdd, partitioner: Partitioner) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_SHUFFLE_ID.fetch_add(1, Ordering::Relaxed),
            node,
            outputs: Mutex::new(vec![None; rdd.num_partitions()]),
            rdd,
            partitioner,
            counted: Mutex::default(),
            running: Mutex::new(()),
        })
    }

    fn outputs(&self) -> MutexGuard<'_, Vec<Option<Arc<MapOutput>>>> {
        self.outputs.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Map tasks whose output is not there: not run yet, or lost.
    pub fn missing(&self) -> Vec<usize> {
        self.outputs().iter().enumerate().filter(|(_, output)| output.is_none()).map(|(map, _)| map).collect()
    }

    /// Runs the [missing](Self::missing) map tasks by `run`, which gives their outputs in order; a second caller waits for the first.
    ///
    /// # Errors
    /// Those of `run`; the next caller tries again.
    pub fn materialise(&self, run: impl FnOnce(&[usize]) -> Result<Vec<Arc<MapOutput>>>) -> Result<()> {
        let _running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        let missing = self.missing();
        if !missing.is_empty() {
            let made = run(&missing)?;
            let mut outputs = self.outputs();
            self.counted.lock().unwrap_or_else(|e| e.into_inner()).extend(&missing);
            missing.into_iter().zip(made).for_each(|(map, output)| outputs[map] = Some(output));
        }
        Ok(())
    }

    /// Whether a map task's output was there before.
    pub fn was_made(&self, map: usize) -> bool {
        self.counted.lock().unwrap_or_else(|e| e.into_inner()).contains(&map)
    }

    /// Rows written by all map tasks; `None` before they have run.
    pub fn rows(&self) -> Option<u64> {
        self.outputs().iter().map(|output| Some(output.as_ref()?.written().rows)).sum()
    }

    /// Rows and bytes for each reducer; `None` before the map stage has run.
    pub fn sizes(&self) -> Option<Vec<Size>> {
        let mut total = vec![Size::default(); self.partitioner.num_partitions()];
        for output in self.outputs().iter() {
            total.iter_mut().zip(&output.as_ref()?.sizes).for_each(|(all, one)| {
                all.rows += one.rows;
                all.bytes += one.bytes;
            });
        }
        Some(total)
    }

    /// The reduce side: partition `p` is what the partitioner dealt to `p`, in map order. What a map task left may be lost: that is the
    /// error `FetchFailed`, and the map task is [missing](Self::missing) then.
    pub fn shuffled(self: &Arc<Self>) -> Rdd {
        let dependency = self.clone();
        Rdd::new("ShuffledRows", self.partitioner.num_partitions(), vec![Dependency::Shuffle(self.clone())], move |p, _| {
            let outputs: Option<Vec<_>> = dependency.outputs().iter().cloned().collect();
            let failed = || fetch_failed(dependency.id, "its map stage has not run");
            let (dependency, outputs) = (dependency.clone(), outputs.ok_or_else(failed)?);
            Ok(Box::new(outputs.into_iter().enumerate().flat_map(move |(map, output)| {
                let dependency = dependency.clone();
                output.read(p).map(move |batch| {
                    batch.map_err(|e| match e.class {
                        ErrorClass::Io => {
                            dependency.lose(map, &output);
                            fetch_failed(dependency.id, &e.message)
                        }
                        _ => e,
                    })
                })
            })))
        })
    }

    /// Forgets the output of a map task, which is [missing](Self::missing) then.
    #[cfg(test)]
    pub fn forget(&self, map: usize) {
        self.outputs()[map] = None;
    }

    /// Forgets an output that cannot be read, unless there is another by now.
    fn lose(&self, map: usize, output: &Arc<MapOutput>) {
        let kept = &mut self.outputs()[map];
        if kept.as_ref().is_some_and(|o| Arc::ptr_eq(o, output)) {
            *kept = None;
        }
    }
}

fn fetch_failed(id: u64, why: &str) -> Error {
    Error::new(ErrorClass::FetchFailed, format!("rows of shuffle {id} cannot be read: {why}"))
}

/// What a map task wrote for a reducer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: u64,
    pub bytes: u64,
}

fn total(sizes: &[Size]) -> Size {
    sizes.iter().fold(Size::default(), |all, one| Size { rows: all.rows + one.rows, bytes: all.bytes + one.bytes })
}

/// The rows of a finished map task by reducer. Those that came first may be in a file; those in memory follow there when others need
/// the memory.
pub struct MapOutput {
    sizes: Vec<Size>,
    kept: Mutex<Kept>,
    /// Whether the faults of shuffle files have had their chance.
    suffered: AtomicBool,
}

struct Kept {
    site: SpillSite,
    file: Option<Arc<SpillFile>>,
    /// Of each reducer, in the file.
    frames: Vec<Vec<Frame>>,
    /// Of each reducer, in memory.
    batches: Vec<Vec<RecordBatch>>,
    reservation: Reservation,
    /// Of rows that are for memory only: by how many they are [`Held`] now. They are dropped when others need the memory, unless they
    /// are held; then they go to the file for so long.
    holders: Option<usize>,
    dropped: bool,
}

impl MapOutput {
    /// What was written for a reducer.
    pub fn size(&self, reducer: usize) -> Size {
        self.sizes[reducer]
    }

    /// Rows and bytes for all reducers together.
    pub fn written(&self) -> Size {
        total(&self.sizes)
    }

    /// Bytes in memory, and in the file.
    pub fn held(&self) -> (u64, u64) {
        let kept = self.kept();
        (kept.reservation.size() as u64, kept.file.as_ref().map_or(0, |file| file.size()))
    }

    /// The rows of a reducer, in the order they were written. The stream holds none of those that are in memory, so that they can be
    /// written out between two batches.
    pub fn read(self: &Arc<Self>, reducer: usize) -> BatchStream {
        self.read_only(reducer, None, std::iter::once(0..usize::MAX).collect())
    }

    /// As [`Self::read`], these columns by their numbers (all when absent), and the rows whose numbers are in `wanted`, ranges in
    /// ascending order.
    pub fn read_only(self: &Arc<Self>, reducer: usize, columns: Option<Arc<[usize]>>, wanted: Vec<Range<usize>>) -> BatchStream {
        let output = self.clone();
        // Rows so far; the next frame, with the rows before it; the next batch in memory.
        let (mut read, mut at, mut before, mut next, mut ready) = (0, 0, 0, 0, VecDeque::new());
        Box::new(std::iter::from_fn(move || {
            loop {
                if let Some(batch) = ready.pop_front() {
                    return Some(Ok(batch));
                }
                let kept = output.kept();
                let frames = &kept.frames[reducer];
                while frames.get(at).is_some_and(|frame| before + frame.rows <= read) {
                    before += frames[at].rows;
                    at += 1;
                }
                let Some((frame, file)) = frames.get(at).zip(kept.file.as_ref()) else {
                    let batch = kept.batches[reducer].get(next)?;
                    let batch = match columns.as_ref().map_or_else(|| Ok(batch.clone()), |columns| batch.project(columns)) {
                        Ok(batch) => batch,
                        Err(e) => return Some(Err(e.into())),
                    };
                    next += 1;
                    ready.extend(pieces(&batch, read, read, &wanted));
                    read += batch.num_rows();
                    continue;
                };
                let (frame, file) = (*frame, file.clone());
                drop(kept);
                // The first rows of a frame may have been read while they were in memory.
                let (from, mut first) = (read, before);
                read = before + frame.rows;
                if !wanted.iter().any(|range| range.start.max(from) < range.end.min(read)) {
                    continue;
                }
                if !output.suffered.swap(true, Ordering::Relaxed) {
                    file.suffer();
                }
                match file.read_columns(&frame, columns.as_deref()) {
                    Ok(batches) => ready.extend(batches.into_iter().flat_map(|batch| {
                        let found = pieces(&batch, first, from, &wanted);
                        first += batch.num_rows();
                        found
                    })),
                    Err(e) => return Some(Err(e)),
                }
            }
        }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Sees to it that the rows stay until this is dropped; `None` when they have been dropped.
    pub fn hold(self: &Arc<Self>) -> Option<Held> {
        let mut kept = self.kept();
        if kept.dropped {
            return None;
        }
        kept.holders.iter_mut().for_each(|holders| *holders += 1);
        Some(Held(self.clone()))
    }
}

/// The rows of `batch`, of which the first is number `first`, that are wanted and not below `from`.
fn pieces(batch: &RecordBatch, first: usize, from: usize, wanted: &[Range<usize>]) -> Vec<RecordBatch> {
    let (from, end) = (first.max(from), first + batch.num_rows());
    let piece = |range: &Range<usize>| {
        let (from, end) = (range.start.max(from), range.end.min(end));
        (from < end).then(|| batch.slice(from - first, end - from))
    };
    wanted.iter().filter_map(piece).collect()
}

/// A finished output whose rows stay where they can be read.
pub struct Held(Arc<MapOutput>);

impl Held {
    pub fn output(&self) -> &Arc<MapOutput> {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut kept = self.0.kept();
        if let Some(holders) = &mut kept.holders {
            *holders -= 1;
            if *holders == 0 && kept.file.is_some() {
                kept.give_up();
            }
        }
    }
}

impl Evictable for MapOutput {
    fn evict(&self) -> Result<bool> {
        let mut kept = self.kept();
        match kept.holders {
            Some(0) => kept.give_up(),
            _ => kept.spill()?,
        }
        Ok(true)
    }
}

impl Kept {
    /// Drops the rows.
    fn give_up(&mut self) {
        self.dropped = true;
        self.file = None;
        self.frames.iter_mut().for_each(Vec::clear);
        self.batches.iter_mut().for_each(Vec::clear);
        self.reservation.free();
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> Result<()> {
        if let Some(schema) = self.batches.iter().flatten().next().map(RecordBatch::schema) {
            let file = match &self.file {
                Some(file) => file,
                None => self.file.insert(Arc::new(self.site.create()?)),
            };
            for (batches, frames) in self.batches.iter_mut().zip(&mut self.frames) {
                frames.extend(file.append_all(batches.iter().cloned().map(Ok), &schema)?);
                batches.clear();
            }
        }
        self.reservation.free();
        Ok(())
    }
}

/// Takes the rows of a running map task.
pub struct MapWriter {
    sizes: Vec<Size>,
    kept: Kept,
}

impl MapWriter {
    /// For `reducers` reducers of the shuffle of plan node `node`.
    pub fn new(reducers: usize, node: u64, query: &QueryContext) -> Self {
        let kept = Kept {
            site: query.spill_site(node),
            file: None,
            frames: vec![vec![]; reducers],
            batches: vec![vec![]; reducers],
            reservation: query.spillable(node, "Exchange"),
            holders: None,
            dropped: false,
        };
        Self { sizes: vec![Size::default(); reducers], kept }
    }

    /// # Errors
    /// `Io` when there is no memory for the rows, and they cannot be written to a file either.
    pub fn push(&mut self, reducer: usize, batch: RecordBatch) -> Result<()> {
        let bytes = data_size(&batch);
        if !self.kept.reservation.try_grow(bytes)? {
            self.kept.spill()?;
            self.kept.reservation.force(bytes);
        }
        self.sizes[reducer].rows += batch.num_rows() as u64;
        self.sizes[reducer].bytes += bytes as u64;
        let limited = self.kept.reservation.limited();
        self.kept.batches[reducer].push(if limited { compacted(&batch)? } else { batch });
        Ok(())
    }

    /// What there is so far, for all reducers.
    pub fn written(&self) -> Size {
        total(&self.sizes)
    }

    /// Writes out what is in memory.
    ///
    /// # Errors
    /// `Io`.
    pub fn spill(&mut self) -> Result<()> {
        self.kept.spill()
    }

    /// As [`Self::finish`], held; with `memory_only` the rows are there only as long as they are held or nobody needs their memory.
    pub fn finish_held(mut self, memory_only: bool) -> Held {
        self.kept.holders = memory_only.then_some(1);
        Held(self.finish())
    }

    pub fn finish(self) -> Arc<MapOutput> {
        let Self { sizes, mut kept } = self;
        let pool = kept.reservation.pool().clone();
        pool.evictable("Exchange", |mut reservation| {
            kept.reservation.transfer(&mut reservation);
            kept.reservation = reservation;
            MapOutput { sizes, kept: Mutex::new(kept), suffered: AtomicBool::new(false) }
        })
    }
}
