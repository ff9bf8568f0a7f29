//! `value IN (…)`: a hash set for literals, OR of comparisons otherwise.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::or_kleene;
use arrow::datatypes::{
    ArrowNativeType, DataType as ArrowType, Date32Type, Decimal64Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use hashbrown::HashSet;

use super::value::{Value, booleans, wrap};
use super::{Rows, comparison, logic, scalar};
use crate::base::{DataType, Result, Scalar};
use crate::expr::{ComparisonOp, Expr};

pub(super) fn evaluate(rows: &Rows<'_>, value: &Expr, list: &[Expr]) -> Result<Value> {
    let v = rows.eval(value)?;
    if v.is_null_scalar() {
        return Ok(Value::Scalar(logic::nulls(1)));
    }
    let n = if v.is_scalar() { 1 } else { rows.count };
    if list.iter().all(|e| matches!(e, Expr::Literal(_)))
        && list.len() > 2
        && let Some(found) = by_set(v.inner(), list)?
    {
        return Ok(wrap(Arc::new(found), v.is_scalar()));
    }
    let mut out: Option<(ArrayRef, bool)> = None;
    for item in list {
        let item = rows.eval(item)?;
        let all_scalar = v.is_scalar() && item.is_scalar() && out.as_ref().is_none_or(|(_, s)| *s);
        let equal = comparison::evaluate(ComparisonOp::Equal, &v, &item, rows.count)?;
        let size = if all_scalar { 1 } else { rows.count };
        let equal = equal.into_array(size)?;
        let combined: ArrayRef = match out {
            None => equal,
            Some((so_far, s)) => {
                let so_far = wrap(so_far, s).into_array(size)?;
                Arc::new(or_kleene(booleans(&so_far)?, booleans(&equal)?)?)
            }
        };
        out = Some((combined, all_scalar));
    }
    Ok(match out {
        Some((array, scalar)) => wrap(array, scalar),
        None => wrap(Arc::new(BooleanArray::new(BooleanBuffer::new_unset(n), None)), v.is_scalar()),
    })
}

/// Membership by a set built from the literals; `None` for types without one.
fn by_set(values: &ArrayRef, list: &[Expr]) -> Result<Option<BooleanArray>> {
    let items: Vec<Scalar> = list.iter().filter_map(|e| if let Expr::Literal(item) = e { Some(item.clone()) } else { None }).collect();
    let items = scalar::list_to_array(&items, &DataType::from_arrow(values.data_type())?)?;
    let found = match values.data_type() {
        ArrowType::Int8 => numbers::<Int8Type>(values, &items),
        ArrowType::Int16 => numbers::<Int16Type>(values, &items),
        ArrowType::Int32 => numbers::<Int32Type>(values, &items),
        ArrowType::Int64 => numbers::<Int64Type>(values, &items),
        ArrowType::Date32 => numbers::<Date32Type>(values, &items),
        ArrowType::Decimal64(..) => numbers::<Decimal64Type>(values, &items),
        ArrowType::Decimal128(..) => numbers::<Decimal128Type>(values, &items),
        ArrowType::Timestamp(..) => numbers::<TimestampMicrosecondType>(values, &items),
        ArrowType::Utf8View => texts(values, &items),
        _ => return Ok(None),
    };
    // A miss is NULL if the list has a NULL.
    let nulls = values.nulls().cloned();
    Ok(Some(if items.null_count() > 0 {
        let known = arrow::buffer::NullBuffer::new(found.clone());
        BooleanArray::new(found, arrow::buffer::NullBuffer::union(nulls.as_ref(), Some(&known)))
    } else {
        BooleanArray::new(found, nulls)
    }))
}

fn numbers<T: ArrowPrimitiveType>(values: &ArrayRef, items: &ArrayRef) -> BooleanBuffer
where
    T::Native: ArrowNativeType + Eq + std::hash::Hash,
{
    let (values, items): (&PrimitiveArray<T>, &PrimitiveArray<T>) = (values.as_primitive(), items.as_primitive());
    let list: Vec<T::Native> = items.iter().flatten().collect();
    let slice = values.values();
    if list.len() <= 8 {
        return BooleanBuffer::collect_bool(slice.len(), |i| list.iter().fold(false, |hit, v| hit | (*v == slice[i])));
    }
    let set: HashSet<T::Native> = list.into_iter().collect();
    BooleanBuffer::collect_bool(slice.len(), |i| set.contains(&slice[i]))
}

fn texts(values: &ArrayRef, items: &ArrayRef) -> BooleanBuffer {
    let (values, items) = (values.as_string_view(), items.as_string_view());
    // A view of at most 12 bytes holds length and bytes: equal texts have equal views, longer ones differ in length.
    if items.iter().flatten().all(|s| s.len() <= 12) {
        let list: Vec<u128> = items.views().iter().enumerate().filter(|(i, _)| items.is_valid(*i)).map(|(_, v)| *v).collect();
        let views = values.views();
        if list.len() <= 8 {
            return BooleanBuffer::collect_bool(views.len(), |i| list.iter().fold(false, |hit, v| hit | (*v == views[i])));
        }
        let set: HashSet<u128> = list.into_iter().collect();
        return BooleanBuffer::collect_bool(views.len(), |i| set.contains(&views[i]));
    }
    let set: HashSet<&str> = items.iter().flatten().collect();
    BooleanBuffer::collect_bool(values.len(), |i| values.is_valid(i) && set.contains(values.value(i)))
}
