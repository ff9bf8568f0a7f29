//! Arrays, maps and structs. Results are made by taking from the children of the arguments, never value by value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray, UInt32Array, new_empty_array, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Float64Type, Int32Type, Int64Type};

use super::maths::literal_text;
use super::value::{Arg, Value, build, build_strings, extent, union_nulls, wrap};
use super::{comparison, text};
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

/// A list array over elements; the element field is the one of [`DataType::to_arrow`].
pub(super) fn list_of(values: ArrayRef, offsets: OffsetBuffer<i32>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let field = Arc::new(ArrowField::new("element", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, nulls)?))
}

/// A list argument by rows.
pub(super) struct Lists<'a> {
    pub array: &'a ListArray,
    step: usize,
}

impl<'a> Lists<'a> {
    pub fn new(value: &'a Value) -> Result<Self> {
        let array = value.inner().as_list_opt::<i32>().ok_or_else(|| Error::internal("an array was expected"))?;
        Ok(Self { array, step: value.step() })
    }

    /// Where the row's elements are among all.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        let offsets = self.array.value_offsets();
        offsets[row * self.step] as usize..offsets[row * self.step + 1] as usize
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row * self.step)
    }
}

/// Lists of elements picked from `values` by `pick`, which appends the positions for a row.
fn picked(args: &[&Value], rows: usize, values: &ArrayRef, mut pick: impl FnMut(usize, &mut Vec<u32>) -> Result<()>) -> Result<ArrayRef> {
    let nulls = union_nulls(args, rows);
    let (mut indices, mut lengths) = (vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        let before = indices.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            pick(row, &mut indices)?;
        }
        lengths.push(indices.len() - before);
    }
    list_of(take(values, &UInt32Array::from(indices), None)?, OffsetBuffer::from_lengths(lengths), nulls)
}

