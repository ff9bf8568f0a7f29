//! Random tables of keys, in two forms: batches for the engine, values for the reference.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Random;

/// A value of a key or of the number column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Null,
    /// Also dates, timestamps, booleans and unscaled decimals.
    Whole(i128),
    Double(f64),
    Text(&'static str),
}

impl Value {
    /// SQL's equality: `None` is NULL.
    pub fn equals(self, other: Value) -> Option<bool> {
        match (self, other) {
            (Value::Null, _) | (_, Value::Null) => None,
            (Value::Double(a), Value::Double(b)) => Some(a == b || a.is_nan() && b.is_nan()),
            (a, b) => Some(a == b),
        }
    }

    pub fn same(self, other: Value) -> bool {
        self.equals(other).unwrap_or(self == other)
    }
}

/// Type and values of a key column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyType {
    Boolean,
    Short,
    Int,
    /// Far apart: no table by number.
    SparseInt,
    Long,
    Double,
    Date,
    Timestamp,
    Decimal,
    /// Of more than 18 digits.
    WideDecimal,
    /// Of at most twelve bytes, the empty one among them.
    ShortText,
    /// With equal beginnings and equal lengths.
    LongText,
}

const SHORT: [&str; 8] = ["", "a", "b", "ab", "abcd", "abcde", "twelve bytes", "äöü"];
const LONG: [&str; 8] = [
    "thirteen byte",
    "thirteen bite",
    "a string of more than twelve bytes",
    "a string of more than twelve bites",
    "a string of more than twelve b",
    "short",
    "",
    "b string of more than twelve bytes",
];

impl KeyType {
    fn value(self, n: usize) -> Value {
        let i = n as i128;
        match self {
            KeyType::Boolean => Value::Whole(i % 2),
            KeyType::Short => Value::Whole(i - 3),
            KeyType::Int | KeyType::Date => Value::Whole(i * 3 - 7),
            KeyType::SparseInt => Value::Whole((i - 4) * 400_000_003),
            KeyType::Long => Value::Whole((i - 3) * 1_000_000_000_039),
            KeyType::Timestamp => Value::Whole(i * 86_400_000_001),
            KeyType::Decimal => Value::Whole(i * 12_345 - 700),
            KeyType::WideDecimal => Value::Whole((i - 2) << 80),
            KeyType::Double => Value::Double([0.0, -0.0, f64::NAN, -f64::NAN, 1.5, -1.5, f64::INFINITY, 1e-300][n % 8]),
            KeyType::ShortText => Value::Text(SHORT[n % 8]),
            KeyType::LongText => Value::Text(LONG[n % 8]),
        }
    }

    fn array(self, values: &[Value]) -> ArrayRef {
        let whole = || values.iter().map(|v| if let Value::Whole(n) = v { Some(*n) } else { None });
        match self {
            KeyType::Boolean => Arc::new(whole().map(|v| v.map(|n| n != 0)).collect::<BooleanArray>()),
            KeyType::Short => Arc::new(whole().map(|v| v.map(|n| n as i16)).collect::<Int16Array>()),
            KeyType::Int | KeyType::SparseInt => Arc::new(whole().map(|v| v.map(|n| n as i32)).collect::<Int32Array>()),
            KeyType::Long => Arc::new(whole().map(|v| v.map(|n| n as i64)).collect::<Int64Array>()),
            KeyType::Date => Arc::new(whole().map(|v| v.map(|n| n as i32)).collect::<Date32Array>()),
            KeyType::Timestamp => Arc::new(whole().map(|v| v.map(|n| n as i64)).collect::<TimestampMicrosecondArray>()),
            KeyType::Decimal => Arc::new(whole().collect::<Decimal128Array>().with_precision_and_scale(12, 2).unwrap()),
            KeyType::WideDecimal => Arc::new(whole().collect::<Decimal128Array>().with_precision_and_scale(38, 3).unwrap()),
            KeyType::Double => {
                Arc::new(values.iter().map(|v| if let Value::Double(d) = v { Some(*d) } else { None }).collect::<Float64Array>())
            }
            KeyType::ShortText | KeyType::LongText => {
                Arc::new(values.iter().map(|v| if let Value::Text(t) = v { Some(*t) } else { None }).collect::<StringArray>())
            }
        }
    }
}

