//! Scalar functions by SQL name: arguments counted and coerced as the function table says.

use super::rewrites::{REWRITTEN, rewrite};
use super::{aggregates, cast_to, check_orderable, common_type, explicit_cast, implicit_cast, lambda, unify};
use crate::base::error::nearest;
use crate::base::{DataType, Error, ErrorClass, Result, Scalar};
use crate::expr::function::SIGNATURES;
use crate::expr::typing::literal_text;
use crate::expr::{Expr, ScalarFunction};

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

pub(super) fn take<const N: usize>(name: &str, args: Vec<Expr>) -> Result<[Expr; N]> {
    check_count(name, &args, N, N)?;
    args.try_into().map_err(|_| Error::internal("arguments were counted"))
}

pub(super) fn call(function: ScalarFunction, args: Vec<Expr>) -> Expr {
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
    function_of(function, &name, args)
}

/// The call of a function of the table over `args`, coerced.
///
/// # Errors
/// `WrongArguments`, `TypeMismatch`.
pub(super) fn function_of(function: ScalarFunction, name: &str, args: Vec<Expr>) -> Result<Expr> {
    if args.len() != 1 && lambda::higher_order(function.name()).is_some() {
        return lambda::call(function, name, args);
    }
    if let Some(e) = args.iter().find(|a| matches!(a, Expr::Lambda { .. })) {
        let message = format!(
            "Invalid lambda function call. A lambda function should only be used in a higher order function. However, `{name}` is not one ({e})."
        );
        return Err(Error::new(ErrorClass::InvalidLambda, message));
    }
    let args = coerce(function, name, args)?;
    check(function, name, &args)?;
    Ok(call(function, args))
}

/// Casts the arguments as the signature says.
fn coerce(function: ScalarFunction, name: &str, args: Vec<Expr>) -> Result<Vec<Expr>> {
    let words: Vec<&str> = function.signature().args.split_whitespace().collect();
    let min = words.iter().filter(|w| w.len() == 1).count();
    let variadic = words.last().is_some_and(|w| w.ends_with('*'));
    check_count(name, &args, min, if variadic { usize::MAX } else { words.len() })?;
    let kind = |i: usize| words.get(i).or(words.last()).map_or('a', |w| w.chars().next().unwrap_or('a'));
    let common: Vec<usize> = (0..args.len()).filter(|i| kind(*i) == 'c').collect();
    let mut args: Vec<Expr> = args
        .into_iter()
        .enumerate()
        .map(|(i, e)| argument(kind(i), e).map_err(|e| e.context(format!("argument {} of `{name}`", i + 1))))
        .collect::<Result<_>>()?;
    // Concat of anything but arrays is of strings, whatever its arguments have in common.
    let texts = function == ScalarFunction::Concat && !args.iter().any(|a| matches!(a.data_type(), DataType::Array(_)));
    if !common.is_empty() && !texts {
        let members = unify(common.iter().map(|i| args[*i].clone()).collect(), &format!("`{name}`"))?;
        for (i, e) in common.into_iter().zip(members) {
            args[i] = e;
        }
    }
    special(function, name, args)
}

/// One argument of a kind of the signature table.
pub(super) fn argument(kind: char, e: Expr) -> Result<Expr> {
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
        'x' if t == DataType::Binary => Ok(e),
        'x' => implicit_cast(e, &DataType::String),
        'w' => match t {
            DataType::Array(_) => explicit_cast(e, &DataType::Array(Box::new(DataType::String)), false),
            _ => implicit_cast(e, &DataType::String),
        },
        'b' => implicit_cast(e, &DataType::Boolean),
        // Numbers are cast as a table would store them: an error if they do not fit.
        'i' if t.is_numeric() => Ok(stored(e, &DataType::Int)),
        'l' if t.is_numeric() => Ok(stored(e, &DataType::Long)),
        'i' | 'j' => implicit_cast(e, &DataType::Int),
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
        'A' if t == DataType::Null => Ok(cast_to(e, &DataType::Array(Box::new(t)))),
        'A' if !matches!(t, DataType::Array(_)) => wrong("ARRAY"),
        'M' if !matches!(t, DataType::Map(..)) => wrong("MAP"),
        'S' if !matches!(t, DataType::Struct(_)) => wrong("STRUCT"),
        _ => Ok(e),
    }
}

/// A number as an integral type, literals that fit as literals of it.
fn stored(e: Expr, to: &DataType) -> Expr {
    implicit_cast(e.clone(), to).unwrap_or_else(|_| cast_to(e, to))
}

