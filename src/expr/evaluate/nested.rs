//! Casts of arrays, maps and structs: item by item.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::datatypes::DataType as ArrowType;

use super::cast::cast;
use crate::base::{DataType, Error, Field, Result};

/// An array's elements as another type.
pub(super) fn cast_list(array: &ArrayRef, from: &DataType, to: &DataType, tries: bool) -> Result<ArrayRef> {
    let list = array.as_list::<i32>();
    let values = cast(list.values(), from, to, tries)?;
    let ArrowType::List(field) = DataType::Array(Box::new(to.clone())).to_arrow() else { return Err(Error::internal("array type")) };
    Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?))
}

/// A map's keys and values as other types.
pub(super) fn cast_map(array: &ArrayRef, from: (&DataType, &DataType), to: (&DataType, &DataType), tries: bool) -> Result<ArrayRef> {
    let map = array.as_map();
    let (keys, values) = (cast(map.keys(), from.0, to.0, tries)?, cast(map.values(), from.1, to.1, tries)?);
    make_map(DataType::Map(Box::new(to.0.clone()), Box::new(to.1.clone())), map, keys, values)
}

/// A map of the same rows with other entries.
fn make_map(t: DataType, like: &MapArray, keys: ArrayRef, values: ArrayRef) -> Result<ArrayRef> {
    let ArrowType::Map(field, sorted) = t.to_arrow() else { return Err(Error::internal("map type")) };
    let ArrowType::Struct(fields) = field.data_type().clone() else { return Err(Error::internal("map entries")) };
    let entries = StructArray::try_new(fields, vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(field, like.offsets().clone(), entries, like.nulls().cloned(), sorted)?))
}

/// A struct's fields as other types, by position.
pub(super) fn cast_struct(array: &ArrayRef, from: &[Field], to: &[Field], tries: bool) -> Result<ArrayRef> {
    let s = array.as_struct();
    let columns = s
        .columns()
        .iter()
        .zip(from.iter().zip(to))
        .map(|(c, (f, t))| cast(c, &f.data_type, &t.data_type, tries))
        .collect::<Result<Vec<_>>>()?;
    let ArrowType::Struct(fields) = DataType::Struct(to.to_vec()).to_arrow() else { return Err(Error::internal("struct type")) };
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, s.nulls().cloned(), s.len())?))
}
