//! From matches to output rows: what all joins share, whatever way they find their candidates.
//!
//! One side *streams*: its batches come one after the other, each row with its candidates among the rows of the *build* side
//! ([`Candidates`]). A [`Joiner`] turns them into output batches of bounded size, testing the residual condition on batches of
//! candidate pairs, and notes which build rows have matched where the join type asks for it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{filter, filter_record_batch, take};
use arrow::datatypes::SchemaRef;

use super::BuildSide;
use crate::base::schema::arrow_schema;
use crate::base::{Attribute, Error, Result, Scalar, interrupt};
use crate::expr::Expr;
use crate::logical::JoinType;
use crate::logical::plan::join_output;
use crate::operators::execute::{Predicate, new_predicate};
use crate::operators::stream::make_batch;
use crate::rdd::QueryContext;

/// Stands for "no row".
pub const NONE: u32 = u32::MAX;

/// For each row of a stream batch, the build rows that it may match.
#[derive(Debug)]
pub enum Candidates {
    /// At most one: its row number, or [`NONE`].
    One(Vec<u32>),
    /// Positions `starts[i]..ends[i]`.
    Ranges { starts: Vec<u32>, ends: Vec<u32> },
    /// All build rows, as many as given.
    All(u32),
}

/// What becomes of stream rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamRole {
    /// Pairs of matching rows.
    Pairs,
    /// As `Pairs`, and rows without a match with NULLs.
    PairsOrNulls,
    /// As `PairsOrNulls`, but a second match is an error.
    Single,
    /// Rows with a match.
    Matched,
    /// Rows without a match.
    Unmatched,
    /// All rows, with a column that tells whether there is a match.
    Flagged,
    /// They only mark build rows.
    Hidden,
}

/// What becomes of build rows, apart from pairs, when all stream rows have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuildRole {
    Hidden,
    /// Rows without a match follow with NULLs.
    UnmatchedWithNulls,
    Matched,
    Unmatched,
    Flagged,
}

/// The part of a join that does not depend on how candidates are found. Shared by the tasks.
#[derive(Debug)]
pub struct Joiner {
    build: BuildSide,
    stream_role: StreamRole,
    build_role: BuildRole,
    residual: Option<Residual>,
    schema: SchemaRef,
    stream_schema: SchemaRef,
    /// Positions of the columns in the output, of either side.
    stream_columns: Vec<usize>,
    build_columns: Vec<usize>,
    /// Whether the output has the column of an existence join.
    flagged: bool,
    batch_size: usize,
}

/// The residual condition over the columns that it uses.
#[derive(Debug)]
struct Residual {
    condition: Predicate,
    /// Positions of the used columns, stream columns first.
    stream_columns: Vec<usize>,
    build_columns: Vec<usize>,
    schema: SchemaRef,
}

/// A stream batch on its way through a [`Joiner`].
#[derive(Debug)]
pub struct Probe {
    batch: RecordBatch,
    candidates: Candidates,
    /// The next candidate is number `offset` of row `row`.
    row: usize,
    offset: u32,
    /// Rows before this one need nothing more; used where rows without a match get NULLs.
    settled: usize,
    /// Whether row `settled` has had a match.
    settled_matched: bool,
    /// Where the build side comes in chunks: the rows that have had a match with this chunk or one before.
    seen: Option<Vec<bool>>,
    done: bool,
}

/// The build rows that candidates refer to.
#[derive(Debug, Clone, Copy)]
pub struct BuildRows<'a> {
    pub rows: &'a RecordBatch,
    /// Row numbers by position of [`Candidates::Ranges`]; absent where a position is a row number.
    pub order: Option<&'a [u32]>,
}

/// Pairs of rows, ascending by stream row.
#[derive(Debug)]
struct Pairs {
    stream: Vec<u32>,
    build: Vec<u32>,
}

