//! The table of groups of one task: packed rows, found by hash or by key.

use super::arena::Arena;
use super::pages::{Pages, next_block};
use crate::base::{Result, interrupt};

/// Bytes at the start of a row: its hash, or of a row in its slot, 1 where there is a group.
pub const ROW_HEADER: usize = 8;
const FIRST_SLOTS: usize = 256;
/// Bytes.
const FIRST_BLOCK: usize = 4096;
/// Rows put into a new directory between two checks whether to stop.
const ROWS_PER_CHECK: usize = 1 << 16;

/// Where someone who [reads](AggregateTable::read) rows stands.
#[derive(Debug, Default)]
pub struct Position {
    block: usize,
    row: usize,
}

impl Position {
    /// Whether it stands at the start, for a reader of one row; it does not afterwards.
    pub fn once(&mut self) -> bool {
        self.row += 1;
        self.row == 1
    }
}

/// How generated code finds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// By an open-addressing directory: slot `hash >> shift`, entries `address << 16 | low 16 bits of the hash`, 0 for empty, next
    /// slot on collision, wrapping by `mask`.
    Hash,
    /// By a directory with a slot for each key there can be: the row's address, 0 for none.
    Directory { slots: usize },
    /// The row of each key there can be lies in its slot.
    InPlace { slots: usize },
}

/// See the module. Generated code adds a row by taking `next`, while there is `room`; the row is zeroed.
#[derive(Debug)]
#[repr(C)]
pub struct AggregateTable {
    /// First slot.
    directory: *mut u64,
    shift: u64,
    mask: u64,
    /// Where the next row goes.
    next: *mut u8,
    /// Rows that can be added before the table must grow.
    room: u64,
    // Below: not touched by generated code.
    addressing: Addressing,
    slots: Pages,
    row_size: usize,
    /// Rows in order; all blocks but the last are full.
    blocks: Vec<Pages>,
    /// Rows in the full blocks.
    full: usize,
    /// Rows in their slots, in order of insertion.
    placed: Vec<u64>,
    strings: Arena,
}

// SAFETY: the pointers are into memory that the table owns; a table is used by one task at a time.
unsafe impl Send for AggregateTable {}

/// Offset of the directory's address in the table.
pub const DIRECTORY: i32 = 0;
/// Offset of `shift`.
pub const SHIFT: i32 = 8;
/// Offset of `mask`.
pub const MASK: i32 = 16;
/// Offset of `next`.
pub const NEXT: i32 = 24;
/// Offset of `room`.
pub const ROOM: i32 = 32;

impl AggregateTable {
    /// An empty table of rows of `row_size` bytes (a multiple of 8).
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn new(row_size: usize, addressing: Addressing) -> Result<Box<Self>> {
        let slots = match addressing {
            Addressing::Hash => FIRST_SLOTS,
            Addressing::Directory { slots } => slots,
            Addressing::InPlace { slots } => slots * (row_size / 8),
        };
        let mut table = Box::new(Self {
            directory: std::ptr::null_mut(),
            shift: 0,
            mask: 0,
            next: std::ptr::null_mut(),
            room: 0,
            addressing,
            slots: Pages::default(),
            row_size,
            blocks: vec![],
            full: 0,
            placed: vec![],
            strings: Arena::default(),
        });
        table.resize(slots)?;
        Ok(table)
    }

    /// A zeroed directory of `slots` words, filled again from the rows.
    fn resize(&mut self, slots: usize) -> Result<()> {
        // The old one goes first.
        self.slots = Pages::default();
        self.slots = Pages::zeroed(slots);
        self.slots.touch()?;
        self.directory = self.slots.as_mut_ptr();
        if self.addressing != Addressing::Hash {
            return Ok(());
        }
        self.mask = slots as u64 - 1;
        self.shift = u64::from(64 - slots.trailing_zeros());
        for block in 0..self.blocks.len() {
            for (i, row) in self.rows_of(block).enumerate() {
                if i % ROWS_PER_CHECK == 0 {
                    interrupt::check()?;
                }
                // SAFETY: every row of a table by hash starts with its hash.
                let hash = unsafe { (row as *const u64).read() };
                let mut slot = (hash >> self.shift) as usize;
                while self.slots[slot] != 0 {
                    slot = (slot + 1) & self.mask as usize;
                }
                self.slots[slot] = (row << 16) | (hash & 0xFFFF);
            }
        }
        Ok(())
    }

