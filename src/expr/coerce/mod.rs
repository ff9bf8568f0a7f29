//! Spark's implicit casts (ANSI mode): every typed expression is made by these functions, whether from SQL or from a DataFrame.
//!
//! Rules: Spark's "ANSI compliance" type precedence lists, the result types of decimal arithmetic, and strings that take
//! the type of the other side.

mod aggregates;
mod datetime;
mod extract;
mod functions;
pub mod lambda;
mod rewrites;
mod types;

pub use aggregates::{aggregate, ranking};
pub use extract::extract;
pub use functions::{function, function_names};
pub use types::{can_cast, common_type};

use self::types::{implicitly_castable, literal_decimal, wider_decimal};
use super::typing::decimal_for_integral;
use super::{ArithmeticOp, ComparisonOp, Expr};
use crate::base::{DataType, Error, ErrorClass, Result, Scalar};

/// `TypeMismatch` for an operator that does not take these types.
fn mismatch(what: &str, left: &DataType, right: &DataType) -> Error {
    Error::new(
        ErrorClass::TypeMismatch,
        format!(
            "Cannot resolve \"{what}\" due to data type mismatch: the left and right operands have incompatible types (\"{}\" and \"{}\").",
            left.to_string().to_uppercase(),
            right.to_string().to_uppercase()
        ),
    )
}

/// `TypeMismatch` for values that `what` would have to order or compare, and cannot.
pub fn check_orderable(what: &str, data_type: &DataType) -> Result<()> {
    if data_type.is_orderable() {
        return Ok(());
    }
    let message = format!("`{what}` does not support ordering on type \"{}\".", data_type.to_string().to_uppercase());
    Err(Error::new(ErrorClass::TypeMismatch, message))
}

/// The expression as that type, without a cast where it has it already.
fn cast_to(expr: Expr, to: &DataType) -> Expr {
    if expr.data_type() == *to {
        return expr;
    }
    match expr {
        Expr::Literal(Scalar::Null(_)) => Expr::Literal(Scalar::Null(to.clone())),
        expr => Expr::Cast { expr: Box::new(expr), to: to.clone(), try_cast: false },
    }
}

/// `CAST(expr AS to)`, or `TRY_CAST`.
///
/// # Errors
/// `TypeMismatch` when no cast exists between the types.
pub fn explicit_cast(expr: Expr, to: &DataType, try_cast: bool) -> Result<Expr> {
    let from = expr.data_type();
    if !can_cast(&from, to) {
        return Err(Error::new(
            ErrorClass::TypeMismatch,
            format!("Cannot cast \"{}\" to \"{}\".", from.to_string().to_uppercase(), to.to_string().to_uppercase()),
        ));
    }
    if from == *to {
        return Ok(expr);
    }
    Ok(match expr {
        Expr::Literal(Scalar::Null(_)) => Expr::Literal(Scalar::Null(to.clone())),
        expr => Expr::Cast { expr: Box::new(expr), to: to.clone(), try_cast },
    })
}

/// The cast that SQL makes on its own where a value of `to` is wanted: to wider numbers, from strings to anything simple,
/// from anything simple to strings, from dates to timestamps.
///
/// # Errors
/// `TypeMismatch` where only an explicit cast would do.
pub fn implicit_cast(expr: Expr, to: &DataType) -> Result<Expr> {
    let from = expr.data_type();
    if from == *to {
        return Ok(expr);
    }
    // A literal that fits is as good as a value of the narrower type.
    if let (Expr::Literal(s), true) = (&expr, from.is_integral() && to.is_integral())
        && let Some(narrow) = s.as_i128().and_then(|v| integral_literal(v, to))
    {
        return Ok(Expr::Literal(narrow));
    }
    if implicitly_castable(&from, to) {
        return Ok(cast_to(expr, to));
    }
    Err(Error::new(
        ErrorClass::TypeMismatch,
        format!(
            "A value of type \"{}\" is required, but \"{expr}\" has the type \"{}\".",
            to.to_string().to_uppercase(),
            from.to_string().to_uppercase()
        ),
    ))
}

