//! Dates, timestamps and intervals.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Date32Array, PrimitiveArray};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal64Type, DurationMicrosecondType, Float64Type, Int32Type, Int64Type, IntervalYearMonthType,
    TimestampMicrosecondType,
};

use super::date_pattern;
use super::maths::literal_text;
use super::value::{Arg, Value, build, build_strings, extent, primitive, wrap};
use crate::base::calendar::{
    self, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, civil_from_days, days_from_civil,
};
use crate::base::time_zone::TimeZone;
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

type Timestamps = PrimitiveArray<TimestampMicrosecondType>;
type Ints = PrimitiveArray<Int32Type>;

fn out_of_range(what: &str) -> Error {
    Error::new(ErrorClass::DateTime, format!("{what} is out of the range of dates and timestamps."))
}

fn overflow() -> Error {
    Error::overflow("interval or timestamp")
}

/// A part of a date, from 1 or as the function says.
pub fn date_part(function: ScalarFunction, days: i32) -> i32 {
    use ScalarFunction::*;
    match function {
        Year => civil_from_days(days).0,
        Quarter => (civil_from_days(days).1 as i32 + 2) / 3,
        Month => civil_from_days(days).1 as i32,
        DayOfMonth => civil_from_days(days).2 as i32,
        DayOfWeek => (calendar::weekday(days) + 1) % 7 + 1,
        WeekDay => calendar::weekday(days),
        DayOfYear => calendar::day_of_year(days),
        WeekOfYear => calendar::iso_week(days).1,
        YearOfWeek => calendar::iso_week(days).0,
        _ => days,
    }
}

