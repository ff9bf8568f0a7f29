//! Statistics of columns: exact bounds and NULL counts, estimated distinct counts.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::{max_boolean, max_string_view, min_boolean, min_string_view};
use arrow::datatypes as arrow_types;
use arrow::datatypes::ArrowPrimitiveType;
use rayon::prelude::*;

use super::prune::BlockColumn;
use super::{ColumnStatistics, TableStatistics};
use crate::base::{DataType, Scalar, Schema};

/// Statistics of batches held in memory, one column per task.
pub(super) fn of_batches(batches: &[&RecordBatch], schema: &Schema) -> TableStatistics {
    let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
    let columns = (0..schema.fields.len())
        .into_par_iter()
        .map(|i| {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|b| b.column(i)).collect();
            of_column(&arrays, &schema.fields[i].data_type, rows as u64)
        })
        .collect();
    let size_bytes = batches.iter().flat_map(|b| b.columns()).map(array_bytes).sum();
    TableStatistics { size_bytes, row_count: Some(rows as u64), columns }
}

/// What is known of an array, which is a column of some rows.
pub(super) fn of_block(array: &ArrayRef, data_type: &DataType) -> BlockColumn {
    let (min, max) = array_bounds(array, data_type);
    BlockColumn { min, max, null_count: Some(array.logical_null_count() as u64), rows: array.len() as u64 }
}

/// Bytes of the values of an array, not counting what a slice shares with its neighbours.
fn array_bytes(array: &ArrayRef) -> u64 {
    match array.data_type() {
        arrow_types::DataType::Utf8View => 16 * array.len() as u64 + array.as_string_view().total_buffer_bytes_used() as u64,
        arrow_types::DataType::BinaryView => 16 * array.len() as u64 + array.as_binary_view().total_buffer_bytes_used() as u64,
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()) as u64,
    }
}

fn of_column(arrays: &[&ArrayRef], data_type: &DataType, rows: u64) -> ColumnStatistics {
    let mut summary = ColumnSummary::new();
    let mut null_count = 0;
    for array in arrays {
        let block = of_block(array, data_type);
        summary.add(array, &block);
        null_count += block.null_count.unwrap_or_default();
    }
    summary.finish(rows, null_count)
}

/// What is known of the values of a column, gathered array by array. Adding the same values again changes nothing.
pub(super) struct ColumnSummary {
    bounds: Bounds,
    sketch: DistinctSketch,
    /// Bytes of the shortest and of the longest string.
    length: Option<(u64, u64)>,
}

impl ColumnSummary {
    pub(super) fn new() -> Self {
        Self { bounds: Bounds::default(), sketch: DistinctSketch::new(), length: None }
    }

    /// Adds an array of which `block` is known.
    pub(super) fn add(&mut self, array: &ArrayRef, block: &BlockColumn) {
        self.bounds.add(block.min.clone(), block.max.clone(), block.null_count == Some(block.rows));
        self.sketch.add_array(array);
        self.length = either(self.length, lengths(array));
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.bounds.merge(other.bounds);
        self.sketch.merge(&other.sketch);
        self.length = either(self.length, other.length);
    }

    pub(super) fn finish(self, rows: u64, null_count: u64) -> ColumnStatistics {
        let distinct_count = self.sketch.estimate().map(|d| d.min(rows - null_count));
        let (min, max) = self.bounds.finish();
        ColumnStatistics { min, max, null_count: Some(null_count), distinct_count, length: self.length }
    }
}

/// Bytes of the shortest and of the longest string.
fn lengths(array: &ArrayRef) -> Option<(u64, u64)> {
    let views = array.as_string_view_opt()?;
    let valid = (0..views.len()).filter(|i| views.is_valid(*i)).map(|i| u64::from(views.views()[i] as u32));
    valid.fold(None, |range, n| either(range, Some((n, n))))
}

