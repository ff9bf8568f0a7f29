//! Output builders: Arrow buffers that generated code writes straight into.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes as types;
use arrow::datatypes::{ArrowPrimitiveType, DataType as ArrowType, SchemaRef};

use super::string::{INLINE, StrRef};
use crate::base::{Error, Result};

/// The buffers of one output column.
#[derive(Debug)]
#[repr(C)]
pub struct OutputColumn {
    /// Values of native width; booleans as bytes; strings as Arrow's views.
    values: *mut u8,
    /// One byte per row, 1 where there is a value; written only where the column can be NULL.
    validity: *mut u8,
}

/// Bytes of an [`OutputColumn`].
pub const OUTPUT_COLUMN_SIZE: i32 = 16;
/// Offset of an output column's validity.
pub const OUTPUT_VALIDITY: i32 = 8;

/// Collects the output rows of a pipeline.
#[derive(Debug)]
#[repr(C)]
pub struct Output {
    /// The first [`OutputColumn`].
    columns: *mut OutputColumn,
    /// Rows written.
    pub count: u64,
    /// Rows for which there is room.
    pub capacity: u64,
    // Below: not touched by generated code.
    column_list: Vec<OutputColumn>,
    schema: SchemaRef,
    nullable: Vec<bool>,
    /// 16 bytes an element, so that every column is aligned for every type; of length 0 until the batch is finished.
    values: Vec<Vec<i128>>,
    validity: Vec<Vec<u8>>,
    /// Bytes of long strings, per column: the block being filled.
    open: Vec<Vec<u8>>,
    closed: Vec<Vec<Buffer>>,
}

// SAFETY: the pointers are into the builder's own memory; a builder is used by one task at a time.
unsafe impl Send for Output {}

pub const OUTPUT_COLUMNS: i32 = 0;
pub const OUTPUT_COUNT: i32 = 8;
pub const OUTPUT_CAPACITY: i32 = 16;

const STRING_BLOCK: usize = 1 << 16;

fn width(t: &ArrowType) -> usize {
    match t {
        ArrowType::Utf8View | ArrowType::BinaryView | ArrowType::Decimal128(..) => 16,
        ArrowType::Boolean => 1,
        other => other.primitive_width().unwrap_or(8),
    }
}

impl Output {
    /// Room for `capacity` rows to begin with; it grows.
    pub fn new(schema: SchemaRef, nullable: Vec<bool>, capacity: usize) -> Box<Self> {
        let n = schema.fields().len();
        let mut output = Box::new(Self {
            columns: std::ptr::null_mut(),
            count: 0,
            capacity: 0,
            column_list: vec![],
            schema,
            nullable,
            values: vec![vec![]; n],
            validity: vec![vec![]; n],
            open: vec![vec![]; n],
            closed: vec![vec![]; n],
        });
        output.reserve(capacity);
        output
    }

    /// Makes room for `capacity` rows in all.
    pub fn reserve(&mut self, capacity: usize) {
        let (capacity, count) = (capacity.max(self.capacity as usize), self.count as usize);
        self.column_list.clear();
        for i in 0..self.values.len() {
            let width = width(self.schema.field(i).data_type());
            enlarge(&mut self.values[i], count * width, capacity * width);
            if self.nullable[i] {
                enlarge(&mut self.validity[i], count, capacity);
            }
            self.column_list.push(OutputColumn { values: self.values[i].as_mut_ptr().cast(), validity: self.validity[i].as_mut_ptr() });
        }
        self.columns = self.column_list.as_mut_ptr();
        self.capacity = capacity as u64;
    }

    /// Doubles the room.
    pub fn grow(&mut self) {
        self.reserve((self.capacity as usize * 2).max(1024));
    }

    /// Copies a long string to column `column`'s data and returns the high word of its view.
    pub fn add_long_string(&mut self, column: usize, string: StrRef) -> u64 {
        // SAFETY: generated code passes strings of the current batch, of tables or of the stage's arenas, which are alive.
        let bytes = unsafe { string.bytes() };
        let open = &mut self.open[column];
        if open.len() + bytes.len() > open.capacity() {
            if !open.is_empty() {
                self.closed[column].push(Buffer::from_vec(std::mem::take(open)));
            }
            *open = Vec::with_capacity(bytes.len().max(STRING_BLOCK));
        }
        let offset = open.len() as u64;
        open.extend_from_slice(bytes);
        self.closed[column].len() as u64 | (offset << 32)
    }

