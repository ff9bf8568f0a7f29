//! Window calls: their specification and frame, and the Window nodes that compute them.

use sqlparser::ast::{self, NamedWindowExpr, Spanned, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType};

use super::aggregate::same;
use super::expr::ExprBinder;
use super::order::sort_order;
use super::parse::location;
use super::scope::At;
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Result, Scalar};
use crate::expr::window::RankingFunction;
use crate::expr::{Expr, Frame, FrameBound, FrameUnits, SortOrder, WindowExpr, WindowFunction, coerce, evaluate};
use crate::logical::LogicalPlan;

impl ExprBinder<'_, '_, '_> {
    pub(super) fn window_call(&mut self, f: &ast::Function, name: String) -> Result<Expr> {
        if !self.clause.windows {
            return Err(self.reject("A window function", f));
        }
        let Some(over) = &f.over else { return Err(Error::internal("a window call without OVER")) };
        // Arguments may hold aggregates, which are computed first, but no further window calls.
        let clause = self.clause;
        self.clause.windows = false;
        let bound = self.arguments(f, name).and_then(|call| Ok((call, self.specification(over)?)));
        self.clause = clause;
        let (call, (partition_by, order_by, frame)) = bound?;
        let ranking = coerce::ranking(&call.name, call.args.clone(), call.ignore_nulls).at(f)?;
        let (function, ranked) = match ranking {
            Some(r) => (r, true),
            None => {
                let mut args = call.args;
                if call.ignore_nulls {
                    args.push(Expr::Literal(Scalar::Boolean(true)));
                }
                // `sum(sum(x)) OVER …`: the inner call is computed by the grouping, so here it is a column.
                let mut inner: Vec<(Attribute, Expr)> = vec![];
                let args = args.into_iter().map(|e| hide_aggregates(e, &mut inner)).collect();
                let filter = call.filter.map(|e| hide_aggregates(e, &mut inner));
                match coerce::aggregate(&call.name, args, call.distinct, filter).at(f)? {
                    Some(a) => (WindowFunction::Aggregate(a.map_children(&mut |e| Ok(show_aggregates(e, &inner)))?), false),
                    None => {
                        let message = format!("`{}` is neither an aggregate nor a window function.", call.name);
                        return Err(Error::new(ErrorClass::RoutineNotFound, message).at(location(f.span().start)));
                    }
                }
            }
        };
        if ranked && order_by.is_empty() && call.name != "nth_value" {
            let message = format!("The window function `{}` needs an ORDER BY in its window.", call.name);
            return Err(Error::new(ErrorClass::WrongArguments, message)).at(f);
        }
        if matches!(&function, WindowFunction::Aggregate(a) if a.distinct) {
            return Err(Error::unsupported("DISTINCT window functions are not supported.")).at(f);
        }
        let frame = match frame {
            Some(frame) => {
                if let WindowFunction::Ranking { function, .. } = &function {
                    check_ranking_frame(*function, &frame).at(f)?;
                }
                frame
            }
            None => Frame::default_for(ranked && call.name != "nth_value", !order_by.is_empty()),
        };
        Ok(Expr::Window(Box::new(WindowExpr { function, partition_by, order_by, frame })))
    }

    fn specification(&mut self, over: &WindowType) -> Result<(Vec<Expr>, Vec<SortOrder>, Option<Frame>)> {
        match over {
            WindowType::NamedWindow(name) => {
                let spec = self.named_window(name, 0)?;
                self.specify(&spec)
            }
            WindowType::WindowSpec(spec) => {
                let spec = self.inherit(spec, 0)?;
                self.specify(&spec)
            }
        }
    }

    fn named_window(&self, name: &ast::Ident, level: usize) -> Result<WindowSpec> {
        let definition = self.windows.iter().find(|d| d.0.value.eq_ignore_ascii_case(&name.value));
        match definition.map(|d| &d.1) {
            _ if level > self.windows.len() => Err(Error::new(ErrorClass::Parse, format!("The window `{}` refers to itself.", name.value))),
            Some(NamedWindowExpr::NamedWindow(other)) => self.named_window(other, level + 1),
            Some(NamedWindowExpr::WindowSpec(spec)) => self.inherit(spec, level + 1),
            None => Err(Error::new(ErrorClass::Parse, format!("There is no window named `{}`.", name.value))),
        }
        .map_err(|e| e.at(location(name.span.start)))
    }

    /// `(base ORDER BY …)`: what the specification leaves out comes from the window it names.
    fn inherit(&self, spec: &WindowSpec, level: usize) -> Result<WindowSpec> {
        let Some(base) = &spec.window_name else { return Ok(spec.clone()) };
        let mut merged = self.named_window(base, level)?;
        if !spec.partition_by.is_empty() {
            merged.partition_by = spec.partition_by.clone();
        }
        if !spec.order_by.is_empty() {
            merged.order_by = spec.order_by.clone();
        }
        if spec.window_frame.is_some() {
            merged.window_frame = spec.window_frame.clone();
        }
        Ok(merged)
    }

    fn specify(&mut self, spec: &WindowSpec) -> Result<(Vec<Expr>, Vec<SortOrder>, Option<Frame>)> {
        let partition_by = self.bind_all(&spec.partition_by)?;
        let order_by = spec.order_by.iter().map(|o| Ok(sort_order(self.bind(&o.expr)?, &o.options))).collect::<Result<Vec<SortOrder>>>()?;
        let ordered = spec.order_by.iter().zip(&order_by).map(|(written, o)| (&written.expr, &o.expr));
        for (written, e) in spec.partition_by.iter().zip(&partition_by).chain(ordered) {
            coerce::check_orderable("sortorder", &e.data_type()).at(written)?;
        }
        let frame = spec.window_frame.as_ref().map(|f| self.frame(f, &order_by)).transpose()?;
        Ok((partition_by, order_by, frame))
    }

    fn frame(&mut self, frame: &ast::WindowFrame, order_by: &[SortOrder]) -> Result<Frame> {
        let units = match frame.units {
            WindowFrameUnits::Rows => FrameUnits::Rows,
            WindowFrameUnits::Range => FrameUnits::Range,
            WindowFrameUnits::Groups => return Err(Error::unsupported("GROUPS frames are not supported.")),
        };
        let start = self.frame_bound(&frame.start_bound, units, order_by, true)?;
        let end = match &frame.end_bound {
            Some(bound) => self.frame_bound(bound, units, order_by, false)?,
            None => FrameBound::CurrentRow,
        };
        if distance(&start) > distance(&end) {
            return Err(Error::new(
                ErrorClass::TypeMismatch,
                "The lower bound of a window frame must be less than or equal to the upper bound.",
            ));
        }
        let everything = (&start, &end) == (&FrameBound::UnboundedPreceding, &FrameBound::UnboundedFollowing);
        if units == FrameUnits::Range && order_by.is_empty() && !everything {
            return Err(Error::new(ErrorClass::TypeMismatch, "A range window frame cannot be used in an unordered window specification."));
        }
        Ok(Frame { units, start, end })
    }

    fn frame_bound(&mut self, bound: &WindowFrameBound, units: FrameUnits, order_by: &[SortOrder], start: bool) -> Result<FrameBound> {
        let (offset, preceding) = match bound {
            WindowFrameBound::CurrentRow => return Ok(FrameBound::CurrentRow),
            WindowFrameBound::Preceding(None) if start => return Ok(FrameBound::UnboundedPreceding),
            WindowFrameBound::Following(None) if !start => return Ok(FrameBound::UnboundedFollowing),
            WindowFrameBound::Preceding(None) | WindowFrameBound::Following(None) => {
                return Err(Error::new(ErrorClass::InvalidParameter, "A window frame starts or ends at the wrong UNBOUNDED side."));
            }
            WindowFrameBound::Preceding(Some(e)) => (e, true),
            WindowFrameBound::Following(Some(e)) => (e, false),
        };
        let value = self.bind(offset)?;
        if !value.is_foldable() {
            return Err(Error::new(ErrorClass::InvalidParameter, "The bound of a window frame must be a constant.")).at(offset.as_ref());
        }
        let wanted = match (units, order_by) {
            (FrameUnits::Rows, _) => DataType::Int,
            (FrameUnits::Range, [key]) => match key.expr.data_type() {
                // Dates and timestamps move by days or intervals; numbers by their own type.
                DataType::Date if value.data_type().is_integral() => DataType::Int,
                DataType::Date | DataType::Timestamp | DataType::TimestampNtz => value.data_type(),
                number if number.is_numeric() => number,
                other => {
                    let message = format!(
                        "The data type \"{}\" used in the order specification does not support the data type \"{}\" which is used in the range frame.",
                        other.to_string().to_uppercase(),
                        value.data_type().to_string().to_uppercase()
                    );
                    return Err(Error::new(ErrorClass::TypeMismatch, message)).at(offset.as_ref());
                }
            },
            (FrameUnits::Range, []) => {
                let message = "A range window frame cannot be used in an unordered window specification.";
                return Err(Error::new(ErrorClass::TypeMismatch, message)).at(offset.as_ref());
            }
            (FrameUnits::Range, several) => {
                let shown: Vec<String> = several.iter().map(|o| o.expr.to_string()).collect();
                let message = format!(
                    "A range window frame with value boundaries cannot be used in a window specification with multiple order by expressions: {}.",
                    shown.join(", ")
                );
                return Err(Error::new(ErrorClass::TypeMismatch, message)).at(offset.as_ref());
            }
        };
        let value = evaluate::fold(&coerce::implicit_cast(value, &wanted).at(offset.as_ref())?).at(offset.as_ref())?;
        let negative = match &value {
            Scalar::Float(v) => *v < 0.0,
            Scalar::Double(v) => *v < 0.0,
            other => other.as_i128().is_some_and(|v| v < 0),
        };
        if negative || value.is_null() {
            return Err(Error::new(ErrorClass::InvalidParameter, "The bound of a window frame must not be negative or NULL."))
                .at(offset.as_ref());
        }
        Ok(if preceding { FrameBound::Preceding(value) } else { FrameBound::Following(value) })
    }
}

