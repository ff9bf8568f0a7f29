//! Scalar functions by SQL name: arguments counted and coerced as the function table says; names that are shorthand for
//! other expressions are written out.

use super::{aggregates, arithmetic, case, cast_to, coalesce, common_type, comparison, explicit_cast, implicit_cast, logical_not, unify};
use crate::base::error::nearest;
use crate::base::{DataType, Error, ErrorClass, Result, Scalar, calendar};
use crate::expr::function::SIGNATURES;
use crate::expr::typing::literal_text;
use crate::expr::{ArithmeticOp, ComparisonOp, Expr, ScalarFunction};

/// Names written out as other expressions.
const REWRITTEN: &[&str] = &[
    "coalesce",
    "nvl",
    "ifnull",
    "nvl2",
    "nullif",
    "nullifzero",
    "zeroifnull",
    "if",
    "iff",
    "isnull",
    "isnotnull",
    "mod",
    "try_add",
    "try_subtract",
    "try_multiply",
    "try_divide",
    "try_mod",
    "positive",
    "negative",
    "pi",
    "e",
    "now",
    "current_timestamp",
    "current_date",
    "curdate",
    "localtimestamp",
    "trim",
    "ltrim",
    "rtrim",
    "to_date",
    "to_timestamp",
    "date",
    "timestamp",
    "extract",
    "date_part",
    "datepart",
    "typeof",
    "struct",
    "log",
    "string",
    "int",
    "bigint",
    "smallint",
    "tinyint",
    "float",
    "double",
    "decimal",
    "boolean",
    "binary",
    "equal_null",
    "unix_timestamp",
    "to_unix_timestamp",
    "like",
    "ilike",
    "dayname",
    "monthname",
    "array_append",
    "array_prepend",
    "map_contains_key",
];

/// All names that [`function`] and [`aggregate`](super::aggregate) know, for suggestions and `SHOW FUNCTIONS`.
pub fn function_names() -> Vec<&'static str> {
    let table = SIGNATURES.iter().flat_map(|s| std::iter::once(s.name).chain(s.aliases.iter().copied()));
    let mut out: Vec<_> = table
        .chain(REWRITTEN.iter().copied())
        .chain(aggregates::NAMES.iter().copied())
        .filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// # Errors
