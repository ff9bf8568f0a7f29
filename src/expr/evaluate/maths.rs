//! Functions of numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType as ArrowType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};

use super::value::{Arg, Value, build, extent, primitive, strings, wrap};
use super::{arithmetic, comparison, rounding};
use crate::base::{DataType, Error, ErrorClass, Result};
use crate::expr::{ArithmeticOp, ScalarFunction};

type Doubles = PrimitiveArray<Float64Type>;

/// The text of an argument that must be a literal.
///
/// # Errors
/// `WrongArguments` when it is NULL.
pub(super) fn literal_text(value: &Value) -> Result<String> {
    let array = strings(value.inner())?;
    if array.is_empty() || array.is_null(0) {
        return Err(Error::new(ErrorClass::WrongArguments, "A constant text is required."));
    }
    Ok(array.value(0).to_string())
}

/// Functions of numbers over evaluated arguments of these types, with this result type.
pub(super) fn evaluate(function: ScalarFunction, args: &[Value], types: &[DataType], result: &DataType, rows: usize) -> Result<Value> {
    use ScalarFunction::*;
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    // Functions of one double that always have a value, and those with NULL outside their domain.
    let one =
        |f: fn(f64) -> f64| -> Result<ArrayRef> { Ok(Arc::new(primitive::<Float64Type>(args[0].inner())?.unary::<_, Float64Type>(f))) };
    let within = |domain: fn(f64) -> bool, f: fn(f64) -> f64| -> Result<ArrayRef> {
        Ok(Arc::new(primitive::<Float64Type>(args[0].inner())?.unary_opt::<_, Float64Type>(|v| (!(domain(v))).then(|| f(v)))))
    };
    let two = |f: fn(f64, f64) -> Option<f64>| -> Result<ArrayRef> {
        let (a, b) = (Arg::<Doubles>::primitive(&args[0])?, Arg::<Doubles>::primitive(&args[1])?);
        Ok(Arc::new(build::<Float64Type>(&refs, n, |i| Ok(f(a.at(i), b.at(i))))?))
    };
    let array: ArrayRef = match function {
        Abs => absolute(args[0].inner())?,
        Sign => one(|v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                v
            }
        })?,
        Ceil | Floor | Round | BRound => return rounding::evaluate(function, args, types, result),
        Rint => one(f64::round_ties_even)?,
        Sqrt => one(f64::sqrt)?,
        Cbrt => one(f64::cbrt)?,
        Exp => one(f64::exp)?,
        Expm1 => one(f64::exp_m1)?,
        Ln => within(|v| v <= 0.0, f64::ln)?,
        Log10 => within(|v| v <= 0.0, f64::log10)?,
        Log2 => within(|v| v <= 0.0, f64::log2)?,
        Log1p => within(|v| v <= -1.0, f64::ln_1p)?,
        Log => two(|base, v| (base > 0.0 && v > 0.0).then(|| v.ln() / base.ln()))?,
        Power => two(|a, b| Some(a.powf(b)))?,
        Sin => one(f64::sin)?,
        Cos => one(f64::cos)?,
        Tan => one(f64::tan)?,
        Cot => one(|v| 1.0 / v.tan())?,
        Asin => one(f64::asin)?,
        Acos => one(f64::acos)?,
        Atan => one(f64::atan)?,
        Atan2 => two(|a, b| Some((a + 0.0).atan2(b + 0.0)))?,
        Sinh => one(f64::sinh)?,
        Cosh => one(f64::cosh)?,
        Tanh => one(f64::tanh)?,
        Asinh => one(f64::asinh)?,
        Acosh => one(f64::acosh)?,
        Atanh => one(f64::atanh)?,
        Sec => one(|v| 1.0 / v.cos())?,
        Csc => one(|v| 1.0 / v.sin())?,
        Degrees => one(f64::to_degrees)?,
        Radians => one(f64::to_radians)?,
        Hypot => two(|a, b| Some(a.hypot(b)))?,
        IsNaN => {
            let a = primitive::<Float64Type>(args[0].inner())?;
            Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(a.len(), |i| a.is_valid(i) && a.value(i).is_nan()), None))
        }
        NaNvl => two(|a, b| Some(if a.is_nan() { b } else { a }))?,
        PMod => positive_modulus(args, types, rows)?,
        BitAnd | BitOr | BitXor => bits(function, args, n)?,
        BitNot => match args[0].inner().data_type() {
            ArrowType::Int8 => Arc::new(primitive::<Int8Type>(args[0].inner())?.unary::<_, Int8Type>(|v| !v)),
            ArrowType::Int16 => Arc::new(primitive::<Int16Type>(args[0].inner())?.unary::<_, Int16Type>(|v| !v)),
            ArrowType::Int32 => Arc::new(primitive::<Int32Type>(args[0].inner())?.unary::<_, Int32Type>(|v| !v)),
            _ => Arc::new(primitive::<Int64Type>(args[0].inner())?.unary::<_, Int64Type>(|v| !v)),
        },
        ShiftLeft | ShiftRight | ShiftRightUnsigned | LeftShift | RightShift | RightShiftUnsigned => shift(function, args, n)?,
        BitCount => {
            let wide = arrow::compute::cast(args[0].inner(), &ArrowType::Int64)?;
            Arc::new(primitive::<Int64Type>(&wide)?.unary::<_, Int32Type>(|v| v.count_ones() as i32))
        }
        BitGet => {
            let bits = 8 * types[0].default_size() as i32;
            let wide = args[0].map(|a| Ok(arrow::compute::cast(a, &ArrowType::Int64)?))?;
            let (v, position) =
                (Arg::<PrimitiveArray<Int64Type>>::primitive(&wide)?, Arg::<PrimitiveArray<Int32Type>>::primitive(&args[1])?);
            Arc::new(build::<Int8Type>(&refs, n, |i| match position.at(i) {
                at if (0..bits).contains(&at) => Ok(Some((v.at(i) >> at & 1) as i8)),
                at => {
                    Err(Error::new(ErrorClass::InvalidParameter, format!("The position of a bit must be in [0, {bits}), but it is {at}.")))
                }
            })?)
        }
        WidthBucket => {
            let [v, low, high] = [0, 1, 2].map(|i| Arg::<Doubles>::primitive(&args[i]));
            let (v, low, high, count) = (v?, low?, high?, Arg::<PrimitiveArray<Int64Type>>::primitive(&args[3])?);
            Arc::new(build::<Int64Type>(&refs, n, |i| Ok(width_bucket(v.at(i), low.at(i), high.at(i), count.at(i))))?)
        }
        BitmapBitPosition | BitmapBucketNumber => {
            /// Bits of a bitmap.
            const BITS: i64 = 32768;
            let place = |v: i64| match (function, v) {
                (BitmapBitPosition, 1..) => (v - 1) % BITS,
                (BitmapBitPosition, _) => v.wrapping_neg() % BITS,
                (_, 1..) => 1 + (v - 1) / BITS,
                _ => v / BITS,
            };
            Arc::new(primitive::<Int64Type>(args[0].inner())?.unary::<_, Int64Type>(place))
        }
        Factorial => {
            let a = Arg::<PrimitiveArray<Int32Type>>::primitive(&args[0])?;
            Arc::new(build::<Int64Type>(&refs, n, |i| {
                let v = i64::from(a.at(i));
                Ok((0..=20).contains(&v).then(|| (1..=v).product()))
            })?)
        }
        Greatest | Least => return extreme(args, function == Greatest, rows),
        NormalizeFloat => return args[0].map(comparison::normalise_floats),
        other => return Err(Error::internal(format!("`{}` is no function of numbers", other.name()))),
    };
    Ok(wrap(array, scalar))
}

