//! Spark's hashes of rows, Murmur3_x86_32 and XXH64, over each column in turn, the hash so far being the next seed. NULL leaves it
//! as it is.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Date32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalYearMonthType, TimestampMicrosecondType,
};

use twox_hash::XxHash64;

use crate::base::number::KeyFloat;
use crate::base::schema::MAX_LONG_PRECISION;
use crate::base::{Error, Result};
use crate::runtime::murmur3::{hash_bytes, hash_int, hash_long};

/// A hash so far, and how a value goes into it.
trait RowHash: Copy {
    /// A value of at most 32 bits.
    fn int(self, value: i32) -> Self;
    fn long(self, value: i64) -> Self;
    fn bytes(self, bytes: &[u8]) -> Self;

    fn double(self, value: f64) -> Self {
        self.long(value.canonical().to_bits() as i64)
    }

    fn float(self, value: f32) -> Self {
        self.int(value.canonical().to_bits() as i32)
    }

    /// A decimal of more than 18 digits: the shortest big-endian two's complement of its unscaled value.
    fn wide_decimal(self, value: i128) -> Self {
        let bytes = value.to_be_bytes();
        let fill = if value < 0 { 0xFF } else { 0 };
        let mut start = 0;
        while start < 15 && bytes[start] == fill && (bytes[start + 1] ^ fill) & 0x80 == 0 {
            start += 1;
        }
        self.bytes(&bytes[start..])
    }
}

/// Murmur3.
impl RowHash for i32 {
    fn int(self, value: i32) -> Self {
        hash_int(value, self)
    }

    fn long(self, value: i64) -> Self {
        hash_long(value, self)
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        hash_bytes(bytes, self)
    }
}