impl Joiner {
    /// `condition` is over the attributes of both sides and must hold besides being a candidate. For a null-aware anti join it
    /// matches where it is not false. `columns` are the positions in the join's output that are wanted, ascending.
    ///
    /// # Errors
    /// `Internal` for an attribute of neither side; `Unsupported` for a join type that cannot build on that side.
    pub fn new(
        join_type: &JoinType,
        build: BuildSide,
        condition: Option<&Expr>,
        left: &[Attribute],
        right: &[Attribute],
        columns: &[usize],
        context: &QueryContext,
    ) -> Result<Self> {
        let (stream_role, build_role) = roles(join_type, build)?;
        let (stream, built) = match build {
            BuildSide::Left => (right, left),
            BuildSide::Right => (left, right),
        };
        let condition = match (condition, join_type) {
            (Some(c), JoinType::NullAwareAnti) => Some(Expr::Coalesce(vec![c.clone(), Expr::Literal(Scalar::Boolean(true))])),
            (c, _) => c.cloned(),
        };
        let schema = arrow_schema(&join_output(join_type, left, right)).project(columns)?;
        let left_columns: Vec<usize> = columns.iter().copied().filter(|&c| c < left.len()).collect();
        let after_left = columns.iter().copied().filter(|&c| c >= left.len()).map(|c| c - left.len());
        let right_columns: Vec<usize> = if join_type.keeps_right() { after_left.collect() } else { vec![] };
        let flagged = left_columns.len() + right_columns.len() < columns.len();
        let (stream_columns, build_columns) = match build {
            BuildSide::Left => (right_columns, left_columns),
            BuildSide::Right => (left_columns, right_columns),
        };
        Ok(Self {
            build,
            stream_role,
            build_role,
            residual: condition.map(|c| Residual::new(c, stream, built, context)).transpose()?,
            schema: Arc::new(schema),
            stream_schema: arrow_schema(stream),
            stream_columns,
            build_columns,
            flagged,
            batch_size: context.settings.batch_size(),
        })
    }

    /// Whether build rows that have matched must be noted and [`Self::finish`] called.
    pub fn tracks_build(&self) -> bool {
        self.build_role != BuildRole::Hidden
    }

    /// Whether [`Self::finish_stream`] must be called where the build side comes in chunks.
    pub fn tracks_stream(&self) -> bool {
        !matches!(self.stream_role, StreamRole::Pairs | StreamRole::Hidden)
    }

    /// Whether no stream row can cause output when there are no build rows.
    pub fn needs_build(&self) -> bool {
        matches!(self.stream_role, StreamRole::Pairs | StreamRole::Matched | StreamRole::Hidden)
    }

