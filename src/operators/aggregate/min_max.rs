//! Least and greatest values by group.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewBuilder, BooleanArray, PrimitiveArray, StringViewBuilder, new_null_array,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Date32Type, Decimal64Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType, TimeUnit, TimestampMicrosecondType,
};
use arrow::row::{OwnedRow, RowConverter, SortField};

use super::accumulators::{Accumulator, Rows, Seen, mismatch, real_nulls};
use crate::base::Result;
use crate::expr::evaluate::normalise_floats;

/// # Errors
/// `Internal` for types that cannot be ordered.
pub fn min_max(data_type: &DataType, max: bool) -> Result<Box<dyn Accumulator>> {
    fn make<T: ArrowPrimitiveType<Native: Ordered>>(data_type: &DataType, max: bool) -> Result<Box<dyn Accumulator>> {
        Ok(if max {
            Box::new(Primitive::<T, true> { best: vec![], seen: Seen::default(), data_type: data_type.clone() })
        } else {
            Box::new(Primitive::<T, false> { best: vec![], seen: Seen::default(), data_type: data_type.clone() })
        })
    }
    match data_type {
        DataType::Boolean => Ok(Box::new(Booleans { best: vec![], max })),
        DataType::Int8 => make::<Int8Type>(data_type, max),
        DataType::Int16 => make::<Int16Type>(data_type, max),
        DataType::Int32 => make::<Int32Type>(data_type, max),
        DataType::Int64 => make::<Int64Type>(data_type, max),
        DataType::Float32 => make::<Float32Type>(data_type, max),
        DataType::Float64 => make::<Float64Type>(data_type, max),
        DataType::Date32 => make::<Date32Type>(data_type, max),
        DataType::Decimal64(..) => make::<Decimal64Type>(data_type, max),
        DataType::Decimal128(..) => make::<Decimal128Type>(data_type, max),
        DataType::Timestamp(TimeUnit::Microsecond, _) => make::<TimestampMicrosecondType>(data_type, max),
        DataType::Duration(TimeUnit::Microsecond) => make::<DurationMicrosecondType>(data_type, max),
        DataType::Interval(IntervalUnit::YearMonth) => make::<IntervalYearMonthType>(data_type, max),
        DataType::Utf8View | DataType::BinaryView => Ok(Box::new(Bytes { best: vec![], bytes: 0, max, data_type: data_type.clone() })),
        other => {
            let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
            Ok(Box::new(Encoded { best: vec![], bytes: 0, max, converter, data_type: other.clone() }))
        }
    }
}

/// Spark's order: NaN is greatest, -0.0 equals 0.0.
trait Ordered: ArrowNativeTypeOp {
    const LEAST: Self;
    const GREATEST: Self;
    fn less(self, other: Self) -> bool;
}

