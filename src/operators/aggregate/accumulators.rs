//! Typed vectors of buffer values, one per group, updated by tight loops over group ids and values.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Decimal64Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalUnit, IntervalYearMonthType, TimeUnit,
};

use super::bitmap::Bitmaps;
use super::bloom::Bloom;
use super::distinct_count::DistinctCount;
use super::gather::{Collect, Pick};
use super::min_max::min_max;
use super::moments::{Moments, Source};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::aggregate::Accumulate;

/// Which group each value of a batch belongs to.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// Group of each row; `None` when all belong to group 0.
    pub ids: Option<&'a [u32]>,
    pub len: usize,
    /// Groups so far.
    pub groups: usize,
    /// Every group that is new with this batch has a row among these.
    pub complete: bool,
}

impl Rows<'_> {
    /// Calls `f(group, value)` for each value that is not NULL.
    pub fn each<T: Copy>(&self, values: &[T], nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, T)) {
        match (self.ids, nulls) {
            (Some(ids), None) => ids.iter().zip(values).for_each(|(g, v)| f(*g as usize, *v)),
            (Some(ids), Some(nulls)) => nulls.valid_indices().for_each(|i| f(ids[i] as usize, values[i])),
            (None, None) => values.iter().for_each(|v| f(0, *v)),
            (None, Some(nulls)) => nulls.valid_indices().for_each(|i| f(0, values[i])),
        }
    }

    /// Calls `f(group, row)` for each row of which the value is not NULL.
    pub fn each_row(&self, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, usize)) {
        let group = |i: usize| self.ids.map_or(0, |ids| ids[i] as usize);
        match nulls {
            None => (0..self.len).for_each(|i| f(group(i), i)),
            Some(nulls) => nulls.valid_indices().for_each(|i| f(group(i), i)),
        }
    }
}

/// One buffer column of an aggregation, one value per group.
pub trait Accumulator: Send {
    /// # Errors
    /// What the primitive meets (overflow), or `Internal` when `values` are not of the expected type.
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()>;

    /// The values of all `groups` groups, NULL for those without one. `counts` are rows per group. Called once.
    ///
    /// # Errors
    /// Overflow that only shows at the end, or `Internal`.
    fn finish(&mut self, groups: usize, counts: &[i64]) -> Result<ArrayRef>;

    /// Bytes held, about.
    fn memory(&self) -> usize;

    /// Whether [`Self::finish`] looks at `counts`.
    fn needs_counts(&self) -> bool {
        false
    }
}

/// The accumulator of a primitive over inputs of type `input`, for a buffer of type `output`.
///
/// # Errors
/// `Internal` for combinations that no aggregate function describes.
pub fn accumulator(primitive: Accumulate, input: &DataType, output: &DataType) -> Result<Box<dyn Accumulator>> {
    Ok(match primitive {
        Accumulate::Sum => return sum(input, output),
        Accumulate::Count => Box::new(Count::default()),
        Accumulate::Min => return min_max(output, false),
        Accumulate::Max => return min_max(output, true),
        Accumulate::First | Accumulate::FirstIgnoreNulls => Box::new(Pick::new(output, false, primitive == Accumulate::FirstIgnoreNulls)),
        Accumulate::Last | Accumulate::LastIgnoreNulls => Box::new(Pick::new(output, true, primitive == Accumulate::LastIgnoreNulls)),
        Accumulate::BloomFilter { bits, hashes } => Box::new(Bloom::new(bits, hashes)),
        Accumulate::DistinctCount { precision } => Box::new(DistinctCount::new(precision)),
        Accumulate::BitmapOr | Accumulate::BitmapAnd => Box::new(Bitmaps::new(primitive == Accumulate::BitmapAnd)),
        Accumulate::CollectList => Box::new(Collect::new(output, false, false)?),
        Accumulate::CollectSet => Box::new(Collect::new(output, true, false)?),
        Accumulate::ConcatList => Box::new(Collect::new(output, false, true)?),
        Accumulate::ConcatSet => Box::new(Collect::new(output, true, true)?),
        Accumulate::Moments => Box::new(Moments::new(Source::Values, output)?),
        Accumulate::MergeMoments => Box::new(Moments::new(Source::States, output)?),
        Accumulate::PairMoments => Box::new(Moments::new(Source::Pairs, output)?),
        Accumulate::MergePairMoments => Box::new(Moments::new(Source::PairStates, output)?),
        Accumulate::BitAnd | Accumulate::BitOr | Accumulate::BitXor => return bits(primitive, output),
    })
}

/// And, or and exclusive or of the bits of integers.
struct Bits<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    start: T::Native,
    seen: Seen,
    combine: fn(T::Native, T::Native) -> T::Native,
}

