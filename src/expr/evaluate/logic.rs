//! AND, OR, NOT: three-valued, the right side evaluated only where it matters.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{and_kleene, not as arrow_not, or_kleene, prep_null_mask_filter};
use arrow::datatypes::DataType as ArrowType;

use super::Rows;
use super::value::{Value, booleans, wrap};
use crate::base::Result;
use crate::expr::Expr;

/// NULL as false.
pub(super) fn without_nulls(array: &BooleanArray) -> BooleanArray {
    if array.null_count() == 0 { BooleanArray::new(array.values().clone(), None) } else { prep_null_mask_filter(array) }
}

pub(super) fn not(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(Arc::new(arrow_not(booleans(array)?)?))
}

/// `left AND right` if `and`, else `left OR right`.
///
/// The right side is evaluated over the rows that the left side leaves open if it could fail on the others or is costly and few
/// rows are left.
pub(super) fn and_or(rows: &Rows<'_>, left: &Expr, right: &Expr, and: bool) -> Result<Value> {
    let l = rows.eval(left)?;
    let decided = |b: bool| b != and;
    if let Value::Scalar(one) = &l {
        let one = booleans(one)?;
        if !one.is_null(0) {
            // TRUE AND x is x; FALSE AND x is FALSE.
            return if decided(one.value(0)) { Ok(l) } else { rows.eval(right) };
        }
    }
    let l = booleans(&l.into_array(rows.count)?)?.clone();
    if !is_cheap(right) {
        let open = open_rows(&l, and);
        let count = open.true_count();
        if count == 0 {
            return Ok(Value::Array(Arc::new(l)));
        }
        if count < rows.count && (count <= rows.count / 4 || right.can_fail()) {
            let part = rows.narrow(open.clone());
            let r = part.eval(right)?.into_array(count)?;
            // Rows already decided are put aside as their own value.
            return combine(&l, &scatter(&open, booleans(&r)?, !and), and).map(|a| wrap(a, false));
        }
    }
    let r = rows.eval(right)?.into_array(rows.count)?;
    combine(&l, booleans(&r)?, and).map(|a| wrap(a, false))
}

fn combine(l: &BooleanArray, r: &BooleanArray, and: bool) -> Result<ArrayRef> {
    Ok(Arc::new(if and { and_kleene(l, r)? } else { or_kleene(l, r)? }))
}

/// The values of `part` at the rows of `open`, `fill` at the others.
fn scatter(open: &BooleanArray, part: &BooleanArray, fill: bool) -> BooleanArray {
    let mut values = BooleanBufferBuilder::new(open.len());
    values.append_n(open.len(), fill);
    let mut valid = part.nulls().map(|_| {
        let mut b = BooleanBufferBuilder::new(open.len());
        b.append_n(open.len(), true);
        b
    });
    for (i, row) in open.values().set_indices().enumerate() {
        values.set_bit(row, part.values().value(i));
        if let Some(valid) = &mut valid {
            valid.set_bit(row, part.is_valid(i));
        }
    }
    BooleanArray::new(values.finish(), valid.map(|mut v| NullBuffer::new(v.finish())))
}

/// Rows whose value is NULL or does not decide.
fn open_rows(l: &BooleanArray, and: bool) -> BooleanArray {
    let values = if and { l.values().clone() } else { !l.values() };
    let open = match l.nulls().filter(|n| n.null_count() > 0) {
        Some(n) => &values | &!n.inner(),
        None => values,
    };
    BooleanArray::new(open, None)
}

/// Cheaper to evaluate for every row than to pick rows for, and unable to fail: a comparison of columns and literals, a null test,
/// a boolean column.
fn is_cheap(e: &Expr) -> bool {
    let simple = |e: &Expr| matches!(e, Expr::Column { data_type, .. } if !data_type.is_nested()) || matches!(e, Expr::Literal(_));
    match e {
        Expr::Comparison { left, right, .. } => {
            let view = matches!(left.data_type(), crate::base::DataType::String | crate::base::DataType::Binary);
            simple(left) && simple(right) && !view
        }
        Expr::IsNull(e) | Expr::IsNotNull(e) | Expr::Not(e) => simple(e) || is_cheap(e),
        Expr::And(l, r) | Expr::Or(l, r) => is_cheap(l) && is_cheap(r),
        other => simple(other),
    }
}

/// NULL booleans.
pub(super) fn nulls(rows: usize) -> ArrayRef {
    new_null_array(&ArrowType::Boolean, rows)
}
