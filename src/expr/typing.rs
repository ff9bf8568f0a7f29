//! Types, nullability and fallibility of expressions.

use super::aggregate::AggregateFunction;
use super::evaluate::number_format::NumberFormat;
use super::window::RankingFunction;
use super::{AggregateExpr, ArithmeticOp, Expr, ScalarFunction, WindowExpr, WindowFunction};
use crate::base::schema::MAX_PRECISION;
use crate::base::{Attribute, DataType, Field, Scalar};

/// Scale that is kept, if the exact result has it, when the precision must be cut to 38.
const MINIMUM_ADJUSTED_SCALE: i32 = 6;

/// Spark's result type of decimal arithmetic, `spark.sql.decimalOperations.allowPrecisionLoss` being true, and whether it holds
/// every result exactly (else results are rounded or can overflow).
pub fn decimal_result(op: ArithmeticOp, (p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> (u8, i8, bool) {
    let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
    let (p, s, exact) = match op {
        ArithmeticOp::Add | ArithmeticOp::Subtract => {
            let s = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + s + 1, s, true)
        }
        ArithmeticOp::Multiply => (p1 + p2 + 1, s1 + s2, true),
        ArithmeticOp::Divide => {
            let s = MINIMUM_ADJUSTED_SCALE.max(s1 + p2 + 1);
            (p1 - s1 + s2 + s, s, false)
        }
        ArithmeticOp::IntegralDivide => (p1 - s1 + s2, 0, false),
        ArithmeticOp::Remainder => {
            let s = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + s, s, true)
        }
    };
    let (precision, scale) = adjust_decimal(p, s);
    (precision, scale, exact && p <= i32::from(MAX_PRECISION))
}

/// Cuts a precision over 38, giving up fraction digits down to six before digits in front of the point.
pub fn adjust_decimal(precision: i32, scale: i32) -> (u8, i8) {
    let max = i32::from(MAX_PRECISION);
    if precision <= max {
        return (precision.max(1) as u8, scale as i8);
    }
    let kept = scale.min(MINIMUM_ADJUSTED_SCALE);
    (MAX_PRECISION, (max - (precision - scale)).max(kept) as i8)
}

/// The decimal type that holds every value of an integral type.
pub fn decimal_for_integral(t: &DataType) -> Option<(u8, i8)> {
    Some(match t {
        DataType::Byte => (3, 0),
        DataType::Short => (5, 0),
        DataType::Int => (10, 0),
        DataType::Long => (20, 0),
        DataType::Decimal { precision, scale } => (*precision, *scale),
        _ => return None,
    })
}

fn decimal_parts(t: &DataType) -> Option<(u8, i8)> {
    match t {
        DataType::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    }
}

/// The type of `left op right`.
pub fn arithmetic_type(op: ArithmeticOp, left: &DataType, right: &DataType) -> DataType {
    if op == ArithmeticOp::IntegralDivide {
        return DataType::Long;
    }
    match (decimal_parts(left), decimal_parts(right)) {
        (Some(l), Some(r)) => {
            let (p, s, _) = decimal_result(op, l, r);
            DataType::decimal(p, s)
        }
        _ => left.clone(),
    }
}

