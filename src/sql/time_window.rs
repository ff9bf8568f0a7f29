//! Windows of time, `window(time, duration[, slide[, start]])`: a column of the rows that are selected, of structs of `start` and
//! `end`. Rows without a time are in no window; where windows slide, a row is there once for each that it is in.

use sqlparser::ast::{self, GroupByExpr, SelectItem};

use super::Binder;
use super::call::function_name;
use super::expr::{Clause, ExprBinder, Pending};
use super::scope::{At, Scope};
use crate::base::{Attribute, DataType, Error, ErrorClass, Result, Scalar, calendar};
use crate::expr::{ComparisonOp, Expr, ScalarFunction, coerce};
use crate::logical::LogicalPlan;

/// A call, and the column of its windows.
#[derive(Debug, Clone)]
pub(super) struct TimeWindow {
    time: Expr,
    /// Microseconds, as the next ones.
    duration: i64,
    slide: i64,
    start: i64,
    pub column: Attribute,
}

impl TimeWindow {
    /// Of the arguments of a call.
    ///
    /// # Errors
    /// `WrongArguments`, `TypeMismatch`.
    pub fn of(args: Vec<Expr>) -> Result<Self> {
        let wrong = |message: String| Error::new(ErrorClass::WrongArguments, message);
        let count = args.len();
        let mut args = args.into_iter();
        let (Some(time), 2..=4) = (args.next(), count) else {
            let message = format!("The `window` requires [2, 3, 4] parameters but the actual number is {count}.");
            return Err(wrong(message));
        };
        let time = match time.data_type() {
            DataType::Timestamp | DataType::TimestampNtz => time,
            _ => coerce::implicit_cast(time, &DataType::Timestamp)?,
        };
        let lengths = args.map(|e| micros(&e)).collect::<Result<Vec<i64>>>()?;
        let duration = lengths[0];
        let (slide, start) = (lengths.get(1).copied().unwrap_or(duration), lengths.get(2).copied().unwrap_or(0));
        for (name, length) in [("window_duration", duration), ("slide_duration", slide)] {
            if length <= 0 {
                return Err(wrong(format!("The `{name}` of a window must be greater than 0 microseconds, not {length}.")));
            }
        }
        if slide > duration {
            return Err(wrong(format!("The `slide_duration` ({slide}) must be <= the `window_duration` ({duration}), in microseconds.")));
        }
        if start.unsigned_abs() >= slide.unsigned_abs() {
            return Err(wrong(format!("The `abs(start_time)` ({start}) must be < the `slide_duration` ({slide}), in microseconds.")));
        }
        let bounds = struct_of(time.clone(), time.clone());
        Ok(Self { column: Attribute::new("window", bounds.data_type(), false), time, duration, slide, start })
    }

    /// Whether the other one has the same windows.
    pub fn is_same(&self, other: &Self) -> bool {
        self.time == other.time && (self.duration, self.slide, self.start) == (other.duration, other.slide, other.start)
    }

    /// The rows with their windows.
    pub fn over(self, input: LogicalPlan) -> LogicalPlan {
        let condition = Expr::IsNotNull(Box::new(self.time.clone()));
        let input = LogicalPlan::Filter { condition, input: Box::new(input) };
        let columns: Vec<Expr> = input.output().into_iter().map(Expr::Attribute).collect();
        let bound = |shift: i64| {
            let length = |n: i64| Expr::Literal(Scalar::Long(n));
            let args = vec![self.time.clone(), length(self.slide), length(self.start), length(shift)];
            Expr::Function { function: ScalarFunction::WindowBound, args }
        };
        let window = |before: i64| struct_of(bound(-before * self.slide), bound(self.duration - before * self.slide));
        let most = (self.duration + self.slide - 1) / self.slide;
        if most == 1 {
            let (name, id) = (self.column.name.clone(), self.column.id);
            let item = Expr::Alias { expr: Box::new(window(0)), name, id };
            return LogicalPlan::Project { list: [columns, vec![item]].concat(), input: Box::new(input) };
        }
        let projections = (0..most).map(|before| [columns.clone(), vec![window(before)]].concat()).collect();
        let output = input.output().into_iter().chain([self.column.clone()]).collect();
        let expanded = LogicalPlan::Expand { projections, output, input: Box::new(input) };
        if self.duration % self.slide == 0 {
            return expanded;
        }
        // The first of the windows can have ended.
        let end = Expr::Function {
            function: ScalarFunction::GetField,
            args: vec![Expr::Attribute(self.column.clone()), Expr::Literal(Scalar::string("end"))],
        };
        let condition = Expr::Comparison { op: ComparisonOp::Less, left: Box::new(self.time), right: Box::new(end) };
        LogicalPlan::Filter { condition, input: Box::new(expanded) }
    }
}

