//! Literals and type names.

use sqlparser::ast::{self, DateTimeField, ExactNumberInfo, TypedString, UnaryOperator, Value};

use super::parse::parse_expression;
use crate::base::schema::MAX_PRECISION;
use crate::base::{DataType, Error, ErrorClass, Field, Result, Scalar};
use crate::expr::{Expr, coerce, evaluate};

/// A literal of the text.
///
/// # Errors
/// `NumericOutOfRange`, `Parse` for a malformed number, `Unsupported`.
pub(super) fn value(v: &Value) -> Result<Expr> {
    Ok(Expr::Literal(match v {
        Value::Number(digits, _) => return number(digits),
        Value::Boolean(b) => Scalar::Boolean(*b),
        Value::Null => Scalar::Null(DataType::Null),
        Value::HexStringLiteral(hex) => Scalar::Binary(bytes(hex)?.into()),
        other => match text(other) {
            Some(s) => Scalar::string(s),
            None => return Err(Error::unsupported(format!("The literal {other} is not supported."))),
        },
    }))
}

/// The text of a string literal.
pub(super) fn text(v: &Value) -> Option<&str> {
    match v {
        Value::SingleQuotedString(s)
        | Value::DoubleQuotedString(s)
        | Value::SingleQuotedRawStringLiteral(s)
        | Value::DoubleQuotedRawStringLiteral(s)
        | Value::TripleSingleQuotedString(s)
        | Value::TripleDoubleQuotedString(s)
        | Value::EscapedStringLiteral(s)
        | Value::UnicodeStringLiteral(s)
        | Value::NationalStringLiteral(s) => Some(s),
        _ => None,
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let padded = if hex.len() % 2 == 1 { format!("0{hex}") } else { hex.to_string() };
    let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
    padded
        .as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| Error::new(ErrorClass::Parse, format!("X'{hex}' is not a hexadecimal literal.")))
}

/// A number as written, sign and suffix included: `12`, `1.50`, `1e3`, `7L`, `-2.5D`.
///
/// # Errors
/// `NumericOutOfRange`.
pub(super) fn number(written: &str) -> Result<Expr> {
    let out_of_range =
        |what: &str| Error::new(ErrorClass::NumericOutOfRange, format!("Numeric literal {written} is outside the valid range for {what}."));
    let digits = written.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &written[digits.len()..];
    let scalar = match suffix {
        "" if digits.contains(['e', 'E']) => double(digits).ok_or_else(|| out_of_range("double"))?,
        "" if digits.contains('.') => decimal(digits).ok_or_else(|| out_of_range("decimal"))?,
        "" => match (digits.parse::<i32>(), digits.parse::<i64>()) {
            (Ok(v), _) => Scalar::Int(v),
            (_, Ok(v)) => Scalar::Long(v),
            _ => decimal(digits).ok_or_else(|| out_of_range("decimal"))?,
        },
        "L" => Scalar::Long(digits.parse().map_err(|_| out_of_range("bigint"))?),
        "S" => Scalar::Short(digits.parse().map_err(|_| out_of_range("smallint"))?),
        "Y" => Scalar::Byte(digits.parse().map_err(|_| out_of_range("tinyint"))?),
        "D" => double(digits).ok_or_else(|| out_of_range("double"))?,
        "F" => Scalar::Float(digits.parse::<f32>().ok().filter(|v| v.is_finite()).ok_or_else(|| out_of_range("float"))?),
        "BD" => decimal(digits).ok_or_else(|| out_of_range("decimal"))?,
        _ => return Err(Error::new(ErrorClass::Parse, format!("{written} is not a number."))),
    };
    Ok(Expr::Literal(scalar))
}

fn double(digits: &str) -> Option<Scalar> {
    digits.parse::<f64>().ok().filter(|v| v.is_finite()).map(Scalar::Double)
}

/// As Spark types it: `1.23` is decimal(3,2), `0.05` decimal(2,2), `100` decimal(3,0).
fn decimal(written: &str) -> Option<Scalar> {
    let (mantissa, exponent) = match written.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok()?),
        None => (written, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut scale = fraction.len() as i32 - exponent;
    while scale < 0 {
        value = value.checked_mul(10)?;
        scale += 1;
    }
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |d| d as i32 + 1);
    let precision = digits.max(scale);
    if precision > i32::from(MAX_PRECISION) {
        return None;
    }
    Some(Scalar::Decimal { value, precision: precision as u8, scale: scale as i8 })
}

