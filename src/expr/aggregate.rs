//! Aggregate functions, described as buffer columns so that neither engine has code per function.
//!
//! A function is a list of buffers, each with an initial value, one primitive update over an input expression, one primitive
//! merge of two buffer values, and one expression over the buffers that gives the result. The primitives ([`Accumulate`])
//! are a closed set that both engines implement once; a new aggregate is a new entry of [`describe`].

use std::sync::Arc;

use super::{ArithmeticOp, ComparisonOp, Expr, ScalarFunction};
use crate::base::{Attribute, DataType, ExprId, Result, Scalar};

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
    CovarSamp,
    CovarPop,
    Corr,
    /// `max_by(value, ordering)`: the value of a row with the greatest ordering.
    MaxBy,
    MinBy,
    /// `percentile(x, fraction)`, interpolated; the median is that of 0.5.
    Percentile,
    /// `percentile_approx(x, fraction)`: the smallest value at or above the fraction, exact here.
    PercentileDisc,
}

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
            let x = cast(argument()?, &DataType::Double);
            let square = arithmetic(ArithmeticOp::Multiply, x.clone(), x.clone());
            vec![
                counter(x.clone()),
                buffer("sum", DataType::Double, Accumulate::Sum, x, Accumulate::Sum),
                buffer("sumsq", DataType::Double, Accumulate::Sum, square, Accumulate::Sum),
            ]
        }
        F::CovarSamp | F::CovarPop | F::Corr => {
            let double = |i: usize| -> Result<Expr> { Ok(cast(second(call, i)?, &DataType::Double)) };
            let (x, y) = (double(0)?, double(1)?);
            let times = |a: &Expr, b: &Expr| arithmetic(ArithmeticOp::Multiply, a.clone(), b.clone());
            // Only rows in which neither is NULL count.
            let beside = |a: &Expr, b: &Expr| guarded(Expr::IsNotNull(Box::new(b.clone())), a.clone());
            let sum = |name: &str, e: Expr| buffer(name, DataType::Double, Accumulate::Sum, e, Accumulate::Sum);
            let (left, right) = (beside(&x, &y), beside(&y, &x));
            let mut all = vec![counter(times(&x, &y)), sum("xAvg", left.clone()), sum("yAvg", right.clone()), sum("ck", times(&x, &y))];
            if call.function == F::Corr {
                all.extend([sum("xMk", times(&left, &left)), sum("yMk", times(&right, &right))]);
            }
            all
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
        F::Percentile | F::PercentileDisc => {
            let x = argument()?;
            let x = if call.function == F::Percentile { cast(x, &DataType::Double) } else { x };
            let t = DataType::Array(Box::new(x.data_type()));
            let init = Scalar::Array(vec![], x.data_type());
            vec![Buffer { init, nullable: false, ..buffer("list", t, Accumulate::CollectList, x, Accumulate::ConcatList) }]
        }
        F::CollectList | F::CollectSet => {
            let (name, update, merge) = match call.function {
                F::CollectList => ("list", Accumulate::CollectList, Accumulate::ConcatList),
                _ => ("set", Accumulate::CollectSet, Accumulate::ConcatSet),
            };
            let element = argument()?.data_type();
            vec![Buffer {
                init: Scalar::Array(vec![], element),
                nullable: false,
                ..buffer(name, result.clone(), update, argument()?, merge)
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
        F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop => spread(call.function, column(0), column(1), column(2)),
        F::CovarSamp | F::CovarPop | F::Corr => covariance(call.function, &column),
        F::MaxBy | F::MinBy => {
            Expr::Function { function: ScalarFunction::GetField, args: vec![column(0), Expr::Literal(Scalar::string("value"))] }
        }
        F::Percentile => Expr::Function { function: ScalarFunction::ArrayPercentile, args: vec![column(0), second(call, 1)?] },
        F::PercentileDisc => Expr::Function { function: ScalarFunction::ArrayPercentileDisc, args: vec![column(0), second(call, 1)?] },
        F::Count
        | F::Sum
        | F::Min
        | F::Max
        | F::BoolAnd
        | F::BoolOr
        | F::First
        | F::FirstIgnoreNulls
        | F::Last
        | F::LastIgnoreNulls
        | F::CollectList
        | F::CollectSet => column(0),
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

/// Covariance or correlation from count, sums, sum of products and (for corr) sums of squares; NULL without rows.
fn covariance(function: AggregateFunction, column: &dyn Fn(usize) -> Expr) -> Expr {
    use ArithmeticOp::{Divide, Multiply, Subtract};
    let double = |v: f64| Expr::Literal(Scalar::Double(v));
    let n = cast(column(0), &DataType::Double);
    let (x, y) = (column(1), column(2));
    let centred = |sum: Expr, a: &Expr, b: &Expr| {
        arithmetic(Subtract, sum, arithmetic(Divide, arithmetic(Multiply, a.clone(), b.clone()), n.clone()))
    };
    let products = centred(column(3), &x, &y);
    let (least, value) = match function {
        AggregateFunction::CovarSamp => (1.0, arithmetic(Divide, products, arithmetic(Subtract, n.clone(), double(1.0)))),
        AggregateFunction::Corr => {
            let spread = arithmetic(Multiply, centred(column(4), &x, &x), centred(column(5), &y, &y));
            let root = Expr::Function { function: ScalarFunction::Sqrt, args: vec![spread] };
            // Without spread there is no correlation.
            let zero = Expr::Comparison { op: ComparisonOp::NotEqual, left: Box::new(root.clone()), right: Box::new(double(0.0)) };
            (0.0, guarded(zero, arithmetic(Divide, products, root)))
        }
        _ => (0.0, arithmetic(Divide, products, n.clone())),
    };
    guarded(Expr::Comparison { op: ComparisonOp::Greater, left: Box::new(n), right: Box::new(double(least)) }, value)
}

/// Variance or deviation from count, sum and sum of squares; NULL without rows (samples: with fewer than two).
fn spread(function: AggregateFunction, count: Expr, sum: Expr, squares: Expr) -> Expr {
    let double = |v: f64| Expr::Literal(Scalar::Double(v));
    let n = cast(count, &DataType::Double);
    let centred = arithmetic(
        ArithmeticOp::Subtract,
        squares,
        arithmetic(ArithmeticOp::Divide, arithmetic(ArithmeticOp::Multiply, sum.clone(), sum), n.clone()),
    );
    let centred = Expr::Function { function: ScalarFunction::Greatest, args: vec![centred, double(0.0)] };
    let sample = matches!(function, AggregateFunction::StddevSamp | AggregateFunction::VarSamp);
    let (least, divisor) = if sample { (1.0, arithmetic(ArithmeticOp::Subtract, n.clone(), double(1.0))) } else { (0.0, n.clone()) };
    let variance = arithmetic(ArithmeticOp::Divide, centred, divisor);
    let value = match function {
        AggregateFunction::StddevSamp | AggregateFunction::StddevPop => {
            Expr::Function { function: ScalarFunction::Sqrt, args: vec![variance] }
        }
        _ => variance,
    };
    let enough = Expr::Comparison { op: ComparisonOp::Greater, left: Box::new(n), right: Box::new(double(least)) };
    Expr::Case { branches: vec![(enough, value)], otherwise: None }
}