/// The type in which an item and the elements of a collection are compared; texts go with texts only.
fn item_type(element: &DataType, item: &DataType) -> Option<DataType> {
    let texts = |t: &DataType| *t == DataType::String;
    let nulls = |t: &DataType| *t == DataType::Null;
    if texts(element) != texts(item) && !nulls(element) && !nulls(item) {
        return None;
    }
    common_type(&[element.clone(), item.clone()])
}

/// What a function wants beyond its row in the table.
fn special(function: ScalarFunction, name: &str, mut args: Vec<Expr>) -> Result<Vec<Expr>> {
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
        Concat | Reverse | Elt if !args.iter().any(|a| matches!(a.data_type(), DataType::Array(_))) => {
            // Bytes if all are bytes, else strings.
            let texts = if function == Elt { 1.. } else { 0.. };
            let binary = args.get(texts.clone()).is_some_and(|a| !a.is_empty() && a.iter().all(|e| e.data_type() == DataType::Binary));
            let to = if binary { DataType::Binary } else { DataType::String };
            args.into_iter().enumerate().map(|(i, e)| if texts.contains(&i) { implicit_cast(e, &to) } else { Ok(e) }).collect()
        }
        // Padding and parts of bytes are bytes, those of strings strings.
        LPad | RPad | StartsWith | EndsWith | Contains => {
            let binary = args.iter().all(|e| matches!(e.data_type(), DataType::Binary | DataType::Int));
            let to = if binary { DataType::Binary } else { DataType::String };
            args.into_iter().map(|e| if e.data_type() == DataType::Int { Ok(e) } else { implicit_cast(e, &to) }).collect()
        }
        Hex => {
            let to = match args[0].data_type() {
                t if t.is_numeric() => DataType::Long,
                DataType::Binary => DataType::Binary,
                _ => DataType::String,
            };
            Ok(args.into_iter().map(|e| cast_to(e, &to)).collect())
        }
        ArrayContains | ArrayPosition | ArrayRemove | ArrayInsert => {
            let item = args.len() - 1;
            if let DataType::Array(element) = args[0].data_type() {
                let t = args[item].data_type();
                let Some(t) = item_type(&element, &t) else {
                    let (element, t) = (element.to_string().to_uppercase(), t.to_string().to_uppercase());
                    let message = format!(
                        "Input to `{name}` should have been \"ARRAY\" followed by a value with same element type, but it's [\"ARRAY<{element}>\", \"{t}\"].",
                    );
                    return Err(Error::new(ErrorClass::TypeMismatch, message));
                };
                let list = args.remove(0);
                args.insert(0, cast_to(list, &DataType::Array(Box::new(t.clone()))));
                let e = args.remove(item);
                args.insert(item, cast_to(e, &t));
            }
            Ok(args)
        }
        FormatNumber if args[1].data_type() != DataType::String => {
            let places = args.remove(1);
            Ok(vec![args.remove(0), stored(places, &DataType::Int)])
        }
        TimestampDiff => {
            let unit = constant(&args[0])?;
            args[0] = Expr::Literal(unit);
            Ok(args)
        }
        BitCount if args[0].data_type() == DataType::Boolean => Ok(args.into_iter().map(|e| cast_to(e, &DataType::Int)).collect()),
        BitCount => args.into_iter().map(|e| argument('q', e)).collect(),
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
            let index = match container {
                // An access casts the key; `element_at` wants one of a type that goes with the map's.
                DataType::Map(k, _) if function == GetItem => implicit_cast(index, &k)?,
                DataType::Map(k, v) => {
                    let t = index.data_type();
                    let Some(key) = item_type(&k, &t) else {
                        let (k, v, t) = (k.to_string().to_uppercase(), v.to_string().to_uppercase(), t.to_string().to_uppercase());
                        let message = format!(
                            "Input to `{}` should have been \"MAP\" followed by a value with same key type, but it's [\"MAP<{k}, {v}>\", \"{t}\"].",
                            function.name()
                        );
                        return Err(Error::new(ErrorClass::TypeMismatch, message));
                    };
                    let map = args.remove(0);
                    args.push(cast_to(map, &DataType::Map(Box::new(key.clone()), v)));
                    cast_to(index, &key)
                }
                _ if index.data_type() == DataType::String => {
                    let message = format!("The second parameter requires the \"INT\" type, however \"{index}\" has the type \"STRING\".");
                    return Err(Error::new(ErrorClass::TypeMismatch, message));
                }
                _ => implicit_cast(index, &DataType::Int)?,
            };
            args.push(index);
            Ok(args)
        }
        ArrayPercentile | ArrayPercentileDisc => {
            let (list, fractions) = (args.remove(0), args.remove(0));
            let doubles = DataType::Array(Box::new(DataType::Double));
            let list = if function == ArrayPercentile { explicit_cast(list, &doubles, false)? } else { list };
            let several = matches!(fractions.data_type(), DataType::Array(_));
            Ok(vec![list, explicit_cast(fractions, if several { &doubles } else { &DataType::Double }, false)?])
        }
        Sequence if args[0].data_type().is_integral() || args[0].data_type() == DataType::Null => unify(args, "`sequence`"),
        _ => Ok(args),
    }
}

