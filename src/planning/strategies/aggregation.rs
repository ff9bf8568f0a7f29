//! Aggregation: one logical aggregate as two phases, or four with DISTINCT.
//!
//! Without DISTINCT: Partial by keys, then Final by keys, clustered by them. With DISTINCT over one set of arguments: (1) Partial of
//! the plain calls by keys and distinct arguments, (2) PartialMerge by the same, clustered by them, so that every combination
//! occurs once, (3) PartialMerge of the plain calls and Partial of the distinct ones by keys, (4) Final by keys. Several sets of
//! DISTINCT arguments were rewritten by the optimizer.
//!
//! Keys and distinct arguments that are not columns are computed in a projection below.

use std::sync::Arc;

use crate::base::{Attribute, DataType, Error, ExprId, Result};
use crate::expr::aggregate::describe;
use crate::expr::{AggregateExpr, AggregateFunction, Expr};
use crate::logical::LogicalPlan;
use crate::operators::{Aggregate, AggregateCall, AggregateKind, AggregateMode, Operator, SparkPlan};
use crate::planning::planner::Planner;

/// # Errors
/// `Unsupported` for DISTINCT combinations that the optimizer has not rewritten.
pub fn plan(planner: &Planner, logical: &LogicalPlan) -> Result<Option<Arc<SparkPlan>>> {
    let LogicalPlan::Aggregate { grouping, list, input } = logical else { return Ok(None) };
    let phases = Phases::new(grouping, list, input)?;
    let input = planner.plan(phases.input.as_ref().unwrap_or(input))?;
    phases.plan(input).map(Some)
}

/// A logical aggregate, ready to be laid out.
struct Phases {
    /// The input with computed columns added, where there are any.
    input: Option<LogicalPlan>,
    keys: Vec<Attribute>,
    plain: Vec<AggregateCall>,
    distinct: Vec<AggregateCall>,
    distinct_columns: Vec<Attribute>,
    /// The output over keys and call results.
    result: Vec<Expr>,
}

impl Phases {
    fn new(grouping: &[Expr], list: &[Expr], input: &LogicalPlan) -> Result<Self> {
        let mut computed = Computed::default();
        let keys: Vec<Attribute> = grouping.iter().map(|g| computed.column(g, "_groupingexpression")).collect();
        let list: Vec<Expr> = list.iter().map(|item| over_keys(item.clone(), grouping, &keys)).collect();

        let mut calls: Vec<AggregateExpr> = vec![];
        let mut result = vec![];
        for item in list {
            result.push(item.replace(&mut |e| match e {
                Expr::Aggregate(call) => {
                    let call = without_needless_distinct(*call);
                    let known = calls.iter().find(|c| same_call(c, &call)).cloned();
                    let call = known.unwrap_or_else(|| {
                        calls.push(call.clone());
                        call
                    });
                    Ok(Expr::Attribute(result_attribute(&call)))
                }
                other => Err(other),
            }));
        }

        let (mut distinct, plain): (Vec<_>, Vec<_>) = calls.into_iter().partition(|c| c.distinct);
        let mut distinct_columns: Vec<Attribute> = vec![];
        for call in &mut distinct {
            let arguments = call.distinct_arguments();
            call.filter = None;
            // Constants alone are told apart too: where there are no rows, there is no such value.
            let constant = arguments.iter().all(Expr::is_foldable);
            let column = |a: Expr| if a.is_foldable() && !constant { a } else { Expr::Attribute(computed.column(&a, "_distinct")) };
            call.args = arguments.into_iter().map(column).collect();
            for column in call.args.iter().filter_map(as_attribute) {
                if !distinct_columns.contains(column) {
                    distinct_columns.push(column.clone());
                }
            }
        }
        if distinct.iter().any(|c| !distinct_columns.iter().all(|d| c.args.iter().any(|a| as_attribute(a) == Some(d)))) {
            return Err(Error::unsupported("several DISTINCT argument lists in one aggregate"));
        }

        let used: Vec<ExprId> = keys
            .iter()
            .chain(&distinct_columns)
            .map(|a| a.id)
            .chain(plain.iter().flat_map(|c| c.children()).flat_map(Expr::references))
            .collect();
        let input = computed.over(input, &used);
        let calls = |calls: Vec<AggregateExpr>| calls.into_iter().map(physical_call).collect::<Result<Vec<_>>>();
        Ok(Self { input, keys, plain: calls(plain)?, distinct: calls(distinct)?, distinct_columns, result })
    }

