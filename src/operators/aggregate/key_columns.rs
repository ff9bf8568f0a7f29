//! Groups by columns of any type, stored column by column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, ByteView, Decimal128Array, StringViewArray};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::HashTable;

use crate::base::interrupt::Ticks;
use crate::base::{Error, Result};
use crate::expr::evaluate::normalise_floats;
use crate::operators::fixed_key::{hash_bytes, hash_wide, images, mix, restore, width};

/// Longest string that a view holds in itself.
const INLINE: u32 = 12;
/// Bytes of a block of long strings; a longer one has a block of its own.
const BLOCK: usize = 1 << 20;

/// Groups found by the hash of all key columns and then compared column by column.
pub struct KeyColumns {
    types: Vec<DataType>,
    columns: Vec<Stored>,
    /// Per column, whether a group's key is NULL; no longer than its last NULL needs.
    nulls: Vec<Vec<bool>>,
    table: HashTable<(u64, u32)>,
    groups: usize,
    hashes: Vec<u64>,
    /// Of groups that move as the table grows.
    moved: Ticks,
}

/// Key values of the groups; 0 or empty where NULL.
enum Stored {
    Fixed(Vec<u64>),
    Wide(Vec<i128>),
    Bytes(StoredBytes),
    /// Nested values in Arrow's row format, in which equal values are equal bytes.
    Encoded(Box<RowConverter>, Rows),
}

/// Key values of the rows of a batch.
enum Incoming<'a> {
    Fixed(Vec<u64>),
    Wide(&'a [i128]),
    Bytes(&'a [u128], &'a [Buffer]),
    Encoded(Rows),
}

/// Strings laid out as in Arrow's view arrays, so that they are given out without a copy.
#[derive(Default)]
struct StoredBytes {
    views: Vec<u128>,
    blocks: Vec<Vec<u8>>,
}

impl StoredBytes {
    fn push(&mut self, view: u128, buffers: &[Buffer]) {
        if view as u32 <= INLINE {
            self.views.push(view);
            return;
        }
        let bytes = long_bytes(view, buffers);
        if self.blocks.last().is_none_or(|b| b.len() + bytes.len() > b.capacity()) {
            self.blocks.push(Vec::with_capacity(BLOCK.max(bytes.len())));
        }
        let index = self.blocks.len() - 1;
        let block = &mut self.blocks[index];
        let stored = ByteView { buffer_index: index as u32, offset: block.len() as u32, ..ByteView::from(view) };
        block.extend_from_slice(bytes);
        self.views.push(stored.as_u128());
    }

    fn equals(&self, group: usize, view: u128, buffers: &[Buffer]) -> bool {
        let stored = self.views[group];
        // The low half is length and first four bytes; views of short strings are equal as wholes.
        if view as u32 <= INLINE || stored as u64 != view as u64 {
            return stored == view;
        }
        let at = ByteView::from(stored);
        let (start, end) = (at.offset as usize, (at.offset + at.length) as usize);
        self.blocks[at.buffer_index as usize][start..end] == *long_bytes(view, buffers)
    }

    fn emit(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        let views = ScalarBuffer::from(std::mem::take(&mut self.views));
        let blocks: Vec<Buffer> = std::mem::take(&mut self.blocks).into_iter().map(Buffer::from).collect();
        Ok(match data_type {
            DataType::Utf8View => Arc::new(StringViewArray::try_new(views, blocks, nulls)?),
            _ => Arc::new(BinaryViewArray::try_new(views, blocks, nulls)?),
        })
    }
}

/// The bytes of a view of more than [`INLINE`] bytes.
fn long_bytes(view: u128, buffers: &[Buffer]) -> &[u8] {
    let at = ByteView::from(view);
    &buffers[at.buffer_index as usize][at.offset as usize..(at.offset + at.length) as usize]
}

