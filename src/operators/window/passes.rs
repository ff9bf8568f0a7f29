//! The calls over a window partition larger than memory, whose rows were set aside and are read again.
//!
//! Each kind of frame has a pass of its own over the rows, which runs as far ahead of the rows that leave as its frames reach. Frames that
//! begin with the partition need no rows but those at hand, and what the rows before came to. Frames with both edges near their
//! row need the rows between. Others need all rows, which is an error where memory does not have them.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};

use super::aggregates::{self, Before};
use super::frames::{Frames, row_count};
use super::groups::{Chunk, continues, slice};
use super::interpret::{Calls, held_bytes, window_call};
use super::offset;
use super::ranking::{self, Place};
use crate::base::{Error, Result, interrupt};
use crate::expr::evaluate::evaluate_all;
use crate::expr::window::RankingFunction;
use crate::expr::{FrameBound, FrameUnits, WindowExpr, WindowFunction};
use crate::operators::stream::gathered;
use crate::rdd::size::compacted;
use crate::rdd::{BatchStream, MapOutput, Reservation};

/// What the rows of a pass see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// From the first row of the partition to the one so many rows after this one (before it where negative).
    ToRow(i64),
    /// From the first row to the last peer.
    ToPeers,
    Partition,
    /// Rows not far from this one.
    Near,
    Anything,
}

/// The kind of a call that is part of a window with or without an ordering.
fn kind(call: &WindowExpr, ordered: bool) -> Result<Kind> {
    let frame = &call.frame;
    let near = frame.start != FrameBound::UnboundedPreceding && frame.end != FrameBound::UnboundedFollowing;
    Ok(match &call.function {
        WindowFunction::Ranking { function, ignore_nulls, .. } => match function {
            RankingFunction::RowNumber
            | RankingFunction::Rank
            | RankingFunction::DenseRank
            | RankingFunction::PercentRank
            | RankingFunction::Ntile => Kind::ToRow(0),
            RankingFunction::CumeDist => Kind::ToPeers,
            RankingFunction::Lead | RankingFunction::Lag if !ignore_nulls => Kind::Near,
            RankingFunction::NthValue if near => Kind::Near,
            RankingFunction::Lead | RankingFunction::Lag | RankingFunction::NthValue => Kind::Anything,
        },
        WindowFunction::Aggregate(_) if near => Kind::Near,
        WindowFunction::Aggregate(aggregate) if frame.start != FrameBound::UnboundedPreceding || !aggregates::goes_on(aggregate)? => {
            Kind::Anything
        }
        WindowFunction::Aggregate(_) if frame.is_whole(ordered) => Kind::Partition,
        WindowFunction::Aggregate(_) => match (&frame.end, frame.units) {
            (FrameBound::CurrentRow, FrameUnits::Range) => Kind::ToPeers,
            (FrameBound::CurrentRow, FrameUnits::Rows) => Kind::ToRow(0),
            (FrameBound::Preceding(n), FrameUnits::Rows) => Kind::ToRow(-row_count(n)?),
            (FrameBound::Following(n), FrameUnits::Rows) => Kind::ToRow(row_count(n)?),
            _ => Kind::Anything,
        },
    })
}

/// The columns of all calls, from the first row of the partition to the last.
pub struct Passes {
    passes: Vec<Pass>,
    calls: usize,
}

impl Passes {
    /// For calls bound to the columns `needed` of the rows; `memory` gives reservations for what passes hold.
    ///
    /// # Errors
    /// Those of evaluating the calls without any row.
    pub fn new(calls: &Arc<Calls>, needed: &[usize], rows: &Arc<MapOutput>, memory: impl Fn() -> Reservation) -> Result<Self> {
        let mut by_kind: Vec<(Kind, Vec<usize>)> = vec![];
        for (i, call) in calls.calls.iter().enumerate() {
            let kind = kind(window_call(call)?, !calls.order_by.is_empty())?;
            match by_kind.iter_mut().find(|(k, _)| *k == kind) {
                Some((_, which)) => which.push(i),
                None => by_kind.push((kind, vec![i])),
            }
        }
        let total = rows.size(0).rows as usize;
        let pass = |(kind, which): (Kind, Vec<usize>)| {
            let needed = needed.to_vec();
            let input: BatchStream = Box::new(rows.read(0).map(move |batch| Ok(batch?.project(&needed)?)));
            let over = Over { calls: calls.clone(), which, input };
            let mut ready = VecDeque::new();
            let source: Box<dyn Source> = match kind {
                Kind::Near => Box::new(Near { over, buffer: vec![], rows: 0, done: 0, wanted: 0, ended: false, memory: memory() }),
                Kind::Anything => Box::new(All { over, memory: memory(), ended: false }),
                kind => Box::new(FromFirst::new(over, kind, total, &mut ready)?),
            };
            Ok(Pass { source, ready })
        };
        Ok(Self { passes: by_kind.into_iter().map(pass).collect::<Result<_>>()?, calls: calls.calls.len() })
    }

