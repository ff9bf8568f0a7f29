//! Functions that are shorthand for other expressions.

use super::functions::{call, check_count, constant, function, function_of, take};
use super::{arithmetic, case, cast_to, coalesce, comparison, explicit_cast, implicit_cast, logical_not};
use crate::base::{DataType, Error, ErrorClass, Result, Scalar, calendar};
use crate::expr::evaluate::number_format::NumberFormat;
use crate::expr::evaluate::random;
use crate::expr::typing::{decimal_for_integral, literal_text};
use crate::expr::{ArithmeticOp, ComparisonOp, Expr, ScalarFunction, evaluate};

/// Names written out as other expressions.
pub(super) const REWRITTEN: &[&str] = &[
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
    "schema_of_json",
    "arrays_zip",
    "decode",
    "to_binary",
    "try_to_binary",
    "try_to_date",
    "try_to_timestamp",
    "to_timestamp_ltz",
    "to_timestamp_ntz",
    "make_timestamp_ntz",
    "try_make_timestamp_ntz",
    "timestampadd",
    "window_time",
    "timestampdiff",
    "dateadd",
    "date_add",
    "datediff",
    "date_diff",
    "current_timezone",
    "current_catalog",
    "current_database",
    "current_schema",
    "current_user",
    "user",
    "session_user",
    "version",
    "collation",
    "uniform",
    "when",
    "to_char",
    "to_varchar",
    "to_number",
    "try_to_number",
    "convert_timezone",
];

