//! Arithmetic with dates, timestamps and intervals, as function calls.

use super::{cast_to, mismatch};
use crate::base::calendar::MICROS_PER_DAY;
use crate::base::{DataType, Result, Scalar};
use crate::expr::{ArithmeticOp, Expr, ScalarFunction};

fn call(function: ScalarFunction, args: Vec<Expr>) -> Expr {
    Expr::Function { function, args }
}

/// An interval with the opposite sign.
fn negated(interval: Expr) -> Expr {
    match interval {
        Expr::Literal(Scalar::DayTimeInterval(v)) if v != i64::MIN => Expr::Literal(Scalar::DayTimeInterval(-v)),
        Expr::Literal(Scalar::YearMonthInterval(v)) if v != i32::MIN => Expr::Literal(Scalar::YearMonthInterval(-v)),
        other => call(ScalarFunction::IntervalMultiply, vec![other, Expr::Literal(Scalar::Double(-1.0))]),
    }
}

/// The call for `left op right` if a date, timestamp or interval takes part; `None` otherwise.
pub(super) fn arithmetic(op: ArithmeticOp, left: &Expr, right: &Expr) -> Result<Option<Expr>> {
    use ArithmeticOp::{Add, Divide, Multiply, Subtract};
    use DataType::*;
    let temporal = |t: &DataType| matches!(t, Date | Timestamp | TimestampNtz | YearMonthInterval | DayTimeInterval);
    let (l, r) = (left.data_type(), right.data_type());
    if !temporal(&l) && !temporal(&r) {
        return Ok(None);
    }
    let (a, b) = (left.clone(), right.clone());
    let small = |t: &DataType| matches!(t, Byte | Short | Int | Null);
    Ok(Some(match (op, &l, &r) {
        (Add, Date, n) if small(n) => call(ScalarFunction::DateAdd, vec![a, cast_to(b, &Int)]),
        (Add, n, Date) if small(n) => call(ScalarFunction::DateAdd, vec![b, cast_to(a, &Int)]),
        (Subtract, Date, n) if small(n) => call(ScalarFunction::DateSub, vec![a, cast_to(b, &Int)]),
        (Subtract, Date, Date | String) => call(ScalarFunction::SubtractDates, vec![a, cast_to(b, &Date)]),
        (Subtract, String, Date) => call(ScalarFunction::SubtractDates, vec![cast_to(a, &Date), b]),
        (Subtract, Date | Timestamp | TimestampNtz | String, Timestamp | TimestampNtz)
        | (Subtract, Timestamp | TimestampNtz, Date | String) => {
            call(ScalarFunction::SubtractTimestamps, vec![cast_to(a, &Timestamp), cast_to(b, &Timestamp)])
        }
        (Add, YearMonthInterval | DayTimeInterval, Date | Timestamp | TimestampNtz | String) => return arithmetic(Add, right, left),
        (Add, Date | Timestamp | TimestampNtz | String, YearMonthInterval | DayTimeInterval) => plus_interval(a, b),
        (Subtract, Date | Timestamp | TimestampNtz | String, YearMonthInterval | DayTimeInterval) => plus_interval(a, negated(b)),
        (Add, YearMonthInterval, YearMonthInterval) | (Add, DayTimeInterval, DayTimeInterval) => {
            call(ScalarFunction::IntervalAdd, vec![a, b])
        }
        (Subtract, YearMonthInterval, YearMonthInterval) | (Subtract, DayTimeInterval, DayTimeInterval) => {
            call(ScalarFunction::IntervalSubtract, vec![a, b])
        }
        (Multiply, YearMonthInterval | DayTimeInterval, n) if n.is_numeric() => times(ScalarFunction::IntervalMultiply, a, b),
        (Multiply, n, YearMonthInterval | DayTimeInterval) if n.is_numeric() => times(ScalarFunction::IntervalMultiply, b, a),
        (Divide, YearMonthInterval | DayTimeInterval, n) if n.is_numeric() => times(ScalarFunction::IntervalDivide, a, b),
        _ => return Err(mismatch(op.symbol(), &l, &r)),
    }))
}

/// A literal interval by a whole number stays a literal, so that a date plus it stays a date.
fn times(function: ScalarFunction, interval: Expr, factor: Expr) -> Expr {
    if let (Expr::Literal(s), Expr::Literal(n), ScalarFunction::IntervalMultiply) = (&interval, &factor, function)
        && let (Some(n), true) = (n.as_i128(), n.data_type().is_integral())
    {
        match s {
            Scalar::DayTimeInterval(v) => {
                if let Ok(product) = i64::try_from(i128::from(*v) * n) {
                    return Expr::Literal(Scalar::DayTimeInterval(product));
                }
            }
            Scalar::YearMonthInterval(v) => {
                if let Ok(product) = i32::try_from(i128::from(*v) * n) {
                    return Expr::Literal(Scalar::YearMonthInterval(product));
                }
            }
            _ => {}
        }
    }
    call(function, vec![interval, cast_to(factor, &DataType::Double)])
}

/// A date plus whole days or months is a date; anything finer makes a timestamp.
fn plus_interval(start: Expr, interval: Expr) -> Expr {
    let date = start.data_type() == DataType::Date;
    match (&interval, interval.data_type()) {
        (Expr::Literal(Scalar::DayTimeInterval(micros)), _) if date && micros % MICROS_PER_DAY == 0 => {
            let days = micros / MICROS_PER_DAY;
            match i32::try_from(days) {
                Ok(n) if n < 0 && n != i32::MIN => call(ScalarFunction::DateSub, vec![start, Expr::Literal(Scalar::Int(-n))]),
                Ok(n) => call(ScalarFunction::DateAdd, vec![start, Expr::Literal(Scalar::Int(n))]),
                Err(_) => call(ScalarFunction::TimeAdd, vec![cast_to(start, &DataType::Timestamp), interval]),
            }
        }
        (_, DataType::YearMonthInterval) if date => call(ScalarFunction::DateAddMonths, vec![start, interval]),
        (_, DataType::YearMonthInterval) => call(ScalarFunction::TimestampAddMonths, vec![cast_to(start, &DataType::Timestamp), interval]),
        _ => call(ScalarFunction::TimeAdd, vec![cast_to(start, &DataType::Timestamp), interval]),
    }
}