/// `DATE '…'`, `TIMESTAMP '…'`: what a cast of the string gives.
///
/// # Errors
/// `Parse` for text that is no such value.
pub(super) fn typed_string(t: &TypedString) -> Result<Expr> {
    let to = data_type(&t.data_type)?;
    let Some(written) = text(&t.value.value) else {
        return Err(Error::new(ErrorClass::Parse, format!("`{t}` is not a literal.")));
    };
    if to == DataType::Binary {
        return Ok(Expr::Literal(Scalar::Binary(bytes(written)?.into())));
    }
    let cast = coerce::explicit_cast(Expr::Literal(Scalar::string(written)), &to, false)?;
    let invalid = |_| Error::new(ErrorClass::Parse, format!("The value '{written}' of the typed literal is no {to}."));
    evaluate::fold(&cast).map(Expr::Literal).map_err(invalid)
}

/// The SQL type of a type name.
///
/// # Errors
/// `Unsupported` for types that there are not; `InvalidParameter` for a bad precision.
pub(super) fn data_type(t: &ast::DataType) -> Result<DataType> {
    use ast::DataType as A;
    Ok(match t {
        A::Boolean | A::Bool => DataType::Boolean,
        A::TinyInt(_) => DataType::Byte,
        A::SmallInt(_) => DataType::Short,
        A::Int(_) | A::Integer(_) => DataType::Int,
        A::BigInt(_) => DataType::Long,
        A::Float(_) | A::Real | A::Float4 => DataType::Float,
        A::Double(_) | A::DoublePrecision | A::Float8 => DataType::Double,
        A::Decimal(info) | A::Numeric(info) | A::Dec(info) => decimal_type(info)?,
        A::String(_) | A::Text | A::Varchar(_) | A::Char(_) | A::Character(_) | A::CharacterVarying(_) | A::CharVarying(_) => {
            DataType::String
        }
        A::Binary(_) | A::Bytea | A::Blob(_) | A::Varbinary(_) => DataType::Binary,
        A::Date => DataType::Date,
        A::Timestamp(_, ast::TimezoneInfo::WithoutTimeZone) | A::TimestampNtz(_) => DataType::TimestampNtz,
        A::Timestamp(..) => DataType::Timestamp,
        A::Interval { fields, .. } => match fields {
            Some(ast::IntervalFields::Year | ast::IntervalFields::Month | ast::IntervalFields::YearToMonth) => DataType::YearMonthInterval,
            _ => DataType::DayTimeInterval,
        },
        A::Array(ast::ArrayElemTypeDef::AngleBracket(e) | ast::ArrayElemTypeDef::Parenthesis(e)) => {
            DataType::Array(Box::new(data_type(e)?))
        }
        A::Map(k, v, _) => DataType::Map(Box::new(data_type(k)?), Box::new(data_type(v)?)),
        A::Struct(fields, _) => DataType::Struct(
            fields
                .iter()
                .enumerate()
                .map(|(i, f)| {
                    let name = f.field_name.as_ref().map_or_else(|| format!("col{}", i + 1), |n| n.value.clone());
                    Ok(Field::new(name, data_type(&f.field_type)?, true))
                })
                .collect::<Result<_>>()?,
        ),
        A::Custom(name, args) if args.is_empty() => match name.to_string().to_ascii_lowercase().as_str() {
            "byte" => DataType::Byte,
            "short" => DataType::Short,
            "long" => DataType::Long,
            "void" => DataType::Null,
            "timestamp_ntz" => DataType::TimestampNtz,
            "timestamp_ltz" => DataType::Timestamp,
            other => return Err(Error::unsupported(format!("The type {other} is not supported."))),
        },
        other => return Err(Error::unsupported(format!("The type {other} is not supported."))),
    })
}

