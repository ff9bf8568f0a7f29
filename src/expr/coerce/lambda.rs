//! Higher-order functions: what their lambda functions are given, and what they must give back.

use super::functions::{argument, check_count};
use super::{cast_to, common_type};
use crate::base::{Attribute, DataType, Error, ErrorClass, Field, Result};
use crate::expr::{Expr, ScalarFunction};

/// The variable of a lambda function: its type, and whether it can be NULL.
pub type Parameter = (DataType, bool);

/// Which argument is the first lambda function, and how many arguments there are at least and at most.
fn shape(function: ScalarFunction) -> Option<(usize, usize, usize)> {
    use ScalarFunction::*;
    Some(match function {
        Transform | Filter | Exists | ForAll | TransformKeys | TransformValues | MapFilter => (1, 2, 2),
        ArraySort => (1, 1, 2),
        ZipWith | MapZipWith => (2, 3, 3),
        Aggregate => (2, 3, 4),
        _ => return None,
    })
}

/// The higher-order function of that name (lower case), and which of its arguments is the first lambda function.
pub fn higher_order(name: &str) -> Option<(ScalarFunction, usize)> {
    let function = ScalarFunction::from_name(name)?;
    shape(function).map(|(first, ..)| (function, first))
}

fn mismatch(message: String) -> Error {
    Error::new(ErrorClass::TypeMismatch, message)
}

/// The arguments in front of the lambda functions, coerced.
///
/// # Errors
/// `TypeMismatch`.
pub fn inputs(function: ScalarFunction, name: &str, args: Vec<Expr>) -> Result<Vec<Expr>> {
    let kinds = function.signature().args.split_whitespace().filter_map(|word| word.chars().next());
    let coerced = kinds.zip(args).enumerate().map(|(i, (kind, e))| {
        // Spark takes no NULL without a type here.
        let wanted = if kind == 'A' { "ARRAY" } else { "MAP" };
        if matches!(kind, 'A' | 'M') && e.data_type() == DataType::Null {
            return Err(mismatch(format!("\"{wanted}\" is required, but \"{e}\" has the type \"VOID\"."))
                .context(format!("argument {} of `{name}`", i + 1)));
        }
        argument(kind, e).map_err(|e| e.context(format!("argument {} of `{name}`", i + 1)))
    });
    let mut args = coerced.collect::<Result<Vec<_>>>()?;
    if let (ScalarFunction::MapZipWith, [l, r]) = (function, args.as_mut_slice())
        && let (DataType::Map(k, v), DataType::Map(j, w)) = (l.data_type(), r.data_type())
    {
        let key = common_type(&[*k.clone(), *j.clone()]).ok_or_else(|| {
            let (k, j) = (k.to_string().to_uppercase(), j.to_string().to_uppercase());
            mismatch(format!(
                "Input to the `map_zip_with` should have been two maps with compatible key types, but it's [\"{k}\", \"{j}\"]."
            ))
        })?;
        *l = cast_to(l.clone(), &DataType::Map(Box::new(key.clone()), v));
        *r = cast_to(r.clone(), &DataType::Map(Box::new(key), w));
    }
    // Whatever is merged, its fields may be NULL.
    if let (ScalarFunction::Aggregate, [_, start]) = (function, args.as_mut_slice()) {
        *start = cast_to(start.clone(), &nullable(&start.data_type()));
    }
    Ok(args)
}

/// The type with fields that can be NULL.
fn nullable(t: &DataType) -> DataType {
    match t {
        DataType::Array(e) => DataType::Array(Box::new(nullable(e))),
        DataType::Map(k, v) => DataType::Map(Box::new(nullable(k)), Box::new(nullable(v))),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|f| Field::new(f.name.clone(), nullable(&f.data_type), true)).collect())
        }
        other => other.clone(),
    }
}

