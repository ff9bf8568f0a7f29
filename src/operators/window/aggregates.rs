//! Aggregates over frames.
//!
//! An aggregate is computed buffer by buffer, for all frames of a chunk at once (mostly one per row). Exact sums and counts come from running totals:
//! a frame's sum is the difference of two of them. Double sums are not taken apart again: frames from the start of the partition
//! use the running sum, others a tree of partial sums. Minimum and maximum keep the candidates of the moving frame in a queue.

use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal64Array, Decimal128Array, Float64Array, Int64Array, ListArray, UInt32Array,
    make_comparator, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, cast, concat, nullif, take};
use arrow::datatypes::{DataType as ArrowType, Decimal64Type, Decimal128Type, Field, Int64Type};
use arrow::row::{RowConverter, SortField};

use super::frames::Frames;
use super::groups::Chunk;
use super::offset::{Seen, first_or_last};
use crate::base::interrupt::{Ticks, polled};
use crate::base::schema::arrow_schema;
use crate::base::{DataType, Error, Result, Scalar, decimal};
use crate::expr::aggregate::{Accumulate, Buffer, describe};
use crate::expr::evaluate::{evaluate, normalise_floats, predicate, scalar, set_keys};
use crate::expr::{AggregateExpr, AggregateFunction};
use crate::operators::aggregate::{distinct_count, moments};
use crate::operators::stream::make_batch;

/// What the rows of a window partition before a chunk came to, where all frames begin with the partition: the value of each buffer, as
/// an array of one. Nothing before the first row.
#[derive(Default)]
pub struct Before(Vec<ArrayRef>);

/// Whether frames that begin with their window partition can go on from [`Before`].
///
/// # Errors
/// As for [`compute`].
pub fn goes_on(call: &AggregateExpr) -> Result<bool> {
    let listed = |b: &Buffer| matches!(b.update, Accumulate::CollectList | Accumulate::CollectSet);
    Ok(!describe(call)?.buffers.iter().any(listed))
}

/// The results of a call, one per frame.
///
/// With `before` the frames, which all begin with the chunk, see the rows before it too; it is then told what the last frame came to.
///
/// # Errors
/// Those of evaluating the arguments; overflow of a sum; `Unsupported` for DISTINCT.
pub fn compute(call: &AggregateExpr, chunk: &Chunk, frames: &Frames, before: Option<&mut Before>) -> Result<ArrayRef> {
    if call.distinct {
        return Err(Error::unsupported("DISTINCT in a window function"));
    }
    let filter = call.filter.as_ref().map(|f| predicate(f, &chunk.rows)).transpose()?;
    let first_argument = || call.args.first().ok_or_else(|| Error::internal("an aggregate call without an argument"));
    match call.function {
        AggregateFunction::First | AggregateFunction::FirstIgnoreNulls | AggregateFunction::Last | AggregateFunction::LastIgnoreNulls => {
            return picked(call.function, &evaluate(first_argument()?, &chunk.rows)?, filter.as_ref(), frames, before);
        }
        AggregateFunction::CollectList | AggregateFunction::CollectSet => {
            let values = masked(evaluate(first_argument()?, &chunk.rows)?, filter.as_ref())?;
            return collect(&values, frames, call.function == AggregateFunction::CollectSet);
        }
        AggregateFunction::Count
        | AggregateFunction::Sum
        | AggregateFunction::Avg
        | AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::BoolAnd
        | AggregateFunction::BoolOr
        | AggregateFunction::StddevSamp
        | AggregateFunction::StddevPop
        | AggregateFunction::VarSamp
        | AggregateFunction::VarPop
        | AggregateFunction::CovarSamp
        | AggregateFunction::CovarPop
        | AggregateFunction::Corr
        | AggregateFunction::Skewness
        | AggregateFunction::Kurtosis
        | AggregateFunction::RegrSlope
        | AggregateFunction::RegrIntercept
        | AggregateFunction::RegrR2
        | AggregateFunction::RegrSxx
        | AggregateFunction::RegrSyy
        | AggregateFunction::RegrSxy
        | AggregateFunction::RegrAvgX
        | AggregateFunction::RegrAvgY
        | AggregateFunction::BitAnd
        | AggregateFunction::BitOr
        | AggregateFunction::BitXor
        | AggregateFunction::TrySum
        | AggregateFunction::Mode
        | AggregateFunction::ListAgg
        | AggregateFunction::MaxBy
        | AggregateFunction::MinBy
        | AggregateFunction::ApproxCountDistinct
        | AggregateFunction::Percentile
        | AggregateFunction::PercentileDisc => {}
        AggregateFunction::BloomFilter
        | AggregateFunction::BitmapConstruct
        | AggregateFunction::BitmapOr
        | AggregateFunction::BitmapAnd => return Err(Error::unsupported(format!("`{}` as a window function", call.function.name()))),
    }
    let description = describe(call)?;
    let mut columns = Vec::with_capacity(description.buffers.len());
    for (i, buffer) in description.buffers.iter().enumerate() {
        let input = masked(evaluate(&buffer.input, &chunk.rows)?, filter.as_ref())?;
        let earlier = before.as_ref().and_then(|b| b.0.get(i));
        columns.push(match earlier {
            None => accumulate(buffer, &input, chunk, frames, None)?,
            Some(earlier) if matches!(buffer.update, Accumulate::Count | Accumulate::Sum) => {
                let going_on = Buffer { init: scalar::from_array(earlier, 0)?, ..buffer.clone() };
                accumulate(&going_on, &input, chunk, frames, None)?
            }
            Some(earlier) if matches!(buffer.update, Accumulate::Moments | Accumulate::PairMoments | Accumulate::DistinctCount { .. }) => {
                accumulate(buffer, &input, chunk, frames, Some(earlier))?
            }
            Some(earlier) => accumulate(buffer, &concat(&[earlier, &input])?, chunk, &frames.after_one_more(), None)?,
        });
    }
    if let Some(before) = before {
        before.0 = columns.iter().map(|c| c.slice(frames.starts.len() - 1, 1)).collect();
    }
    let buffers = make_batch(&arrow_schema(&description.attributes), columns, frames.starts.len())?;
    evaluate(&description.finish.bind(&description.attributes)?, &buffers)
}

