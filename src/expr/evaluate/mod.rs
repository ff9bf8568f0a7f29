//! Interpretation of expressions over Arrow batches: the semantics that compiled code must agree with.
//!
//! Vectorised: an expression is evaluated to a [`Value`] over all rows of its input, by Arrow kernels or typed loops, one file
//! per family. Where SQL promises not to evaluate (CASE branches, COALESCE, the right side of AND and OR), the input is
//! narrowed to the rows concerned ([`Rows::narrow`]), so an error hides in no branch that is not taken.

mod arithmetic;
pub mod bloom;
mod bytes;
mod case;
mod cast;
mod cast_text;
mod charset;
mod collections;
mod comparison;
mod date_pattern;
mod datetime;
mod decimal;
mod format;
mod function;
mod generate;
pub mod hash;
mod higher_order;
mod in_list;
pub mod json;
pub mod like;
mod logic;
mod maps;
mod maths;
mod nested;
pub(crate) mod number_format;
pub mod random;
mod regex;
mod rounding;
pub mod scalar;
mod scatter;
mod sequence;
mod shuffle;
pub mod strings;
mod text;
mod url;
pub mod value;
mod words;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{FilterBuilder, FilterPredicate, take};

pub use comparison::{normalise_floats, set_keys};
pub use generate::{Generated, generate};
use value::Value;

use crate::base::{Error, ExprId, Result, Scalar};
use crate::expr::Expr;

/// The rows that an expression is evaluated over: a batch, or some rows of it.
pub(crate) struct Rows<'a> {
    columns: &'a [ArrayRef],
    count: usize,
    /// Where this is made of other rows, those, and which of them.
    outer: Option<(&'a Rows<'a>, Selection)>,
    /// Columns and variables of the rows around that have been selected so far.
    selected: RefCell<HashMap<Input, ArrayRef>>,
    /// Values of the lambda function that these rows are for.
    variables: Vec<(ExprId, ArrayRef)>,
    /// Subexpressions that occur more than once, with their value once it is known. Only on the whole batch.
    common: Option<&'a Common<'a>>,
}

enum Selection {
    /// Some rows.
    Filter(FilterPredicate),
    /// The row at each place.
    Take(UInt32Array),
}

impl Selection {
    fn apply(&self, array: &ArrayRef) -> Result<ArrayRef> {
        Ok(match self {
            Selection::Filter(keep) => keep.filter(array)?,
            Selection::Take(places) => take(array, places, None)?,
        })
    }
}

/// What an expression can look up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Input {
    Column(usize),
    Variable(ExprId),
}

/// Which subexpressions are kept, by place, and what has been kept so far.
struct Common<'a> {
    places: HashMap<&'a Expr, usize>,
    values: RefCell<Vec<Option<Value>>>,
}

impl Common<'_> {
    fn get(&self, expr: &Expr) -> Option<Value> {
        self.places.get(expr).and_then(|i| self.values.borrow()[*i].clone())
    }

    fn set(&self, expr: &Expr, value: &Value) {
        if let Some(i) = self.places.get(expr) {
            self.values.borrow_mut()[*i] = Some(value.clone());
        }
    }
}

impl<'a> Rows<'a> {
    fn new(columns: &'a [ArrayRef], count: usize, common: Option<&'a Common<'a>>) -> Self {
        Self { columns, count, outer: None, selected: RefCell::default(), variables: vec![], common }
    }

