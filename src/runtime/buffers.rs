//! The buffers that string views point into.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ByteView, GenericByteViewArray, MAX_INLINE_VIEW_LEN};
use arrow::buffer::Buffer;
use arrow::datatypes::{ByteViewType, DataType};

/// The same strings with each buffer listed once. Arrow's kernels list the buffers of all that they put together, also where the parts
/// share them, as those cut from one batch do: sorted or chosen from again and again, few rows would come to list millions of buffers.
pub fn with_buffers_once(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => buffers_once(column.as_string_view()).map_or(column, |c| Arc::new(c)),
        DataType::BinaryView => buffers_once(column.as_binary_view()).map_or(column, |c| Arc::new(c)),
        _ => column,
    }
}

/// `None` where no buffer is listed twice.
fn buffers_once<T: ByteViewType>(column: &GenericByteViewArray<T>) -> Option<GenericByteViewArray<T>> {
    if column.data_buffers().len() < 2 {
        return None;
    }
    let (mut seen, mut buffers) = (HashMap::new(), vec![]);
    let place_of = |buffer: &Buffer| {
        *seen.entry((buffer.as_ptr(), buffer.len())).or_insert_with(|| {
            buffers.push(buffer.clone());
            buffers.len() as u32 - 1
        })
    };
    let places: Vec<u32> = column.data_buffers().iter().map(place_of).collect();
    if buffers.len() == places.len() {
        return None;
    }
    let moved = |view: &u128| {
        let view = ByteView::from(*view);
        if view.length <= MAX_INLINE_VIEW_LEN { view } else { view.with_buffer_index(places[view.buffer_index as usize]) }.as_u128()
    };
    let views = column.views().iter().map(moved).collect();
    // SAFETY: each view points to the same bytes as before, by the place that their buffer now has.
    Some(unsafe { GenericByteViewArray::new_unchecked(views, buffers.into(), column.nulls().cloned()) })
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use arrow::compute::concat;

    use super::*;

    #[test]
    fn parts_of_one_batch_do_not_list_its_buffer_again() {
        let strings: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("more than twelve bytes"), None, Some("short"), Some("also more than twelve")]));
        let listed = |a: &ArrayRef| a.as_string_view().data_buffers().len();
        let own = listed(&strings);
        let halves = [strings.slice(2, 2), strings.slice(0, 2), strings.clone()];
        let all = concat(&halves.each_ref().map(|h| h.as_ref())).unwrap();
        let once = with_buffers_once(all.clone());
        assert_eq!((listed(&all), listed(&once)), (3 * own, own));
        assert_eq!(all.as_string_view(), once.as_string_view());
    }
}