/// A literal of an integral type, if the value fits.
fn integral_literal(value: i128, to: &DataType) -> Option<Scalar> {
    Some(match to {
        DataType::Byte => Scalar::Byte(value.try_into().ok()?),
        DataType::Short => Scalar::Short(value.try_into().ok()?),
        DataType::Int => Scalar::Int(value.try_into().ok()?),
        DataType::Long => Scalar::Long(value.try_into().ok()?),
        _ => return None,
    })
}

/// `left op right` for numbers, dates, timestamps and intervals.
///
/// # Errors
/// `TypeMismatch`.
pub fn arithmetic(op: ArithmeticOp, left: Expr, right: Expr) -> Result<Expr> {
    if let Some(e) = datetime::arithmetic(op, &left, &right)? {
        return Ok(e);
    }
    let (l, r) = (left.data_type(), right.data_type());
    let failure = || mismatch(op.symbol(), &l, &r);
    let number = |own: &DataType, other: &DataType| match (own, other) {
        (DataType::String, t) if t.is_integral() => Some(DataType::Long),
        (DataType::String, t) if t.is_numeric() || matches!(t, DataType::String | DataType::Null) => Some(DataType::Double),
        (DataType::Null, DataType::String) => Some(DataType::Double),
        (DataType::Null, DataType::Null) => Some(if op == ArithmeticOp::Divide { DataType::Double } else { DataType::Int }),
        (DataType::Null, t) if t.is_numeric() => Some(t.clone()),
        (t, _) if t.is_numeric() => Some(t.clone()),
        _ => None,
    };
    let (lt, rt) = (number(&l, &r).ok_or_else(failure)?, number(&r, &l).ok_or_else(failure)?);
    let (left, right) = (cast_to(left, &lt), cast_to(right, &rt));
    let (left, right) = if lt.is_fractional() && rt.is_decimal()
        || lt.is_decimal() && rt.is_fractional()
        || op == ArithmeticOp::Divide && !lt.is_decimal() && !rt.is_decimal()
    {
        (cast_to(left, &DataType::Double), cast_to(right, &DataType::Double))
    } else if lt.is_decimal() || rt.is_decimal() {
        (as_decimal(left), as_decimal(right))
    } else if op == ArithmeticOp::IntegralDivide {
        if lt.is_fractional() || rt.is_fractional() {
            return Err(failure());
        }
        (cast_to(left, &DataType::Long), cast_to(right, &DataType::Long))
    } else {
        let common = common_type(&[lt.clone(), rt.clone()]).ok_or_else(failure)?;
        (cast_to(left, &common), cast_to(right, &common))
    };
    Ok(Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), try_arithmetic: false })
}

/// An integral expression as a decimal: literals with just the digits they have, others with room for their whole type.
fn as_decimal(expr: Expr) -> Expr {
    let t = expr.data_type();
    if t.is_decimal() {
        return expr;
    }
    let (p, s) = literal_decimal(&expr).or_else(|| decimal_for_integral(&t)).unwrap_or((38, 18));
    cast_to(expr, &DataType::decimal(p, s))
}

/// `left op right`, both sides brought to one type.
///
/// # Errors
/// `TypeMismatch` when there is none, or it cannot be ordered.
pub fn comparison(op: ComparisonOp, left: Expr, right: Expr) -> Result<Expr> {
    let (l, r) = (left.data_type(), right.data_type());
    let failure = || mismatch(op.symbol(), &l, &r);
    let (left, right) = match (&l, &r) {
        _ if l == r => (left, right),
        (a, b) if a.is_integral() && b.is_integral() => match (narrow_literal(&left, b), narrow_literal(&right, a)) {
            (Some(literal), _) => (literal, right),
            (None, Some(literal)) => (left, literal),
            (None, None) => common_sides(left, right).ok_or_else(failure)?,
        },
        (a, b) if (a.is_decimal() || b.is_decimal()) && !a.is_fractional() && !b.is_fractional() && a.is_numeric() && b.is_numeric() => {
            let (left, right) = (as_decimal(left), as_decimal(right));
            let t = wider_decimal(&left.data_type(), &right.data_type()).ok_or_else(failure)?;
            (cast_to(left, &t), cast_to(right, &t))
        }
        _ => common_sides(left, right).ok_or_else(failure)?,
    };
    check_orderable(op.symbol(), &left.data_type())?;
    Ok(Expr::Comparison { op, left: Box::new(left), right: Box::new(right) })
}