    /// The rows so far as a batch; the builder is empty afterwards.
    ///
    /// # Errors
    /// `Internal` for a type without a builder.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let count = std::mem::take(&mut self.count) as usize;
        self.capacity = 0;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.values.len());
        for i in 0..self.values.len() {
            let mut values = std::mem::take(&mut self.values[i]);
            let mut validity = std::mem::take(&mut self.validity[i]);
            settle(&mut values, count * width(self.schema.field(i).data_type()));
            settle(&mut validity, if self.nullable[i] { count } else { 0 });
            let nulls = self.nullable[i].then(|| pack(&validity, count)).filter(|bits| bits.count_set_bits() < count).map(NullBuffer::new);
            let mut buffers = std::mem::take(&mut self.closed[i]);
            if !self.open[i].is_empty() {
                buffers.push(Buffer::from_vec(std::mem::take(&mut self.open[i])));
            }
            arrays.push(array(self.schema.field(i).data_type(), values, count, nulls, buffers)?);
        }
        self.reserve(0);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

/// Makes room for `bytes` bytes, of which generated code has written the first `written`; the others stay as they are, so that room
/// costs nothing before it is used.
fn enlarge<T: Copy>(buffer: &mut Vec<T>, written: usize, bytes: usize) {
    settle(buffer, written);
    buffer.reserve_exact(bytes.div_ceil(size_of::<T>()).saturating_sub(buffer.len()));
    buffer.clear();
}

/// Gives a buffer the length of what generated code has written into its room.
fn settle<T: Copy>(buffer: &mut Vec<T>, written: usize) {
    let length = written.div_ceil(size_of::<T>());
    assert!(length <= buffer.capacity());
    let rest = length * size_of::<T>() - written;
    // SAFETY: there is room for `length` elements; the first `written` bytes of it were written by generated code (which counts a
    // row after all its values are written), the rest here.
    unsafe {
        buffer.as_mut_ptr().cast::<u8>().add(written).write_bytes(0, rest);
        buffer.set_len(length);
    }
}

/// Bytes (0 or 1) as bits.
fn pack(bytes: &[u8], count: usize) -> BooleanBuffer {
    BooleanBuffer::collect_bool(count, |i| bytes[i] != 0)
}

fn array(t: &ArrowType, mut values: Vec<i128>, count: usize, nulls: Option<NullBuffer>, buffers: Vec<Buffer>) -> Result<ArrayRef> {
    if let (ArrowType::Utf8View | ArrowType::BinaryView, Some(nulls)) = (t, &nulls) {
        // Generated code leaves anything there; who reads a spilled frame checks all views.
        values.iter_mut().zip(nulls).filter(|(_, valid)| !valid).for_each(|(view, _)| *view = 0);
    }
    let buffer = Buffer::from_vec(values);
    fn primitive<T: ArrowPrimitiveType>(t: &ArrowType, buffer: Buffer, count: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        Ok(Arc::new(PrimitiveArray::<T>::try_new(ScalarBuffer::new(buffer, 0, count), nulls)?.with_data_type(t.clone())))
    }
    use arrow::datatypes::{IntervalUnit, TimeUnit};
    match t {
        ArrowType::Boolean => Ok(Arc::new(BooleanArray::new(pack(&buffer, count), nulls))),
        ArrowType::Int8 => primitive::<types::Int8Type>(t, buffer, count, nulls),
        ArrowType::Int16 => primitive::<types::Int16Type>(t, buffer, count, nulls),
        ArrowType::Int32 => primitive::<types::Int32Type>(t, buffer, count, nulls),
        ArrowType::Int64 => primitive::<types::Int64Type>(t, buffer, count, nulls),
        ArrowType::Float32 => primitive::<types::Float32Type>(t, buffer, count, nulls),
        ArrowType::Float64 => primitive::<types::Float64Type>(t, buffer, count, nulls),
        ArrowType::Date32 => primitive::<types::Date32Type>(t, buffer, count, nulls),
        ArrowType::Decimal64(..) => primitive::<types::Decimal64Type>(t, buffer, count, nulls),
        ArrowType::Decimal128(..) => primitive::<types::Decimal128Type>(t, buffer, count, nulls),
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => primitive::<types::TimestampMicrosecondType>(t, buffer, count, nulls),
        ArrowType::Interval(IntervalUnit::YearMonth) => primitive::<types::IntervalYearMonthType>(t, buffer, count, nulls),
        ArrowType::Duration(TimeUnit::Microsecond) => primitive::<types::DurationMicrosecondType>(t, buffer, count, nulls),
        ArrowType::Utf8View | ArrowType::BinaryView => {
            let views = ScalarBuffer::<u128>::new(buffer, 0, count);
            debug_assert!(views.iter().all(|v| (*v as u32 as usize) <= INLINE || ((*v >> 64) as u32 as usize) < buffers.len()));
            // SAFETY: views were written by generated code from valid strings: inline, or pointing into `buffers` at
            // what add_long_string copied; views of NULL rows are zero.
            Ok(match t {
                ArrowType::Utf8View => Arc::new(unsafe { StringViewArray::new_unchecked(views, buffers.into(), nulls) }),
                _ => Arc::new(unsafe { BinaryViewArray::new_unchecked(views, buffers.into(), nulls) }),
            })
        }
        other => Err(Error::internal(format!("a compiled stage cannot write {other}"))),
    }
}
