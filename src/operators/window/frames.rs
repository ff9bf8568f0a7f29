//! Frames: for each row, the range of rows that its window call sees.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Decimal128Type, Float64Type, Int64Type};

use super::groups::Chunk;
use crate::base::calendar::{add_months, add_months_to_timestamp};
use crate::base::interrupt::{Ticks, polled};
use crate::base::{DataType, Error, Result, Scalar, decimal};
use crate::expr::{Frame, FrameBound, FrameUnits, SortOrder};

const MICROS_PER_DAY: i128 = 86_400_000_000;

/// The rows `starts[i]..ends[i]` of row `i`, empty where not `starts[i] < ends[i]`. Both grow or stay.
#[derive(Clone)]
pub struct Frames {
    pub starts: Vec<u32>,
    pub ends: Vec<u32>,
    /// Whether every frame starts with its window partition.
    pub from_first: bool,
}

impl Frames {
    /// First row and the one past the last, per row; nothing where the frame is empty. [Polls](Ticks).
    pub fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        polled(self.starts.iter().zip(&self.ends)).map(|(s, e)| (*s as usize, (*e).max(*s) as usize))
    }

    /// One frame per window partition: all of it.
    pub fn of_partitions(partitions: &[Range<usize>]) -> Self {
        let starts = partitions.iter().map(|p| p.start as u32).collect();
        Self { starts, ends: partitions.iter().map(|p| p.end as u32).collect(), from_first: true }
    }

    /// The same frames, each with one more row that stands before all.
    pub fn after_one_more(&self) -> Self {
        let ends = self.ends.iter().map(|e| e + 1).collect();
        Self { starts: self.starts.clone(), ends, from_first: self.from_first }
    }

    /// Those of the rows alone.
    pub fn of_rows(&self, rows: Range<usize>) -> Self {
        Self { starts: self.starts[rows.clone()].to_vec(), ends: self.ends[rows].to_vec(), from_first: self.from_first }
    }
}

