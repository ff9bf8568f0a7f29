//! What evaluation passes around: an array, or one value that stands for every row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, BooleanArray, Datum, PrimitiveArray, StringViewArray, UInt32Array,
    new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{BinaryViewType, ByteViewType, StringViewType};

use crate::base::{Error, Result};

/// An array of as many rows as the input, or an array of one row that stands for all (a literal, or what follows from literals).
#[derive(Debug, Clone)]
pub enum Value {
    Array(ArrayRef),
    Scalar(ArrayRef),
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        match self {
            Value::Array(a) => (a.as_ref(), false),
            Value::Scalar(a) => (a.as_ref(), true),
        }
    }
}

impl Value {
    /// The array, of one row for a scalar.
    pub fn inner(&self) -> &ArrayRef {
        match self {
            Value::Array(a) | Value::Scalar(a) => a,
        }
    }

    pub fn is_scalar(&self) -> bool {
        matches!(self, Value::Scalar(_))
    }

    /// 0 for a scalar, else 1: row `i` is at `i * step()`.
    pub fn step(&self) -> usize {
        usize::from(!self.is_scalar())
    }

    /// Whether this is a NULL for every row, known without looking at rows.
    pub fn is_null_scalar(&self) -> bool {
        self.is_scalar() && self.inner().is_null(0)
    }

    /// An array of `rows` rows.
    ///
    /// # Errors
    /// `Internal` when an array has another length.
    pub fn into_array(self, rows: usize) -> Result<ArrayRef> {
        match self {
            Value::Array(a) if a.len() == rows => Ok(a),
            Value::Array(a) => Err(Error::internal(format!("an expression gave {} values for {rows} rows", a.len()))),
            Value::Scalar(a) => repeat(&a, rows),
        }
    }

    /// A function of one argument, keeping a scalar a scalar.
    pub fn map(&self, f: impl FnOnce(&ArrayRef) -> Result<ArrayRef>) -> Result<Value> {
        Ok(match self {
            Value::Array(a) => Value::Array(f(a)?),
            Value::Scalar(a) => Value::Scalar(f(a)?),
        })
    }
}

/// `rows` copies of the one value.
pub fn repeat(one: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    if rows == 1 {
        return Ok(one.clone());
    }
    if one.is_null(0) {
        return Ok(new_null_array(one.data_type(), rows));
    }
    Ok(take(one.as_ref(), &UInt32Array::from(vec![0; rows]), None)?)
}

/// Rows of a result over these arguments and whether it is a scalar: one row if all are scalars.
pub fn extent(args: &[&Value], rows: usize) -> (usize, bool) {
    if args.iter().all(|a| a.is_scalar()) { (1, true) } else { (rows, false) }
}

/// The result as a scalar or an array.
pub fn wrap(array: ArrayRef, scalar: bool) -> Value {
    if scalar { Value::Scalar(array) } else { Value::Array(array) }
}

/// NULL where any argument is. A NULL scalar makes all NULL.
pub fn union_nulls(args: &[&Value], rows: usize) -> Option<NullBuffer> {
    let mut out: Option<NullBuffer> = None;
    for a in args {
        if a.is_null_scalar() {
            return Some(NullBuffer::new_null(rows));
        }
        let nulls = match a {
            Value::Scalar(one) if rows != 1 || one.is_empty() => None,
            other => other.inner().logical_nulls(),
        };
        out = NullBuffer::union(out.as_ref(), nulls.as_ref());
    }
    out.filter(|n| n.null_count() > 0)
}

/// Downcast to a primitive array.
///
/// # Errors
/// `Internal` when the array is of another type.
pub fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    array.as_any().downcast_ref().ok_or_else(|| Error::internal(format!("{} where {} was expected", array.data_type(), T::DATA_TYPE)))
}

/// Downcast to strings.
///
/// # Errors
/// `Internal` when the array is of another type.
pub fn strings(array: &ArrayRef) -> Result<&StringViewArray> {
    array.as_any().downcast_ref().ok_or_else(|| Error::internal(format!("{} where strings were expected", array.data_type())))
}

/// Downcast to booleans.
///
/// # Errors
/// `Internal` when the array is of another type.
pub fn booleans(array: &ArrayRef) -> Result<&BooleanArray> {
    array.as_any().downcast_ref().ok_or_else(|| Error::internal(format!("{} where booleans were expected", array.data_type())))
}

/// A typed argument of a row loop: row `i` is NULL or a value.
pub struct Arg<'a, A> {
    pub array: &'a A,
    step: usize,
}

impl<'a, T: ArrowPrimitiveType> Arg<'a, PrimitiveArray<T>> {
    /// # Errors
    /// See [`primitive`].
    pub fn primitive(value: &'a Value) -> Result<Self> {
        Ok(Self { array: primitive(value.inner())?, step: value.step() })
    }

