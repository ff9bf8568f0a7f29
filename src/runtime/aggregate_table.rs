//! The table of groups of one task: an open-addressing directory of tagged pointers to packed rows.

use super::arena::Arena;

/// Bytes at the start of each row: its hash.
pub const ROW_HEADER: usize = 8;
const FIRST_SLOTS: usize = 256;

/// Groups by hash. Generated code probes the directory inline: slot `hash >> shift`, entries `address << 16 | low 16 bits of
/// the hash`, 0 for empty, next slot on collision, wrapping by `mask`.
#[derive(Debug)]
#[repr(C)]
pub struct AggregateTable {
    /// First slot of the directory.
    directory: *mut u64,
    shift: u64,
    mask: u64,
    // Below: not touched by generated code.
    slots: Vec<u64>,
    rows: Vec<*mut u8>,
    row_size: usize,
    arena: Arena,
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

impl AggregateTable {
    /// A table of rows of `row_size` bytes (header included).
    pub fn new(row_size: usize) -> Box<Self> {
        let mut table = Box::new(Self {
            directory: std::ptr::null_mut(),
            shift: 0,
            mask: 0,
            slots: vec![],
            rows: vec![],
            row_size,
            arena: Arena::default(),
            strings: Arena::default(),
        });
        table.resize(FIRST_SLOTS);
        table
    }

    /// A table addressed by key: one slot per key, entries are rows' addresses, filled by [`Self::insert_at`] alone.
    pub fn by_key(row_size: usize, slots: usize) -> Box<Self> {
        let mut table = Self::new(row_size);
        table.slots = vec![0; slots];
        table.directory = table.slots.as_mut_ptr();
        table
    }

    /// A new zeroed row in slot `slot`, which must be empty.
    pub fn insert_at(&mut self, slot: usize) -> *mut u8 {
        let row = self.arena.allocate(self.row_size);
        self.slots[slot] = row as u64;
        self.rows.push(row);
        row
    }

    fn resize(&mut self, slots: usize) {
        self.slots = vec![0; slots];
        self.directory = self.slots.as_mut_ptr();
        self.mask = slots as u64 - 1;
        self.shift = u64::from(64 - slots.trailing_zeros());
        for i in 0..self.rows.len() {
            let row = self.rows[i];
            // SAFETY: every row starts with its hash.
            let hash = unsafe { row.cast::<u64>().read() };
            self.place(hash, row);
        }
    }

    fn place(&mut self, hash: u64, row: *mut u8) {
        let mut slot = (hash >> self.shift) as usize;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & self.mask as usize;
        }
        self.slots[slot] = ((row as u64) << 16) | (hash & 0xFFFF);
    }

    /// A new zeroed row for a key of that hash, which must not be in the table.
    pub fn insert(&mut self, hash: u64) -> *mut u8 {
        if (self.rows.len() + 1) * 2 > self.slots.len() {
            self.resize(self.slots.len() * 4);
        }
        let row = self.arena.allocate(self.row_size);
        // SAFETY: the row has at least the header's 8 bytes and is aligned to 8.
        unsafe { row.cast::<u64>().write(hash) };
        self.place(hash, row);
        self.rows.push(row);
        row
    }

    /// The rows in order of insertion.
    pub fn rows(&self) -> &[*mut u8] {
        &self.rows
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

    #[test]
    fn grows_and_keeps_rows() {
        let mut table = AggregateTable::new(16);
        for i in 0..1000u64 {
            let row = table.insert(hash::combine(hash::SEED, i));
            // SAFETY: rows have 16 bytes.
            unsafe { row.cast::<u64>().add(1).write(i) };
        }
        assert_eq!(table.rows().len(), 1000);
        // SAFETY: as above.
        let values: Vec<u64> = table.rows().iter().map(|r| unsafe { r.cast::<u64>().add(1).read() }).collect();
        assert_eq!(values, (0..1000).collect::<Vec<_>>());
    }
}
