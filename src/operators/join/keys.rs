//! Join keys in the form in which they are hashed and compared: machine words where their width allows.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType as ArrowType;
use arrow::row::{RowConverter, Rows, SortField};

use crate::base::{Error, Result};
use crate::expr::evaluate::normalise_floats;
use crate::operators::fixed_key::{images, width};

/// How keys of given types are held. Both sides of a join have the same key types, hence the same layout.
#[derive(Debug)]
pub enum KeyLayout {
    /// One key of at most 64 bits, by its image (see `fixed_key`), which keeps the order.
    Word,
    /// Several keys of together at most 64 bits.
    Packed,
    /// Several keys of together at most 128 bits.
    Wide,
    /// One string or binary key.
    Bytes,
    /// Anything else, in Arrow's row format.
    Rows(RowConverter),
}

/// The keys of some rows.
#[derive(Debug)]
pub struct Keys {
    pub values: KeyValues,
    /// NULL where any key is: such rows equal none. Absent where none is.
    pub nulls: Option<NullBuffer>,
}

#[derive(Debug)]
pub enum KeyValues {
    Words(Vec<u64>),
    Wide(Vec<u128>),
    Bytes(BinaryViewArray),
    Rows(Rows),
}

impl KeyLayout {
    /// # Errors
    /// `Internal` for types without equality (maps); the binder refuses them earlier.
    pub fn new(types: &[ArrowType]) -> Result<Self> {
        if let [ArrowType::Utf8View | ArrowType::BinaryView] = types {
            return Ok(KeyLayout::Bytes);
        }
        let bits: Option<u32> = types.iter().map(width).sum();
        Ok(match bits {
            Some(1..=64) if types.len() == 1 => KeyLayout::Word,
            Some(1..=64) => KeyLayout::Packed,
            Some(65..=128) => KeyLayout::Wide,
            _ => KeyLayout::Rows(RowConverter::new(types.iter().cloned().map(SortField::new).collect())?),
        })
    }

    /// The keys of some rows in this layout.
    ///
    /// # Errors
    /// `Internal` when the columns do not have the layout's types.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Keys> {
        let nulls = columns.iter().fold(None, |nulls, c| NullBuffer::union(nulls.as_ref(), c.logical_nulls().as_ref()));
        let nulls = nulls.filter(|n| n.null_count() > 0);
        let values = match self {
            KeyLayout::Word => {
                let mut words = vec![];
                images(&columns[0], &mut words)?;
                KeyValues::Words(words)
            }
            KeyLayout::Packed => {
                let mut packed = vec![0u64; columns[0].len()];
                pack(columns, |row, bits, image| packed[row] = (packed[row] << bits) | image)?;
                KeyValues::Words(packed)
            }
            KeyLayout::Wide => {
                let mut packed = vec![0u128; columns[0].len()];
                pack(columns, |row, bits, image| packed[row] = (packed[row] << bits) | u128::from(image))?;
                KeyValues::Wide(packed)
            }
            KeyLayout::Bytes => KeyValues::Bytes(match columns[0].as_string_view_opt() {
                Some(strings) => strings.clone().to_binary_view(),
                None => columns[0].as_binary_view_opt().cloned().ok_or_else(|| unexpected(&columns[0]))?,
            }),
            KeyLayout::Rows(converter) => {
                let columns = columns.iter().map(normalise_floats).collect::<Result<Vec<_>>>()?;
                KeyValues::Rows(converter.convert_columns(&columns)?)
            }
        };
        Ok(Keys { values, nulls })
    }
}

/// Calls `put` with row, width and image of every value, column by column.
fn pack(columns: &[ArrayRef], mut put: impl FnMut(usize, u32, u64)) -> Result<()> {
    let mut values = vec![];
    for column in columns {
        let bits = width(column.data_type()).ok_or_else(|| unexpected(column))?;
        images(column, &mut values)?;
        values.iter().enumerate().for_each(|(row, &image)| put(row, bits, image));
    }
    Ok(())
}

fn unexpected(column: &ArrayRef) -> Error {
    Error::internal(format!("join key of unexpected type {}", column.data_type()))
}
