//! From Arrow columns to packed rows and key hashes: how the build side of a join gets into its table.

use std::marker::PhantomData;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType as ArrowType;

use super::batch::{fixed_width_values, mismatch};
use super::hash;
use super::row::RowField;
use super::string::{INLINE, StrRef};
use crate::base::Result;

/// The values of a column, by how they are held in rows.
enum Values<'a> {
    Bits(&'a BooleanBuffer),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    I128(&'a [i128]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Str(&'a [u128], Vec<*const u8>),
}

fn values(array: &ArrayRef) -> Result<Values<'_>> {
    let n = array.len();
    let fixed = || fixed_width_values(array).ok_or_else(|| mismatch(array));
    // SAFETY (all): fixed_width_values gives the address of n values of the type that the Arrow type says.
    Ok(match array.data_type() {
        ArrowType::Boolean => Values::Bits(array.as_boolean().values()),
        ArrowType::Utf8View => {
            let a = array.as_string_view();
            Values::Str(a.views(), a.data_buffers().iter().map(|b| b.as_ptr()).collect())
        }
        ArrowType::BinaryView => {
            let a = array.as_binary_view();
            Values::Str(a.views(), a.data_buffers().iter().map(|b| b.as_ptr()).collect())
        }
        ArrowType::Int8 => Values::I8(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        ArrowType::Int16 => Values::I16(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        ArrowType::Float32 => Values::F32(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        ArrowType::Float64 => Values::F64(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        ArrowType::Decimal128(..) => Values::I128(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        t if t.primitive_width() == Some(4) => Values::I32(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        t if t.primitive_width() == Some(8) => Values::I64(unsafe { std::slice::from_raw_parts(fixed()?.cast(), n) }),
        _ => return Err(mismatch(array)),
    })
}

fn string_at(views: &[u128], buffers: &[*const u8], i: usize) -> StrRef {
    let (lo, hi) = (views[i] as u64, (views[i] >> 64) as u64);
    if lo as u32 as usize <= INLINE {
        return StrRef { lo, hi };
    }
    StrRef { lo, hi: buffers[hi as u32 as usize] as u64 + (hi >> 32) }
}

/// Folds a key column into the hashes of its rows, as generated code does (`codegen::hash`).
///
/// # Errors
/// `Internal` for types that compiled stages do not handle.
pub fn hash_column(array: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    fn each(hashes: &mut [u64], mut word: impl FnMut(usize) -> u64) {
        for (i, h) in hashes.iter_mut().enumerate() {
            *h = hash::combine(*h, word(i));
        }
    }
    match values(array)? {
        Values::Bits(v) => each(hashes, |i| u64::from(v.value(i))),
        Values::I8(v) => each(hashes, |i| i64::from(v[i]) as u64),
        Values::I16(v) => each(hashes, |i| i64::from(v[i]) as u64),
        Values::I32(v) => each(hashes, |i| i64::from(v[i]) as u64),
        Values::I64(v) => each(hashes, |i| v[i] as u64),
        Values::I128(v) => {
            each(hashes, |i| v[i] as u64);
            each(hashes, |i| (v[i] >> 64) as u64);
        }
        Values::F32(v) => each(hashes, |i| {
            u64::from(
                if v[i] == 0.0 {
                    0.0f32
                } else if v[i].is_nan() {
                    f32::NAN
                } else {
                    v[i]
                }
                .to_bits(),
            )
        }),
        Values::F64(v) => each(hashes, |i| {
            if v[i] == 0.0 {
                0.0f64
            } else if v[i].is_nan() {
                f64::NAN
            } else {
                v[i]
            }
            .to_bits()
        }),
        Values::Str(views, buffers) => {
            for (i, h) in hashes.iter_mut().enumerate() {
                if array.is_valid(i) {
                    // SAFETY: the view of a valid row points into the array's buffers.
                    let (lo, hi) = unsafe { string_at(views, &buffers, i).hash_words() };
                    *h = hash::combine(hash::combine(*h, lo), hi);
                }
            }
        }
    }
    Ok(())
}

/// The integers of a column.
pub enum Integers<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// The values of a column of integers (or of what is held as integers of up to 64 bits); `None` for other types.
///
/// # Errors
/// `Internal` for types that compiled stages do not handle.
pub fn integers(array: &ArrayRef) -> Result<Option<Integers<'_>>> {
    Ok(match values(array)? {
        Values::I8(v) => Some(Integers::I8(v)),
        Values::I16(v) => Some(Integers::I16(v)),
        Values::I32(v) => Some(Integers::I32(v)),
        Values::I64(v) => Some(Integers::I64(v)),
        Values::Bits(_) | Values::I128(_) | Values::F32(_) | Values::F64(_) | Values::Str(..) => None,
    })
}

impl Integers<'_> {
    /// Calls `f` with the number and the value of each row of `rows` that is not NULL.
    pub fn each(&self, rows: Range<usize>, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, i64)) {
        fn all<T: Copy + Into<i64>>(v: &[T], rows: Range<usize>, nulls: Option<&NullBuffer>, f: &mut impl FnMut(usize, i64)) {
            match nulls.filter(|n| n.null_count() > 0) {
                None => rows.clone().zip(&v[rows]).for_each(|(i, v)| f(i, (*v).into())),
                Some(nulls) => rows.filter(|i| nulls.is_valid(*i)).for_each(|i| f(i, v[i].into())),
            }
        }
        match self {
            Integers::I8(v) => all(v, rows, nulls, &mut f),
            Integers::I16(v) => all(v, rows, nulls, &mut f),
            Integers::I32(v) => all(v, rows, nulls, &mut f),
            Integers::I64(v) => all(v, rows, nulls, &mut f),
        }
    }

    fn len(&self) -> usize {
        match self {
            Integers::I8(v) => v.len(),
            Integers::I16(v) => v.len(),
            Integers::I32(v) => v.len(),
            Integers::I64(v) => v.len(),
        }
    }

    /// The least and the greatest that is not NULL.
    pub fn range(&self, nulls: Option<&NullBuffer>) -> Option<(i64, i64)> {
        let mut range = (i64::MAX, i64::MIN);
        self.each(0..self.len(), nulls, |_, v| range = (range.0.min(v), range.1.max(v)));
        (range.0 <= range.1).then_some(range)
    }
}

/// The target of a row that is not to be written.
pub const NOWHERE: u32 = u32::MAX;

/// Packed rows that several threads write, each to rows of its own.
pub struct RowsTarget<'a> {
    base: *mut u8,
    row_size: usize,
    rows: usize,
    _rows: PhantomData<&'a mut [u64]>,
}

// SAFETY: writers keep to rows of their own; see `scatter_column`.
unsafe impl Sync for RowsTarget<'_> {}

impl<'a> RowsTarget<'a> {
    /// `rows` as rows of `row_size` bytes, a multiple of 8.
    pub fn new(rows: &'a mut [u64], row_size: usize) -> Self {
        let count = (rows.len() * 8).checked_div(row_size).unwrap_or(0);
        Self { base: rows.as_mut_ptr().cast(), row_size, rows: count, _rows: PhantomData }
    }
}

/// Writes the values of a column's rows from `first` on to field `field` of the rows `targets` ([`NOWHERE`]: not at all). No other
/// thread writes to the same rows meanwhile.
///
/// # Errors
/// `Internal` for types that compiled stages do not handle.
pub fn scatter_column(array: &ArrayRef, field: &RowField, first: usize, targets: &[u32], out: &RowsTarget) -> Result<()> {
    fn each<T>(targets: &[u32], out: &RowsTarget, offset: usize, value: impl Fn(usize) -> T) {
        assert!(offset + size_of::<T>() <= out.row_size);
        for (i, target) in targets.iter().enumerate() {
            let row = *target as usize;
            if row < out.rows {
                // SAFETY: the field is within the row, the row within the rows, and no other thread's; it may not be aligned for T.
                unsafe { out.base.add(row * out.row_size + offset).cast::<T>().write_unaligned(value(i)) };
            }
        }
    }
    let at = field.offset;
    match values(array)? {
        Values::Bits(v) => each(targets, out, at, |i| u8::from(v.value(first + i))),
        Values::I8(v) => each(targets, out, at, |i| v[first + i]),
        Values::I16(v) => each(targets, out, at, |i| v[first + i]),
        Values::I32(v) => each(targets, out, at, |i| v[first + i]),
        Values::I64(v) => each(targets, out, at, |i| v[first + i]),
        Values::I128(v) => each(targets, out, at, |i| v[first + i]),
        Values::F32(v) => each(targets, out, at, |i| v[first + i]),
        Values::F64(v) => each(targets, out, at, |i| v[first + i]),
        Values::Str(views, buffers) => {
            let empty = StrRef { lo: 0, hi: 0 };
            each(targets, out, at, |i| if array.is_valid(first + i) { string_at(views, &buffers, first + i) } else { empty });
        }
    }
    if let Some(null) = field.null {
        each(targets, out, null, |i| u8::from(array.is_null(first + i)));
    }
    Ok(())
}
