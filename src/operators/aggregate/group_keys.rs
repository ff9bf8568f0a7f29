//! From rows of key columns to dense group ids, in order of first appearance.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, StringViewArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use hashbrown::HashTable;

use super::key_columns::KeyColumns;
use crate::base::interrupt::Ticks;
use crate::base::{Error, Result};
use crate::operators::fixed_key::{images, mix, restore, width};

/// The groups seen so far. NULLs equal each other.
pub enum GroupKeys {
    /// No key columns: one group, there from the start.
    Single,
    /// All key columns side by side in a word of 64 bits.
    Short(PackedKeys<u64>),
    /// All key columns side by side in a word of 128 bits.
    Long(PackedKeys<u128>),
    Columns(KeyColumns),
}

impl GroupKeys {
    /// Chooses an encoding. It counts on declared nullability and on short strings; where it is wrong, groups move to another.
    ///
    /// # Errors
    /// `Internal` for types that cannot be keys.
    pub fn new(types: &[DataType], nullable: &[bool]) -> Result<Self> {
        if types.is_empty() {
            return Ok(GroupKeys::Single);
        }
        let single = types.len() == 1;
        let Some(parts) = types.iter().map(|t| Part::of(t, single)).collect::<Option<Vec<Part>>>() else {
            return Ok(GroupKeys::Columns(KeyColumns::new(types)?));
        };
        let null_bits: Vec<u32> = if single { vec![0] } else { nullable.iter().map(|n| u32::from(*n)).collect() };
        Ok(match parts.iter().map(|p| p.bits()).sum::<u32>() + null_bits.iter().sum::<u32>() {
            0..=64 => GroupKeys::Short(PackedKeys::new(types, parts, null_bits)),
            65..=128 => GroupKeys::Long(PackedKeys::new(types, parts, null_bits)),
            _ => GroupKeys::Columns(KeyColumns::new(types)?),
        })
    }

    pub fn len(&self) -> usize {
        match self {
            GroupKeys::Single => 1,
            GroupKeys::Short(keys) => keys.len(),
            GroupKeys::Long(keys) => keys.len(),
            GroupKeys::Columns(keys) => keys.len(),
        }
    }

    /// Puts the group of each row into `ids`, adding groups that are new.
    ///
    /// # Errors
    /// `Internal` when the columns are not of the declared types.
    pub fn intern(&mut self, columns: &[ArrayRef], rows: usize, ids: &mut Vec<u32>) -> Result<()> {
        ids.clear();
        let fits = match self {
            GroupKeys::Short(keys) => keys.fits(columns),
            GroupKeys::Long(keys) => keys.fits(columns),
            GroupKeys::Single | GroupKeys::Columns(_) => true,
        };
        if !fits {
            let mut general = KeyColumns::new(&columns.iter().map(|c| c.data_type().clone()).collect::<Vec<_>>())?;
            let groups = self.len();
            general.intern(&self.emit()?, groups, ids)?;
            ids.clear();
            *self = GroupKeys::Columns(general);
        }
        match self {
            GroupKeys::Single => {
                ids.resize(rows, 0);
                Ok(())
            }
            GroupKeys::Short(keys) => keys.intern(columns, rows, ids),
            GroupKeys::Long(keys) => keys.intern(columns, rows, ids),
            GroupKeys::Columns(keys) => keys.intern(columns, rows, ids),
        }
    }

    /// Bytes held, about.
    pub fn memory(&self) -> usize {
        match self {
            GroupKeys::Single => 0,
            GroupKeys::Short(keys) => keys.memory(),
            GroupKeys::Long(keys) => keys.memory(),
            GroupKeys::Columns(keys) => keys.memory(),
        }
    }

    /// The key columns, one row per group.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn emit(&mut self) -> Result<Vec<ArrayRef>> {
        match self {
            GroupKeys::Single => Ok(vec![]),
            GroupKeys::Short(keys) => keys.emit(),
            GroupKeys::Long(keys) => keys.emit(),
            GroupKeys::Columns(keys) => keys.emit(),
        }
    }
}

/// A machine word that key columns are packed into.
pub trait Word: Copy + Eq + Default {
    fn push(self, bits: u32, value: u64) -> Self;
    /// The `bits` bits that start `shift` bits above the lowest.
    fn bits(self, shift: u32, bits: u32) -> u64;
    fn hash(self) -> u64;
}