fn index_error(function: ScalarFunction, index: i32, size: usize) -> Error {
    let (class, instead) = match function {
        ScalarFunction::ElementAt => (ErrorClass::InvalidElementIndex, "`try_element_at`"),
        _ => (ErrorClass::InvalidArrayIndex, "the SQL function `get()`"),
    };
    let message = format!(
        "The index {index} is out of bounds. The array has {size} elements. Use {instead} to tolerate accessing element at invalid index and return NULL instead."
    );
    Error::new(class, message)
}

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], result: &DataType, rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let array: ArrayRef = match function {
        Array => {
            let columns = args.iter().map(|a| a.clone().into_array(n)).collect::<Result<Vec<_>>>()?;
            let places: Vec<(usize, usize)> = (0..n).flat_map(|row| (0..columns.len()).map(move |c| (c, row))).collect();
            let DataType::Array(element) = result else { return Err(Error::internal("array type")) };
            let values = if columns.is_empty() || places.is_empty() {
                new_empty_array(&element.to_arrow())
            } else {
                interleave(&columns.iter().map(|c| c.as_ref()).collect::<Vec<_>>(), &places)?
            };
            list_of(values, OffsetBuffer::from_lengths(std::iter::repeat_n(columns.len(), n)), None)?
        }
        Size => match args[0].inner().data_type() {
            ArrowType::Null => new_null_array(&ArrowType::Int32, n),
            ArrowType::Map(..) => {
                let map = args[0].inner().as_map();
                Arc::new(build::<Int32Type>(&refs, n, |i| Ok(Some(map.value_length(i * args[0].step()))))?)
            }
            _ => {
                let lists = Lists::new(&args[0])?;
                Arc::new(build::<Int32Type>(&refs, n, |i| Ok(Some(lists.range(i).len() as i32)))?)
            }
        },
        ElementAt | TryElementAt | GetItem | Get => item(function, args, n)?,
        ArrayUnion | ArrayIntersect | ArrayExcept => set_operation(function, args, n)?,
        ArraysOverlap => {
            let (a, b) = (Lists::new(&args[0])?, Lists::new(&args[1])?);
            let same = equality(a.array.values(), b.array.values())?;
            let nulls = union_nulls(&refs, n);
            let answer = |i: usize| -> Option<bool> {
                if nulls.as_ref().is_some_and(|v| v.is_null(i)) {
                    return None;
                }
                if a.range(i).any(|x| b.range(i).any(|y| same(x, y))) {
                    return Some(true);
                }
                let has_null = |l: &Lists<'_>| l.range(i).any(|k| l.array.values().is_null(k));
                let unknown = !a.range(i).is_empty() && !b.range(i).is_empty() && (has_null(&a) || has_null(&b));
                if unknown { None } else { Some(false) }
            };
            Arc::new((0..n).map(answer).collect::<arrow::array::BooleanArray>())
        }
        ArrayRepeat => {
            let count = Arg::<Int32Array>::primitive(&args[1])?;
            let mut lengths = Vec::with_capacity(n);
            let mut places = vec![];
            for i in 0..n {
                let copies = if count.is_null(i) { 0 } else { count.at(i).max(0) as usize };
                if places.len() as i128 + copies as i128 > LONGEST {
                    return Err(Error::new(ErrorClass::ResourceExhausted, "`array_repeat` makes too many elements."));
                }
                places.extend(std::iter::repeat_n((i * args[0].step()) as u32, copies));
                lengths.push(copies);
            }
            let values = take(args[0].inner(), &UInt32Array::from(places), None)?;
            list_of(values, OffsetBuffer::from_lengths(lengths), union_nulls(&[&args[1]], n))?
        }
        ArrayCompact => {
            let lists = Lists::new(&args[0])?;
            let values = lists.array.values();
            picked(&refs, n, values, |i, out| {
                out.extend(lists.range(i).filter(|k| values.is_valid(*k)).map(|k| k as u32));
                Ok(())
            })?
        }
        ArrayContains | ArrayPosition => {
            let lists = Lists::new(&args[0])?;
            let same = equality(lists.array.values(), args[1].inner())?;
            let find = |i: usize| lists.range(i).position(|k| same(k, i * args[1].step()));
            let has_null = |i: usize| lists.range(i).any(|k| lists.array.values().is_null(k));
            if function == ArrayPosition {
                Arc::new(build::<Int64Type>(&refs, n, |i| Ok(Some(find(i).map_or(0, |at| at as i64 + 1))))?)
            } else {
                // Absent but for a NULL element: unknown.
                let nulls = union_nulls(&refs, n);
                let answer = |i: usize| -> Option<bool> {
                    if nulls.as_ref().is_some_and(|v| v.is_null(i)) {
                        return None;
                    }
                    if find(i).is_some() {
                        Some(true)
                    } else if has_null(i) {
                        None
                    } else {
                        Some(false)
                    }
                };
                Arc::new((0..n).map(answer).collect::<arrow::array::BooleanArray>())
            }
        }
        SortArray | ArraySort => {
            let lists = Lists::new(&args[0])?;
            let ascending = args.get(1).map(Arg::boolean).transpose()?;
            let compare = comparison::comparator(lists.array.values(), lists.array.values())?;
            picked(&refs, n, lists.array.values(), |i, out| {
                let mut order: Vec<u32> = lists.range(i).map(|k| k as u32).collect();
                // NULLs are least: first when ascending, last when descending.
                order.sort_by(|a, b| compare(*a as usize, *b as usize));
                if function == ArraySort {
                    // Here NULLs come last.
                    let missing = order.partition_point(|k| lists.array.values().is_null(*k as usize));
                    order.rotate_left(missing);
                }
                if ascending.as_ref().is_some_and(|a| !a.at(i)) {
                    order.reverse();
                }
                out.extend(order);
                Ok(())
            })?
        }
        Shuffle => {
            let lists = Lists::new(&args[0])?;
            let mut random = super::shuffle::MersenneTwister::of(args.get(1))?;
            picked(&refs[..1], n, lists.array.values(), |i, out| {
                let start = out.len();
                out.extend(lists.range(i).map(|k| k as u32));
                random.shuffle(&mut out[start..]);
                Ok(())
            })?
        }
        ArrayRemove => {
            let lists = Lists::new(&args[0])?;
            let same = equality(lists.array.values(), args[1].inner())?;
            picked(&refs, n, lists.array.values(), |i, out| {
                out.extend(lists.range(i).filter(|k| !same(*k, i * args[1].step())).map(|k| k as u32));
                Ok(())
            })?
        }
        ArrayInsert => array_insert(args, n)?,
        ArraysZip => arrays_zip(args, result, n)?,
        ArrayMin | ArrayMax => {
            let lists = Lists::new(&args[0])?;
            let values = lists.array.values();
            let compare = comparison::comparator(values, values)?;
            let best = |i: usize| -> Option<u32> {
                if lists.is_null(i) {
                    return None;
                }
                let present = lists.range(i).filter(|k| values.is_valid(*k));
                let found =
                    if function == ArrayMin { present.min_by(|a, b| compare(*a, *b)) } else { present.max_by(|a, b| compare(*a, *b)) };
                found.map(|k| k as u32)
            };
            take(values, &(0..n).map(best).collect::<UInt32Array>(), None)?
        }
        ArrayPercentile | ArrayPercentileDisc => percentiles(function, args, n)?,
        ArrayMode => {
            let (lists, ascending) = (Lists::new(&args[0])?, Arg::boolean(&args[1])?);
            let values = lists.array.values();
            let compare = comparison::comparator(values, values)?;
            let best = |i: usize| -> Option<u32> {
                let order = sorted(&lists, i, &compare);
                let mut runs: Vec<&[u32]> = order.chunk_by(|a, b| compare(*a as usize, *b as usize).is_eq()).collect();
                if ascending.at(i) {
                    runs.reverse();
                }
                // The last of several greatest.
                runs.into_iter().max_by_key(|r| r.len()).map(|r| r[0])
            };
            take(values, &(0..n).map(best).collect::<UInt32Array>(), None)?
        }
        ArrayDistinct => {
            let lists = Lists::new(&args[0])?;
            let values = lists.array.values();
            let compare = comparison::comparator(values, values)?;
            picked(&refs, n, values, |i, out| {
                let start = out.len();
                for k in lists.range(i) {
                    if !out[start..].iter().any(|seen| compare(*seen as usize, k).is_eq()) {
                        out.push(k as u32);
                    }
                }
                Ok(())
            })?
        }
        ArrayJoin => {
            let lists = Lists::new(&args[0])?;
            let separator = Arg::string(&args[1])?;
            let missing = args.get(2).map(Arg::string).transpose()?;
            let values = lists.array.values();
            let t = DataType::from_arrow(values.data_type())?;
            build_strings(&refs, n, |i, out| {
                let mut first = true;
                for k in lists.range(i) {
                    if values.is_null(k) && missing.is_none() {
                        continue;
                    }
                    if !first {
                        out.push_str(separator.at(i));
                    }
                    first = false;
                    match &missing {
                        Some(m) if values.is_null(k) => out.push_str(m.at(i)),
                        _ => text::write_value(values.as_ref(), k, &t, out)?,
                    }
                }
                Ok(true)
            })?
        }
        Slice => {
            let lists = Lists::new(&args[0])?;
            let (start, count) = (Arg::<Int32Array>::primitive(&args[1])?, Arg::<Int32Array>::primitive(&args[2])?);
            picked(&refs, n, lists.array.values(), |i, out| {
                let (range, start, count) = (lists.range(i), i64::from(start.at(i)), i64::from(count.at(i)));
                if start == 0 || count < 0 {
                    let what = if start == 0 { "start, which counts from 1, is 0" } else { "length is negative" };
                    return Err(Error::new(ErrorClass::InvalidParameter, format!("The arguments of `slice` are invalid: the {what}.")));
                }
                let from = if start > 0 { start - 1 } else { range.len() as i64 + start };
                if from >= 0 {
                    out.extend(range.skip(from as usize).take(count as usize).map(|k| k as u32));
                }
                Ok(())
            })?
        }
        Reverse => {
            let lists = Lists::new(&args[0])?;
            picked(&refs, n, lists.array.values(), |i, out| {
                out.extend(lists.range(i).rev().map(|k| k as u32));
                Ok(())
            })?
        }
        Concat => concat_lists(args, n)?,
        Flatten => {
            let lists = Lists::new(&args[0])?;
            let inner = lists.array.values().as_list::<i32>();
            let offsets = inner.value_offsets();
            let out = picked(&refs, n, inner.values(), |i, out| {
                for k in lists.range(i) {
                    out.extend(offsets[k] as u32..offsets[k + 1] as u32);
                }
                Ok(())
            })?;
            // An array with a NULL array in it flattens to NULL.
            let broken = (0..n).map(|i| lists.range(i).any(|k| inner.is_null(k))).collect::<Vec<_>>();
            arrow::compute::nullif(&out, &broken.into())?
        }
        Sequence => super::sequence::sequence(args, n)?,
        NamedStruct => {
            let columns = args.chunks(2).map(|pair| pair[1].clone().into_array(n)).collect::<Result<Vec<_>>>()?;
            let ArrowType::Struct(fields) = result.to_arrow() else { return Err(Error::internal("struct type")) };
            Arc::new(StructArray::try_new_with_length(fields, columns, None, n)?)
        }
        GetField => {
            let column = field(args[0].inner().as_struct(), &literal_text(&args[1])?)?;
            return Ok(wrap(column, args[0].is_scalar()));
        }
        GetArrayFields => {
            let lists = args[0].inner().as_list::<i32>();
            let column = field(lists.values().as_struct(), &literal_text(&args[1])?)?;
            return Ok(wrap(list_of(column, lists.offsets().clone(), lists.nulls().cloned())?, args[0].is_scalar()));
        }
        other => return Err(Error::internal(format!("`{}` is no function of collections", other.name()))),
    };
    Ok(wrap(array, scalar))
}

