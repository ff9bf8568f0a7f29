//! Accumulator of Bloom filters, one per group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
use arrow::datatypes::Int64Type;

use super::accumulators::{Accumulator, Rows, mismatch};
use crate::base::Result;
use crate::runtime::bloom::BloomFilter;

pub struct Bloom {
    bits: u64,
    hashes: u32,
    /// Absent for groups without a value.
    filters: Vec<Option<BloomFilter>>,
}

impl Bloom {
    pub fn new(bits: u64, hashes: u32) -> Self {
        Self { bits, hashes, filters: vec![] }
    }

    fn filter(&mut self, group: usize) -> &mut BloomFilter {
        self.filters[group].get_or_insert_with(|| BloomFilter::new(self.bits, self.hashes))
    }
}

impl Accumulator for Bloom {
    /// Values are hashes, or filters to be merged.
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        self.filters.resize(rows.groups, None);
        if let Some(items) = values.as_primitive_opt::<Int64Type>() {
            rows.each(items.values(), items.nulls(), |group, item| self.filter(group).insert(item));
            return Ok(());
        }
        let states = values.as_binary_view_opt().ok_or_else(|| mismatch("Bloom filter", values))?;
        let mut result = Ok(());
        rows.each_row(states.nulls(), |group, row| {
            if result.is_ok() {
                result = self.filter(group).merge(states.value(row));
            }
        });
        result
    }

    fn memory(&self) -> usize {
        self.filters.len() * (self.bits / 8) as usize
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.filters.resize(groups, None);
        Ok(Arc::new(self.filters.iter().map(|f| f.as_ref().map(BloomFilter::to_bytes)).collect::<BinaryViewArray>()))
    }
}