    /// The rows for which `keep` (of this many rows, no NULLs) is true.
    fn narrow<'b>(&'b self, keep: BooleanArray) -> Rows<'b>
    where
        'a: 'b,
    {
        // Built once for all columns that turn out to be needed.
        let keep = FilterBuilder::new(&keep).optimize().build();
        let count = keep.count();
        self.part(count, Selection::Filter(keep), vec![])
    }

    /// Rows of a lambda function: row `i` is row `rows[i]` of these with the `i`th values of the variables.
    fn repeated<'b>(&'b self, rows: UInt32Array, variables: Vec<(ExprId, ArrayRef)>) -> Rows<'b>
    where
        'a: 'b,
    {
        self.part(rows.len(), Selection::Take(rows), variables)
    }

    fn part<'b>(&'b self, count: usize, selection: Selection, variables: Vec<(ExprId, ArrayRef)>) -> Rows<'b>
    where
        'a: 'b,
    {
        Rows { columns: self.columns, count, outer: Some((self, selection)), selected: RefCell::default(), variables, common: None }
    }

    fn input(&self, input: Input) -> Result<ArrayRef> {
        if let Input::Variable(id) = input
            && let Some((_, values)) = self.variables.iter().find(|(known, _)| *known == id)
        {
            return Ok(values.clone());
        }
        let Some((outer, selection)) = &self.outer else {
            return match input {
                Input::Column(index) => self.columns.get(index).cloned(),
                Input::Variable(_) => None,
            }
            .ok_or_else(|| match input {
                Input::Column(index) => Error::internal(format!("no column {index} in the batch")),
                Input::Variable(id) => Error::internal(format!("no lambda variable #{}", id.0)),
            });
        };
        if let Some(done) = self.selected.borrow().get(&input) {
            return Ok(done.clone());
        }
        let array = selection.apply(&outer.input(input)?)?;
        self.selected.borrow_mut().insert(input, array.clone());
        Ok(array)
    }

    /// A common subexpression's value, if it has been computed for these rows or the rows around them.
    fn known(&self, expr: &Expr) -> Result<Option<Value>> {
        if let Some(common) = self.common {
            return Ok(common.get(expr));
        }
        match &self.outer {
            Some((outer, selection)) => match outer.known(expr)? {
                Some(Value::Array(a)) => Ok(Some(Value::Array(selection.apply(&a)?))),
                other => Ok(other),
            },
            None => Ok(None),
        }
    }

    /// Evaluates an expression over these rows.
    fn eval(&self, expr: &Expr) -> Result<Value> {
        match expr {
            Expr::Column { index, .. } => return Ok(Value::Array(self.input(Input::Column(*index))?)),
            Expr::LambdaVariable(a) => return Ok(Value::Array(self.input(Input::Variable(a.id))?)),
            Expr::Literal(s) => return Ok(Value::Scalar(scalar::to_array(s, 1)?)),
            Expr::Alias { expr, .. } => return self.eval(expr),
            _ => {}
        }
        if let Some(value) = self.known(expr)? {
            return Ok(value);
        }
        let value = stacker::maybe_grow(128 * 1024, 1024 * 1024, || self.compute(expr))?;
        if let Some(common) = self.common {
            common.set(expr, &value);
        }
        Ok(value)
    }

    fn compute(&self, expr: &Expr) -> Result<Value> {
        match expr {
            Expr::Column { .. } | Expr::Literal(_) | Expr::Alias { .. } | Expr::LambdaVariable(_) => self.eval(expr),
            Expr::Cast { expr, to, try_cast } => {
                let from = expr.data_type();
                self.eval(expr)?.map(|a| cast::cast(a, &from, to, *try_cast))
            }
            Expr::Negate(e) => self.eval(e)?.map(arithmetic::negate),
            Expr::Arithmetic { op, left, right, try_arithmetic } => {
                let types = (left.data_type(), right.data_type());
                arithmetic::evaluate(*op, &self.eval(left)?, &self.eval(right)?, (&types.0, &types.1), *try_arithmetic, self.count)
            }
            Expr::Comparison { op, left, right } => comparison::evaluate(*op, &self.eval(left)?, &self.eval(right)?, self.count),
            Expr::And(l, r) => logic::and_or(self, l, r, true),
            Expr::Or(l, r) => logic::and_or(self, l, r, false),
            Expr::Not(e) => self.eval(e)?.map(logic::not),
            Expr::IsNull(e) => self.eval(e)?.map(|a| Ok(std::sync::Arc::new(arrow::compute::is_null(a)?))),
            Expr::IsNotNull(e) => self.eval(e)?.map(|a| Ok(std::sync::Arc::new(arrow::compute::is_not_null(a)?))),
            Expr::Case { branches, otherwise } => case::case(self, branches, otherwise.as_deref(), &expr.data_type()),
            Expr::Coalesce(args) => case::coalesce(self, args, &expr.data_type()),
            Expr::In { value, list } => in_list::evaluate(self, value, list),
            Expr::Like { value, pattern, escape, case_insensitive } => {
                like::evaluate(&self.eval(value)?, &self.eval(pattern)?, *escape, *case_insensitive, self.count)
            }
            Expr::Function { function, args } => function::evaluate(self, *function, args, expr),
            Expr::Attribute(a) => Err(Error::internal(format!("attribute {a} was not bound to a position"))),
            Expr::Aggregate(_) | Expr::Window(_) | Expr::Lambda { .. } => Err(Error::internal(format!("{expr} is no scalar expression"))),
            Expr::ScalarSubquery { id, .. } | Expr::DynamicPruning { id, .. } => {
                Err(Error::internal(format!("subquery {} was not replaced by its answer", id.0)))
            }
        }
    }
}

