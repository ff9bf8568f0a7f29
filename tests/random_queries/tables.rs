//! The tables that random queries read: few distinct values, NULLs, and the edges of each type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};

use super::expression::{Column, Type};
use super::random::Random;

/// Name and rows of each table. All have the same columns; one is empty.
pub const TABLES: [(&str, usize); 3] = [("many", 90), ("few", 20), ("none", 0)];

const DOUBLES: [f64; 8] = [0.0, -0.0, 1.5, -2.25, 100.0, 0.125, f64::NAN, f64::INFINITY];
const TEXTS: [&str; 14] = [
    "",
    "a",
    "ab",
    "abc",
    "b",
    "Hello, world: more than twelve bytes",
    "Hello, world: more than twelve bites",
    "äöü",
    "50%",
    "A_b",
    " 12 ",
    "7",
    "-3.5",
    "2020-02-29",
];

/// The columns that every table has.
pub fn columns() -> Vec<Column> {
    let column = |name: &str, of| Column { name: name.into(), of };
    vec![
        column("id", Type::Int),
        column("yes", Type::Boolean),
        column("tiny", Type::Byte),
        column("small", Type::Short),
        column("whole", Type::Int),
        column("large", Type::Long),
        column("single", Type::Float),
        column("double", Type::Double),
        column("price", Type::Decimal(9, 2)),
        column("wide", Type::Decimal(25, 4)),
        column("text", Type::String),
        column("name", Type::String),
        column("day", Type::Date),
        column("moment", Type::Timestamp),
    ]
}

/// The rows of a table, in pieces, so that each of several threads has a partition.
pub fn rows(random: &mut Random, count: usize) -> Vec<RecordBatch> {
    let fields: Vec<(Column, ArrayRef)> = columns()
        .into_iter()
        .map(|c| {
            let values = array(random, &c, count);
            (c, values)
        })
        .collect();
    let schema = Schema::new(fields.iter().map(|(c, a)| Field::new(&c.name, a.data_type().clone(), c.nullable())).collect::<Vec<_>>());
    let all = RecordBatch::try_new(Arc::new(schema), fields.into_iter().map(|(_, a)| a).collect()).unwrap();
    let piece = count.div_ceil(4).max(1);
    (0..count.max(1)).step_by(piece).map(|from| all.slice(from, piece.min(count - from))).collect()
}

fn array(random: &mut Random, column: &Column, count: usize) -> ArrayRef {
    // Of one in twenty values the edges of the type.
    let mut number = |least: i128, most: i128, edges: &[i128]| -> Vec<Option<i128>> {
        let mut value = |row: usize| {
            if column.name == "id" {
                return Some(row as i128);
            }
            match random.below(40) {
                0..5 if column.nullable() => None,
                5 if !edges.is_empty() => Some(random.pick(edges)),
                _ => Some(least + random.below((most - least + 1) as usize) as i128),
            }
        };
        (0..count).map(&mut value).collect()
    };
    match column.of {
        Type::Boolean => Arc::new(number(0, 1, &[]).into_iter().map(|v| v.map(|n| n != 0)).collect::<BooleanArray>()),
        Type::Byte => Arc::new(number(-2, 3, &[-128, 127]).into_iter().map(|v| v.map(|n| n as i8)).collect::<Int8Array>()),
        Type::Short => Arc::new(number(-3, 9, &[-32768, 32767]).into_iter().map(|v| v.map(|n| n as i16)).collect::<Int16Array>()),
        Type::Int => {
            let edges = [i32::MIN as i128, i32::MAX as i128];
            Arc::new(number(0, 12, &edges).into_iter().map(|v| v.map(|n| n as i32)).collect::<Int32Array>())
        }
        Type::Long => {
            let edges = [i64::MIN as i128, i64::MAX as i128, 1 << 40];
            Arc::new(number(-5, 30, &edges).into_iter().map(|v| v.map(|n| n as i64)).collect::<Int64Array>())
        }
        Type::Float => Arc::new(number(0, 7, &[]).into_iter().map(|v| v.map(|n| DOUBLES[n as usize] as f32)).collect::<Float32Array>()),
        Type::Double => Arc::new(number(0, 7, &[]).into_iter().map(|v| v.map(|n| DOUBLES[n as usize])).collect::<Float64Array>()),
        Type::Decimal(precision, scale) => {
            let edge = 10i128.pow(precision as u32) - 1;
            let values: Decimal128Array = number(-300, 999, &[edge, -edge, 0]).into_iter().collect();
            Arc::new(values.with_precision_and_scale(precision, scale as i8).unwrap())
        }
        Type::String => {
            let last = TEXTS.len() as i128 - 1;
            Arc::new(number(0, last, &[]).into_iter().map(|v| v.map(|n| TEXTS[n as usize])).collect::<StringArray>())
        }
        Type::Date => {
            let values = number(18_300, 18_340, &[0, -1, 11_016]);
            Arc::new(values.into_iter().map(|v| v.map(|n| n as i32)).collect::<Date32Array>())
        }
        Type::Timestamp => {
            let values = number(18_300 * 24, 18_302 * 24, &[-1, 0]).into_iter();
            let values: TimestampMicrosecondArray = values.map(|v| v.map(|hours| hours as i64 * 3_600_000_000 + 250_000)).collect();
            Arc::new(values.with_timezone("UTC"))
        }
    }
}