/// Functions of dates and times over evaluated arguments.
pub(super) fn evaluate(function: ScalarFunction, args: &[Value], rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let timestamp = |a: Timestamps| -> ArrayRef { Arc::new(a.with_data_type(DataType::Timestamp.to_arrow())) };
    let array: ArrayRef = match function {
        Year => return year_of(&args[0]),
        Quarter | Month | DayOfMonth | DayOfWeek | WeekDay | DayOfYear | WeekOfYear | YearOfWeek => {
            Arc::new(primitive::<Date32Type>(args[0].inner())?.unary::<_, Int32Type>(|d| date_part(function, d)))
        }
        Hour | Minute | Second => {
            let (unit, modulus) = match function {
                Hour => (MICROS_PER_HOUR, 24),
                Minute => (MICROS_PER_MINUTE, 60),
                _ => (MICROS_PER_SECOND, 60),
            };
            let part = |t: i64| (t.div_euclid(unit).rem_euclid(modulus)) as i32;
            Arc::new(primitive::<TimestampMicrosecondType>(args[0].inner())?.unary::<_, Int32Type>(part))
        }
        SecondFraction => {
            let part = |t: i64| t.rem_euclid(MICROS_PER_MINUTE);
            let out = primitive::<TimestampMicrosecondType>(args[0].inner())?.unary::<_, Decimal64Type>(part);
            Arc::new(out.with_precision_and_scale(8, 6)?)
        }
        DateAdd | DateSub | AddMonths => {
            let (d, m) = (Arg::<Date32Array>::primitive(&args[0])?, Arg::<Ints>::primitive(&args[1])?);
            Arc::new(build::<Date32Type>(&refs, n, |i| {
                let moved = match function {
                    DateAdd => d.at(i).checked_add(m.at(i)),
                    DateSub => d.at(i).checked_sub(m.at(i)),
                    _ => calendar::add_months(d.at(i), m.at(i)),
                };
                moved.map(Some).ok_or_else(|| out_of_range("The result"))
            })?)
        }
        DateAddMonths => {
            let (d, m) = (Arg::<Date32Array>::primitive(&args[0])?, Arg::<PrimitiveArray<IntervalYearMonthType>>::primitive(&args[1])?);
            Arc::new(build::<Date32Type>(&refs, n, |i| {
                calendar::add_months(d.at(i), m.at(i)).map(Some).ok_or_else(|| out_of_range("The result"))
            })?)
        }
        DateDiff => {
            let (a, b) = (Arg::<Date32Array>::primitive(&args[0])?, Arg::<Date32Array>::primitive(&args[1])?);
            Arc::new(build::<Int32Type>(&refs, n, |i| Ok(Some(a.at(i).wrapping_sub(b.at(i)))))?)
        }
        MonthsBetween => {
            let (a, b) = (Arg::<Timestamps>::primitive(&args[0])?, Arg::<Timestamps>::primitive(&args[1])?);
            let round = args.get(2).map(Arg::boolean).transpose()?;
            Arc::new(build::<Float64Type>(&refs, n, |i| {
                Ok(Some(calendar::months_between(a.at(i), b.at(i), round.as_ref().is_none_or(|r| r.at(i)))))
            })?)
        }
        LastDay => Arc::new(primitive::<Date32Type>(args[0].inner())?.unary::<_, Date32Type>(|d| {
            let (y, m, day) = civil_from_days(d);
            d.wrapping_add((calendar::days_in_month(y, m) - day) as i32)
        })),
        NextDay => {
            let (d, name) = (Arg::<Date32Array>::primitive(&args[0])?, Arg::string(&args[1])?);
            Arc::new(build::<Date32Type>(&refs, n, |i| {
                let wanted = date_pattern::weekday_named(name.at(i))
                    .ok_or_else(|| Error::new(ErrorClass::InvalidParameter, format!("Illegal input for day of week: {}.", name.at(i))))?;
                Ok(Some(d.at(i) + 1 + (wanted - calendar::weekday(d.at(i) + 1)).rem_euclid(7)))
            })?)
        }
        Trunc => {
            let (d, unit) = (Arg::<Date32Array>::primitive(&args[0])?, Arg::string(&args[1])?);
            Arc::new(build::<Date32Type>(&refs, n, |i| Ok(truncate_date(d.at(i), unit.at(i))))?)
        }
        DateTrunc => {
            let (unit, t) = (Arg::string(&args[0])?, Arg::<Timestamps>::primitive(&args[1])?);
            timestamp(build::<TimestampMicrosecondType>(&refs, n, |i| Ok(truncate_timestamp(t.at(i), unit.at(i))))?)
        }
        ToDate | ToTimestamp | TryToDate | TryToTimestamp => {
            let (text, pattern) = (Arg::string(&args[0])?, Arg::string(&args[1])?);
            let parse = |i: usize| -> Result<Option<i64>> {
                let found = date_pattern::parse(text.at(i), pattern.at(i))?;
                if found.is_none() && matches!(function, ToDate | ToTimestamp) {
                    let (text, pattern) = (text.at(i), pattern.at(i));
                    let hint = format!("Use `try_{}` to tolerate it.", function.name());
                    let message = format!("The text '{text}' could not be parsed as '{pattern}'. {hint}");
                    return Err(Error::new(ErrorClass::CastInvalidInput, message));
                }
                Ok(found)
            };
            if matches!(function, ToDate | TryToDate) {
                Arc::new(build::<Date32Type>(&refs, n, |i| Ok(parse(i)?.map(calendar::days_of)))?)
            } else {
                timestamp(build::<TimestampMicrosecondType>(&refs, n, parse)?)
            }
        }
        DateFormat => {
            let (t, pattern) = (Arg::<Timestamps>::primitive(&args[0])?, Arg::string(&args[1])?);
            build_strings(&refs, n, |i, out| date_pattern::format(t.at(i), pattern.at(i), out).map(|()| true))?
        }
        FromUnixTime => {
            let t = Arg::<PrimitiveArray<Int64Type>>::primitive(&args[0])?;
            let pattern = args.get(1).map(Arg::string).transpose()?;
            build_strings(&refs, n, |i, out| {
                let micros = t.at(i).checked_mul(MICROS_PER_SECOND).ok_or_else(overflow)?;
                date_pattern::format(micros, pattern.as_ref().map_or("yyyy-MM-dd HH:mm:ss", |p| p.at(i)), out).map(|()| true)
            })?
        }
        FromUtcTimestamp | ToUtcTimestamp => {
            let (t, zone) = (Arg::<Timestamps>::primitive(&args[0])?, Arg::string(&args[1])?);
            let mut zones = Zones::default();
            timestamp(build::<TimestampMicrosecondType>(&refs, n, |i| {
                let zone = zones.get(zone.at(i))?;
                let moved = if function == FromUtcTimestamp { zone.local(t.at(i)) } else { zone.instant(t.at(i)) };
                moved.map(Some).ok_or_else(|| out_of_range("The result"))
            })?)
        }
        ConvertTimezone => {
            let [from, to] = [0, 1].map(|k| Arg::string(&args[k]));
            let (from, to, t) = (from?, to?, Arg::<Timestamps>::primitive(&args[2])?);
            let (mut sources, mut targets) = (Zones::default(), Zones::default());
            Arc::new(build::<TimestampMicrosecondType>(&refs, n, |i| {
                let (source, target) = (sources.get(from.at(i))?, targets.get(to.at(i))?);
                source.instant(t.at(i)).and_then(|t| target.local(t)).map(Some).ok_or_else(|| out_of_range("The result"))
            })?)
        }
        MakeDate => {
            let [y, m, d] = [0, 1, 2].map(|k| Arg::<Ints>::primitive(&args[k]));
            let (y, m, d) = (y?, m?, d?);
            Arc::new(build::<Date32Type>(&refs, n, |i| make_date(y.at(i), m.at(i), d.at(i)).map(Some))?)
        }
        MakeTimestamp | TryMakeTimestamp => {
            let parts = args[..5].iter().map(Arg::<Ints>::primitive).collect::<Result<Vec<_>>>()?;
            let seconds = Arg::<PrimitiveArray<Float64Type>>::primitive(&args[5])?;
            timestamp(build::<TimestampMicrosecondType>(&refs, n, |i| {
                let [year, month, day, hour, minute] = [0, 1, 2, 3, 4].map(|k| parts[k].at(i));
                match make_timestamp([year, month, day, hour, minute], seconds.at(i)) {
                    Err(_) if function == TryMakeTimestamp => Ok(None),
                    made => made.map(Some),
                }
            })?)
        }
        TimestampDiff => {
            let [start, end] = [1, 2].map(|k| Arg::<Timestamps>::primitive(&args[k]));
            let (start, end, unit) = (start?, end?, literal_text(&args[0])?);
            Arc::new(build::<Int64Type>(&refs, n, |i| timestamp_difference(&unit, start.at(i), end.at(i)).map(Some))?)
        }
        WindowBound => {
            let times = primitive::<TimestampMicrosecondType>(args[0].inner())?;
            let [slide, start, shift] =
                [1, 2, 3].map(|i| primitive::<Int64Type>(args[i].inner()).map(|a| if a.is_empty() { 1 } else { a.value(0) }));
            let (slide, start, shift) = (slide?, start?, shift?);
            let bound = |t: i64| t.checked_sub(t.checked_sub(start)?.rem_euclid(slide.max(1)))?.checked_add(shift);
            let bounds = times.try_unary::<_, TimestampMicrosecondType, _>(|t| bound(t).ok_or_else(|| Error::overflow("long")))?;
            Arc::new(bounds.with_data_type(times.data_type().clone()))
        }
        UnixTimestamp | UnixMillis | UnixMicros => {
            let unit = match function {
                UnixTimestamp => MICROS_PER_SECOND,
                UnixMillis => 1000,
                _ => 1,
            };
            Arc::new(primitive::<TimestampMicrosecondType>(args[0].inner())?.unary::<_, Int64Type>(|t| t.div_euclid(unit)))
        }
        UnixDate => Arc::new(primitive::<Date32Type>(args[0].inner())?.unary::<_, Int32Type>(|d| d)),
        DateFromUnixDate => Arc::new(primitive::<Int32Type>(args[0].inner())?.unary::<_, Date32Type>(|d| d)),
        TimestampSeconds | TimestampMillis | TimestampMicros => {
            let unit = match function {
                TimestampSeconds => MICROS_PER_SECOND,
                TimestampMillis => 1000,
                _ => 1,
            };
            let t = Arg::<PrimitiveArray<Int64Type>>::primitive(&args[0])?;
            timestamp(build::<TimestampMicrosecondType>(&refs, n, |i| t.at(i).checked_mul(unit).map(Some).ok_or_else(overflow))?)
        }
        SubtractDates => {
            let (a, b) = (Arg::<Date32Array>::primitive(&args[0])?, Arg::<Date32Array>::primitive(&args[1])?);
            let days = |i: usize| i64::from(a.at(i)) - i64::from(b.at(i));
            Arc::new(build::<DurationMicrosecondType>(&refs, n, |i| days(i).checked_mul(MICROS_PER_DAY).map(Some).ok_or_else(overflow))?)
        }
        SubtractTimestamps => {
            let (a, b) = (Arg::<Timestamps>::primitive(&args[0])?, Arg::<Timestamps>::primitive(&args[1])?);
            Arc::new(build::<DurationMicrosecondType>(&refs, n, |i| a.at(i).checked_sub(b.at(i)).map(Some).ok_or_else(overflow))?)
        }
        TimeAdd => {
            let (t, d) = (Arg::<Timestamps>::primitive(&args[0])?, Arg::<PrimitiveArray<DurationMicrosecondType>>::primitive(&args[1])?);
            timestamp(build::<TimestampMicrosecondType>(&refs, n, |i| t.at(i).checked_add(d.at(i)).map(Some).ok_or_else(overflow))?)
        }
        TimestampAddMonths => {
            let (t, m) = (Arg::<Timestamps>::primitive(&args[0])?, Arg::<PrimitiveArray<IntervalYearMonthType>>::primitive(&args[1])?);
            timestamp(build::<TimestampMicrosecondType>(&refs, n, |i| {
                calendar::add_months_to_timestamp(t.at(i), m.at(i)).map(Some).ok_or_else(overflow)
            })?)
        }
        IntervalAdd | IntervalSubtract => match args[0].inner().data_type() {
            ArrowType::Duration(_) => {
                let [a, b] = [&args[0], &args[1]].map(Arg::<PrimitiveArray<DurationMicrosecondType>>::primitive);
                let (a, b) = (a?, b?);
                let sum = |x: i64, y: i64| if function == IntervalAdd { x.checked_add(y) } else { x.checked_sub(y) };
                Arc::new(build::<DurationMicrosecondType>(&refs, n, |i| sum(a.at(i), b.at(i)).map(Some).ok_or_else(overflow))?)
            }
            _ => {
                let [a, b] = [&args[0], &args[1]].map(Arg::<PrimitiveArray<IntervalYearMonthType>>::primitive);
                let (a, b) = (a?, b?);
                let sum = |x: i32, y: i32| if function == IntervalAdd { x.checked_add(y) } else { x.checked_sub(y) };
                Arc::new(build::<IntervalYearMonthType>(&refs, n, |i| sum(a.at(i), b.at(i)).map(Some).ok_or_else(overflow))?)
            }
        },
        IntervalMultiply | IntervalDivide => {
            let factor = Arg::<PrimitiveArray<Float64Type>>::primitive(&args[1])?;
            let scale = |value: f64, i: usize| -> Result<f64> {
                let f = factor.at(i);
                if function == IntervalDivide && f == 0.0 {
                    return Err(Error::new(ErrorClass::DivideByZero, "Division of an interval by zero."));
                }
                Ok((if function == IntervalMultiply { value * f } else { value / f }).round())
            };
            match args[0].inner().data_type() {
                ArrowType::Duration(_) => {
                    let a = Arg::<PrimitiveArray<DurationMicrosecondType>>::primitive(&args[0])?;
                    Arc::new(build::<DurationMicrosecondType>(&refs, n, |i| {
                        let v = scale(a.at(i) as f64, i)?;
                        if v.abs() < 9.2e18 { Ok(Some(v as i64)) } else { Err(overflow()) }
                    })?)
                }
                _ => {
                    let a = Arg::<PrimitiveArray<IntervalYearMonthType>>::primitive(&args[0])?;
                    Arc::new(build::<IntervalYearMonthType>(&refs, n, |i| {
                        let v = scale(f64::from(a.at(i)), i)?;
                        if v.abs() <= f64::from(i32::MAX) { Ok(Some(v as i32)) } else { Err(overflow()) }
                    })?)
                }
            }
        }
        IntervalPart => interval_part(&literal_text(&args[0])?, &args[1])?,
        MakeDayTimeInterval => {
            let whole = args.iter().take(3).map(Arg::<Ints>::primitive).collect::<Result<Vec<_>>>()?;
            let seconds = args.get(3).map(Arg::<PrimitiveArray<Float64Type>>::primitive).transpose()?;
            Arc::new(build::<DurationMicrosecondType>(&refs, n, |i| {
                let units = [MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE];
                let total = whole.iter().zip(units).map(|(a, u)| i128::from(a.at(i)) * i128::from(u)).sum::<i128>()
                    + seconds.as_ref().map_or(0, |s| (s.at(i) * 1e6).round() as i128);
                i64::try_from(total).map(Some).map_err(|_| overflow())
            })?)
        }
        MakeYearMonthInterval => {
            let whole = args.iter().map(Arg::<Ints>::primitive).collect::<Result<Vec<_>>>()?;
            Arc::new(build::<IntervalYearMonthType>(&refs, n, |i| {
                let total = whole.iter().zip([12, 1]).map(|(a, u)| i64::from(a.at(i)) * u).sum::<i64>();
                i32::try_from(total).map(Some).map_err(|_| overflow())
            })?)
        }
        other => return Err(Error::internal(format!("`{}` is no function of dates", other.name()))),
    };
    Ok(wrap(array, scalar))
}