/// The type that a schema text names: a type, or the columns of one.
///
/// # Errors
/// `Parse`, `Unsupported`.
pub(super) fn schema_type(text: &str) -> Result<DataType> {
    let read = |text: &str| {
        parse_expression(&format!("CAST(NULL AS {text})"), |item| match item {
            ast::SelectItem::UnnamedExpr(ast::Expr::Cast { data_type: t, .. }) => data_type(&t),
            other => Err(Error::new(ErrorClass::Parse, format!("{other} is no type."))),
        })
    };
    let columns = |_| read(&format!("STRUCT<{text}>"));
    read(text).or_else(columns).map_err(|e| Error::new(ErrorClass::Parse, format!("The schema '{text}' cannot be read: {}", e.message)))
}

fn decimal_type(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(p) => (*p as i64, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (*p as i64, *s),
    };
    if !(1..=i64::from(MAX_PRECISION)).contains(&precision) || !(0..=precision).contains(&scale) {
        let message =
            format!("decimal({precision},{scale}) is not a type: the precision is 1 to {MAX_PRECISION}, the scale 0 to the precision.");
        return Err(Error::new(ErrorClass::InvalidParameter, message));
    }
    Ok(DataType::decimal(precision as u8, scale as i8))
}

/// Months or microseconds of one unit; the other is zero.
enum Unit {
    Months(i64),
    Micros(i64),
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

fn unit(field: &DateTimeField) -> Option<Unit> {
    use DateTimeField as F;
    Some(match field {
        F::Year | F::Years => Unit::Months(12),
        F::Quarter => Unit::Months(3),
        F::Month | F::Months => Unit::Months(1),
        F::Week(_) | F::Weeks => Unit::Micros(7 * DAY),
        F::Day | F::Days => Unit::Micros(DAY),
        F::Hour | F::Hours => Unit::Micros(3600 * SECOND),
        F::Minute | F::Minutes => Unit::Micros(60 * SECOND),
        F::Second | F::Seconds => Unit::Micros(SECOND),
        F::Millisecond | F::Milliseconds => Unit::Micros(1000),
        F::Microsecond | F::Microseconds => Unit::Micros(1),
        _ => return None,
    })
}

fn unit_named(name: &str) -> Option<Unit> {
    Some(match name.to_ascii_lowercase().trim_end_matches('s') {
        "year" => Unit::Months(12),
        "quarter" => Unit::Months(3),
        "month" => Unit::Months(1),
        "week" => Unit::Micros(7 * DAY),
        "day" => Unit::Micros(DAY),
        "hour" => Unit::Micros(3600 * SECOND),
        "minute" => Unit::Micros(60 * SECOND),
        "second" => Unit::Micros(SECOND),
        "millisecond" => Unit::Micros(1000),
        "microsecond" => Unit::Micros(1),
        _ => return None,
    })
}

fn invalid_interval(i: &ast::Interval) -> Error {
    Error::new(ErrorClass::Parse, format!("`{i}` is not an interval."))
}

/// The value of an interval whose count is a literal; `None` when the count is an expression.
///
/// # Errors
/// `Parse` for a malformed interval.
pub(super) fn interval(i: &ast::Interval) -> Result<Option<Scalar>> {
    let (negative, operand) = match i.value.as_ref() {
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (true, expr.as_ref()),
        other => (false, other),
    };
    let ast::Expr::Value(v) = operand else { return Ok(None) };
    let written = match &v.value {
        Value::Number(digits, _) => digits.as_str(),
        other => text(other).ok_or_else(|| invalid_interval(i))?.trim(),
    };
    let (minus, written) = match written.strip_prefix('-') {
        Some(rest) => (!negative, rest),
        None => (negative, written.strip_prefix('+').unwrap_or(written)),
    };
    let parsed = match (&i.leading_field, &i.last_field) {
        (None, _) => units_in_text(written),
        (Some(field), None) => unit(field).and_then(|u| scaled(written, &u)),
        (Some(from), Some(to)) => ranged(written, from, to),
    };
    let sign = if minus { -1 } else { 1 };
    match parsed.ok_or_else(|| invalid_interval(i))? {
        Unit::Months(m) => Ok(Some(Scalar::YearMonthInterval(i32::try_from(m * sign).map_err(|_| Error::overflow("interval"))?))),
        Unit::Micros(m) => Ok(Some(Scalar::DayTimeInterval(m * sign))),
    }
}

/// One unit of an interval whose count is an expression.
///
/// # Errors
/// `Parse` without a unit.
pub(super) fn interval_unit(i: &ast::Interval) -> Result<Scalar> {
    match i.leading_field.as_ref().and_then(unit).ok_or_else(|| invalid_interval(i))? {
        Unit::Months(m) => Ok(Scalar::YearMonthInterval(m as i32)),
        Unit::Micros(m) => Ok(Scalar::DayTimeInterval(m)),
    }
}

/// `count` units; fractions only of what is measured in microseconds.
fn scaled(count: &str, unit: &Unit) -> Option<Unit> {
    let (whole, fraction) = count.trim().split_once('.').unwrap_or((count.trim(), ""));
    let whole: i64 = whole.parse().ok()?;
    Some(match unit {
        Unit::Months(m) if fraction.is_empty() => Unit::Months(whole.checked_mul(*m)?),
        Unit::Months(_) => return None,
        Unit::Micros(m) => {
            let part = match fraction {
                "" => 0,
                digits if digits.len() <= 9 => i128::from(digits.parse::<i64>().ok()?) * i128::from(*m) / 10_i128.pow(digits.len() as u32),
                _ => return None,
            };
            Unit::Micros(whole.checked_mul(*m)?.checked_add(i64::try_from(part).ok()?)?)
        }
    })
}

/// `3 months`, `1 day 2 hours`.
fn units_in_text(written: &str) -> Option<Unit> {
    let words: Vec<&str> = written.split_whitespace().collect();
    let mut sum: Option<Unit> = None;
    for pair in words.chunks(2) {
        let [count, name] = pair else { return None };
        let next = scaled(count, &unit_named(name)?)?;
        sum = Some(match (sum, next) {
            (None, n) => n,
            (Some(Unit::Months(a)), Unit::Months(b)) => Unit::Months(a.checked_add(b)?),
            (Some(Unit::Micros(a)), Unit::Micros(b)) => Unit::Micros(a.checked_add(b)?),
            _ => return None,
        });
    }
    sum
}

/// `'1-2' YEAR TO MONTH`, `'3 04:05:06.789' DAY TO SECOND` and the ranges between.
fn ranged(written: &str, from: &DateTimeField, to: &DateTimeField) -> Option<Unit> {
    use DateTimeField as F;
    if matches!((from, to), (F::Year | F::Years, F::Month | F::Months)) {
        let (years, months) = written.split_once('-')?;
        return Some(Unit::Months(years.parse::<i64>().ok()?.checked_mul(12)?.checked_add(months.parse().ok()?)?));
    }
    let rank = |f: &DateTimeField| match f {
        F::Day | F::Days => Some(0),
        F::Hour | F::Hours => Some(1),
        F::Minute | F::Minutes => Some(2),
        F::Second | F::Seconds => Some(3),
        _ => None,
    };
    let units = [DAY, 3600 * SECOND, 60 * SECOND, SECOND];
    let (first, last) = (rank(from)?, rank(to)?);
    let parts: Vec<&str> = written.split([' ', ':']).collect();
    if first >= last || parts.len() != last - first + 1 {
        return None;
    }
    let mut micros = 0_i64;
    for (part, size) in parts.iter().zip(&units[first..=last]) {
        let Unit::Micros(m) = scaled(part, &Unit::Micros(*size))? else { return None };
        micros = micros.checked_add(m)?;
    }
    Some(Unit::Micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Scalar {
        match number(text) {
            Ok(Expr::Literal(s)) => s,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn numbers_have_the_types_that_spark_gives_them() {
        for (text, expected) in [
            ("1", "int"),
            ("-2147483648", "int"),
            ("2147483648", "bigint"),
            ("9223372036854775808", "decimal(19,0)"),
            ("1.23", "decimal(3,2)"),
            ("0.05", "decimal(2,2)"),
            ("100.", "decimal(3,0)"),
            ("1e3", "double"),
            ("1L", "bigint"),
            ("1S", "smallint"),
            ("1Y", "tinyint"),
            ("1.5D", "double"),
            ("1.5F", "float"),
            ("1.50BD", "decimal(3,2)"),
        ] {
            assert_eq!(literal(text).data_type().to_string(), expected, "{text}");
        }
        assert_eq!(number("300Y").unwrap_err().class, ErrorClass::NumericOutOfRange);
        assert_eq!(number("1e999").unwrap_err().class, ErrorClass::NumericOutOfRange);
    }
}