/// Names that stand for other expressions.
pub(super) fn rewrite(name: &str, args: &[Expr]) -> Result<Option<Expr>> {
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
            // The item's place: the last, or the first.
            let place = Expr::Literal(Scalar::Int(if name == "array_append" { -1 } else { 1 }));
            function_of(ScalarFunction::ArrayInsert, name, vec![list, place, item])?
        }
        "schema_of_json" => {
            let [text] = take(name, args)?;
            if !text.is_foldable() {
                let message =
                    format!("The input `json` of `schema_of_json` should be a foldable \"STRING\" expression; however, got \"{text}\".");
                return Err(Error::new(ErrorClass::TypeMismatch, message));
            }
            match constant(&implicit_cast(text, &DataType::String)?)? {
                Scalar::String(text) => {
                    let schema = evaluate::json::schema_of(&text)
                        .ok_or_else(|| Error::new(ErrorClass::MalformedData, format!("`{text}` is no JSON text.")))?;
                    Expr::Literal(Scalar::string(schema))
                }
                _ => return Err(Error::new(ErrorClass::TypeMismatch, "The input `json` of `schema_of_json` must not be NULL.")),
            }
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
        "try_to_date" if args.len() == 1 => attempt_cast(args, &DataType::Date)?,
        "try_to_timestamp" if args.len() == 1 => attempt_cast(args, &DataType::Timestamp)?,
        "to_timestamp_ltz" => function("to_timestamp", args)?,
        "to_timestamp_ntz" if args.len() == 1 => cast_name(DataType::TimestampNtz)?,
        "to_timestamp_ntz" => explicit_cast(function("to_timestamp", args)?, &DataType::TimestampNtz, false)?,
        "make_timestamp_ntz" => explicit_cast(function("make_timestamp", args)?, &DataType::TimestampNtz, false)?,
        "try_make_timestamp_ntz" => explicit_cast(function("try_make_timestamp", args)?, &DataType::TimestampNtz, false)?,
        // The last microsecond of a window.
        "window_time" => {
            let [window] = take(name, args)?;
            let end = function_of(ScalarFunction::GetField, name, vec![window, Expr::Literal(Scalar::string("end"))])?;
            arithmetic(ArithmeticOp::Subtract, end, Expr::Literal(Scalar::DayTimeInterval(1)))?
        }
        "timestampadd" => timestamp_add(take(name, args)?)?,
        "dateadd" | "date_add" if args.len() == 3 => timestamp_add(take(name, args)?)?,
        "datediff" | "date_diff" if args.len() == 3 => function("timestampdiff", args)?,
        "current_timezone" | "current_catalog" | "current_database" | "current_schema" => {
            check_count(name, &args, 0, 0)?;
            Expr::Literal(Scalar::string(match name {
                "current_timezone" => "UTC",
                "current_catalog" => "spark_catalog",
                _ => "default",
            }))
        }
        "current_user" | "user" | "session_user" => {
            check_count(name, &args, 0, 0)?;
            let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|v| std::env::var(v).ok());
            Expr::Literal(Scalar::string(user.unwrap_or_else(|| "root".into())))
        }
        "version" => {
            check_count(name, &args, 0, 0)?;
            Expr::Literal(Scalar::string(env!("CARGO_PKG_VERSION")))
        }
        // A call without a seed gets one, the same for all its rows.
        "rand" | "random" | "randn" if args.is_empty() => function(name, vec![fresh_seed()])?,
        "randstr" if args.len() == 1 => function(name, [args, vec![fresh_seed()]].concat())?,
        "uniform" => {
            check_count(name, &args, 2, 3)?;
            let bounds = super::unify(args[..2].to_vec(), "`uniform`")?;
            let t = bounds[0].data_type();
            if !t.is_numeric() || !bounds.iter().all(Expr::is_foldable) {
                return Err(Error::new(ErrorClass::TypeMismatch, "The bounds of `uniform` must be constant numbers."));
            }
            let [low, high] = [0, 1].map(|i| explicit_cast(bounds[i].clone(), &DataType::Double, false));
            let (low, high) = (low?, high?);
            let random = function("rand", vec![args.get(2).cloned().unwrap_or_else(fresh_seed)])?;
            let width = arithmetic(ArithmeticOp::Subtract, high, low.clone())?;
            let value = arithmetic(ArithmeticOp::Add, low, arithmetic(ArithmeticOp::Multiply, width, random)?)?;
            explicit_cast(value, &t, false)?
        }
        "collation" => {
            let [text] = take(name, args)?;
            implicit_cast(text, &DataType::String)?;
            Expr::Literal(Scalar::string("SYSTEM.BUILTIN.UTF8_BINARY"))
        }
        "when" => {
            check_count(name, &args, 2, usize::MAX)?;
            let (pairs, otherwise) = args.split_at(args.len() / 2 * 2);
            case(pairs.chunks(2).map(|p| (p[0].clone(), p[1].clone())).collect(), otherwise.first().cloned())?
        }
        "to_char" | "to_varchar" => to_char(take(name, args)?)?,
        "to_number" | "try_to_number" => {
            let [text, format] = take(name, args)?;
            let (text, function) = (implicit_cast(text, &DataType::String)?, ScalarFunction::from_name(name));
            match (number_format(name, &format)?, function) {
                (Some(format), Some(function)) => call(function, vec![text, format]),
                _ => Expr::Literal(Scalar::Null(DataType::decimal(10, 0))),
            }
        }
        "convert_timezone" => {
            check_count(name, &args, 2, 3)?;
            let here = (args.len() == 2).then(|| Expr::Literal(Scalar::string("UTC")));
            let mut args: Vec<Expr> = here.into_iter().chain(args).collect();
            let time = args.pop().ok_or_else(|| Error::internal("arguments were counted"))?;
            let mut args = args.into_iter().map(|e| implicit_cast(e, &DataType::String)).collect::<Result<Vec<_>>>()?;
            args.push(implicit_cast(time, &DataType::TimestampNtz)?);
            call(ScalarFunction::ConvertTimezone, args)
        }
        "arrays_zip" => {
            let mut pairs = vec![];
            for (i, e) in args.into_iter().enumerate() {
                let name: std::sync::Arc<str> = match &e {
                    Expr::Attribute(a) => a.name.clone(),
                    _ => i.to_string().into(),
                };
                let e = if e.data_type() == DataType::Null { cast_to(e, &DataType::Array(Box::new(DataType::Null))) } else { e };
                pairs.extend([Expr::Literal(Scalar::String(name)), e]);
            }
            function_of(ScalarFunction::ArraysZip, "arrays_zip", pairs)?
        }
        // With two arguments the bytes of a text, with more a CASE of comparisons in which NULL equals NULL.
        "decode" if args.len() > 2 => {
            let mut rest = args.into_iter();
            let value = rest.next().ok_or_else(|| Error::internal("arguments were counted"))?;
            let rest: Vec<Expr> = rest.collect();
            let (pairs, otherwise) = rest.split_at(rest.len() / 2 * 2);
            let branch = |p: &[Expr]| Ok((comparison(ComparisonOp::EqualNullSafe, value.clone(), p[0].clone())?, p[1].clone()));
            case(pairs.chunks(2).map(branch).collect::<Result<_>>()?, otherwise.first().cloned())?
        }
        "to_binary" | "try_to_binary" => {
            check_count(name, &args, 1, 2)?;
            let format = match args.get(1) {
                Some(e) => constant(e)?.to_string().to_ascii_lowercase(),
                None => "hex".into(),
            };
            let text = args[0].clone();
            match (format.as_str(), name) {
                ("utf-8" | "utf8", _) => function("encode", vec![text, Expr::Literal(Scalar::string("UTF-8"))])?,
                ("hex", "try_to_binary") => function("unhex", vec![text])?,
                ("base64", "to_binary") => function("unbase64", vec![text])?,
                _ => return Err(Error::unsupported(format!("`{name}` with the format '{format}'"))),
            }
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
                    Expr::Attribute(a) | Expr::LambdaVariable(a) => a.name.clone(),
                    Expr::Function { function: ScalarFunction::GetField | ScalarFunction::GetArrayFields, args } => {
                        literal_text(&args[1]).ok_or_else(|| Error::internal("a field without a name"))?
                    }
                    _ => format!("col{}", i + 1).into(),
                };
                pairs.extend([Expr::Literal(Scalar::String(name)), e.unaliased().clone()]);
            }
            call(ScalarFunction::NamedStruct, pairs)
        }
        _ => return Ok(None),
    }))
}