impl Incoming<'_> {
    fn hash(&self, row: usize) -> u64 {
        match self {
            Incoming::Fixed(values) => mix(values[row]),
            Incoming::Wide(values) => hash_wide(values[row] as u128),
            Incoming::Bytes(views, _) if views[row] as u32 <= INLINE => hash_wide(views[row]),
            Incoming::Bytes(views, buffers) => hash_bytes(long_bytes(views[row], buffers)),
            Incoming::Encoded(rows) => hash_bytes(rows.row(row).data()),
        }
    }
}

impl Stored {
    fn new(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            t if width(t).is_some() => Stored::Fixed(vec![]),
            DataType::Decimal128(_, _) => Stored::Wide(vec![]),
            DataType::Utf8View | DataType::BinaryView => Stored::Bytes(StoredBytes::default()),
            other => {
                let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
                let rows = converter.empty_rows(0, 0);
                Stored::Encoded(Box::new(converter), rows)
            }
        })
    }

    fn incoming<'a>(&self, column: &'a ArrayRef) -> Result<Incoming<'a>> {
        let mismatch = || Error::internal(format!("a key column became {}", column.data_type()));
        Ok(match self {
            Stored::Fixed(_) => {
                let mut values = Vec::with_capacity(column.len());
                images(column, &mut values)?;
                Incoming::Fixed(values)
            }
            Stored::Wide(_) => Incoming::Wide(column.as_primitive_opt::<Decimal128Type>().ok_or_else(mismatch)?.values()),
            Stored::Bytes(_) => match column.data_type() {
                DataType::Utf8View => Incoming::Bytes(column.as_string_view().views(), column.as_string_view().data_buffers()),
                DataType::BinaryView => Incoming::Bytes(column.as_binary_view().views(), column.as_binary_view().data_buffers()),
                _ => return Err(mismatch()),
            },
            Stored::Encoded(converter, _) => Incoming::Encoded(converter.convert_columns(&[normalise_floats(column)?])?),
        })
    }

    fn equals(&self, group: usize, incoming: &Incoming, row: usize) -> bool {
        match (self, incoming) {
            (Stored::Fixed(stored), Incoming::Fixed(values)) => stored[group] == values[row],
            (Stored::Wide(stored), Incoming::Wide(values)) => stored[group] == values[row],
            (Stored::Bytes(stored), Incoming::Bytes(views, buffers)) => stored.equals(group, views[row], buffers),
            (Stored::Encoded(_, stored), Incoming::Encoded(rows)) => stored.row(group) == rows.row(row),
            _ => false,
        }
    }

    fn push(&mut self, incoming: &Incoming, row: usize, null: bool) {
        match (self, incoming) {
            (Stored::Fixed(stored), Incoming::Fixed(values)) => stored.push(values[row]),
            (Stored::Wide(stored), Incoming::Wide(values)) => stored.push(if null { 0 } else { values[row] }),
            (Stored::Bytes(stored), Incoming::Bytes(views, buffers)) => stored.push(if null { 0 } else { views[row] }, buffers),
            (Stored::Encoded(_, stored), Incoming::Encoded(rows)) => stored.push(rows.row(row)),
            _ => {}
        }
    }
}

impl KeyColumns {
    /// # Errors
    /// `Internal` for types that Arrow cannot encode as rows.
    pub fn new(types: &[DataType]) -> Result<Self> {
        Ok(Self {
            types: types.to_vec(),
            columns: types.iter().map(Stored::new).collect::<Result<_>>()?,
            nulls: vec![vec![]; types.len()],
            table: HashTable::new(),
            groups: 0,
            hashes: vec![],
            moved: Ticks::default(),
        })
    }

    pub fn len(&self) -> usize {
        self.groups
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        let column = |stored: &Stored| match stored {
            Stored::Fixed(values) => values.capacity() * 8,
            Stored::Wide(values) => values.capacity() * 16,
            Stored::Bytes(bytes) => {
                let last = bytes.blocks.last().map_or(0, Vec::len);
                bytes.views.capacity() * 16 + bytes.blocks.len().saturating_sub(1) * BLOCK + last
            }
            Stored::Encoded(_, rows) => rows.size(),
        };
        self.table.allocation_size() + self.columns.iter().map(column).sum::<usize>()
    }