/// `WrongArguments`.
pub(super) fn check_count(name: &str, args: &[Expr], min: usize, max: usize) -> Result<()> {
    if (min..=max).contains(&args.len()) {
        return Ok(());
    }
    let expected = match (min, max) {
        (a, b) if a == b => a.to_string(),
        (a, usize::MAX) => format!("at least {a}"),
        (a, b) => format!("[{}]", (a..=b).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")),
    };
    Err(Error::new(
        ErrorClass::WrongArguments,
        format!("The `{name}` requires {expected} parameters but the actual number is {}.", args.len()),
    ))
}

/// The value of an argument that must be constant.
///
/// # Errors
/// `WrongArguments` when it is not; those of evaluating it.
pub(super) fn constant(e: &Expr) -> Result<Scalar> {
    match e {
        Expr::Literal(s) => Ok(s.clone()),
        e if e.is_foldable() => crate::expr::evaluate::fold(e),
        e => Err(Error::new(ErrorClass::WrongArguments, format!("\"{e}\" must be a constant."))),
    }
}

fn take<const N: usize>(name: &str, args: Vec<Expr>) -> Result<[Expr; N]> {
    check_count(name, &args, N, N)?;
    args.try_into().map_err(|_| Error::internal("arguments were counted"))
}

fn call(function: ScalarFunction, args: Vec<Expr>) -> Expr {
    Expr::Function { function, args }
}

/// The scalar function of that name over `args`, coerced.
///
/// # Errors
/// `RoutineNotFound` with the nearest name, `WrongArguments`, `TypeMismatch`.
pub fn function(name: &str, args: Vec<Expr>) -> Result<Expr> {
    let name = name.to_ascii_lowercase();
    if let Some(rewritten) = rewrite(&name, &args)? {
        return Ok(rewritten);
    }
    let Some(function) = ScalarFunction::from_name(&name) else {
        let hint = nearest(&name, function_names()).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
        return Err(Error::new(ErrorClass::RoutineNotFound, format!("Cannot resolve routine `{name}` on the search path.{hint}")));
    };
    let args = coerce(function, &name, args)?;
    check(function, &name, &args)?;
    Ok(call(function, args))
}

/// Names that stand for other expressions.
fn rewrite(name: &str, args: &[Expr]) -> Result<Option<Expr>> {
    let args = args.to_vec();
    let cast_name = |t: DataType| -> Result<Expr> {
        let [e] = take(name, args.clone())?;
        explicit_cast(e, &t, false)
    };
    let attempt = |op: ArithmeticOp| -> Result<Expr> {
        let [l, r] = take(name, args.clone())?;
        Ok(match arithmetic(op, l, r)? {
            Expr::Arithmetic { op, left, right, .. } => Expr::Arithmetic { op, left, right, try_arithmetic: true },
            other => other,
        })
    };
    Ok(Some(match name {
        "coalesce" => coalesce(args)?,
        "nvl" | "ifnull" => coalesce(take::<2>(name, args)?.into())?,
        "nvl2" => {
            let [test, a, b] = take(name, args)?;
            case(vec![(Expr::IsNotNull(Box::new(test)), a)], Some(b))?
        }
        "nullif" => {
            let [a, b] = take(name, args)?;
            let null = Expr::Literal(Scalar::Null(a.data_type()));
            case(vec![(comparison(ComparisonOp::Equal, a.clone(), b)?, null)], Some(a))?
        }
        "nullifzero" => {
            let [a] = take(name, args)?;
            return rewrite("nullif", &[a, Expr::Literal(Scalar::Int(0))]);
        }
        "zeroifnull" => {
            let [a] = take(name, args)?;
            coalesce(vec![a, Expr::Literal(Scalar::Int(0))])?
        }
        "equal_null" => {
            let [a, b] = take(name, args)?;
            comparison(ComparisonOp::EqualNullSafe, a, b)?
        }
        "if" | "iff" => {
            let [test, a, b] = take(name, args)?;
            case(vec![(test, a)], Some(b))?
        }
        "isnull" => {
            let [e] = take(name, args)?;
            Expr::IsNull(Box::new(e))
        }
        "isnotnull" => {
            let [e] = take(name, args)?;
            Expr::IsNotNull(Box::new(e))
        }
        "not" => {
            let [e] = take(name, args)?;
            logical_not(e)?
        }
        "like" | "ilike" => {
            let [value, pattern] = take(name, args)?;
            super::like(value, pattern, None, name == "ilike")?
        }
        "dayname" | "monthname" => {
            let [day] = take(name, args)?;
            let day = implicit_cast(implicit_cast(day, &DataType::Date)?, &DataType::Timestamp)?;
            let pattern = if name == "dayname" { "E" } else { "MMM" };
            call(ScalarFunction::DateFormat, vec![day, Expr::Literal(Scalar::string(pattern))])
        }
        "array_append" | "array_prepend" => {
            let [list, item] = take(name, args)?;
            let one = function("array", vec![item])?;
            function("concat", if name == "array_append" { vec![list, one] } else { vec![one, list] })?
        }
        "map_contains_key" => {
            let [map, key] = take(name, args)?;
            function("array_contains", vec![function("map_keys", vec![map])?, key])?
        }
        "mod" => {
            let [l, r] = take(name, args)?;
            arithmetic(ArithmeticOp::Remainder, l, r)?
        }
        "try_add" => attempt(ArithmeticOp::Add)?,
        "try_subtract" => attempt(ArithmeticOp::Subtract)?,
        "try_multiply" => attempt(ArithmeticOp::Multiply)?,
        "try_divide" => attempt(ArithmeticOp::Divide)?,
        "try_mod" => attempt(ArithmeticOp::Remainder)?,
        "positive" => {
            let [e] = take(name, args)?;
            e
        }
        "negative" => {
            let [e] = take(name, args)?;
            super::negate(e)?
        }
        "pi" | "e" => {
            check_count(name, &args, 0, 0)?;
            Expr::Literal(Scalar::Double(if name == "pi" { std::f64::consts::PI } else { std::f64::consts::E }))
        }
        "now" | "current_timestamp" | "localtimestamp" => {
            check_count(name, &args, 0, 0)?;
            Expr::Literal(Scalar::Timestamp(now_micros()))
        }
        "current_date" | "curdate" => {
            check_count(name, &args, 0, 0)?;
            Expr::Literal(Scalar::Date(calendar::days_of(now_micros())))
        }
        // Spark's two-argument forms name the characters first.
        "trim" | "ltrim" | "rtrim" => {
            check_count(name, &args, 1, 2)?;
            let function = match name {
                "trim" => ScalarFunction::Trim,
                "ltrim" => ScalarFunction::LTrim,
                _ => ScalarFunction::RTrim,
            };
            let args = args.into_iter().rev().map(|e| implicit_cast(e, &DataType::String)).collect::<Result<_>>()?;
            call(function, args)
        }
        "to_date" if args.len() == 1 => cast_name(DataType::Date)?,
        "to_timestamp" if args.len() == 1 => cast_name(DataType::Timestamp)?,
        "unix_timestamp" if args.is_empty() => Expr::Literal(Scalar::Long(now_micros().div_euclid(calendar::MICROS_PER_SECOND))),
        "unix_timestamp" | "to_unix_timestamp" if args.len() == 2 => {
            call(ScalarFunction::UnixTimestamp, vec![function("to_timestamp", args)?])
        }
        "date" => cast_name(DataType::Date)?,
        "timestamp" => cast_name(DataType::Timestamp)?,
        "string" => cast_name(DataType::String)?,
        "int" => cast_name(DataType::Int)?,
        "bigint" => cast_name(DataType::Long)?,
        "smallint" => cast_name(DataType::Short)?,
        "tinyint" => cast_name(DataType::Byte)?,
        "float" => cast_name(DataType::Float)?,
        "double" => cast_name(DataType::Double)?,
        "decimal" => cast_name(DataType::decimal(10, 0))?,
        "boolean" => cast_name(DataType::Boolean)?,
        "binary" => cast_name(DataType::Binary)?,
        "log" if args.len() == 1 => function("ln", args)?,
        "extract" | "date_part" | "datepart" => {
            let [field, source] = take(name, args)?;
            let field = match constant(&field)? {
                Scalar::String(s) => s.to_string(),
                other => other.to_string(),
            };
            date_part(&field, source)?
        }
        "typeof" => {
            let [e] = take(name, args)?;
            Expr::Literal(Scalar::string(e.data_type().to_string()))
        }
        "struct" => {
            let mut pairs = vec![];
            for (i, e) in args.into_iter().enumerate() {
                let name: std::sync::Arc<str> = match &e {
                    Expr::Alias { name, .. } => name.clone(),
                    Expr::Attribute(a) => a.name.clone(),
                    _ => format!("col{}", i + 1).into(),
                };
                pairs.extend([Expr::Literal(Scalar::String(name)), e.unaliased().clone()]);
            }
            call(ScalarFunction::NamedStruct, pairs)
        }
        _ => return Ok(None),
    }))
}

fn now_micros() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

/// `EXTRACT(field FROM source)`.
fn date_part(field: &str, source: Expr) -> Result<Expr> {
    let lower = field.to_ascii_lowercase();
    let t = source.data_type();
    if matches!(t, DataType::YearMonthInterval | DataType::DayTimeInterval) {
        let unit = match lower.trim_end_matches('s') {
            "y" | "yr" | "year" => "year",
            "mon" | "month" => "month",
            "d" | "day" => "day",
            "h" | "hr" | "hour" => "hour",
            "min" | "minute" | "m" => "minute",
            "sec" | "second" | "" => "second",
            _ => return Err(unknown_field(field)),
        };
        return Ok(call(ScalarFunction::IntervalPart, vec![Expr::Literal(Scalar::string(unit)), source]));
    }
    use ScalarFunction::*;
    let function = match lower.as_str() {
        "year" | "y" | "years" | "yr" | "yrs" => Year,
        "yearofweek" => YearOfWeek,
        "quarter" | "qtr" => Quarter,
        "month" | "mon" | "mons" | "months" => Month,
        "week" | "w" | "weeks" => WeekOfYear,
        "day" | "d" | "days" => DayOfMonth,
        "dayofweek" | "dow" => DayOfWeek,
        "dayofweek_iso" | "dow_iso" => {
            let zero_based = call(WeekDay, vec![implicit_cast(source, &DataType::Date)?]);
            return arithmetic(ArithmeticOp::Add, zero_based, Expr::Literal(Scalar::Int(1)));
        }
        "doy" => DayOfYear,
        "hour" | "h" | "hours" | "hr" | "hrs" => Hour,
        "minute" | "m" | "min" | "mins" | "minutes" => Minute,
        "second" | "s" | "sec" | "seconds" | "secs" => SecondFraction,
        _ => return Err(unknown_field(field)),
    };
    let to = if matches!(function, Hour | Minute | SecondFraction) { DataType::Timestamp } else { DataType::Date };
    Ok(call(function, vec![implicit_cast(source, &to)?]))
}

fn unknown_field(field: &str) -> Error {
    Error::new(ErrorClass::InvalidParameter, format!("`{field}` is not a field that EXTRACT knows."))
}

/// Casts the arguments as the signature says.
fn coerce(function: ScalarFunction, name: &str, args: Vec<Expr>) -> Result<Vec<Expr>> {
    let words: Vec<&str> = function.signature().args.split_whitespace().collect();
    let min = words.iter().filter(|w| w.len() == 1).count();
    let variadic = words.last().is_some_and(|w| w.ends_with('*'));
    check_count(name, &args, min, if variadic { usize::MAX } else { words.len() })?;
    let kind = |i: usize| words.get(i).or(words.last()).map_or('a', |w| w.chars().next().unwrap_or('a'));
    let first = args.first().map(Expr::data_type);
    let common: Vec<usize> = (0..args.len()).filter(|i| kind(*i) == 'c').collect();
    let mut args: Vec<Expr> = args
        .into_iter()
        .enumerate()
        .map(|(i, e)| argument(kind(i), e, first.as_ref()).map_err(|e| e.context(format!("argument {} of `{name}`", i + 1))))
        .collect::<Result<_>>()?;
    // Concat of anything but arrays is of strings, whatever its arguments have in common.
    let texts = function == ScalarFunction::Concat && !args.iter().any(|a| matches!(a.data_type(), DataType::Array(_)));
    if !common.is_empty() && !texts {
        let members = unify(common.iter().map(|i| args[*i].clone()).collect(), &format!("`{name}`"))?;
        for (i, e) in common.into_iter().zip(members) {
            args[i] = e;
        }
    }
    special(function, args)
}

/// One argument of a kind of the signature table.
fn argument(kind: char, e: Expr, first: Option<&DataType>) -> Result<Expr> {
    let t = e.data_type();
    let wrong = |wanted: &str| {
        Err(Error::new(
            ErrorClass::TypeMismatch,
            format!("\"{wanted}\" is required, but \"{e}\" has the type \"{}\".", t.to_string().to_uppercase()),
        ))
    };
    match kind {
        's' => implicit_cast(e, &DataType::String),
        'y' => implicit_cast(e, &DataType::Binary),
        'b' => implicit_cast(e, &DataType::Boolean),
        'i' => implicit_cast(e, &DataType::Int),
        'l' => implicit_cast(e, &DataType::Long),
        'd' => implicit_cast(e, &DataType::Double),
        'D' => implicit_cast(e, &DataType::Date),
        't' => implicit_cast(e, &DataType::Timestamp),
        'm' => implicit_cast(e, &DataType::YearMonthInterval),
        'u' => implicit_cast(e, &DataType::DayTimeInterval),
        'n' | 'q' => match t {
            DataType::Null => Ok(cast_to(e, if kind == 'n' { &DataType::Double } else { &DataType::Int })),
            DataType::String => Ok(cast_to(e, if kind == 'n' { &DataType::Double } else { &DataType::Long })),
            ref t if kind == 'n' && t.is_numeric() || t.is_integral() => Ok(e),
            _ => wrong(if kind == 'n' { "NUMERIC" } else { "INTEGRAL" }),
        },
        'T' => match t {
            DataType::Date | DataType::Timestamp | DataType::TimestampNtz => Ok(e),
            _ => implicit_cast(e, &DataType::Timestamp),
        },
        'A' if !matches!(t, DataType::Array(_)) => wrong("ARRAY"),
        'M' if !matches!(t, DataType::Map(..)) => wrong("MAP"),
        'S' if !matches!(t, DataType::Struct(_)) => wrong("STRUCT"),
        'e' => match first {
            Some(DataType::Array(element)) => match common_type(&[element.as_ref().clone(), t.clone()]) {
                Some(common) if common == **element => Ok(cast_to(e, &common)),
                _ => implicit_cast(e, element),
            },
            _ => Ok(e),
        },
        _ => Ok(e),
    }
}

/// What a function wants beyond its row in the table.
fn special(function: ScalarFunction, mut args: Vec<Expr>) -> Result<Vec<Expr>> {
    use ScalarFunction::*;
    match function {
        Ceil | Floor if args.len() == 1 && args[0].data_type().is_integral() => {
            let e = args.remove(0);
            Ok(vec![cast_to(e, &DataType::Long)])
        }
        Ceil | Floor if args.len() == 1 && args[0].data_type() == DataType::Float => {
            let e = args.remove(0);
            Ok(vec![cast_to(e, &DataType::Double)])
        }
        Concat if !args.iter().any(|a| matches!(a.data_type(), DataType::Array(_))) => {
            args.into_iter().map(|e| implicit_cast(e, &DataType::String)).collect()
        }
        Reverse if !matches!(args[0].data_type(), DataType::Array(_)) => {
            args.into_iter().map(|e| implicit_cast(e, &DataType::String)).collect()
        }
        Hex if !args[0].data_type().is_integral() => args.into_iter().map(|e| implicit_cast(e, &DataType::String)).collect(),
        Hex => Ok(args.into_iter().map(|e| cast_to(e, &DataType::Long)).collect()),
        BitAnd | BitOr | BitXor | PMod if args.iter().any(|a| a.data_type() == DataType::String) => {
            Ok(args.into_iter().map(|e| cast_to(e, &DataType::Long)).collect())
        }
        Round | BRound | Ceil | Floor if args.len() == 2 => {
            let scale = constant(&args[1])?;
            args[1] = Expr::Literal(scale);
            Ok(args)
        }
        Map => {
            let (keys, values): (Vec<_>, Vec<_>) = args.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
            let strip = |v: Vec<(usize, Expr)>| v.into_iter().map(|(_, e)| e).collect::<Vec<_>>();
            let (keys, values) = (unify(strip(keys), "`map` keys")?, unify(strip(values), "`map` values")?);
            Ok(keys.into_iter().zip(values).flat_map(|(k, v)| [k, v]).collect())
        }
        ElementAt | TryElementAt | GetItem => {
            let container = args[0].data_type();
            let index = args.remove(1);
            args.push(match container {
                DataType::Map(k, _) => implicit_cast(index, &k)?,
                _ => implicit_cast(index, &DataType::Int)?,
            });
            Ok(args)
        }
        ArrayPercentile => {
            let list = args.remove(0);
            args.insert(0, explicit_cast(list, &DataType::Array(Box::new(DataType::Double)), false)?);
            Ok(args)
        }
        Sequence if args[0].data_type().is_integral() => unify(args, "`sequence`"),
        _ => Ok(args),
    }
}

/// Errors in the types that coercion alone does not find.
fn check(function: ScalarFunction, name: &str, args: &[Expr]) -> Result<()> {
    use ScalarFunction::*;
    let fail = |class: ErrorClass, message: String| Err(Error::new(class, message));
    let first = args.first().map(Expr::data_type);
    match function {
        BitAnd | BitOr | BitXor if !args.iter().all(|a| a.data_type().is_integral() || a.data_type() == DataType::Boolean) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires integral operands."))
        }
        IntervalAdd | IntervalSubtract | IntervalMultiply | IntervalDivide
            if !matches!(first, Some(DataType::YearMonthInterval | DataType::DayTimeInterval)) =>
        {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires an INTERVAL."))
        }
        IntervalPart if !args.get(1).is_some_and(|a| matches!(a.data_type(), DataType::YearMonthInterval | DataType::DayTimeInterval)) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires an INTERVAL."))
        }
        PMod if !first.as_ref().is_some_and(|t| t.is_numeric()) => {
            fail(ErrorClass::TypeMismatch, "`pmod` requires numeric operands.".into())
        }
        Size if !matches!(first, Some(DataType::Array(_) | DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, "`size` requires an ARRAY or a MAP.".into())
        }
        ElementAt | TryElementAt | GetItem if !matches!(first, Some(DataType::Array(_) | DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, "An item can be taken of an ARRAY or a MAP only.".into())
        }
        Explode | PosExplode if !matches!(first, Some(DataType::Array(_) | DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires an ARRAY or a MAP."))
        }
        Inline if !matches!(&first, Some(DataType::Array(e)) if matches!(e.as_ref(), DataType::Struct(_))) => {
            fail(ErrorClass::TypeMismatch, "`inline` requires an ARRAY of STRUCT.".into())
        }
        ArrayUnion | ArrayIntersect | ArrayExcept | ArraysOverlap if !matches!(first, Some(DataType::Array(_))) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires two ARRAYs of one type."))
        }
        Flatten if !matches!(&first, Some(DataType::Array(e)) if matches!(e.as_ref(), DataType::Array(_))) => {
            fail(ErrorClass::TypeMismatch, "`flatten` requires an ARRAY of ARRAY.".into())
        }
        NamedStruct => {
            let names = args.iter().step_by(2).all(|e| literal_text(e).is_some());
            if args.len().is_multiple_of(2) && names {
                return Ok(());
            }
            fail(ErrorClass::WrongArguments, "`named_struct` takes pairs of a literal name and a value.".into())
        }
        Map if !args.len().is_multiple_of(2) => fail(ErrorClass::WrongArguments, "`map` takes pairs of a key and a value.".into()),
        GetField => {
            let known = |t: &DataType, n: &str| matches!(t, DataType::Struct(fs) if fs.iter().any(|f| f.name.eq_ignore_ascii_case(n)));
            match (first, args.get(1).and_then(literal_text)) {
                (Some(t), Some(n)) if known(&t, &n) => Ok(()),
                (_, n) => fail(ErrorClass::ColumnNotFound, format!("There is no field `{}` in the struct.", n.unwrap_or_default())),
            }
        }
        Stack if !matches!(args.first(), Some(Expr::Literal(Scalar::Int(1..)))) => {
            fail(ErrorClass::WrongArguments, "The number of rows of `stack` must be a positive constant.".into())
        }
        _ => Ok(()),
    }
}
