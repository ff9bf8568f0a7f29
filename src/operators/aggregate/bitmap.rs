//! Accumulator of bitmaps of 32,768 bits, one per group: `bitmap_construct_agg`, `bitmap_or_agg` and `bitmap_and_agg`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray};
use arrow::datatypes::Int64Type;

use super::accumulators::{Accumulator, Rows, mismatch};
use crate::base::{Error, ErrorClass, Result};
use crate::expr::aggregate::BITMAP_BYTES;

pub struct Bitmaps {
    /// Keeps the bits that all bitmaps have, not those of any.
    all: bool,
    /// Absent for groups without a value.
    bitmaps: Vec<Option<Box<[u8]>>>,
}

impl Bitmaps {
    pub fn new(all: bool) -> Self {
        Self { all, bitmaps: vec![] }
    }

    fn bitmap(&mut self, group: usize) -> &mut [u8] {
        let start = if self.all { u8::MAX } else { 0 };
        self.bitmaps[group].get_or_insert_with(|| vec![start; BITMAP_BYTES].into())
    }
}

impl Accumulator for Bitmaps {
    /// Values are positions of bits, or bitmaps; what a bitmap lacks at its end changes nothing.
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        self.bitmaps.resize(rows.groups, None);
        let mut result = Ok(());
        if let Some(positions) = values.as_primitive_opt::<Int64Type>() {
            rows.each(positions.values(), positions.nulls(), |group, position| match usize::try_from(position) {
                Ok(at) if at < BITMAP_BYTES * 8 => self.bitmap(group)[at / 8] |= 1 << (at % 8),
                _ => result = Err(out_of_bounds(position)),
            });
            return result;
        }
        let states = values.as_binary_view_opt().ok_or_else(|| mismatch("bitmap", values))?;
        let all = self.all;
        rows.each_row(states.nulls(), |group, row| {
            for (byte, other) in self.bitmap(group).iter_mut().zip(states.value(row)) {
                *byte = if all { *byte & other } else { *byte | other };
            }
        });
        Ok(())
    }

    fn memory(&self) -> usize {
        self.bitmaps.len() * BITMAP_BYTES
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.bitmaps.resize(groups, None);
        Ok(Arc::new(self.bitmaps.iter().map(Option::as_deref).collect::<BinaryViewArray>()))
    }
}

fn out_of_bounds(position: i64) -> Error {
    let message = format!(
        "The 0-indexed bitmap position {position} is out of bounds. The bitmap has {} bits ({BITMAP_BYTES} bytes).",
        BITMAP_BYTES * 8
    );
    Error::new(ErrorClass::InvalidParameter, message)
}
