//! From Arrow columns to packed rows and key hashes: how the build side of a join gets into its table.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
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

/// Least and greatest of a column's integers; `None` for other types, an empty column, or a column with NULLs only.
///
/// # Errors
/// `Internal` for types that compiled stages do not handle.
pub fn integer_range(array: &ArrayRef) -> Result<Option<(i64, i64)>> {
    fn range(array: &ArrayRef, value: impl Fn(usize) -> i64) -> Option<(i64, i64)> {
        let valid = (0..array.len()).filter(|i| array.is_valid(*i)).map(value);
        valid.fold(None, |range, v| Some(range.map_or((v, v), |(lo, hi): (i64, i64)| (lo.min(v), hi.max(v)))))
    }
    Ok(match values(array)? {
        Values::I8(v) => range(array, |i| i64::from(v[i])),
        Values::I16(v) => range(array, |i| i64::from(v[i])),
        Values::I32(v) => range(array, |i| i64::from(v[i])),
        Values::I64(v) => range(array, |i| v[i]),
        Values::Bits(_) | Values::I128(_) | Values::F32(_) | Values::F64(_) | Values::Str(..) => None,
    })
}

/// The integers of a column less `least`.
///
/// # Errors
/// `Internal` for other types.
pub fn integer_offsets(array: &ArrayRef, least: i64, out: &mut Vec<u64>) -> Result<()> {
    let offset = |v: i64| v.wrapping_sub(least) as u64;
    match values(array)? {
        Values::I8(v) => out.extend(v.iter().map(|v| offset(i64::from(*v)))),
        Values::I16(v) => out.extend(v.iter().map(|v| offset(i64::from(*v)))),
        Values::I32(v) => out.extend(v.iter().map(|v| offset(i64::from(*v)))),
        Values::I64(v) => out.extend(v.iter().map(|v| offset(*v))),
        Values::Bits(_) | Values::I128(_) | Values::F32(_) | Values::F64(_) | Values::Str(..) => return Err(mismatch(array)),
    }
    Ok(())
}

/// Writes the values of a column at the positions `order` to field `field` of `rows`, of `row_words` words each.
///
/// # Errors
/// `Internal` for types that compiled stages do not handle.
pub fn gather_column(array: &ArrayRef, field: &RowField, order: &[u32], rows: &mut [u64], row_words: usize) -> Result<()> {
    fn each<T>(order: &[u32], rows: &mut [u64], row_words: usize, offset: usize, value: impl Fn(usize) -> T) {
        assert!(rows.len() >= order.len() * row_words && offset + size_of::<T>() <= row_words * 8);
        let base: *mut u8 = rows.as_mut_ptr().cast();
        for (i, from) in order.iter().enumerate() {
            // SAFETY: the assertion; the offset may not be aligned for T.
            unsafe { base.add(i * row_words * 8 + offset).cast::<T>().write_unaligned(value(*from as usize)) };
        }
    }
    let at = field.offset;
    match values(array)? {
        Values::Bits(v) => each(order, rows, row_words, at, |i| u8::from(v.value(i))),
        Values::I8(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::I16(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::I32(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::I64(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::I128(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::F32(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::F64(v) => each(order, rows, row_words, at, |i| v[i]),
        Values::Str(views, buffers) => {
            let empty = StrRef { lo: 0, hi: 0 };
            each(order, rows, row_words, at, |i| if array.is_valid(i) { string_at(views, &buffers, i) } else { empty });
        }
    }
    if let Some(null) = field.null {
        each(order, rows, row_words, null, |i| u8::from(array.is_null(i)));
    }
    Ok(())
}