/// The time zone that was asked for last, by its name.
#[derive(Default)]
struct Zones {
    last: Option<(String, TimeZone)>,
}

impl Zones {
    fn get(&mut self, name: &str) -> Result<TimeZone> {
        match &self.last {
            Some((known, zone)) if known == name => Ok(*zone),
            _ => {
                let zone = TimeZone::parse(name)?;
                self.last = Some((name.to_string(), zone));
                Ok(zone)
            }
        }
    }
}

/// Years of dates: neighbouring dates tend to fall in one year, whose bounds are then all that is compared.
fn year_of(value: &Value) -> Result<Value> {
    value.map(|array| {
        let (mut first, mut last, mut year) = (1, 0, 0);
        let dates = primitive::<Date32Type>(array)?;
        let years = dates.values().iter().map(|&d| {
            if d < first || d > last {
                year = civil_from_days(d).0;
                first = days_from_civil(year, 1, 1).unwrap_or(d);
                last = days_from_civil(year, 12, 31).unwrap_or(d);
            }
            year
        });
        Ok(Arc::new(Ints::new(years.collect(), dates.nulls().cloned())))
    })
}

fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let parts = (u32::try_from(month), u32::try_from(day));
    if let (Ok(month), Ok(day)) = parts
        && (-290_307..=294_247).contains(&year)
        && let Some(days) = days_from_civil(year, month, day)
    {
        return Ok(days);
    }
    Err(Error::new(ErrorClass::DateTime, format!("Invalid date: year {year}, month {month}, day {day}.")))
}

