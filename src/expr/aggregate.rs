//! Aggregate functions, described as buffer columns so that neither engine has code per function.
//!
//! A function is a list of buffers, each with an initial value, one primitive update over an input expression, one primitive
//! merge of two buffer values, and one expression over the buffers that gives the result. The primitives ([`Accumulate`])
//! are a closed set that both engines implement once; a new aggregate is a new entry of [`describe`].

use std::sync::Arc;

use super::{ArithmeticOp, ComparisonOp, Expr, ScalarFunction};
use crate::base::{Attribute, DataType, ExprId, Field, Result, Scalar};
use crate::runtime::bloom::optimal_hashes;
use crate::runtime::hyper_log_log::precision;

/// An aggregate call. Two calls with equal function, arguments, DISTINCT and FILTER compute the same, whatever their `id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AggregateExpr {
    pub function: AggregateFunction,
    pub args: Vec<Expr>,
    pub distinct: bool,
    /// Rows for which this is not true are not seen (`FILTER (WHERE …)`).
    pub filter: Option<Box<Expr>>,
    /// Identity of the result column in a physical aggregate.
    pub id: ExprId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(a, b, …)`: rows in which no argument is NULL; `count(*)` is `count(1)`.
    Count,
    Sum,
    Avg,
    Min,
    Max,
    /// First value, NULLs included.
    First,
    /// First value that is not NULL.
    FirstIgnoreNulls,
    Last,
    LastIgnoreNulls,
    BoolAnd,
    BoolOr,
    StddevSamp,
    StddevPop,
    VarSamp,
    VarPop,
    CollectList,
    CollectSet,
    Skewness,
    Kurtosis,
    CovarSamp,
    CovarPop,
    Corr,
    /// `regr_…(y, x)`: of the line that fits best, over rows in which neither is NULL.
    RegrSlope,
    RegrIntercept,
    RegrR2,
    RegrSxx,
    RegrSyy,
    RegrSxy,
    RegrAvgX,
    RegrAvgY,
    BitAnd,
    BitOr,
    BitXor,
    /// As sum of integers; NULL where the total overflows.
    TrySum,
    /// `max_by(value, ordering)`: the value of a row with the greatest ordering.
    MaxBy,
    MinBy,
    /// `percentile(x, fraction)`, interpolated; the median is that of 0.5. An array of fractions gives an array.
    Percentile,
    /// `percentile_approx(x, fraction)`: the smallest value at or above the fraction, exact here.
    PercentileDisc,
    /// `mode(x, ascending)`: the most frequent value; of several the least, or the greatest.
    Mode,
    /// `listagg(x, separator[, ascending])`: the texts joined, sorted where the third argument says how.
    ListAgg,
    /// `bloom_filter_agg(hash, items, bits)`; NULL of no values.
    BloomFilter,
    /// `approx_count_distinct(x, deviation)`: about how many different values, by HyperLogLog++.
    ApproxCountDistinct,
    /// `bitmap_construct_agg(position)`: a bitmap of 32,768 bits with those set.
    BitmapConstruct,
    /// The bits that any of the bitmaps has.
    BitmapOr,
    /// The bits that all of the bitmaps have.
    BitmapAnd,
}

/// Bytes of a bitmap.
pub const BITMAP_BYTES: usize = 4096;

/// Update (of a buffer by an input value) and merge (of two buffer values). NULL inputs change nothing unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accumulate {
    /// Adds; overflow of the buffer's type is an error. A NULL buffer takes the first value.
    Sum,
    /// Adds 1 for each input that is not NULL. The buffer is a bigint, never NULL.
    Count,
    Min,
    Max,
    /// Takes the first input even if NULL. The buffer following it says whether one was seen (see [`describe`]).
    First,
    FirstIgnoreNulls,
    Last,
    LastIgnoreNulls,
    /// Appends to an array.
    CollectList,
    /// Appends to an array unless there.
    CollectSet,
    /// Concatenates arrays (merge of [`Accumulate::CollectList`]).
    ConcatList,
    /// Union of arrays (merge of [`Accumulate::CollectSet`]).
    ConcatSet,
    /// Central moments of doubles. The buffer is a struct of doubles, see [`describe`].
    Moments,
    /// Merge of [`Accumulate::Moments`].
    MergeMoments,
    /// Moments of two columns together; the input is a struct of two doubles.
    PairMoments,
    /// Merge of [`Accumulate::PairMoments`].
    MergePairMoments,
    BitAnd,
    BitOr,
    BitXor,
    /// Sets bits of a bitmap at bigint positions, or those that another one has.
    BitmapOr,
    /// Keeps the bits of a bitmap that another one has.
    BitmapAnd,
    /// Adds 64-bit hashes to a Bloom filter, or the members of another one.
    BloomFilter {
        bits: u64,
        hashes: u32,
    },
    /// Enters 64-bit hashes into 2^`precision` registers of HyperLogLog++, or what other registers have seen.
    DistinctCount {
        precision: u32,
    },
}

impl AggregateExpr {
    /// The arguments of a DISTINCT call; where its FILTER does not hold they are NULL, which no aggregate counts.
    pub fn distinct_arguments(&self) -> Vec<Expr> {
        let Some(filter) = &self.filter else { return self.args.clone() };
        self.args.iter().map(|a| Expr::Case { branches: vec![(filter.as_ref().clone(), a.clone())], otherwise: None }).collect()
    }
}

/// One buffer column of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// Name and type in the output of a partial aggregate.
    pub name: Arc<str>,
    pub data_type: DataType,
    pub nullable: bool,
    pub init: Scalar,
    pub update: Accumulate,
    /// What is fed to `update`, over the aggregate's input; already of the buffer's type where `update` needs it.
    pub input: Expr,
    pub merge: Accumulate,
}

/// An aggregate call as buffers and a result.
#[derive(Debug, Clone)]
pub struct Description {
    pub buffers: Vec<Buffer>,
    /// The attributes by which `finish` refers to the buffers, in order.
    pub attributes: Vec<Attribute>,
    /// The result over `attributes`.
    pub finish: Expr,
}

fn arithmetic(op: ArithmeticOp, left: Expr, right: Expr) -> Expr {
    Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), try_arithmetic: false }
}

fn cast(expr: Expr, to: &DataType) -> Expr {
    if expr.data_type() == *to { expr } else { Expr::Cast { expr: Box::new(expr), to: to.clone(), try_cast: false } }
}

fn buffer(name: &str, data_type: DataType, update: Accumulate, input: Expr, merge: Accumulate) -> Buffer {
    Buffer { name: name.into(), init: Scalar::Null(data_type.clone()), data_type, nullable: true, update, input, merge }
}

/// Rows whose value is not NULL.
fn counter(input: Expr) -> Buffer {
    Buffer { init: Scalar::Long(0), nullable: false, ..buffer("count", DataType::Long, Accumulate::Count, input, Accumulate::Sum) }
}

/// Says whether a row was seen: NULL until then. Follows the buffer of [`Accumulate::First`] and [`Accumulate::Last`].
fn seen() -> Buffer {
    buffer("valueSet", DataType::Boolean, Accumulate::Max, Expr::Literal(Scalar::Boolean(true)), Accumulate::Max)
}

/// The call as buffers and a result. DISTINCT and FILTER are the planner's and the engines' business.
///
/// First and last (with NULLs) have a second buffer, true once a row was seen: an update of First does nothing when it is true
/// already; a merge takes the other side's value only if the other side's is true (and, for First, this side's is not).
///
/// # Errors
/// `Internal` for a call without its argument.
pub fn describe(call: &AggregateExpr) -> Result<Description> {
    use AggregateFunction as F;
    let argument = || call.args.first().cloned().ok_or_else(|| crate::base::Error::internal("an aggregate call without an argument"));
    let result = call.data_type();
    let simple = |name: &str, update: Accumulate, merge: Accumulate| -> Result<Vec<Buffer>> {
        Ok(vec![buffer(name, result.clone(), update, cast(argument()?, &result), merge)])
    };
    let buffers = match call.function {
        F::Count => {
            let nullable: Vec<Expr> = call.args.iter().filter(|a| a.nullable()).cloned().collect();
            let input = match <[Expr; 1]>::try_from(nullable) {
                Ok([single]) => single,
                Err(none) if none.is_empty() => Expr::Literal(Scalar::Int(1)),
                Err(several) => {
                    let all = Expr::conjunction(several.into_iter().map(|e| Expr::IsNotNull(Box::new(e))));
                    let branches = all.into_iter().map(|c| (c, Expr::Literal(Scalar::Int(1)))).collect();
                    Expr::Case { branches, otherwise: None }
                }
            };
            vec![counter(input)]
        }
        F::Sum => simple("sum", Accumulate::Sum, Accumulate::Sum)?,
        F::Avg => {
            let total = super::typing::sum_type(&match argument()?.data_type() {
                t @ DataType::Decimal { .. } => t,
                _ => DataType::Double,
            });
            let sum = buffer("sum", total.clone(), Accumulate::Sum, cast(argument()?, &total), Accumulate::Sum);
            vec![sum, counter(argument()?)]
        }
        F::Min => simple("min", Accumulate::Min, Accumulate::Min)?,
        F::Max => simple("max", Accumulate::Max, Accumulate::Max)?,
        F::BoolAnd => simple("min", Accumulate::Min, Accumulate::Min)?,
        F::BoolOr => simple("max", Accumulate::Max, Accumulate::Max)?,
        F::First => [simple("first", Accumulate::First, Accumulate::First)?, vec![seen()]].concat(),
        F::Last => [simple("last", Accumulate::Last, Accumulate::Last)?, vec![seen()]].concat(),
        F::FirstIgnoreNulls => simple("first", Accumulate::FirstIgnoreNulls, Accumulate::FirstIgnoreNulls)?,
        F::LastIgnoreNulls => simple("last", Accumulate::LastIgnoreNulls, Accumulate::LastIgnoreNulls)?,
        F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop => {
            vec![moments(&["n", "avg", "m2"], Accumulate::Moments, cast(argument()?, &DataType::Double), Accumulate::MergeMoments)]
        }
        F::Skewness | F::Kurtosis => {
            let fields: &[&str] = if call.function == F::Skewness { &["n", "avg", "m2", "m3"] } else { &["n", "avg", "m2", "m3", "m4"] };
            vec![moments(fields, Accumulate::Moments, cast(argument()?, &DataType::Double), Accumulate::MergeMoments)]
        }
        F::CovarSamp
        | F::CovarPop
        | F::Corr
        | F::RegrSlope
        | F::RegrIntercept
        | F::RegrR2
        | F::RegrSxx
        | F::RegrSyy
        | F::RegrSxy
        | F::RegrAvgX
        | F::RegrAvgY => {
            // Regressions name y first. These two take it for x, as in Spark, where it tells in the last digit.
            let as_named = matches!(call.function, F::CovarSamp | F::CovarPop | F::Corr | F::RegrR2 | F::RegrSxy);
            let (x, y) = if as_named { (0, 1) } else { (1, 0) };
            let double = |i: usize| -> Result<Expr> { Ok(cast(second(call, i)?, &DataType::Double)) };
            let (x, y) = (double(x)?, double(y)?);
            let known = |e: &Expr| Expr::IsNotNull(Box::new(e.clone()));
            let both = Expr::And(Box::new(known(&x)), Box::new(known(&y)));
            let name = |s: &str| Expr::Literal(Scalar::string(s));
            let pair = Expr::Function { function: ScalarFunction::NamedStruct, args: vec![name("x"), x, name("y"), y] };
            let fields = ["n", "xAvg", "yAvg", "ck", "xMk", "yMk"];
            vec![moments(&fields, Accumulate::PairMoments, guarded(both, pair), Accumulate::MergePairMoments)]
        }
        F::BitAnd => simple("bit_and", Accumulate::BitAnd, Accumulate::BitAnd)?,
        F::BitOr => simple("bit_or", Accumulate::BitOr, Accumulate::BitOr)?,
        F::BitXor => simple("bit_xor", Accumulate::BitXor, Accumulate::BitXor)?,
        F::TrySum => {
            // Room for as many integers as there can be rows.
            let total = DataType::decimal(38, 0);
            vec![buffer("sum", total.clone(), Accumulate::Sum, cast(argument()?, &total), Accumulate::Sum)]
        }
        F::MaxBy | F::MinBy => {
            let (value, ordering) = (argument()?, second(call, 1)?);
            let name = |s: &str| Expr::Literal(Scalar::string(s));
            let args = vec![name("ordering"), ordering.clone(), name("value"), value];
            let pair = Expr::Function { function: ScalarFunction::NamedStruct, args };
            let update = if call.function == F::MaxBy { Accumulate::Max } else { Accumulate::Min };
            let t = pair.data_type();
            vec![buffer("extreme", t, update, guarded(Expr::IsNotNull(Box::new(ordering)), pair), update)]
        }
        F::Percentile | F::PercentileDisc | F::Mode | F::ListAgg => {
            let x = argument()?;
            let x = if call.function == F::Percentile { cast(x, &DataType::Double) } else { x };
            let t = DataType::Array(Box::new(x.data_type()));
            let init = Scalar::Array(vec![], x.data_type());
            vec![Buffer { init, nullable: false, ..buffer("buf", t, Accumulate::CollectList, x, Accumulate::ConcatList) }]
        }
        F::BitmapConstruct | F::BitmapOr => {
            vec![buffer("bitmap", DataType::Binary, Accumulate::BitmapOr, argument()?, Accumulate::BitmapOr)]
        }
        F::BitmapAnd => vec![buffer("bitmap", DataType::Binary, Accumulate::BitmapAnd, argument()?, Accumulate::BitmapAnd)],
        F::BloomFilter => {
            let number = |i: usize| match second(call, i)? {
                Expr::Literal(v) => Ok(v.as_i128().and_then(|v| u64::try_from(v).ok()).unwrap_or(1)),
                _ => Err(crate::base::Error::internal("the size of a Bloom filter is not constant")),
            };
            let (items, bits) = (number(1)?, number(2)?);
            let add = Accumulate::BloomFilter { bits, hashes: optimal_hashes(items, bits) };
            vec![buffer("buf", DataType::Binary, add, argument()?, add)]
        }
        F::ApproxCountDistinct => {
            let Expr::Literal(Scalar::Double(deviation)) = second(call, 1)? else {
                return Err(crate::base::Error::internal("the deviation of a count is not constant"));
            };
            let update = Accumulate::DistinctCount { precision: precision(deviation) as u32 };
            let x = argument()?;
            let key = match x.data_type().is_fractional() {
                true => Expr::Function { function: ScalarFunction::NormalizeFloat, args: vec![x.clone()] },
                false => x.clone(),
            };
            let hash = Expr::Function { function: ScalarFunction::XxHash64, args: vec![key] };
            let hash = if x.nullable() { guarded(Expr::IsNotNull(Box::new(x)), hash) } else { hash };
            vec![buffer("registers", DataType::Binary, update, hash, update)]
        }
        F::CollectList | F::CollectSet => {
            let (update, merge) = match call.function {
                F::CollectList => (Accumulate::CollectList, Accumulate::ConcatList),
                _ => (Accumulate::CollectSet, Accumulate::ConcatSet),
            };
            let element = argument()?.data_type();
            vec![Buffer {
                init: Scalar::Array(vec![], element),
                nullable: false,
                ..buffer("buf", result.clone(), update, argument()?, merge)
            }]
        }
    };
    let attributes: Vec<Attribute> = buffers.iter().map(|b| Attribute::new(b.name.clone(), b.data_type.clone(), b.nullable)).collect();
    let column = |i: usize| Expr::Attribute(attributes[i].clone());
    let finish = match call.function {
        F::Avg => {
            let divisor = if result.is_decimal() { DataType::decimal(20, 0) } else { DataType::Double };
            cast(arithmetic(ArithmeticOp::Divide, column(0), cast(column(1), &divisor)), &result)
        }
        F::StddevSamp
        | F::StddevPop
        | F::VarSamp
        | F::VarPop
        | F::Skewness
        | F::Kurtosis
        | F::CovarSamp
        | F::CovarPop
        | F::Corr
        | F::RegrSlope
        | F::RegrIntercept
        | F::RegrR2
        | F::RegrSxx
        | F::RegrSyy
        | F::RegrSxy
        | F::RegrAvgX
        | F::RegrAvgY => of_moments(call.function, column(0)),
        F::TrySum => Expr::Cast { expr: Box::new(column(0)), to: result.clone(), try_cast: true },
        F::MaxBy | F::MinBy => {
            Expr::Function { function: ScalarFunction::GetField, args: vec![column(0), Expr::Literal(Scalar::string("value"))] }
        }
        F::Percentile => Expr::Function { function: ScalarFunction::ArrayPercentile, args: vec![column(0), second(call, 1)?] },
        F::PercentileDisc => Expr::Function { function: ScalarFunction::ArrayPercentileDisc, args: vec![column(0), second(call, 1)?] },
        F::Mode => Expr::Function { function: ScalarFunction::ArrayMode, args: vec![column(0), second(call, 1)?] },
        F::ListAgg => {
            let list = match call.args.get(2) {
                Some(ascending) => Expr::Function { function: ScalarFunction::SortArray, args: vec![column(0), ascending.clone()] },
                None => column(0),
            };
            let joined = Expr::Function { function: ScalarFunction::ArrayJoin, args: vec![list, second(call, 1)?] };
            let size = Expr::Function { function: ScalarFunction::Size, args: vec![column(0)] };
            guarded(compared(ComparisonOp::Greater, size, Expr::Literal(Scalar::Int(0))), joined)
        }
        F::ApproxCountDistinct => {
            let estimate = Expr::Function { function: ScalarFunction::EstimateDistinct, args: vec![column(0)] };
            Expr::Coalesce(vec![estimate, Expr::Literal(Scalar::Long(0))])
        }
        F::BitmapConstruct | F::BitmapOr | F::BitmapAnd => {
            let start = if call.function == F::BitmapAnd { u8::MAX } else { 0 };
            Expr::Coalesce(vec![column(0), Expr::Literal(Scalar::Binary(vec![start; BITMAP_BYTES].into()))])
        }
        F::Count
        | F::Sum
        | F::Min
        | F::Max
        | F::BoolAnd
        | F::BoolOr
        | F::BitAnd
        | F::BitOr
        | F::BitXor
        | F::First
        | F::FirstIgnoreNulls
        | F::Last
        | F::LastIgnoreNulls
        | F::CollectList
        | F::CollectSet
        | F::BloomFilter => column(0),
    };
    Ok(Description { buffers, attributes, finish })
}

/// An argument by position.
fn second(call: &AggregateExpr, at: usize) -> Result<Expr> {
    call.args.get(at).cloned().ok_or_else(|| crate::base::Error::internal("an aggregate call without all its arguments"))
}

/// The value where the condition is true, else NULL.
fn guarded(condition: Expr, value: Expr) -> Expr {
    Expr::Case { branches: vec![(condition, value)], otherwise: None }
}

fn compared(op: ComparisonOp, left: Expr, right: Expr) -> Expr {
    Expr::Comparison { op, left: Box::new(left), right: Box::new(right) }
}

/// A buffer of moments: a struct of doubles of these names.
fn moments(fields: &[&str], update: Accumulate, input: Expr, merge: Accumulate) -> Buffer {
    let fields = fields.iter().map(|name| Field::new(*name, DataType::Double, false)).collect();
    buffer("moments", DataType::Struct(fields), update, input, merge)
}

/// What a function makes of the moments; NULL without rows, and where it would divide by zero.
fn of_moments(function: AggregateFunction, moments: Expr) -> Expr {
    use AggregateFunction as F;
    use ArithmeticOp::{Divide, Multiply, Subtract};
    let get = |name: &str| Expr::Function {
        function: ScalarFunction::GetField,
        args: vec![moments.clone(), Expr::Literal(Scalar::string(name))],
    };
    let double = |v: f64| Expr::Literal(Scalar::Double(v));
    let root = |e: Expr| Expr::Function { function: ScalarFunction::Sqrt, args: vec![e] };
    let times = |a: Expr, b: Expr| arithmetic(Multiply, a, b);
    let quotient = |a: Expr, b: Expr| guarded(compared(ComparisonOp::NotEqual, b.clone(), double(0.0)), arithmetic(Divide, a, b));
    let more = |n: f64, e: Expr| guarded(compared(ComparisonOp::Greater, get("n"), double(n)), e);
    let less_one = || arithmetic(Subtract, get("n"), double(1.0));
    let correlation = || quotient(get("ck"), root(times(get("xMk"), get("yMk"))));
    match function {
        F::VarPop => quotient(get("m2"), get("n")),
        F::StddevPop => root(quotient(get("m2"), get("n"))),
        F::VarSamp => more(1.0, arithmetic(Divide, get("m2"), less_one())),
        F::StddevSamp => more(1.0, root(arithmetic(Divide, get("m2"), less_one()))),
        F::Skewness => quotient(times(root(get("n")), get("m3")), root(times(get("m2"), times(get("m2"), get("m2"))))),
        F::Kurtosis => arithmetic(Subtract, quotient(times(get("n"), get("m4")), times(get("m2"), get("m2"))), double(3.0)),
        F::CovarPop => quotient(get("ck"), get("n")),
        F::CovarSamp => more(1.0, arithmetic(Divide, get("ck"), less_one())),
        F::Corr => correlation(),
        F::RegrSlope => quotient(get("ck"), get("xMk")),
        F::RegrIntercept => arithmetic(Subtract, get("yAvg"), times(quotient(get("ck"), get("xMk")), get("xAvg"))),
        F::RegrR2 => {
            let flat = |name: &str| compared(ComparisonOp::Equal, get(name), double(0.0));
            let branches = vec![(flat("yMk"), Expr::Literal(Scalar::Null(DataType::Double))), (flat("xMk"), double(1.0))];
            Expr::Case { branches, otherwise: Some(Box::new(times(correlation(), correlation()))) }
        }
        F::RegrSxx => get("xMk"),
        F::RegrSyy => get("yMk"),
        F::RegrSxy => get("ck"),
        F::RegrAvgX => get("xAvg"),
        F::RegrAvgY => get("yAvg"),
        _ => Expr::Literal(Scalar::Null(DataType::Double)),
    }
}