/// The values of a struct's field.
fn field(structs: &StructArray, name: &str) -> Result<ArrayRef> {
    let at = structs.fields().iter().position(|f| f.name().eq_ignore_ascii_case(name));
    let column = at.map(|i| structs.column(i).clone()).ok_or_else(|| Error::internal(format!("no field {name}")))?;
    under_nulls(structs, &column)
}

/// A struct's column, NULL where the struct is.
pub(super) fn under_nulls(structs: &StructArray, column: &ArrayRef) -> Result<ArrayRef> {
    if structs.null_count() == 0 {
        return Ok(column.clone());
    }
    Ok(arrow::compute::nullif(column, &arrow::compute::is_null(structs)?)?)
}

/// Whether element `i` of the first equals element `j` of the second, NULL equal to nothing.
pub(super) fn equality(left: &ArrayRef, right: &ArrayRef) -> Result<impl Fn(usize, usize) -> bool + use<>> {
    let compare = comparison::comparator(left, right)?;
    let (left, right) = (left.clone(), right.clone());
    Ok(move |i: usize, j: usize| left.is_valid(i) && right.is_valid(j) && compare(i, j).is_eq())
}

/// `array[i]`, `element_at(array, i)`, or a map's value for a key (NULL when absent).
fn item(function: ScalarFunction, args: &[Value], rows: usize) -> Result<ArrayRef> {
    let nulls = union_nulls(&[&args[0], &args[1]], rows);
    let valid = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
    if let Some(map) = args[0].inner().as_map_opt() {
        let same = equality(map.keys(), args[1].inner())?;
        let offsets = map.value_offsets();
        let find = |i: usize| -> Option<u32> {
            let at = i * args[0].step();
            let mut keys = offsets[at] as usize..offsets[at + 1] as usize;
            if valid(i) { keys.find(|k| same(*k, i * args[1].step())).map(|k| k as u32) } else { None }
        };
        return Ok(take(map.values(), &(0..rows).map(find).collect::<UInt32Array>(), None)?);
    }
    let lists = Lists::new(&args[0])?;
    let index = Arg::<Int32Array>::primitive(&args[1])?;
    let mut places: Vec<Option<u32>> = Vec::with_capacity(rows);
    for i in 0..rows {
        if !valid(i) {
            places.push(None);
            continue;
        }
        let (range, at) = (lists.range(i), index.at(i));
        let offset = match (function, at) {
            (ScalarFunction::GetItem | ScalarFunction::Get, _) => i64::from(at),
            (_, 0) => {
                let message = "The index 0 is invalid. An index shall be either < 0 or > 0 (the first element has index 1).";
                return Err(Error::new(ErrorClass::IndexOfZero, message));
            }
            (_, 1..) => i64::from(at) - 1,
            _ => range.len() as i64 + i64::from(at),
        };
        if offset < 0 || offset >= range.len() as i64 {
            if matches!(function, ScalarFunction::Get | ScalarFunction::TryElementAt) {
                places.push(None);
                continue;
            }
            return Err(index_error(function, at, range.len()));
        }
        places.push(Some((range.start as i64 + offset) as u32));
    }
    Ok(take(lists.array.values(), &UInt32Array::from(places), None)?)
}

