//! Maps: made of pairs, arrays, entries or texts, and taken apart.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringViewBuilder, StructArray, UInt32Array, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType as ArrowType;

use super::collections::{Lists, equality, list_of, under_nulls};
use super::comparison;
use super::regex::Compiled;
use super::text::write_value;
use super::value::{Arg, Value, extent, union_nulls, wrap};
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::ScalarFunction;

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], result: &DataType, rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let (n, scalar) = extent(&args.iter().collect::<Vec<_>>(), rows);
    let array = match function {
        Map => from_pairs(args, result, n)?,
        MapFromArrays => from_arrays(args, result, n)?,
        MapFromEntries => from_entries(args, result, n)?,
        MapConcat => concat(args, result, n)?,
        StrToMap => from_texts(args, result, n)?,
        MapSort => sorted(args[0].inner())?,
        _ => {
            let map = args[0].inner().as_map();
            let values: ArrayRef = match function {
                MapKeys => map.keys().clone(),
                MapValues => map.values().clone(),
                _ => {
                    let DataType::Array(entry) = result else { return Err(Error::internal("array of entries")) };
                    let ArrowType::Struct(fields) = entry.to_arrow() else { return Err(Error::internal("entry")) };
                    Arc::new(StructArray::try_new(fields, vec![map.keys().clone(), map.values().clone()], None)?)
                }
            };
            list_of(values, map.offsets().clone(), map.nulls().cloned())?
        }
    };
    Ok(wrap(array, scalar))
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorClass::InvalidParameter, what)
}

/// Maps of so many entries each.
///
/// # Errors
/// `NullMapKey`, `DuplicatedMapKey`.
pub(super) fn map_of(
    result: &DataType,
    keys: ArrayRef,
    values: ArrayRef,
    lengths: Vec<usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if keys.logical_null_count() > 0 {
        return Err(Error::new(ErrorClass::NullMapKey, "Cannot use null as map key."));
    }
    let same = equality(&keys, &keys)?;
    let mut start = 0;
    for length in &lengths {
        for k in start..start + length {
            if (start..k).any(|other| same(other, k)) {
                let mut key = String::new();
                write_value(keys.as_ref(), k, &DataType::from_arrow(keys.data_type())?, &mut key)?;
                let message = format!("Duplicate map key {key} was found, please check the input data.");
                return Err(Error::new(ErrorClass::DuplicatedMapKey, message));
            }
        }
        start += length;
    }
    map_of_different(result, keys, values, OffsetBuffer::from_lengths(lengths), nulls)
}

/// As [`map_of`], of keys that are known to be different.
pub(super) fn map_of_different(
    result: &DataType,
    keys: ArrayRef,
    values: ArrayRef,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let ArrowType::Map(field, sorted) = result.to_arrow() else { return Err(Error::internal("map type")) };
    let ArrowType::Struct(fields) = field.data_type().clone() else { return Err(Error::internal("map entries")) };
    let entries = StructArray::try_new(fields, vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, nulls, sorted)?))
}

/// Values with the entries of their maps in the order of the keys.
fn sorted(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        t if DataType::from_arrow(t)?.is_orderable() => array.clone(),
        ArrowType::List(_) => {
            let list = array.as_list::<i32>();
            list_of(sorted(list.values())?, list.offsets().clone(), list.nulls().cloned())?
        }
        ArrowType::Struct(fields) => {
            let s = array.as_struct();
            let columns = s.columns().iter().map(sorted).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, s.nulls().cloned(), s.len())?)
        }
        t => {
            let map = array.as_map();
            let compare = comparison::comparator(map.keys(), map.keys())?;
            let mut order: Vec<u32> = (0..map.keys().len() as u32).collect();
            for range in map.value_offsets().windows(2) {
                order[range[0] as usize..range[1] as usize].sort_unstable_by(|a, b| compare(*a as usize, *b as usize));
            }
            let order = UInt32Array::from(order);
            let (keys, values) = (take(map.keys(), &order, None)?, take(&sorted(map.values())?, &order, None)?);
            map_of_different(&DataType::from_arrow(t)?, keys, values, map.offsets().clone(), map.nulls().cloned())?
        }
    })
}

/// `map(k, v, …)`.
fn from_pairs(args: &[Value], result: &DataType, rows: usize) -> Result<ArrayRef> {
    let DataType::Map(key, value) = result else { return Err(Error::internal("map type")) };
    let columns = args.iter().map(|a| a.clone().into_array(rows)).collect::<Result<Vec<_>>>()?;
    let pairs = columns.len() / 2;
    let side = |first: usize, t: &DataType| -> Result<ArrayRef> {
        let side: Vec<&dyn Array> = columns.iter().skip(first).step_by(2).map(|c| c.as_ref()).collect();
        let places: Vec<(usize, usize)> = (0..rows).flat_map(|row| (0..pairs).map(move |p| (p, row))).collect();
        if places.is_empty() { Ok(new_empty_array(&t.to_arrow())) } else { Ok(interleave(&side, &places)?) }
    };
    map_of(result, side(0, key)?, side(1, value)?, vec![pairs; rows], None)
}

