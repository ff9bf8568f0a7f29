//! Estimates of how many rows and bytes a plan yields.
//!
//! Rows are estimated from table statistics with the usual assumptions: uniform values, independent conditions, contained keys.
//! Where a table's row count is unknown, its size is propagated instead. Plans under `sql.cbo.enabled=false` go by [`size_in_bytes`].

mod cardinality;
mod distinct_keys;
mod selectivity;
mod size_in_bytes;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

pub use cardinality::{EquiJoin, KeyColumn, key_column};
pub use distinct_keys::{is_unique, meets_once};
pub use selectivity::{over_both as selectivity_over_both, selectivity};
pub use size_in_bytes::size_in_bytes;

use super::{InMemoryRelation, Join, JoinType, LogicalPlan};
use crate::base::{Attribute, DataType, ExprId, Scalar};
use crate::datasource::TableStatistics;
use crate::expr::{ArithmeticOp, ComparisonOp, Expr};

/// What is expected of a plan's output.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statistics {
    /// Never more than `u64::MAX`; rows times (8 + default sizes of the columns) where rows are known.
    pub size_bytes: u64,
    pub row_count: Option<f64>,
    pub columns: HashMap<ExprId, ColumnStatistics>,
}

/// What is expected of a column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnStatistics {
    /// Hard lower bound: no value of the output is less (NULLs aside).
    pub min: Option<Scalar>,
    /// Hard upper bound.
    pub max: Option<Scalar>,
    /// Expected part of the rows in which the column is NULL, 0 to 1.
    pub null_fraction: f64,
    /// Distinct values in the domain that the column is drawn from: filters on other columns leave it as it is, so it may exceed
    /// the rows.
    pub distinct_count: Option<f64>,
    /// The table whose rows these once were.
    pub table: Option<TableRows>,
}

/// A table in a plan, by the id of one of its columns, and its rows before any filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableRows {
    pub id: ExprId,
    pub rows: f64,
}

impl Statistics {
    /// The row count, or one made up from the size.
    pub fn rows(&self) -> f64 {
        self.row_count.unwrap_or_else(|| (self.size_bytes as f64 / 64.0).max(1.0))
    }

    fn with_rows(rows: f64, output: &[Attribute], columns: HashMap<ExprId, ColumnStatistics>) -> Self {
        Self { size_bytes: saturate(rows * row_size(output)), row_count: Some(rows), columns }
    }
}

/// Spark's estimate of a row's size in bytes: 8 and the default sizes of the columns.
pub fn row_size(output: &[Attribute]) -> f64 {
    8.0 + output.iter().map(|a| a.data_type.default_size() as f64).sum::<f64>()
}

fn saturate(bytes: f64) -> u64 {
    // The cast saturates; at least one byte, as products of sizes must not vanish.
    bytes.max(1.0) as u64
}

/// Estimates the output of `plan`.
pub fn estimate(plan: &LogicalPlan) -> Statistics {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || estimate_node(plan))
}

