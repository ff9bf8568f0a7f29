//! Decimal arithmetic over arrays: 64-bit loops where the result has at most 18 digits, 128-bit loops without checks where
//! Spark's result type holds every result, and the checked routines of [`crate::base::decimal`] otherwise.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{DataType as ArrowType, Decimal64Type, Decimal128Type, Int64Type};

use super::arithmetic::binary;
use super::value::{Value, primitive};
use crate::base::schema::MAX_LONG_PRECISION;
use crate::base::{DataType, Error, Result, decimal};
use crate::expr::ArithmeticOp;
use crate::expr::typing::decimal_result;

/// Calls `$body` with `$l` and `$r` bound to the arrays in their own width.
macro_rules! widths {
    ($left:expr, $right:expr, |$l:ident: $lt:ident, $r:ident: $rt:ident| $body:expr) => {
        match ($left.inner().data_type(), $right.inner().data_type()) {
            (ArrowType::Decimal64(..), ArrowType::Decimal64(..)) => {
                type $lt = Decimal64Type;
                type $rt = Decimal64Type;
                let ($l, $r) = (($left, primitive::<$lt>($left.inner())?), ($right, primitive::<$rt>($right.inner())?));
                $body
            }
            (ArrowType::Decimal64(..), _) => {
                type $lt = Decimal64Type;
                type $rt = Decimal128Type;
                let ($l, $r) = (($left, primitive::<$lt>($left.inner())?), ($right, primitive::<$rt>($right.inner())?));
                $body
            }
            (_, ArrowType::Decimal64(..)) => {
                type $lt = Decimal128Type;
                type $rt = Decimal64Type;
                let ($l, $r) = (($left, primitive::<$lt>($left.inner())?), ($right, primitive::<$rt>($right.inner())?));
                $body
            }
            _ => {
                type $lt = Decimal128Type;
                type $rt = Decimal128Type;
                let ($l, $r) = (($left, primitive::<$lt>($left.inner())?), ($right, primitive::<$rt>($right.inner())?));
                $body
            }
        }
    };
}