impl Expr {
    /// The type of the value; operands are already coerced.
    pub fn data_type(&self) -> DataType {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || match self {
            Expr::Literal(s) => s.data_type(),
            Expr::Attribute(a) | Expr::LambdaVariable(a) => a.data_type.clone(),
            Expr::Lambda { body, .. } => body.data_type(),
            Expr::Column { data_type, .. } | Expr::ScalarSubquery { data_type, .. } => data_type.clone(),
            Expr::Alias { expr, .. } | Expr::Negate(expr) => expr.data_type(),
            Expr::Cast { to, .. } => to.clone(),
            Expr::Arithmetic { op, left, right, .. } => arithmetic_type(*op, &left.data_type(), &right.data_type()),
            Expr::Comparison { .. }
            | Expr::And(..)
            | Expr::Or(..)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::In { .. }
            | Expr::DynamicPruning { .. }
            | Expr::Like { .. } => DataType::Boolean,
            Expr::Case { branches, otherwise } => match (branches.first(), otherwise) {
                (Some((_, value)), _) => value.data_type(),
                (None, Some(value)) => value.data_type(),
                (None, None) => DataType::Null,
            },
            Expr::Coalesce(args) => args.first().map_or(DataType::Null, Expr::data_type),
            Expr::Function { function, args } => function.data_type(args),
            Expr::Aggregate(a) => a.data_type(),
            Expr::Window(w) => w.data_type(),
        })
    }

    /// Whether the value can be NULL.
    pub fn nullable(&self) -> bool {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || match self {
            Expr::Literal(s) => s.is_null(),
            Expr::Attribute(a) | Expr::LambdaVariable(a) => a.nullable,
            Expr::Lambda { body, .. } => body.nullable(),
            Expr::Column { nullable, .. } => *nullable,
            Expr::ScalarSubquery { .. } | Expr::DynamicPruning { .. } => true,
            Expr::Alias { expr, .. } | Expr::Negate(expr) | Expr::Not(expr) => expr.nullable(),
            Expr::Cast { expr, try_cast, .. } => *try_cast || expr.nullable(),
            Expr::Arithmetic { left, right, try_arithmetic, .. } => *try_arithmetic || left.nullable() || right.nullable(),
            Expr::Comparison { op: super::ComparisonOp::EqualNullSafe, .. } | Expr::IsNull(_) | Expr::IsNotNull(_) => false,
            Expr::Comparison { left, right, .. } => left.nullable() || right.nullable(),
            Expr::And(l, r) | Expr::Or(l, r) => l.nullable() || r.nullable(),
            Expr::Case { branches, otherwise } => {
                branches.iter().any(|(_, v)| v.nullable()) || otherwise.as_ref().is_none_or(|e| e.nullable())
            }
            Expr::Coalesce(args) => args.iter().all(Expr::nullable),
            Expr::In { value, list } => value.nullable() || list.iter().any(Expr::nullable),
            Expr::Like { value, pattern, .. } => value.nullable() || pattern.nullable(),
            Expr::Function { function, args } => function.nullable(args),
            Expr::Aggregate(a) => a.nullable(),
            Expr::Window(w) => w.nullable(),
        })
    }

    /// The output column of an `Attribute` or `Alias`. Other expressions have no identity of their own: they get a fresh one.
    pub fn to_attribute(&self) -> Attribute {
        match self {
            Expr::Attribute(a) => a.clone(),
            Expr::Alias { expr, name, id } => {
                Attribute { id: *id, name: name.clone(), data_type: expr.data_type(), nullable: expr.nullable() }
            }
            other => Attribute::new(other.to_string(), other.data_type(), other.nullable()),
        }
    }

    /// Whether evaluation can raise an error for some values of the inputs.
    pub fn can_fail(&self) -> bool {
        self.any(&mut |e| match e {
            Expr::Negate(x) => x.data_type().is_integral(),
            Expr::Arithmetic { try_arithmetic: true, .. } => false,
            Expr::Arithmetic { op, left, right, .. } => {
                let divides = matches!(op, ArithmeticOp::Divide | ArithmeticOp::IntegralDivide | ArithmeticOp::Remainder);
                let (l, r) = (left.data_type(), right.data_type());
                match (decimal_parts(&l), decimal_parts(&r)) {
                    _ if divides => {
                        !matches!(right.as_ref(), Expr::Literal(s) if s.as_i128().is_some_and(|v| v != 0) && *op == ArithmeticOp::Remainder)
                    }
                    (Some(l), Some(r)) => !decimal_result(*op, l, r).2,
                    _ => l.is_integral(),
                }
            }
            Expr::Cast { expr, to, try_cast: false } => cast_can_fail(&expr.data_type(), to),
            Expr::Function { function: ScalarFunction::Abs, args } => args.iter().any(|a| a.data_type().is_integral()),
            // A comparison may be NULL.
            Expr::Function { function: ScalarFunction::ArraySort, args } => args.len() > 1,
            Expr::Function { function, .. } => function.can_fail(),
            Expr::Like { pattern, .. } => !matches!(pattern.as_ref(), Expr::Literal(_)),
            Expr::Literal(_)
            | Expr::Attribute(_)
            | Expr::Column { .. }
            | Expr::Alias { .. }
            | Expr::Cast { try_cast: true, .. }
            | Expr::Comparison { .. }
            | Expr::And(..)
            | Expr::Or(..)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Case { .. }
            | Expr::Coalesce(_)
            | Expr::In { .. }
            | Expr::Lambda { .. }
            | Expr::LambdaVariable(_)
            | Expr::DynamicPruning { .. }
            | Expr::ScalarSubquery { .. } => false,
            Expr::Aggregate(_) | Expr::Window(_) => true,
        })
    }
}