/// `map_from_arrays(keys, values)`: arrays of one length.
fn from_arrays(args: &[Value], result: &DataType, rows: usize) -> Result<ArrayRef> {
    let (keys, values) = (Lists::new(&args[0])?, Lists::new(&args[1])?);
    let nulls = union_nulls(&[&args[0], &args[1]], rows);
    let (mut key_places, mut value_places, mut lengths) = (vec![], vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            lengths.push(0);
            continue;
        }
        let (k, v) = (keys.range(row), values.range(row));
        if k.len() != v.len() {
            return Err(invalid("The arrays of keys and values must have the same length."));
        }
        lengths.push(k.len());
        key_places.extend(k.map(|at| at as u32));
        value_places.extend(v.map(|at| at as u32));
    }
    let keys = take(keys.array.values(), &UInt32Array::from(key_places), None)?;
    let values = take(values.array.values(), &UInt32Array::from(value_places), None)?;
    map_of(result, keys, values, lengths, nulls)
}

/// `map_from_entries(array of structs)`; NULL where an entry is.
fn from_entries(args: &[Value], result: &DataType, rows: usize) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let entries = lists.array.values().as_struct_opt().ok_or_else(|| Error::internal("entries were expected"))?;
    let broken = (0..rows).map(|row| lists.range(row).all(|k| entries.is_valid(k))).collect::<NullBuffer>();
    let nulls = NullBuffer::union(union_nulls(&[&args[0]], rows).as_ref(), Some(&broken).filter(|n| n.null_count() > 0));
    let (mut places, mut lengths) = (vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        let range = if nulls.as_ref().is_some_and(|n| n.is_null(row)) { 0..0 } else { lists.range(row) };
        lengths.push(range.len());
        places.extend(range.map(|k| k as u32));
    }
    let places = UInt32Array::from(places);
    let side = |i: usize| -> Result<ArrayRef> { Ok(take(&under_nulls(entries, entries.column(i))?, &places, None)?) };
    map_of(result, side(0)?, side(1)?, lengths, nulls)
}

/// `map_concat(map, …)`.
fn concat(args: &[Value], result: &DataType, rows: usize) -> Result<ArrayRef> {
    let maps: Vec<&MapArray> = args.iter().map(|a| a.inner().as_map()).collect();
    let nulls = union_nulls(&args.iter().collect::<Vec<_>>(), rows);
    let (mut places, mut lengths) = (vec![], Vec::with_capacity(rows));
    for row in 0..rows {
        let before = places.len();
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            for (which, (map, arg)) in maps.iter().zip(args).enumerate() {
                let (at, offsets) = (row * arg.step(), map.value_offsets());
                places.extend((offsets[at] as usize..offsets[at + 1] as usize).map(|k| (which, k)));
            }
        }
        lengths.push(places.len() - before);
    }
    let side = |of: fn(&MapArray) -> &ArrayRef| -> Result<ArrayRef> {
        let sides: Vec<&dyn Array> = maps.iter().map(|m| of(m).as_ref()).collect();
        if places.is_empty() { Ok(new_empty_array(sides[0].data_type())) } else { Ok(interleave(&sides, &places)?) }
    };
    map_of(result, side(MapArray::keys)?, side(MapArray::values)?, lengths, nulls)
}

/// `str_to_map(text[, pair delimiter[, key-value delimiter]])`, the delimiters being regular expressions.
fn from_texts(args: &[Value], result: &DataType, rows: usize) -> Result<ArrayRef> {
    let texts = args.iter().map(Arg::string).collect::<Result<Vec<_>>>()?;
    let nulls = union_nulls(&args.iter().collect::<Vec<_>>(), rows);
    let (mut between_pairs, mut between_sides) = (Compiled::default(), Compiled::default());
    let (mut keys, mut values) = (StringViewBuilder::new(), StringViewBuilder::new());
    let mut lengths = Vec::with_capacity(rows);
    for row in 0..rows {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            lengths.push(0);
            continue;
        }
        let delimiter = |i: usize, default| texts.get(i).map_or(default, |t| t.at(row));
        let (pair, side) = (between_pairs.get(delimiter(1, ","))?, between_sides.get(delimiter(2, ":"))?);
        let mut count = 0;
        for entry in super::regex::split(pair, texts[0].at(row), -1) {
            let parts = super::regex::split(side, entry, 2);
            keys.append_value(parts[0]);
            values.append_option(parts.get(1));
            count += 1;
        }
        lengths.push(count);
    }
    map_of(result, Arc::new(keys.finish()), Arc::new(values.finish()), lengths, nulls)
}