/// The value of a bound expression for each row of a batch.
///
/// # Errors
/// Those of SQL evaluation (overflow, division by zero, invalid casts, …).
pub fn evaluate(expr: &Expr, batch: &RecordBatch) -> Result<ArrayRef> {
    Rows::new(batch.columns(), batch.num_rows(), None).eval(expr)?.into_array(batch.num_rows())
}

/// Several expressions over one batch; what they have in common is computed once.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_all(exprs: &[Expr], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let common = common_subexpressions(exprs);
    let rows = Rows::new(batch.columns(), batch.num_rows(), (!common.places.is_empty()).then_some(&common));
    exprs.iter().map(|e| rows.eval(e)?.into_array(batch.num_rows())).collect()
}

/// Several expressions over one batch; what they have in common is computed once if `eliminate`.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_list(exprs: &[Expr], batch: &RecordBatch, eliminate: bool) -> Result<Vec<ArrayRef>> {
    if eliminate { evaluate_all(exprs, batch) } else { exprs.iter().map(|e| evaluate(e, batch)).collect() }
}

/// Subexpressions that occur more than once, leaves and anything random aside.
fn common_subexpressions(exprs: &[Expr]) -> Common<'_> {
    let mut seen: HashMap<&Expr, usize> = HashMap::new();
    for expr in exprs {
        expr.visit(&mut |e| {
            let leaf = matches!(e, Expr::Column { .. } | Expr::Literal(_) | Expr::Alias { .. });
            // The body of a lambda function has other rows.
            let lambda = matches!(e, Expr::Lambda { .. });
            if !leaf && !lambda {
                let count = seen.entry(e).or_insert(0);
                *count += 1;
                // Below a repeated one nothing needs to be counted again.
                return *count == 1;
            }
            !lambda
        });
    }
    let places: HashMap<&Expr, usize> =
        seen.into_iter().filter(|(e, n)| *n > 1 && e.is_deterministic()).enumerate().map(|(i, (e, _))| (e, i)).collect();
    Common { values: RefCell::new(vec![None; places.len()]), places }
}

/// A condition for each row of a batch, NULL being false: the result has no NULLs.
///
/// # Errors
/// As [`evaluate`].
pub fn predicate(expr: &Expr, batch: &RecordBatch) -> Result<BooleanArray> {
    let array = evaluate(expr, batch)?;
    Ok(logic::without_nulls(value::booleans(&array)?))
}

/// The value of a constant expression.
///
/// # Errors
/// Those of evaluation; `Internal` when it is not constant.
pub fn fold(expr: &Expr) -> Result<Scalar> {
    if let Expr::Literal(s) = expr {
        return Ok(s.clone());
    }
    scalar::from_array(&constant(expr)?, 0)
}

/// As [`fold`]; nothing where the value has more than `most` bytes, as arrays may.
///
/// # Errors
/// As there.
pub fn fold_within(expr: &Expr, most: usize) -> Result<Option<Scalar>> {
    let array = constant(expr)?;
    if array.get_array_memory_size() > most { Ok(None) } else { scalar::from_array(&array, 0).map(Some) }
}

/// An array of the one value.
fn constant(expr: &Expr) -> Result<ArrayRef> {
    Rows::new(&[], 1, None).eval(expr)?.into_array(1)
}
