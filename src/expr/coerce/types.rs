//! Which types turn into which.

use crate::base::{DataType, Field, Scalar, decimal};
use crate::expr::Expr;
use crate::expr::typing::{adjust_decimal, decimal_for_integral};

/// The one type that all of these turn into implicitly; `None` when there is none. Of no types: void.
pub fn common_type(types: &[DataType]) -> Option<DataType> {
    // Strings last: they take the type that the others agree on, whatever the order.
    let (strings, others): (Vec<_>, Vec<_>) = types.iter().partition(|t| **t == DataType::String);
    others.into_iter().chain(strings).cloned().try_fold(DataType::Null, |acc, t| wider(&acc, &t))
}

/// The common type of two.
fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Null, t) | (t, Null) => t.clone(),
        (Decimal { .. }, t) | (t, Decimal { .. }) if t.is_fractional() => Double,
        (Decimal { .. }, t) | (t, Decimal { .. }) if t.is_numeric() => return wider_decimal(a, b),
        (x, y) if x.is_numeric() && y.is_numeric() => {
            let rank = |t: &DataType| [Byte, Short, Int, Long, Float, Double].iter().position(|r| r == t);
            match if rank(x) < rank(y) { (x, y) } else { (y, x) } {
                // A float would lose digits of an integer.
                (narrow, Float) if narrow.is_integral() => Double,
                (_, wide) => wide.clone(),
            }
        }
        (String, t) | (t, String) if t.is_integral() => Long,
        (String, t) | (t, String) if t.is_numeric() => Double,
        (String, t) | (t, String) if !t.is_nested() => t.clone(),
        (Date, t @ (Timestamp | TimestampNtz)) | (t @ (Timestamp | TimestampNtz), Date) => t.clone(),
        (Timestamp, TimestampNtz) | (TimestampNtz, Timestamp) => Timestamp,
        (Array(x), Array(y)) => Array(Box::new(wider(x, y)?)),
        (Map(k, v), Map(l, w)) => Map(Box::new(wider(k, l)?), Box::new(wider(v, w)?)),
        (Struct(x), Struct(y)) if x.len() == y.len() => Struct(
            x.iter()
                .zip(y)
                .map(|(f, g)| Some(Field::new(f.name.clone(), wider(&f.data_type, &g.data_type)?, f.nullable || g.nullable)))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// The decimal that holds both sides' values (integral types count as decimals).
pub(super) fn wider_decimal(a: &DataType, b: &DataType) -> Option<DataType> {
    let ((p1, s1), (p2, s2)) = (decimal_for_integral(a)?, decimal_for_integral(b)?);
    let scale = i32::from(s1.max(s2));
    let range = (i32::from(p1) - i32::from(s1)).max(i32::from(p2) - i32::from(s2));
    let (p, s) = if range + scale <= 38 { ((range + scale) as u8, scale as i8) } else { adjust_decimal(range + scale, scale) };
    Some(DataType::decimal(p, s))
}

/// The digits that an integral literal has, as a decimal type.
pub(super) fn literal_decimal(e: &Expr) -> Option<(u8, i8)> {
    match e {
        Expr::Literal(s @ (Scalar::Byte(_) | Scalar::Short(_) | Scalar::Int(_) | Scalar::Long(_))) => {
            Some((decimal::digits(s.as_i128()?), 0))
        }
        _ => None,
    }
}

/// Whether SQL casts without being told where a `to` is wanted.
pub(super) fn implicitly_castable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        _ if from == to => true,
        (Null, _) => true,
        (String, t) => !t.is_nested(),
        (f, String) => !f.is_nested(),
        (f, Double) => f.is_numeric(),
        (f, Float) => f.is_integral() || f.is_decimal(),
        (f, Decimal { precision, scale }) => decimal_for_integral(f)
            .is_some_and(|(p, s)| s <= *scale && i32::from(p) - i32::from(s) <= i32::from(*precision) - i32::from(*scale)),
        (f, t) if f.is_integral() && t.is_integral() => f.default_size() <= t.default_size(),
        (Date, Timestamp | TimestampNtz) | (Timestamp, TimestampNtz) | (TimestampNtz, Timestamp) => true,
        (Timestamp | TimestampNtz, Date) => true,
        (Array(f), Array(t)) => implicitly_castable(f, t),
        (Map(k, v), Map(l, w)) => implicitly_castable(k, l) && implicitly_castable(v, w),
        (Struct(f), Struct(t)) => f.len() == t.len() && f.iter().zip(t).all(|(x, y)| implicitly_castable(&x.data_type, &y.data_type)),
        _ => false,
    }
}

/// Whether an explicit ANSI cast exists.
pub fn can_cast(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        _ if from == to => true,
        (Null, _) | (_, String) => true,
        (Binary, _) => false,
        (String, t) => !t.is_nested(),
        (f, t) if f.is_numeric() && t.is_numeric() => true,
        (Boolean, t) | (t, Boolean) if t.is_numeric() => true,
        (Date, Timestamp | TimestampNtz) | (Timestamp | TimestampNtz, Date | Timestamp | TimestampNtz) => true,
        (Timestamp, t) | (t, Timestamp) if t.is_numeric() => true,
        (YearMonthInterval | DayTimeInterval, t) => t.is_integral(),
        (f, YearMonthInterval | DayTimeInterval) => f.is_integral(),
        (Array(f), Array(t)) => can_cast(f, t),
        (Map(k, v), Map(l, w)) => can_cast(k, l) && can_cast(v, w),
        (Struct(f), Struct(t)) => f.len() == t.len() && f.iter().zip(t).all(|(x, y)| can_cast(&x.data_type, &y.data_type)),
        _ => false,
    }
}