fn concat_lists(args: &[Value], rows: usize) -> Result<ArrayRef> {
    let lists = args.iter().map(Lists::new).collect::<Result<Vec<_>>>()?;
    let nulls = union_nulls(&args.iter().collect::<Vec<_>>(), rows);
    let (mut places, mut lengths) = (vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        let before = places.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            for (which, l) in lists.iter().enumerate() {
                places.extend(l.range(row).map(|k| (which, k)));
            }
        }
        lengths.push(places.len() - before);
    }
    let values = if places.is_empty() {
        new_empty_array(lists[0].array.values().data_type())
    } else {
        interleave(&lists.iter().map(|l| l.array.values().as_ref()).collect::<Vec<_>>(), &places)?
    };
    list_of(values, OffsetBuffer::from_lengths(lengths), nulls)
}

/// Where the elements of a row that are not NULL are, in order.
fn sorted(lists: &Lists<'_>, row: usize, compare: &impl Fn(usize, usize) -> std::cmp::Ordering) -> Vec<u32> {
    if lists.is_null(row) {
        return vec![];
    }
    let mut order: Vec<u32> = lists.range(row).filter(|k| lists.array.values().is_valid(*k)).map(|k| k as u32).collect();
    order.sort_by(|a, b| compare(*a as usize, *b as usize));
    order
}

