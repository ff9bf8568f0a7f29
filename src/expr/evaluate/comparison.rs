//! `=`, `<=>`, `<` and so on: Arrow's kernels, but for floats, whose zeros are equal and whose NaNs are equal and greatest.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, DynComparator, Int64Array, ListArray, MapArray, StructArray,
    make_comparator,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::SortOptions;
use arrow::compute::kernels::cmp;
use arrow::datatypes::{DataType as ArrowType, FieldRef, Fields, Float32Type, Float64Type, Int64Type};

use super::logic;
use super::value::{Arg, Value, extent, union_nulls, wrap};
use crate::base::number::KeyFloat;
use crate::base::{Error, Result};
use crate::expr::ComparisonOp;

pub(super) fn evaluate(op: ComparisonOp, left: &Value, right: &Value, rows: usize) -> Result<Value> {
    let (n, scalar) = extent(&[left, right], rows);
    if op != ComparisonOp::EqualNullSafe && (left.is_null_scalar() || right.is_null_scalar()) {
        return Ok(wrap(logic::nulls(n), scalar));
    }
    let (l, r) = (left.inner().data_type(), right.inner().data_type());
    if !l.equals_datatype(r) {
        return Err(Error::internal(format!("comparison of {l} and {r}")));
    }
    let out = match l {
        ArrowType::Float32 => floats::<Float32Type>(op, left, right, n)?,
        ArrowType::Float64 => floats::<Float64Type>(op, left, right, n)?,
        t if t.is_nested() => nested(op, left, right, n)?,
        _ => match op {
            ComparisonOp::Equal => cmp::eq(left, right)?,
            ComparisonOp::EqualNullSafe => cmp::not_distinct(left, right)?,
            ComparisonOp::NotEqual => cmp::neq(left, right)?,
            ComparisonOp::Less => cmp::lt(left, right)?,
            ComparisonOp::LessOrEqual => cmp::lt_eq(left, right)?,
            ComparisonOp::Greater => cmp::gt(left, right)?,
            ComparisonOp::GreaterOrEqual => cmp::gt_eq(left, right)?,
        },
    };
    Ok(wrap(Arc::new(out), scalar))
}

fn floats<T: ArrowPrimitiveType>(op: ComparisonOp, left: &Value, right: &Value, rows: usize) -> Result<BooleanArray>
where
    T::Native: PartialOrd,
{
    let (l, r) = (Arg::<arrow::array::PrimitiveArray<T>>::primitive(left)?, Arg::<arrow::array::PrimitiveArray<T>>::primitive(right)?);
    // A NaN is the value that is not equal to itself.
    let nan = |x: T::Native| x.partial_cmp(&x).is_none();
    let equal = |a: T::Native, b: T::Native| a == b || (nan(a) && nan(b));
    let less = |a: T::Native, b: T::Native| a < b || (!nan(a) && nan(b));
    let values = match op {
        ComparisonOp::EqualNullSafe => BooleanBuffer::collect_bool(rows, |i| match (l.is_null(i), r.is_null(i)) {
            (false, false) => equal(l.at(i), r.at(i)),
            (a, b) => a && b,
        }),
        ComparisonOp::Equal => BooleanBuffer::collect_bool(rows, |i| equal(l.at(i), r.at(i))),
        ComparisonOp::NotEqual => BooleanBuffer::collect_bool(rows, |i| !equal(l.at(i), r.at(i))),
        ComparisonOp::Less => BooleanBuffer::collect_bool(rows, |i| less(l.at(i), r.at(i))),
        ComparisonOp::LessOrEqual => BooleanBuffer::collect_bool(rows, |i| !less(r.at(i), l.at(i))),
        ComparisonOp::Greater => BooleanBuffer::collect_bool(rows, |i| less(r.at(i), l.at(i))),
        ComparisonOp::GreaterOrEqual => BooleanBuffer::collect_bool(rows, |i| !less(l.at(i), r.at(i))),
    };
    let nulls = if op == ComparisonOp::EqualNullSafe { None } else { union_nulls(&[left, right], rows) };
    Ok(BooleanArray::new(values, nulls))
}

/// Arrays and structs: item by item, NULL items first.
fn nested(op: ComparisonOp, left: &Value, right: &Value, rows: usize) -> Result<BooleanArray> {
    use std::cmp::Ordering::*;
    let compare = comparator(left.inner(), right.inner())?;
    let (ls, rs) = (left.step(), right.step());
    let (l, r) = (left.inner(), right.inner());
    let values = BooleanBuffer::collect_bool(rows, |i| {
        let (a, b) = (i * ls, i * rs);
        if l.is_null(a) || r.is_null(b) {
            return op == ComparisonOp::EqualNullSafe && l.is_null(a) && r.is_null(b);
        }
        let order = compare(a, b);
        match op {
            ComparisonOp::Equal | ComparisonOp::EqualNullSafe => order == Equal,
            ComparisonOp::NotEqual => order != Equal,
            ComparisonOp::Less => order == Less,
            ComparisonOp::LessOrEqual => order != Greater,
            ComparisonOp::Greater => order == Greater,
            ComparisonOp::GreaterOrEqual => order != Less,
        }
    });
    let nulls = if op == ComparisonOp::EqualNullSafe { None } else { union_nulls(&[left, right], rows) };
    Ok(BooleanArray::new(values, nulls))
}

