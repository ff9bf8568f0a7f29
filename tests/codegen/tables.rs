//! Tables of golden files: declared by columns, filled with the same values every time.

use std::sync::Arc;

use arrow::array::RecordBatch;
use wholestage::base::{DataType, Field, Scalar, Schema};
use wholestage::datasource::{MemoryTable, TableSource};
use wholestage::expr::evaluate::scalar;

/// `t(a bigint?, b string) 100`: name, columns (`?`: with NULLs), rows (20 unless said), in two partitions.
pub fn declare(text: &str) -> Result<(String, Arc<dyn TableSource>), String> {
    let (name, rest) = text.split_once('(').ok_or_else(|| format!("not a table: {text}"))?;
    let (columns, rows) = rest.rsplit_once(')').ok_or_else(|| format!("not a table: {text}"))?;
    let rows: usize = if rows.trim().is_empty() { 20 } else { rows.trim().parse().map_err(|e| format!("{text}: {e}"))? };
    let columns = split(columns);
    let fields = columns.iter().map(|c| field(c)).collect::<Result<Vec<_>, _>>()?;
    let batch = |from: usize, to: usize| -> Result<RecordBatch, String> {
        let arrays = fields.iter().enumerate().map(|(c, f)| {
            let values = (from..to).map(|r| value(f, &columns[c], r, c)).collect::<Vec<_>>();
            let parts = values.iter().map(|v| scalar::to_array(v, 1)).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
            let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
            arrow::compute::concat(&parts).map_err(|e| e.to_string())
        });
        let schema = Arc::new(Schema::new(fields.clone()).to_arrow());
        RecordBatch::try_new(schema, arrays.collect::<Result<Vec<_>, _>>()?).map_err(|e| e.to_string())
    };
    let middle = rows / 2;
    let partitions = vec![vec![batch(0, middle)?], vec![batch(middle, rows)?]];
    let table = MemoryTable::new(Schema::new(fields.clone()), partitions).map_err(|e| e.to_string())?;
    Ok((name.trim().to_string(), table))
}

/// At commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == ',' && depth == 0 {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out
}

fn field(text: &str) -> Result<Field, String> {
    let (name, t) = text.trim().split_once(' ').ok_or_else(|| format!("not a column: {text}"))?;
    let (t, nullable) = t.trim().strip_suffix('?').map_or((t.trim(), false), |t| (t, true));
    let data_type = match t {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Byte,
        "smallint" => DataType::Short,
        "int" => DataType::Int,
        "bigint" => DataType::Long,
        "float" => DataType::Float,
        "double" => DataType::Double,
        "string" | "letter" | "text" => DataType::String,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        decimal => {
            let digits = decimal.strip_prefix("decimal(").and_then(|d| d.strip_suffix(')')).and_then(|d| d.split_once(','));
            let (p, s) = digits.ok_or_else(|| format!("unknown type {t}"))?;
            let number = |n: &str| n.trim().parse::<u8>().map_err(|e| e.to_string());
            DataType::decimal(number(p)?, number(s)? as i8)
        }
    };
    Ok(Field::new(name, data_type, nullable))
}

/// Strings about as long as what registers hold (4 and 12 bytes), and with characters of several bytes at the limits.
const TEXTS: [&str; 23] = [
    "",
    "a",
    "abc",
    "abcd",
    "abcde",
    "abcd~",
    "abcé",
    "äbcd",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijké",
    "abcdefghijklmnopqrst",
    "abcdefghijklmnopqrsT",
    "abcdefghXjklmnopqrst",
    "abcdefghijklmnopqrstu",
    "abcd日本語のテキスト",
    "PROMO TIN",
    "PROMO BRUSHED BRASS",
    "SMALL BRASS",
    "MEDIUM POLISHED STEEL",
    "special ärger, and no more requests than these",
    "requests come before what is special about them; so this text of more than sixty-four bytes has requests at both ends: requests",
    "DELIVER IN PERSON",
];

/// The value of row `r` in column `c`, declared as `text`; of nullable columns every fourth or so is NULL.
fn value(field: &Field, text: &str, r: usize, c: usize) -> Scalar {
    if field.nullable && (r * 7 + c * 3) % 4 == 3 {
        return Scalar::Null(field.data_type.clone());
    }
    let n = ((r * (2 * c + 3) + c) % 23) as i64;
    match &field.data_type {
        DataType::Boolean => Scalar::Boolean(n % 2 == 0),
        DataType::Byte => Scalar::Byte(n as i8 - 5),
        DataType::Short => Scalar::Short(n as i16 - 5),
        DataType::Int => Scalar::Int(n as i32),
        DataType::Long => Scalar::Long(n),
        DataType::Float => Scalar::Float(n as f32 / 4.0 - 1.0),
        DataType::Double => Scalar::Double(n as f64 / 8.0 - 1.0),
        DataType::Decimal { precision, scale } => Scalar::Decimal { value: i128::from(n) * 25 - 100, precision: *precision, scale: *scale },
        DataType::Date => Scalar::Date(n as i32 * 100),
        DataType::Timestamp => Scalar::Timestamp(n * 3_600_000_000),
        _ if text.contains(" letter") => Scalar::string(["N", "R", "A"][n as usize % 3]),
        _ if text.contains(" text") => Scalar::string(TEXTS[n as usize]),
        _ => Scalar::string(["", "ant", "bee", "a longer animal name", "cat"][n as usize % 5]),
    }
}