fn struct_of(start: Expr, end: Expr) -> Expr {
    let name = |s: &str| Expr::Literal(Scalar::string(s));
    Expr::Function { function: ScalarFunction::NamedStruct, args: vec![name("start"), start, name("end"), end] }
}

/// Microseconds of a length of time that is a constant: a number of them, or a text such as `1 hour 30 minutes`.
fn micros(e: &Expr) -> Result<i64> {
    match e {
        Expr::Literal(Scalar::Int(n)) => Ok(i64::from(*n)),
        Expr::Literal(Scalar::Long(n)) => Ok(*n),
        Expr::Literal(Scalar::String(text)) => length(text),
        _ => {
            let message = "The duration and time inputs to window must be an integer, long or string literal.";
            Err(Error::new(ErrorClass::WrongArguments, message))
        }
    }
}

fn length(text: &str) -> Result<i64> {
    let invalid = || Error::new(ErrorClass::WrongArguments, format!("Unable to parse '{text}' as an interval."));
    let lower = text.trim().to_ascii_lowercase();
    let words: Vec<&str> = lower.strip_prefix("interval ").unwrap_or(&lower).split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(invalid());
    }
    words.chunks(2).try_fold(0i64, |sum, pair| {
        let unit = match pair[1].trim_end_matches('s') {
            "microsecond" => 1,
            "millisecond" => 1_000,
            "second" => calendar::MICROS_PER_SECOND,
            "minute" => 60 * calendar::MICROS_PER_SECOND,
            "hour" => 3600 * calendar::MICROS_PER_SECOND,
            "day" => calendar::MICROS_PER_DAY,
            "week" => 7 * calendar::MICROS_PER_DAY,
            "month" | "year" => {
                let message = format!("Intervals greater than a month is not supported ({text}).");
                return Err(Error::new(ErrorClass::WrongArguments, message));
            }
            _ => return Err(invalid()),
        };
        let count: i64 = pair[0].parse().map_err(|_| invalid())?;
        count.checked_mul(unit).and_then(|n| sum.checked_add(n)).ok_or_else(invalid)
    })
}

impl Binder<'_> {
    /// The windows that a SELECT groups by or selects.
    pub(super) fn time_window(&mut self, s: &ast::Select, scope: Scope) -> Result<Option<TimeWindow>> {
        let items = s.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => Some(e),
            _ => None,
        });
        let grouped: &[ast::Expr] = match &s.group_by {
            GroupByExpr::Expressions(exprs, _) => exprs,
            GroupByExpr::All(_) => &[],
        };
        let Some(f) = grouped.iter().chain(items).find_map(window_call) else { return Ok(None) };
        let mut pending = Pending::default();
        let call = ExprBinder::new(self, &mut pending, scope, Clause::plain("window")).arguments(f, "window".to_string()).at(f)?;
        if !pending.applies.is_empty() {
            return Err(Error::unsupported("Subqueries in the arguments of `window` are not supported.")).at(f);
        }
        Ok(Some(TimeWindow::of(call.args).at(f)?))
    }
}

/// The call that an expression is, or takes a field of.
fn window_call(e: &ast::Expr) -> Option<&ast::Function> {
    match e {
        ast::Expr::Function(f) if f.over.is_none() && function_name(f).is_ok_and(|n| n == "window") => Some(f),
        ast::Expr::Nested(e) => window_call(e),
        ast::Expr::CompoundFieldAccess { root, .. } => window_call(root),
        _ => None,
    }
}