/// An integral literal as the other side's narrower type, if it fits.
fn narrow_literal(e: &Expr, to: &DataType) -> Option<Expr> {
    match e {
        Expr::Literal(s) if !s.is_null() => integral_literal(s.as_i128()?, to).map(Expr::Literal),
        _ => None,
    }
}

fn common_sides(left: Expr, right: Expr) -> Option<(Expr, Expr)> {
    let t = common_type(&[left.data_type(), right.data_type()])?;
    Some((cast_to(left, &t), cast_to(right, &t)))
}

fn boolean(expr: Expr, what: &str) -> Result<Expr> {
    let t = expr.data_type();
    match t {
        DataType::Boolean => Ok(expr),
        DataType::Null | DataType::String => Ok(cast_to(expr, &DataType::Boolean)),
        other => Err(Error::new(
            ErrorClass::TypeMismatch,
            format!("{what} requires the \"BOOLEAN\" type, but \"{expr}\" has the type \"{}\".", other.to_string().to_uppercase()),
        )),
    }
}

/// A condition of WHERE, ON, HAVING, FILTER.
///
/// # Errors
/// `TypeMismatch` unless boolean.
pub fn condition(expr: Expr) -> Result<Expr> {
    boolean(expr, "A condition")
}

/// # Errors
/// `TypeMismatch` unless both are boolean.
pub fn logical_and(left: Expr, right: Expr) -> Result<Expr> {
    Ok(Expr::And(Box::new(boolean(left, "AND")?), Box::new(boolean(right, "AND")?)))
}

/// # Errors
/// `TypeMismatch` unless both are boolean.
pub fn logical_or(left: Expr, right: Expr) -> Result<Expr> {
    Ok(Expr::Or(Box::new(boolean(left, "OR")?), Box::new(boolean(right, "OR")?)))
}

/// # Errors
/// `TypeMismatch` unless boolean.
pub fn logical_not(expr: Expr) -> Result<Expr> {
    Ok(Expr::Not(Box::new(boolean(expr, "NOT")?)))
}

/// `-expr`; of a literal, the negative literal.
///
/// # Errors
/// `TypeMismatch` unless a number or an interval.
pub fn negate(expr: Expr) -> Result<Expr> {
    if let Expr::Literal(s) = &expr {
        let negated = match s {
            Scalar::Byte(v) => v.checked_neg().map(Scalar::Byte),
            Scalar::Short(v) => v.checked_neg().map(Scalar::Short),
            Scalar::Int(v) => v.checked_neg().map(Scalar::Int),
            Scalar::Long(v) => v.checked_neg().map(Scalar::Long),
            Scalar::Float(v) => Some(Scalar::Float(-v)),
            Scalar::Double(v) => Some(Scalar::Double(-v)),
            Scalar::Decimal { value, precision, scale } => Some(Scalar::Decimal { value: -value, precision: *precision, scale: *scale }),
            Scalar::YearMonthInterval(v) => v.checked_neg().map(Scalar::YearMonthInterval),
            Scalar::DayTimeInterval(v) => v.checked_neg().map(Scalar::DayTimeInterval),
            _ => None,
        };
        if let Some(s) = negated {
            return Ok(Expr::Literal(s));
        }
    }
    match expr.data_type() {
        t if t.is_numeric() => Ok(Expr::Negate(Box::new(expr))),
        DataType::Null | DataType::String => Ok(Expr::Negate(Box::new(cast_to(expr, &DataType::Double)))),
        DataType::YearMonthInterval | DataType::DayTimeInterval => arithmetic(ArithmeticOp::Multiply, expr, Expr::Literal(Scalar::Int(-1))),
        other => {
            Err(Error::new(ErrorClass::TypeMismatch, format!("Cannot negate a value of type \"{}\".", other.to_string().to_uppercase())))
        }
    }
}