/// First and last values.
fn picked(
    function: AggregateFunction,
    values: &ArrayRef,
    filter: Option<&BooleanArray>,
    frames: &Frames,
    before: Option<&mut Before>,
) -> Result<ArrayRef> {
    let Some(before) = before else { return first_or_last(function, values, filter, frames) };
    if let [earlier] = &before.0[..] {
        let filter = filter.map(|f| concat(&[&BooleanArray::from(vec![true]), f])).transpose()?;
        let filter = filter.as_ref().map(|f| f.as_boolean());
        let column = first_or_last(function, &concat(&[earlier, values])?, filter, &frames.after_one_more())?;
        before.0 = vec![column.slice(column.len() - 1, 1)];
        return Ok(column);
    }
    let column = first_or_last(function, values, filter, frames)?;
    let last = column.slice(column.len() - 1, 1);
    let ignores_nulls = matches!(function, AggregateFunction::FirstIgnoreNulls | AggregateFunction::LastIgnoreNulls);
    let found = if ignores_nulls { last.is_valid(0) } else { filter.is_none_or(|f| f.true_count() > 0) && !values.is_empty() };
    if found {
        before.0 = vec![last];
    }
    Ok(column)
}

/// NULL where the filter does not admit the row.
fn masked(values: ArrayRef, filter: Option<&BooleanArray>) -> Result<ArrayRef> {
    Ok(match filter {
        None => values,
        Some(filter) => nullif(&values, &arrow::compute::not(filter)?)?,
    })
}

/// One value per frame; `before` is the value of moments or registers that all frames begin with.
fn accumulate(buffer: &Buffer, input: &ArrayRef, chunk: &Chunk, frames: &Frames, before: Option<&ArrayRef>) -> Result<ArrayRef> {
    let seen = Seen::new(input.logical_nulls().map(|n| n.into_inner()), input.len());
    match buffer.update {
        Accumulate::Count => {
            let counts = frames.ranges().map(|(s, e)| seen.before(e) - seen.before(s));
            let init = buffer.init.as_i128().unwrap_or(0) as i64;
            Ok(Arc::new(Int64Array::from_iter_values(counts.map(|c| init + c as i64))))
        }
        Accumulate::Sum => sum(buffer, input, &seen, chunk, frames),
        Accumulate::Min => extreme(input, frames, Ordering::Less),
        Accumulate::Max => extreme(input, frames, Ordering::Greater),
        Accumulate::CollectList => collect(input, frames, false),
        Accumulate::CollectSet => collect(input, frames, true),
        Accumulate::Moments => moments::of_frames(moments::Source::Values, input, &buffer.data_type.to_arrow(), frames.ranges(), before),
        Accumulate::PairMoments => moments::of_frames(moments::Source::Pairs, input, &buffer.data_type.to_arrow(), frames.ranges(), before),
        Accumulate::DistinctCount { precision } => distinct_count::of_frames(precision, input, frames.ranges(), before),
        Accumulate::BitAnd | Accumulate::BitOr | Accumulate::BitXor => bits(buffer.update, input, frames),
        Accumulate::BloomFilter { .. }
        | Accumulate::BitmapOr
        | Accumulate::BitmapAnd
        | Accumulate::First
        | Accumulate::FirstIgnoreNulls
        | Accumulate::Last
        | Accumulate::LastIgnoreNulls
        | Accumulate::ConcatList
        | Accumulate::ConcatSet
        | Accumulate::MergeMoments
        | Accumulate::MergePairMoments => Err(Error::internal("no buffer of an aggregate over frames accumulates in this way")),
    }
}

