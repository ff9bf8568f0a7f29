//! `to_json`.

use arrow::array::{Array, AsArray};

use super::super::scalar::from_array;
use super::super::text::write_value;
use super::super::value::Value;
use super::{options, write_string};
use crate::base::{DataType, Result, Scalar, calendar, number};

pub(super) struct Options {
    /// Fields that are NULL are left out.
    ignore_nulls: bool,
}

impl Options {
    pub fn new(value: Option<&Value>) -> Result<Self> {
        let options = options(value, &["dateFormat", "timestampFormat", "timestampNTZFormat", "timeZone", "pretty"])?;
        Ok(Self { ignore_nulls: options.get("ignorenullfields").is_none_or(|v| !v.eq_ignore_ascii_case("false")) })
    }
}

/// Appends the value of a row.
pub(super) fn write(array: &dyn Array, row: usize, t: &DataType, options: &Options, out: &mut String) -> Result<()> {
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
                    out.push(',');
                }
                write(items.as_ref(), i, element, options, out)?;
            }
            out.push(']');
        }
        DataType::Map(key, value) => {
            let entries = array.as_map().value(row);
            out.push('{');
            for i in 0..entries.len() {
                if i > 0 {
                    out.push(',');
                }
                let mut name = String::new();
                // Keys are the texts of what Spark holds: days and microseconds are numbers there.
                match from_array(entries.column(0).as_ref(), i)? {
                    Scalar::Date(days) => name.push_str(&days.to_string()),
                    Scalar::Timestamp(micros) | Scalar::TimestampNtz(micros) => name.push_str(&micros.to_string()),
                    _ => write_value(entries.column(0).as_ref(), i, key, &mut name)?,
                }
                write_string(&name, out);
                out.push(':');
                write(entries.column(1).as_ref(), i, value, options, out)?;
            }
            out.push('}');
        }
        DataType::Struct(fields) => {
            out.push('{');
            let mut first = true;
            for (column, field) in array.as_struct().columns().iter().zip(fields) {
                if options.ignore_nulls && (column.is_null(row) || field.data_type == DataType::Null) {
                    continue;
                }
                if !first {
                    out.push(',');
                }
                first = false;
                write_string(&field.name, out);
                out.push(':');
                write(column.as_ref(), row, &field.data_type, options, out)?;
            }
            out.push('}');
        }
        _ => scalar(&from_array(array, row)?, out),
    }
    Ok(())
}

fn scalar(value: &Scalar, out: &mut String) {
    match value {
        Scalar::String(text) => write_string(text, out),
        Scalar::Float(v) if v.is_finite() => number::write_f32(*v, out),
        Scalar::Double(v) if v.is_finite() => number::write_f64(*v, out),
        Scalar::Timestamp(micros) => timestamp(*micros, "Z", out),
        Scalar::TimestampNtz(micros) => timestamp(*micros, "", out),
        Scalar::Binary(bytes) => {
            use base64::Engine;
            write_string(&base64::engine::general_purpose::STANDARD.encode(bytes), out);
        }
        Scalar::YearMonthInterval(months) => quoted(|text| calendar::write_year_month_interval(*months, text), out),
        Scalar::DayTimeInterval(micros) => quoted(|text| calendar::write_day_time_interval(*micros, text), out),
        Scalar::Float(_) | Scalar::Double(_) | Scalar::Date(_) => write_string(&value.to_string(), out),
        other => out.push_str(&other.to_string()),
    }
}

fn quoted(write: impl FnOnce(&mut String), out: &mut String) {
    let mut text = String::new();
    write(&mut text);
    write_string(&text, out);
}

/// `yyyy-MM-dd'T'HH:mm:ss.SSS` and the zone.
fn timestamp(micros: i64, zone: &str, out: &mut String) {
    let (days, of_day) = (calendar::days_of(micros), micros.rem_euclid(calendar::MICROS_PER_DAY));
    let seconds = of_day / calendar::MICROS_PER_SECOND;
    let millis = of_day % calendar::MICROS_PER_SECOND / 1000;
    out.push('"');
    calendar::write_date(days, out);
    out.push_str(&format!("T{:02}:{:02}:{:02}.{millis:03}{zone}\"", seconds / 3600, seconds / 60 % 60, seconds % 60));
}
