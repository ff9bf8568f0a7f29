//! Generators: explode, posexplode, inline, json_tuple, stack.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{interleave, take};
use arrow::datatypes::Int64Type;

use super::Rows;
use super::collections::{null_array, under_nulls};
use crate::base::{DataType, Error, Result, Scalar};
use crate::expr::{Expr, ScalarFunction};

/// Rows that a generator yields.
#[derive(Debug, Clone)]
pub struct Generated {
    /// For each row, the input row that it comes from; ascending.
    pub rows: UInt32Array,
    /// The generator's columns.
    pub columns: Vec<ArrayRef>,
}

/// Runs a bound generator over a batch; its rows come in pieces of about `most`, however many an input row has. With `outer`, an input
/// row for which it yields nothing appears once, with NULLs.
///
/// # Errors
/// `Internal` when the expression is no generator; those of its arguments.
pub fn generate(
    generator: &Expr,
    batch: &RecordBatch,
    outer: bool,
    most: usize,
) -> Result<Box<dyn Iterator<Item = Result<Generated>> + Send>> {
    let Expr::Function { function, args } = generator.unaliased() else {
        return Err(Error::internal(format!("{generator} is no generator")));
    };
    let rows = Rows::new(batch.columns(), batch.num_rows(), None);
    let count = batch.num_rows();
    let single = |generated| Ok(Box::new(std::iter::once(Ok(generated))) as Box<_>);
    match function {
        ScalarFunction::Stack => single(stack(&rows, args, count)?),
        ScalarFunction::ReplicateRows => {
            let mut columns = args.iter().map(|e| rows.eval(e)?.into_array(count)).collect::<Result<Vec<_>>>()?.into_iter();
            let times = columns.next().ok_or_else(|| Error::internal("`replicaterows` without a number of rows"))?;
            let times = times.as_primitive::<Int64Type>();
            let lengths = (0..count).map(|row| if times.is_valid(row) { times.value(row).max(0) as u64 } else { 0 }).collect();
            Ok(Box::new(Pieces { lengths, of: Of::Copies(columns.collect()), outer: false, most, row: 0, at: 0 }))
        }
        ScalarFunction::JsonTuple => {
            let args = args.iter().map(|e| rows.eval(e)).collect::<Result<Vec<_>>>()?;
            single(Generated { rows: (0..count as u32).collect(), columns: super::json::tuple(&args, count)? })
        }
        ScalarFunction::Explode | ScalarFunction::PosExplode | ScalarFunction::Inline => {
            let argument = args.first().ok_or_else(|| Error::internal("a generator without an argument"))?;
            let array = rows.eval(argument)?.into_array(count)?;
            let (offsets, nulls, values) = match array.as_map_opt() {
                Some(map) => (map.offsets().clone(), map.nulls().cloned(), vec![map.keys().clone(), map.values().clone()]),
                None => {
                    let list =
                        array.as_list_opt::<i32>().ok_or_else(|| Error::internal("a generator over something else than an array"))?;
                    (list.offsets().clone(), list.nulls().cloned(), vec![list.values().clone()])
                }
            };
            let values = match *function {
                ScalarFunction::Inline => {
                    let structs = values.iter().map(|v| v.as_struct());
                    structs.flat_map(|s| s.columns().iter().map(move |c| under_nulls(s, c))).collect::<Result<_>>()?
                }
                _ => values,
            };
            let positions = *function == ScalarFunction::PosExplode;
            let length = |row: usize| (offsets[row + 1] - offsets[row]) as u64;
            let lengths = (0..count).map(|row| if nulls.as_ref().is_none_or(|n| n.is_valid(row)) { length(row) } else { 0 }).collect();
            let of = Of::Elements { starts: offsets, values, positions };
            Ok(Box::new(Pieces { lengths, of, outer, most, row: 0, at: 0 }))
        }
        other => Err(Error::internal(format!("`{}` is no generator", other.name()))),
    }
}

/// So many rows of each input row.
struct Pieces {
    lengths: Vec<u64>,
    of: Of,
    outer: bool,
    most: usize,
    /// The next one: of which input row, and how many of it came before.
    row: usize,
    at: u64,
}

/// What the rows hold.
enum Of {
    /// The elements of arrays that start there; with their positions.
    Elements { starts: OffsetBuffer<i32>, values: Vec<ArrayRef>, positions: bool },
    /// The input row's values.
    Copies(Vec<ArrayRef>),
}

impl Pieces {
    fn piece(&mut self) -> Result<Generated> {
        let (mut from, mut position) = (vec![], vec![]);
        while self.row < self.lengths.len() && from.len() < self.most {
            let (row, length) = (self.row as u32, self.lengths[self.row]);
            if length == 0 && self.outer {
                from.push(row);
                position.push(None);
            }
            let last = length.min(self.at + (self.most - from.len()) as u64);
            for at in self.at..last {
                from.push(row);
                position.push(Some(at as i32));
            }
            (self.row, self.at) = if last < length { (self.row, last) } else { (self.row + 1, 0) };
        }
        let columns = match &self.of {
            Of::Copies(columns) => {
                let rows = UInt32Array::from(from.clone());
                columns.iter().map(|c| Ok(take(c, &rows, None)?)).collect::<Result<_>>()?
            }
            Of::Elements { starts, values, positions } => {
                let places = from.iter().zip(&position).map(|(row, at)| at.map(|at| (starts[*row as usize] + at) as u32));
                let places: UInt32Array = places.collect();
                let values = values.iter().map(|v| Ok(take(v, &places, None)?)).collect::<Result<Vec<_>>>()?;
                let position: Option<ArrayRef> = positions.then(|| Arc::new(Int32Array::from(position)) as ArrayRef);
                position.into_iter().chain(values).collect()
            }
        };
        Ok(Generated { rows: from.into(), columns })
    }
}

impl Iterator for Pieces {
    type Item = Result<Generated>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.row < self.lengths.len()).then(|| self.piece())
    }
}

fn stack(rows: &Rows<'_>, args: &[Expr], count: usize) -> Result<Generated> {
    let Some((Expr::Literal(Scalar::Int(height @ 1..)), values)) = args.split_first() else {
        return Err(Error::internal("the number of rows of `stack` is not constant"));
    };
    let (height, width) = (*height as usize, values.len().div_ceil(*height as usize));
    let arrays = values.iter().map(|e| rows.eval(e)?.into_array(count)).collect::<Result<Vec<_>>>()?;
    let types: Vec<DataType> = values.iter().take(width).map(Expr::data_type).collect();
    let mut columns = vec![];
    for (c, t) in types.iter().enumerate() {
        // The last row may be short: NULLs fill it.
        let column: Vec<ArrayRef> =
            (0..height).map(|r| arrays.get(r * width + c).cloned().unwrap_or_else(|| null_array(t, count))).collect();
        let places: Vec<(usize, usize)> = (0..count).flat_map(|row| (0..height).map(move |r| (r, row))).collect();
        columns.push(if places.is_empty() {
            null_array(t, 0)
        } else {
            interleave(&column.iter().map(|a| a.as_ref()).collect::<Vec<_>>(), &places)?
        });
    }
    let from: Vec<u32> = (0..count as u32).flat_map(|row| std::iter::repeat_n(row, height)).collect();
    Ok(Generated { rows: from.into(), columns })
}