/// Whether an ANSI cast can meet a value that does not fit.
pub fn cast_can_fail(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    if from == to {
        return false;
    }
    if let (Some((p, s)), Some((q, t))) = (decimal_for_integral(from), decimal_for_integral(to)) {
        // From integral or decimal to integral or decimal: safe if all digits before the point have room.
        let width = |t: &DataType| match t {
            Byte => Some(1),
            Short => Some(2),
            Int => Some(4),
            Long => Some(8),
            _ => None,
        };
        return match (width(from), width(to)) {
            (Some(a), Some(b)) => a > b,
            // One digit less than the type's own decimal has always fits (two for a bigint, whose decimal has room to spare).
            (None, Some(_)) => i32::from(p) - i32::from(s) >= i32::from(q) - i32::from(q == 20),
            // A loss of scale can round up into one more digit.
            _ => i32::from(p) - i32::from(s) + i32::from(t < s) > i32::from(q) - i32::from(t),
        };
    }
    match (from, to) {
        (Null, _) | (_, String | Binary) => false,
        (_, Boolean) if *from != String => false,
        (Byte | Short | Int | Long | Decimal { .. } | Boolean, Float | Double) | (Float, Double) | (Double, Float) => false,
        (Boolean, Byte | Short | Int | Long) => false,
        (Date, Timestamp | TimestampNtz) | (Timestamp | TimestampNtz, Date | Timestamp | TimestampNtz) => false,
        (Timestamp, Long | Float | Double) => false,
        (Array(a), Array(b)) => cast_can_fail(a, b),
        (Map(k, v), Map(l, w)) => cast_can_fail(k, l) || cast_can_fail(v, w),
        (Struct(a), Struct(b)) => a.iter().zip(b).any(|(x, y)| cast_can_fail(&x.data_type, &y.data_type)),
        _ => true,
    }
}

fn literal_int(e: Option<&Expr>) -> Option<i32> {
    match e?.unaliased() {
        Expr::Literal(s) => s.as_i128().and_then(|v| i32::try_from(v).ok()),
        Expr::Negate(inner) => literal_int(Some(inner)).and_then(i32::checked_neg),
        Expr::Cast { expr, .. } => literal_int(Some(expr)),
        _ => None,
    }
}

/// The text of a literal argument.
pub(crate) fn literal_text(e: &Expr) -> Option<std::sync::Arc<str>> {
    match e {
        Expr::Literal(Scalar::String(s)) => Some(s.clone()),
        _ => None,
    }
}

/// Type of round, bround, and of ceil and floor with a scale.
fn rounded_type(t: &DataType, scale: i32) -> DataType {
    match decimal_parts(t) {
        Some((p, s)) => {
            let (p, s) = (i32::from(p), i32::from(s));
            let integral = p - s + 1;
            if scale < 0 {
                DataType::decimal(integral.max(1 - scale).min(38) as u8, 0)
            } else {
                let kept = s.min(scale);
                DataType::decimal((integral + kept).min(38) as u8, kept as i8)
            }
        }
        None => t.clone(),
    }
}