/// Errors in the types that coercion alone does not find.
fn check(function: ScalarFunction, name: &str, args: &[Expr]) -> Result<()> {
    use ScalarFunction::*;
    let fail = |class: ErrorClass, message: String| Err(Error::new(class, message));
    let first = args.first().map(Expr::data_type);
    match function {
        Greatest | Least | ArrayUnion | ArrayIntersect | ArrayExcept | ArraysOverlap | ArrayContains | ArrayPosition | ArrayRemove
        | ArrayDistinct | ArrayMax | ArrayMin | SortArray | ArraySort
            if first.as_ref().is_some_and(|t| !t.is_orderable()) =>
        {
            check_orderable(name, &first.unwrap_or(DataType::Null))
        }
        Hash | XxHash64 if args.iter().any(|a| !a.data_type().is_orderable()) => {
            fail(ErrorClass::TypeMismatch, format!("Input to the function `{name}` cannot contain elements of the \"MAP\" type."))
        }
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
        Size if first != Some(DataType::Null) && !matches!(first, Some(DataType::Array(_) | DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, "`size` requires an ARRAY or a MAP.".into())
        }
        ElementAt | TryElementAt | GetItem if !matches!(first, Some(DataType::Array(_) | DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, "An item can be taken of an ARRAY or a MAP only.".into())
        }
        Explode | PosExplode | ExplodeOuter | PosExplodeOuter if !matches!(first, Some(DataType::Array(_) | DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires an ARRAY or a MAP."))
        }
        Inline | InlineOuter if !matches!(&first, Some(DataType::Array(e)) if matches!(e.as_ref(), DataType::Struct(_))) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires an ARRAY of STRUCT."))
        }
        ArrayUnion | ArrayIntersect | ArrayExcept | ArraysOverlap if !matches!(first, Some(DataType::Array(_))) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires two ARRAYs of one type."))
        }
        MapFromEntries if !matches!(&first, Some(DataType::Array(e)) if matches!(e.as_ref(), DataType::Struct(f) if f.len() == 2)) => {
            fail(ErrorClass::TypeMismatch, "`map_from_entries` requires an ARRAY of STRUCTs of two fields.".into())
        }
        GetArrayFields if !matches!(&first, Some(DataType::Array(e)) if matches!(e.as_ref(), DataType::Struct(_))) => {
            fail(ErrorClass::TypeMismatch, format!("`{name}` requires an ARRAY of STRUCT."))
        }
        FromJson | ToJson => {
            let t = args.get(usize::from(function == FromJson)).map_or(DataType::Null, Expr::data_type);
            match t {
                DataType::Struct(_) | DataType::Array(_) | DataType::Map(..) => Ok(()),
                t => fail(
                    ErrorClass::TypeMismatch,
                    format!("Input schema \"{}\" must be a struct, an array, a map or a variant.", t.to_string().to_uppercase()),
                ),
            }
        }
        JsonTuple if !args.iter().all(|a| a.data_type() == DataType::String) => {
            fail(ErrorClass::TypeMismatch, "All arguments of the function `json_tuple` must be strings.".into())
        }
        Map if !args.len().is_multiple_of(2) => fail(ErrorClass::WrongArguments, "`map` takes pairs of a key and a value.".into()),
        Map | MapFromArrays | MapFromEntries => {
            let key = match call(function, args.to_vec()).data_type() {
                DataType::Map(key, _) if !key.is_orderable() => key.to_string().to_uppercase(),
                _ => return Ok(()),
            };
            fail(ErrorClass::TypeMismatch, format!("The key of a map cannot be or contain \"{key}\"."))
        }
        MapConcat if !matches!(first, Some(DataType::Map(..))) => {
            fail(ErrorClass::TypeMismatch, "`map_concat` requires MAPs of one type.".into())
        }
        ArraysZip if !args.iter().skip(1).step_by(2).all(|a| matches!(a.data_type(), DataType::Array(_))) => {
            fail(ErrorClass::TypeMismatch, "`arrays_zip` requires ARRAYs.".into())
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
