//! The text of one value as `CAST(… AS STRING)` gives it, nested values included.

use arrow::array::{Array, AsArray};

use super::scalar;
use crate::base::{DataType, Result, Scalar, calendar};

/// Appends the text of a value; NULL is `null`. Arrays are `[1, 2]`, maps `{k -> v}`, structs `{1, a}`.
///
/// # Errors
/// `Unsupported` for Arrow types without a SQL type.
pub fn write_value(array: &dyn Array, row: usize, t: &DataType, out: &mut String) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match t {
        DataType::Array(element) => {
            let items = array.as_list::<i32>().value(row);
            out.push('[');
            for i in 0..items.len() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_value(items.as_ref(), i, element, out)?;
            }
            out.push(']');
        }
        DataType::Map(k, v) => {
            let entries = array.as_map().value(row);
            out.push('{');
            for i in 0..entries.len() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_value(entries.column(0).as_ref(), i, k, out)?;
                out.push_str(" -> ");
                write_value(entries.column(1).as_ref(), i, v, out)?;
            }
            out.push('}');
        }
        DataType::Struct(fields) => {
            out.push('{');
            for (i, (column, field)) in array.as_struct().columns().iter().zip(fields).enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_value(column.as_ref(), row, &field.data_type, out)?;
            }
            out.push('}');
        }
        _ => match scalar::from_array(array, row)? {
            Scalar::YearMonthInterval(v) => calendar::write_year_month_interval(v, out),
            Scalar::DayTimeInterval(v) => calendar::write_day_time_interval(v, out),
            Scalar::Binary(b) => out.push_str(&String::from_utf8_lossy(&b)),
            other => out.push_str(&other.to_string()),
        },
    }
    Ok(())
}