    /// Whether one candidate of a stream row tells all about it: semi, anti and existence joins by equal keys alone.
    pub fn any_match_decides(&self) -> bool {
        let decided = matches!(self.stream_role, StreamRole::Matched | StreamRole::Unmatched | StreamRole::Flagged);
        decided && self.residual.is_none() && !self.tracks_build()
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The next output batch of a stream batch; none when it is used up. Sets `matched` (empty unless [`Self::tracks_build`]) for
    /// build rows with a match.
    ///
    /// # Errors
    /// Those of the condition; `ScalarSubqueryTooManyRows`.
    pub fn next(&self, probe: &mut Probe, build: BuildRows<'_>, matched: &mut [bool]) -> Result<Option<RecordBatch>> {
        while !probe.done {
            // There may be many candidates and few matches.
            interrupt::check()?;
            let batch = match self.stream_role {
                _ if probe.seen.is_some() => self.next_of_chunk(probe, build, matched)?,
                StreamRole::Matched | StreamRole::Unmatched | StreamRole::Flagged => self.decide_rows(probe, build)?,
                StreamRole::Pairs | StreamRole::PairsOrNulls | StreamRole::Single | StreamRole::Hidden => {
                    self.next_pairs(probe, build, matched)?
                }
            };
            if let Some(batch) = batch.filter(|b| b.num_rows() > 0) {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// One chunk of pairs.
    fn next_pairs(&self, probe: &mut Probe, build: BuildRows<'_>, matched: &mut [bool]) -> Result<Option<RecordBatch>> {
        if let Candidates::One(found) = &mut probe.candidates {
            let found = std::mem::take(found);
            probe.done = true;
            return self.pairs_of_one(&probe.batch, found, build, matched);
        }
        let mut pairs = probe.expand(self.batch_size, build.order, None);
        if let Some(residual) = &self.residual
            && !pairs.build.is_empty()
        {
            let keep = residual.holds(&probe.batch, &pairs, build.rows)?;
            pairs.retain(&keep)?;
        }
        if self.tracks_build() {
            pairs.build.iter().for_each(|&b| matched[b as usize] = true);
        }
        match self.stream_role {
            StreamRole::Hidden => return Ok(None),
            StreamRole::PairsOrNulls | StreamRole::Single => pairs = probe.settle(pairs, self.stream_role == StreamRole::Single)?,
            _ => {}
        }
        self.pairs_batch(&probe.batch, Some(pairs.stream), build.rows, pairs.build).map(Some)
    }

    /// As [`Self::next_pairs`] where the build rows are one chunk of several: rows without a match have their turn after the last chunk.
    fn next_of_chunk(&self, probe: &mut Probe, build: BuildRows<'_>, matched: &mut [bool]) -> Result<Option<RecordBatch>> {
        let mut seen = probe.seen.take().unwrap_or_default();
        let decides = matches!(self.stream_role, StreamRole::Matched | StreamRole::Unmatched | StreamRole::Flagged);
        let mut pairs = probe.expand(self.batch_size, build.order, decides.then_some(seen.as_slice()));
        if let Some(residual) = &self.residual
            && !pairs.build.is_empty()
        {
            let keep = residual.holds(&probe.batch, &pairs, build.rows)?;
            pairs.retain(&keep)?;
        }
        if self.tracks_build() {
            pairs.build.iter().for_each(|&b| matched[b as usize] = true);
        }
        if self.tracks_stream() {
            for &row in &pairs.stream {
                let again = std::mem::replace(&mut seen[row as usize], true);
                if again && self.stream_role == StreamRole::Single {
                    return Err(Error::scalar_subquery_too_many_rows());
                }
            }
        }
        probe.seen = Some(seen);
        if decides || self.stream_role == StreamRole::Hidden {
            return Ok(None);
        }
        self.pairs_batch(&probe.batch, Some(pairs.stream), build.rows, pairs.build).map(Some)
    }

    /// What the rows of a stream batch give once they have met all chunks of the build side, of whose rows `none` has none; `seen` tells
    /// which have had a match.
    ///
    /// # Errors
    /// Those of Arrow's kernels.
    pub fn finish_stream(&self, batch: &RecordBatch, seen: Vec<bool>, none: &RecordBatch) -> Result<RecordBatch> {
        match self.stream_role {
            StreamRole::Matched | StreamRole::Unmatched | StreamRole::Flagged => self.decided(batch, seen),
            StreamRole::Pairs | StreamRole::PairsOrNulls | StreamRole::Single | StreamRole::Hidden => {
                let rows = select(batch, seen, true)?;
                let nulls = vec![NONE; rows.num_rows()];
                self.pairs_batch(&rows, None, none, nulls)
            }
        }
    }

    /// All pairs of a batch whose rows have at most one candidate each.
    fn pairs_of_one(
        &self,
        stream: &RecordBatch,
        mut found: Vec<u32>,
        build: BuildRows<'_>,
        matched: &mut [bool],
    ) -> Result<Option<RecordBatch>> {
        let all = !found.contains(&NONE);
        let keeps_all = matches!(self.stream_role, StreamRole::PairsOrNulls | StreamRole::Single);
        if all && self.residual.is_none() && !self.tracks_build() || keeps_all && self.residual.is_none() {
            if self.tracks_build() {
                found.iter().filter(|&&b| b != NONE).for_each(|&b| matched[b as usize] = true);
            }
            return self.pairs_batch(stream, None, build.rows, found).map(Some);
        }
        let mut pairs = Pairs::of_one(&found);
        if let Some(residual) = &self.residual
            && !pairs.build.is_empty()
        {
            let keep = residual.holds(stream, &pairs, build.rows)?;
            pairs.retain(&keep)?;
        }
        if self.tracks_build() {
            pairs.build.iter().for_each(|&b| matched[b as usize] = true);
        }
        if self.stream_role == StreamRole::Hidden {
            return Ok(None);
        }
        if keeps_all {
            found.fill(NONE);
            pairs.stream.iter().zip(&pairs.build).for_each(|(&s, &b)| found[s as usize] = b);
            return self.pairs_batch(stream, None, build.rows, found).map(Some);
        }
        self.pairs_batch(stream, Some(pairs.stream), build.rows, pairs.build).map(Some)
    }

    /// Semi, anti and existence joins: the whole batch at once.
    fn decide_rows(&self, probe: &mut Probe, build: BuildRows<'_>) -> Result<Option<RecordBatch>> {
        probe.done = true;
        let rows = probe.batch.num_rows();
        let flags: Vec<bool> = match &self.residual {
            None => match &probe.candidates {
                Candidates::One(found) => found.iter().map(|&b| b != NONE).collect(),
                Candidates::Ranges { starts, ends } => starts.iter().zip(ends).map(|(s, e)| s < e).collect(),
                Candidates::All(count) => vec![*count > 0; rows],
            },
            Some(residual) => {
                let mut flags = vec![false; rows];
                while probe.row < rows {
                    interrupt::check()?;
                    let mut pairs = probe.expand(self.batch_size, build.order, Some(&flags));
                    if !pairs.build.is_empty() {
                        let keep = residual.holds(&probe.batch, &pairs, build.rows)?;
                        pairs.retain(&keep)?;
                        pairs.stream.iter().for_each(|&r| flags[r as usize] = true);
                    }
                }
                flags
            }
        };
        self.decided(&probe.batch, flags).map(Some)
    }

    /// Rows of the stream by whether they have a match.
    fn decided(&self, batch: &RecordBatch, flags: Vec<bool>) -> Result<RecordBatch> {
        let rows = batch.project(&self.stream_columns)?;
        match self.stream_role {
            StreamRole::Flagged => self.with_flags(rows, flags),
            role => select(&rows, flags, role == StreamRole::Unmatched),
        }
    }

    /// All rows, with their flags where these are wanted.
    fn with_flags(&self, rows: RecordBatch, flags: Vec<bool>) -> Result<RecordBatch> {
        let count = rows.num_rows();
        let mut columns = rows.columns().to_vec();
        if self.flagged {
            columns.push(Arc::new(BooleanArray::from(flags)));
        }
        make_batch(&self.schema, columns, count)
    }

    /// What the build rows `from..` give, once no more of them can match: a batch of at most the batch size, and where to go on.
    ///
    /// # Errors
    /// Those of Arrow's kernels.
    pub fn finish(&self, build: &RecordBatch, matched: &[bool], from: usize) -> Result<Option<(RecordBatch, usize)>> {
        let to = build.num_rows().min(from.saturating_add(self.batch_size));
        if self.build_role == BuildRole::Hidden || from >= to {
            return Ok(None);
        }
        let rows = build.slice(from, to - from).project(&self.build_columns)?;
        let flags = matched[from..to].to_vec();
        let batch = match self.build_role {
            BuildRole::Hidden | BuildRole::Matched => select(&rows, flags, false)?,
            BuildRole::Unmatched => select(&rows, flags, true)?,
            BuildRole::Flagged => self.with_flags(rows, flags)?,
            BuildRole::UnmatchedWithNulls => {
                let rows = select(&rows, flags, true)?;
                let nulls = |c: &usize| new_null_array(self.stream_schema.field(*c).data_type(), rows.num_rows());
                self.arrange(self.stream_columns.iter().map(nulls).collect(), rows.columns().to_vec(), rows.num_rows())?
            }
        };
        Ok(Some((batch, to)))
    }

    /// Output rows of pairs; `stream_rows` is absent where each stream row occurs once, in order.
    fn pairs_batch(
        &self,
        stream: &RecordBatch,
        stream_rows: Option<Vec<u32>>,
        build: &RecordBatch,
        build_rows: Vec<u32>,
    ) -> Result<RecordBatch> {
        let count = build_rows.len();
        let stream_columns = take_rows(&stream.project(&self.stream_columns)?, stream_rows)?;
        let build_columns = take_or_null(&build.project(&self.build_columns)?, build_rows)?;
        self.arrange(stream_columns, build_columns, count)
    }

    fn arrange(&self, stream: Vec<ArrayRef>, build: Vec<ArrayRef>, count: usize) -> Result<RecordBatch> {
        let columns = match self.build {
            BuildSide::Left => [build, stream].concat(),
            BuildSide::Right => [stream, build].concat(),
        };
        make_batch(&self.schema, columns, count)
    }
}

fn roles(join_type: &JoinType, build: BuildSide) -> Result<(StreamRole, BuildRole)> {
    use BuildSide::{Left, Right};
    Ok(match (join_type, build) {
        (JoinType::Inner | JoinType::Cross, _) => (StreamRole::Pairs, BuildRole::Hidden),
        (JoinType::LeftOuter, Right) | (JoinType::RightOuter, Left) => (StreamRole::PairsOrNulls, BuildRole::Hidden),
        (JoinType::LeftOuter, Left) | (JoinType::RightOuter, Right) => (StreamRole::Pairs, BuildRole::UnmatchedWithNulls),
        (JoinType::FullOuter, _) => (StreamRole::PairsOrNulls, BuildRole::UnmatchedWithNulls),
        (JoinType::LeftSemi, Right) => (StreamRole::Matched, BuildRole::Hidden),
        (JoinType::LeftAnti | JoinType::NullAwareAnti, Right) => (StreamRole::Unmatched, BuildRole::Hidden),
        (JoinType::Existence(_), Right) => (StreamRole::Flagged, BuildRole::Hidden),
        (JoinType::LeftSemi, Left) => (StreamRole::Hidden, BuildRole::Matched),
        (JoinType::LeftAnti | JoinType::NullAwareAnti, Left) => (StreamRole::Hidden, BuildRole::Unmatched),
        (JoinType::Existence(_), Left) => (StreamRole::Hidden, BuildRole::Flagged),
        (JoinType::LeftSingle, Right) => (StreamRole::Single, BuildRole::Hidden),
        (JoinType::LeftSingle, Left) => return Err(Error::internal("a scalar subquery join must build on its right side")),
    })
}

impl Residual {
    fn new(condition: Expr, stream: &[Attribute], build: &[Attribute], context: &QueryContext) -> Result<Self> {
        let used = condition.references();
        let positions = |side: &[Attribute]| (0..side.len()).filter(|&i| used.contains(&side[i].id)).collect::<Vec<_>>();
        let (stream_columns, build_columns) = (positions(stream), positions(build));
        let attributes: Vec<Attribute> =
            stream_columns.iter().map(|&i| stream[i].clone()).chain(build_columns.iter().map(|&i| build[i].clone())).collect();
        let condition = new_predicate(&condition, &attributes, context)?;
        Ok(Self { condition, stream_columns, build_columns, schema: arrow_schema(&attributes) })
    }

    /// For each pair, whether the condition is true.
    fn holds(&self, stream: &RecordBatch, pairs: &Pairs, build: &RecordBatch) -> Result<BooleanArray> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        let rows = indices(&pairs.stream);
        for &i in &self.stream_columns {
            columns.push(take(stream.column(i), &rows, None)?);
        }
        let rows = indices(&pairs.build);
        for &i in &self.build_columns {
            columns.push(take(build.column(i), &rows, None)?);
        }
        self.condition.eval(&make_batch(&self.schema, columns, pairs.stream.len())?)
    }
}

impl Probe {
    pub fn new(batch: RecordBatch, candidates: Candidates) -> Self {
        let done = batch.num_rows() == 0;
        Self { batch, candidates, row: 0, offset: 0, settled: 0, settled_matched: false, seen: None, done }
    }

    /// For one chunk of the build side of several; `seen` are the rows that have had a match already.
    pub fn of_chunk(batch: RecordBatch, candidates: Candidates, seen: Vec<bool>) -> Self {
        Self { seen: Some(seen), ..Self::new(batch, candidates) }
    }

    /// The rows that have had a match by now.
    pub fn into_seen(self) -> Vec<bool> {
        self.seen.unwrap_or_default()
    }

    /// The next candidate pairs, at most `limit`, leaving out rows that `skip` has.
    fn expand(&mut self, limit: usize, order: Option<&[u32]>, skip: Option<&[bool]>) -> Pairs {
        let mut pairs = Pairs { stream: Vec::with_capacity(limit), build: Vec::with_capacity(limit) };
        let rows = self.batch.num_rows();
        while self.row < rows {
            let (start, end) = match &self.candidates {
                Candidates::Ranges { starts, ends } => (starts[self.row], ends[self.row]),
                Candidates::All(count) => (0, *count),
                Candidates::One(found) => match found[self.row] {
                    NONE => (0, 0),
                    row => (row, row + 1),
                },
            };
            if !skip.is_some_and(|s| s[self.row]) && start + self.offset < end {
                let from = start + self.offset;
                let room = limit - pairs.stream.len();
                let count = ((end - from) as usize).min(room);
                let to = from + count as u32;
                pairs.stream.resize(pairs.stream.len() + count, self.row as u32);
                match (order, &self.candidates) {
                    (Some(order), Candidates::Ranges { .. }) if count == 1 => pairs.build.push(order[from as usize]),
                    (Some(order), Candidates::Ranges { .. }) => pairs.build.extend_from_slice(&order[from as usize..to as usize]),
                    _ => pairs.build.extend(from..to),
                }
                if to < end {
                    self.offset += count as u32;
                    return pairs;
                }
            }
            self.row += 1;
            self.offset = 0;
        }
        self.done = true;
        pairs
    }

    /// Adds, at their places, the rows before the current one that turned out to have no match.
    fn settle(&mut self, pairs: Pairs, single: bool) -> Result<Pairs> {
        let mut out = Pairs { stream: Vec::with_capacity(pairs.stream.len()), build: Vec::with_capacity(pairs.build.len()) };
        for (&row, &build) in pairs.stream.iter().zip(&pairs.build) {
            self.settle_until(row as usize, &mut out);
            if single && self.settled_matched {
                return Err(Error::scalar_subquery_too_many_rows());
            }
            self.settled_matched = true;
            out.stream.push(row);
            out.build.push(build);
        }
        self.settle_until(self.row, &mut out);
        Ok(out)
    }

    fn settle_until(&mut self, row: usize, out: &mut Pairs) {
        while self.settled < row {
            if !self.settled_matched {
                out.stream.push(self.settled as u32);
                out.build.push(NONE);
            }
            self.settled += 1;
            self.settled_matched = false;
        }
    }
}

impl Pairs {
    /// The rows that have a candidate, with it. Written without branches: hits and misses come in no order.
    fn of_one(found: &[u32]) -> Self {
        let (mut stream, mut build) = (vec![0; found.len()], vec![0; found.len()]);
        let mut count = 0;
        for (row, &candidate) in found.iter().enumerate() {
            stream[count] = row as u32;
            build[count] = candidate;
            count += usize::from(candidate != NONE);
        }
        stream.truncate(count);
        build.truncate(count);
        Self { stream, build }
    }

    fn retain(&mut self, keep: &BooleanArray) -> Result<()> {
        if keep.true_count() < keep.len() {
            self.stream = filter_rows(std::mem::take(&mut self.stream), keep)?;
            self.build = filter_rows(std::mem::take(&mut self.build), keep)?;
        }
        Ok(())
    }
}

fn filter_rows(rows: Vec<u32>, keep: &BooleanArray) -> Result<Vec<u32>> {
    let rows = filter(&UInt32Array::from(rows), keep)?;
    let rows = rows.as_any().downcast_ref::<UInt32Array>().map(|r| r.values().to_vec());
    rows.ok_or_else(|| Error::internal("filtering changed the type of an array"))
}

fn indices(rows: &[u32]) -> UInt32Array {
    UInt32Array::new(ScalarBuffer::from(rows.to_vec()), None)
}

/// The rows whose flag is set (or, `negated`, is not).
fn select(batch: &RecordBatch, flags: Vec<bool>, negated: bool) -> Result<RecordBatch> {
    if !flags.contains(&negated) {
        return Ok(batch.clone());
    }
    let keep = if negated { flags.iter().map(|f| Some(!f)).collect() } else { BooleanArray::from(flags) };
    if batch.num_columns() == 0 {
        return make_batch(&batch.schema(), vec![], keep.true_count());
    }
    Ok(filter_record_batch(batch, &keep)?)
}

/// Rows of a batch by number, without copying where they are consecutive; all rows when absent.
fn take_rows(batch: &RecordBatch, rows: Option<Vec<u32>>) -> Result<Vec<ArrayRef>> {
    let Some(rows) = rows else {
        return Ok(batch.columns().to_vec());
    };
    if let Some(&first) = rows.first()
        && rows.iter().zip(first..).all(|(&r, expected)| r == expected)
    {
        return Ok(batch.slice(first as usize, rows.len()).columns().to_vec());
    }
    let rows = UInt32Array::from(rows);
    Ok(batch.columns().iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()?)
}

/// Rows of a batch by number, NULLs for [`NONE`].
fn take_or_null(batch: &RecordBatch, mut rows: Vec<u32>) -> Result<Vec<ArrayRef>> {
    if batch.num_rows() == 0 {
        return Ok(batch.columns().iter().map(|c| new_null_array(c.data_type(), rows.len())).collect());
    }
    let nulls = rows.contains(&NONE).then(|| rows.iter().map(|&r| r != NONE).collect::<NullBuffer>());
    if nulls.is_some() {
        rows.iter_mut().filter(|r| **r == NONE).for_each(|r| *r = 0);
    }
    let rows = UInt32Array::new(rows.into(), nulls);
    Ok(batch.columns().iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()?)
}
