//! Higher-order functions: the lambda function is evaluated over the elements of all rows at once. Where its value for one element
//! decides whether the next is looked at, or is needed there, it is evaluated for one element of each row at a time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, UInt32Array, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{filter, interleave, take};
use arrow::datatypes::Int32Type;

use super::Rows;
use super::collections::{equality, list_of};
use super::logic::without_nulls;
use super::maps::{map_of, map_of_different};
use super::scatter::{Part, scatter};
use super::text::write_value;
use super::value::{Value, booleans, primitive};
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::{Expr, ScalarFunction};

pub(super) fn evaluate(rows: &Rows<'_>, function: ScalarFunction, args: &[Expr], result: &DataType) -> Result<Value> {
    use ScalarFunction::*;
    let of = |i: usize| -> Result<Elements> { Elements::new(&rows.eval(&args[i])?.into_array(rows.count)?) };
    let array = match function {
        Transform => {
            let elements = of(0)?;
            let values = call(rows, &args[1], elements.owners(), || elements.inputs(&args[1]))?;
            list_of(values, elements.offsets, elements.nulls)?
        }
        Filter => {
            let elements = of(0)?;
            let kept = condition(call(rows, &args[1], elements.owners(), || elements.inputs(&args[1]))?)?;
            list_of(filter(&elements.columns[0], &kept)?, elements.kept(&kept), elements.nulls)?
        }
        Exists | ForAll => quantified(rows, function == Exists, &of(0)?, &args[1])?,
        Aggregate => aggregate(rows, &of(0)?, &args[1..])?,
        ZipWith => zip_with(rows, &of(0)?, &of(1)?, &args[2])?,
        ArraySort => sort(rows, of(0)?, &args[1])?,
        TransformKeys | TransformValues => {
            let elements = of(0)?;
            let made = call(rows, &args[1], elements.owners(), || elements.inputs(&args[1]))?;
            let [keys, values] = elements.entries()?;
            match function {
                TransformKeys => map_of(result, made, values, elements.offsets.lengths().collect(), elements.nulls)?,
                _ => map_of_different(result, keys, made, elements.offsets, elements.nulls)?,
            }
        }
        MapFilter => {
            let elements = of(0)?;
            let kept = condition(call(rows, &args[1], elements.owners(), || elements.inputs(&args[1]))?)?;
            let [keys, values] = elements.entries()?;
            let offsets = elements.kept(&kept);
            map_of_different(result, filter(&keys, &kept)?, filter(&values, &kept)?, offsets, elements.nulls)?
        }
        MapZipWith => map_zip_with(rows, &of(0)?, &of(1)?, &args[2], result)?,
        other => return Err(Error::internal(format!("`{}` is no higher-order function", other.name()))),
    };
    Ok(Value::Array(array))
}

/// The elements of arrays or the entries of maps, row after row; a row that is NULL has none.
struct Elements {
    /// Values, or keys and values.
    columns: Vec<ArrayRef>,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

impl Elements {
    fn new(array: &ArrayRef) -> Result<Self> {
        let (columns, offsets) = match (array.as_list_opt::<i32>(), array.as_map_opt()) {
            (Some(list), _) => (vec![list.values().clone()], list.offsets()),
            (_, Some(map)) => (vec![map.keys().clone(), map.values().clone()], map.offsets()),
            _ => return Err(Error::internal("an array or a map was expected")),
        };
        let nulls = array.nulls().filter(|n| n.null_count() > 0).cloned();
        let hidden = nulls.as_ref().is_some_and(|n| (0..array.len()).any(|row| n.is_null(row) && offsets[row] < offsets[row + 1]));
        if !hidden && offsets[0] == 0 && offsets[array.len()] as usize == columns[0].len() {
            return Ok(Self { columns, offsets: offsets.clone(), nulls });
        }
        let valid = |row: &usize| nulls.as_ref().is_none_or(|n| n.is_valid(*row));
        let range = |row: usize| offsets[row] as u32..offsets[row + 1] as u32;
        let places: UInt32Array = (0..array.len()).filter(valid).flat_map(range).collect();
        let lengths = (0..array.len()).map(|row| if valid(&row) { range(row).len() } else { 0 });
        let columns = columns.iter().map(|c| Ok(take(c, &places, None)?)).collect::<Result<_>>()?;
        Ok(Self { columns, offsets: OffsetBuffer::from_lengths(lengths), nulls })
    }

    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|n| n.is_valid(row))
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The row of each element.
    fn owners(&self) -> UInt32Array {
        (0..self.rows()).flat_map(|row| std::iter::repeat_n(row as u32, self.range(row).len())).collect()
    }

