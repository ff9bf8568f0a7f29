//! How much memory rows take.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, MAX_INLINE_VIEW_LEN, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{ByteViewType, DataType};

use crate::base::Result;

/// Bytes of the rows of a batch, without what its buffers hold besides (they may be shared with other slices).
pub fn data_size(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_size).sum()
}

/// Bytes of the values of a column.
pub fn column_size(column: &ArrayRef) -> usize {
    let rows = column.len();
    let values = match column.data_type() {
        DataType::Boolean => rows / 8,
        DataType::Utf8View => rows * 16 + long_values(column.as_string_view()),
        DataType::BinaryView => rows * 16 + long_values(column.as_binary_view()),
        t => match t.primitive_width() {
            Some(width) => rows * width,
            None => return column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
        },
    };
    values + column.nulls().map_or(0, |n| n.len() / 8)
}

/// Bytes of the values that do not fit into their views. Not `total_buffer_bytes_used`: it counts what stands in the place of NULLs,
/// which may be any length.
fn long_values<T: ByteViewType>(column: &GenericByteViewArray<T>) -> usize {
    let lengths = column.lengths().enumerate().filter(|&(row, length)| length > MAX_INLINE_VIEW_LEN && column.is_valid(row));
    lengths.map(|(_, length)| length as usize).sum()
}

/// The same rows without the bytes of strings that are not theirs, if these are more than theirs: a slice of views keeps all that it was
/// cut from.
pub fn compacted(batch: &RecordBatch) -> Result<RecordBatch> {
    compacted_to(batch, 2.0)
}

/// The same rows, whose strings take at most `most` times (1 or more) the bytes that they need. Rows that are kept for long need not
/// hold more.
pub fn compacted_to(batch: &RecordBatch, most: f64) -> Result<RecordBatch> {
    let sparse = |buffers: &[Buffer], used: usize| {
        let held: usize = buffers.iter().map(Buffer::capacity).sum();
        held > (used as f64 * most) as usize + 1024
    };
    let column = |c: &ArrayRef| -> ArrayRef {
        match c.data_type() {
            DataType::Utf8View => {
                let views = c.as_string_view();
                if sparse(views.data_buffers(), views.total_buffer_bytes_used()) { Arc::new(views.gc()) } else { c.clone() }
            }
            DataType::BinaryView => {
                let views = c.as_binary_view();
                if sparse(views.data_buffers(), views.total_buffer_bytes_used()) { Arc::new(views.gc()) } else { c.clone() }
            }
            _ => c.clone(),
        }
    };
    if batch.num_columns() == 0 {
        return Ok(batch.clone());
    }
    Ok(RecordBatch::try_new(batch.schema(), batch.columns().iter().map(column).collect())?)
}
