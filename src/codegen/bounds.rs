//! Bounds of integer expressions, before any code is written.

use super::arithmetic::bounds_of;
use super::value::{Bounds, intersect, type_bounds, union};
use crate::base::{DataType, Scalar};
use crate::expr::{ArithmeticOp, Expr};

/// Bounds of an expression over columns with these bounds; of strings, of the length in bytes. `None` for other types.
pub fn bounds(expr: &Expr, columns: &[Option<Bounds>]) -> Option<Bounds> {
    let t = expr.data_type();
    let limits = match t {
        DataType::String | DataType::Binary => (0, i128::from(i32::MAX)),
        _ => type_bounds(&t)?,
    };
    let found = stacker::maybe_grow(64 * 1024, 1024 * 1024, || match expr {
        Expr::Column { index, .. } => columns.get(*index).copied().flatten(),
        Expr::Literal(Scalar::String(s)) => Some((s.len() as i128, s.len() as i128)),
        Expr::Literal(value) => value.as_i128().map(|v| (v, v)),
        Expr::Alias { expr, .. } => bounds(expr, columns),
        // Between numbers only: a date as a timestamp is another number.
        Expr::Cast { expr, .. } if expr.data_type().is_numeric() && t.is_numeric() => {
            scaled(bounds(expr, columns), digits(&expr.data_type())?, digits(&t)?)
        }
        Expr::Negate(inner) => bounds(inner, columns).map(|(l, h)| (h.saturating_neg(), l.saturating_neg())),
        Expr::Arithmetic { op, left, right, .. } => {
            let (l, r) = (bounds(left, columns), bounds(right, columns));
            let (dl, dr, d) = (digits(&left.data_type())?, digits(&right.data_type())?, digits(&t)?);
            match op {
                ArithmeticOp::Add | ArithmeticOp::Subtract if d == dl.max(dr) => bounds_of(*op, scaled(l, dl, d), scaled(r, dr, d)),
                ArithmeticOp::Multiply if d == dl + dr => bounds_of(*op, l, r),
                _ => None,
            }
        }
        Expr::Case { branches, otherwise } => branches
            .iter()
            .map(|(_, v)| v)
            .chain(otherwise.as_deref())
            .filter(|v| !matches!(v, Expr::Literal(s) if s.is_null()))
            .map(|v| bounds(v, columns))
            .reduce(union)
            .flatten(),
        Expr::Coalesce(args) => args.iter().map(|v| bounds(v, columns)).reduce(union).flatten(),
        _ => None,
    });
    intersect(found, Some(limits))
}

/// Digits after the point; 0 for integers.
fn digits(t: &DataType) -> Option<i8> {
    match t {
        DataType::Decimal { scale, .. } => Some(*scale),
        other => type_bounds(other).map(|_| 0),
    }
}

fn scaled(b: Option<Bounds>, from: i8, to: i8) -> Option<Bounds> {
    let factor = 10i128.checked_pow(u32::try_from(to.checked_sub(from)?).ok()?)?;
    bounds_of(ArithmeticOp::Multiply, b, Some((factor, factor)))
}