/// The bucket of `count` equal ones between two bounds, in either order, that a value falls into.
fn width_bucket(value: f64, low: f64, high: f64, count: i64) -> Option<i64> {
    if count <= 0 || count == i64::MAX || value.is_nan() || low == high || !low.is_finite() || !high.is_finite() {
        return None;
    }
    let up = low < high;
    let (below, above) = if up { (value < low, value >= high) } else { (value > low, value <= high) };
    Some(match (below, above) {
        (true, _) => 0,
        (_, true) => count + 1,
        _ if up => (count as f64 * (value - low) / (high - low)) as i64 + 1,
        _ => (count as f64 * (low - value) / (low - high)) as i64 + 1,
    })
}

fn absolute(array: &ArrayRef) -> Result<ArrayRef> {
    fn integers<T: ArrowPrimitiveType>(array: &ArrayRef, name: &str, f: impl Fn(T::Native) -> Option<T::Native>) -> Result<ArrayRef> {
        Ok(Arc::new(super::cast::try_map::<T, T>(primitive(array)?, false, f, |_| Error::overflow(name))?))
    }
    match array.data_type() {
        ArrowType::Int8 => integers::<Int8Type>(array, "tinyint", i8::checked_abs),
        ArrowType::Int16 => integers::<Int16Type>(array, "smallint", i16::checked_abs),
        ArrowType::Int32 => integers::<Int32Type>(array, "integer", i32::checked_abs),
        ArrowType::Int64 => integers::<Int64Type>(array, "long", i64::checked_abs),
        ArrowType::Float32 => Ok(Arc::new(primitive::<Float32Type>(array)?.unary::<_, Float32Type>(f32::abs))),
        ArrowType::Float64 => Ok(Arc::new(primitive::<Float64Type>(array)?.unary::<_, Float64Type>(f64::abs))),
        t @ ArrowType::Decimal64(..) => {
            let out =
                array.as_primitive::<arrow::datatypes::Decimal64Type>().unary::<_, arrow::datatypes::Decimal64Type>(i64::wrapping_abs);
            Ok(Arc::new(out.with_data_type(t.clone())))
        }
        t @ ArrowType::Decimal128(..) => {
            let out =
                array.as_primitive::<arrow::datatypes::Decimal128Type>().unary::<_, arrow::datatypes::Decimal128Type>(i128::wrapping_abs);
            Ok(Arc::new(out.with_data_type(t.clone())))
        }
        other => Err(Error::internal(format!("abs of {other}"))),
    }
}