    /// Appends the group of each row to `ids`, adding groups that are new.
    ///
    /// # Errors
    /// `Internal` when the columns are not of the declared types.
    pub fn intern(&mut self, columns: &[ArrayRef], rows: usize, ids: &mut Vec<u32>) -> Result<()> {
        let incoming = self.columns.iter().zip(columns).map(|(s, c)| s.incoming(c)).collect::<Result<Vec<_>>>()?;
        let nulls: Vec<Option<&NullBuffer>> = columns.iter().map(|c| c.nulls().filter(|n| n.null_count() > 0)).collect();
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.resize(rows, 0);
        for (values, nulls) in incoming.iter().zip(&nulls) {
            match nulls {
                None => hashes.iter_mut().enumerate().for_each(|(row, h)| *h = mix(*h ^ values.hash(row))),
                Some(nulls) => hashes.iter_mut().enumerate().for_each(|(row, h)| {
                    *h = mix(*h ^ if nulls.is_valid(row) { values.hash(row) } else { 1 });
                }),
            }
        }
        let plain = nulls.iter().all(Option::is_none) && self.nulls.iter().all(Vec::is_empty);
        ids.reserve(rows);
        let mut last = None;
        for (row, hash) in hashes.iter().enumerate() {
            // Runs of equal keys (clustered inputs) need no lookup.
            if let Some((last_hash, group)) = last
                && last_hash == *hash
                && self.equals(group as usize, &incoming, &nulls, row, plain)
            {
                ids.push(group);
                continue;
            }
            let found = self.table.find(*hash, |(h, g)| h == hash && self.equals(*g as usize, &incoming, &nulls, row, plain));
            let group = match found {
                Some((_, group)) => *group,
                None => self.add(*hash, &incoming, &nulls, row),
            };
            last = Some((*hash, group));
            ids.push(group);
        }
        self.hashes = hashes;
        Ok(())
    }

    fn equals(&self, group: usize, incoming: &[Incoming], nulls: &[Option<&NullBuffer>], row: usize, plain: bool) -> bool {
        if plain {
            return self.columns.iter().zip(incoming).all(|(stored, values)| stored.equals(group, values, row));
        }
        (0..incoming.len()).all(|c| {
            let stored_null = self.nulls[c].get(group).copied().unwrap_or(false);
            let null = nulls[c].is_some_and(|n| n.is_null(row));
            stored_null == null && (null || self.columns[c].equals(group, &incoming[c], row))
        })
    }

    fn add(&mut self, hash: u64, incoming: &[Incoming], nulls: &[Option<&NullBuffer>], row: usize) -> u32 {
        let group = self.groups as u32;
        self.groups += 1;
        for (c, values) in incoming.iter().enumerate() {
            let null = nulls[c].is_some_and(|n| n.is_null(row));
            if null {
                self.nulls[c].resize(group as usize, false);
                self.nulls[c].push(true);
            }
            self.columns[c].push(values, row, null);
        }
        self.table.insert_unique(hash, (hash, group), |(h, _)| {
            self.moved.tick();
            *h
        });
        group
    }

    /// The key columns, one row per group; the groups are gone afterwards.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn emit(&mut self) -> Result<Vec<ArrayRef>> {
        let groups = self.groups;
        let mut out = Vec::with_capacity(self.columns.len());
        for ((stored, nulls), data_type) in self.columns.iter_mut().zip(&mut self.nulls).zip(&self.types) {
            let nulls = (!nulls.is_empty()).then(|| {
                nulls.resize(groups, false);
                nulls.iter().map(|null| !null).collect::<NullBuffer>()
            });
            out.push(match stored {
                Stored::Fixed(values) => restore(data_type, values.iter().copied(), nulls)?,
                Stored::Wide(values) => {
                    Arc::new(Decimal128Array::try_new(ScalarBuffer::from(std::mem::take(values)), nulls)?.with_data_type(data_type.clone()))
                }
                Stored::Bytes(bytes) => bytes.emit(data_type, nulls)?,
                Stored::Encoded(converter, rows) => converter.convert_rows(rows.iter())?.remove(0),
            });
        }
        Ok(out)
    }
}