/// The range of both.
fn either(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

/// Bounds of parts combined into bounds of the whole; a side is unknown as soon as it is unknown for a part with values.
#[derive(Default)]
pub(super) struct Bounds {
    min: Side,
    max: Side,
}

#[derive(Default)]
enum Side {
    #[default]
    Empty,
    Known(Scalar),
    Unknown,
}

impl Bounds {
    /// Adds a part; `all_null` parts have no values to bound.
    pub(super) fn add(&mut self, min: Option<Scalar>, max: Option<Scalar>, all_null: bool) {
        if all_null {
            return;
        }
        self.min.add(min, std::cmp::Ordering::Less);
        self.max.add(max, std::cmp::Ordering::Greater);
    }

    fn merge(&mut self, other: Self) {
        self.min.merge(other.min, std::cmp::Ordering::Less);
        self.max.merge(other.max, std::cmp::Ordering::Greater);
    }

    pub(super) fn finish(self) -> (Option<Scalar>, Option<Scalar>) {
        (self.min.finish(), self.max.finish())
    }
}

impl Side {
    fn add(&mut self, value: Option<Scalar>, wanted: std::cmp::Ordering) {
        let Some(value) = value else {
            *self = Side::Unknown;
            return;
        };
        match self {
            Side::Empty => *self = Side::Known(value),
            Side::Known(current) => match compare(&value, current) {
                Some(order) if order == wanted => *current = value,
                Some(_) => {}
                None => *self = Side::Unknown,
            },
            Side::Unknown => {}
        }
    }

    fn merge(&mut self, other: Self, wanted: std::cmp::Ordering) {
        match other {
            Side::Empty => {}
            Side::Known(value) => self.add(Some(value), wanted),
            Side::Unknown => self.add(None, wanted),
        }
    }

    fn finish(self) -> Option<Scalar> {
        match self {
            Side::Known(v) => Some(v),
            Side::Empty | Side::Unknown => None,
        }
    }
}

/// SQL order of two values of one type (or of two exact numbers of one scale); `None` where there is none here.
pub(super) fn compare(a: &Scalar, b: &Scalar) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Scalar::String(a), Scalar::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Scalar::Binary(a), Scalar::Binary(b)) => Some(a.cmp(b)),
        (Scalar::Float(a), Scalar::Float(b)) => Some(compare_doubles(f64::from(*a), f64::from(*b))),
        (Scalar::Double(a), Scalar::Double(b)) => Some(compare_doubles(*a, *b)),
        (Scalar::Decimal { value: a, scale: s, .. }, Scalar::Decimal { value: b, scale: t, .. }) => {
            let common = (*s).max(*t);
            let a = a.checked_mul(10i128.checked_pow(u32::try_from(common - s).ok()?)?)?;
            let b = b.checked_mul(10i128.checked_pow(u32::try_from(common - t).ok()?)?)?;
            Some(a.cmp(&b))
        }
        (Scalar::Decimal { .. }, _) | (_, Scalar::Decimal { .. }) => None,
        _ => Some(a.as_i128()?.cmp(&b.as_i128()?)),
    }
}