/// The order of the rows of two arrays of one type, NULLs first; float zeros are equal, NaNs equal and greatest.
///
/// # Errors
/// Types that cannot be ordered.
pub fn comparator(left: &ArrayRef, right: &ArrayRef) -> Result<DynComparator> {
    let options = SortOptions { descending: false, nulls_first: true };
    Ok(make_comparator(&normalise_floats(left)?, &normalise_floats(right)?, options)?)
}

/// Values as keys are compared and hashed: floats with one NaN and without -0.0, inside arrays, maps and structs too.
///
/// # Errors
/// Those of Arrow.
pub fn normalise_floats(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        t if !has_floats(t) => array.clone(),
        ArrowType::Float32 => Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(KeyFloat::canonical)),
        ArrowType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(KeyFloat::canonical)),
        ArrowType::List(field) => {
            let list = array.as_list::<i32>();
            Arc::new(ListArray::try_new(field.clone(), list.offsets().clone(), normalise_floats(list.values())?, list.nulls().cloned())?)
        }
        ArrowType::Struct(_) => Arc::new(normalise_fields(array.as_struct())?),
        ArrowType::Map(field, sorted) => {
            let map = array.as_map();
            let entries = normalise_fields(map.entries())?;
            Arc::new(MapArray::try_new(field.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *sorted)?)
        }
        _ => array.clone(),
    })
}

fn normalise_fields(structs: &StructArray) -> Result<StructArray> {
    let columns = structs.columns().iter().map(normalise_floats).collect::<Result<Vec<_>>>()?;
    Ok(StructArray::try_new_with_length(structs.fields().clone(), columns, structs.nulls().cloned(), structs.len())?)
}

/// Keys that are equal where `collect_set` takes values for the same. As Spark puts them into a hash set, a NaN is equal to no
/// other, but within arrays and structs, which are compared by their bytes, it is equal to itself and -0.0 is not equal to 0.0.
/// `met` NaNs at most came before these values.
///
/// # Errors
/// Those of Arrow.
pub fn set_keys(array: &ArrayRef, met: usize) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        t if !has_floats(t) => array.clone(),
        ArrowType::Float32 => set_keys(&arrow::compute::cast(array, &ArrowType::Float64)?, met)?,
        ArrowType::Float64 => {
            let (mut nan, doubles) = (f64::INFINITY.to_bits() as i64 + met as i64, array.as_primitive::<Float64Type>());
            let mut key = |x: f64| {
                nan += i64::from(x.is_nan());
                if x.is_nan() { nan } else { x.canonical().to_bits() as i64 }
            };
            let keys: Vec<i64> = doubles.values().iter().map(|x| key(*x)).collect();
            Arc::new(Int64Array::new(keys.into(), doubles.nulls().cloned()))
        }
        _ => bits(array)?,
    })
}

/// Nested values with their floats as integers of the same bits, but for NaNs, which are one.
fn bits(array: &ArrayRef) -> Result<ArrayRef> {
    let one_nan = |x: f64| if x.is_nan() { f64::NAN } else { x };
    Ok(match array.data_type() {
        t if !has_floats(t) => array.clone(),
        ArrowType::List(field) => {
            let list = array.as_list::<i32>();
            let values = bits(list.values())?;
            let field = field.as_ref().clone().with_data_type(values.data_type().clone());
            Arc::new(ListArray::try_new(Arc::new(field), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        ArrowType::Struct(fields) => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().map(bits).collect::<Result<Vec<_>>>()?;
            let with_type = |(f, c): (&FieldRef, &ArrayRef)| f.as_ref().clone().with_data_type(c.data_type().clone());
            let fields: Fields = fields.iter().zip(&columns).map(with_type).collect();
            Arc::new(StructArray::try_new_with_length(fields, columns, structs.nulls().cloned(), structs.len())?)
        }
        // Floats are as different as the doubles that they are cast to.
        _ => {
            let doubles = arrow::compute::cast(array, &ArrowType::Float64)?;
            Arc::new(doubles.as_primitive::<Float64Type>().unary::<_, Int64Type>(|x| one_nan(x).to_bits() as i64))
        }
    })
}

fn has_floats(t: &ArrowType) -> bool {
    match t {
        ArrowType::List(field) | ArrowType::Map(field, _) => has_floats(field.data_type()),
        ArrowType::Struct(fields) => fields.iter().any(|f| has_floats(f.data_type())),
        t => t.is_floating(),
    }
}
