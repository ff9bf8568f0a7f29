//! Text of expressions as EXPLAIN shows it.

use std::fmt;

use super::window::RankingFunction;
use super::{
    AggregateExpr, AggregateFunction, ArithmeticOp, ComparisonOp, Expr, Frame, FrameBound, FrameUnits, Pruning, ScalarFunction, SortOrder,
    WindowExpr, WindowFunction,
};
use crate::base::{Scalar, calendar, decimal, number};

/// Longer lists of literals are shown as the sets that they are looked up in.
pub const LONGEST_LIST: usize = 10;

/// `, ` or another separator between items.
fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl ArithmeticOp {
    /// The operator's sign.
    pub fn symbol(self) -> &'static str {
        match self {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide => "/",
            ArithmeticOp::IntegralDivide => "div",
            ArithmeticOp::Remainder => "%",
        }
    }
}

impl ComparisonOp {
    /// The operator's sign.
    pub fn symbol(self) -> &'static str {
        match self {
            ComparisonOp::Equal => "=",
            ComparisonOp::EqualNullSafe => "<=>",
            ComparisonOp::NotEqual => "!=",
            ComparisonOp::Less => "<",
            ComparisonOp::LessOrEqual => "<=",
            ComparisonOp::Greater => ">",
            ComparisonOp::GreaterOrEqual => ">=",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || match self {
            Expr::Literal(s) => write!(f, "{s}"),
            Expr::Attribute(a) => write!(f, "{a}"),
            Expr::Column { index, data_type, nullable } => write!(f, "input[{index}, {data_type}, {nullable}]"),
            Expr::Alias { expr, name, id } => {
                let suffix = if expr.data_type() == crate::base::DataType::Long { "L" } else { "" };
                write!(f, "{expr} AS {name}#{}{suffix}", id.0)
            }
            Expr::Cast { expr, to, try_cast } => write!(f, "{}cast({expr} as {to})", if *try_cast { "try_" } else { "" }),
            Expr::Negate(e) => write!(f, "-{e}"),
            Expr::Arithmetic { op, left, right, try_arithmetic: false } => write!(f, "({left} {} {right})", op.symbol()),
            Expr::Arithmetic { op, left, right, try_arithmetic: true } => {
                let name = match op {
                    ArithmeticOp::Add => "try_add",
                    ArithmeticOp::Subtract => "try_subtract",
                    ArithmeticOp::Multiply => "try_multiply",
                    ArithmeticOp::Divide => "try_divide",
                    ArithmeticOp::IntegralDivide => "try_div",
                    ArithmeticOp::Remainder => "try_mod",
                };
                write!(f, "{name}({left}, {right})")
            }
            Expr::Comparison { op: ComparisonOp::NotEqual, left, right } => write!(f, "NOT ({left} = {right})"),
            Expr::Comparison { op, left, right } => write!(f, "({left} {} {right})", op.symbol()),
            Expr::And(l, r) => write!(f, "({l} AND {r})"),
            Expr::Or(l, r) => write!(f, "({l} OR {r})"),
            Expr::Not(e) => write!(f, "NOT {e}"),
            Expr::IsNull(e) => write!(f, "isnull({e})"),
            Expr::IsNotNull(e) => write!(f, "isnotnull({e})"),
            Expr::Case { branches, otherwise } => {
                f.write_str("CASE")?;
                for (condition, value) in branches {
                    write!(f, " WHEN {condition} THEN {value}")?;
                }
                if let Some(e) = otherwise {
                    write!(f, " ELSE {e}")?;
                }
                f.write_str(" END")
            }
            Expr::Coalesce(args) => {
                f.write_str("coalesce(")?;
                join(f, args, ", ")?;
                f.write_str(")")
            }
            Expr::In { value, list } if list.len() > LONGEST_LIST && list.iter().all(|e| matches!(e, Expr::Literal(_))) => {
                let mut items: Vec<String> = list.iter().map(Expr::to_string).collect();
                items.sort_unstable();
                write!(f, "{value} INSET {}", items.join(", "))
            }
            Expr::In { value, list } => {
                write!(f, "{value} IN (")?;
                join(f, list, ",")?;
                f.write_str(")")
            }
            Expr::Like { value, pattern, escape, case_insensitive } => {
                write!(f, "{value} {} {pattern}", if *case_insensitive { "ILIKE" } else { "LIKE" })?;
                if *escape == '\\' { Ok(()) } else { write!(f, " ESCAPE '{escape}'") }
            }
            Expr::Function { function, args } => display_function(*function, args, f),
            Expr::LambdaVariable(a) => write!(f, "lambda {a}"),
            Expr::Lambda { params, body, hidden } => {
                write!(f, "lambdafunction({body}")?;
                params.iter().try_for_each(|p| write!(f, ", lambda {p}"))?;
                write!(f, ", {hidden})")
            }
            Expr::Aggregate(a) => write!(f, "{a}"),
            Expr::Window(w) => write!(f, "{w}"),
            Expr::ScalarSubquery { id, .. } => write!(f, "scalar-subquery#{} []", id.0),
            Expr::DynamicPruning { value, id, state: Pruning::Wanted { .. } } => write!(f, "dynamicpruning#{} [{value}]", id.0),
            Expr::DynamicPruning { value, id, state: Pruning::Planned } => {
                write!(f, "dynamicpruningexpression({value} IN dynamicpruning#{})", id.0)
            }
            Expr::DynamicPruning { state: Pruning::Dropped, .. } => f.write_str("dynamicpruningexpression(true)"),
        })
    }
}