impl Word for u64 {
    fn push(self, bits: u32, value: u64) -> Self {
        self.checked_shl(bits).unwrap_or(0) | value
    }
    fn bits(self, shift: u32, bits: u32) -> u64 {
        if bits == 0 { 0 } else { (self >> shift) & (u64::MAX >> (64 - bits)) }
    }
    fn hash(self) -> u64 {
        mix(self)
    }
}

impl Word for u128 {
    fn push(self, bits: u32, value: u64) -> Self {
        (self << bits) | u128::from(value)
    }
    fn bits(self, shift: u32, bits: u32) -> u64 {
        ((self >> shift) as u64).bits(0, bits)
    }
    fn hash(self) -> u64 {
        mix(self as u64 ^ mix((self >> 64) as u64))
    }
}

/// How a column is put into a word.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// The image of a fixed-width value.
    Fixed(u32),
    /// A string of at most 4 bytes: its length in 8 bits, its bytes in 32.
    Tiny,
    /// A string of at most 12 bytes: 40 bits as above, then the other 8 bytes.
    Text,
}

impl Part {
    fn of(data_type: &DataType, single: bool) -> Option<Self> {
        match data_type {
            DataType::Utf8View if single => Some(Part::Text),
            DataType::Utf8View => Some(Part::Tiny),
            other => width(other).map(Part::Fixed),
        }
    }

    fn bits(self) -> u32 {
        match self {
            Part::Fixed(bits) => bits,
            Part::Tiny => 40,
            Part::Text => 104,
        }
    }

    /// Length of the longest string that fits.
    fn longest(self) -> u32 {
        match self {
            Part::Fixed(_) => 0,
            Part::Tiny => 4,
            Part::Text => 12,
        }
    }
}

/// Groups by columns that fit one word together.
pub struct PackedKeys<W> {
    types: Vec<DataType>,
    parts: Vec<Part>,
    /// 1 where a column has a null bit above its value. A single column has none: its NULL group is known apart.
    null_bits: Vec<u32>,
    table: HashTable<(W, u32)>,
    /// The word of each group.
    groups: Vec<W>,
    null_group: Option<u32>,
    words: Vec<W>,
    values: Vec<u64>,
    /// Of groups that move as the table grows.
    moved: Ticks,
}

impl<W: Word> PackedKeys<W> {
    fn new(types: &[DataType], parts: Vec<Part>, null_bits: Vec<u32>) -> Self {
        Self {
            types: types.to_vec(),
            parts,
            null_bits,
            table: HashTable::new(),
            groups: vec![],
            null_group: None,
            words: vec![],
            values: vec![],
            moved: Ticks::default(),
        }
    }

    fn len(&self) -> usize {
        self.groups.len()
    }

    fn memory(&self) -> usize {
        self.table.allocation_size() + self.groups.capacity() * size_of::<W>()
    }

    /// Whether NULLs occur only where there is a place for them, and no string is too long.
    fn fits(&self, columns: &[ArrayRef]) -> bool {
        columns.iter().zip(&self.null_bits).zip(&self.parts).all(|((column, null_bit), part)| {
            let short = |views: &[u128]| views.iter().fold(0, |most, v| most.max(*v as u32)) <= part.longest();
            (*null_bit == 1 || columns.len() == 1 || column.null_count() == 0)
                && column.as_string_view_opt().is_none_or(|strings| short(strings.views()))
        })
    }