/// `left op right` for decimals of the given types.
// Each width expands the same text; for the wide one its conversions change nothing.
#[allow(clippy::useless_conversion)]
pub(super) fn arithmetic(
    op: ArithmeticOp,
    left: &Value,
    right: &Value,
    types: (&DataType, &DataType),
    tries: bool,
    rows: usize,
) -> Result<ArrayRef> {
    let (&DataType::Decimal { precision: p1, scale: s1 }, &DataType::Decimal { precision: p2, scale: s2 }) = types else {
        return Err(Error::internal("decimal arithmetic on other types"));
    };
    let (precision, scale, exact) = decimal_result(op, (p1, s1), (p2, s2));
    let shift = |to: i8, from: i8| decimal::power((to - from).max(0) as u32);
    let common = s1.max(s2);
    let (m1, m2) = (shift(common, s1), shift(common, s2));
    if exact && precision <= MAX_LONG_PRECISION && op != ArithmeticOp::Remainder {
        // Operands are narrower than the result, so all is 64-bit. NULL slots may hold anything, hence wrapping.
        let (l, r) = ((left, primitive::<Decimal64Type>(left.inner())?), (right, primitive::<Decimal64Type>(right.inner())?));
        let (m1, m2) = (m1 as i64, m2 as i64);
        let none = |_: i64, _: i64| Error::internal("overflow of an exact decimal operation");
        let out = match op {
            ArithmeticOp::Add => {
                binary::<_, _, Decimal64Type>(l, r, rows, tries, |a, b| (a.wrapping_mul(m1).wrapping_add(b.wrapping_mul(m2)), true), none)?
            }
            ArithmeticOp::Subtract => {
                binary::<_, _, Decimal64Type>(l, r, rows, tries, |a, b| (a.wrapping_mul(m1).wrapping_sub(b.wrapping_mul(m2)), true), none)?
            }
            _ => binary::<_, _, Decimal64Type>(l, r, rows, tries, |a, b| (a.wrapping_mul(b), true), none)?,
        };
        return Ok(Arc::new(out.with_precision_and_scale(precision, scale)?));
    }
    let out_of_range = |text: String| Error::decimal_out_of_range(text, precision, scale);
    widths!(left, right, |l: L, r: R| {
        type A = <L as ArrowPrimitiveType>::Native;
        type B = <R as ArrowPrimitiveType>::Native;
        let wide = |a: A, b: B| (i128::from(a), i128::from(b));
        let fail = |a: A, b: B| {
            let sign = op.symbol();
            out_of_range(format!("{} {sign} {}", decimal::format(a.into(), s1), decimal::format(b.into(), s2)))
        };
        let checked = |value: Option<i128>| (value.unwrap_or_default(), value.is_some());
        let by_zero = |a: A, b: B| {
            if i128::from(b) != 0 {
                return fail(a, b);
            }
            if op == ArithmeticOp::Remainder { Error::remainder_by_zero() } else { Error::divide_by_zero() }
        };
        let out = match op {
            ArithmeticOp::Add if exact => binary::<L, R, Decimal128Type>(
                l,
                r,
                rows,
                tries,
                |a, b| {
                    let (a, b) = wide(a, b);
                    (a.wrapping_mul(m1).wrapping_add(b.wrapping_mul(m2)), true)
                },
                fail,
            )?,
            ArithmeticOp::Subtract if exact => binary::<L, R, Decimal128Type>(
                l,
                r,
                rows,
                tries,
                |a, b| {
                    let (a, b) = wide(a, b);
                    (a.wrapping_mul(m1).wrapping_sub(b.wrapping_mul(m2)), true)
                },
                fail,
            )?,
            ArithmeticOp::Add | ArithmeticOp::Subtract => binary::<L, R, Decimal128Type>(
                l,
                r,
                rows,
                tries,
                |a, b| {
                    let (a, b) = wide(a, b);
                    let b = if op == ArithmeticOp::Add { b } else { b.wrapping_neg() };
                    checked(decimal::add((a, s1), (b, s2), precision, scale))
                },
                fail,
            )?,
            ArithmeticOp::Multiply if exact => binary::<L, R, Decimal128Type>(
                l,
                r,
                rows,
                tries,
                |a, b| {
                    let (a, b) = wide(a, b);
                    (a.wrapping_mul(b), true)
                },
                fail,
            )?,
            ArithmeticOp::Multiply => {
                let drop = (s1 + s2 - scale).max(0) as u32;
                binary::<L, R, Decimal128Type>(
                    l,
                    r,
                    rows,
                    tries,
                    |a, b| {
                        let (a, b) = wide(a, b);
                        checked(decimal::multiply(a, b, drop, precision))
                    },
                    fail,
                )?
            }
            ArithmeticOp::Divide => {
                let shift = i32::from(scale) - i32::from(s1) + i32::from(s2);
                binary::<L, R, Decimal128Type>(
                    l,
                    r,
                    rows,
                    tries,
                    |a, b| {
                        let (a, b) = wide(a, b);
                        if b == 0 { (0, false) } else { checked(decimal::divide(a, b, shift, precision)) }
                    },
                    by_zero,
                )?
            }
            ArithmeticOp::Remainder => binary::<L, R, Decimal128Type>(
                l,
                r,
                rows,
                tries,
                |a, b| {
                    let (a, b) = wide(a, b);
                    if b == 0 { (0, false) } else { checked(decimal::fit(decimal::remainder(a, s1, b, s2), 38)) }
                },
                by_zero,
            )?,
            ArithmeticOp::IntegralDivide => {
                let overflow = |a: A, b: B| if i128::from(b) == 0 { by_zero(a, b) } else { Error::overflow("long") };
                let out = binary::<L, R, Int64Type>(
                    l,
                    r,
                    rows,
                    tries,
                    |a, b| {
                        let (a, b) = wide(a, b);
                        if b == 0 {
                            return (0, false);
                        }
                        let quotient = decimal::integral_divide(a, s1, b, s2).and_then(|q| i64::try_from(q).ok());
                        (quotient.unwrap_or_default(), quotient.is_some())
                    },
                    overflow,
                )?;
                return Ok(Arc::new(out));
            }
        };
        narrow(out, precision, scale)
    })
}

/// A result in the width that its precision asks for.
pub(super) fn narrow(wide: PrimitiveArray<Decimal128Type>, precision: u8, scale: i8) -> Result<ArrayRef> {
    if precision <= MAX_LONG_PRECISION {
        let narrow: PrimitiveArray<Decimal64Type> = wide.unary(|v| v as i64);
        return Ok(Arc::new(narrow.with_precision_and_scale(precision, scale)?));
    }
    Ok(Arc::new(wide.with_precision_and_scale(precision, scale)?))
}

/// Decimals in 128 bits, whatever their width; the type's precision and scale are kept.
pub(super) fn widen(array: &ArrayRef) -> Result<PrimitiveArray<Decimal128Type>> {
    match array.data_type() {
        ArrowType::Decimal64(..) => Ok(primitive::<Decimal64Type>(array)?.unary(i128::from)),
        _ => Ok(primitive::<Decimal128Type>(array)?.clone()),
    }
}