/// A timestamp of year, month, day, hour, minute and seconds; 60 seconds are the next minute.
fn make_timestamp([year, month, day, hour, minute]: [i32; 5], second: f64) -> Result<i64> {
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(Error::new(ErrorClass::DateTime, format!("Invalid time of day: {hour}:{minute}:{second}.")));
    }
    let days = make_date(year, month, day)?;
    let time = i64::from(hour) * MICROS_PER_HOUR + i64::from(minute) * MICROS_PER_MINUTE + (second * 1e6).round() as i64;
    i64::from(days).checked_mul(MICROS_PER_DAY).and_then(|d| d.checked_add(time)).ok_or_else(overflow)
}

/// Whole units from one timestamp to another.
fn timestamp_difference(unit: &str, start: i64, end: i64) -> Result<i64> {
    let months = || {
        // A month is whole when its day and time of day are reached.
        let place = |t: i64| {
            let (year, month, day) = civil_from_days(calendar::days_of(t));
            let within = i64::from(day) * MICROS_PER_DAY + t.rem_euclid(MICROS_PER_DAY);
            i128::from(year * 12 + month as i32) * i128::from(32 * MICROS_PER_DAY) + i128::from(within)
        };
        ((place(end) - place(start)) / i128::from(32 * MICROS_PER_DAY)) as i64
    };
    let size = match unit.to_ascii_uppercase().as_str() {
        "YEAR" => return Ok(months() / 12),
        "QUARTER" => return Ok(months() / 3),
        "MONTH" => return Ok(months()),
        "WEEK" => 7 * MICROS_PER_DAY,
        "DAY" | "DAYOFYEAR" => MICROS_PER_DAY,
        "HOUR" => MICROS_PER_HOUR,
        "MINUTE" => MICROS_PER_MINUTE,
        "SECOND" => MICROS_PER_SECOND,
        "MILLISECOND" => 1000,
        "MICROSECOND" => 1,
        _ => return Err(Error::new(ErrorClass::InvalidParameter, format!("`{unit}` is no unit of time."))),
    };
    Ok(end.checked_sub(start).ok_or_else(overflow)? / size)
}

