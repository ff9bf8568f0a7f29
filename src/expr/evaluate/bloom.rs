//! `might_contain(filter, hash)`: whether a Bloom filter may have an item.

use std::sync::Arc;

use arrow::array::PrimitiveArray;
use arrow::datatypes::Int64Type;

use super::value::{Arg, Bytes, Value, build_boolean, extent, wrap};
use crate::base::Result;
use crate::runtime::bloom::BloomFilter;

/// # Errors
/// `InvalidParameter` when a filter is none.
pub(super) fn evaluate(args: &[Value], rows: usize) -> Result<Value> {
    let refs: Vec<&Value> = args.iter().collect();
    let (n, scalar) = extent(&refs, rows);
    let (filters, items) = (Bytes::new(&args[0])?, Arg::<PrimitiveArray<Int64Type>>::primitive(&args[1])?);
    let one = match &args[0] {
        Value::Scalar(a) if a.is_valid(0) => Some(BloomFilter::from_bytes(filters.at(0))?),
        _ => None,
    };
    let mut result = Ok(());
    let found = build_boolean(&refs, n, |i| match &one {
        Some(filter) => filter.might_contain(items.at(i)),
        None => BloomFilter::from_bytes(filters.at(i)).map(|filter| filter.might_contain(items.at(i))).unwrap_or_else(|e| {
            result = Err(e);
            false
        }),
    });
    result.map(|()| wrap(Arc::new(found), scalar))
}
