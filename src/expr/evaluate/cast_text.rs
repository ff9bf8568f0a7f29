//! Casts from and to strings, reading and writing what Spark does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringViewArray, StringViewBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowTimestampType, DataType as ArrowType, Date32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};

use super::decimal as decimals;
use super::text;
use super::value::strings;
use crate::base::{DataType, Error, ErrorClass, Result, calendar, decimal, number};

/// Spark's CAST_INVALID_INPUT.
fn invalid(text: &str, to: &DataType) -> Error {
    Error::new(
        ErrorClass::CastInvalidInput,
        format!(
            "The value '{}' of the type \"STRING\" cannot be cast to \"{}\" because it is malformed. Correct the value as per the syntax, or change its target type. Use `try_cast` to tolerate malformed input and return NULL instead.",
            text.escape_debug(),
            to.to_string().to_uppercase()
        ),
    )
}

fn parse_all<T: ArrowPrimitiveType>(
    array: &StringViewArray,
    tries: bool,
    to: &DataType,
    f: impl Fn(&str) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>> {
    let mut values = Vec::with_capacity(array.len());
    let mut valid = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        let value = if array.is_null(row) {
            None
        } else {
            let text = array.value(row);
            match f(text) {
                None if !tries => return Err(invalid(text, to)),
                parsed => parsed,
            }
        };
        valid.push(value.is_some());
        values.push(value.unwrap_or_default());
    }
    Ok(PrimitiveArray::new(values.into(), Some(NullBuffer::from(valid)).filter(|n| n.null_count() > 0)))
}

/// `CAST(strings AS to)`.
pub(super) fn from_string(array: &ArrayRef, to: &DataType, tries: bool) -> Result<ArrayRef> {
    let a = strings(array)?;
    Ok(match to {
        DataType::Byte => Arc::new(parse_all::<Int8Type>(a, tries, to, |s| number::parse_i64(s)?.try_into().ok())?),
        DataType::Short => Arc::new(parse_all::<Int16Type>(a, tries, to, |s| number::parse_i64(s)?.try_into().ok())?),
        DataType::Int => Arc::new(parse_all::<Int32Type>(a, tries, to, |s| number::parse_i64(s)?.try_into().ok())?),
        DataType::Long => Arc::new(parse_all::<Int64Type>(a, tries, to, number::parse_i64)?),
        DataType::Float => Arc::new(parse_all::<Float32Type>(a, tries, to, |s| number::parse_f64(s).map(|v| v as f32))?),
        DataType::Double => Arc::new(parse_all::<Float64Type>(a, tries, to, number::parse_f64)?),
        DataType::Decimal { precision, scale } => {
            let parse = |s: &str| decimal::parse_as(number::trim(s), *precision, *scale);
            // Malformed and out of range are different errors.
            if !tries && let Some(s) = a.iter().flatten().find(|s| parse(s) == Some(None)) {
                return Err(Error::decimal_out_of_range(s, *precision, *scale));
            }
            let wide = parse_all::<Decimal128Type>(a, tries, to, |s| parse(s).flatten())?;
            decimals::narrow(wide, *precision, *scale)?
        }
        DataType::Boolean => {
            let mut out = arrow::array::BooleanBuilder::with_capacity(a.len());
            for row in a {
                match row {
                    None => out.append_null(),
                    Some(s) => match number::parse_bool(s) {
                        None if !tries => return Err(invalid(s, to)),
                        parsed => out.append_option(parsed),
                    },
                }
            }
            Arc::new(out.finish())
        }
        DataType::Date => Arc::new(parse_all::<Date32Type>(a, tries, to, calendar::parse_date)?),
        DataType::Timestamp | DataType::TimestampNtz => {
            let out = parse_all::<TimestampMicrosecondType>(a, tries, to, calendar::parse_timestamp)?;
            Arc::new(out.with_data_type(to.to_arrow()))
        }
        DataType::Binary => Arc::new(a.clone().to_binary_view()),
        DataType::String => array.clone(),
        DataType::Null
        | DataType::YearMonthInterval
        | DataType::DayTimeInterval
        | DataType::Array(_)
        | DataType::Map(..)
        | DataType::Struct(_) => return Err(Error::unsupported(format!("casting a string to {to}"))),
    })
}

/// `CAST(array AS STRING)`.
pub(super) fn to_string(array: &ArrayRef, from: &DataType) -> Result<ArrayRef> {
    fn each<T: ArrowPrimitiveType>(array: &ArrayRef, f: impl Fn(T::Native, &mut String)) -> ArrayRef {
        let a: &PrimitiveArray<T> = array.as_primitive();
        let mut out = StringViewBuilder::with_capacity(a.len());
        let mut scratch = String::new();
        for row in 0..a.len() {
            if a.is_null(row) {
                out.append_null();
            } else {
                scratch.clear();
                f(a.value(row), &mut scratch);
                out.append_value(&scratch);
            }
        }
        Arc::new(out.finish())
    }
    fn integer<T: std::fmt::Display>(value: T, out: &mut String) {
        use std::fmt::Write;
        let _ = write!(out, "{value}");
    }
    Ok(match array.data_type() {
        ArrowType::Utf8View => array.clone(),
        ArrowType::Int8 => each::<Int8Type>(array, integer),
        ArrowType::Int16 => each::<Int16Type>(array, integer),
        ArrowType::Int32 => each::<Int32Type>(array, integer),
        ArrowType::Int64 => each::<Int64Type>(array, integer),
        ArrowType::Float32 => each::<Float32Type>(array, number::write_f32),
        ArrowType::Float64 => each::<Float64Type>(array, number::write_f64),
        ArrowType::Decimal64(_, scale) => each::<Decimal64Type>(array, |v, s| decimal::write(v.into(), *scale, s)),
        ArrowType::Decimal128(_, scale) => each::<Decimal128Type>(array, |v, s| decimal::write(v, *scale, s)),
        ArrowType::Date32 => each::<Date32Type>(array, calendar::write_date),
        ArrowType::Timestamp(TimestampMicrosecondType::UNIT, _) => each::<TimestampMicrosecondType>(array, calendar::write_timestamp),
        ArrowType::Boolean => {
            let a: &BooleanArray = array.as_boolean();
            Arc::new(a.iter().map(|v| v.map(|b| if b { "true" } else { "false" })).collect::<StringViewArray>())
        }
        ArrowType::BinaryView => {
            let texts = array.as_binary_view().iter().map(|v| v.map(|b| String::from_utf8_lossy(b).into_owned()));
            Arc::new(texts.collect::<StringViewArray>())
        }
        _ => {
            let mut out = StringViewBuilder::with_capacity(array.len());
            let mut scratch = String::new();
            for row in 0..array.len() {
                if array.is_null(row) {
                    out.append_null();
                } else {
                    scratch.clear();
                    text::write_value(array.as_ref(), row, from, &mut scratch)?;
                    out.append_value(&scratch);
                }
            }
            Arc::new(out.finish())
        }
    })
}