/// `pmod(a, n)`: the remainder, moved into [0, n) if negative.
fn positive_modulus(args: &[Value], types: &[DataType], rows: usize) -> Result<ArrayRef> {
    let t = &types[0];
    let pair = (t, t);
    let remainder = |l: &Value, r: &Value| arithmetic::evaluate(ArithmeticOp::Remainder, l, r, pair, false, rows);
    let (n, _) = extent(&args.iter().collect::<Vec<_>>(), rows);
    let first = remainder(&args[0], &args[1])?;
    // r < 0 ? (r + n) % n : r, in a type where r + n cannot overflow.
    let wide = if t.is_integral() { DataType::decimal(20, 0) } else { t.clone() };
    let lift = |v: &Value| v.map(|a| super::cast::cast(a, t, &wide, false));
    let sum = arithmetic::evaluate(ArithmeticOp::Add, &lift(&first)?, &lift(&args[1])?, (&wide, &wide), false, rows)?;
    let sum_type = DataType::from_arrow(sum.inner().data_type())?;
    let moved = arithmetic::evaluate(ArithmeticOp::Remainder, &sum, &lift(&args[1])?, (&sum_type, &wide), false, rows)?;
    let moved_type = DataType::from_arrow(moved.inner().data_type())?;
    let moved = moved.map(|a| super::cast::cast(a, &moved_type, t, false))?.into_array(n)?;
    let first = first.map(|a| super::cast::cast(a, &DataType::from_arrow(a.data_type())?, t, false))?.into_array(n)?;
    let zero = super::cast::cast(&(Arc::new(PrimitiveArray::<Int32Type>::from_value(0, 1)) as ArrayRef), &DataType::Int, t, false)?;
    let negative =
        comparison::evaluate(crate::expr::ComparisonOp::Less, &Value::Array(first.clone()), &Value::Scalar(zero), n)?.into_array(n)?;
    super::scatter::choose(&super::logic::without_nulls(negative.as_boolean()), &Value::Array(moved), &Value::Array(first))
}

