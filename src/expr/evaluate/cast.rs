//! Casts between types that are not texts; [`super::cast_text`] has those from and to strings.
//!
//! ANSI: what does not fit is an error (`CAST_OVERFLOW`, `NUMERIC_VALUE_OUT_OF_RANGE`), or NULL under `try_cast`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast as arrow_cast;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalYearMonthType, TimestampMicrosecondType,
};

use super::value::{booleans, primitive};
use super::{cast_text, decimal as decimals, nested};
use crate::base::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, days_of};
use crate::base::schema::MAX_LONG_PRECISION;
use crate::base::{DataType, Error, ErrorClass, Result, decimal, number};
use crate::expr::typing::cast_can_fail;

/// `CAST(array AS to)`; `from` is the array's SQL type.
pub(super) fn cast(array: &ArrayRef, from: &DataType, to: &DataType, tries: bool) -> Result<ArrayRef> {
    use DataType::*;
    if from == to {
        return Ok(array.clone());
    }
    let overflow = |text: std::string::String| cast_overflow(&text, from, to);
    match (from, to) {
        (Null, _) => Ok(new_null_array(&to.to_arrow(), array.len())),
        (_, String) => cast_text::to_string(array, from),
        (String, _) => cast_text::from_string(array, to, tries),
        (Array(f), Array(t)) => nested::cast_list(array, f, t, tries),
        (Map(fk, fv), Map(tk, tv)) => nested::cast_map(array, (fk, fv), (tk, tv), tries),
        (Struct(f), Struct(t)) => nested::cast_struct(array, f, t, tries),
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => rescale(array, (*p, *s), (*q, *t), tries),
        (f, Decimal { precision, scale }) if f.is_integral() => {
            let (p, _) = crate::expr::typing::decimal_for_integral(f).unwrap_or((20, 0));
            let wide = arrow_cast(array, &ArrowType::Int64)?;
            if p <= MAX_LONG_PRECISION && *precision <= MAX_LONG_PRECISION && !cast_can_fail(f, to) {
                let factor = decimal::power((*scale).max(0) as u32) as i64;
                let out = primitive::<Int64Type>(&wide)?.unary::<_, Decimal64Type>(|v| v.wrapping_mul(factor));
                return Ok(Arc::new(out.with_precision_and_scale(*precision, *scale)?));
            }
            let out = try_map::<Int64Type, Decimal128Type>(
                primitive(&wide)?,
                tries,
                |v| decimal::rescale(v.into(), 0, *scale, *precision),
                |v| Error::decimal_out_of_range(v, *precision, *scale),
            )?;
            decimals::narrow(out, *precision, *scale)
        }
        (f, Decimal { precision, scale }) if f.is_fractional() => {
            let wide = arrow_cast(array, &ArrowType::Float64)?;
            let from_float = *f == Float;
            let convert = |v: f64| match from_float {
                // The float's own digits, not those of its double.
                true => decimal::parse_as(&format!("{:e}", v as f32), *precision, *scale).flatten(),
                false => decimal::from_f64(v, *precision, *scale),
            };
            let out = try_map::<Float64Type, Decimal128Type>(primitive(&wide)?, tries, convert, |v| {
                Error::decimal_out_of_range(number::format_f64(v), *precision, *scale)
            })?;
            decimals::narrow(out, *precision, *scale)
        }
        (Decimal { scale, .. }, t) if t.is_fractional() => {
            let doubles: ArrayRef = match array.data_type() {
                ArrowType::Decimal64(..) => {
                    Arc::new(primitive::<Decimal64Type>(array)?.unary::<_, Float64Type>(|v| decimal::to_f64(v.into(), *scale)))
                }
                _ => Arc::new(primitive::<Decimal128Type>(array)?.unary::<_, Float64Type>(|v| decimal::to_f64(v, *scale))),
            };
            Ok(if *t == Float { arrow_cast(&doubles, &ArrowType::Float32)? } else { doubles })
        }
        (Decimal { scale, .. }, t) if t.is_integral() => {
            let divisor = decimal::power((*scale).max(0) as u32);
            let longs = try_map::<Decimal128Type, Int64Type>(
                &decimals::widen(array)?,
                tries,
                |v| i64::try_from(v / divisor).ok(),
                |v| overflow(decimal::format(v, *scale)),
            )?;
            narrow_integer(&(Arc::new(longs) as ArrayRef), t, tries, |v| overflow(v.to_string()))
        }
        (f, t) if f.is_integral() && t.is_integral() => {
            if f.default_size() < t.default_size() {
                return Ok(arrow_cast(array, &t.to_arrow())?);
            }
            narrow_integer(&arrow_cast(array, &ArrowType::Int64)?, t, tries, |v| overflow(v.to_string()))
        }
        (f, t) if f.is_fractional() && t.is_integral() => {
            let doubles = arrow_cast(array, &ArrowType::Float64)?;
            let longs = try_map::<Float64Type, Int64Type>(
                primitive(&doubles)?,
                tries,
                |v| {
                    // 2^63 itself is out of range and has no predecessor between it and the largest i64.
                    (v.ceil() >= i64::MIN as f64 && v.floor() < 9_223_372_036_854_775_808.0).then_some(v as i64)
                },
                |v| overflow(number::format_f64(v)),
            )?;
            narrow_integer(&(Arc::new(longs) as ArrayRef), t, tries, |v| overflow(v.to_string()))
        }
        (f, t) if f.is_numeric() && t.is_numeric() => Ok(arrow_cast(array, &t.to_arrow())?),
        (Boolean, t) if t.is_numeric() => {
            let longs: PrimitiveArray<Int64Type> = from_boolean(booleans(array)?, i64::from);
            cast(&(Arc::new(longs) as ArrayRef), &Long, t, tries)
        }
        (f, Boolean) if f.is_numeric() => Ok(Arc::new(to_boolean(array)?)),
        (Date, Timestamp | TimestampNtz) => {
            let out = primitive::<Date32Type>(array)?.unary::<_, TimestampMicrosecondType>(|d| i64::from(d) * MICROS_PER_DAY);
            Ok(Arc::new(out.with_data_type(to.to_arrow())))
        }
        (Timestamp | TimestampNtz, Date) => Ok(Arc::new(primitive::<TimestampMicrosecondType>(array)?.unary::<_, Date32Type>(days_of))),
        (Timestamp | TimestampNtz, Timestamp | TimestampNtz) => {
            Ok(Arc::new(primitive::<TimestampMicrosecondType>(array)?.clone().with_data_type(to.to_arrow())))
        }
        (Timestamp, t) if t.is_integral() => {
            let seconds = primitive::<TimestampMicrosecondType>(array)?.unary::<_, Int64Type>(|v| v.div_euclid(MICROS_PER_SECOND));
            narrow_integer(&(Arc::new(seconds) as ArrayRef), t, tries, |v| overflow(v.to_string()))
        }
        (Timestamp, t) if t.is_numeric() => {
            let micros = primitive::<TimestampMicrosecondType>(array)?;
            if t.is_decimal() {
                let exact = micros.unary::<_, Decimal128Type>(i128::from).with_precision_and_scale(20, 6)?;
                return cast(&(Arc::new(exact) as ArrayRef), &DataType::decimal(20, 6), t, tries);
            }
            let doubles = micros.unary::<_, Float64Type>(|v| v as f64 / MICROS_PER_SECOND as f64);
            cast(&(Arc::new(doubles) as ArrayRef), &Double, t, tries)
        }
        (f, Timestamp) if f.is_integral() => {
            let longs = arrow_cast(array, &ArrowType::Int64)?;
            let out = try_map::<Int64Type, TimestampMicrosecondType>(
                primitive(&longs)?,
                tries,
                |v| v.checked_mul(MICROS_PER_SECOND),
                |v| overflow(v.to_string()),
            )?;
            Ok(Arc::new(out.with_data_type(to.to_arrow())))
        }
        (f, Timestamp) if f.is_numeric() => {
            let doubles = cast(array, f, &Double, tries)?;
            let out = try_map::<Float64Type, TimestampMicrosecondType>(
                primitive(&doubles)?,
                tries,
                |v| {
                    let micros = v * MICROS_PER_SECOND as f64;
                    (micros.abs() < 9.2e18).then_some(micros as i64)
                },
                |v| overflow(number::format_f64(v)),
            )?;
            Ok(Arc::new(out.with_data_type(to.to_arrow())))
        }
        (YearMonthInterval, t) if t.is_integral() => {
            let longs = primitive::<IntervalYearMonthType>(array)?.unary::<_, Int64Type>(i64::from);
            narrow_integer(&(Arc::new(longs) as ArrayRef), t, tries, |v| overflow(v.to_string()))
        }
        (DayTimeInterval, t) if t.is_integral() => {
            let seconds = primitive::<DurationMicrosecondType>(array)?.unary::<_, Int64Type>(|v| v / MICROS_PER_SECOND);
            narrow_integer(&(Arc::new(seconds) as ArrayRef), t, tries, |v| overflow(v.to_string()))
        }
        (f, YearMonthInterval) if f.is_integral() => {
            let longs = arrow_cast(array, &ArrowType::Int64)?;
            let out =
                try_map::<Int64Type, IntervalYearMonthType>(primitive(&longs)?, tries, |v| v.try_into().ok(), |v| overflow(v.to_string()))?;
            Ok(Arc::new(out))
        }
        (f, DayTimeInterval) if f.is_integral() => {
            let longs = arrow_cast(array, &ArrowType::Int64)?;
            let out = try_map::<Int64Type, DurationMicrosecondType>(
                primitive(&longs)?,
                tries,
                |v| v.checked_mul(MICROS_PER_SECOND),
                |v| overflow(v.to_string()),
            )?;
            Ok(Arc::new(out))
        }
        _ => Err(Error::new(ErrorClass::TypeMismatch, format!("Cannot cast \"{from}\" to \"{to}\"."))),
    }
}

