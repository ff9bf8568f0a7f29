//! Values as text, and the line-by-line formats: CSV, TSV, JSON, NDJSON, Markdown.

use std::fmt::Write as _;
use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes as t;

use super::Sink;
use crate::base::schema::MAX_LONG_PRECISION;
use crate::base::{DataType, Field, Result, Schema, calendar, number};
use crate::expr::evaluate::json::write_string;

/// Writes value `i` of an array of type `data_type` (not NULL) as text, the same in every text format.
pub(super) fn write_value(out: &mut String, array: &dyn Array, i: usize, data_type: &DataType) {
    // Writing to a String cannot fail.
    let _ = match data_type {
        DataType::Null => write!(out, "NULL"),
        DataType::Boolean => write!(out, "{}", array.as_boolean().value(i)),
        DataType::Byte => write!(out, "{}", array.as_primitive::<t::Int8Type>().value(i)),
        DataType::Short => write!(out, "{}", array.as_primitive::<t::Int16Type>().value(i)),
        DataType::Int => write!(out, "{}", array.as_primitive::<t::Int32Type>().value(i)),
        DataType::Long => write!(out, "{}", array.as_primitive::<t::Int64Type>().value(i)),
        DataType::Float => return number::write_f32(array.as_primitive::<t::Float32Type>().value(i), out),
        DataType::Double => return number::write_f64(array.as_primitive::<t::Float64Type>().value(i), out),
        DataType::Decimal { precision, scale } if *precision <= MAX_LONG_PRECISION => {
            write_decimal(out, i128::from(array.as_primitive::<t::Decimal64Type>().value(i)), *scale)
        }
        DataType::Decimal { scale, .. } => write_decimal(out, array.as_primitive::<t::Decimal128Type>().value(i), *scale),
        DataType::String => out.write_str(array.as_string_view().value(i)),
        DataType::Binary => write_binary(out, array.as_binary_view().value(i)),
        DataType::Date => return calendar::write_date(array.as_primitive::<t::Date32Type>().value(i), out),
        DataType::Timestamp | DataType::TimestampNtz => {
            return calendar::write_timestamp(array.as_primitive::<t::TimestampMicrosecondType>().value(i), out);
        }
        DataType::YearMonthInterval => {
            return calendar::write_year_month_interval(array.as_primitive::<t::IntervalYearMonthType>().value(i), out);
        }
        DataType::DayTimeInterval => {
            return calendar::write_day_time_interval(array.as_primitive::<t::DurationMicrosecondType>().value(i), out);
        }
        DataType::Array(element) => {
            let items = array.as_list::<i32>().value(i);
            out.push('[');
            for j in 0..items.len() {
                out.push_str(if j > 0 { ", " } else { "" });
                write_nullable(out, &items, j, element);
            }
            out.write_str("]")
        }
        DataType::Map(key, value) => {
            let entries = array.as_map().value(i);
            out.push('{');
            for j in 0..entries.len() {
                out.push_str(if j > 0 { ", " } else { "" });
                write_nullable(out, entries.column(0), j, key);
                out.push_str(" -> ");
                write_nullable(out, entries.column(1), j, value);
            }
            out.write_str("}")
        }
        DataType::Struct(fields) => {
            out.push('{');
            for (j, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                out.push_str(if j > 0 { ", " } else { "" });
                write_nullable(out, column, i, &field.data_type);
            }
            out.write_str("}")
        }
    };
}

fn write_nullable(out: &mut String, array: &ArrayRef, i: usize, data_type: &DataType) {
    if array.is_null(i) {
        out.push_str("NULL");
    } else {
        write_value(out, array, i, data_type);
    }
}