/// # Errors
/// `Unsupported` for a RANGE offset over a type that has none; `Internal` for bounds without a value.
pub fn frames(frame: &Frame, chunk: &Chunk, order_by: &[SortOrder]) -> Result<Frames> {
    let from_first = frame.start == FrameBound::UnboundedPreceding;
    Ok(Frames {
        starts: edge(&frame.start, frame.units, Edge::Start, chunk, order_by)?,
        ends: edge(&frame.end, frame.units, Edge::End, chunk, order_by)?,
        from_first,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

fn edge(bound: &FrameBound, units: FrameUnits, edge: Edge, chunk: &Chunk, order_by: &[SortOrder]) -> Result<Vec<u32>> {
    let mut out = vec![0u32; chunk.num_rows()];
    match (bound, units) {
        (FrameBound::UnboundedPreceding, _) => chunk.partitions.iter().for_each(|p| out[p.clone()].fill(p.start as u32)),
        (FrameBound::UnboundedFollowing, _) => chunk.partitions.iter().for_each(|p| out[p.clone()].fill(p.end as u32)),
        (FrameBound::CurrentRow, FrameUnits::Range) => {
            chunk.peers.iter().for_each(|run| out[run.clone()].fill(if edge == Edge::Start { run.start } else { run.end } as u32));
        }
        (FrameBound::CurrentRow, FrameUnits::Rows) => rows_edge(0, edge, chunk, &mut out),
        (FrameBound::Preceding(n), FrameUnits::Rows) => rows_edge(-row_count(n)?, edge, chunk, &mut out),
        (FrameBound::Following(n), FrameUnits::Rows) => rows_edge(row_count(n)?, edge, chunk, &mut out),
        (FrameBound::Preceding(n), FrameUnits::Range) => range_edge(n, true, edge, chunk, order_by, &mut out)?,
        (FrameBound::Following(n), FrameUnits::Range) => range_edge(n, false, edge, chunk, order_by, &mut out)?,
    }
    Ok(out)
}

/// # Errors
/// `Internal` when the bound is no whole number.
pub fn row_count(n: &Scalar) -> Result<i64> {
    let count = n.as_i128().ok_or_else(|| Error::internal("a ROWS frame needs a whole number of rows"))?;
    Ok(count.clamp(i128::from(i32::MIN), i128::from(u32::MAX)) as i64)
}

fn rows_edge(distance: i64, edge: Edge, chunk: &Chunk, out: &mut [u32]) {
    let distance = distance + i64::from(edge == Edge::End);
    for p in &chunk.partitions {
        for row in p.clone() {
            out[row] = (row as i64 + distance).clamp(p.start as i64, p.end as i64) as u32;
        }
    }
}

/// An edge at a distance in the value of the order key. Rows with a NULL key are within any distance of each other alone.
fn range_edge(offset: &Scalar, preceding: bool, edge: Edge, chunk: &Chunk, order_by: &[SortOrder], out: &mut [u32]) -> Result<()> {
    let (Some(key), Some(order)) = (chunk.order_keys.first(), order_by.first()) else {
        return Err(Error::internal("a RANGE frame with an offset needs an order key"));
    };
    let descending = !order.ascending;
    // Going back in a descending order means going up.
    let subtract = preceding != descending;
    let key_type = order.expr.data_type();
    let unsupported = || Error::unsupported(format!("RANGE frame with a {} offset over a {key_type} key", offset.data_type()));
    if key_type.is_fractional() {
        let distance = as_f64(offset).ok_or_else(unsupported)?;
        let keys = cast(key, &ArrowType::Float64)?;
        let keys = keys.as_primitive::<Float64Type>().values();
        let bound = |k: f64| if subtract { k - distance } else { k + distance };
        search(|r| keys[r], bound, compare_f64, descending, edge, key, chunk, out);
        return Ok(());
    }
    let (keys, scale) = exact_keys(key, &key_type, offset).ok_or_else(unsupported)??;
    let bound: Box<dyn Fn(i128) -> i128> = match (&key_type, offset) {
        (DataType::Date, Scalar::YearMonthInterval(months)) => {
            let months = if subtract { -months } else { *months };
            Box::new(move |k| add_months(k as i32, months).map_or(k, i128::from))
        }
        (DataType::Timestamp | DataType::TimestampNtz, Scalar::YearMonthInterval(months)) => {
            let months = if subtract { -months } else { *months };
            Box::new(move |k| add_months_to_timestamp(k as i64, months).map_or(k, i128::from))
        }
        (DataType::Date, Scalar::DayTimeInterval(micros)) => shift(i128::from(*micros) / MICROS_PER_DAY, subtract),
        _ => shift(offset.as_i128().ok_or_else(unsupported)?.saturating_mul(scale), subtract),
    };
    search(|r| keys[r], bound, |a, b| a.cmp(&b), descending, edge, key, chunk, out);
    Ok(())
}

fn shift(distance: i128, subtract: bool) -> Box<dyn Fn(i128) -> i128> {
    Box::new(move |k| if subtract { k.saturating_sub(distance) } else { k.saturating_add(distance) })
}

/// NaN equals itself and is greatest; -0.0 is 0.0.
fn compare_f64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn as_f64(offset: &Scalar) -> Option<f64> {
    match offset {
        Scalar::Float(v) => Some(f64::from(*v)),
        Scalar::Double(v) => Some(*v),
        Scalar::Decimal { value, scale, .. } => Some(decimal::to_f64(*value, *scale)),
        other => other.as_i128().map(|v| v as f64),
    }
}

/// The keys as whole numbers, and by what the offset must be multiplied to have their unit. `None`: no such type.
#[allow(clippy::type_complexity)]
fn exact_keys(key: &ArrayRef, key_type: &DataType, offset: &Scalar) -> Option<Result<(Vec<i128>, i128)>> {
    let long = |unit: &ArrowType| -> Result<Vec<i128>> {
        let keys = cast(&cast(key, unit)?, &ArrowType::Int64)?;
        Ok(keys.as_primitive::<Int64Type>().values().iter().map(|&k| i128::from(k)).collect())
    };
    Some(match key_type {
        DataType::Byte | DataType::Short | DataType::Int | DataType::Long => match offset {
            Scalar::Decimal { scale: 1.., .. } => return None,
            _ => long(&ArrowType::Int64).map(|k| (k, 1)),
        },
        DataType::Date => long(&ArrowType::Int32).map(|k| (k, 1)),
        DataType::Timestamp | DataType::TimestampNtz | DataType::YearMonthInterval | DataType::DayTimeInterval => {
            words(key).map(|k| (k, 1))
        }
        DataType::Decimal { scale, .. } => {
            let offset_scale = if let Scalar::Decimal { scale, .. } = offset { *scale } else { 0 };
            let up = |from: i8, to: i8| decimal::power(u32::from((to - from).max(0).unsigned_abs()));
            let (key_factor, offset_factor) = (up(*scale, offset_scale), up(offset_scale, *scale));
            words(key).map(|keys| (keys.into_iter().map(|k| k.saturating_mul(key_factor)).collect(), offset_factor))
        }
        _ => return None,
    })
}

/// The machine representation of numbers, dates, times and intervals.
fn words(key: &ArrayRef) -> Result<Vec<i128>> {
    use arrow::datatypes::{Decimal64Type, DurationMicrosecondType, IntervalYearMonthType, TimestampMicrosecondType};
    fn widen<T: arrow::datatypes::ArrowPrimitiveType<Native: Into<i128>>>(key: &ArrayRef) -> Vec<i128> {
        key.as_primitive::<T>().values().iter().map(|&v| v.into()).collect()
    }
    Ok(match key.data_type() {
        ArrowType::Decimal64(..) => widen::<Decimal64Type>(key),
        ArrowType::Decimal128(..) => widen::<Decimal128Type>(key),
        ArrowType::Timestamp(..) => widen::<TimestampMicrosecondType>(key),
        ArrowType::Duration(_) => widen::<DurationMicrosecondType>(key),
        ArrowType::Interval(_) => widen::<IntervalYearMonthType>(key),
        other => return Err(Error::internal(format!("order key of unexpected type {other}"))),
    })
}

/// For each row the first one not before (start) or after (end) the bound that its key gives, walking each partition once.
#[allow(clippy::too_many_arguments)]
fn search<K: Copy>(
    key: impl Fn(usize) -> K,
    bound: impl Fn(K) -> K,
    compare: impl Fn(K, K) -> Ordering,
    descending: bool,
    edge: Edge,
    column: &ArrayRef,
    chunk: &Chunk,
    out: &mut [u32],
) {
    let ticks = Ticks::default();
    for p in &chunk.partitions {
        let (nulls, valid) = null_run(column, p);
        out[nulls.clone()].fill(if edge == Edge::Start { nulls.start } else { nulls.end } as u32);
        let mut at = valid.start;
        for row in valid.clone() {
            let limit = bound(key(row));
            ticks.tick();
            while at < valid.end {
                ticks.tick();
                let order = compare(key(at), limit);
                let order = if descending { order.reverse() } else { order };
                if order == Ordering::Greater || edge == Edge::Start && order == Ordering::Equal {
                    break;
                }
                at += 1;
            }
            out[row] = at as u32;
        }
    }
}

/// The NULLs of a sorted partition, at one of its ends, and the other rows.
fn null_run(column: &ArrayRef, p: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let count = column.slice(p.start, p.len()).null_count();
    if count == 0 || column.is_null(p.start) {
        (p.start..p.start + count, p.start + count..p.end)
    } else {
        (p.end - count..p.end, p.start..p.end - count)
    }
}