/// The variables that the lambda function at place `at` of the arguments is given; the second of `transform` and `filter` is there
/// for who asks.
pub fn parameters(function: ScalarFunction, at: usize, inputs: &[Expr]) -> Vec<Parameter> {
    use ScalarFunction::*;
    let element = |i: usize| match inputs.get(i).map(Expr::data_type) {
        Some(DataType::Array(e)) => vec![(*e, true)],
        Some(DataType::Map(k, v)) => vec![(*k, false), (*v, true)],
        _ => vec![],
    };
    match function {
        Transform | Filter => [element(0), vec![(DataType::Int, false)]].concat(),
        ArraySort => [element(0), element(0)].concat(),
        ZipWith => [element(0), element(1)].concat(),
        MapZipWith => match <[Parameter; 4]>::try_from([element(0), element(1)].concat()) {
            Ok([key, left, _, right]) => vec![key, left, right],
            Err(_) => vec![],
        },
        Aggregate => {
            let state = vec![(inputs.get(1).map_or(DataType::Null, Expr::data_type), true)];
            if at == 2 { [state, element(0)].concat() } else { state }
        }
        _ => element(0),
    }
}

/// How many variables a lambda function with that many may have.
///
/// # Errors
/// `InvalidLambda`.
pub fn check_parameters(function: ScalarFunction, written: usize, given: usize) -> Result<()> {
    let positions = matches!(function, ScalarFunction::Transform | ScalarFunction::Filter);
    if written == given || positions && written + 1 == given {
        return Ok(());
    }
    let message = format!(
        "Invalid lambda function call. A higher order function expects {written} arguments, but got {}.",
        if positions { given - 1 } else { given }
    );
    Err(Error::new(ErrorClass::InvalidLambda, message))
}

/// The call over arguments in front of which [`inputs`] has been; what stands in the place of a lambda function and is none becomes
/// one that does not look at its variables.
///
/// # Errors
/// `WrongArguments`, `TypeMismatch` for a lambda function of another type than wanted.
pub fn call(function: ScalarFunction, name: &str, mut args: Vec<Expr>) -> Result<Expr> {
    use ScalarFunction::*;
    let Some((first, least, most)) = shape(function) else { return Err(Error::internal(format!("`{name}` takes no lambda function"))) };
    check_count(name, &args, least, most)?;
    let lambdas = args.split_off(first.min(args.len()));
    let mut args = inputs(function, name, args)?;
    for (at, e) in (first..).zip(lambdas) {
        let e = match e {
            lambda @ Expr::Lambda { .. } => lambda,
            body => {
                let variable = |(i, (t, nullable)): (usize, Parameter)| Attribute::new(format!("col{i}"), t, nullable);
                let wanted = parameters(function, at, &args[..first]);
                let wanted = if matches!(function, Transform | Filter) { &wanted[..1] } else { &wanted };
                let params = wanted.iter().cloned().enumerate().map(variable).collect();
                Expr::Lambda { params, body: Box::new(body), hidden: true }
            }
        };
        args.push(e);
    }
    if function == Aggregate && args.len() == 3 {
        let state = Attribute::new("id", args[1].data_type(), true);
        args.push(Expr::Lambda { params: vec![state.clone()], body: Box::new(Expr::LambdaVariable(state)), hidden: false });
    }
    if function == Aggregate
        && let state = args[1].data_type()
        && let Expr::Lambda { body, .. } = &mut args[2]
        && nullable(&body.data_type()) == state
    {
        **body = cast_to(body.as_ref().clone(), &state);
    }
    let shown = |t: &DataType| if *t == DataType::Null { "VOID".to_string() } else { t.to_string().to_uppercase() };
    let wants = |at: usize, wanted: &DataType| match args.get(at).map(Expr::data_type) {
        Some(found) if found != *wanted => {
            let place = ["first", "second", "third", "fourth"][at];
            Err(mismatch(format!(
                "The {place} parameter of `{name}` requires the \"{}\" type, however the lambda function has the type \"{}\".",
                shown(wanted),
                shown(&found)
            )))
        }
        _ => Ok(()),
    };
    match function {
        Filter | Exists | ForAll | MapFilter => wants(1, &DataType::Boolean)?,
        ArraySort => wants(1, &DataType::Int)?,
        Aggregate => wants(2, &args[1].data_type())?,
        _ => {}
    }
    Ok(Expr::Function { function, args })
}
