//! Accumulator of registers of HyperLogLog++, for each group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Int64Type;

use super::accumulators::{Accumulator, Rows, mismatch};
use crate::base::Result;
use crate::runtime::hyper_log_log::{insert, merge};

pub struct DistinctCount {
    precision: u32,
    /// Absent for groups without a value.
    registers: Vec<Option<Box<[u8]>>>,
    /// How many groups have a value.
    present: usize,
}

impl DistinctCount {
    pub fn new(precision: u32) -> Self {
        Self { precision, registers: vec![], present: 0 }
    }

    fn registers(&mut self, group: usize) -> &mut [u8] {
        self.registers[group].get_or_insert_with(|| {
            self.present += 1;
            vec![0; 1 << self.precision].into()
        })
    }
}

impl Accumulator for DistinctCount {
    /// Values are hashes, or registers to be merged.
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        self.registers.resize(rows.groups, None);
        let precision = self.precision;
        if let Some(hashes) = values.as_primitive_opt::<Int64Type>() {
            rows.each(hashes.values(), hashes.nulls(), |group, hash| insert(self.registers(group), precision, hash));
            return Ok(());
        }
        let states = values.as_binary_view_opt().ok_or_else(|| mismatch("count of different values", values))?;
        rows.each_row(states.nulls(), |group, row| merge(self.registers(group), states.value(row)));
        Ok(())
    }

    fn memory(&self) -> usize {
        self.registers.capacity() * size_of::<Option<Box<[u8]>>>() + (self.present << self.precision)
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.registers.resize(groups, None);
        Ok(Arc::new(self.registers.iter().map(Option::as_deref).collect::<BinaryViewArray>()))
    }
}

/// The registers of each frame of hashes, which begin with those of `before`. Frames that only grow at their end are not begun anew.
///
/// # Errors
/// `Internal` when the input is of another type.
pub fn of_frames(
    precision: u32,
    hashes: &ArrayRef,
    frames: impl Iterator<Item = (usize, usize)>,
    before: Option<&ArrayRef>,
) -> Result<ArrayRef> {
    let hashes = hashes.as_primitive_opt::<Int64Type>().ok_or_else(|| mismatch("count of different values", hashes))?;
    let mut first = vec![0; 1 << precision];
    if let Some(before) = before.and_then(|b| b.as_binary_view_opt()).filter(|b| b.is_valid(0)) {
        merge(&mut first, before.value(0));
    }
    let (mut registers, mut start, mut end, mut states) = (first.clone(), 0, 0, vec![]);
    for (s, e) in frames {
        if s != start || e < end {
            registers.copy_from_slice(&first);
            (start, end) = (s, s);
        }
        let valid = |row: &usize| hashes.nulls().is_none_or(|n: &NullBuffer| n.is_valid(*row));
        (end..e).filter(valid).for_each(|row| insert(&mut registers, precision, hashes.value(row)));
        end = end.max(e);
        states.push(registers.clone());
    }
    Ok(Arc::new(states.into_iter().map(Some).collect::<BinaryViewArray>()))
}
