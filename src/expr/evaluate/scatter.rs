//! Putting the results of branches together.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, BooleanBufferBuilder, PrimitiveArray, downcast_primitive, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::interleave;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType as ArrowType;

use super::value::Value;
use crate::base::Result;
use crate::runtime::buffers::with_buffers_once;

/// Values for some rows of an input: `values[i]` belongs to row `rows[i]`.
pub(super) struct Part {
    pub rows: Vec<u32>,
    pub values: ArrayRef,
}

/// One array of `count` rows from parts that share no row; rows in no part are NULL.
pub(super) fn scatter(parts: &[Part], count: usize, data_type: &ArrowType) -> Result<ArrayRef> {
    fn primitive<T: ArrowPrimitiveType>(parts: &[Part], count: usize, data_type: &ArrowType) -> ArrayRef {
        let mut out = vec![T::Native::default(); count];
        let covered: usize = parts.iter().map(|p| p.rows.len()).sum();
        let whole = covered == count && parts.iter().all(|p| p.values.null_count() == 0);
        let mut valid = (!whole).then(|| {
            let mut v = BooleanBufferBuilder::new(count);
            v.append_n(count, false);
            v
        });
        for p in parts {
            let values = p.values.as_primitive::<T>();
            for (row, v) in p.rows.iter().zip(values.values()) {
                out[*row as usize] = *v;
            }
            if let Some(valid) = &mut valid {
                for (i, row) in p.rows.iter().enumerate() {
                    valid.set_bit(*row as usize, values.is_valid(i));
                }
            }
        }
        let nulls = valid.map(|mut v| NullBuffer::new(v.finish()));
        Arc::new(PrimitiveArray::<T>::new(out.into(), nulls).with_data_type(data_type.clone()))
    }
    macro_rules! helper {
        ($t:ty) => {
            primitive::<$t>(parts, count, data_type)
        };
    }
    if parts.is_empty() {
        return Ok(new_null_array(data_type, count));
    }
    Ok(downcast_primitive! {
        data_type => (helper),
        _ => {
            // The last array is a single NULL, for rows in no part.
            let null = new_null_array(data_type, 1);
            let mut arrays: Vec<&dyn Array> = parts.iter().map(|p| p.values.as_ref()).collect();
            arrays.push(null.as_ref());
            let mut places = vec![(parts.len(), 0); count];
            for (which, p) in parts.iter().enumerate() {
                for (i, row) in p.rows.iter().enumerate() {
                    places[*row as usize] = (which, i);
                }
            }
            interleave(&arrays, &places)?
        }
    })
}

/// `a` where the mask (without NULLs) is true, else `b`.
pub(super) fn choose(mask: &BooleanArray, a: &Value, b: &Value) -> Result<ArrayRef> {
    fn primitive<T: ArrowPrimitiveType>(mask: &BooleanArray, a: &Value, b: &Value, data_type: &ArrowType) -> ArrayRef {
        let (l, r) = (a.inner().as_primitive::<T>(), b.inner().as_primitive::<T>());
        let (ls, rs) = (a.step(), b.step());
        let (lv, rv) = (l.values(), r.values());
        let pick = |(row, m): (usize, bool)| if m { lv[row * ls] } else { rv[row * rs] };
        let values = mask.values().iter().enumerate().map(pick).collect::<Vec<_>>();
        let nulls = (l.null_count() + r.null_count() > 0).then(|| {
            NullBuffer::from_iter(
                mask.values().iter().enumerate().map(|(row, m)| if m { l.is_valid(row * ls) } else { r.is_valid(row * rs) }),
            )
        });
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
    }
    let data_type = a.inner().data_type();
    macro_rules! helper {
        ($t:ty) => {
            primitive::<$t>(mask, a, b, data_type)
        };
    }
    Ok(downcast_primitive! {
        data_type => (helper),
        _ => with_buffers_once(zip(mask, a, b)?)
    })
}