/// Where a bound is from the current row; to compare the bounds of one frame.
fn distance(bound: &FrameBound) -> f64 {
    let value = |s: &Scalar| match s {
        Scalar::Float(v) => f64::from(*v),
        Scalar::Double(v) => *v,
        other => other.as_i128().unwrap_or(0) as f64,
    };
    match bound {
        FrameBound::UnboundedPreceding => f64::NEG_INFINITY,
        FrameBound::Preceding(s) => -value(s),
        FrameBound::CurrentRow => 0.0,
        FrameBound::Following(s) => value(s),
        FrameBound::UnboundedFollowing => f64::INFINITY,
    }
}

/// Ranking functions have a frame of their own, offset functions none that a query could name.
fn check_ranking_frame(function: RankingFunction, frame: &Frame) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorClass::InvalidParameter, message));
    let required = match function {
        RankingFunction::NthValue => return Ok(()),
        RankingFunction::Lead | RankingFunction::Lag => {
            return invalid(format!("Cannot specify window frame for {} function.", function.name()));
        }
        RankingFunction::CumeDist => Frame { units: FrameUnits::Range, ..Frame::expanding() },
        RankingFunction::RowNumber
        | RankingFunction::Rank
        | RankingFunction::DenseRank
        | RankingFunction::PercentRank
        | RankingFunction::Ntile => Frame::expanding(),
    };
    if *frame == required { Ok(()) } else { invalid(format!("Window Frame {frame} must match the required frame {required}.")) }
}