fn estimate_node(plan: &LogicalPlan) -> Statistics {
    match plan {
        LogicalPlan::Relation { source, output, .. } => {
            let names: HashMap<&str, usize> = source.schema().fields.iter().enumerate().map(|(i, f)| (f.name.as_ref(), i)).collect();
            let position = |a: &Attribute| names.get(a.name.as_ref()).copied();
            table(source.statistics(), output, position, row_size_of_fields(source.schema()))
        }
        LogicalPlan::InMemoryRelation(r) => cached(r),
        LogicalPlan::LocalRelation { output, rows } => local(output, rows),
        LogicalPlan::OneRowRelation => Statistics::with_rows(1.0, &[], HashMap::new()),
        LogicalPlan::Range { start, end, step, output, .. } => range(*start, *end, *step, output),
        LogicalPlan::Project { list, input } => {
            let below = estimate(input);
            let columns = list.iter().filter_map(|e| Some((e.to_attribute().id, expression(e.unaliased(), &below)?))).collect();
            resized(below, &input.output(), &plan.output(), columns)
        }
        LogicalPlan::Filter { condition, input } => {
            let mut below = estimate(input);
            let part = selectivity::apply(condition, &mut below);
            match below.row_count {
                Some(rows) => Statistics::with_rows(rows * part, &input.output(), below.columns),
                None => below,
            }
        }
        LogicalPlan::Join(j) => join(j, &plan.output()),
        LogicalPlan::Apply(a) => {
            let below = estimate(&a.input);
            let columns = below.columns.clone();
            resized(below, &a.input.output(), &plan.output(), columns)
        }
        LogicalPlan::Aggregate { grouping, list, input } => aggregate(grouping, list, input),
        LogicalPlan::Window { input, .. } => {
            let below = estimate(input);
            let columns = below.columns.clone();
            resized(below, &input.output(), &plan.output(), columns)
        }
        LogicalPlan::Limit { limit, offset, input } => {
            let below = estimate(input);
            let available = below.row_count.map(|rows| (rows - *offset as f64).max(0.0));
            let rows = match (limit, available) {
                (Some(n), Some(rows)) => Some(rows.min(*n as f64)),
                (Some(n), None) => Some(*n as f64),
                (None, rows) => rows,
            };
            match rows {
                Some(rows) => Statistics::with_rows(rows, &input.output(), below.columns),
                None => below,
            }
        }
        LogicalPlan::Union { inputs, output } => union(inputs, output),
        LogicalPlan::Distinct { input } => {
            let below = estimate(input);
            let output = input.output();
            distinct_rows(&output.iter().cloned().map(Expr::Attribute).collect::<Vec<_>>(), below, &output)
        }
        LogicalPlan::SetOperation { left, .. } => estimate(left),
        LogicalPlan::Expand { projections, output, input } => {
            let below = estimate(input);
            let times = projections.len() as f64;
            match below.row_count {
                Some(rows) => Statistics::with_rows(rows * times, output, HashMap::new()),
                None => {
                    let ratio = times * row_size(output) / row_size(&input.output());
                    Statistics { size_bytes: saturate(below.size_bytes as f64 * ratio), ..Statistics::default() }
                }
            }
        }
        LogicalPlan::Generate { input, .. } => {
            let below = estimate(input);
            let columns = below.columns.clone();
            // Arrays of unknown length; ten elements is as good a guess as any.
            let more = Statistics { row_count: below.row_count.map(|r| r * 10.0), ..below };
            resized(more, &input.output(), &plan.output(), columns)
        }
        LogicalPlan::Sample { lower, upper, input, .. } => {
            let below = estimate(input);
            let part = (upper - lower).max(0.0);
            Statistics {
                size_bytes: saturate(below.size_bytes as f64 * part),
                row_count: below.row_count.map(|r| r * part),
                columns: below.columns,
            }
        }
        LogicalPlan::WindowGroupLimit { input, .. }
        | LogicalPlan::Hint { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Repartition { input, .. }
        | LogicalPlan::Coalesce { input, .. } => estimate(input),
    }
}

/// The same rows with other columns.
fn resized(below: Statistics, input: &[Attribute], output: &[Attribute], columns: HashMap<ExprId, ColumnStatistics>) -> Statistics {
    match below.row_count {
        Some(rows) => Statistics::with_rows(rows, output, columns),
        None => {
            let ratio = row_size(output) / row_size(input);
            Statistics { size_bytes: saturate(below.size_bytes as f64 * ratio), row_count: None, columns }
        }
    }
}

fn row_size_of_fields(schema: &crate::base::Schema) -> f64 {
    8.0 + schema.fields.iter().map(|f| f.data_type.default_size() as f64).sum::<f64>()
}

fn table(known: &TableStatistics, output: &[Attribute], position: impl Fn(&Attribute) -> Option<usize>, full_row_size: f64) -> Statistics {
    let Some(rows) = known.row_count.map(|n| n as f64) else {
        let size = known.size_bytes as f64 * row_size(output) / full_row_size;
        return Statistics { size_bytes: saturate(size), ..Statistics::default() };
    };
    let origin = output.first().map(|a| TableRows { id: a.id, rows });
    let columns = output
        .iter()
        .filter_map(|a| {
            let c = known.columns.get(position(a)?)?;
            let nulls = c.null_count.map_or(0.0, |n| n as f64);
            let mut column = ColumnStatistics {
                min: c.min.clone(),
                max: c.max.clone(),
                null_fraction: if rows > 0.0 { (nulls / rows).clamp(0.0, 1.0) } else { 0.0 },
                distinct_count: c.distinct_count.map(|n| n as f64),
                table: origin,
            };
            column.distinct_count = column.distinct_count.or_else(|| distinct_from_bounds(&column, &a.data_type, rows - nulls));
            Some((a.id, column))
        })
        .collect();
    Statistics::with_rows(rows, output, columns)
}

/// Exact once the rows are there; their size is that held in memory.
fn cached(relation: &InMemoryRelation) -> Statistics {
    let InMemoryRelation { output, rows } = relation;
    let position = |a: &Attribute| output.iter().position(|o| o.id == a.id);
    match rows.computed() {
        Some(known) => Statistics { size_bytes: known.size_bytes.max(1), ..table(known, output, position, row_size(output)) },
        None => {
            let expected = rows.expected();
            let column = |(own, theirs): (&Attribute, &Attribute)| Some((own.id, expected.columns.get(&theirs.id)?.clone()));
            Statistics { columns: output.iter().zip(&rows.output()).filter_map(column).collect(), ..expected.clone() }
        }
    }
}

/// Integers between the bounds, or the rows if fewer: exact for dense keys, which is where it matters.
fn distinct_from_bounds(column: &ColumnStatistics, data_type: &DataType, rows: f64) -> Option<f64> {
    if *data_type == DataType::Boolean {
        return Some(rows.min(2.0));
    }
    let (min, max) = (column.min.as_ref()?, column.max.as_ref()?);
    if min == max {
        return Some(1.0);
    }
    let span = max.as_i128()?.checked_sub(min.as_i128()?)?;
    Some(rows.min(span as f64 + 1.0))
}

fn local(output: &[Attribute], rows: &[Vec<Scalar>]) -> Statistics {
    let columns = output
        .iter()
        .enumerate()
        .map(|(i, a)| {
            let values = || rows.iter().filter_map(|r| r.get(i)).filter(|v| !v.is_null());
            let distinct: HashSet<&Scalar> = values().collect();
            let pick = |wanted| {
                let mut best: Option<&Scalar> = None;
                for v in values() {
                    best = match best {
                        None => Some(v),
                        Some(b) if selectivity::compare(v, b)? == wanted => Some(v),
                        keep => keep,
                    };
                }
                best.cloned()
            };
            let nulls = rows.len() - values().count();
            let column = ColumnStatistics {
                min: pick(std::cmp::Ordering::Less),
                max: pick(std::cmp::Ordering::Greater),
                null_fraction: nulls as f64 / (rows.len().max(1)) as f64,
                distinct_count: Some(distinct.len() as f64),
                table: output.first().map(|a| TableRows { id: a.id, rows: rows.len() as f64 }),
            };
            (a.id, column)
        })
        .collect();
    Statistics::with_rows(rows.len() as f64, output, columns)
}

fn range(start: i64, end: i64, step: i64, output: &Attribute) -> Statistics {
    let (start_wide, end_wide, step_wide) = (i128::from(start), i128::from(end), i128::from(step));
    let rows = match step_wide {
        s if s > 0 && end_wide > start_wide => (end_wide - start_wide + s - 1) / s,
        s if s < 0 && end_wide < start_wide => (start_wide - end_wide - s - 1) / -s,
        _ => 0,
    };
    let mut columns = HashMap::new();
    if rows > 0 {
        let last = start_wide + (rows - 1) * step_wide;
        let bound = |v: i128| i64::try_from(v).ok().map(Scalar::Long);
        let column = ColumnStatistics {
            min: bound(start_wide.min(last)),
            max: bound(start_wide.max(last)),
            distinct_count: Some(rows as f64),
            table: Some(TableRows { id: output.id, rows: rows as f64 }),
            ..ColumnStatistics::default()
        };
        columns.insert(output.id, column);
    }
    Statistics::with_rows(rows as f64, std::slice::from_ref(output), columns)
}

fn union(inputs: &[LogicalPlan], output: &[Attribute]) -> Statistics {
    let parts: Vec<(Statistics, Vec<Attribute>)> = inputs.iter().map(|p| (estimate(p), p.output())).collect();
    let size_bytes = parts.iter().fold(0u64, |sum, (s, _)| sum.saturating_add(s.size_bytes));
    let row_count = parts.iter().map(|(s, _)| s.row_count).sum::<Option<f64>>();
    let mut columns = HashMap::new();
    for (i, a) in output.iter().enumerate() {
        let of_inputs: Option<Vec<&ColumnStatistics>> = parts.iter().map(|(s, o)| s.columns.get(&o.get(i)?.id)).collect();
        let Some(all) = of_inputs else { continue };
        let extreme = |bound: fn(&ColumnStatistics) -> &Option<Scalar>, wanted| -> Option<Scalar> {
            let mut bounds = all.iter().map(|c| bound(c).clone());
            let first = bounds.next()??;
            bounds.try_fold(first, |best, b| {
                let b = b?;
                Some(if selectivity::compare(&b, &best)? == wanted { b } else { best })
            })
        };
        let column = ColumnStatistics {
            min: extreme(|c| &c.min, std::cmp::Ordering::Less),
            max: extreme(|c| &c.max, std::cmp::Ordering::Greater),
            null_fraction: all.iter().map(|c| c.null_fraction).fold(0.0, f64::max),
            distinct_count: all.iter().map(|c| c.distinct_count).sum(),
            table: None,
        };
        columns.insert(a.id, column);
    }
    Statistics { size_bytes: size_bytes.max(1), row_count, columns }
}

fn aggregate(grouping: &[Expr], list: &[Expr], input: &LogicalPlan) -> Statistics {
    let below = estimate(input);
    let output: Vec<Attribute> = list.iter().map(Expr::to_attribute).collect();
    if grouping.is_empty() {
        return Statistics::with_rows(1.0, &output, HashMap::new());
    }
    let mut columns = HashMap::new();
    for e in list {
        if let Some(c) = expression(e.unaliased(), &below) {
            columns.insert(e.to_attribute().id, c);
        }
    }
    let input_output = input.output();
    let groups = distinct_rows(grouping, below, &input_output);
    let Some(rows) = groups.row_count else {
        let ratio = row_size(&output) / row_size(&input_output);
        return Statistics { size_bytes: saturate(groups.size_bytes as f64 * ratio), row_count: None, columns };
    };
    // The groups are a table of their own: a lone key is unique in it.
    let table = output.first().map(|a| TableRows { id: a.id, rows });
    for e in list {
        if let Some(c) = columns.get_mut(&e.to_attribute().id) {
            let is_only_key = grouping.len() == 1 && grouping.contains(e.unaliased());
            c.distinct_count = if is_only_key { Some(rows) } else { c.distinct_count.map(|n| n.min(rows)) };
            c.table = table;
        }
    }
    Statistics::with_rows(rows, &output, columns)
}

/// Distinct combinations of the keys: at most the rows, at most the product of the keys' distinct values.
fn distinct_rows(keys: &[Expr], below: Statistics, output: &[Attribute]) -> Statistics {
    let Some(rows) = below.row_count else { return below };
    let mut combinations = 1.0;
    for key in keys {
        let known = expression(key, &below).and_then(|c| Some(c.distinct_count? + if c.null_fraction > 0.0 { 1.0 } else { 0.0 }));
        // A tenth of the rows where nothing is known of a key.
        combinations *= known.unwrap_or((rows / 10.0).max(1.0)).max(1.0);
    }
    Statistics::with_rows(rows.min(combinations), output, below.columns)
}

fn join(j: &Join, output: &[Attribute]) -> Statistics {
    let (left, right) = (estimate(&j.left), estimate(&j.right));
    let columns = cardinality::join_columns(j, &left, &right);
    match cardinality::join_rows(j, &left, &right) {
        Some(rows) => Statistics::with_rows(rows, output, columns),
        None => {
            let size_bytes = match j.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::NullAwareAnti | JoinType::Existence(_) | JoinType::LeftSingle => {
                    left.size_bytes
                }
                JoinType::Inner | JoinType::Cross | JoinType::LeftOuter | JoinType::RightOuter | JoinType::FullOuter => {
                    left.size_bytes.saturating_mul(right.size_bytes)
                }
            };
            Statistics { size_bytes, row_count: None, columns }
        }
    }
}