fn display_function(function: ScalarFunction, args: &[Expr], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use ScalarFunction::*;
    match (function, args) {
        (BitAnd | BitOr | BitXor | LeftShift | RightShift | RightShiftUnsigned, [l, r]) => write!(f, "({l} {} {r})", function.name()),
        (BitNot, [e]) => write!(f, "~{e}"),
        (GetItem, [a, i]) => write!(f, "{a}[{i}]"),
        (GetField | GetArrayFields, [s, name]) => write!(f, "{s}.{name}"),
        (SubtractDates | SubtractTimestamps | IntervalSubtract, [l, r]) => write!(f, "({l} - {r})"),
        (TimeAdd | TimestampAddMonths | DateAddMonths | IntervalAdd, [l, r]) => write!(f, "{l} + {r}"),
        (StartsWith, [l, r]) => write!(f, "StartsWith({l}, {r})"),
        (EndsWith, [l, r]) => write!(f, "EndsWith({l}, {r})"),
        (Contains, [l, r]) => write!(f, "Contains({l}, {r})"),
        (RLike, [l, r]) => write!(f, "RLIKE({l}, {r})"),
        _ => {
            let name = match function {
                Length => "length",
                Trim => "trim",
                other => other.name(),
            };
            write!(f, "{name}(")?;
            join(f, args, ", ")?;
            f.write_str(match function {
                Trim | LTrim | RTrim if args.len() == 1 => ", None)",
                Size => ", false)",
                ArraySort if args.len() > 1 => ", false)",
                DateTrunc | Hour | Minute | Second => ", Some(UTC))",
                _ => ")",
            })
        }
    }
}

impl fmt::Display for SortOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.ascending { "ASC" } else { "DESC" };
        write!(f, "{} {direction} NULLS {}", self.expr, if self.nulls_first { "FIRST" } else { "LAST" })
    }
}