/// Puts columns in the place of aggregate calls.
fn hide_aggregates(e: Expr, hidden: &mut Vec<(Attribute, Expr)>) -> Expr {
    e.replace(&mut |node| match node {
        call @ Expr::Aggregate(_) => {
            let column = Attribute::new("aggregate", call.data_type(), call.nullable());
            hidden.push((column.clone(), call));
            Ok(Expr::Attribute(column))
        }
        other => Err(other),
    })
}

/// Puts the aggregate calls back.
fn show_aggregates(e: Expr, hidden: &[(Attribute, Expr)]) -> Expr {
    e.replace(&mut |node| match &node {
        Expr::Attribute(a) => hidden.iter().find(|(column, _)| column.id == a.id).map(|(_, call)| call.clone()).ok_or(node),
        _ => Err(node),
    })
}

/// Computes the window calls in `exprs` above `input` and puts their columns in their place. Calls that share partitioning and
/// ordering share a Window node.
///
/// # Errors
/// Those of rebuilding expressions.
pub(super) fn extract(mut input: LogicalPlan, exprs: Vec<Expr>) -> Result<(LogicalPlan, Vec<Expr>)> {
    let mut calls: Vec<(Expr, WindowExpr)> = vec![];
    let mut prepared: Vec<Expr> = vec![];
    let mut out = vec![];
    for e in exprs {
        // A select item that is a window call gives its name and identity to the call's column.
        if let Expr::Alias { expr, name, id } = &e
            && let Expr::Window(w) = expr.as_ref()
        {
            let w = prepare(w.as_ref().clone(), &mut prepared);
            let column = Expr::Alias { expr: Box::new(Expr::Window(Box::new(w.clone()))), name: name.clone(), id: *id };
            out.push(Expr::Attribute(column.to_attribute()));
            calls.push((column, w));
            continue;
        }
        out.push(e.replace(&mut |node| match node {
            Expr::Window(w) => {
                let w = prepare(*w, &mut prepared);
                let known = calls.iter().find(|(_, other)| *other == w).map(|(column, _)| column.to_attribute());
                Ok(Expr::Attribute(known.unwrap_or_else(|| {
                    let name = format!("_we{}", calls.len());
                    let column = Expr::Alias { expr: Box::new(Expr::Window(Box::new(w.clone()))), name: name.into(), id: ExprId::next() };
                    let attribute = column.to_attribute();
                    calls.push((column, w));
                    attribute
                })))
            }
            other => Err(other),
        }));
    }
    if !prepared.is_empty() {
        let list = input.output().into_iter().map(Expr::Attribute).chain(prepared).collect();
        input = LogicalPlan::Project { list, input: Box::new(input) };
    }
    let mut groups: Vec<(Vec<Expr>, Vec<SortOrder>, Vec<Expr>)> = vec![];
    for (column, w) in calls {
        match groups.iter_mut().find(|(p, o, _)| *p == w.partition_by && *o == w.order_by) {
            Some((_, _, columns)) => columns.push(column),
            None => groups.push((w.partition_by, w.order_by, vec![column])),
        }
    }
    for (partition_by, order_by, calls) in groups {
        input = LogicalPlan::Window { calls, partition_by, order_by, input: Box::new(input) };
    }
    Ok((input, out))
}