fn bits(primitive: Accumulate, output: &DataType) -> Result<Box<dyn Accumulator>> {
    macro_rules! make {
        ($t:ty) => {
            Box::new(Bits::<$t> {
                values: vec![],
                start: if primitive == Accumulate::BitAnd { -1 } else { 0 },
                seen: Seen::default(),
                combine: match primitive {
                    Accumulate::BitAnd => |a, b| a & b,
                    Accumulate::BitOr => |a, b| a | b,
                    _ => |a, b| a ^ b,
                },
            })
        };
    }
    Ok(match output {
        DataType::Int8 => make!(Int8Type),
        DataType::Int16 => make!(Int16Type),
        DataType::Int32 => make!(Int32Type),
        DataType::Int64 => make!(Int64Type),
        other => return Err(Error::internal(format!("no bits of {other}"))),
    })
}

impl<T: ArrowPrimitiveType> Accumulator for Bits<T> {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        let array = values.as_primitive_opt::<T>().ok_or_else(|| mismatch("bits", values))?;
        let nulls = real_nulls(array);
        self.values.resize(rows.groups, self.start);
        let mut seen = self.seen.prepare(&rows, nulls);
        rows.each(array.values(), nulls, |group, value| {
            self.values[group] = (self.combine)(self.values[group], value);
            if let Some(seen) = &mut seen {
                seen[group] = true;
            }
        });
        Ok(())
    }

    fn memory(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.seen.memory()
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.values.resize(groups, self.start);
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        Ok(Arc::new(PrimitiveArray::<T>::try_new(values, self.seen.finish(groups))?))
    }
}

/// Whether [`accumulator`] sums inputs of type `input` into a buffer of type `output`, without a cast between.
pub fn sums_directly(input: &DataType, output: &DataType) -> bool {
    sum(input, output).is_ok()
}

/// Which groups have a value. As long as every group has one, nothing is kept.
#[derive(Default)]
pub struct Seen {
    mask: Option<Vec<bool>>,
    groups: usize,
}

impl Seen {
    /// Before values of `rows` are looked at; returns the flags to set, if they are kept.
    pub fn prepare(&mut self, rows: &Rows, nulls: Option<&NullBuffer>) -> Option<&mut Vec<bool>> {
        if self.mask.is_none() && (nulls.is_some() || !rows.complete) {
            self.mask = Some(vec![true; self.groups]);
        }
        self.groups = rows.groups;
        if let Some(mask) = &mut self.mask {
            mask.resize(rows.groups, false);
        }
        self.mask.as_mut()
    }

    pub fn memory(&self) -> usize {
        self.mask.as_ref().map_or(0, Vec::capacity)
    }

    pub fn finish(&mut self, groups: usize) -> Option<NullBuffer> {
        if self.mask.is_none() && self.groups == groups {
            return None;
        }
        let mut mask = self.mask.take().unwrap_or_else(|| vec![true; self.groups]);
        mask.resize(groups, false);
        Some(NullBuffer::from(mask)).filter(|n| n.null_count() > 0)
    }
}

/// The null buffer, if it marks anything.
pub fn real_nulls(array: &dyn Array) -> Option<&NullBuffer> {
    array.nulls().filter(|n| n.null_count() > 0)
}

/// A number that sums are made of.
trait Summand: Copy + Default {
    /// The sum, and whether it overflowed.
    fn plus(self, other: Self) -> (Self, bool);
}

impl Summand for i32 {
    fn plus(self, other: Self) -> (Self, bool) {
        self.overflowing_add(other)
    }
}
impl Summand for i64 {
    fn plus(self, other: Self) -> (Self, bool) {
        self.overflowing_add(other)
    }
}
impl Summand for i128 {
    fn plus(self, other: Self) -> (Self, bool) {
        self.overflowing_add(other)
    }
}
impl Summand for f64 {
    fn plus(self, other: Self) -> (Self, bool) {
        (self + other, false)
    }
}

/// Sums of `I` in `O`.
struct Sum<I, O: ArrowPrimitiveType> {
    sums: Vec<O::Native>,
    seen: Seen,
    output: DataType,
    input: PhantomData<fn(I)>,
}

fn sum(input: &DataType, output: &DataType) -> Result<Box<dyn Accumulator>> {
    fn make<I, O>(output: &DataType) -> Result<Box<dyn Accumulator>>
    where
        I: ArrowPrimitiveType<Native: Into<O::Native>>,
        O: ArrowPrimitiveType<Native: Summand>,
    {
        Ok(Box::new(Sum::<I, O> { sums: vec![], seen: Seen::default(), output: output.clone(), input: PhantomData }))
    }
    use DataType as T;
    match (input, output) {
        (T::Int8, T::Int64) => make::<Int8Type, Int64Type>(output),
        (T::Int16, T::Int64) => make::<Int16Type, Int64Type>(output),
        (T::Int32, T::Int64) => make::<Int32Type, Int64Type>(output),
        (T::Int64, T::Int64) => make::<Int64Type, Int64Type>(output),
        (T::Float32, T::Float64) => make::<Float32Type, Float64Type>(output),
        (T::Float64, T::Float64) => make::<Float64Type, Float64Type>(output),
        (T::Decimal64(_, a), T::Decimal64(_, b)) if a == b => make::<Decimal64Type, Decimal64Type>(output),
        (T::Decimal64(_, a), T::Decimal128(_, b)) if a == b => make::<Decimal64Type, Decimal128Type>(output),
        (T::Decimal128(_, a), T::Decimal128(_, b)) if a == b => make::<Decimal128Type, Decimal128Type>(output),
        (T::Duration(TimeUnit::Microsecond), T::Duration(TimeUnit::Microsecond)) => {
            make::<DurationMicrosecondType, DurationMicrosecondType>(output)
        }
        (T::Interval(IntervalUnit::YearMonth), T::Interval(IntervalUnit::YearMonth)) => {
            make::<IntervalYearMonthType, IntervalYearMonthType>(output)
        }
        _ => Err(Error::internal(format!("no sum of {input} into {output}"))),
    }
}