/// Percentiles of the elements at one fraction, or at each of an array of them; NULL without elements.
fn percentiles(function: ScalarFunction, args: &[Value], rows: usize) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let values = lists.array.values();
    let compare = comparison::comparator(values, values)?;
    let several = args[1].inner().as_list_opt::<i32>().map(|_| Lists::new(&args[1])).transpose()?;
    let fractions = several.as_ref().map_or(args[1].inner(), |f| f.array.values());
    let fractions = fractions.as_primitive_opt::<Float64Type>().ok_or_else(|| Error::internal("fractions were expected"))?;
    let range = |row: usize| match &several {
        Some(f) => f.range(row),
        None => row * args[1].step()..row * args[1].step() + 1,
    };
    let doubles = values.as_primitive_opt::<Float64Type>();
    // The places to mix and by how much; a discrete percentile is one place.
    let (mut places, mut mixed, mut lengths, mut known) = (vec![], vec![], vec![], vec![]);
    for row in 0..rows {
        let order = sorted(&lists, row, &compare);
        known.push(!order.is_empty());
        lengths.push(if order.is_empty() && several.is_some() { 0 } else { range(row).len() });
        for k in range(row) {
            let fraction = fractions.value(k);
            match (order.len().checked_sub(1), function, doubles) {
                (None, ..) if several.is_some() => {}
                (None, ..) => {
                    places.push(None);
                    mixed.push(None);
                }
                (Some(last), ScalarFunction::ArrayPercentile, Some(doubles)) => {
                    let position = fraction * last as f64;
                    let value = |at: f64| doubles.value(order[(at as usize).min(last)] as usize);
                    let (low, high) = (value(position.floor()), value(position.ceil()));
                    mixed.push(Some(low + (high - low) * position.fract()));
                }
                (Some(_), ..) => {
                    let at = (fraction * order.len() as f64).ceil() as usize;
                    places.push(order.get(at.saturating_sub(1)).copied());
                }
            }
        }
    }
    let found: ArrayRef = match function {
        ScalarFunction::ArrayPercentile => Arc::new(arrow::array::Float64Array::from(mixed)),
        _ => take(values, &UInt32Array::from(places), None)?,
    };
    match several {
        Some(_) => list_of(found, OffsetBuffer::from_lengths(lengths), Some(NullBuffer::from(known)).filter(|n| n.null_count() > 0)),
        None => Ok(found),
    }
}

