//! CASE and COALESCE: each branch evaluated over the rows that reach it.

use arrow::array::{Array, BooleanArray, BooleanBufferBuilder, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{is_not_null, is_null};

use super::Rows;
use super::logic::without_nulls;
use super::scatter::{Part, choose, scatter};
use super::value::{Value, booleans};
use crate::base::{DataType, Result};
use crate::expr::Expr;

/// Searched CASE.
pub(super) fn case(rows: &Rows<'_>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, data_type: &DataType) -> Result<Value> {
    if let Some(value) = choice(rows, branches, otherwise, data_type)? {
        return Ok(value);
    }
    let mut parts = vec![];
    // Rows that no branch has taken so far.
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
            let c = rows.narrow(BooleanArray::new(open.clone(), None)).eval(condition)?.into_array(left)?;
            let c = without_nulls(booleans(&c)?);
            let mut mask = BooleanBufferBuilder::new(rows.count);
            mask.append_n(rows.count, false);
            for (row, _) in open.set_indices().zip(c.values()).filter(|(_, hit)| *hit) {
                mask.set_bit(row, true);
            }
            mask.finish()
        };
        open = &open & &!&taken;
        add_branch(rows, value, taken, &mut parts)?;
    }
    if let Some(value) = otherwise {
        add_branch(rows, value, open, &mut parts)?;
    }
    Ok(Value::Array(scatter(&parts, rows.count, &data_type.to_arrow())?))
}

fn add_branch(rows: &Rows<'_>, value: &Expr, taken: BooleanBuffer, parts: &mut Vec<Part>) -> Result<()> {
    let count = taken.count_set_bits();
    if count == 0 || matches!(value, Expr::Literal(s) if s.is_null()) {
        return Ok(());
    }
    let positions = taken.set_indices().map(|i| i as u32).collect();
    let values = if count == rows.count { rows.eval(value)? } else { rows.narrow(BooleanArray::new(taken, None)).eval(value)? };
    parts.push(Part { rows: positions, values: values.into_array(count)? });
    Ok(())
}

/// `CASE WHEN c THEN a ELSE b END` where both values may as well be computed for all rows.
fn choice(rows: &Rows<'_>, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, data_type: &DataType) -> Result<Option<Value>> {
    let [(condition, a)] = branches else { return Ok(None) };
    if !is_cheap(rows, a)? {
        return Ok(None);
    }
    let null;
    let b = match otherwise {
        Some(b) if is_cheap(rows, b)? => b,
        Some(_) => return Ok(None),
        None => {
            null = Expr::Literal(crate::base::Scalar::Null(data_type.clone()));
            &null
        }
    };
    let c = rows.eval(condition)?;
    if let Value::Scalar(one) = &c {
        return Ok(Some(rows.eval(if without_nulls(booleans(one)?).value(0) { a } else { b })?));
    }
    let mask = without_nulls(booleans(c.inner())?);
    let (a, b) = (rows.eval(a)?, rows.eval(b)?);
    Ok(Some(Value::Array(choose(&mask, &a, &b)?)))
}

/// Columns, literals, and what has been computed already.
fn is_cheap(rows: &Rows<'_>, e: &Expr) -> Result<bool> {
    Ok(matches!(e, Expr::Column { .. } | Expr::Literal(_)) || rows.known(e)?.is_some())
}

/// First value that is not NULL.
pub(super) fn coalesce(rows: &Rows<'_>, args: &[Expr], data_type: &DataType) -> Result<Value> {
    let Some((first, rest)) = args.split_first() else { return Ok(Value::Array(new_null_array(&data_type.to_arrow(), rows.count))) };
    let head = rows.eval(first)?;
    if head.inner().null_count() == 0 && head.inner().data_type() != &arrow::datatypes::DataType::Null {
        return Ok(head);
    }
    let head = head.into_array(rows.count)?;
    if let [tail @ (Expr::Literal(_) | Expr::Column { .. })] = rest {
        return Ok(Value::Array(choose(&is_not_null(&head)?, &Value::Array(head), &rows.eval(tail)?)?));
    }
    let missing = is_null(&head)?;
    let count = missing.true_count();
    let tail = coalesce(&rows.narrow(missing.clone()), rest, data_type)?.into_array(count)?;
    let present = BooleanArray::new(!missing.values(), None);
    let positions = |mask: &BooleanArray| mask.values().set_indices().map(|i| i as u32).collect();
    let parts = [
        Part { rows: positions(&present), values: arrow::compute::filter(&head, &present)? },
        Part { rows: positions(&missing), values: tail },
    ];
    Ok(Value::Array(scatter(&parts, rows.count, &data_type.to_arrow())?))
}