    /// The columns of the next rows.
    ///
    /// # Errors
    /// Those of the calls and of reading rows; `OutOfMemory` where a call needs more rows than there is memory for.
    pub fn next(&mut self, rows: usize) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<Option<ArrayRef>> = vec![None; self.calls];
        for pass in &mut self.passes {
            let made = pass.next(rows)?;
            pass.source.over().which.iter().zip(made).for_each(|(call, column)| columns[*call] = Some(column));
        }
        columns.into_iter().map(|c| c.ok_or_else(|| Error::internal("a window call that no pass computes"))).collect()
    }
}

/// A pass over the rows.
struct Pass {
    source: Box<dyn Source>,
    ready: VecDeque<Piece>,
}

/// Columns of some rows: a value for each, or one that all have.
struct Piece {
    columns: Vec<ArrayRef>,
    rows: usize,
}

/// Computes columns piece by piece.
trait Source: Send {
    fn over(&self) -> &Over;

    /// Makes some more, or none yet; whether there may be more to come.
    fn step(&mut self, out: &mut VecDeque<Piece>) -> Result<bool>;
}

/// Rows, and the calls over them.
struct Over {
    calls: Arc<Calls>,
    which: Vec<usize>,
    input: BatchStream,
}

impl Piece {
    /// Takes the first rows away.
    fn split(&mut self, rows: usize) -> Result<Vec<ArrayRef>> {
        let alike = self.columns.iter().any(|c| c.len() < self.rows);
        let first = self.columns.iter().map(|c| match alike {
            true => Ok(take(c, &UInt32Array::from(vec![0; rows]), None)?),
            false => Ok(c.slice(0, rows)),
        });
        let first = first.collect::<Result<_>>()?;
        if !alike {
            self.columns.iter_mut().for_each(|c| *c = c.slice(rows, c.len() - rows));
        }
        self.rows -= rows;
        Ok(first)
    }
}

impl Pass {
    fn next(&mut self, rows: usize) -> Result<Vec<ArrayRef>> {
        let (mut parts, mut missing): (Vec<Vec<ArrayRef>>, _) = (vec![], rows);
        while missing > 0 {
            let Some(piece) = self.ready.front_mut() else {
                interrupt::check()?;
                if !self.source.step(&mut self.ready)? {
                    return Err(Error::internal("a window call with fewer results than rows"));
                }
                continue;
            };
            let taken = missing.min(piece.rows);
            if taken > 0 {
                parts.push(piece.split(taken)?);
                missing -= taken;
            }
            if piece.rows == 0 {
                self.ready.pop_front();
            }
        }
        if let [_] = &parts[..] {
            return Ok(parts.remove(0));
        }
        (0..self.source.over().which.len()).map(|c| Ok(concat(&parts.iter().map(|p| p[c].as_ref()).collect::<Vec<_>>())?)).collect()
    }
}

impl Over {
    fn call(&self, i: usize) -> Result<&WindowExpr> {
        window_call(&self.calls.calls[self.which[i]])
    }

    /// Rows of the partition as a chunk.
    fn chunk(&self, rows: RecordBatch) -> Result<Chunk> {
        let exprs: Vec<_> = self.calls.order_by.iter().map(|o| o.expr.clone()).collect();
        let order_keys = evaluate_all(&exprs, &rows)?;
        Chunk::new(rows, &[], order_keys)
    }
}

/// Frames that begin with the partition.
struct FromFirst {
    over: Over,
    kind: Kind,
    before: Vec<Before>,
    place: Place,
    /// Runs of peers so far, and where the last one began.
    runs: usize,
    run: usize,
    /// The keys of the last row.
    keys: Option<Vec<ArrayRef>>,
    /// The results of the last row, as far as rows are known, and how many rows have them that did not leave.
    last: Vec<ArrayRef>,
    waiting: usize,
    /// How many of the first results are those of no row.
    skipped: usize,
    ended: bool,
}