/// Which frames have a value that is not NULL; all do where the buffer starts with a value.
fn filled(buffer: &Buffer, seen: &Seen, frames: &Frames) -> Option<NullBuffer> {
    buffer.init.is_null().then(|| frames.ranges().map(|(s, e)| seen.before(s) < seen.before(e)).collect())
}

fn sum(buffer: &Buffer, input: &ArrayRef, seen: &Seen, chunk: &Chunk, frames: &Frames) -> Result<ArrayRef> {
    let nulls = filled(buffer, seen, frames);
    let missing = |row: usize| nulls.as_ref().is_some_and(|n| n.is_null(row));
    match &buffer.data_type {
        DataType::Float | DataType::Double => {
            let init = match buffer.init {
                Scalar::Double(v) => v,
                _ => 0.0,
            };
            let input = cast(input, &ArrowType::Float64)?;
            let sums = Float64Array::new(double_sums(input.as_primitive(), init, chunk, frames).into(), nulls);
            Ok(if buffer.data_type == DataType::Float {
                Arc::new(sums.unary::<_, arrow::datatypes::Float32Type>(|v| v as f32)) as ArrayRef
            } else {
                Arc::new(sums)
            })
        }
        DataType::Decimal { precision, scale } => {
            let init = buffer.init.as_i128().unwrap_or(0);
            let sums = exact_sums(input, frames)?.into_iter().enumerate().map(|(row, sum)| {
                let sum = sum.wrapping_add(init);
                if missing(row) { Ok(0) } else { decimal::fit(sum, *precision).ok_or_else(|| Error::overflow("decimal")) }
            });
            Ok(if matches!(buffer.data_type.to_arrow(), ArrowType::Decimal64(..)) {
                let sums: Vec<i64> = sums.map(|s| s.map(|v| v as i64)).collect::<Result<_>>()?;
                Arc::new(Decimal64Array::new(sums.into(), nulls).with_precision_and_scale(*precision, *scale)?)
            } else {
                let sums: Vec<i128> = sums.collect::<Result<_>>()?;
                Arc::new(Decimal128Array::new(sums.into(), nulls).with_precision_and_scale(*precision, *scale)?)
            })
        }
        other => {
            let init = buffer.init.as_i128().unwrap_or(0);
            let sums = exact_sums(input, frames)?.into_iter().enumerate().map(|(row, sum)| {
                if missing(row) { Ok(0) } else { i64::try_from(sum.wrapping_add(init)).map_err(|_| Error::overflow("long")) }
            });
            let sums = Int64Array::new(sums.collect::<Result<Vec<_>>>()?.into(), nulls);
            let target = other.to_arrow();
            if *sums.data_type() == target {
                return Ok(Arc::new(sums));
            }
            // Intervals are counted in whole units too.
            Ok(cast(&sums, &target)?)
        }
    }
}

/// Sums modulo 2¹²⁸, by differences of running totals.
fn exact_sums(input: &ArrayRef, frames: &Frames) -> Result<Vec<i128>> {
    let mut totals = Vec::with_capacity(input.len() + 1);
    let mut total = 0i128;
    totals.push(0);
    let mut add = |row: usize, value: i128| {
        if input.is_valid(row) {
            total = total.wrapping_add(value);
        }
        totals.push(total);
    };
    match input.data_type() {
        ArrowType::Decimal64(..) => {
            input.as_primitive::<Decimal64Type>().values().iter().enumerate().for_each(|(r, &v)| add(r, i128::from(v)))
        }
        ArrowType::Decimal128(..) => input.as_primitive::<Decimal128Type>().values().iter().enumerate().for_each(|(r, &v)| add(r, v)),
        _ => {
            let longs = cast(input, &ArrowType::Int64)?;
            longs.as_primitive::<Int64Type>().values().iter().enumerate().for_each(|(r, &v)| add(r, i128::from(v)));
        }
    }
    Ok(frames.ranges().map(|(s, e)| totals[e].wrapping_sub(totals[s])).collect())
}