    /// What the lambda function is given: an element and, if it wants, its position from 0; or key and value.
    fn inputs(&self, lambda: &Expr) -> Result<Vec<ArrayRef>> {
        let mut inputs = self.columns.clone();
        if inputs.len() == 1 && matches!(lambda, Expr::Lambda { params, .. } if params.len() == 2) {
            let positions: Int32Array = (0..self.rows()).flat_map(|row| 0..self.range(row).len() as i32).collect();
            inputs.push(Arc::new(positions));
        }
        Ok(inputs)
    }

    fn entries(&self) -> Result<[ArrayRef; 2]> {
        self.columns.clone().try_into().map_err(|_| Error::internal("a map was expected"))
    }

    /// Offsets of what a mask leaves.
    fn kept(&self, mask: &BooleanArray) -> OffsetBuffer<i32> {
        OffsetBuffer::from_lengths((0..self.rows()).map(|row| {
            let range = self.range(row);
            mask.values().slice(range.start, range.len()).count_set_bits()
        }))
    }
}

/// The lambda function's values over elements of these rows.
fn call(rows: &Rows<'_>, lambda: &Expr, owners: UInt32Array, inputs: impl FnOnce() -> Result<Vec<ArrayRef>>) -> Result<ArrayRef> {
    let Expr::Lambda { params, body, .. } = lambda else { return Err(Error::internal(format!("{lambda} is no lambda function"))) };
    let count = owners.len();
    if count == 0 {
        return Ok(new_empty_array(&body.data_type().to_arrow()));
    }
    let variables = params.iter().map(|p| p.id).zip(inputs()?).collect();
    rows.repeated(owners, variables).eval(body)?.into_array(count)
}

fn condition(values: ArrayRef) -> Result<BooleanArray> {
    Ok(without_nulls(booleans(&values)?))
}

fn places(at: impl Iterator<Item = usize>) -> UInt32Array {
    at.map(|k| k as u32).collect()
}

/// `exists` and `forall`, three-valued: decided by the first element for which the condition is `decisive`, the others after it not
/// being looked at.
fn quantified(rows: &Rows<'_>, decisive: bool, elements: &Elements, lambda: &Expr) -> Result<ArrayRef> {
    let mut answers: Vec<Option<bool>> = (0..elements.rows()).map(|row| elements.is_valid(row).then_some(!decisive)).collect();
    let mut learn = |row: usize, values: &BooleanArray, at: usize| match values.is_valid(at).then(|| values.value(at)) {
        Some(v) if v == decisive => answers[row] = Some(decisive),
        None if answers[row] == Some(!decisive) => answers[row] = None,
        _ => {}
    };
    if !lambda.can_fail() {
        let values = call(rows, lambda, elements.owners(), || elements.inputs(lambda))?;
        let values = booleans(&values)?;
        for row in 0..elements.rows() {
            elements.range(row).for_each(|k| learn(row, values, k));
        }
        return Ok(Arc::new(BooleanArray::from(answers)));
    }
    let mut open: Vec<usize> = (0..elements.rows()).collect();
    for step in 0.. {
        open.retain(|row| step < elements.range(*row).len());
        if open.is_empty() {
            break;
        }
        let element = take(&elements.columns[0], &places(open.iter().map(|row| elements.range(*row).start + step)), None)?;
        let values = call(rows, lambda, places(open.iter().copied()), || Ok(vec![element]))?;
        let values = booleans(&values)?;
        open.iter().enumerate().for_each(|(at, row)| learn(*row, values, at));
        let mut at = 0;
        open.retain(|_| {
            at += 1;
            values.is_null(at - 1) || values.value(at - 1) != decisive
        });
    }
    Ok(Arc::new(BooleanArray::from(answers)))
}