impl FromFirst {
    fn new(over: Over, kind: Kind, total: usize, ready: &mut VecDeque<Piece>) -> Result<Self> {
        let place = Place { total: Some(total), ..Place::default() };
        let (earlier, later) = match kind {
            Kind::ToRow(distance) => ((-distance).max(0) as usize, distance.max(0) as usize),
            _ => (0, 0),
        };
        let before = over.which.iter().map(|_| Before::default()).collect();
        let (waiting, skipped) = (later.min(total), later.min(total));
        let made = Self { over, kind, before, place, runs: 0, run: 0, keys: None, last: vec![], waiting, skipped, ended: false };
        if earlier > 0 {
            let none = RecordBatch::new_empty(made.over.calls.input_schema.clone());
            let empty = Frames { starts: vec![0], ends: vec![0], from_first: true };
            let columns = made.columns(&made.over.chunk(none)?, &empty, &mut [])?;
            ready.push_back(Piece { columns, rows: earlier.min(total) });
        }
        Ok(made)
    }

    /// The results over a chunk; `before` is told of it, if it is there.
    fn columns(&self, chunk: &Chunk, frames: &Frames, before: &mut [Before]) -> Result<Vec<ArrayRef>> {
        let mut column = |i: usize| match &self.over.call(i)?.function {
            WindowFunction::Aggregate(aggregate) => aggregates::compute(aggregate, chunk, frames, before.get_mut(i)),
            WindowFunction::Ranking { function, args, .. } => ranking::compute(*function, args, chunk, self.place)?
                .ok_or_else(|| Error::internal("an offset function has no frame from the first row")),
        };
        (0..self.over.which.len()).map(&mut column).collect()
    }

    /// Puts out results of single rows, less those that are skipped.
    fn put(&mut self, columns: &[ArrayRef], rows: usize, out: &mut VecDeque<Piece>) {
        let skipped = self.skipped.min(rows);
        self.skipped -= skipped;
        out.push_back(Piece { columns: columns.iter().map(|c| c.slice(skipped, rows - skipped)).collect(), rows: rows - skipped });
    }
}

impl Source for FromFirst {
    fn over(&self) -> &Over {
        &self.over
    }

    fn step(&mut self, out: &mut VecDeque<Piece>) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let Some(batch) = self.over.input.next().transpose()? else {
            self.ended = true;
            out.push_back(Piece { columns: std::mem::take(&mut self.last), rows: self.waiting });
            return Ok(true);
        };
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(true);
        }
        let chunk = self.over.chunk(batch)?;
        let goes_on = self.keys.as_ref().map(|last| continues(last, &chunk.order_keys)).transpose()?.unwrap_or(false);
        self.place.run = goes_on.then_some(self.run);
        self.place.runs = self.runs - usize::from(goes_on);
        let ends: Vec<u32> = match self.kind {
            Kind::Partition => vec![rows as u32],
            Kind::ToPeers => chunk.peers.iter().flat_map(|run| std::iter::repeat_n(run.end as u32, run.len())).collect(),
            _ => (1..=rows as u32).collect(),
        };
        let frames = Frames { starts: vec![0; ends.len()], ends, from_first: true };
        let mut before = std::mem::take(&mut self.before);
        let columns = self.columns(&chunk, &frames, &mut before)?;
        self.before = before;
        let last_run = chunk.peers.last().map_or(0, |run| run.start);
        match self.kind {
            Kind::Partition => self.waiting += rows,
            Kind::ToPeers => {
                if !goes_on || last_run > 0 {
                    // Those that waited have the results of the run that they began, now that it has ended.
                    let waited = if goes_on { columns.iter().map(|c| c.slice(0, 1)).collect() } else { std::mem::take(&mut self.last) };
                    out.push_back(Piece { columns: waited, rows: std::mem::take(&mut self.waiting) });
                    self.put(&columns, last_run, out);
                }
                self.waiting += rows - last_run;
            }
            _ => self.put(&columns, rows, out),
        }
        self.last = columns.iter().map(|c| c.slice(c.len() - 1, 1)).collect();
        if !goes_on || last_run > 0 {
            self.run = self.place.rows + last_run;
        }
        self.runs = self.place.runs + chunk.peers.len();
        self.keys = Some(slice(&chunk.order_keys, rows - 1));
        self.place.rows += rows;
        Ok(true)
    }
}