impl<I, O> Accumulator for Sum<I, O>
where
    I: ArrowPrimitiveType<Native: Into<O::Native>>,
    O: ArrowPrimitiveType<Native: Summand>,
{
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        let array = values.as_primitive_opt::<I>().ok_or_else(|| mismatch("sum", values))?;
        let (nulls, values) = (real_nulls(array), array.values());
        self.sums.resize(rows.groups, O::Native::default());
        let sums = &mut self.sums[..];
        let mut overflow = false;
        let mut add = |sum: &mut O::Native, value: I::Native| {
            let (result, over) = sum.plus(value.into());
            *sum = result;
            overflow |= over;
        };
        match self.seen.prepare(&rows, nulls) {
            None if rows.ids.is_none() => {
                // In a register rather than through memory.
                let mut total = sums[0];
                values.iter().for_each(|v| add(&mut total, *v));
                sums[0] = total;
            }
            None => rows.each(values, nulls, |group, value| add(&mut sums[group], value)),
            Some(seen) => rows.each(values, nulls, |group, value| {
                add(&mut sums[group], value);
                seen[group] = true;
            }),
        }
        if overflow { Err(sum_overflow(&self.output)) } else { Ok(()) }
    }

    fn memory(&self) -> usize {
        self.sums.capacity() * size_of::<O::Native>() + self.seen.memory()
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.sums.resize(groups, O::Native::default());
        let values = ScalarBuffer::from(std::mem::take(&mut self.sums));
        let array = PrimitiveArray::<O>::try_new(values, self.seen.finish(groups))?.with_data_type(self.output.clone());
        check_precision(&array)?;
        Ok(Arc::new(array))
    }
}

/// Decimal sums may pass their precision on the way and come back, as in Spark; not at the end.
fn check_precision<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Result<()> {
    let fits = match array.data_type() {
        DataType::Decimal64(precision, _) => {
            let limit = 10i64.saturating_pow(u32::from(*precision));
            array
                .as_any()
                .downcast_ref::<PrimitiveArray<Decimal64Type>>()
                .is_none_or(|a| a.iter().flatten().all(|v| -limit < v && v < limit))
        }
        DataType::Decimal128(precision, _) => {
            let limit = 10i128.pow(u32::from(*precision));
            array
                .as_any()
                .downcast_ref::<PrimitiveArray<Decimal128Type>>()
                .is_none_or(|a| a.iter().flatten().all(|v| -limit < v && v < limit))
        }
        _ => true,
    };
    if fits { Ok(()) } else { Err(sum_overflow(array.data_type())) }
}

fn sum_overflow(data_type: &DataType) -> Error {
    match data_type {
        DataType::Decimal64(..) | DataType::Decimal128(..) => Error::new(ErrorClass::ArithmeticOverflow, "Overflow in sum of decimals."),
        DataType::Interval(_) | DataType::Duration(_) => Error::overflow("interval"),
        _ => Error::overflow("long"),
    }
}

/// An input of a type that the aggregate was not planned for.
pub fn mismatch(what: &str, values: &dyn Array) -> Error {
    Error::internal(format!("{what} of unexpected type {}", values.data_type()))
}

/// Values that are not NULL: rows of the group less its NULLs, which are all that is counted here.
#[derive(Default)]
struct Count {
    nulls: Vec<i64>,
}

impl Accumulator for Count {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        if values.data_type() == &DataType::Null {
            self.nulls.resize(rows.groups, 0);
            rows.each_row(None, |group, _| self.nulls[group] += 1);
        } else if let Some(nulls) = real_nulls(values) {
            self.nulls.resize(rows.groups, 0);
            let missing = NullBuffer::new(!nulls.inner());
            rows.each_row(Some(&missing), |group, _| self.nulls[group] += 1);
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.nulls.capacity() * 8
    }

    fn finish(&mut self, groups: usize, counts: &[i64]) -> Result<ArrayRef> {
        self.nulls.resize(groups, 0);
        let counts = counts.iter().copied().chain(std::iter::repeat(0));
        Ok(Arc::new(Int64Array::from_iter_values(self.nulls.iter().zip(counts).map(|(nulls, rows)| rows - nulls))))
    }

    fn needs_counts(&self) -> bool {
        true
    }
}
