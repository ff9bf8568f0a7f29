//! Generators: explode, posexplode, inline, json_tuple, stack.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
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

/// Runs a bound generator over a batch. With `outer`, an input row for which it yields nothing appears once, with NULLs.
///
/// # Errors
/// `Internal` when the expression is no generator; those of its arguments.
pub fn generate(generator: &Expr, batch: &RecordBatch, outer: bool) -> Result<Generated> {
    let Expr::Function { function, args } = generator.unaliased() else {
        return Err(Error::internal(format!("{generator} is no generator")));
    };
    let rows = Rows::new(batch.columns(), batch.num_rows(), None);
    let count = batch.num_rows();
    match function {
        ScalarFunction::Stack => stack(&rows, args, count),
        ScalarFunction::ReplicateRows => replicate(&rows, args, count),
        ScalarFunction::JsonTuple => {
            let args = args.iter().map(|e| rows.eval(e)).collect::<Result<Vec<_>>>()?;
            Ok(Generated { rows: (0..count as u32).collect(), columns: super::json::tuple(&args, count)? })
        }
        ScalarFunction::Explode | ScalarFunction::PosExplode | ScalarFunction::Inline => {
            let argument = args.first().ok_or_else(|| Error::internal("a generator without an argument"))?;
            let array = rows.eval(argument)?.into_array(count)?;
            let (offsets, nulls, values): (&[i32], Option<&NullBuffer>, Vec<ArrayRef>) = match array.as_map_opt() {
                Some(map) => (map.value_offsets(), map.nulls(), vec![map.keys().clone(), map.values().clone()]),
                None => {
                    let list =
                        array.as_list_opt::<i32>().ok_or_else(|| Error::internal("a generator over something else than an array"))?;
                    (list.value_offsets(), list.nulls(), vec![list.values().clone()])
                }
            };
            let (mut from, mut element, mut position) = (vec![], vec![], vec![]);
            for row in 0..count {
                let valid = nulls.is_none_or(|n| n.is_valid(row));
                let range = if valid { offsets[row] as u32..offsets[row + 1] as u32 } else { 0..0 };
                if range.is_empty() && outer {
                    from.push(row as u32);
                    element.push(None);
                    position.push(None);
                }
                for (at, k) in range.enumerate() {
                    from.push(row as u32);
                    element.push(Some(k));
                    position.push(Some(at as i32));
                }
            }
            let element = UInt32Array::from(element);
            let mut columns: Vec<ArrayRef> = vec![];
            if *function == ScalarFunction::PosExplode {
                columns.push(Arc::new(Int32Array::from(position)));
            }
            for v in &values {
                if *function == ScalarFunction::Inline {
                    let structs = v.as_struct();
                    for c in structs.columns() {
                        columns.push(take(&under_nulls(structs, c)?, &element, None)?);
                    }
                } else {
                    columns.push(take(v, &element, None)?);
                }
            }
            Ok(Generated { rows: from.into(), columns })
        }
        other => Err(Error::internal(format!("`{}` is no generator", other.name()))),
    }
}

fn replicate(rows: &Rows<'_>, args: &[Expr], count: usize) -> Result<Generated> {
    let mut columns = args.iter().map(|e| rows.eval(e)?.into_array(count)).collect::<Result<Vec<_>>>()?.into_iter();
    let times = columns.next().ok_or_else(|| Error::internal("`replicaterows` without a number of rows"))?;
    let times = times.as_primitive::<Int64Type>();
    let from =
        (0..count).flat_map(|row| std::iter::repeat_n(row as u32, if times.is_valid(row) { times.value(row).max(0) as usize } else { 0 }));
    let from = UInt32Array::from(from.collect::<Vec<_>>());
    let columns = columns.map(|column| Ok(take(&column, &from, None)?)).collect::<Result<_>>()?;
    Ok(Generated { rows: from, columns })
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
