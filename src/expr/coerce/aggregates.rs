//! Aggregate and ranking functions by name.

use super::functions::{check_count, constant};
use super::{case, cast_to, check_orderable, condition, explicit_cast, implicit_cast};
use crate::base::{DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::window::RankingFunction;
use crate::expr::{AggregateExpr, AggregateFunction, Expr, WindowFunction};
use crate::runtime::hyper_log_log::precision;

/// Largest precision of `approx_count_distinct`: 16 MB for each group.
const MOST_BITS: f64 = 24.0;

/// Names of all aggregate functions, for suggestions.
pub(super) const NAMES: &[&str] = &[
    "count",
    "count_if",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "first",
    "first_value",
    "any_value",
    "last",
    "last_value",
    "bool_and",
    "every",
    "bool_or",
    "any",
    "some",
    "stddev",
    "stddev_samp",
    "std",
    "stddev_pop",
    "variance",
    "var_samp",
    "var_pop",
    "collect_list",
    "array_agg",
    "collect_set",
    "approx_count_distinct",
    "covar_samp",
    "covar_pop",
    "corr",
    "max_by",
    "min_by",
    "percentile",
    "median",
    "percentile_approx",
    "approx_percentile",
    "percentile_cont",
    "percentile_disc",
    "mode",
    "listagg",
    "string_agg",
    "skewness",
    "kurtosis",
    "regr_count",
    "regr_slope",
    "regr_intercept",
    "regr_r2",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "regr_avgx",
    "regr_avgy",
    "bit_and",
    "bit_or",
    "bit_xor",
    "try_sum",
    "try_avg",
    "bitmap_construct_agg",
    "bitmap_or_agg",
    "bitmap_and_agg",
];

/// The aggregate call of that name over coerced arguments; `None` when the name is no aggregate function. `count(*)` comes
/// with no arguments. IGNORE NULLS of first and last is a second argument `true`;
/// what WITHIN GROUP orders by is the first argument.
///
/// # Errors
/// `WrongArguments`, `TypeMismatch`.
pub fn aggregate(name: &str, args: Vec<Expr>, distinct: bool, filter: Option<Expr>) -> Result<Option<AggregateExpr>> {
    use AggregateFunction::*;
    let name = name.to_ascii_lowercase();
    let number = |e: Expr| match e.data_type() {
        DataType::String | DataType::Null => Ok(cast_to(e, &DataType::Double)),
        t if t.is_numeric() => Ok(e),
        t => Err(Error::new(
            ErrorClass::TypeMismatch,
            format!("`{name}` requires a numeric argument, but \"{e}\" has the type \"{}\".", t.to_string().to_uppercase()),
        )),
    };
    let double = |e: Expr| implicit_cast(e, &DataType::Double);
    let one = |args: Vec<Expr>| -> Result<Expr> {
        check_count(&name, &args, 1, 1)?;
        args.into_iter().next().ok_or_else(|| Error::internal("no argument"))
    };
    let (function, args) = match name.as_str() {
        "count" if args.is_empty() => (Count, vec![Expr::Literal(Scalar::Int(1))]),
        "count" => (Count, args),
        "count_if" => (Count, vec![case(vec![(condition(one(args)?)?, Expr::Literal(Scalar::Int(1)))], None)?]),
        "approx_count_distinct" => {
            check_count(&name, &args, 1, 2)?;
            let mut args = args.into_iter();
            let x = args.next().ok_or_else(|| Error::internal("no argument"))?;
            let deviation = match args.next().unwrap_or(Expr::Literal(Scalar::Double(0.05))) {
                Expr::Literal(Scalar::Double(d)) => d,
                Expr::Literal(d @ Scalar::Decimal { .. }) => match constant(&explicit_cast(Expr::Literal(d), &DataType::Double, false)?)? {
                    Scalar::Double(d) => d,
                    _ => f64::NAN,
                },
                _ => return Err(Error::new(ErrorClass::WrongArguments, "The second argument should be a double literal.")),
            };
            if !(4.0..=MOST_BITS).contains(&precision(deviation)) {
                let message =
                    format!("`{name}` cannot estimate with a relative standard deviation of {deviation}: at most 0.39, at least 0.0003.");
                return Err(Error::new(ErrorClass::WrongArguments, message));
            }
            (ApproxCountDistinct, vec![x, Expr::Literal(Scalar::Double(deviation))])
        }
        "sum" => (Sum, vec![number(one(args)?)?]),
        "avg" | "mean" => (Avg, vec![number(one(args)?)?]),
        "min" | "max" => {
            let arg = one(args)?;
            check_orderable(&name, &arg.data_type())?;
            (if name == "min" { Min } else { Max }, vec![arg])
        }
        "first" | "first_value" | "any_value" | "last" | "last_value" => {
            check_count(&name, &args, 1, 2)?;
            let ignore = match args.get(1) {
                Some(e) => matches!(constant(e)?, Scalar::Boolean(true)),
                None => false,
            };
            let function = match (name.starts_with("last"), ignore) {
                (false, false) => First,
                (false, true) => FirstIgnoreNulls,
                (true, false) => Last,
                (true, true) => LastIgnoreNulls,
            };
            (function, args.into_iter().take(1).collect())
        }
        "bool_and" | "every" => (BoolAnd, vec![condition(one(args)?)?]),
        "bool_or" | "any" | "some" => (BoolOr, vec![condition(one(args)?)?]),
        "stddev" | "stddev_samp" | "std" => (StddevSamp, vec![double(one(args)?)?]),
        "stddev_pop" => (StddevPop, vec![double(one(args)?)?]),
        "variance" | "var_samp" => (VarSamp, vec![double(one(args)?)?]),
        "var_pop" => (VarPop, vec![double(one(args)?)?]),
        "collect_list" | "array_agg" => (CollectList, vec![one(args)?]),
        "collect_set" => {
            let arg = one(args)?;
            if !arg.data_type().is_orderable() {
                return Err(Error::new(ErrorClass::TypeMismatch, "The input of `collect_set` can't be \"MAP\" type data."));
            }
            (CollectSet, vec![arg])
        }
        "skewness" => (Skewness, vec![double(one(args)?)?]),
        "kurtosis" => (Kurtosis, vec![double(one(args)?)?]),
        "covar_samp" | "covar_pop" | "corr" | "regr_count" | "regr_slope" | "regr_intercept" | "regr_r2" | "regr_sxx" | "regr_syy"
        | "regr_sxy" | "regr_avgx" | "regr_avgy" => {
            check_count(&name, &args, 2, 2)?;
            let function = match name.as_str() {
                "covar_samp" => CovarSamp,
                "covar_pop" => CovarPop,
                "regr_count" => Count,
                "regr_slope" => RegrSlope,
                "regr_intercept" => RegrIntercept,
                "regr_r2" => RegrR2,
                "regr_sxx" => RegrSxx,
                "regr_syy" => RegrSyy,
                "regr_sxy" => RegrSxy,
                "regr_avgx" => RegrAvgX,
                "regr_avgy" => RegrAvgY,
                _ => Corr,
            };
            (function, args.into_iter().map(double).collect::<Result<_>>()?)
        }
        "bit_and" | "bit_or" | "bit_xor" => {
            let arg = one(args)?;
            let arg = if matches!(arg.data_type(), DataType::Null | DataType::String) { cast_to(arg, &DataType::Long) } else { arg };
            if !arg.data_type().is_integral() {
                return Err(Error::new(ErrorClass::TypeMismatch, format!("`{name}` requires an integral argument.")));
            }
            let function = match name.as_str() {
                "bit_and" => BitAnd,
                "bit_or" => BitOr,
                _ => BitXor,
            };
            (function, vec![arg])
        }
        "try_sum" | "try_avg" => {
            let arg = number(one(args)?)?;
            match arg.data_type() {
                // The total of so wide decimals could overflow; others have ten digits to spare.
                DataType::Decimal { precision: 29.., .. } => {
                    return Err(Error::unsupported(format!("`{name}` of decimals of more than 28 digits")));
                }
                t if t.is_integral() && name == "try_sum" => (TrySum, vec![arg]),
                _ => (if name == "try_sum" { Sum } else { Avg }, vec![arg]),
            }
        }
        "mode" => {
            check_count(&name, &args, 1, 2)?;
            let mut args = args;
            check_orderable(&name, &args[0].data_type())?;
            // The second argument asks for the least of equally frequent values, which comes anyway.
            args.truncate(1);
            args.push(Expr::Literal(Scalar::Boolean(true)));
            (Mode, args)
        }
        "listagg" | "string_agg" => {
            check_count(&name, &args, 1, 3)?;
            let mut args = args.into_iter();
            let text = implicit_cast(args.next().ok_or_else(|| Error::internal("no argument"))?, &DataType::String)?;
            let separator = match args.next() {
                Some(e) => constant(&implicit_cast(e, &DataType::String)?)?,
                None => Scalar::string(""),
            };
            let separator = if separator.is_null() { Scalar::string("") } else { separator };
            (ListAgg, [text, Expr::Literal(separator)].into_iter().chain(args).collect())
        }
        "bitmap_construct_agg" => (BitmapConstruct, vec![implicit_cast(one(args)?, &DataType::Long)?]),
        "bitmap_or_agg" => (BitmapOr, vec![implicit_cast(one(args)?, &DataType::Binary)?]),
        "bitmap_and_agg" => (BitmapAnd, vec![implicit_cast(one(args)?, &DataType::Binary)?]),
        "max_by" | "min_by" => {
            check_count(&name, &args, 2, 2)?;
            check_orderable(&name, &args[1].data_type())?;
            (if name == "max_by" { MaxBy } else { MinBy }, args)
        }
        "median" => (Percentile, vec![number(one(args)?)?, Expr::Literal(Scalar::Double(0.5))]),
        "percentile" | "percentile_cont" | "percentile_disc" | "percentile_approx" | "approx_percentile" => {
            // The accuracy of the approximate form is not needed: ours is exact.
            check_count(&name, &args, 2, if name.ends_with("approx") || name.starts_with("approx") { 3 } else { 2 })?;
            let several = matches!(args[1].data_type(), DataType::Array(_));
            let fractions = constant(&match several {
                true => explicit_cast(args[1].clone(), &DataType::Array(Box::new(DataType::Double)), false)?,
                false => double(args[1].clone())?,
            })?;
            let valid = |s: &Scalar| matches!(s, Scalar::Double(f) if (0.0..=1.0).contains(f));
            if !match &fractions {
                Scalar::Array(all, _) => all.iter().all(valid),
                one => valid(one),
            } {
                return Err(Error::new(ErrorClass::WrongArguments, format!("The fractions of `{name}` must be numbers between 0 and 1.")));
            }
            let approximate = name.contains("approx");
            let x = match args[0].data_type() {
                DataType::Date | DataType::Timestamp | DataType::TimestampNtz if approximate => args[0].clone(),
                _ => number(args[0].clone())?,
            };
            let x = if name == "percentile_disc" { double(x)? } else { x };
            (if approximate || name == "percentile_disc" { PercentileDisc } else { Percentile }, vec![x, Expr::Literal(fractions)])
        }
        _ => return Ok(None),
    };
    if args.iter().any(Expr::has_aggregate) {
        return Err(Error::new(ErrorClass::InvalidGrouping, format!("An aggregate function cannot be an argument of `{name}`.")));
    }
    let filter = filter.map(condition).transpose()?.map(Box::new);
    Ok(Some(AggregateExpr { function, args, distinct, filter, id: ExprId::next() }))
}

/// The ranking or offset function of that name, arguments completed with their defaults; `None` when the name is none.
///
/// # Errors
/// `WrongArguments`, `TypeMismatch`.
pub fn ranking(name: &str, args: Vec<Expr>, ignore_nulls: bool) -> Result<Option<WindowFunction>> {
    use RankingFunction::*;
    let name = name.to_ascii_lowercase();
    let function = match name.as_str() {
        "row_number" => RowNumber,
        "rank" => Rank,
        "dense_rank" => DenseRank,
        "percent_rank" => PercentRank,
        "cume_dist" => CumeDist,
        "ntile" => Ntile,
        "lead" => Lead,
        "lag" => Lag,
        "nth_value" => NthValue,
        _ => return Ok(None),
    };
    let whole = |e: Expr| -> Result<Expr> { Ok(Expr::Literal(constant(&implicit_cast(e, &DataType::Int)?)?)) };
    let mut given = args.into_iter();
    let args = match function {
        RowNumber | Rank | DenseRank | PercentRank | CumeDist => {
            check_count(&name, given.as_slice(), 0, 0)?;
            vec![]
        }
        Ntile => {
            check_count(&name, given.as_slice(), 0, 1)?;
            let n = whole(given.next().unwrap_or(Expr::Literal(Scalar::Int(1))))?;
            if !matches!(n, Expr::Literal(Scalar::Int(1..))) {
                return Err(Error::new(ErrorClass::WrongArguments, "The argument of `ntile` must be a positive integer."));
            }
            vec![n]
        }
        NthValue => {
            check_count(&name, given.as_slice(), 2, 2)?;
            let value = given.next().into_iter();
            let n = given.next().map(whole).transpose()?;
            if !matches!(n, Some(Expr::Literal(Scalar::Int(1..)))) {
                return Err(Error::new(ErrorClass::WrongArguments, "The offset of `nth_value` must be a positive integer."));
            }
            value.chain(n).collect()
        }
        Lead | Lag => {
            check_count(&name, given.as_slice(), 1, 3)?;
            let value = given.next().ok_or_else(|| Error::internal("no argument"))?;
            let offset = whole(given.next().unwrap_or(Expr::Literal(Scalar::Int(1))))?;
            let default = match given.next() {
                Some(e) => implicit_cast(e, &value.data_type())?,
                None => Expr::Literal(Scalar::Null(value.data_type())),
            };
            vec![value, offset, default]
        }
    };
    Ok(Some(WindowFunction::Ranking { function, args, ignore_nulls }))
}