/// `aggregate(array, start, merge, finish)`: `args` are those after the array.
fn aggregate(rows: &Rows<'_>, elements: &Elements, args: &[Expr]) -> Result<ArrayRef> {
    let [start, merge, finish] = args else { return Err(Error::internal("arguments were counted")) };
    let start = rows.eval(start)?.into_array(rows.count)?;
    let mut open: Vec<u32> = (0..elements.rows()).filter(|row| elements.is_valid(*row)).map(|row| row as u32).collect();
    let all = open.clone();
    let mut state = take(&start, &UInt32Array::from(open.clone()), None)?;
    let mut parts = vec![];
    for step in 0.. {
        let (mut done, mut next) = (vec![], vec![]);
        for (at, row) in open.iter().enumerate() {
            if elements.range(*row as usize).len() > step { next.push(at as u32) } else { done.push(at as u32) }
        }
        if !done.is_empty() {
            let values = take(&state, &UInt32Array::from(done.clone()), None)?;
            parts.push(Part { rows: done.iter().map(|at| open[*at as usize]).collect(), values });
        }
        if next.is_empty() {
            break;
        }
        if !done.is_empty() {
            state = take(&state, &UInt32Array::from(next.clone()), None)?;
            open = next.into_iter().map(|at| open[at as usize]).collect();
        }
        let element = take(&elements.columns[0], &places(open.iter().map(|row| elements.range(*row as usize).start + step)), None)?;
        state = call(rows, merge, UInt32Array::from(open.clone()), || Ok(vec![state, element]))?;
    }
    let merged = scatter(&parts, elements.rows(), start.data_type())?;
    let owners = UInt32Array::from(all.clone());
    let values = call(rows, finish, owners.clone(), || Ok(vec![take(&merged, &owners, None)?]))?;
    let data_type = values.data_type().clone();
    scatter(&[Part { rows: all, values }], elements.rows(), &data_type)
}

/// Pairs of elements at one place, the shorter array filled up with NULLs.
fn zip_with(rows: &Rows<'_>, left: &Elements, right: &Elements, lambda: &Expr) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(left.nulls.as_ref(), right.nulls.as_ref());
    let (mut owners, mut lengths) = (vec![], vec![]);
    let mut sides: [Vec<Option<u32>>; 2] = [vec![], vec![]];
    for row in 0..left.rows() {
        let valid = nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let ranges = [left.range(row), right.range(row)];
        let length = if valid { ranges[0].len().max(ranges[1].len()) } else { 0 };
        for (side, range) in sides.iter_mut().zip(ranges) {
            side.extend((0..length).map(|k| (k < range.len()).then_some((range.start + k) as u32)));
        }
        owners.extend(std::iter::repeat_n(row as u32, length));
        lengths.push(length);
    }
    let [l, r] = sides.map(UInt32Array::from);
    let values = call(rows, lambda, owners.into(), || Ok(vec![take(&left.columns[0], &l, None)?, take(&right.columns[0], &r, None)?]))?;
    list_of(values, OffsetBuffer::from_lengths(lengths), nulls)
}

/// Two runs of one row's elements that are being merged: `left` up to `middle`, `right` up to `end`.
struct Merge {
    row: u32,
    left: usize,
    middle: usize,
    right: usize,
    end: usize,
    out: Vec<u32>,
}