/// XXH64.
impl RowHash for i64 {
    fn int(self, value: i32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn long(self, value: i64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        XxHash64::oneshot(self as u64, bytes) as i64
    }
}

/// The hash of each of `rows` rows over the columns, as `hash(…)` and hash partitioning use it (seed 42).
///
/// # Errors
/// `Unsupported` for Arrow types that no SQL type is represented by.
pub fn murmur3(columns: &[ArrayRef], rows: usize, seed: i32) -> Result<Vec<i32>> {
    let mut hashes = vec![seed; rows];
    for column in columns {
        update(column.as_ref(), &mut hashes)?;
    }
    Ok(hashes)
}

/// Spark's seed of the hash that places rows in partitions and buckets.
const PLACE_SEED: i32 = 42;

/// Which of `n` partitions or buckets each row belongs to by the values of `columns`.
///
/// # Errors
/// As [`murmur3`].
pub fn places(columns: &[ArrayRef], rows: usize, n: usize) -> Result<Vec<u32>> {
    let n = n as i32;
    Ok(murmur3(columns, rows, PLACE_SEED)?.into_iter().map(|h| h.rem_euclid(n) as u32).collect())
}

/// As [`murmur3`], for `xxhash64(…)`.
///
/// # Errors
/// As [`murmur3`].
pub fn xxhash64(columns: &[ArrayRef], rows: usize, seed: i64) -> Result<Vec<i64>> {
    let mut hashes = vec![seed; rows];
    for column in columns {
        update(column.as_ref(), &mut hashes)?;
    }
    Ok(hashes)
}

fn primitive<T: ArrowPrimitiveType, H: RowHash>(array: &dyn Array, hashes: &mut [H], f: impl Fn(H, T::Native) -> H) {
    let a = array.as_primitive::<T>();
    match a.nulls().filter(|n| n.null_count() > 0) {
        None => hashes.iter_mut().zip(a.values()).for_each(|(h, v)| *h = f(*h, *v)),
        Some(nulls) => hashes.iter_mut().zip(a.values()).zip(nulls).for_each(|((h, v), valid)| {
            if valid {
                *h = f(*h, *v);
            }
        }),
    }
}

/// Folds a column into the hashes of its rows.
fn update<H: RowHash>(array: &dyn Array, hashes: &mut [H]) -> Result<()> {
    let valid = |i: usize| array.is_valid(i);
    match array.data_type() {
        ArrowType::Null => {}
        ArrowType::Boolean => {
            let a = array.as_boolean();
            hashes.iter_mut().enumerate().filter(|(i, _)| valid(*i)).for_each(|(i, h)| *h = h.int(a.value(i).into()));
        }
        ArrowType::Int8 => primitive::<Int8Type, H>(array, hashes, |h, v| h.int(v.into())),
        ArrowType::Int16 => primitive::<Int16Type, H>(array, hashes, |h, v| h.int(v.into())),
        ArrowType::Int32 => primitive::<Int32Type, H>(array, hashes, H::int),
        ArrowType::Date32 => primitive::<Date32Type, H>(array, hashes, H::int),
        ArrowType::Int64 => primitive::<Int64Type, H>(array, hashes, H::long),
        ArrowType::Timestamp(..) => primitive::<TimestampMicrosecondType, H>(array, hashes, H::long),
        ArrowType::Duration(_) => primitive::<DurationMicrosecondType, H>(array, hashes, H::long),
        ArrowType::Interval(_) => primitive::<IntervalYearMonthType, H>(array, hashes, H::int),
        ArrowType::Float32 => primitive::<Float32Type, H>(array, hashes, H::float),
        ArrowType::Float64 => primitive::<Float64Type, H>(array, hashes, H::double),
        ArrowType::Decimal64(..) => primitive::<Decimal64Type, H>(array, hashes, H::long),
        ArrowType::Decimal128(p, _) if *p <= MAX_LONG_PRECISION => primitive::<Decimal128Type, H>(array, hashes, |h, v| h.long(v as i64)),
        ArrowType::Decimal128(..) => primitive::<Decimal128Type, H>(array, hashes, H::wide_decimal),
        ArrowType::Utf8View => {
            let a = array.as_string_view();
            hashes.iter_mut().enumerate().filter(|(i, _)| valid(*i)).for_each(|(i, h)| *h = h.bytes(a.value(i).as_bytes()));
        }
        ArrowType::BinaryView => {
            let a = array.as_binary_view();
            hashes.iter_mut().enumerate().filter(|(i, _)| valid(*i)).for_each(|(i, h)| *h = h.bytes(a.value(i)));
        }
        ArrowType::List(_) => {
            let a = array.as_list::<i32>();
            for (i, h) in hashes.iter_mut().enumerate().filter(|(i, _)| valid(*i)) {
                let items = a.value(i);
                for k in 0..items.len() {
                    let mut one = [*h];
                    update(items.slice(k, 1).as_ref(), &mut one)?;
                    *h = one[0];
                }
            }
        }
        ArrowType::Map(..) => {
            let a = array.as_map();
            for (i, h) in hashes.iter_mut().enumerate().filter(|(i, _)| valid(*i)) {
                let entries = a.value(i);
                let mut one = [*h];
                for k in 0..entries.len() {
                    update(entries.column(0).slice(k, 1).as_ref(), &mut one)?;
                    update(entries.column(1).slice(k, 1).as_ref(), &mut one)?;
                }
                *h = one[0];
            }
        }
        ArrowType::Struct(_) => {
            let a = array.as_struct();
            let before = hashes.to_vec();
            for column in a.columns() {
                update(column.as_ref(), hashes)?;
            }
            if a.null_count() > 0 {
                hashes.iter_mut().zip(before).enumerate().filter(|(i, _)| a.is_null(*i)).for_each(|(_, (h, old))| *h = old);
            }
        }
        other => return Err(Error::unsupported(format!("hash of Arrow type {other}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparks_values() {
        assert_eq!(hash_int(1, 42), -559_580_957);
        assert_eq!(hash_long(1, 42), -1_712_319_331);
        assert_eq!(hash_int(0, 42), 933_211_791);
        assert_eq!(hash_long(0, 42), -1_670_924_195);
        // hash('Spark', array(123), 2)
        assert_eq!(hash_int(2, hash_int(123, hash_bytes(b"Spark", 42))), -1_321_691_492);
        assert_eq!(42.double(-0.0), 42.double(0.0));
        assert_eq!(42.wide_decimal(1), hash_bytes(&[1], 42));
        assert_eq!(42.wide_decimal(-1), hash_bytes(&[0xFF], 42));
        assert_eq!(42.wide_decimal(200), hash_bytes(&[0, 200], 42));
        // xxhash64('Spark', 1)
        assert_eq!(42i64.bytes(b"Spark").int(1), -4_449_867_541_325_528_513);
    }
}