/// Spark's CAST_OVERFLOW.
fn cast_overflow(value: &str, from: &DataType, to: &DataType) -> Error {
    let suffix = match from {
        DataType::Long => "L",
        DataType::Double => "D",
        DataType::Decimal { .. } => "BD",
        DataType::Short => "S",
        _ => "",
    };
    Error::new(
        ErrorClass::CastOverflow,
        format!(
            "The value {value}{suffix} of the type \"{}\" cannot be cast to \"{}\" due to an overflow. Use `try_cast` to tolerate overflow and return NULL instead.",
            from.to_string().to_uppercase(),
            to.to_string().to_uppercase()
        ),
    )
}

/// Each value by `f`; where it gives none, the error, or NULL if `tries`.
pub(super) fn try_map<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    array: &PrimitiveArray<I>,
    tries: bool,
    f: impl Fn(I::Native) -> Option<O::Native>,
    error: impl Fn(I::Native) -> Error,
) -> Result<PrimitiveArray<O>> {
    let mut failed = false;
    let values: Vec<O::Native> = array
        .values()
        .iter()
        .map(|v| {
            f(*v).unwrap_or_else(|| {
                failed = true;
                O::Native::default()
            })
        })
        .collect();
    let mut nulls = array.nulls().cloned();
    if failed {
        let bad = |i: usize| array.is_valid(i) && f(array.value(i)).is_none();
        if !tries {
            if let Some(i) = (0..array.len()).find(|i| bad(*i)) {
                return Err(error(array.value(i)));
            }
        } else {
            let valid = NullBuffer::from_iter((0..array.len()).map(|i| !bad(i)));
            nulls = NullBuffer::union(nulls.as_ref(), Some(&valid));
        }
    }
    Ok(PrimitiveArray::new(values.into(), nulls))
}