    fn plan(self, input: Arc<SparkPlan>) -> Result<Arc<SparkPlan>> {
        use AggregateMode::*;
        let keys = attributes(&self.keys);
        if self.distinct.is_empty() {
            let partial = aggregate(&keys, in_mode(&self.plain, Partial), None, None, input);
            return Ok(aggregate(&keys, in_mode(&self.plain, Final), Some(self.result), Some(keys.clone()), partial));
        }
        // A distinct argument may be a key as well.
        let extra: Vec<_> = self.distinct_columns.into_iter().filter(|c| !self.keys.contains(c)).collect();
        let fine = [keys.clone(), attributes(&extra)].concat();
        let one = aggregate(&fine, in_mode(&self.plain, Partial), None, None, input);
        let two = aggregate(&fine, in_mode(&self.plain, PartialMerge), None, Some(fine.clone()), one);
        let mixed = [in_mode(&self.plain, PartialMerge), in_mode(&self.distinct, Partial)].concat();
        let three = aggregate(&keys, mixed, None, None, two);
        let all = [self.plain, self.distinct].concat();
        Ok(aggregate(&keys, in_mode(&all, Final), Some(self.result), Some(keys.clone()), three))
    }
}

/// Columns computed below the aggregate.
#[derive(Default)]
struct Computed {
    columns: Vec<Expr>,
}

impl Computed {
    /// The column that holds `expr`.
    fn column(&mut self, expr: &Expr, name: &str) -> Attribute {
        if let Expr::Attribute(a) = expr {
            return a.clone();
        }
        if let Expr::Alias { .. } = expr {
            if !self.columns.contains(expr) {
                self.columns.push(expr.clone());
            }
            return expr.to_attribute();
        }
        if let Some(known) = self.columns.iter().find(|c| c.unaliased() == expr) {
            return known.to_attribute();
        }
        let alias = Expr::Alias { expr: Box::new(expr.clone()), name: name.into(), id: ExprId::next() };
        self.columns.push(alias.clone());
        alias.to_attribute()
    }

    /// `input` with the computed columns beside those of its own that are used.
    fn over(self, input: &LogicalPlan, used: &[ExprId]) -> Option<LogicalPlan> {
        if self.columns.is_empty() {
            return None;
        }
        let kept = input.output().into_iter().filter(|a| used.contains(&a.id)).map(Expr::Attribute);
        Some(LogicalPlan::Project { list: kept.chain(self.columns).collect(), input: Box::new(input.clone()) })
    }
}

/// An output item with the grouping expressions outside its aggregate calls replaced by the keys' columns.
fn over_keys(item: Expr, grouping: &[Expr], keys: &[Attribute]) -> Expr {
    let replaced = item.clone().replace(&mut |e| {
        if let Some(i) = grouping.iter().position(|g| *g == e || *g.unaliased() == e) {
            return Ok(Expr::Attribute(keys[i].clone()));
        }
        if matches!(e, Expr::Aggregate(_)) { Ok(e) } else { Err(e) }
    });
    match (&item, replaced) {
        // An item that is an aliased key of another identity keeps its own.
        (Expr::Alias { name, id, .. }, Expr::Attribute(key)) if key.id != *id => {
            Expr::Alias { expr: Box::new(Expr::Attribute(key)), name: name.clone(), id: *id }
        }
        (_, replaced) => replaced,
    }
}

