//! Comparing results: exact but for floating-point numbers, and for the order of rows that their query leaves open.

use arrow::array::RecordBatch;

use crate::base::{Attribute, DataType, Error, ErrorClass, Result};
use crate::datasource::write::ResultFormat;

/// Largest relative difference of floating-point numbers that counts as equal: sums are added in another order.
const TOLERANCE: f64 = 1e-9;

/// A result as text, one cell per column and row, without the header.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub rows: Vec<Vec<String>>,
    /// Which columns are floating-point.
    fractional: Vec<bool>,
}

impl Answer {
    /// The rows of a result.
    ///
    /// # Errors
    /// Those of writing CSV.
    pub fn of(output: &[Attribute], batches: Vec<RecordBatch>) -> Result<Self> {
        let text = crate::api::write::text(output, batches, ResultFormat::Csv)?;
        let mut rows = parse_csv(&text);
        if !rows.is_empty() {
            rows.remove(0);
        }
        let fractional = output.iter().map(|a| matches!(a.data_type, DataType::Float | DataType::Double)).collect();
        Ok(Self { rows, fractional })
    }

    /// Whether a stored answer (CSV with a header) says the same.
    ///
    /// # Errors
    /// `Internal` with the first difference.
    pub fn matches_stored(&self, csv: &str) -> Result<()> {
        let mut rows = parse_csv(csv);
        if !rows.is_empty() {
            rows.remove(0);
        }
        self.matches(&Answer { rows, fractional: self.fractional.clone() })
    }

    /// Whether both have the same rows. First as they stand; then, since a query may leave the order of some rows open, sorted.
    ///
    /// # Errors
    /// `Internal` with the first difference.
    pub fn matches(&self, expected: &Answer) -> Result<()> {
        if self.rows.len() != expected.rows.len() {
            return Err(wrong(format!("{} rows instead of {}", self.rows.len(), expected.rows.len())));
        }
        if self.same(&self.rows, &expected.rows).is_ok() {
            return Ok(());
        }
        self.same(&self.sorted(), &expected.sorted())
    }

    fn same(&self, got: &[Vec<String>], expected: &[Vec<String>]) -> Result<()> {
        for (i, (g, e)) in got.iter().zip(expected).enumerate() {
            let equal =
                g.len() == e.len() && g.iter().zip(e).zip(&self.fractional).all(|((g, e), &f)| if f { close(g, e) } else { g == e });
            if !equal {
                return Err(wrong(format!("row {}: {} instead of {}", i + 1, g.join("|"), e.join("|"))));
            }
        }
        Ok(())
    }

    /// By the exact columns first, so that nearly equal numbers do not change places.
    fn sorted(&self) -> Vec<Vec<String>> {
        let mut rows = self.rows.clone();
        rows.sort_by_cached_key(|r| {
            let (mut exact, mut fractional) = (vec![], vec![]);
            for (cell, &f) in r.iter().zip(&self.fractional) {
                if f { &mut fractional } else { &mut exact }.push(cell.clone());
            }
            (exact, fractional)
        });
        rows
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorClass::Internal, message)
}

fn close(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
        _ => false,
    }
}

/// Rows of RFC 4180 text.
pub fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = vec![];
    let mut row = vec![];
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[&[&str]]) -> Answer {
        Answer { rows: rows.iter().map(|r| r.iter().map(ToString::to_string).collect()).collect(), fractional: vec![false, true] }
    }

    #[test]
    fn rows_compare_with_tolerance_and_in_any_order() {
        let a = answer(&[&["x", "0.3"], &["y", "1"]]);
        assert!(a.matches(&answer(&[&["y", "1.0000000001"], &["x", "0.30000000000000004"]])).is_ok());
        assert!(a.matches(&answer(&[&["x", "0.3"], &["z", "1"]])).is_err());
        assert!(a.matches(&answer(&[&["x", "0.3"]])).is_err());
        assert!(a.matches(&answer(&[&["x", "0.3001"], &["y", "1"]])).is_err());
    }

    #[test]
    fn csv_quotes() {
        assert_eq!(parse_csv("a,\"b,\"\"c\n\"\r\n1,\n"), vec![vec!["a", "b,\"c\n"], vec!["1", ""]]);
    }
}
