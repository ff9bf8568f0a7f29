//! The view of an Arrow batch that generated code reads.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::datatypes as types;
use arrow::datatypes::DataType as ArrowType;

use crate::base::{Error, Result};

/// One column of a batch, read by generated code.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ColumnView {
    /// Values of native width; booleans as bytes; strings as Arrow's 16-byte views.
    pub values: *const u8,
    /// One byte per row, 1 where there is a value; absent (null) in the variant for batches without NULLs.
    pub validity: *const u8,
    /// Strings: the addresses of the data buffers; at least one entry.
    pub buffers: *const *const u8,
}

/// What a pipeline function reads: the views of a batch's columns, or the addresses of packed rows.
#[derive(Debug, Clone, Copy)]
pub struct Input(*const u8);

impl Input {
    /// Rows of a table; they and the list must outlive the call.
    pub fn rows(addresses: &[u64]) -> Self {
        Self(addresses.as_ptr().cast())
    }

    /// As generated code takes it.
    pub fn address(self) -> *const ColumnView {
        self.0.cast()
    }
}

/// Bytes of a [`ColumnView`].
pub const COLUMN_VIEW_SIZE: i32 = 24;
/// Offsets in a [`ColumnView`].
pub const VALUES: i32 = 0;
pub const VALIDITY: i32 = 8;
pub const BUFFERS: i32 = 16;

/// Views of the columns of one batch, and the memory made for them; reused from batch to batch.
#[derive(Debug, Default)]
pub struct BatchView {
    columns: Vec<ColumnView>,
    bytes: Vec<Vec<u8>>,
    tables: Vec<Vec<*const u8>>,
    /// Validity of columns without NULLs, where the variant for NULLs needs one.
    all_valid: Vec<u8>,
}

// SAFETY: the pointers are into the batch (kept by the user of the view during the call) or into the view's own memory.
unsafe impl Send for BatchView {}

impl BatchView {
    /// Points at `columns`; those that are `None` are not read by the code. `with_nulls`: make validity for all of them.
    ///
    /// # Errors
    /// `Internal` for types that generated code never reads.
    pub fn set(&mut self, columns: &[Option<ArrayRef>], rows: usize, with_nulls: bool) -> Result<Input> {
        self.columns.clear();
        self.bytes.clear();
        self.tables.clear();
        if with_nulls && self.all_valid.len() < rows {
            self.all_valid.resize(rows, 1);
        }
        for column in columns {
            let view = match column {
                Some(array) => self.view(array, with_nulls)?,
                None => ColumnView { values: std::ptr::null(), validity: std::ptr::null(), buffers: std::ptr::null() },
            };
            self.columns.push(view);
        }
        Ok(Input(self.columns.as_ptr().cast()))
    }

    fn view(&mut self, array: &ArrayRef, with_nulls: bool) -> Result<ColumnView> {
        let validity = match array.nulls() {
            Some(nulls) if with_nulls && nulls.null_count() > 0 => self.expand(nulls.inner()),
            _ if with_nulls => self.all_valid.as_ptr(),
            _ => std::ptr::null(),
        };
        let mut buffers = std::ptr::null();
        let values = match array.data_type() {
            ArrowType::Boolean => self.expand(array.as_boolean().values()),
            ArrowType::Utf8View => {
                let views = array.as_any().downcast_ref::<StringViewArray>().ok_or_else(|| mismatch(array))?;
                buffers = self.table(views.data_buffers());
                views.views().as_ptr().cast()
            }
            ArrowType::BinaryView => {
                let views = array.as_any().downcast_ref::<BinaryViewArray>().ok_or_else(|| mismatch(array))?;
                buffers = self.table(views.data_buffers());
                views.views().as_ptr().cast()
            }
            _ => fixed_width_values(array).ok_or_else(|| mismatch(array))?,
        };
        Ok(ColumnView { values, validity, buffers })
    }

    /// One byte per bit.
    fn expand(&mut self, bits: &BooleanBuffer) -> *const u8 {
        let mut bytes = Vec::with_capacity(bits.len() + 8);
        for chunk in bits.bit_chunks().iter() {
            for group in 0..8 {
                bytes.extend_from_slice(&spread((chunk >> (group * 8)) as u8).to_le_bytes());
            }
        }
        let done = bytes.len();
        bytes.extend((done..bits.len()).map(|i| u8::from(bits.value(i))));
        self.bytes.push(bytes);
        self.bytes[self.bytes.len() - 1].as_ptr()
    }

    fn table(&mut self, buffers: &[Buffer]) -> *const *const u8 {
        let mut table: Vec<*const u8> = buffers.iter().map(|b| b.as_ptr()).collect();
        if table.is_empty() {
            table.push(std::ptr::null());
        }
        self.tables.push(table);
        self.tables[self.tables.len() - 1].as_ptr()
    }
}

/// Eight bits as the lowest bits of eight bytes.
fn spread(byte: u8) -> u64 {
    let x = u64::from(byte);
    let x = (x | (x << 28)) & 0x0000_000F_0000_000F;
    let x = (x | (x << 14)) & 0x0003_0003_0003_0003;
    (x | (x << 7)) & 0x0101_0101_0101_0101
}

pub(super) fn mismatch(array: &ArrayRef) -> Error {
    Error::internal(format!("a compiled stage cannot read {}", array.data_type()))
}

/// Address of the first value of an array of fixed-width values.
pub(super) fn fixed_width_values(array: &ArrayRef) -> Option<*const u8> {
    macro_rules! values {
        ($($pattern:pat => $t:ty),* $(,)?) => {
            match array.data_type() {
                $($pattern => array.as_primitive_opt::<$t>()?.values().as_ptr().cast(),)*
                _ => return None,
            }
        };
    }
    use arrow::datatypes::{IntervalUnit, TimeUnit};
    Some(values! {
        ArrowType::Int8 => types::Int8Type,
        ArrowType::Int16 => types::Int16Type,
        ArrowType::Int32 => types::Int32Type,
        ArrowType::Int64 => types::Int64Type,
        ArrowType::Float32 => types::Float32Type,
        ArrowType::Float64 => types::Float64Type,
        ArrowType::Date32 => types::Date32Type,
        ArrowType::Decimal64(..) => types::Decimal64Type,
        ArrowType::Decimal128(..) => types::Decimal128Type,
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => types::TimestampMicrosecondType,
        ArrowType::Interval(IntervalUnit::YearMonth) => types::IntervalYearMonthType,
        ArrowType::Duration(TimeUnit::Microsecond) => types::DurationMicrosecondType,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_become_bytes() {
        for byte in 0..=255u8 {
            let bytes = spread(byte).to_le_bytes();
            for (i, b) in bytes.iter().enumerate() {
                assert_eq!(*b, (byte >> i) & 1, "{byte} {i}");
            }
        }
    }
}
