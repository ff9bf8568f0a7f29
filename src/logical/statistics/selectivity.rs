//! Which part of the rows satisfies a condition, and what that says of the columns.

use std::cmp::Ordering;

use super::{ColumnStatistics, Statistics, expression};
use crate::base::Scalar;
use crate::expr::{ComparisonOp, Expr, ScalarFunction};

/// Where nothing is known of an equality's column.
const EQUALITY: f64 = 0.1;
/// Where nothing is known of a comparison or any other condition.
const COMPARISON: f64 = 1.0 / 3.0;
const PREFIX: f64 = 0.1;
const CONTAINS: f64 = 0.1;

/// The expected part of the rows, 0 to 1, for which the condition is true.
pub fn selectivity(condition: &Expr, input: &Statistics) -> f64 {
    let part = match condition {
        Expr::And(l, r) => stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let mut narrowed = input.clone();
            let first = apply(l, &mut narrowed);
            first * selectivity(r, &narrowed)
        }),
        Expr::Or(l, r) => stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
            let (l, r) = (selectivity(l, input), selectivity(r, input));
            l + r - l * r
        }),
        Expr::Not(e) => stacker::maybe_grow(64 * 1024, 1024 * 1024, || 1.0 - selectivity(e, input)),
        Expr::Literal(Scalar::Boolean(value)) => f64::from(u8::from(*value)),
        Expr::Literal(s) if s.is_null() => 0.0,
        Expr::IsNull(e) => expression(e, input).map_or(EQUALITY, |c| c.null_fraction),
        Expr::IsNotNull(e) => expression(e, input).map_or(1.0, |c| 1.0 - c.null_fraction),
        Expr::Comparison { op, left, right } => compared(*op, left, right, input),
        Expr::In { value, list } => {
            let mut distinct: Vec<&Expr> = vec![];
            for item in list.iter().take(64) {
                if !distinct.contains(&item) {
                    distinct.push(item);
                }
            }
            let each: f64 = distinct.iter().map(|item| compared(ComparisonOp::Equal, value, item, input)).sum();
            each * (list.len() as f64 / list.len().clamp(1, 64) as f64)
        }
        Expr::Like { pattern, .. } => match pattern.as_ref() {
            Expr::Literal(Scalar::String(p)) if !p.contains(['%', '_']) => EQUALITY,
            Expr::Literal(Scalar::String(p)) if !p.starts_with('%') => PREFIX,
            _ => CONTAINS,
        },
        Expr::Function { function: ScalarFunction::StartsWith, .. } => PREFIX,
        Expr::Function { function: ScalarFunction::EndsWith | ScalarFunction::Contains, .. } => CONTAINS,
        Expr::Attribute(_) => 0.5,
        // The join that it comes from counts.
        Expr::DynamicPruning { .. } => 1.0,
        _ => COMPARISON,
    };
    part.clamp(0.0, 1.0)
}

/// [`selectivity`], narrowing the columns' statistics to the rows that pass.
pub fn apply(condition: &Expr, input: &mut Statistics) -> f64 {
    let mut part = 1.0;
    let mut stack = vec![condition];
    while let Some(e) = stack.pop() {
        if let Expr::And(l, r) = e {
            stack.push(r);
            stack.push(l);
            continue;
        }
        let passing = selectivity(e, input);
        part *= passing;
        narrow(e, passing, input);
    }
    part
}

/// A condition over both sides of a join, on top of its keys.
pub fn over_both(condition: &Expr) -> f64 {
    match condition {
        Expr::Comparison { op: ComparisonOp::Equal | ComparisonOp::EqualNullSafe, .. } => EQUALITY,
        Expr::Comparison { op: ComparisonOp::NotEqual, .. } => 0.9,
        Expr::Or(..) => 0.5,
        _ => COMPARISON,
    }
}

fn compared(op: ComparisonOp, left: &Expr, right: &Expr, input: &Statistics) -> f64 {
    use ComparisonOp::*;
    let (l, r) = (expression(left, input), expression(right, input));
    match (left, right) {
        (_, Expr::Literal(value)) => against_literal(op, l.as_ref(), value),
        (Expr::Literal(value), _) => against_literal(op.swapped(), r.as_ref(), value),
        _ => {
            let distinct = |c: Option<ColumnStatistics>| c.and_then(|c| c.distinct_count);
            let values = distinct(l).into_iter().chain(distinct(r)).fold(None, |m: Option<f64>, d| Some(m.map_or(d, |m| m.max(d))));
            let equal = values.map_or(EQUALITY, |d| 1.0 / d.max(1.0));
            match op {
                Equal | EqualNullSafe => equal,
                NotEqual => 1.0 - equal,
                Less | LessOrEqual | Greater | GreaterOrEqual => COMPARISON,
            }
        }
    }
}