/// What is known of an expression over a plan's output. Bounds follow integer and decimal arithmetic exactly.
pub fn expression(e: &Expr, input: &Statistics) -> Option<ColumnStatistics> {
    match e {
        Expr::Attribute(a) => input.columns.get(&a.id).cloned(),
        Expr::Alias { expr, .. } => expression(expr, input),
        Expr::Literal(s) if s.is_null() => Some(ColumnStatistics { null_fraction: 1.0, distinct_count: Some(0.0), ..Default::default() }),
        Expr::Literal(s) => {
            Some(ColumnStatistics { min: Some(s.clone()), max: Some(s.clone()), distinct_count: Some(1.0), ..Default::default() })
        }
        Expr::Cast { expr, to, .. } => {
            let from = expr.data_type();
            let column = expression(expr, input)?;
            let widens = from.is_integral() && to.is_integral() && from.default_size() <= to.default_size();
            let bound = |s: &Option<Scalar>| s.as_ref().filter(|_| widens).and_then(|s| of_type(s.as_i128()?, to));
            Some(ColumnStatistics { min: bound(&column.min), max: bound(&column.max), ..column })
        }
        Expr::Arithmetic { op, left, right, .. } => {
            let (l, r) = (expression(left, input)?, expression(right, input)?);
            let (min, max) = arithmetic_bounds(*op, &l, &r, &e.data_type()).unzip();
            Some(ColumnStatistics {
                min,
                max,
                null_fraction: l.null_fraction.max(r.null_fraction),
                distinct_count: l.distinct_count.zip(r.distinct_count).map(|(a, b)| a.max(b)),
                table: None,
            })
        }
        _ => None,
    }
}