    /// Makes room for at least one more row; the directory may move.
    ///
    /// # Errors
    /// `Cancelled`; no more rows are found then.
    pub fn grow(&mut self) -> Result<()> {
        let mut rows = self.full + self.in_last_block();
        if self.addressing == Addressing::Hash && (rows + 1) * 2 > self.slots.len() {
            self.resize(self.slots.len() * 4)?;
        }
        let capacity = |block: &Pages| block.len() * 8 / self.row_size;
        let mut left = self.blocks.last().map_or(0, capacity) - self.in_last_block();
        if left == 0 {
            self.full = rows;
            let held = self.blocks.iter().map(|b| b.len() * 8).sum();
            let mut block = Pages::zeroed(next_block(held, FIRST_BLOCK).max(self.row_size) / 8);
            left = capacity(&block);
            self.next = block.as_mut_ptr().cast();
            self.blocks.push(block);
        }
        if self.addressing == Addressing::Hash {
            rows = self.slots.len() / 2 - rows;
            left = left.min(rows);
        }
        self.room = left as u64;
        Ok(())
    }

    /// Rows in the last block.
    fn in_last_block(&self) -> usize {
        self.blocks.last().map_or(0, |b| (self.next as usize - b.as_ptr() as usize) / self.row_size)
    }

    /// Marks a row in its slot as there.
    ///
    /// # Safety
    /// `row` is the row of a slot, and not marked.
    pub unsafe fn place(&mut self, row: *mut u64) {
        // SAFETY: the caller's; rows in slots begin with the mark.
        unsafe { row.write(1) };
        self.placed.push(row as u64);
    }

    /// Puts the addresses of the next rows into `addresses`, at most `count`, in order of insertion; none at the end.
    pub fn read(&self, from: &mut Position, count: usize, addresses: &mut Vec<u64>) {
        addresses.clear();
        if let Addressing::InPlace { .. } = self.addressing {
            let rows = &self.placed[from.row..];
            addresses.extend_from_slice(&rows[..rows.len().min(count)]);
            from.row += addresses.len();
            return;
        }
        while addresses.len() < count && from.block < self.blocks.len() {
            let before = addresses.len();
            addresses.extend(self.rows_of(from.block).skip(from.row).take(count - before));
            from.row += addresses.len() - before;
            if addresses.len() < count {
                *from = Position { block: from.block + 1, row: 0 };
            }
        }
    }

    /// Addresses of the rows of a block.
    fn rows_of(&self, block: usize) -> impl Iterator<Item = u64> + use<> {
        let last = block + 1 == self.blocks.len();
        let (words, size) = (&self.blocks[block], self.row_size as u64);
        let count = if last { self.in_last_block() } else { words.len() * 8 / self.row_size };
        let start = words.as_ptr() as u64;
        (0..count as u64).map(move |r| start + r * size)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        let (last, full) = self.blocks.split_last().map_or((0, &[][..]), |(last, full)| {
            let used = (self.next as usize - last.as_ptr() as usize) / 8;
            (last.memory(used), full)
        });
        let blocks: usize = full.iter().map(|b| b.len() * 8).sum();
        self.slots.memory(self.slots.len()) + last + blocks + self.placed.capacity() * 8 + self.strings.memory()
    }

    /// Keeps a copy of a string as long as the table lives.
    pub fn keep(&mut self, bytes: &[u8]) -> *const u8 {
        self.strings.copy(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::hash;

    /// As generated code does.
    fn insert(table: &mut AggregateTable, hash: u64) -> *mut u64 {
        if table.room == 0 {
            table.grow().unwrap();
        }
        let row = table.next.cast::<u64>();
        table.next = table.next.wrapping_add(table.row_size);
        table.room -= 1;
        let mut slot = (hash >> table.shift) as usize;
        while table.slots[slot] != 0 {
            slot = (slot + 1) & table.mask as usize;
        }
        table.slots[slot] = ((row as u64) << 16) | (hash & 0xFFFF);
        // SAFETY: there was room for the row.
        unsafe { row.write(hash) };
        row
    }

    #[test]
    fn grows_and_keeps_rows() {
        let mut table = AggregateTable::new(24, Addressing::Hash).unwrap();
        for i in 0..10_000u64 {
            let row = insert(&mut table, hash::combine(hash::SEED, i));
            // SAFETY: rows have 24 bytes.
            unsafe { row.add(1).write(i) };
        }
        let (mut values, mut rows, mut from) = (vec![], vec![], Position::default());
        loop {
            table.read(&mut from, 77, &mut rows);
            // SAFETY: as above.
            values.extend(rows.iter().map(|r| unsafe { (*r as *const u64).add(1).read() }));
            if rows.is_empty() {
                break;
            }
        }
        assert_eq!(values, (0..10_000).collect::<Vec<_>>());
        assert_eq!(table.slots.iter().filter(|s| **s != 0).count(), 10_000);
    }
}