/// `try_cast(e AS to)` of the only argument.
fn attempt_cast(args: Vec<Expr>, to: &DataType) -> Result<Expr> {
    let [e] = take("try_cast", args)?;
    explicit_cast(e, to, true)
}

fn fresh_seed() -> Expr {
    Expr::Literal(Scalar::Long(random::fresh_seed()))
}

/// `to_char(value, format)`, by the type of the value.
fn to_char([value, format]: [Expr; 2]) -> Result<Expr> {
    let number = match value.data_type() {
        DataType::Date | DataType::Timestamp | DataType::TimestampNtz => return function("date_format", vec![value, format]),
        DataType::Binary => {
            let Scalar::String(encoding) = constant(&format)? else { return Ok(Expr::Literal(Scalar::Null(DataType::String))) };
            return match encoding.to_ascii_lowercase().as_str() {
                "base64" | "hex" => function(&encoding, vec![value]),
                "utf-8" => function("decode", vec![value, Expr::Literal(Scalar::string("UTF-8"))]),
                _ => Err(Error::new(ErrorClass::InvalidParameter, format!("`to_char` of bytes knows no format '{encoding}'."))),
            };
        }
        DataType::Float => DataType::decimal(14, 7),
        DataType::Double => DataType::decimal(30, 15),
        DataType::String => DataType::decimal(38, 18),
        DataType::Null => DataType::decimal(10, 0),
        other => match decimal_for_integral(&other) {
            Some((precision, scale)) => DataType::decimal(precision, scale),
            None => {
                let shown = other.to_string().to_uppercase();
                let message = format!(
                    "The first parameter of `to_char` requires the \"DECIMAL\" type, however \"{value}\" has the type \"{shown}\"."
                );
                return Err(Error::new(ErrorClass::TypeMismatch, message));
            }
        },
    };
    Ok(match number_format("to_char", &format)? {
        Some(format) => call(ScalarFunction::ToChar, vec![explicit_cast(value, &number, false)?, format]),
        None => Expr::Literal(Scalar::Null(DataType::String)),
    })
}

/// A number format, checked; `None` for NULL.
fn number_format(name: &str, format: &Expr) -> Result<Option<Expr>> {
    let Scalar::String(text) = constant(format)? else { return Ok(None) };
    let (precision, _) = NumberFormat::parse(&text)?.decimal();
    if precision > 38 && name != "to_char" {
        let message = format!("Decimal precision {precision} of the format '{text}' exceeds max precision 38.");
        return Err(Error::new(ErrorClass::InvalidParameter, message));
    }
    Ok(Some(Expr::Literal(Scalar::String(text))))
}

/// `timestampadd(unit, n, timestamp)`.
fn timestamp_add([unit, count, start]: [Expr; 3]) -> Result<Expr> {
    let unit = constant(&unit)?.to_string().to_ascii_uppercase();
    let start = if start.data_type() == DataType::TimestampNtz { start } else { implicit_cast(start, &DataType::Timestamp)? };
    let step = match unit.as_str() {
        "YEAR" => Scalar::YearMonthInterval(12),
        "QUARTER" => Scalar::YearMonthInterval(3),
        "MONTH" => Scalar::YearMonthInterval(1),
        "WEEK" => Scalar::DayTimeInterval(7 * calendar::MICROS_PER_DAY),
        "DAY" | "DAYOFYEAR" => Scalar::DayTimeInterval(calendar::MICROS_PER_DAY),
        "HOUR" => Scalar::DayTimeInterval(calendar::MICROS_PER_HOUR),
        "MINUTE" => Scalar::DayTimeInterval(calendar::MICROS_PER_MINUTE),
        "SECOND" => Scalar::DayTimeInterval(calendar::MICROS_PER_SECOND),
        "MILLISECOND" => Scalar::DayTimeInterval(1000),
        "MICROSECOND" => Scalar::DayTimeInterval(1),
        _ => return Err(Error::new(ErrorClass::InvalidParameter, format!("`{unit}` is no unit of time."))),
    };
    let interval = arithmetic(ArithmeticOp::Multiply, Expr::Literal(step), count)?;
    arithmetic(ArithmeticOp::Add, start, interval)
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