/// NaN is greatest and equal to itself; zeros are equal.
fn compare_doubles(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Smallest and largest value of an array in its operator representation; `None` for types without cheap bounds.
fn array_bounds(array: &ArrayRef, data_type: &DataType) -> (Option<Scalar>, Option<Scalar>) {
    macro_rules! exact {
        ($t:ty, $make:expr) => {{
            let (min, max) = exact_bounds::<$t>(array.as_primitive());
            (min.map($make), max.map($make))
        }};
    }
    macro_rules! float {
        ($t:ty, $make:expr) => {{
            let array = array.as_primitive::<$t>();
            let values = || array.iter().flatten();
            let min = values().min_by(|a, b| compare_doubles(f64::from(*a), f64::from(*b)));
            let max = values().max_by(|a, b| compare_doubles(f64::from(*a), f64::from(*b)));
            (min.map($make), max.map($make))
        }};
    }
    match data_type {
        DataType::Boolean => {
            let a = array.as_boolean();
            (min_boolean(a).map(Scalar::Boolean), max_boolean(a).map(Scalar::Boolean))
        }
        DataType::Byte => exact!(arrow_types::Int8Type, Scalar::Byte),
        DataType::Short => exact!(arrow_types::Int16Type, Scalar::Short),
        DataType::Int => exact!(arrow_types::Int32Type, Scalar::Int),
        DataType::Long => exact!(arrow_types::Int64Type, Scalar::Long),
        DataType::Float => float!(arrow_types::Float32Type, Scalar::Float),
        DataType::Double => float!(arrow_types::Float64Type, Scalar::Double),
        DataType::Date => exact!(arrow_types::Date32Type, Scalar::Date),
        DataType::Timestamp => exact!(arrow_types::TimestampMicrosecondType, Scalar::Timestamp),
        DataType::TimestampNtz => exact!(arrow_types::TimestampMicrosecondType, Scalar::TimestampNtz),
        DataType::YearMonthInterval => exact!(arrow_types::IntervalYearMonthType, Scalar::YearMonthInterval),
        DataType::DayTimeInterval => exact!(arrow_types::DurationMicrosecondType, Scalar::DayTimeInterval),
        DataType::Decimal { precision, scale } => {
            let make = |value: i128| Scalar::Decimal { value, precision: *precision, scale: *scale };
            if *precision <= crate::base::schema::MAX_LONG_PRECISION {
                let (min, max) = exact_bounds::<arrow_types::Decimal64Type>(array.as_primitive());
                (min.map(|v| make(i128::from(v))), max.map(|v| make(i128::from(v))))
            } else {
                let (min, max) = exact_bounds::<arrow_types::Decimal128Type>(array.as_primitive());
                (min.map(make), max.map(make))
            }
        }
        DataType::String => {
            let a = array.as_string_view();
            (min_string_view(a).map(Scalar::string), max_string_view(a).map(Scalar::string))
        }
        DataType::Null | DataType::Binary | DataType::Array(_) | DataType::Map(..) | DataType::Struct(_) => (None, None),
    }
}

fn exact_bounds<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> (Option<T::Native>, Option<T::Native>)
where
    T::Native: Ord,
{
    if array.null_count() == 0 {
        // One branch-free pass that vectorises.
        let mut values = array.values().iter().copied();
        let Some(first) = values.next() else { return (None, None) };
        let (min, max) = values.fold((first, first), |(min, max), v| (min.min(v), max.max(v)));
        return (Some(min), Some(max));
    }
    array
        .iter()
        .flatten()
        .fold((None, None), |(min, max), v| (Some(min.map_or(v, |m: T::Native| m.min(v))), Some(max.map_or(v, |m: T::Native| m.max(v)))))
}

/// Estimates a number of distinct values in one pass and constant space (about 2 % off).
///
/// HyperLogLog: Flajolet, Fusy, Gandouet, Meunier (2007), with 4096 registers and linear counting for small numbers.
/// The hash has no random seed, so that plans are the same in every run.
pub(super) struct DistinctSketch {
    registers: Vec<u8>,
    supported: bool,
}

const REGISTER_BITS: u32 = 12;

impl DistinctSketch {
    pub(super) fn new() -> Self {
        Self { registers: vec![0; 1 << REGISTER_BITS], supported: true }
    }

    fn add_hash(&mut self, hash: u64) {
        let register = (hash >> (64 - REGISTER_BITS)) as usize;
        let rank = ((hash << REGISTER_BITS) | (1 << (REGISTER_BITS - 1))).leading_zeros() as u8 + 1;
        if self.registers[register] < rank {
            self.registers[register] = rank;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.registers.iter_mut().zip(&other.registers).for_each(|(own, theirs)| *own = (*own).max(*theirs));
        self.supported &= other.supported;
    }

    pub(super) fn add_array(&mut self, array: &ArrayRef) {
        use arrow::datatypes::DataType as A;
        macro_rules! values {
            ($t:ty, $bits:expr) => {{
                let array = array.as_primitive::<$t>();
                if array.null_count() == 0 {
                    array.values().iter().for_each(|v| self.add_hash(mix($bits(*v))));
                } else {
                    array.iter().flatten().for_each(|v| self.add_hash(mix($bits(v))));
                }
            }};
        }
        match array.data_type() {
            A::Int8 => values!(arrow_types::Int8Type, |v: i8| v as u64),
            A::Int16 => values!(arrow_types::Int16Type, |v: i16| v as u64),
            A::Int32 => values!(arrow_types::Int32Type, |v: i32| v as u64),
            A::Int64 => values!(arrow_types::Int64Type, |v: i64| v as u64),
            A::Date32 => values!(arrow_types::Date32Type, |v: i32| v as u64),
            A::Timestamp(..) => values!(arrow_types::TimestampMicrosecondType, |v: i64| v as u64),
            A::Decimal64(..) => values!(arrow_types::Decimal64Type, |v: i64| v as u64),
            A::Decimal128(..) => values!(arrow_types::Decimal128Type, |v: i128| v as u64 ^ ((v >> 64) as u64).rotate_left(32)),
            A::Float32 => values!(arrow_types::Float32Type, |v: f32| u64::from(v.to_bits())),
            A::Float64 => values!(arrow_types::Float64Type, |v: f64| v.to_bits()),
            A::Boolean => array.as_boolean().iter().flatten().for_each(|v| self.add_hash(mix(u64::from(v)))),
            A::Utf8View => array.as_string_view().iter().flatten().for_each(|v| self.add_hash(hash_bytes(v.as_bytes()))),
            _ => self.supported = false,
        }
    }

    /// The estimate; `None` for types that are not hashed.
    pub(super) fn estimate(&self) -> Option<u64> {
        if !self.supported {
            return None;
        }
        let m = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|r| 2f64.powi(-i32::from(*r))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let zeros = self.registers.iter().filter(|r| **r == 0).count() as f64;
        let estimate = if raw <= 2.5 * m && zeros > 0.0 { m * (m / zeros).ln() } else { raw };
        Some(estimate.round() as u64)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
fn mix(v: u64) -> u64 {
    let v = v.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ (v >> 31)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    let mut word = [0; 8];
    word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(hash.rotate_left(23) ^ u64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn distinct_counts_are_near() {
        for n in [1u64, 100, 10_000, 300_000] {
            let mut sketch = DistinctSketch::new();
            let array: ArrayRef = Arc::new(Int64Array::from_iter_values((0..n as i64).chain(0..n as i64)));
            sketch.add_array(&array);
            let estimate = sketch.estimate().unwrap() as f64;
            assert!((estimate / n as f64 - 1.0).abs() < 0.05, "{n} estimated as {estimate}");
        }
        let mut sketch = DistinctSketch::new();
        let array: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1000).map(|i| format!("a longer string number {i}"))));
        sketch.add_array(&array);
        assert!((950..1050).contains(&sketch.estimate().unwrap()));
    }

    #[test]
    fn bounds_with_nulls_and_nan() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(-2.0)]));
        let s = of_column(&[&array], &DataType::Double, 4);
        assert_eq!(s.min, Some(Scalar::Double(-2.0)));
        assert!(matches!(s.max, Some(Scalar::Double(v)) if v.is_nan()));
        assert_eq!((s.null_count, s.distinct_count), (Some(1), Some(3)));
        let nulls: ArrayRef = Arc::new(Int32Array::new_null(3));
        let s = of_column(&[&nulls], &DataType::Int, 3);
        assert_eq!((s.min, s.null_count), (None, Some(3)));
    }
}