/// The field of a struct that the second argument names.
fn struct_field(t: &DataType, args: &[Expr]) -> Option<Field> {
    let name = literal_text(args.get(1)?)?;
    match t {
        DataType::Struct(fields) => fields.iter().find(|f| f.name.eq_ignore_ascii_case(&name)).cloned(),
        _ => None,
    }
}

impl ScalarFunction {
    /// The result type for coerced arguments.
    pub fn data_type(self, args: &[Expr]) -> DataType {
        use ScalarFunction::*;
        let first = || args.first().map_or(DataType::Null, Expr::data_type);
        let array = |t: DataType| DataType::Array(Box::new(t));
        let element = |t: DataType| match t {
            DataType::Array(e) => *e,
            DataType::Map(_, v) => *v,
            other => other,
        };
        match self.signature().returns {
            "s" => DataType::String,
            "y" => DataType::Binary,
            "b" => DataType::Boolean,
            "i" => DataType::Int,
            "l" => DataType::Long,
            "d" => DataType::Double,
            "D" => DataType::Date,
            "t" => DataType::Timestamp,
            "m" => DataType::YearMonthInterval,
            "u" => DataType::DayTimeInterval,
            "1" => first(),
            _ => match self {
                Concat => args.first().map_or(DataType::String, Expr::data_type),
                Split | RegexpExtractAll | JsonObjectKeys => array(DataType::String),
                FromJson => args.get(1).map_or(DataType::Null, Expr::data_type),
                Elt => args.get(1).map_or(DataType::Null, Expr::data_type),
                BitGet => DataType::Byte,
                ConvertTimezone => DataType::TimestampNtz,
                ToNumber | TryToNumber => {
                    let format = args.get(1).and_then(literal_text).and_then(|f| NumberFormat::parse(&f).ok());
                    let (precision, scale) = format.map_or((10, 0), |f| f.decimal());
                    DataType::decimal(precision.min(usize::from(MAX_PRECISION)) as u8, scale as i8)
                }
                StrToMap => DataType::Map(Box::new(DataType::String), Box::new(DataType::String)),
                MapFromEntries => match element(first()) {
                    DataType::Struct(fields) => match <[Field; 2]>::try_from(fields) {
                        Ok([key, value]) => DataType::Map(Box::new(key.data_type), Box::new(value.data_type)),
                        Err(_) => DataType::Null,
                    },
                    _ => DataType::Null,
                },
                MapEntries => match first() {
                    DataType::Map(k, v) => array(DataType::Struct(vec![Field::new("key", *k, false), Field::new("value", *v, true)])),
                    other => array(other),
                },
                ArraysZip => {
                    let column = |pair: &[Expr]| {
                        Field::new(literal_text(&pair[0]).unwrap_or_else(|| "col".into()), element(pair[1].data_type()), true)
                    };
                    array(DataType::Struct(args.chunks_exact(2).map(column).collect()))
                }
                Ceil | Floor if args.len() == 1 => match first() {
                    DataType::Decimal { precision, scale } => {
                        DataType::decimal((i32::from(precision) - i32::from(scale) + 1).clamp(1, 38) as u8, 0)
                    }
                    _ => DataType::Long,
                },
                Ceil | Floor | Round | BRound => rounded_type(&first(), literal_int(args.get(1)).unwrap_or(0)),
                SecondFraction => DataType::decimal(8, 6),
                Array => array(first()),
                Transform | ZipWith => array(args.last().map_or(DataType::Null, Expr::data_type)),
                Aggregate => args.last().map_or(DataType::Null, Expr::data_type),
                TransformKeys | TransformValues | MapZipWith => {
                    let made = Box::new(args.last().map_or(DataType::Null, Expr::data_type));
                    match first() {
                        DataType::Map(_, value) if self == TransformKeys => DataType::Map(made, value),
                        DataType::Map(key, _) => DataType::Map(key, made),
                        other => other,
                    }
                }
                ElementAt | TryElementAt | GetItem | Get | ArrayMin | ArrayMax | ArrayMode => element(first()),
                ArrayPercentile | ArrayPercentileDisc => match args.get(1).map(Expr::data_type) {
                    Some(DataType::Array(_)) => first(),
                    _ => element(first()),
                },
                Sequence => array(first()),
                Flatten => element(first()),
                Map => DataType::Map(Box::new(first()), Box::new(args.get(1).map_or(DataType::Null, Expr::data_type))),
                ArrayRepeat => array(first()),
                MapFromArrays => {
                    DataType::Map(Box::new(element(first())), Box::new(args.get(1).map_or(DataType::Null, |v| element(v.data_type()))))
                }
                MapKeys => match first() {
                    DataType::Map(k, _) => array(*k),
                    other => array(other),
                },
                MapValues => array(element(first())),
                NamedStruct => DataType::Struct(
                    args.chunks(2)
                        .filter_map(|pair| match pair {
                            [name, value] => {
                                Some(Field::new(literal_text(name).unwrap_or_else(|| "col".into()), value.data_type(), value.nullable()))
                            }
                            _ => None,
                        })
                        .collect(),
                ),
                GetField => struct_field(&first(), args).map_or(DataType::Null, |f| f.data_type),
                GetArrayFields => array(struct_field(&element(first()), args).map_or(DataType::Null, |f| f.data_type)),
                generator if generator.is_generator() => DataType::Struct(self.generated(args)),
                _ => DataType::Null,
            },
        }
    }