/// All expressions brought to one type.
fn unify(exprs: Vec<Expr>, what: &str) -> Result<Vec<Expr>> {
    let types: Vec<DataType> = exprs.iter().map(Expr::data_type).collect();
    let t = common_type(&types).ok_or_else(|| {
        let list = types.iter().map(|t| format!("\"{}\"", t.to_string().to_uppercase())).collect::<Vec<_>>().join(", ");
        Error::new(ErrorClass::TypeMismatch, format!("The inputs of {what} must have one type, but they have {list}."))
    })?;
    Ok(exprs.into_iter().map(|e| cast_to(e, &t)).collect())
}

/// Searched CASE. (`CASE x WHEN v` is a CASE of comparisons.)
///
/// # Errors
/// `TypeMismatch` for conditions that are not boolean or values without a common type.
pub fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr> {
    let (conditions, mut values): (Vec<_>, Vec<_>) = branches.into_iter().unzip();
    let has_else = otherwise.is_some();
    values.extend(otherwise);
    let mut values = unify(values, "CASE")?;
    let otherwise = if has_else { values.pop().map(Box::new) } else { None };
    let conditions = conditions.into_iter().map(|c| boolean(c, "CASE WHEN")).collect::<Result<Vec<_>>>()?;
    Ok(Expr::Case { branches: conditions.into_iter().zip(values).collect(), otherwise })
}

/// # Errors
/// `TypeMismatch` without a common type; `WrongArguments` for none.
pub fn coalesce(args: Vec<Expr>) -> Result<Expr> {
    if args.is_empty() {
        return Err(Error::new(ErrorClass::WrongArguments, "The `coalesce` requires > 0 parameters but the actual number is 0."));
    }
    Ok(Expr::Coalesce(unify(args, "COALESCE")?))
}

/// `value IN (list)`.
///
/// # Errors
/// `TypeMismatch` without a common type.
pub fn in_list(value: Expr, list: Vec<Expr>) -> Result<Expr> {
    let own = value.data_type();
    // Literals that fit the value's type leave the value itself without a cast.
    let list: Vec<Expr> = list.into_iter().map(|e| if own.is_integral() { narrow_literal(&e, &own).unwrap_or(e) } else { e }).collect();
    let list: Vec<Expr> = if own.is_decimal() {
        list.into_iter().map(|e| if e.data_type().is_integral() { as_decimal(e) } else { e }).collect()
    } else {
        list
    };
    let mut all = vec![value];
    all.extend(list);
    let mut all = unify(all, "IN")?;
    check_orderable("in", &all[0].data_type())?;
    let list = all.split_off(1);
    match all.pop() {
        Some(value) => Ok(Expr::In { value: Box::new(value), list }),
        None => Err(Error::internal("IN lost its value")),
    }
}