/// Interval arithmetic on unscaled values; `None` where the result could leave 128 bits or the type.
fn arithmetic_bounds(op: ArithmeticOp, l: &ColumnStatistics, r: &ColumnStatistics, to: &DataType) -> Option<(Scalar, Scalar)> {
    let scale_of = |s: &Scalar| match s {
        Scalar::Decimal { scale, .. } => i32::from(*scale),
        _ => 0,
    };
    let bounds = |c: &ColumnStatistics| Some((c.min.as_ref()?.as_i128()?, c.max.as_ref()?.as_i128()?, scale_of(c.min.as_ref()?)));
    let ((l_min, l_max, l_scale), (r_min, r_max, r_scale)) = (bounds(l)?, bounds(r)?);
    let result_scale = match to {
        DataType::Decimal { scale, .. } => i32::from(*scale),
        t if t.is_integral() => 0,
        _ => return None,
    };
    let rescale = |v: i128, from: i32| -> Option<i128> {
        let up = u32::try_from(result_scale - from).ok()?;
        v.checked_mul(10i128.checked_pow(up)?)
    };
    let (min, max) = match op {
        ArithmeticOp::Add => (
            rescale(l_min, l_scale)?.checked_add(rescale(r_min, r_scale)?)?,
            rescale(l_max, l_scale)?.checked_add(rescale(r_max, r_scale)?)?,
        ),
        ArithmeticOp::Subtract => (
            rescale(l_min, l_scale)?.checked_sub(rescale(r_max, r_scale)?)?,
            rescale(l_max, l_scale)?.checked_sub(rescale(r_min, r_scale)?)?,
        ),
        ArithmeticOp::Multiply => {
            if result_scale != l_scale + r_scale {
                return None;
            }
            let corners = [l_min.checked_mul(r_min)?, l_min.checked_mul(r_max)?, l_max.checked_mul(r_min)?, l_max.checked_mul(r_max)?];
            (*corners.iter().min()?, *corners.iter().max()?)
        }
        ArithmeticOp::Divide | ArithmeticOp::IntegralDivide | ArithmeticOp::Remainder => return None,
    };
    Some((of_type(min, to)?, of_type(max, to)?))
}