/// The first day of the unit that a date is in; `None` for units that are not of dates.
fn truncate_date(days: i32, unit: &str) -> Option<i32> {
    let (year, month, _) = civil_from_days(days);
    match unit.to_ascii_lowercase().as_str() {
        "year" | "yyyy" | "yy" => days_from_civil(year, 1, 1),
        "quarter" => days_from_civil(year, (month - 1) / 3 * 3 + 1, 1),
        "month" | "mon" | "mm" => days_from_civil(year, month, 1),
        "week" => Some(days - calendar::weekday(days)),
        _ => None,
    }
}

/// The start of the unit that a timestamp is in; `None` for unknown units.
fn truncate_timestamp(micros: i64, unit: &str) -> Option<i64> {
    let step = match unit.to_ascii_lowercase().as_str() {
        "day" | "dd" => MICROS_PER_DAY,
        "hour" => MICROS_PER_HOUR,
        "minute" => MICROS_PER_MINUTE,
        "second" => MICROS_PER_SECOND,
        "millisecond" => 1000,
        "microsecond" => 1,
        _ => return truncate_date(calendar::days_of(micros), unit).map(|d| i64::from(d) * MICROS_PER_DAY),
    };
    Some(micros - micros.rem_euclid(step))
}

fn interval_part(unit: &str, interval: &Value) -> Result<ArrayRef> {
    Ok(match interval.inner().data_type() {
        ArrowType::Duration(_) => {
            let (size, modulus) = match unit {
                "day" => (MICROS_PER_DAY, i64::MAX),
                "hour" => (MICROS_PER_HOUR, 24),
                "minute" => (MICROS_PER_MINUTE, 60),
                "second" => (MICROS_PER_SECOND, 60),
                _ => return Err(Error::new(ErrorClass::InvalidParameter, format!("A day-time interval has no field `{unit}`."))),
            };
            Arc::new(primitive::<DurationMicrosecondType>(interval.inner())?.unary::<_, Int64Type>(|v| v / size % modulus))
        }
        _ => {
            let months = primitive::<IntervalYearMonthType>(interval.inner())?;
            match unit {
                "year" => Arc::new(months.unary::<_, Int64Type>(|v| i64::from(v / 12))),
                "month" => Arc::new(months.unary::<_, Int64Type>(|v| i64::from(v % 12))),
                _ => return Err(Error::new(ErrorClass::InvalidParameter, format!("A year-month interval has no field `{unit}`."))),
            }
        }
    })
}