/// `value LIKE pattern`, or ILIKE; the escape is a backslash unless given.
///
/// # Errors
/// `TypeMismatch` for values that are no strings and do not turn into them; `InvalidParameter` for a malformed pattern.
pub fn like(value: Expr, pattern: Expr, escape: Option<char>, case_insensitive: bool) -> Result<Expr> {
    let (pattern, escape) = (implicit_cast(pattern, &DataType::String)?, escape.unwrap_or('\\'));
    if let Expr::Literal(Scalar::String(text)) = &pattern {
        // A literal that does not compile fails here, so that evaluation cannot.
        crate::runtime::like::LikePattern::new(text, escape, case_insensitive)?;
    }
    Ok(Expr::Like { value: Box::new(implicit_cast(value, &DataType::String)?), pattern: Box::new(pattern), escape, case_insensitive })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Attribute;

    fn column(t: DataType) -> Expr {
        Expr::Attribute(Attribute::new("c", t, true))
    }

    fn int(v: i32) -> Expr {
        Expr::Literal(Scalar::Int(v))
    }

    #[test]
    fn decimal_arithmetic_of_tpch_query_1() {
        let money = || column(DataType::decimal(15, 2));
        let discounted = arithmetic(ArithmeticOp::Multiply, money(), arithmetic(ArithmeticOp::Subtract, int(1), money()).unwrap()).unwrap();
        assert_eq!(discounted.data_type(), DataType::decimal(32, 4));
        let charged = arithmetic(ArithmeticOp::Multiply, discounted, arithmetic(ArithmeticOp::Add, int(1), money()).unwrap()).unwrap();
        assert_eq!(charged.data_type(), DataType::decimal(38, 6));
        assert_eq!(arithmetic(ArithmeticOp::Divide, int(1), int(2)).unwrap().data_type(), DataType::Double);
        assert_eq!(arithmetic(ArithmeticOp::IntegralDivide, int(1), int(2)).unwrap().data_type(), DataType::Long);
        assert_eq!(arithmetic(ArithmeticOp::Divide, money(), money()).unwrap().data_type(), DataType::decimal(33, 18));
        assert!(arithmetic(ArithmeticOp::Add, column(DataType::Boolean), int(1)).is_err());
    }

    #[test]
    fn comparisons_cast_the_side_that_must_move() {
        let e = comparison(ComparisonOp::Less, column(DataType::decimal(15, 2)), int(24)).unwrap();
        assert!(matches!(&e, Expr::Comparison { left, right, .. }
            if matches!(left.as_ref(), Expr::Attribute(_)) && right.data_type() == DataType::decimal(15, 2)));
        let e = comparison(ComparisonOp::Equal, column(DataType::String), int(1)).unwrap();
        assert!(matches!(&e, Expr::Comparison { left, .. } if left.data_type() == DataType::Long));
        let e = comparison(ComparisonOp::Equal, column(DataType::Date), Expr::Literal(Scalar::string("2020-01-01"))).unwrap();
        assert!(matches!(&e, Expr::Comparison { right, .. } if right.data_type() == DataType::Date));
        assert!(comparison(ComparisonOp::Equal, column(DataType::Date), int(1)).is_err());
    }

    #[test]
    fn dates_and_intervals() {
        let day = |n: i64| Expr::Literal(Scalar::DayTimeInterval(n * crate::base::calendar::MICROS_PER_DAY));
        assert_eq!(arithmetic(ArithmeticOp::Subtract, column(DataType::Date), day(90)).unwrap().data_type(), DataType::Date);
        assert_eq!(
            arithmetic(ArithmeticOp::Add, column(DataType::Date), Expr::Literal(Scalar::YearMonthInterval(12))).unwrap().data_type(),
            DataType::Date
        );
        assert_eq!(
            arithmetic(ArithmeticOp::Subtract, column(DataType::Date), column(DataType::Date)).unwrap().data_type(),
            DataType::DayTimeInterval
        );
    }

    #[test]
    fn functions_and_aggregates_by_name() {
        assert_eq!(function("SUBSTR", vec![column(DataType::String), int(1), int(2)]).unwrap().data_type(), DataType::String);
        let e = function("substrin", vec![]).unwrap_err();
        assert!(e.class == ErrorClass::RoutineNotFound && e.message.contains("substring"), "{e}");
        assert_eq!(function("year", vec![column(DataType::Short)]).unwrap_err().class, ErrorClass::TypeMismatch);
        assert_eq!(function("upper", vec![]).unwrap_err().class, ErrorClass::WrongArguments);
        let sum = aggregate("sum", vec![column(DataType::decimal(15, 2))], false, None).unwrap().unwrap();
        assert_eq!(sum.data_type(), DataType::decimal(25, 2));
        assert!(aggregate("upper", vec![column(DataType::String)], false, None).unwrap().is_none());
        assert_eq!(function("nullif", vec![int(1), int(2)]).unwrap().data_type(), DataType::Int);
    }
}