/// The integer or unscaled decimal as a value of the type, if it fits.
fn of_type(v: i128, to: &DataType) -> Option<Scalar> {
    Some(match to {
        DataType::Byte => Scalar::Byte(v.try_into().ok()?),
        DataType::Short => Scalar::Short(v.try_into().ok()?),
        DataType::Int => Scalar::Int(v.try_into().ok()?),
        DataType::Long => Scalar::Long(v.try_into().ok()?),
        DataType::Decimal { precision, scale } => {
            let limit = 10i128.checked_pow(u32::from(*precision))?;
            (v.abs() < limit).then_some(Scalar::Decimal { value: v, precision: *precision, scale: *scale })?
        }
        _ => return None,
    })
}

/// Equalities between an expression over the left and one over the right, and the other conjuncts.
pub fn equi_keys<'a>(condition: &'a Expr, left: &HashSet<ExprId>, right: &HashSet<ExprId>) -> (Vec<(&'a Expr, &'a Expr)>, Vec<&'a Expr>) {
    let over = |e: &Expr, ids: &HashSet<ExprId>| {
        let used = e.references();
        !used.is_empty() && used.iter().all(|id| ids.contains(id))
    };
    let (mut keys, mut rest) = (vec![], vec![]);
    let mut stack = vec![condition];
    while let Some(e) = stack.pop() {
        match e {
            Expr::And(l, r) => {
                stack.push(r);
                stack.push(l);
            }
            Expr::Comparison { op: ComparisonOp::Equal | ComparisonOp::EqualNullSafe, left: l, right: r } => {
                if over(l, left) && over(r, right) {
                    keys.push((l.as_ref(), r.as_ref()));
                } else if over(r, left) && over(l, right) {
                    keys.push((r.as_ref(), l.as_ref()));
                } else {
                    rest.push(e);
                }
            }
            other => rest.push(other),
        }
    }
    (keys, rest)
}