/// Frames with both edges near their rows: a part of the rows is held, as many as the frames need.
struct Near {
    over: Over,
    buffer: Vec<RecordBatch>,
    /// Rows in it, and of how many of them the results have left.
    rows: usize,
    done: usize,
    /// Rows to hold before computing.
    wanted: usize,
    ended: bool,
    memory: Reservation,
}

impl Near {
    /// The rows that a call looks at, for each row.
    fn frames(&self, call: &WindowExpr, chunk: &Chunk) -> Result<Frames> {
        let distance = match &call.function {
            WindowFunction::Ranking { function: function @ (RankingFunction::Lead | RankingFunction::Lag), args, .. } => {
                offset::distance(*function, args)?
            }
            _ => return self.over.calls.frames(call, chunk),
        };
        let (back, ahead) = ((-distance).max(0), distance.max(0));
        let rows = 0..chunk.num_rows() as i64;
        let within = |row: i64| row.clamp(rows.start, rows.end) as u32;
        let (starts, ends) =
            rows.clone().map(|r| (within(r.saturating_sub(back)), within(r.saturating_add(ahead).saturating_add(1)))).unzip();
        Ok(Frames { starts, ends, from_first: false })
    }
}

impl Source for Near {
    fn over(&self) -> &Over {
        &self.over
    }

    fn step(&mut self, out: &mut VecDeque<Piece>) -> Result<bool> {
        if self.ended && self.done == self.rows {
            return Ok(false);
        }
        while !self.ended && self.rows < self.wanted.max(self.done + 1) {
            let Some(batch) = self.over.input.next().transpose()? else {
                self.ended = true;
                break;
            };
            let bytes = held_bytes(&batch);
            self.rows += batch.num_rows();
            self.buffer.push(compacted(&batch)?);
            if !self.memory.try_grow(bytes)? {
                // For as long as it takes to let go of rows that no later row needs.
                self.memory.force(bytes);
                break;
            }
        }
        let batch = gathered(&self.over.calls.input_schema, &std::mem::take(&mut self.buffer))?;
        let chunk = self.over.chunk(batch)?;
        let frames = (0..self.over.which.len()).map(|i| self.frames(self.over.call(i)?, &chunk)).collect::<Result<Vec<_>>>()?;
        // Of frames that end before the last row held, nothing is missing.
        let (rows, done) = (self.rows, self.done);
        let complete = |f: &Frames| done + f.ends[done..].partition_point(|end| (*end as usize) < rows);
        let ready = if self.ended { rows } else { frames.iter().map(complete).min().unwrap_or(rows) };
        let first = if ready < rows { frames.iter().map(|f| f.starts[ready] as usize).min().unwrap_or(ready).min(ready) } else { rows };
        if ready > done {
            let column = |(i, frames): (usize, &Frames)| {
                let call = self.over.call(i)?;
                self.over.calls.part(call, &chunk, frames, done..ready)
            };
            let columns = frames.iter().enumerate().map(column).collect::<Result<_>>()?;
            out.push_back(Piece { columns, rows: ready - done });
        }
        let kept = compacted(&chunk.rows.slice(first, rows - first))?;
        (self.rows, self.done) = (rows - first, ready - first);
        self.memory.free();
        self.memory.resize(held_bytes(&kept))?;
        self.buffer = vec![kept];
        self.wanted = 2 * self.rows;
        Ok(true)
    }
}

/// All rows.
struct All {
    over: Over,
    memory: Reservation,
    ended: bool,
}

impl Source for All {
    fn over(&self) -> &Over {
        &self.over
    }

    fn step(&mut self, out: &mut VecDeque<Piece>) -> Result<bool> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(false);
        }
        let mut held = vec![];
        for batch in self.over.input.by_ref() {
            let batch = compacted(&batch?)?;
            self.memory.grow(held_bytes(&batch))?;
            held.push(batch);
        }
        let batch = gathered(&self.over.calls.input_schema, &held)?;
        drop(held);
        let chunk = self.over.chunk(batch)?;
        let columns = (0..self.over.which.len()).map(|i| self.over.calls.call(self.over.call(i)?, &chunk)).collect::<Result<Vec<_>>>()?;
        out.push_back(Piece { columns, rows: chunk.num_rows() });
        Ok(true)
    }
}
