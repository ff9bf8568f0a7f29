//! Between single values and arrays.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, BooleanArray, Decimal64Array, Decimal128Array, ListArray, MapArray,
    PrimitiveArray, PrimitiveBuilder, StringViewArray, StructArray, new_empty_array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::concat;
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalYearMonthType, TimestampMicrosecondType,
};

use super::value::repeat;
use crate::base::schema::MAX_LONG_PRECISION;
use crate::base::{DataType, Error, Field, Result, Scalar};

/// `rows` copies of the value, in the Arrow type of its SQL type.
///
/// # Errors
/// `Internal` when a decimal does not fit its declared precision.
pub fn to_array(value: &Scalar, rows: usize) -> Result<ArrayRef> {
    if let Scalar::Null(t) = value {
        return Ok(new_null_array(&t.to_arrow(), rows));
    }
    if rows == 0 {
        return Ok(new_empty_array(&value.data_type().to_arrow()));
    }
    repeat(&one(value)?, rows)
}

/// The values as one array of a type; NULLs may be of any type.
///
/// # Errors
/// As [`to_array`].
pub fn list_to_array(values: &[Scalar], data_type: &DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(new_empty_array(&data_type.to_arrow()));
    }
    if let Some(array) = plain_list(values, data_type) {
        return Ok(array);
    }
    let parts = values
        .iter()
        .map(|v| if v.is_null() { Ok(new_null_array(&data_type.to_arrow(), 1)) } else { one(v) })
        .collect::<Result<Vec<_>>>()?;
    Ok(concat(&parts.iter().map(|p| p.as_ref()).collect::<Vec<_>>())?)
}

/// Long lists are of few types: their arrays are made at once. `None` for other types, and for values that are not of the type.
fn plain_list(values: &[Scalar], data_type: &DataType) -> Option<ArrayRef> {
    match data_type {
        DataType::Int => primitives::<Int32Type>(values, |v| if let Scalar::Int(v) = v { Some(*v) } else { None }),
        DataType::Long => primitives::<Int64Type>(values, |v| if let Scalar::Long(v) = v { Some(*v) } else { None }),
        DataType::Date => primitives::<Date32Type>(values, |v| if let Scalar::Date(v) = v { Some(*v) } else { None }),
        DataType::String => {
            let text = |v: &Scalar| if let Scalar::String(v) = v { Some(v.clone()) } else { None };
            let texts: Vec<Option<Arc<str>>> = values.iter().map(text).collect();
            let all = values.iter().zip(&texts).all(|(v, text)| text.is_some() || v.is_null());
            all.then(|| Arc::new(StringViewArray::from_iter(texts)) as ArrayRef)
        }
        _ => None,
    }
}

fn primitives<T: ArrowPrimitiveType>(values: &[Scalar], of_type: impl Fn(&Scalar) -> Option<T::Native>) -> Option<ArrayRef> {
    let mut array = PrimitiveBuilder::<T>::with_capacity(values.len());
    for value in values {
        match of_type(value) {
            Some(v) => array.append_value(v),
            None if value.is_null() => array.append_null(),
            None => return None,
        }
    }
    Some(Arc::new(array.finish()))
}