fn narrow_integer(longs: &ArrayRef, to: &DataType, tries: bool, error: impl Fn(i64) -> Error) -> Result<ArrayRef> {
    let longs = primitive::<Int64Type>(longs)?;
    Ok(match to {
        DataType::Byte => Arc::new(try_map::<_, Int8Type>(longs, tries, |v| v.try_into().ok(), error)?),
        DataType::Short => Arc::new(try_map::<_, Int16Type>(longs, tries, |v| v.try_into().ok(), error)?),
        DataType::Int => Arc::new(try_map::<_, Int32Type>(longs, tries, |v| v.try_into().ok(), error)?),
        _ => Arc::new(longs.clone()),
    })
}

fn from_boolean<T: ArrowPrimitiveType>(array: &BooleanArray, f: impl Fn(bool) -> T::Native) -> PrimitiveArray<T> {
    PrimitiveArray::new(array.values().iter().map(f).collect(), array.nulls().cloned())
}

/// Not zero; NaN counts as not zero.
fn to_boolean(array: &ArrayRef) -> Result<BooleanArray> {
    Ok(match array.data_type() {
        ArrowType::Int8 => BooleanArray::from_unary(primitive::<Int8Type>(array)?, |v| v != 0),
        ArrowType::Int16 => BooleanArray::from_unary(primitive::<Int16Type>(array)?, |v| v != 0),
        ArrowType::Int32 => BooleanArray::from_unary(primitive::<Int32Type>(array)?, |v| v != 0),
        ArrowType::Int64 => BooleanArray::from_unary(primitive::<Int64Type>(array)?, |v| v != 0),
        ArrowType::Float32 => BooleanArray::from_unary(primitive::<Float32Type>(array)?, |v| v != 0.0),
        ArrowType::Float64 => BooleanArray::from_unary(primitive::<Float64Type>(array)?, |v| v != 0.0),
        ArrowType::Decimal64(..) => BooleanArray::from_unary(primitive::<Decimal64Type>(array)?, |v| v != 0),
        ArrowType::Decimal128(..) => BooleanArray::from_unary(primitive::<Decimal128Type>(array)?, |v| v != 0),
        other => return Err(Error::internal(format!("{other} as boolean"))),
    })
}