/// `array_insert(array, position, item)`: the item comes to stand at the position (from 1, negative from the end), NULLs
/// filling a gap.
fn array_insert(args: &[Value], rows: usize) -> Result<ArrayRef> {
    let (lists, position) = (Lists::new(&args[0])?, Arg::<Int32Array>::primitive(&args[1])?);
    let nulls = union_nulls(&[&args[0], &args[1]], rows);
    // Sources: elements, items, and one NULL.
    let missing = new_null_array(args[2].inner().data_type(), 1);
    let sources: [&dyn Array; 3] = [lists.array.values().as_ref(), args[2].inner().as_ref(), missing.as_ref()];
    let (mut places, mut lengths) = (vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        let before = places.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let (range, at) = (lists.range(row), i64::from(position.at(row)));
            let size = range.len() as i64;
            if i128::from(at.unsigned_abs()) + before as i128 > LONGEST {
                return Err(Error::new(ErrorClass::ResourceExhausted, "`array_insert` makes too many elements."));
            }
            let elements = range.map(|k| (0, k));
            let item = (1, row * args[2].step());
            let gap = |n: i64| std::iter::repeat_n((2, 0), n.max(0) as usize);
            match at {
                0 => {
                    let message = "The index 0 is invalid. An index shall be either < 0 or > 0 (the first element has index 1).";
                    return Err(Error::new(ErrorClass::IndexOfZero, message));
                }
                1.. => {
                    places.extend(elements.chain(gap(at - 1 - size)));
                    places.insert(before + at as usize - 1, item);
                }
                _ => {
                    let from = size + at + 1;
                    if from < 0 {
                        places.push(item);
                        places.extend(gap(-from).chain(elements));
                    } else {
                        places.extend(elements);
                        places.insert(before + from as usize, item);
                    }
                }
            }
        }
        lengths.push(places.len() - before);
    }
    let values = if places.is_empty() { new_empty_array(missing.data_type()) } else { interleave(&sources, &places)? };
    list_of(values, OffsetBuffer::from_lengths(lengths), nulls)
}

/// Structs of the elements at one place, of names and arrays by turns; NULL where an array is shorter.
fn arrays_zip(args: &[Value], result: &DataType, rows: usize) -> Result<ArrayRef> {
    let lists = args.iter().skip(1).step_by(2).map(Lists::new).collect::<Result<Vec<_>>>()?;
    let DataType::Array(element) = result else { return Err(Error::internal("array type")) };
    let ArrowType::Struct(fields) = element.to_arrow() else { return Err(Error::internal("struct type")) };
    let nulls = union_nulls(&args.iter().collect::<Vec<_>>(), rows);
    let (mut places, mut lengths) = (vec![vec![]; lists.len()], Vec::with_capacity(rows));
    for row in 0..rows {
        let valid = nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let longest = if valid { lists.iter().map(|l| l.range(row).len()).max().unwrap_or(0) } else { 0 };
        for (list, places) in lists.iter().zip(&mut places) {
            let range = list.range(row);
            places.extend((0..longest).map(|k| range.clone().nth(k).map(|k| k as u32)));
        }
        lengths.push(longest);
    }
    let columns = lists.iter().zip(places).map(|(l, p)| Ok(take(l.array.values(), &UInt32Array::from(p), None)?));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let structs = StructArray::try_new_with_length(fields, columns, None, lengths.iter().sum())?;
    list_of(Arc::new(structs), OffsetBuffer::from_lengths(lengths), nulls)
}

/// Union, intersection or difference of two arrays as sets, in the order of first appearance; NULLs are equal here.
fn set_operation(function: ScalarFunction, args: &[Value], rows: usize) -> Result<ArrayRef> {
    let both = concat_lists(args, rows)?;
    let (list, first) = (both.as_list::<i32>(), Lists::new(&args[0])?);
    let values = list.values();
    let compare = comparison::comparator(values, values)?;
    let offsets = list.value_offsets();
    picked(&args.iter().collect::<Vec<_>>(), rows, values, |row, out| {
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        let middle = start + first.range(row).len();
        let found = |range: std::ops::Range<usize>, k: usize| range.into_iter().any(|other| compare(other, k).is_eq());
        let candidates = if function == ScalarFunction::ArrayUnion { start..end } else { start..middle };
        let begin = out.len();
        for k in candidates {
            let wanted = match function {
                ScalarFunction::ArrayIntersect => found(middle..end, k),
                ScalarFunction::ArrayExcept => !found(middle..end, k),
                _ => true,
            };
            if wanted && !out[begin..].iter().any(|seen| compare(*seen as usize, k).is_eq()) {
                out.push(k as u32);
            }
        }
        Ok(())
    })
}

/// Most elements that the arrays made for one batch may have.
pub(super) const LONGEST: i128 = 1 << 27;

/// NULLs of a SQL type.
pub(super) fn null_array(t: &DataType, rows: usize) -> ArrayRef {
    new_null_array(&t.to_arrow(), rows)
}