fn one(value: &Scalar) -> Result<ArrayRef> {
    let t = value.data_type().to_arrow();
    Ok(match value {
        Scalar::Null(_) => new_null_array(&t, 1),
        Scalar::Boolean(v) => Arc::new(BooleanArray::from(vec![*v])),
        Scalar::Byte(v) => Arc::new(PrimitiveArray::<Int8Type>::from_value(*v, 1)),
        Scalar::Short(v) => Arc::new(PrimitiveArray::<Int16Type>::from_value(*v, 1)),
        Scalar::Int(v) => Arc::new(PrimitiveArray::<Int32Type>::from_value(*v, 1)),
        Scalar::Long(v) => Arc::new(PrimitiveArray::<Int64Type>::from_value(*v, 1)),
        Scalar::Float(v) => Arc::new(PrimitiveArray::<Float32Type>::from_value(*v, 1)),
        Scalar::Double(v) => Arc::new(PrimitiveArray::<Float64Type>::from_value(*v, 1)),
        Scalar::Decimal { value, precision, scale } if *precision <= MAX_LONG_PRECISION => {
            let value = i64::try_from(*value).map_err(|_| Error::internal(format!("{value} as decimal({precision},{scale})")))?;
            Arc::new(Decimal64Array::from_value(value, 1).with_precision_and_scale(*precision, *scale)?)
        }
        Scalar::Decimal { value, precision, scale } => {
            Arc::new(Decimal128Array::from_value(*value, 1).with_precision_and_scale(*precision, *scale)?)
        }
        Scalar::String(v) => Arc::new(StringViewArray::from(vec![v.as_ref()])),
        Scalar::Binary(v) => Arc::new(BinaryViewArray::from(vec![v.as_ref()])),
        Scalar::Date(v) => Arc::new(PrimitiveArray::<Date32Type>::from_value(*v, 1)),
        Scalar::Timestamp(v) | Scalar::TimestampNtz(v) => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_value(*v, 1).with_data_type(t))
        }
        Scalar::YearMonthInterval(v) => Arc::new(PrimitiveArray::<IntervalYearMonthType>::from_value(*v, 1)),
        Scalar::DayTimeInterval(v) => Arc::new(PrimitiveArray::<DurationMicrosecondType>::from_value(*v, 1)),
        Scalar::Array(items, element) => {
            let values = list_to_array(items, element)?;
            let ArrowType::List(field) = t else { return Err(Error::internal("array type")) };
            Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths([values.len()]), values, None)?)
        }
        Scalar::Map(entries, k, v) => {
            let ArrowType::Map(field, sorted) = t else { return Err(Error::internal("map type")) };
            let (keys, values): (Vec<_>, Vec<_>) = entries.iter().cloned().unzip();
            let ArrowType::Struct(fields) = field.data_type().clone() else { return Err(Error::internal("map entries")) };
            let entries = StructArray::try_new(fields, vec![list_to_array(&keys, k)?, list_to_array(&values, v)?], None)?;
            Arc::new(MapArray::try_new(field, OffsetBuffer::from_lengths([entries.len()]), entries, None, sorted)?)
        }
        Scalar::Struct(items, fields) => {
            let ArrowType::Struct(arrow_fields) = t else { return Err(Error::internal("struct type")) };
            let columns =
                items.iter().zip(fields).map(|(v, f)| list_to_array(std::slice::from_ref(v), &f.data_type)).collect::<Result<_>>()?;
            Arc::new(StructArray::try_new_with_length(arrow_fields, columns, None::<NullBuffer>, 1)?)
        }
    })
}

/// The value of a row.
///
/// # Errors
/// `Unsupported` for Arrow types that no SQL type is represented by.
pub fn from_array(array: &dyn Array, row: usize) -> Result<Scalar> {
    let t = DataType::from_arrow(array.data_type())?;
    if array.is_null(row) || t == DataType::Null {
        return Ok(Scalar::Null(t));
    }
    Ok(match &t {
        DataType::Null => Scalar::Null(t),
        DataType::Boolean => Scalar::Boolean(array.as_boolean().value(row)),
        DataType::Byte => Scalar::Byte(array.as_primitive::<Int8Type>().value(row)),
        DataType::Short => Scalar::Short(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int => Scalar::Int(array.as_primitive::<Int32Type>().value(row)),
        DataType::Long => Scalar::Long(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float => Scalar::Float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Double => Scalar::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal { precision, scale } => {
            let value = match array.data_type() {
                ArrowType::Decimal64(..) => i128::from(array.as_primitive::<Decimal64Type>().value(row)),
                ArrowType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value(row),
                other => return Err(Error::unsupported(format!("values of Arrow type {other}"))),
            };
            Scalar::Decimal { value, precision: *precision, scale: *scale }
        }
        DataType::String => match array.data_type() {
            ArrowType::Utf8View => Scalar::string(array.as_string_view().value(row)),
            ArrowType::Utf8 => Scalar::string(array.as_string::<i32>().value(row)),
            other => return Err(Error::unsupported(format!("values of Arrow type {other}"))),
        },
        DataType::Binary => match array.data_type() {
            ArrowType::BinaryView => Scalar::Binary(array.as_binary_view().value(row).into()),
            ArrowType::Binary => Scalar::Binary(array.as_binary::<i32>().value(row).into()),
            other => return Err(Error::unsupported(format!("values of Arrow type {other}"))),
        },
        DataType::Date => Scalar::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp => Scalar::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::TimestampNtz => Scalar::TimestampNtz(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::YearMonthInterval => Scalar::YearMonthInterval(array.as_primitive::<IntervalYearMonthType>().value(row)),
        DataType::DayTimeInterval => Scalar::DayTimeInterval(array.as_primitive::<DurationMicrosecondType>().value(row)),
        DataType::Array(element) => {
            let items = array.as_list::<i32>().value(row);
            Scalar::Array((0..items.len()).map(|i| from_array(&items, i)).collect::<Result<_>>()?, element.as_ref().clone())
        }
        DataType::Map(k, v) => {
            let entries = array.as_map().value(row);
            let pairs = (0..entries.len()).map(|i| Ok((from_array(entries.column(0), i)?, from_array(entries.column(1), i)?)));
            Scalar::Map(pairs.collect::<Result<_>>()?, k.as_ref().clone(), v.as_ref().clone())
        }
        DataType::Struct(fields) => {
            let row_of = array.as_struct();
            let fields: Vec<Field> = fields.clone();
            Scalar::Struct(row_of.columns().iter().map(|c| from_array(c, row)).collect::<Result<_>>()?, fields)
        }
    })
}