/// Decimals at another precision and scale, HALF_UP.
fn rescale(array: &ArrayRef, (p, s): (u8, i8), (q, t): (u8, i8), tries: bool) -> Result<ArrayRef> {
    let safe = t >= s && !cast_can_fail(&DataType::decimal(p, s), &DataType::decimal(q, t));
    let factor = decimal::power((t - s).max(0) as u32);
    if safe {
        return Ok(match (array.data_type(), q <= MAX_LONG_PRECISION) {
            (ArrowType::Decimal64(..), true) => {
                let (a, factor) = (primitive::<Decimal64Type>(array)?, factor as i64);
                let out: PrimitiveArray<Decimal64Type> = if factor == 1 { a.clone() } else { a.unary(|v| v.wrapping_mul(factor)) };
                Arc::new(out.with_precision_and_scale(q, t)?)
            }
            (ArrowType::Decimal64(..), false) => {
                let a = primitive::<Decimal64Type>(array)?;
                let out: PrimitiveArray<Decimal128Type> =
                    if factor == 1 { a.unary(i128::from) } else { a.unary(|v| i128::from(v).wrapping_mul(factor)) };
                Arc::new(out.with_precision_and_scale(q, t)?)
            }
            (_, narrow) => {
                let a = primitive::<Decimal128Type>(array)?;
                let out: PrimitiveArray<Decimal128Type> = if factor == 1 { a.clone() } else { a.unary(|v| v.wrapping_mul(factor)) };
                if narrow { decimals::narrow(out, q, t)? } else { Arc::new(out.with_precision_and_scale(q, t)?) }
            }
        });
    }
    let wide = decimals::widen(array)?;
    let out = try_map::<Decimal128Type, Decimal128Type>(
        &wide,
        tries,
        |v| decimal::rescale(v, s, t, q),
        |v| Error::decimal_out_of_range(decimal::format(v, s), q, t),
    )?;
    decimals::narrow(out, q, t)
}