impl AggregateFunction {
    /// Spark's name.
    pub fn name(self) -> &'static str {
        use AggregateFunction::*;
        match self {
            Count => "count",
            Sum => "sum",
            Avg => "avg",
            Min => "min",
            Max => "max",
            First | FirstIgnoreNulls => "first",
            Last | LastIgnoreNulls => "last",
            BoolAnd => "bool_and",
            BoolOr => "bool_or",
            StddevSamp => "stddev_samp",
            StddevPop => "stddev_pop",
            VarSamp => "var_samp",
            VarPop => "var_pop",
            CollectList => "collect_list",
            CollectSet => "collect_set",
            BloomFilter => "bloom_filter_agg",
            ApproxCountDistinct => "approx_count_distinct",
            BitmapConstruct => "bitmap_construct_agg",
            BitmapOr => "bitmap_or_agg",
            BitmapAnd => "bitmap_and_agg",
            CovarSamp => "covar_samp",
            CovarPop => "covar_pop",
            Corr => "corr",
            MaxBy => "max_by",
            MinBy => "min_by",
            Percentile => "percentile",
            PercentileDisc => "percentile_approx",
            Skewness => "skewness",
            Kurtosis => "kurtosis",
            RegrSlope => "regr_slope",
            RegrIntercept => "regr_intercept",
            RegrR2 => "regr_r2",
            RegrSxx => "regr_sxx",
            RegrSyy => "regr_syy",
            RegrSxy => "regr_sxy",
            RegrAvgX => "regr_avgx",
            RegrAvgY => "regr_avgy",
            BitAnd => "bit_and",
            BitOr => "bit_or",
            BitXor => "bit_xor",
            TrySum => "try_sum",
            Mode => "mode",
            ListAgg => "listagg",
        }
    }
}

impl AggregateExpr {
    /// The call with a prefix before its name, such as `partial_` or `merge_`.
    pub fn display_with(&self, prefix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use AggregateFunction::*;
        write!(f, "{prefix}{}({}", self.function.name(), if self.distinct { "distinct " } else { "" })?;
        join(f, &self.args, ", ")?;
        // Spark shows what else its function objects are made of.
        f.write_str(match self.function {
            First | Last => ", false)",
            FirstIgnoreNulls | LastIgnoreNulls => ", true)",
            CollectList | CollectSet | ApproxCountDistinct => ", 0, 0)",
            Percentile => ", 1, 0, 0, false)",
            PercentileDisc => ", 10000, 0, 0)",
            _ => ")",
        })?;
        match &self.filter {
            Some(condition) => write!(f, " FILTER (WHERE {condition})"),
            None => Ok(()),
        }
    }
}

impl AggregateExpr {
    /// The name of the column that holds the call's result: `sum(x#1)`.
    pub fn result_name(&self) -> String {
        use AggregateFunction::*;
        match (self.function, self.args.as_slice()) {
            (First | Last, [x]) => format!("{}({x})()", self.function.name()),
            (FirstIgnoreNulls | LastIgnoreNulls, [x]) => format!("{}({x}) ignore nulls", self.function.name()),
            _ => AggregateExpr { filter: None, distinct: false, ..self.clone() }.to_string(),
        }
    }
}

impl fmt::Display for AggregateExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display_with("", f)
    }
}

impl RankingFunction {
    /// Spark's name.
    pub fn name(self) -> &'static str {
        match self {
            RankingFunction::RowNumber => "row_number",
            RankingFunction::Rank => "rank",
            RankingFunction::DenseRank => "dense_rank",
            RankingFunction::PercentRank => "percent_rank",
            RankingFunction::CumeDist => "cume_dist",
            RankingFunction::Ntile => "ntile",
            RankingFunction::Lead => "lead",
            RankingFunction::Lag => "lag",
            RankingFunction::NthValue => "nth_value",
        }
    }
}

/// A ranking call without its window; functions of peers show the ordering in place of arguments.
pub(super) fn ranking_call(function: RankingFunction, args: &[Expr], order_by: &[SortOrder]) -> String {
    let keys = matches!(function, RankingFunction::Rank | RankingFunction::DenseRank | RankingFunction::PercentRank);
    if let (RankingFunction::Lag, [value, offset, default]) = (function, args) {
        return format!("lag({value}, {}, {default})", preceding(offset));
    }
    let shown: Vec<String> =
        if keys { order_by.iter().map(|o| o.expr.to_string()).collect() } else { args.iter().map(Expr::to_string).collect() };
    format!("{}({})", function.name(), shown.join(", "))
}