    /// Puts the columns of each row side by side into `self.words`.
    fn pack(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let words = &mut self.words;
        words.clear();
        words.resize(rows, W::default());
        for ((column, part), null_bit) in columns.iter().zip(&self.parts).zip(&self.null_bits) {
            let nulls = column.nulls().filter(|n| n.null_count() > 0);
            if *null_bit == 1 {
                match nulls {
                    None => words.iter_mut().for_each(|w| *w = w.push(1, 0)),
                    Some(nulls) => words.iter_mut().zip(nulls.iter()).for_each(|(w, valid)| *w = w.push(1, u64::from(!valid))),
                }
            }
            match (part, column.as_string_view_opt()) {
                (Part::Fixed(bits), _) => {
                    images(column, &mut self.values)?;
                    words.iter_mut().zip(&self.values).for_each(|(w, v)| *w = w.push(*bits, *v));
                }
                (Part::Tiny | Part::Text, Some(strings)) => {
                    let push = |w: &mut W, view: u128| {
                        *w = w.push(40, u64::from(view as u8) << 32 | (view as u64) >> 32);
                        if *part == Part::Text {
                            *w = w.push(64, (view >> 64) as u64);
                        }
                    };
                    // What stands in the place of a NULL is undefined.
                    let views = strings.views().iter();
                    match nulls {
                        None => words.iter_mut().zip(views).for_each(|(w, view)| push(w, *view)),
                        Some(nulls) => {
                            words
                                .iter_mut()
                                .zip(views)
                                .zip(nulls.iter())
                                .for_each(|((w, view), valid)| push(w, if valid { *view } else { 0 }));
                        }
                    }
                }
                (Part::Tiny | Part::Text, None) => return Err(Error::internal(format!("a key column became {}", column.data_type()))),
            }
        }
        Ok(())
    }

    fn intern(&mut self, columns: &[ArrayRef], rows: usize, ids: &mut Vec<u32>) -> Result<()> {
        self.pack(columns, rows)?;
        ids.reserve(rows);
        let nulls = if columns.len() == 1 { columns[0].nulls().filter(|n| n.null_count() > 0) } else { None };
        let words = std::mem::take(&mut self.words);
        match nulls {
            None => {
                // Runs of equal keys are common (sorted or clustered inputs) and need no lookup.
                let mut last = None;
                for word in &words {
                    let id = match last {
                        Some((key, id)) if key == *word => id,
                        _ => self.find_or_add(*word),
                    };
                    last = Some((*word, id));
                    ids.push(id);
                }
            }
            Some(nulls) => {
                for (word, valid) in words.iter().zip(nulls.iter()) {
                    let id = if valid { self.find_or_add(*word) } else { self.null_group() };
                    ids.push(id);
                }
            }
        }
        self.words = words;
        Ok(())
    }

    fn find_or_add(&mut self, word: W) -> u32 {
        let hash = word.hash();
        if let Some((_, id)) = self.table.find(hash, |(w, _)| *w == word) {
            return *id;
        }
        let id = self.groups.len() as u32;
        self.table.insert_unique(hash, (word, id), |(w, _)| {
            self.moved.tick();
            w.hash()
        });
        self.groups.push(word);
        id
    }

    fn null_group(&mut self) -> u32 {
        *self.null_group.get_or_insert_with(|| {
            self.groups.push(W::default());
            self.groups.len() as u32 - 1
        })
    }

    fn emit(&mut self) -> Result<Vec<ArrayRef>> {
        let mut shift: u32 = self.parts.iter().map(|p| p.bits()).sum::<u32>() + self.null_bits.iter().sum::<u32>();
        let mut columns = Vec::with_capacity(self.types.len());
        for ((data_type, part), null_bit) in self.types.iter().zip(&self.parts).zip(&self.null_bits) {
            let nulls = if *null_bit == 1 {
                shift -= 1;
                let mut valid = BooleanBufferBuilder::new(self.groups.len());
                self.groups.iter().for_each(|w| valid.append(w.bits(shift, 1) == 0));
                Some(NullBuffer::new(valid.finish())).filter(|n| n.null_count() > 0)
            } else {
                self.null_group.map(|null| (0..self.groups.len() as u32).map(|g| g != null).collect())
            };
            shift -= part.bits();
            let column = match part {
                Part::Fixed(bits) => restore(data_type, self.groups.iter().map(|w| w.bits(shift, *bits)), nulls)?,
                Part::Tiny | Part::Text => {
                    let rest = if *part == Part::Text { 64 } else { 0 };
                    let view = |w: &W| {
                        let head = w.bits(shift + rest, 40);
                        u128::from(w.bits(shift, rest)) << 64 | u128::from(head << 32) | u128::from(head >> 32)
                    };
                    let views: ScalarBuffer<u128> = self.groups.iter().map(view).collect();
                    Arc::new(StringViewArray::try_new(views, vec![], nulls)?)
                }
            };
            columns.push(column);
        }
        Ok(columns)
    }
}