    /// The columns of a generator, with Spark's default names; empty for other functions.
    pub fn generated(self, args: &[Expr]) -> Vec<Field> {
        let Some(first) = args.first().map(Expr::data_type) else { return vec![] };
        if let Some(inner) = self.without_outer() {
            return inner.generated(args).into_iter().map(|f| Field { nullable: true, ..f }).collect();
        }
        match (self, first) {
            (ScalarFunction::Explode, DataType::Array(e)) => vec![Field::new("col", *e, true)],
            (ScalarFunction::Explode, DataType::Map(k, v)) => vec![Field::new("key", *k, false), Field::new("value", *v, true)],
            (ScalarFunction::PosExplode, _) => {
                let mut out = vec![Field::new("pos", DataType::Int, false)];
                out.extend(ScalarFunction::Explode.generated(args));
                out
            }
            (ScalarFunction::Inline, DataType::Array(e)) => match *e {
                DataType::Struct(fields) => fields.into_iter().map(|f| Field { nullable: true, ..f }).collect(),
                _ => vec![],
            },
            (ScalarFunction::JsonTuple, _) => {
                (0..args.len().saturating_sub(1)).map(|i| Field::new(format!("c{i}"), DataType::String, true)).collect()
            }
            (ScalarFunction::Stack, _) => {
                let rows = literal_int(args.first()).unwrap_or(1).max(1) as usize;
                let columns = (args.len() - 1).div_ceil(rows);
                args[1..].iter().take(columns).enumerate().map(|(i, a)| Field::new(format!("col{i}"), a.data_type(), true)).collect()
            }
            (ScalarFunction::ReplicateRows, _) => {
                args[1..].iter().enumerate().map(|(i, a)| Field::new(format!("col{i}"), a.data_type(), a.nullable())).collect()
            }
            _ => vec![],
        }
    }