fn bits(function: ScalarFunction, args: &[Value], rows: usize) -> Result<ArrayRef> {
    macro_rules! run {
        ($t:ty) => {{
            let (a, b) = (Arg::<PrimitiveArray<$t>>::primitive(&args[0])?, Arg::<PrimitiveArray<$t>>::primitive(&args[1])?);
            Arc::new(build::<$t>(&[&args[0], &args[1]], rows, |i| {
                Ok(Some(match function {
                    ScalarFunction::BitAnd => a.at(i) & b.at(i),
                    ScalarFunction::BitOr => a.at(i) | b.at(i),
                    _ => a.at(i) ^ b.at(i),
                }))
            })?)
        }};
    }
    Ok(match args[0].inner().data_type() {
        ArrowType::Int8 => run!(Int8Type),
        ArrowType::Int16 => run!(Int16Type),
        ArrowType::Int32 => run!(Int32Type),
        ArrowType::Int64 => run!(Int64Type),
        other => return Err(Error::internal(format!("bit operation on {other}"))),
    })
}

fn shift(function: ScalarFunction, args: &[Value], rows: usize) -> Result<ArrayRef> {
    let by = Arg::<PrimitiveArray<Int32Type>>::primitive(&args[1])?;
    let refs = [&args[0], &args[1]];
    macro_rules! run {
        ($t:ty, $unsigned:ty) => {{
            let a = Arg::<PrimitiveArray<$t>>::primitive(&args[0])?;
            Arc::new(build::<$t>(&refs, rows, |i| {
                let (v, by) = (a.at(i), by.at(i) as u32);
                Ok(Some(match function {
                    ScalarFunction::ShiftLeft | ScalarFunction::LeftShift => v.wrapping_shl(by),
                    ScalarFunction::ShiftRight | ScalarFunction::RightShift => v.wrapping_shr(by),
                    _ => (v as $unsigned).wrapping_shr(by) as _,
                }))
            })?)
        }};
    }
    Ok(match args[0].inner().data_type() {
        ArrowType::Int8 => run!(Int8Type, u8),
        ArrowType::Int16 => run!(Int16Type, u16),
        ArrowType::Int32 => run!(Int32Type, u32),
        ArrowType::Int64 => run!(Int64Type, u64),
        other => return Err(Error::internal(format!("shift of {other}"))),
    })
}

/// Greatest or least of the arguments, NULLs skipped.
fn extreme(args: &[Value], greatest: bool, rows: usize) -> Result<Value> {
    use crate::expr::ComparisonOp;
    let (n, scalar) = extent(&args.iter().collect::<Vec<_>>(), rows);
    let mut best = args[0].clone().into_array(n)?;
    for candidate in &args[1..] {
        let candidate = candidate.clone().into_array(n)?;
        let op = if greatest { ComparisonOp::Greater } else { ComparisonOp::Less };
        let better = comparison::evaluate(op, &Value::Array(candidate.clone()), &Value::Array(best.clone()), n)?.into_array(n)?;
        let better = super::logic::without_nulls(better.as_boolean());
        let take = if best.null_count() > 0 { arrow::compute::or(&better, &arrow::compute::is_null(&best)?)? } else { better };
        best = super::scatter::choose(&take, &Value::Array(candidate), &Value::Array(best))?;
    }
    Ok(wrap(best, scalar))
}