macro_rules! ordered {
    ($($t:ty),*) => {$(
        impl Ordered for $t {
            const LEAST: Self = <$t>::MIN;
            const GREATEST: Self = <$t>::MAX;
            fn less(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}
ordered!(i8, i16, i32, i64, i128);

macro_rules! ordered_float {
    ($($t:ty),*) => {$(
        impl Ordered for $t {
            const LEAST: Self = <$t>::NEG_INFINITY;
            const GREATEST: Self = <$t>::NAN;
            fn less(self, other: Self) -> bool {
                self < other || (other.is_nan() && !self.is_nan())
            }
        }
    )*};
}
ordered_float!(f32, f64);

struct Primitive<T: ArrowPrimitiveType, const MAX: bool> {
    best: Vec<T::Native>,
    seen: Seen,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType<Native: Ordered>, const MAX: bool> Primitive<T, MAX> {
    /// What every value is at least as good as.
    const WORST: T::Native = if MAX { T::Native::LEAST } else { T::Native::GREATEST };
}

impl<T: ArrowPrimitiveType<Native: Ordered>, const MAX: bool> Accumulator for Primitive<T, MAX> {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        let array = values.as_primitive_opt::<T>().ok_or_else(|| mismatch("min or max", values))?;
        let (nulls, values) = (real_nulls(array), array.values());
        self.best.resize(rows.groups, Self::WORST);
        let best = &mut self.best[..];
        let mut improve = |group: usize, value: T::Native| {
            let current = &mut best[group];
            if if MAX { current.less(value) } else { value.less(*current) } {
                *current = value;
            }
        };
        match self.seen.prepare(&rows, nulls) {
            None => rows.each(values, nulls, improve),
            Some(seen) => rows.each(values, nulls, |group, value| {
                improve(group, value);
                seen[group] = true;
            }),
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.best.capacity() * size_of::<T::Native>() + self.seen.memory()
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.best.resize(groups, Self::WORST);
        let values = ScalarBuffer::from(std::mem::take(&mut self.best));
        Ok(Arc::new(PrimitiveArray::<T>::try_new(values, self.seen.finish(groups))?.with_data_type(self.data_type.clone())))
    }
}

struct Booleans {
    best: Vec<Option<bool>>,
    max: bool,
}

impl Accumulator for Booleans {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        let array = values.as_boolean_opt().ok_or_else(|| mismatch("min or max", values))?;
        self.best.resize(rows.groups, None);
        rows.each_row(real_nulls(array), |group, row| {
            let (value, best) = (array.value(row), &mut self.best[group]);
            *best = Some(best.map_or(value, |b| if self.max { b | value } else { b & value }));
        });
        Ok(())
    }

    fn memory(&self) -> usize {
        self.best.capacity()
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.best.resize(groups, None);
        Ok(Arc::new(BooleanArray::from(std::mem::take(&mut self.best))))
    }
}

/// Strings and binary values, compared by bytes.
struct Bytes {
    best: Vec<Option<Vec<u8>>>,
    /// Bytes of the values, about.
    bytes: usize,
    max: bool,
    data_type: DataType,
}

impl Bytes {
    fn improve<'a>(&mut self, rows: Rows, array: &'a dyn Array, value: impl Fn(usize) -> &'a [u8]) {
        let wanted = if self.max { Ordering::Greater } else { Ordering::Less };
        self.best.resize(rows.groups, None);
        rows.each_row(real_nulls(array), |group, row| {
            let value = value(row);
            match &mut self.best[group] {
                Some(best) if value.cmp(best.as_slice()) == wanted => {
                    best.clear();
                    best.extend_from_slice(value);
                }
                Some(_) => {}
                none => {
                    self.bytes += value.len();
                    *none = Some(value.to_vec());
                }
            }
        });
    }
}

impl Accumulator for Bytes {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        if let Some(strings) = values.as_string_view_opt() {
            self.improve(rows, strings, |row| strings.value(row).as_bytes());
        } else if let Some(binary) = values.as_binary_view_opt() {
            self.improve(rows, binary, |row| binary.value(row));
        } else {
            return Err(mismatch("min or max", values));
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.best.capacity() * size_of::<Option<Vec<u8>>>() + self.bytes
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.best.resize(groups, None);
        let best = std::mem::take(&mut self.best);
        if self.data_type == DataType::BinaryView {
            let mut builder = BinaryViewBuilder::with_capacity(groups);
            best.iter().for_each(|b| builder.append_option(b.as_deref()));
            return Ok(Arc::new(builder.finish()));
        }
        let mut builder = StringViewBuilder::with_capacity(groups);
        for value in &best {
            builder.append_option(value.as_deref().map(String::from_utf8_lossy));
        }
        Ok(Arc::new(builder.finish()))
    }
}

/// Values of nested types, compared in Arrow's row format.
struct Encoded {
    best: Vec<Option<OwnedRow>>,
    /// Bytes of the values, about.
    bytes: usize,
    max: bool,
    converter: RowConverter,
    data_type: DataType,
}

impl Accumulator for Encoded {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        let encoded = self.converter.convert_columns(&[normalise_floats(values)?])?;
        let wanted = if self.max { Ordering::Greater } else { Ordering::Less };
        self.best.resize(rows.groups, None);
        rows.each_row(real_nulls(values), |group, row| {
            let (value, best) = (encoded.row(row), &mut self.best[group]);
            if best.as_ref().is_none_or(|b| value.cmp(&b.row()) == wanted) {
                self.bytes += if best.is_none() { value.as_ref().len() } else { 0 };
                *best = Some(value.owned());
            }
        });
        Ok(())
    }

    fn memory(&self) -> usize {
        self.best.capacity() * size_of::<Option<OwnedRow>>() + self.bytes
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.best.resize(groups, None);
        let null = self.converter.convert_columns(&[new_null_array(&self.data_type, 1)])?;
        let rows = self.best.iter().map(|b| b.as_ref().map_or(null.row(0), |b| b.row()));
        Ok(self.converter.convert_rows(rows)?.remove(0))
    }
}