/// How the rows of a table are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Few distinct keys, NULLs among them.
    Mixed,
    /// Few distinct keys, no NULLs.
    NoNulls,
    /// No key twice, as far as there are values.
    Unique,
    /// One key, many times.
    OneKey,
    AllNull,
    /// No rows that the query keeps, but rows in the table.
    AllFiltered,
    /// No rows.
    Empty,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub keys: Vec<Value>,
    pub number: Value,
    /// What the engine would show of each column but `keep`.
    pub shown: Vec<String>,
}

/// Columns `k0`, `k1`, …, `n` (a number or NULL), `t` (a text that tells the row) and `keep` (whether queries see it).
pub struct Table {
    pub batches: Vec<RecordBatch>,
    /// Those with `keep`.
    pub rows: Vec<Row>,
}

pub fn table(random: &mut Random, types: &[KeyType], shape: Shape, count: usize, side: &str) -> Table {
    let count = if shape == Shape::Empty { 0 } else { count };
    let distinct = 1 + random.below(8);
    let offset = random.below(3);
    let mut keys: Vec<Vec<Value>> = vec![];
    for row in 0..count {
        let key = |t: &KeyType, random: &mut Random| match shape {
            Shape::AllNull => Value::Null,
            Shape::Mixed if random.one_in(5) => Value::Null,
            Shape::OneKey => t.value(offset),
            Shape::Unique => t.value(row + offset),
            _ => t.value(random.below(distinct) + offset),
        };
        keys.push(types.iter().map(|t| key(t, random)).collect());
    }
    if shape == Shape::Unique {
        let mut kept: Vec<Vec<Value>> = vec![];
        for key in keys {
            if !kept.iter().any(|k| k.iter().zip(&key).all(|(a, b)| a.same(*b))) {
                kept.push(key);
            }
        }
        keys = kept;
    }
    let count = keys.len();
    let numbers: Vec<Value> =
        (0..count).map(|_| if random.one_in(7) { Value::Null } else { Value::Whole(random.below(9) as i128) }).collect();
    let all_kept = random.one_in(3);
    let keep: Vec<bool> = (0..count).map(|_| shape != Shape::AllFiltered && (all_kept || !random.one_in(5))).collect();
    let mut columns: Vec<(String, ArrayRef)> = vec![];
    for (i, t) in types.iter().enumerate() {
        columns.push((format!("k{i}"), t.array(&keys.iter().map(|k| k[i]).collect::<Vec<_>>())));
    }
    columns.push(("n".into(), KeyType::Int.array(&numbers)));
    let texts = (0..count).map(|i| if i % 3 == 0 { format!("{side}{i}") } else { format!("{side} row with a long text, {i}") });
    columns.push(("t".into(), Arc::new(texts.map(Some).collect::<StringArray>())));
    let options = FormatOptions::new().with_null("NULL");
    let shown = |row: usize| {
        let cell = |c: &(String, ArrayRef)| ArrayFormatter::try_new(c.1.as_ref(), &options).unwrap().value(row).to_string();
        columns.iter().map(cell).collect()
    };
    let rows = (0..count).filter(|&r| keep[r]).map(|r| Row { keys: keys[r].clone(), number: numbers[r], shown: shown(r) }).collect();
    columns.push(("keep".into(), Arc::new(BooleanArray::from(keep))));
    let fields: Vec<Field> = columns.iter().map(|(name, a)| Field::new(name, a.data_type().clone(), true)).collect();
    let all = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.1).collect()).unwrap();
    // Pieces, so that three threads have a partition each.
    let piece = count.div_ceil(4).max(1);
    let batches = (0..count.max(1)).step_by(piece).map(|from| all.slice(from, piece.min(count - from))).collect();
    Table { batches, rows }
}
