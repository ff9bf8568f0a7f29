//! Fixed-width values as unsigned numbers of the same order, to be packed into machine words as hash or sort keys.
//!
//! Signed numbers are shifted by flipping the sign bit. Floats follow Spark's order: -0.0 is 0.0, NaN is one value and greatest.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal64Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType, TimeUnit, TimestampMicrosecondType,
};

use crate::base::number::KeyFloat;
use crate::base::{Error, Result};
use crate::runtime::hash;

/// A value that has an unsigned image of the same order.
trait Image: Copy {
    fn image(self) -> u64;
    fn restore(image: u64) -> Self;
}

macro_rules! signed_image {
    ($($t:ty, $u:ty);*) => {$(
        impl Image for $t {
            fn image(self) -> u64 {
                u64::from(self as $u ^ (1 << (<$t>::BITS - 1)))
            }
            fn restore(image: u64) -> Self {
                (image as $u ^ (1 << (<$t>::BITS - 1))) as $t
            }
        }
    )*};
}
signed_image!(i8, u8; i16, u16; i32, u32; i64, u64);

macro_rules! float_image {
    ($($t:ty, $u:ty);*) => {$(
        impl Image for $t {
            fn image(self) -> u64 {
                let bits = self.canonical().to_bits();
                let sign = 1 << (<$u>::BITS - 1);
                u64::from(if bits & sign == 0 { bits | sign } else { !bits })
            }
            fn restore(image: u64) -> Self {
                let (image, sign) = (image as $u, 1 << (<$u>::BITS - 1));
                <$t>::from_bits(if image & sign != 0 { image & !sign } else { !image })
            }
        }
    )*};
}
float_image!(f32, u32; f64, u64);

/// Calls `$f::<T>(…)` with the arrow type of a fixed-width primitive, or evaluates `$other`.
macro_rules! with_fixed_type {
    ($data_type:expr, $f:ident ( $($arg:expr),* ), $other:expr) => {
        match $data_type {
            DataType::Int8 => $f::<Int8Type>($($arg),*),
            DataType::Int16 => $f::<Int16Type>($($arg),*),
            DataType::Int32 => $f::<Int32Type>($($arg),*),
            DataType::Int64 => $f::<Int64Type>($($arg),*),
            DataType::Float32 => $f::<Float32Type>($($arg),*),
            DataType::Float64 => $f::<Float64Type>($($arg),*),
            DataType::Date32 => $f::<Date32Type>($($arg),*),
            DataType::Decimal64(_, _) => $f::<Decimal64Type>($($arg),*),
            DataType::Timestamp(TimeUnit::Microsecond, _) => $f::<TimestampMicrosecondType>($($arg),*),
            DataType::Duration(TimeUnit::Microsecond) => $f::<DurationMicrosecondType>($($arg),*),
            DataType::Interval(IntervalUnit::YearMonth) => $f::<IntervalYearMonthType>($($arg),*),
            _ => $other,
        }
    };
}

/// Hash of one word.
#[inline(always)]
pub fn mix(value: u64) -> u64 {
    hash::combine(hash::SEED, value)
}

/// Hash of two words.
#[inline(always)]
pub fn hash_wide(value: u128) -> u64 {
    hash::combine(mix(value as u64), (value >> 64) as u64)
}

/// Hash of a string.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    mix(hash::bytes_word(bytes))
}

/// Bits of the images of a type; `None` when its values have none.
pub fn width(data_type: &DataType) -> Option<u32> {
    fn bits<T: ArrowPrimitiveType>() -> Option<u32> {
        Some(8 * size_of::<T::Native>() as u32)
    }
    if *data_type == DataType::Boolean {
        return Some(1);
    }
    with_fixed_type!(data_type, bits(), None)
}

/// Puts the image of each value into `out`; that of a NULL is 0.
///
/// # Errors
/// `Internal` for types without images.
pub fn images(array: &dyn Array, out: &mut Vec<u64>) -> Result<()> {
    fn fill<T: ArrowPrimitiveType<Native: Image>>(array: &dyn Array, out: &mut Vec<u64>) -> Result<()> {
        out.extend(array.as_primitive::<T>().values().iter().map(|v| v.image()));
        Ok(())
    }
    out.clear();
    if let Some(booleans) = array.as_boolean_opt() {
        out.extend(booleans.values().iter().map(u64::from));
    } else {
        with_fixed_type!(array.data_type(), fill(array, out), Err(unsupported(array.data_type())))?;
    }
    if let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) {
        for (image, valid) in out.iter_mut().zip(nulls.iter()) {
            *image &= u64::from(valid).wrapping_neg();
        }
    }
    Ok(())
}

/// The array of a fixed-width type that has these images.
///
/// # Errors
/// `Internal` for types without images.
pub fn restore(data_type: &DataType, images: impl ExactSizeIterator<Item = u64>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    fn build<T: ArrowPrimitiveType<Native: Image>>(
        data_type: &DataType,
        images: impl Iterator<Item = u64>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        let values: ScalarBuffer<T::Native> = images.map(T::Native::restore).collect::<Vec<_>>().into();
        Ok(Arc::new(PrimitiveArray::<T>::try_new(values, nulls)?.with_data_type(data_type.clone())))
    }
    if *data_type == DataType::Boolean {
        let values: BooleanBuffer = images.map(|i| i != 0).collect();
        return Ok(Arc::new(BooleanArray::new(values, nulls)));
    }
    with_fixed_type!(data_type, build(data_type, images, nulls), Err(unsupported(data_type)))
}

fn unsupported(data_type: &DataType) -> Error {
    Error::internal(format!("values of type {data_type} are not of fixed width"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_keep_order_and_come_back() {
        let doubles = [f64::NEG_INFINITY, -1.5, 0.0, 2.0, f64::INFINITY, f64::NAN];
        let all: Vec<u64> = doubles.iter().map(|d| d.image()).collect();
        assert!(all.is_sorted());
        assert_eq!((-0.0f64).image(), 0.0f64.image());
        assert_eq!((-f64::NAN).image(), f64::NAN.image());
        assert!(doubles.iter().zip(&all).all(|(d, i)| f64::restore(*i).total_cmp(&if d.is_nan() { f64::NAN.abs() } else { *d }).is_eq()));
        assert!((-5i32).image() < 3i32.image());
        assert_eq!(i64::restore((-5i64).image()), -5);
    }
}
