//! `sequence`: arrays of integers, dates and timestamps at even steps.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, DurationMicrosecondType, Int8Type, Int16Type, Int32Type, Int64Type, IntervalYearMonthType,
    TimestampMicrosecondType,
};

use super::collections::{LONGEST, list_of};
use super::value::{Arg, Value, union_nulls};
use crate::base::calendar::{self, MICROS_PER_DAY};
use crate::base::{Error, ErrorClass, Result, interrupt};

/// `sequence(start, stop[, step])`, both ends included; the step's default goes from start to stop.
pub(super) fn sequence(args: &[Value], rows: usize) -> Result<ArrayRef> {
    fn whole<T: ArrowPrimitiveType>(args: &[Value], rows: usize) -> Result<ArrayRef>
    where
        T::Native: Into<i64> + TryFrom<i64>,
    {
        let parts = args.iter().map(Arg::<PrimitiveArray<T>>::primitive).collect::<Result<Vec<_>>>()?;
        fill::<T>(args, rows, |i| {
            let (start, stop): (i64, i64) = (parts[0].at(i).into(), parts[1].at(i).into());
            let step = parts.get(2).map_or(if start <= stop { 1 } else { -1 }, |s| s.at(i).into());
            Ok((start, stop, Step::Fixed(step)))
        })
    }
    match args[0].inner().data_type() {
        ArrowType::Int8 => whole::<Int8Type>(args, rows),
        ArrowType::Int16 => whole::<Int16Type>(args, rows),
        ArrowType::Int32 => whole::<Int32Type>(args, rows),
        ArrowType::Int64 => whole::<Int64Type>(args, rows),
        ArrowType::Date32 => {
            let (a, b) = (Arg::<PrimitiveArray<Date32Type>>::primitive(&args[0])?, Arg::<PrimitiveArray<Date32Type>>::primitive(&args[1])?);
            fill::<Date32Type>(args, rows, |i| {
                let step = time_step(args.get(2), i, a.at(i) <= b.at(i))?;
                let step = match step {
                    Step::Fixed(micros) if micros % MICROS_PER_DAY == 0 => Step::Fixed(micros / MICROS_PER_DAY),
                    Step::Fixed(_) => return Err(Error::new(ErrorClass::InvalidParameter, "A sequence of dates must step by whole days.")),
                    months => months,
                };
                Ok((a.at(i).into(), b.at(i).into(), step))
            })
        }
        ArrowType::Timestamp(..) => {
            let [a, b] = [&args[0], &args[1]].map(Arg::<PrimitiveArray<TimestampMicrosecondType>>::primitive);
            let (a, b) = (a?, b?);
            let out = fill::<TimestampMicrosecondType>(args, rows, |i| {
                let step = match time_step(args.get(2), i, a.at(i) <= b.at(i))? {
                    Step::Months(m) => Step::TimestampMonths(m),
                    other => other,
                };
                Ok((a.at(i), b.at(i), step))
            })?;
            let list = out.as_list::<i32>();
            let values =
                list.values().as_primitive::<TimestampMicrosecondType>().clone().with_data_type(args[0].inner().data_type().clone());
            list_of(Arc::new(values), list.offsets().clone(), list.nulls().cloned())
        }
        other => Err(Error::new(ErrorClass::TypeMismatch, format!("`sequence` does not support {other}."))),
    }
}

/// How a sequence goes on.
#[derive(Clone, Copy)]
enum Step {
    Fixed(i64),
    /// Months added to a date.
    Months(i32),
    /// Months added to a timestamp.
    TimestampMonths(i32),
}

/// The step of a row of dates or timestamps; a day (forth or back) by default.
fn time_step(step: Option<&Value>, row: usize, forth: bool) -> Result<Step> {
    let Some(value) = step else { return Ok(Step::Fixed(if forth { MICROS_PER_DAY } else { -MICROS_PER_DAY })) };
    match value.inner().data_type() {
        ArrowType::Duration(_) => Ok(Step::Fixed(Arg::<PrimitiveArray<DurationMicrosecondType>>::primitive(value)?.at(row))),
        ArrowType::Interval(_) => Ok(Step::Months(Arg::<PrimitiveArray<IntervalYearMonthType>>::primitive(value)?.at(row))),
        other => Err(Error::new(ErrorClass::TypeMismatch, format!("A sequence of dates or timestamps cannot step by {other}."))),
    }
}

/// Elements between two polls.
const POLLED_EVERY: i64 = 1 << 16;

fn fill<T: ArrowPrimitiveType>(args: &[Value], rows: usize, f: impl Fn(usize) -> Result<(i64, i64, Step)>) -> Result<ArrayRef>
where
    T::Native: TryFrom<i64>,
{
    let nulls = union_nulls(&args.iter().collect::<Vec<_>>(), rows);
    let (mut values, mut lengths): (Vec<T::Native>, _) = (vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        let before = values.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let (start, stop, step) = f(row)?;
            let sign = match step {
                Step::Fixed(s) => s.signum(),
                Step::Months(m) | Step::TimestampMonths(m) => i64::from(m.signum()),
            };
            if start != stop && (sign == 0 || (stop > start) != (sign > 0)) {
                return Err(Error::new(ErrorClass::InvalidParameter, "Illegal sequence boundaries: the step leads away from the stop."));
            }
            if let Step::Fixed(s) = step
                && s != 0
                && (i128::from(stop) - i128::from(start)) / i128::from(s) + before as i128 > LONGEST
            {
                return Err(Error::new(ErrorClass::ResourceExhausted, "A sequence is too long."));
            }
            for k in 0i64.. {
                if k % POLLED_EVERY == POLLED_EVERY - 1 {
                    interrupt::check()?;
                }
                let next = match step {
                    Step::Fixed(s) => s.checked_mul(k).and_then(|d| start.checked_add(d)),
                    Step::Months(m) => calendar::add_months(start as i32, m.saturating_mul(k as i32)).map(i64::from),
                    Step::TimestampMonths(m) => calendar::add_months_to_timestamp(start, m.saturating_mul(k as i32)),
                };
                match next {
                    Some(v) if (sign >= 0 && v <= stop) || (sign < 0 && v >= stop) => {
                        values.push(T::Native::try_from(v).map_err(|_| Error::overflow("sequence"))?);
                    }
                    _ => break,
                }
                if sign == 0 {
                    break;
                }
            }
        }
        lengths.push(values.len() - before);
    }
    list_of(Arc::new(PrimitiveArray::<T>::new(values.into(), None)), OffsetBuffer::from_lengths(lengths), nulls)
}