/// Takes computed keys and arguments out of the window calls in an expression.
pub(super) fn prepare_calls(e: Expr, prepared: &mut Vec<Expr>) -> Expr {
    e.replace(&mut |node| match node {
        Expr::Window(w) => Ok(Expr::Window(Box::new(prepare(*w, prepared)))),
        other => Err(other),
    })
}

/// Takes computed keys and arguments out of a call, so that Window nodes work on columns.
fn prepare(w: WindowExpr, prepared: &mut Vec<Expr>) -> WindowExpr {
    let mut column = |e: Expr| -> Expr {
        if matches!(e, Expr::Attribute(_)) || e.is_foldable() {
            return e;
        }
        if let Some(known) = prepared.iter().find(|p| same(p.unaliased(), &e)) {
            return Expr::Attribute(known.to_attribute());
        }
        let alias = Expr::Alias { expr: Box::new(e), name: format!("_w{}", prepared.len()).into(), id: ExprId::next() };
        let attribute = alias.to_attribute();
        prepared.push(alias);
        Expr::Attribute(attribute)
    };
    // To Spark the keys of ranks are arguments, which come first.
    if let WindowFunction::Ranking { function: RankingFunction::Rank | RankingFunction::DenseRank | RankingFunction::PercentRank, .. } =
        w.function
    {
        for key in &w.order_by {
            column(key.expr.clone());
        }
    }
    let function = match w.function {
        WindowFunction::Aggregate(mut a) => {
            a.args = a.args.into_iter().map(&mut column).collect();
            a.filter = a.filter.map(|f| Box::new(column(*f)));
            WindowFunction::Aggregate(a)
        }
        WindowFunction::Ranking { function, args, ignore_nulls } => {
            WindowFunction::Ranking { function, args: args.into_iter().map(&mut column).collect(), ignore_nulls }
        }
    };
    let partition_by = w.partition_by.into_iter().map(&mut column).collect();
    let order_by = w.order_by.into_iter().map(|o| SortOrder { expr: column(o.expr), ..o }).collect();
    WindowExpr { function, partition_by, order_by, frame: w.frame }
}