impl fmt::Display for WindowExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            WindowFunction::Aggregate(a) => write!(f, "{a}")?,
            WindowFunction::Ranking { function, args, ignore_nulls } => {
                f.write_str(&ranking_call(*function, args, &self.order_by))?;
                if *ignore_nulls {
                    f.write_str(" ignore nulls")?;
                }
            }
        }
        f.write_str(" windowspecdefinition(")?;
        join(f, &self.partition_by, ", ")?;
        if !self.partition_by.is_empty() && !self.order_by.is_empty() {
            f.write_str(", ")?;
        }
        join(f, &self.order_by, ", ")?;
        if !self.partition_by.is_empty() || !self.order_by.is_empty() {
            f.write_str(", ")?;
        }
        match &self.function {
            // These look at one row, whatever the frame.
            WindowFunction::Ranking { function: RankingFunction::Lead, args, .. } if args.len() == 3 => {
                write!(f, "specifiedwindowframe(RowFrame, {0}, {0}))", args[1])
            }
            WindowFunction::Ranking { function: RankingFunction::Lag, args, .. } if args.len() == 3 => {
                write!(f, "specifiedwindowframe(RowFrame, {0}, {0}))", preceding(&args[1]))
            }
            _ => write!(f, "{})", self.frame),
        }
    }
}

/// The offset of a row that many rows before: `-1`.
fn preceding(offset: &Expr) -> String {
    let offset = offset.to_string();
    offset.strip_prefix('-').map_or_else(|| format!("-{offset}"), str::to_string)
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = match self.units {
            FrameUnits::Rows => "RowFrame",
            FrameUnits::Range => "RangeFrame",
        };
        write!(f, "specifiedwindowframe({units}, {}, {})", self.start, self.end)
    }
}

impl fmt::Display for FrameBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameBound::UnboundedPreceding => f.write_str("unboundedpreceding$()"),
            FrameBound::Preceding(s) => write!(f, "-{s}"),
            FrameBound::CurrentRow => f.write_str("currentrow$()"),
            FrameBound::Following(s) => write!(f, "{s}"),
            FrameBound::UnboundedFollowing => f.write_str("unboundedfollowing$()"),
        }
    }
}

/// As EXPLAIN shows a literal: strings bare, NULL as `null`, dates and timestamps in ISO form.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self {
            Scalar::Null(_) => text.push_str("null"),
            Scalar::Boolean(v) => return write!(f, "{v}"),
            Scalar::Byte(v) => return write!(f, "{v}"),
            Scalar::Short(v) => return write!(f, "{v}"),
            Scalar::Int(v) => return write!(f, "{v}"),
            Scalar::Long(v) => return write!(f, "{v}"),
            Scalar::Float(v) => number::write_f32(*v, &mut text),
            Scalar::Double(v) => number::write_f64(*v, &mut text),
            Scalar::Decimal { value, scale, .. } => decimal::write(*value, *scale, &mut text),
            Scalar::String(v) => return f.write_str(v),
            Scalar::Binary(v) => {
                f.write_str("0x")?;
                return v.iter().try_for_each(|b| write!(f, "{b:02X}"));
            }
            Scalar::Date(v) => calendar::write_date(*v, &mut text),
            Scalar::Timestamp(v) | Scalar::TimestampNtz(v) => calendar::write_timestamp(*v, &mut text),
            Scalar::YearMonthInterval(v) => calendar::write_year_month_interval(*v, &mut text),
            Scalar::DayTimeInterval(v) => calendar::write_day_time_interval(*v, &mut text),
            Scalar::Array(items, _) => {
                f.write_str("[")?;
                join(f, items, ",")?;
                return f.write_str("]");
            }
            Scalar::Map(entries, ..) => {
                f.write_str("map(")?;
                for (i, (k, v)) in entries.iter().enumerate() {
                    write!(f, "{}{k} -> {v}", if i > 0 { ", " } else { "" })?;
                }
                return f.write_str(")");
            }
            Scalar::Struct(items, _) => {
                f.write_str("[")?;
                join(f, items, ",")?;
                return f.write_str("]");
            }
        }
        f.write_str(&text)
    }
}