/// Sorts by a comparison that is a lambda function. Stable merges, so that all merges of one level compare at once.
fn sort(rows: &Rows<'_>, elements: Elements, lambda: &Expr) -> Result<ArrayRef> {
    let values = &elements.columns[0];
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    let longest = elements.offsets.lengths().max().unwrap_or(0);
    let mut width = 1;
    while width < longest {
        let mut merges = vec![];
        for row in 0..elements.rows() {
            let range = elements.range(row);
            for start in range.clone().step_by(2 * width).filter(|start| start + width < range.end) {
                let (middle, end) = (start + width, (start + 2 * width).min(range.end));
                merges.push(Merge { row: row as u32, left: start, middle, right: middle, end, out: Vec::with_capacity(end - start) });
            }
        }
        while !merges.is_empty() {
            let owners = merges.iter().map(|m| m.row).collect();
            let side = |at: fn(&Merge) -> usize| take(values, &merges.iter().map(|m| order[at(m)]).collect::<UInt32Array>(), None);
            let compared = call(rows, lambda, owners, || Ok(vec![side(|m| m.left)?, side(|m| m.right)?]))?;
            let compared = primitive::<Int32Type>(&compared)?;
            for (at, m) in merges.iter_mut().enumerate() {
                if compared.is_null(at) {
                    return Err(incomparable(values, order[m.left] as usize, order[m.right] as usize));
                }
                let from = if compared.value(at) <= 0 { &mut m.left } else { &mut m.right };
                m.out.push(order[*from]);
                *from += 1;
            }
            merges.retain_mut(|m| {
                if m.left < m.middle && m.right < m.end {
                    return true;
                }
                // What is left of one run; that of the right is in place.
                m.out.extend(&order[m.left..m.middle]);
                let start = m.right - m.out.len();
                order[start..m.right].copy_from_slice(&m.out);
                false
            });
        }
        width *= 2;
    }
    list_of(take(values, &UInt32Array::from(order), None)?, elements.offsets.clone(), elements.nulls.clone())
}

fn incomparable(values: &ArrayRef, left: usize, right: usize) -> Error {
    let text = |at: usize| {
        let mut out = String::new();
        let written = DataType::from_arrow(values.data_type()).and_then(|t| write_value(values.as_ref(), at, &t, &mut out));
        if values.is_null(at) || written.is_err() { "NULL".to_string() } else { out }
    };
    Error::new(
        ErrorClass::NullComparison,
        format!(
            "The comparator has returned a NULL for a comparison between {} and {}. It should return a positive integer for \"greater than\", 0 for \"equal\" and a negative integer for \"less than\".",
            text(left),
            text(right)
        ),
    )
}

/// Values of two maps by key: the keys of the first, then those that only the second has.
fn map_zip_with(rows: &Rows<'_>, left: &Elements, right: &Elements, lambda: &Expr, result: &DataType) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(left.nulls.as_ref(), right.nulls.as_ref());
    let ([left_keys, left_values], [right_keys, right_values]) = (left.entries()?, right.entries()?);
    let same = equality(&left_keys, &right_keys)?;
    let (own, others) = (equality(&left_keys, &left_keys)?, equality(&right_keys, &right_keys)?);
    let (mut owners, mut lengths, mut keys) = (vec![], vec![], vec![]);
    let mut sides: [Vec<Option<u32>>; 2] = [vec![], vec![]];
    for row in 0..left.rows() {
        let before = keys.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let (l, r) = (left.range(row), right.range(row));
            // JSON can have a key twice.
            for k in l.clone().filter(|k| !(l.start..*k).any(|before| own(before, *k))) {
                keys.push((0, k));
                sides[0].push(Some(k as u32));
                sides[1].push(r.clone().find(|other| same(k, *other)).map(|k| k as u32));
            }
            for k in r.clone().filter(|k| !l.clone().any(|other| same(other, *k)) && !(r.start..*k).any(|before| others(before, *k))) {
                keys.push((1, k));
                sides[0].push(None);
                sides[1].push(Some(k as u32));
            }
        }
        owners.extend(std::iter::repeat_n(row as u32, keys.len() - before));
        lengths.push(keys.len() - before);
    }
    let keys = if keys.is_empty() { new_empty_array(left_keys.data_type()) } else { interleave(&[&left_keys, &right_keys], &keys)? };
    let [l, r] = sides.map(UInt32Array::from);
    let inputs = || Ok(vec![keys.clone(), take(&left_values, &l, None)?, take(&right_values, &r, None)?]);
    let values = call(rows, lambda, owners.into(), inputs)?;
    map_of_different(result, keys.clone(), values, OffsetBuffer::from_lengths(lengths), nulls)
}
