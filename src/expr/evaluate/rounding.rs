//! ceil, floor, round (HALF_UP) and bround (HALF_EVEN).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType as ArrowType, Decimal128Type, Float64Type, Int32Type, Int64Type};

use super::cast::{cast, try_map};
use super::decimal as decimals;
use super::value::{Value, primitive};
use crate::base::{DataType, Error, ErrorClass, Result, decimal};
use crate::expr::ScalarFunction;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Ceil,
    Floor,
    HalfUp,
    HalfEven,
}

/// Rounds `value` to a multiple of 10^`digits` and divides by it.
fn divide(value: i128, digits: u32, mode: Mode) -> i128 {
    if digits == 0 {
        return value;
    }
    if digits > 38 {
        return match mode {
            Mode::Ceil => i128::from(value > 0),
            Mode::Floor => -i128::from(value < 0),
            Mode::HalfUp | Mode::HalfEven => 0,
        };
    }
    let unit = decimal::power(digits);
    match mode {
        Mode::Ceil => value.div_euclid(unit) + i128::from(value.rem_euclid(unit) > 0),
        Mode::Floor => value.div_euclid(unit),
        Mode::HalfUp => decimal::divide_half_up(value, unit),
        Mode::HalfEven => {
            let (floor, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
            let up = match rest.cmp(&(unit - rest)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => floor % 2 != 0,
                std::cmp::Ordering::Greater => true,
            };
            floor + i128::from(up)
        }
    }
}

/// A double rounded to `scale` digits by its shortest decimal text, as Spark (through BigDecimal, which has one zero) does.
fn round_double(value: f64, scale: i32, mode: Mode) -> f64 {
    round_signed(value, scale, mode) + 0.0
}

/// With the sign of what is rounded to zero.
fn round_signed(value: f64, scale: i32, mode: Mode) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return value;
    }
    if scale == 0 {
        return match mode {
            Mode::Ceil => value.ceil(),
            Mode::Floor => value.floor(),
            Mode::HalfUp => value.round(),
            Mode::HalfEven => value.round_ties_even(),
        };
    }
    let Some((unscaled, digits)) = decimal::parse(&format!("{value:e}")) else { return value };
    if digits <= scale {
        return value;
    }
    let rounded = divide(unscaled, digits.abs_diff(scale), mode);
    format!("{rounded}e{}", -i64::from(scale)).parse().unwrap_or(value)
}

pub(super) fn evaluate(function: ScalarFunction, args: &[Value], types: &[DataType], result: &DataType) -> Result<Value> {
    let mode = match function {
        ScalarFunction::Ceil => Mode::Ceil,
        ScalarFunction::Floor => Mode::Floor,
        ScalarFunction::BRound => Mode::HalfEven,
        _ => Mode::HalfUp,
    };
    let to_whole = args.len() == 1 && matches!(mode, Mode::Ceil | Mode::Floor);
    let scale = match args.get(1) {
        Some(s) if s.is_null_scalar() => return args[0].map(|a| Ok(arrow::array::new_null_array(&result.to_arrow(), a.len()))),
        Some(s) => primitive::<Int32Type>(s.inner())?.value(0),
        None => 0,
    };
    args[0].map(|array| match &types[0] {
        DataType::Decimal { scale: s, .. } => {
            let &DataType::Decimal { precision: p, scale: t } = result else { return Err(Error::internal("rounding of a decimal")) };
            let from = i32::from(*s);
            let out = try_map::<Decimal128Type, Decimal128Type>(
                &decimals::widen(array)?,
                false,
                |v| {
                    if scale >= from {
                        return decimal::fit(v, p);
                    }
                    let rounded = divide(v, from.abs_diff(scale), mode);
                    // Negative scales leave zeros in front of the point.
                    let back = (i32::from(t) - scale).max(0) as u32;
                    if back > 38 { (rounded == 0).then_some(0) } else { decimal::fit(rounded.checked_mul(decimal::power(back))?, p) }
                },
                |v| Error::decimal_out_of_range(decimal::format(v, *s), p, t),
            )?;
            decimals::narrow(out, p, t)
        }
        t if t.is_integral() => {
            if scale >= 0 {
                return cast(array, t, result, false);
            }
            let wide = arrow::compute::cast(array, &ArrowType::Int64)?;
            let rounded = try_map::<Int64Type, Int64Type>(
                primitive(&wide)?,
                false,
                |v| {
                    let digits = scale.unsigned_abs();
                    if digits > 19 {
                        return Some(0);
                    }
                    i64::try_from(divide(v.into(), digits, mode) * decimal::power(digits)).ok()
                },
                |_| Error::overflow("long"),
            )?;
            cast(&(Arc::new(rounded) as ArrayRef), &DataType::Long, result, false).map_err(|e| match e.class {
                ErrorClass::CastOverflow => Error::overflow(if *t == DataType::Int { "integer" } else { "rounding" }),
                _ => e,
            })
        }
        t => {
            let doubles = cast(array, t, &DataType::Double, false)?;
            let single = *t == DataType::Float;
            let rounded = primitive::<Float64Type>(&doubles)?.unary::<_, Float64Type>(|v| {
                // A float's own digits count, not those of the double it widens to.
                let v = if single { format!("{:e}", v as f32).parse().unwrap_or(v) } else { v };
                round_double(v, scale, mode)
            });
            let rounded: ArrayRef = Arc::new(rounded);
            if to_whole {
                // NaN is 0, as a conversion in Java has it.
                let fits = |v: f64| v.is_nan() || (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&v);
                let whole = |v: f64| fits(v).then_some(v as i64);
                return Ok(Arc::new(try_map::<Float64Type, Int64Type>(primitive(&rounded)?, false, whole, |_| Error::overflow("long"))?));
            }
            cast(&rounded, &DataType::Double, result, false)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!([-25, -15, 15, 25].map(|v| divide(v, 1, Mode::HalfUp)), [-3, -2, 2, 3]);
        assert_eq!([-25, -15, 15, 25].map(|v| divide(v, 1, Mode::HalfEven)), [-2, -2, 2, 2]);
        assert_eq!([-21, 21].map(|v| divide(v, 1, Mode::Ceil)), [-2, 3]);
        assert_eq!([-21, 21].map(|v| divide(v, 1, Mode::Floor)), [-3, 2]);
        assert_eq!(round_double(2.675, 2, Mode::HalfUp), 2.68);
        assert_eq!(round_double(-2.5, 0, Mode::HalfUp), -3.0);
        assert_eq!(round_double(1234.5, -2, Mode::HalfUp), 1200.0);
        assert_eq!(round_double(0.5, 0, Mode::HalfEven), 0.0);
    }
}