fn write_decimal(out: &mut String, value: i128, scale: i8) -> std::fmt::Result {
    let Ok(scale) = usize::try_from(scale) else {
        return write!(out, "{value}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    };
    if scale == 0 {
        return write!(out, "{value}");
    }
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    write!(out, "{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
}

fn write_binary(out: &mut String, bytes: &[u8]) -> std::fmt::Result {
    out.push('[');
    for (i, b) in bytes.iter().enumerate() {
        write!(out, "{}{b:02X}", if i > 0 { " " } else { "" })?;
    }
    out.write_str("]")
}

/// Comma- or tab-separated values.
pub(super) struct CsvSink<W> {
    out: W,
    types: Vec<DataType>,
    delimiter: char,
    buffer: String,
}

impl<W: Write> CsvSink<W> {
    pub fn new(schema: &Schema, mut out: W, delimiter: char) -> Result<Self> {
        let mut header = String::new();
        for (i, field) in schema.fields.iter().enumerate() {
            if i > 0 {
                header.push(delimiter);
            }
            let start = header.len();
            header.push_str(&field.name);
            quote(&mut header, start, delimiter);
        }
        header.push('\n');
        out.write_all(header.as_bytes())?;
        Ok(Self { out, types: schema.fields.iter().map(|f| f.data_type.clone()).collect(), delimiter, buffer: String::new() })
    }
}

/// Quotes what was written since `start` if it needs it. An empty string is quoted: unquoted it would be NULL.
fn quote(buffer: &mut String, start: usize, delimiter: char) {
    let text = &buffer[start..];
    let plain = !text.is_empty() && !text.contains([delimiter, '"', '\n', '\r']);
    if !plain {
        let quoted = format!("\"{}\"", text.replace('"', "\"\""));
        buffer.replace_range(start.., &quoted);
    }
}

impl<W: Write> Sink for CsvSink<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            for (i, (column, data_type)) in batch.columns().iter().zip(&self.types).enumerate() {
                if i > 0 {
                    self.buffer.push(self.delimiter);
                }
                if column.is_null(row) || data_type == &DataType::Null {
                    continue;
                }
                let start = self.buffer.len();
                write_value(&mut self.buffer, column, row, data_type);
                if data_type == &DataType::String || data_type.is_nested() {
                    quote(&mut self.buffer, start, self.delimiter);
                }
            }
            self.buffer.push('\n');
            flush_if_long(&mut self.buffer, &mut self.out)?;
        }
        flush(&mut self.buffer, &mut self.out)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

fn flush_if_long(buffer: &mut String, out: &mut impl Write) -> Result<()> {
    if buffer.len() < 64 * 1024 { Ok(()) } else { flush(buffer, out) }
}

fn flush(buffer: &mut String, out: &mut impl Write) -> Result<()> {
    out.write_all(buffer.as_bytes())?;
    buffer.clear();
    Ok(())
}

/// JSON objects, one per row: as lines or as one array.
pub(super) struct JsonSink<W> {
    out: W,
    fields: Vec<Field>,
    array: bool,
    rows: u64,
    buffer: String,
}

impl<W: Write> JsonSink<W> {
    pub fn new(schema: &Schema, out: W, array: bool) -> Self {
        Self { out, fields: schema.fields.clone(), array, rows: 0, buffer: String::new() }
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            if self.array {
                self.buffer.push_str(if self.rows == 0 { "[" } else { ",\n " });
            }
            self.buffer.push('{');
            for (i, (column, field)) in batch.columns().iter().zip(&self.fields).enumerate() {
                json_member(&mut self.buffer, i, field, column, row);
            }
            self.buffer.push_str(if self.array { "}" } else { "}\n" });
            self.rows += 1;
            flush_if_long(&mut self.buffer, &mut self.out)?;
        }
        flush(&mut self.buffer, &mut self.out)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.array {
            self.out.write_all(if self.rows == 0 { b"[]\n" } else { b"]\n" })?;
        }
        Ok(self.out.flush()?)
    }
}

fn json_member(out: &mut String, i: usize, field: &Field, column: &ArrayRef, row: usize) {
    out.push_str(if i > 0 { "," } else { "" });
    write_string(&field.name, out);
    out.push(':');
    json_value(out, column, row, &field.data_type);
}

fn json_value(out: &mut String, array: &ArrayRef, i: usize, data_type: &DataType) {
    if array.is_null(i) || data_type == &DataType::Null {
        out.push_str("null");
        return;
    }
    match data_type {
        DataType::Boolean | DataType::Byte | DataType::Short | DataType::Int | DataType::Long | DataType::Decimal { .. } => {
            write_value(out, array, i, data_type);
        }
        DataType::Float | DataType::Double => {
            let start = out.len();
            write_value(out, array, i, data_type);
            // JSON has no number for these.
            if out[start..].contains(['N', 'I']) {
                out.insert(start, '"');
                out.push('"');
            }
        }
        DataType::Array(element) => {
            let items = array.as_list::<i32>().value(i);
            out.push('[');
            for j in 0..items.len() {
                out.push_str(if j > 0 { "," } else { "" });
                json_value(out, &items, j, element);
            }
            out.push(']');
        }
        DataType::Map(key, value) => {
            let entries = array.as_map().value(i);
            out.push('{');
            for j in 0..entries.len() {
                out.push_str(if j > 0 { "," } else { "" });
                let mut text = String::new();
                write_nullable(&mut text, entries.column(0), j, key);
                write_string(&text, out);
                out.push(':');
                json_value(out, entries.column(1), j, value);
            }
            out.push('}');
        }
        DataType::Struct(fields) => {
            out.push('{');
            for (j, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                json_member(out, j, field, column, i);
            }
            out.push('}');
        }
        DataType::Null
        | DataType::String
        | DataType::Binary
        | DataType::Date
        | DataType::Timestamp
        | DataType::TimestampNtz
        | DataType::YearMonthInterval
        | DataType::DayTimeInterval => {
            let mut text = String::new();
            write_value(&mut text, array, i, data_type);
            write_string(&text, out);
        }
    }
}

/// A Markdown table.
pub(super) struct MarkdownSink<W> {
    out: W,
    types: Vec<DataType>,
    buffer: String,
}

impl<W: Write> MarkdownSink<W> {
    pub fn new(schema: &Schema, mut out: W) -> Result<Self> {
        let mut head = String::from("|");
        let mut line = String::from("|");
        for field in &schema.fields {
            let _ = write!(head, " {} |", markdown(&field.name));
            line.push_str(if field.data_type.is_numeric() { " ---: |" } else { " --- |" });
        }
        out.write_all(format!("{head}\n{line}\n").as_bytes())?;
        Ok(Self { out, types: schema.fields.iter().map(|f| f.data_type.clone()).collect(), buffer: String::new() })
    }
}

fn markdown(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('\n', "<br>")
}

impl<W: Write> Sink for MarkdownSink<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            self.buffer.push('|');
            for (column, data_type) in batch.columns().iter().zip(&self.types) {
                cell.clear();
                write_nullable(&mut cell, column, row, data_type);
                let _ = write!(self.buffer, " {} |", markdown(&cell));
            }
            self.buffer.push('\n');
            flush_if_long(&mut self.buffer, &mut self.out)?;
        }
        flush(&mut self.buffer, &mut self.out)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// The cells of a batch as text, row by row; NULL is `NULL`.
pub(super) fn cells(batch: &RecordBatch, types: &[DataType]) -> Vec<Vec<String>> {
    let cell = |column: &ArrayRef, row: usize, data_type: &DataType| {
        let mut text = String::new();
        write_nullable(&mut text, column, row, data_type);
        text
    };
    (0..batch.num_rows()).map(|row| batch.columns().iter().zip(types).map(|(c, t)| cell(c, row, t)).collect()).collect()
}
