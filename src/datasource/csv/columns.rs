//! Fields of CSV records to columns, and the types that fields suggest.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, NullArray, StringViewBuilder, TimestampMicrosecondArray,
};

use super::Dialect;
use super::records::RecordBlock;
use crate::base::{DataType, Error, ErrorClass, Field, Result, calendar, number};

/// The type that one field suggests.
pub(super) fn suggest(text: &str) -> DataType {
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.') {
        if text.parse::<i32>().is_ok() {
            return DataType::Int;
        }
        if text.parse::<i64>().is_ok() {
            return DataType::Long;
        }
        if text.parse::<f64>().is_ok() {
            return DataType::Double;
        }
        if text.len() == 10 && calendar::parse_date(text).is_some() {
            return DataType::Date;
        }
        if text.len() >= 16 && calendar::parse_timestamp(text).is_some() {
            return DataType::Timestamp;
        }
    } else if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return DataType::Double;
    } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return DataType::Boolean;
    }
    DataType::String
}

/// The narrowest type for values of both; `Null` stands for no value seen.
pub(super) fn merge(a: DataType, b: DataType) -> DataType {
    use DataType::{Date, Double, Int, Long, Null, Timestamp};
    match (a, b) {
        (a, b) if a == b => a,
        (Null, other) | (other, Null) => other,
        (Int, Long) | (Long, Int) => Long,
        (Int | Long | Double, Int | Long | Double) => Double,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        _ => DataType::String,
    }
}

/// Column `position` of the records, as `field`.
///
/// # Errors
/// `MalformedData` naming line and column where a value does not fit the type.
pub(super) fn build(block: &RecordBlock, position: usize, field: &Field, dialect: &Dialect) -> Result<ArrayRef> {
    let unfit = |row: usize, text: &str| {
        let message = format!("line {}: `{text}` in column `{}` is not {}", block.line(row), field.name, with_article(&field.data_type));
        Error::new(ErrorClass::MalformedData, message)
    };
    // A quoted empty field is an empty string, and NULL in a column of another type.
    let text = |row: usize| -> Result<Option<&str>> {
        let (bytes, quoted) = block.field(row, position);
        let null = if quoted { bytes.is_empty() && field.data_type != DataType::String } else { bytes == dialect.null_value.as_bytes() };
        if null {
            return Ok(None);
        }
        std::str::from_utf8(bytes).map(Some).map_err(|_| unfit(row, &String::from_utf8_lossy(bytes)))
    };
    macro_rules! parsed {
        ($array:ty, $parse:expr) => {{
            let value = |row| match text(row)? {
                None => Ok(None),
                Some(t) => $parse(t).map(Some).ok_or_else(|| unfit(row, t)),
            };
            (0..block.rows()).map(value).collect::<Result<$array>>()?
        }};
    }
    Ok(match &field.data_type {
        DataType::Null => Arc::new(NullArray::new(block.rows())),
        DataType::Boolean => Arc::new(parsed!(BooleanArray, number::parse_bool)),
        DataType::Int => Arc::new(parsed!(Int32Array, |t: &str| t.parse::<i32>().ok())),
        DataType::Long => Arc::new(parsed!(Int64Array, |t: &str| t.parse::<i64>().ok())),
        DataType::Double => Arc::new(parsed!(Float64Array, |t: &str| t.parse::<f64>().ok().or_else(|| number::parse_f64(t)))),
        DataType::Date => Arc::new(parsed!(Date32Array, calendar::parse_date)),
        DataType::Timestamp => Arc::new(parsed!(TimestampMicrosecondArray, calendar::parse_timestamp).with_timezone("UTC")),
        DataType::String => {
            let mut builder = StringViewBuilder::with_capacity(block.rows());
            for row in 0..block.rows() {
                builder.append_option(text(row)?);
            }
            Arc::new(builder.finish())
        }
        other => return Err(Error::internal(format!("a CSV column of type {other}"))),
    })
}

fn with_article(data_type: &DataType) -> String {
    let name = data_type.to_string();
    format!("{} {name}", if name.starts_with('i') { "an" } else { "a" })
}