    /// The value of a row; meaningless where NULL.
    #[inline]
    pub fn at(&self, row: usize) -> T::Native {
        self.array.values()[row * self.step]
    }
}

impl<'a> Arg<'a, StringViewArray> {
    /// # Errors
    /// See [`strings`].
    pub fn string(value: &'a Value) -> Result<Self> {
        Ok(Self { array: strings(value.inner())?, step: value.step() })
    }

    /// The value of a row; meaningless where NULL.
    #[inline]
    pub fn at(&self, row: usize) -> &'a str {
        self.array.value(row * self.step)
    }
}

impl<'a> Arg<'a, BooleanArray> {
    /// # Errors
    /// See [`booleans`].
    pub fn boolean(value: &'a Value) -> Result<Self> {
        Ok(Self { array: booleans(value.inner())?, step: value.step() })
    }

    /// The value of a row; meaningless where NULL.
    #[inline]
    pub fn at(&self, row: usize) -> bool {
        self.array.value(row * self.step)
    }
}

/// An argument as bytes: a binary value, or the UTF-8 of a string.
pub struct Bytes {
    array: BinaryViewArray,
    step: usize,
}

impl Bytes {
    /// # Errors
    /// `Internal` when the array is of another type.
    pub fn new(value: &Value) -> Result<Self> {
        let array = value.inner();
        let array = match array.as_string_view_opt() {
            Some(text) => text.clone().to_binary_view(),
            None => array
                .as_binary_view_opt()
                .cloned()
                .ok_or_else(|| Error::internal(format!("{} where bytes were expected", array.data_type())))?,
        };
        Ok(Self { array, step: value.step() })
    }

    /// The value of a row; meaningless where NULL.
    #[inline]
    pub fn at(&self, row: usize) -> &[u8] {
        self.array.value(row * self.step)
    }
}

impl<A: Array> Arg<'_, A> {
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row * self.step)
    }
}

/// A primitive result from a function of the row, called for rows that are not NULL; it gives NULL or fails.
///
/// # Errors
/// Those of `f`.
pub fn build<T: ArrowPrimitiveType>(
    args: &[&Value],
    rows: usize,
    mut f: impl FnMut(usize) -> Result<Option<T::Native>>,
) -> Result<PrimitiveArray<T>> {
    let nulls = union_nulls(args, rows);
    let mut values = Vec::with_capacity(rows);
    let mut made_null: Option<Vec<bool>> = None;
    for row in 0..rows {
        let value = if nulls.as_ref().is_some_and(|n| n.is_null(row)) { Some(T::Native::default()) } else { f(row)? };
        values.push(value.unwrap_or_default());
        if value.is_none() {
            made_null.get_or_insert_with(|| vec![true; rows])[row] = false;
        }
    }
    let nulls = match made_null {
        Some(valid) => NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::from(valid))),
        None => nulls,
    };
    Ok(PrimitiveArray::new(values.into(), nulls))
}

/// A boolean result of a function of the row that is called on every row without NULLs in its arguments.
pub fn build_boolean(args: &[&Value], rows: usize, f: impl FnMut(usize) -> bool) -> BooleanArray {
    let nulls = union_nulls(args, rows);
    let mut f = f;
    let values = match &nulls {
        None => arrow::buffer::BooleanBuffer::collect_bool(rows, f),
        Some(n) => arrow::buffer::BooleanBuffer::collect_bool(rows, |i| n.is_valid(i) && f(i)),
    };
    BooleanArray::new(values, nulls)
}

/// Strings from a function of the row that appends to a scratch buffer and returns whether there is a value; called for rows
/// without NULLs in their arguments.
///
/// # Errors
/// Those of `f`.
pub fn build_strings(args: &[&Value], rows: usize, f: impl FnMut(usize, &mut String) -> Result<bool>) -> Result<ArrayRef> {
    build_views::<StringViewType, _>(args, rows, String::clear, f)
}

/// As [`build_strings`], of bytes.
///
/// # Errors
/// Those of `f`.
pub fn build_bytes(args: &[&Value], rows: usize, f: impl FnMut(usize, &mut Vec<u8>) -> Result<bool>) -> Result<ArrayRef> {
    build_views::<BinaryViewType, _>(args, rows, Vec::clear, f)
}

fn build_views<T: ByteViewType, S: Default + AsRef<T::Native>>(
    args: &[&Value],
    rows: usize,
    clear: fn(&mut S),
    mut f: impl FnMut(usize, &mut S) -> Result<bool>,
) -> Result<ArrayRef> {
    let nulls = union_nulls(args, rows);
    let mut out = arrow::array::GenericByteViewBuilder::<T>::with_capacity(rows);
    let mut scratch = S::default();
    for row in 0..rows {
        clear(&mut scratch);
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) || !f(row, &mut scratch)? {
            out.append_null();
        } else {
            out.append_value(&scratch);
        }
    }
    Ok(Arc::new(out.finish()))
}
