//! CASE and COALESCE: each branch evaluated over the rows that reach it.

use arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::merge::merge_n;
use arrow::compute::{is_not_null, is_null};

use super::Rows;
use super::logic::without_nulls;
use super::value::{Value, booleans};
use crate::base::{DataType, Result};
use crate::expr::Expr;

/// Gathers branch results: each row remembers which of the arrays holds its value; values are in row order within each array.
struct Collector {
    arrays: Vec<ArrayRef>,
    /// For each row of the input, the array; `None` is NULL.
    source: Vec<Option<usize>>,
}

impl Collector {
    fn new(rows: usize) -> Self {
        Self { arrays: vec![], source: vec![None; rows] }
    }

    /// `rows` (positions in the input) take the values of `array`, in order.
    fn add(&mut self, positions: &[u32], array: ArrayRef) {
        let index = self.arrays.len();
        self.arrays.push(array);
        for p in positions {
            self.source[*p as usize] = Some(index);
        }
    }

    fn finish(self, data_type: &DataType) -> Result<ArrayRef> {
        if self.arrays.is_empty() {
            return Ok(new_null_array(&data_type.to_arrow(), self.source.len()));
        }
        Ok(merge_n(&self.arrays.iter().map(|a| a.as_ref()).collect::<Vec<_>>(), &self.source)?)
    }
}

fn positions_of(mask: &BooleanArray) -> Vec<u32> {
    mask.values().set_indices().map(|i| i as u32).collect()
}

/// Searched CASE.
pub(super) fn case(rows: &Rows<'_>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, data_type: &DataType) -> Result<Value> {
    if let Some(value) = two_cheap_branches(rows, branches, otherwise)? {
        return Ok(value);
    }
    let mut out = Collector::new(rows.count);
    // Rows that no branch has taken so far, as positions in the input and as a mask over it.
    let mut open = BooleanBuffer::new_set(rows.count);
    for (condition, value) in branches {
        let left = open.count_set_bits();
        if left == 0 {
            break;
        }
        let taken = if left == rows.count {
            let c = rows.eval(condition)?.into_array(rows.count)?;
            without_nulls(booleans(&c)?).values().clone()
        } else {
            let positions: Vec<usize> = open.set_indices().collect();
            let part = rows.narrow(BooleanArray::new(open.clone(), None));
            let c = part.eval(condition)?.into_array(left)?;
            let c = without_nulls(booleans(&c)?);
            let mut mask = arrow::array::BooleanBufferBuilder::new(rows.count);
            mask.append_n(rows.count, false);
            for i in c.values().set_indices() {
                mask.set_bit(positions[i], true);
            }
            mask.finish()
        };
        open = &open & &!&taken;
        add_branch(rows, value, BooleanArray::new(taken, None), &mut out)?;
    }
    if let Some(value) = otherwise {
        add_branch(rows, value, BooleanArray::new(open, None), &mut out)?;
    }
    Ok(Value::Array(out.finish(data_type)?))
}

fn add_branch(rows: &Rows<'_>, value: &Expr, taken: BooleanArray, out: &mut Collector) -> Result<()> {
    let count = taken.true_count();
    if count == 0 || matches!(value, Expr::Literal(s) if s.is_null()) {
        return Ok(());
    }
    let positions = positions_of(&taken);
    let values = if count == rows.count { rows.eval(value)? } else { rows.narrow(taken).eval(value)? };
    out.add(&positions, values.into_array(count)?);
    Ok(())
}

/// `CASE WHEN c THEN a ELSE b END` over columns and literals: a zip.
fn two_cheap_branches(rows: &Rows<'_>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) -> Result<Option<Value>> {
    let cheap = |e: &Expr| matches!(e, Expr::Column { .. } | Expr::Literal(_));
    let ([(condition, a)], Some(b)) = (branches, otherwise) else { return Ok(None) };
    if !cheap(a) || !cheap(b) {
        return Ok(None);
    }
    let c = rows.eval(condition)?.into_array(rows.count)?;
    let mask = without_nulls(booleans(&c)?);
    Ok(Some(Value::Array(arrow::compute::kernels::zip::zip(&mask, &rows.eval(a)?, &rows.eval(b)?)?)))
}

/// First value that is not NULL.
pub(super) fn coalesce(rows: &Rows<'_>, args: &[Expr], data_type: &DataType) -> Result<Value> {
    let Some((first, rest)) = args.split_first() else { return Ok(Value::Array(new_null_array(&data_type.to_arrow(), rows.count))) };
    let head = rows.eval(first)?;
    if head.inner().null_count() == 0 {
        return Ok(head);
    }
    let head = head.into_array(rows.count)?;
    if let [Expr::Literal(_) | Expr::Column { .. }] = rest {
        return Ok(Value::Array(arrow::compute::kernels::zip::zip(&is_not_null(&head)?, &head, &rows.eval(&rest[0])?)?));
    }
    let missing = is_null(&head)?;
    let count = missing.true_count();
    let tail = coalesce(&rows.narrow(missing.clone()), rest, data_type)?.into_array(count)?;
    let mut out = Collector::new(rows.count);
    let present = BooleanArray::new(!missing.values(), None);
    out.add(&positions_of(&present), arrow::compute::filter(&head, &present)?);
    out.add(&positions_of(&missing), tail);
    Ok(Value::Array(out.finish(data_type)?))
}