fn as_attribute(e: &Expr) -> Option<&Attribute> {
    match e {
        Expr::Attribute(a) => Some(a),
        _ => None,
    }
}

fn same_call(a: &AggregateExpr, b: &AggregateExpr) -> bool {
    a.function == b.function && a.args == b.args && a.distinct == b.distinct && a.filter == b.filter
}

/// Repeated values change nothing for these functions.
fn without_needless_distinct(call: AggregateExpr) -> AggregateExpr {
    use AggregateFunction::*;
    let needless = matches!(
        call.function,
        Min | Max
            | BoolAnd
            | BoolOr
            | BitAnd
            | BitOr
            | ApproxCountDistinct
            | CollectSet
            | First
            | FirstIgnoreNulls
            | Last
            | LastIgnoreNulls
    );
    AggregateExpr { distinct: call.distinct && !needless, ..call }
}

fn result_attribute(call: &AggregateExpr) -> Attribute {
    let expr = Expr::Aggregate(Box::new(call.clone()));
    Attribute { id: call.id, name: call.result_name().into(), data_type: expr.data_type(), nullable: expr.nullable() }
}

fn physical_call(expr: AggregateExpr) -> Result<AggregateCall> {
    let result = result_attribute(&expr);
    Ok(AggregateCall { buffers: describe(&expr)?.attributes, mode: AggregateMode::Partial, result, expr })
}

fn in_mode(calls: &[AggregateCall], mode: AggregateMode) -> Vec<AggregateCall> {
    calls.iter().map(|c| AggregateCall { mode, ..c.clone() }).collect()
}

fn attributes(list: &[Attribute]) -> Vec<Expr> {
    list.iter().cloned().map(Expr::Attribute).collect()
}

/// `result`: `None` for the keys and all buffers.
fn aggregate(
    keys: &[Expr],
    calls: Vec<AggregateCall>,
    result: Option<Vec<Expr>>,
    required_distribution: Option<Vec<Expr>>,
    child: Arc<SparkPlan>,
) -> Arc<SparkPlan> {
    let result = result.unwrap_or_else(|| {
        let buffers = calls.iter().flat_map(|c| c.buffers.iter().cloned().map(Expr::Attribute));
        keys.iter().cloned().chain(buffers).collect()
    });
    let node = Aggregate { kind: kind(&calls), grouping: keys.to_vec(), calls, result, required_distribution };
    SparkPlan::new(Operator::Aggregate(node), vec![child])
}

/// By hash where buffers can be updated in place; else with objects where the functions hold any; else sorted.
fn kind(calls: &[AggregateCall]) -> AggregateKind {
    let objects = |c: &AggregateCall| {
        use AggregateFunction::*;
        matches!(c.expr.function, CollectList | CollectSet | Percentile | PercentileDisc | Mode | ListAgg | BloomFilter)
    };
    // Spark has the registers of counts side by side in words.
    let words = |c: &&AggregateCall| c.expr.function == AggregateFunction::ApproxCountDistinct;
    if calls.iter().filter(|c| !words(c)).flat_map(|c| &c.buffers).all(|b| is_fixed_width(&b.data_type)) {
        AggregateKind::Hash
    } else if calls.iter().any(objects) {
        AggregateKind::ObjectHash
    } else {
        AggregateKind::Sort
    }
}

fn is_fixed_width(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Byte
        | DataType::Short
        | DataType::Int
        | DataType::Long
        | DataType::Float
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Timestamp
        | DataType::TimestampNtz
        | DataType::YearMonthInterval
        | DataType::DayTimeInterval => true,
        // Spark has a buffer for each field.
        DataType::Struct(fields) => fields.iter().all(|f| is_fixed_width(&f.data_type)),
        DataType::String | DataType::Binary | DataType::Array(_) | DataType::Map(..) => false,
    }
}