fn against_literal(op: ComparisonOp, column: Option<&ColumnStatistics>, value: &Scalar) -> f64 {
    use ComparisonOp::*;
    let present = column.map_or(1.0, |c| 1.0 - c.null_fraction);
    if value.is_null() {
        return if op == EqualNullSafe { 1.0 - present } else { 0.0 };
    }
    let below_min = column.and_then(|c| compare(value, c.min.as_ref()?)) == Some(Ordering::Less);
    let above_max = column.and_then(|c| compare(value, c.max.as_ref()?)) == Some(Ordering::Greater);
    let equal = match column {
        _ if below_min || above_max => 0.0,
        Some(ColumnStatistics { distinct_count: Some(d), .. }) => 1.0 / d.max(1.0),
        _ => EQUALITY,
    };
    let less = || -> Option<f64> {
        if below_min {
            return Some(0.0);
        }
        if above_max {
            return Some(1.0);
        }
        let c = column?;
        let (min, max, v) = (position(c.min.as_ref()?)?, position(c.max.as_ref()?)?, position(value)?);
        (max > min).then(|| ((v - min) / (max - min)).clamp(0.0, 1.0))
    };
    present
        * match op {
            Equal | EqualNullSafe => equal,
            NotEqual => 1.0 - equal,
            Less => less().unwrap_or(COMPARISON),
            LessOrEqual => less().map_or(COMPARISON, |p| (p + equal).min(1.0)),
            Greater => less().map_or(COMPARISON, |p| (1.0 - p - equal).max(0.0)),
            GreaterOrEqual => less().map_or(COMPARISON, |p| 1.0 - p),
        }
}

/// Draws the consequences of a true condition, which this part of the rows satisfies, for the columns it compares with literals.
fn narrow(condition: &Expr, passing: f64, input: &mut Statistics) {
    use ComparisonOp::*;
    match condition {
        Expr::IsNotNull(e) => {
            if let Expr::Attribute(a) = e.as_ref()
                && let Some(c) = input.columns.get_mut(&a.id)
            {
                c.null_fraction = 0.0;
            }
        }
        Expr::Comparison { op, left, right } => {
            let (a, op, value) = match (left.as_ref(), right.as_ref()) {
                (Expr::Attribute(a), Expr::Literal(v)) => (a, *op, v),
                (Expr::Literal(v), Expr::Attribute(a)) => (a, op.swapped(), v),
                _ => return,
            };
            let Some(c) = input.columns.get_mut(&a.id) else { return };
            if value.is_null() {
                return;
            }
            c.null_fraction = 0.0;
            // NaN is greater than all numbers, so bounds of floats would not hold for it; they are kept as they were.
            if value.data_type().is_fractional() {
                return;
            }
            if !matches!(op, Equal | EqualNullSafe | NotEqual) {
                c.distinct_count = c.distinct_count.map(|d| (d * passing).max(1.0));
            }
            let bound = ColumnStatistics { min: Some(value.clone()), max: Some(value.clone()), ..ColumnStatistics::default() };
            match op {
                Equal | EqualNullSafe => {
                    intersect(c, &bound);
                    c.distinct_count = Some(1.0);
                }
                Less | LessOrEqual => intersect(c, &ColumnStatistics { min: None, ..bound }),
                Greater | GreaterOrEqual => intersect(c, &ColumnStatistics { max: None, ..bound }),
                NotEqual => {}
            }
        }
        Expr::In { value, list } => {
            if let Expr::Attribute(a) = value.as_ref()
                && let Some(c) = input.columns.get_mut(&a.id)
            {
                c.null_fraction = 0.0;
                c.distinct_count = Some(c.distinct_count.unwrap_or(f64::MAX).min(list.len() as f64));
            }
        }
        _ => {}
    }
}

/// Narrows the bounds of `column` to those of `other`, where they are known and comparable.
pub fn intersect(column: &mut ColumnStatistics, other: &ColumnStatistics) {
    if let Some(min) = &other.min
        && column.min.as_ref().is_none_or(|m| compare(min, m) == Some(Ordering::Greater))
    {
        column.min = Some(min.clone());
    }
    if let Some(max) = &other.max
        && column.max.as_ref().is_none_or(|m| compare(max, m) == Some(Ordering::Less))
    {
        column.max = Some(max.clone());
    }
}

/// Order of two values of one type that are not NULL; `None` for types without a simple order here.
pub fn compare(a: &Scalar, b: &Scalar) -> Option<Ordering> {
    if a.data_type() != b.data_type() {
        return None;
    }
    match (a, b) {
        (Scalar::String(a), Scalar::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Scalar::Float(a), Scalar::Float(b)) => a.partial_cmp(b),
        (Scalar::Double(a), Scalar::Double(b)) => a.partial_cmp(b),
        _ => Some(a.as_i128()?.cmp(&b.as_i128()?)),
    }
}

/// The value on a scale on which differences mean something; strings by their first bytes.
pub fn position(s: &Scalar) -> Option<f64> {
    match s {
        Scalar::Float(v) => Some(f64::from(*v)),
        Scalar::Double(v) => Some(*v),
        Scalar::String(v) => Some((0..6).fold(0.0, |p, i| p * 256.0 + v.as_bytes().get(i).map_or(0.0, |b| f64::from(*b)))),
        Scalar::Decimal { value, scale, .. } => Some(*value as f64 / 10f64.powi(i32::from(*scale))),
        other => other.as_i128().map(|v| v as f64),
    }
}