/// Sums that begin with `init`.
fn double_sums(input: &Float64Array, init: f64, chunk: &Chunk, frames: &Frames) -> Vec<f64> {
    let value = |row: usize| if input.is_valid(row) { input.value(row) } else { 0.0 };
    let rows = input.len();
    if frames.from_first {
        let mut running = Vec::with_capacity(rows);
        for p in &chunk.partitions {
            let mut total = init;
            running.extend(p.clone().map(|row| {
                total += value(row);
                total
            }));
        }
        return frames.ranges().map(|(s, e)| if s < e { running[e - 1] } else { init }).collect();
    }
    // A segment tree: node `i` holds the sum of nodes `2i` and `2i + 1`; the leaves follow from `rows` on.
    let mut tree = vec![0.0; 2 * rows];
    (0..rows).for_each(|row| tree[rows + row] = value(row));
    polled((1..rows).rev()).for_each(|i| tree[i] = tree[2 * i] + tree[2 * i + 1]);
    let sum = |(start, end): (usize, usize)| {
        let (mut low, mut high) = (start + rows, end + rows);
        let (mut left, mut right) = (0.0, 0.0);
        while low < high {
            if low & 1 == 1 {
                left += tree[low];
                low += 1;
            }
            if high & 1 == 1 {
                high -= 1;
                right += tree[high];
            }
            (low, high) = (low / 2, high / 2);
        }
        init + (left + right)
    };
    frames.ranges().map(sum).collect()
}

/// The least (`Less`) or greatest (`Greater`) value of each frame.
fn extreme(input: &ArrayRef, frames: &Frames, wanted: Ordering) -> Result<ArrayRef> {
    if *input.data_type() == ArrowType::Null {
        return Ok(new_null_array(input.data_type(), frames.starts.len()));
    }
    let compared = normalise_floats(input)?;
    let compare = make_comparator(&compared, &compared, SortOptions::default())?;
    let nulls = input.logical_nulls();
    let mut rows: Vec<Option<u32>> = Vec::with_capacity(frames.starts.len());
    // Rows of the frame that can still be the answer: each is better than those behind it.
    let mut queue: VecDeque<u32> = VecDeque::new();
    let mut next = 0;
    let ticks = Ticks::default();
    for (&start, &end) in frames.starts.iter().zip(&frames.ends) {
        ticks.tick();
        while next < end as usize {
            ticks.tick();
            if nulls.as_ref().is_none_or(|n| n.is_valid(next)) {
                while queue.back().is_some_and(|&b| compare(next, b as usize) == wanted) {
                    queue.pop_back();
                }
                queue.push_back(next as u32);
            }
            next += 1;
        }
        while queue.front().is_some_and(|&f| f < start) {
            queue.pop_front();
        }
        rows.push(queue.front().copied());
    }
    Ok(take(input, &UInt32Array::from(rows), None)?)
}

/// And, or, exclusive or of the bits of each frame's integers. Frames that only grow at their end are not begun anew.
fn bits(primitive: Accumulate, input: &ArrayRef, frames: &Frames) -> Result<ArrayRef> {
    let longs = cast(input, &ArrowType::Int64)?;
    let longs = longs.as_primitive::<Int64Type>();
    let combine = |a: i64, b: i64| match primitive {
        Accumulate::BitAnd => a & b,
        Accumulate::BitOr => a | b,
        _ => a ^ b,
    };
    let ticks = Ticks::default();
    let valid = |r: &usize| {
        ticks.tick();
        longs.is_valid(*r)
    };
    let (mut start, mut end, mut value) = (0, 0, None);
    let of = |(s, e): (usize, usize)| {
        if s != start || e < end {
            (start, end, value) = (s, s, None);
        }
        value = value.into_iter().chain((end..e).filter(valid).map(|r| longs.value(r))).reduce(combine);
        end = end.max(e);
        value
    };
    Ok(cast(&frames.ranges().map(of).collect::<Int64Array>(), input.data_type())?)
}

/// Arrays of the values that are not NULL of each frame, without repetitions for sets.
fn collect(values: &ArrayRef, frames: &Frames, set: bool) -> Result<ArrayRef> {
    let seen = Seen::new(values.logical_nulls().map(|n| n.into_inner()), values.len());
    let encoded = set.then(|| {
        let keys = set_keys(values, 0)?;
        let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
        Ok::<_, crate::base::Error>(converter.convert_columns(&[keys])?)
    });
    let encoded = encoded.transpose()?;
    let (mut rows, mut offsets) = (vec![], vec![0i32]);
    let ticks = Ticks::default();
    for (start, end) in frames.ranges() {
        let of_frame = (seen.before(start)..seen.before(end)).map(|place| {
            ticks.tick();
            seen.row(place)
        });
        match &encoded {
            None => rows.extend(of_frame),
            Some(encoded) => {
                let mut known = HashSet::new();
                rows.extend(of_frame.filter(|&r| known.insert(encoded.row(r as usize))));
            }
        }
        offsets.push(i32::try_from(rows.len()).map_err(|_| Error::unsupported("collected arrays of more than 2³¹ elements"))?);
    }
    let field = Arc::new(Field::new("element", values.data_type().clone(), true));
    let elements = take(values, &UInt32Array::from(rows), None)?;
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::new(offsets.into()), elements, None)?))
}