    fn nullable(self, args: &[Expr]) -> bool {
        use ScalarFunction::*;
        match self {
            IsNaN | Rand | RandN | Uuid | SparkPartitionId | MonotonicallyIncreasingId | Array | NamedStruct | Map | Hash | XxHash64 => {
                false
            }
            FormatString | Mask => args.first().is_some_and(Expr::nullable),
            ConcatWs => args.first().is_some_and(Expr::nullable),
            Greatest | Least => args.iter().all(Expr::nullable),
            _ => self.makes_nulls() || args.iter().any(Expr::nullable),
        }
    }
}

impl AggregateExpr {
    /// Spark's result type of the call.
    pub fn data_type(&self) -> DataType {
        use AggregateFunction::*;
        let arg = || self.args.first().map_or(DataType::Null, Expr::data_type);
        match self.function {
            Count => DataType::Long,
            Sum => sum_type(&arg()),
            Avg => match decimal_parts(&arg()) {
                Some((p, s)) => {
                    let (p, s) = adjust_bounded(i32::from(p) + 4, i32::from(s) + 4);
                    DataType::decimal(p, s)
                }
                None => DataType::Double,
            },
            Min | Max | First | FirstIgnoreNulls | Last | LastIgnoreNulls => arg(),
            BoolAnd | BoolOr => DataType::Boolean,
            StddevSamp | StddevPop | VarSamp | VarPop | Skewness | Kurtosis | CovarSamp | CovarPop | Corr | RegrSlope | RegrIntercept
            | RegrR2 | RegrSxx | RegrSyy | RegrSxy | RegrAvgX | RegrAvgY => DataType::Double,
            Percentile | PercentileDisc => {
                let one = if self.function == Percentile { DataType::Double } else { arg() };
                match self.args.get(1).map(Expr::data_type) {
                    Some(DataType::Array(_)) => DataType::Array(Box::new(one)),
                    _ => one,
                }
            }
            MaxBy | MinBy | BitAnd | BitOr | BitXor | Mode => arg(),
            TrySum | ApproxCountDistinct => DataType::Long,
            ListAgg => DataType::String,
            BloomFilter | BitmapConstruct | BitmapOr | BitmapAnd => DataType::Binary,
            CollectList | CollectSet => DataType::Array(Box::new(arg())),
        }
    }

    /// Whether the result can be NULL.
    pub fn nullable(&self) -> bool {
        use AggregateFunction::*;
        !matches!(self.function, Count | ApproxCountDistinct | CollectList | CollectSet | BitmapConstruct | BitmapOr | BitmapAnd)
    }
}

/// Precision and scale each cut to 38.
fn adjust_bounded(p: i32, s: i32) -> (u8, i8) {
    (p.min(38) as u8, s.min(38) as i8)
}

/// The type of `sum` over a type.
pub fn sum_type(t: &DataType) -> DataType {
    match t {
        DataType::Decimal { precision, scale } => DataType::decimal((precision + 10).min(MAX_PRECISION), *scale),
        t if t.is_integral() => DataType::Long,
        DataType::YearMonthInterval | DataType::DayTimeInterval => t.clone(),
        _ => DataType::Double,
    }
}

impl WindowExpr {
    /// The type of the call's result.
    pub fn data_type(&self) -> DataType {
        match &self.function {
            WindowFunction::Aggregate(a) => a.data_type(),
            WindowFunction::Ranking { function, args, .. } => match function {
                RankingFunction::RowNumber | RankingFunction::Rank | RankingFunction::DenseRank | RankingFunction::Ntile => DataType::Int,
                RankingFunction::PercentRank | RankingFunction::CumeDist => DataType::Double,
                RankingFunction::Lead | RankingFunction::Lag | RankingFunction::NthValue => {
                    args.first().map_or(DataType::Null, Expr::data_type)
                }
            },
        }
    }

    /// Whether the result can be NULL.
    pub fn nullable(&self) -> bool {
        match &self.function {
            WindowFunction::Aggregate(a) => a.nullable(),
            WindowFunction::Ranking { function, .. } => {
                matches!(function, RankingFunction::Lead | RankingFunction::Lag | RankingFunction::NthValue)
            }
        }
    }
}
