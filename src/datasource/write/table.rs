//! Aligned tables for people, in the frame that Spark's `show` draws.

use std::io::Write;

use arrow::array::RecordBatch;

use super::Sink;
use super::text::cells;
use crate::base::{DataType, Result, Schema};

/// Holds all rows until the end: widths depend on the last one.
pub(super) struct TableSink<W> {
    out: W,
    schema: Schema,
    rows: Vec<Vec<String>>,
}

impl<W: Write> TableSink<W> {
    pub fn new(schema: &Schema, out: W) -> Self {
        Self { out, schema: schema.clone(), rows: Vec::new() }
    }
}

impl<W: Write> Sink for TableSink<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows.extend(cells(batch, &types(&self.schema)));
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let right = |t: &DataType| t.is_numeric();
        let lines = draw(&self.schema, &self.rows, &right);
        self.out.write_all(lines.as_bytes())?;
        Ok(self.out.flush()?)
    }
}

/// `batches` as `DataFrame.show` prints them: with `truncate`, longer cells are cut to that many characters and all are set to the
/// right; without, cells are whole and set to the left.
pub fn render(schema: &Schema, batches: &[RecordBatch], truncate: Option<usize>) -> String {
    let types = types(schema);
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(|b| cells(b, &types)).collect();
    if let Some(limit) = truncate {
        rows.iter_mut().flatten().for_each(|cell| cut(cell, limit));
    }
    draw(schema, &rows, &|_| truncate.is_some())
}

fn types(schema: &Schema) -> Vec<DataType> {
    schema.fields.iter().map(|f| f.data_type.clone()).collect()
}

fn cut(cell: &mut String, limit: usize) {
    if cell.chars().count() <= limit {
        return;
    }
    let (kept, dots) = if limit < 4 { (limit, "") } else { (limit - 3, "...") };
    *cell = cell.chars().take(kept).collect::<String>() + dots;
}

fn draw(schema: &Schema, rows: &[Vec<String>], right: &dyn Fn(&DataType) -> bool) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| one_line(c)).collect()).collect();
    let header: Vec<String> = schema.fields.iter().map(|f| one_line(&f.name)).collect();
    let mut widths: Vec<usize> = header.iter().map(|h| width(h).max(3)).collect();
    for row in &rows {
        row.iter().zip(&mut widths).for_each(|(cell, w)| *w = (*w).max(width(cell)));
    }
    let frame = widths.iter().fold(String::from("+"), |line, w| line + &"-".repeat(*w) + "+") + "\n";
    let rights: Vec<bool> = schema.fields.iter().map(|f| right(&f.data_type)).collect();
    let mut out = frame.clone();
    let line = |cells: &[String], out: &mut String| {
        out.push('|');
        for ((cell, w), right) in cells.iter().zip(&widths).zip(&rights) {
            let padding = " ".repeat(w - width(cell));
            let (before, after) = if *right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            out.extend([before, cell, after, "|"]);
        }
        out.push('\n');
    };
    line(&header, &mut out);
    out.push_str(&frame);
    rows.iter().for_each(|row| line(row, &mut out));
    out.push_str(&frame);
    out
}

fn one_line(cell: &str) -> String {
    cell.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

/// Columns on a terminal; characters of East Asian scripts and emoji take two.
fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(u32::from(c),
            0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6
            | 0x1F300..=0x1F64F | 0x1F900..=0x1F9FF | 0x20000..=0x3FFFD)
    };
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}
