//! Accumulators that keep input values as they are: first, last, lists and sets. Any type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array, new_empty_array, new_null_array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, FieldRef};

use super::accumulators::{Accumulator, Rows, mismatch, real_nulls};
use super::group_keys::GroupKeys;
use crate::base::interrupt::polled;
use crate::base::{Error, Result};
use crate::expr::evaluate::set_keys;
use crate::operators::stream::concatenated;
use crate::rdd::size::column_size;

/// Place of no value: the NULL that stands first.
const NONE: (usize, usize) = (0, 0);

/// First or last value.
pub struct Pick {
    last: bool,
    ignore_nulls: bool,
    /// A NULL, then the values picked, batch by batch.
    chunks: Vec<ArrayRef>,
    /// Where the value of each group is in `chunks`.
    places: Vec<(usize, usize)>,
    kept: usize,
    /// Bytes of `chunks`.
    bytes: usize,
}

impl Pick {
    pub fn new(data_type: &DataType, last: bool, ignore_nulls: bool) -> Self {
        Self { last, ignore_nulls, chunks: vec![new_null_array(data_type, 1)], places: vec![], kept: 0, bytes: 0 }
    }

    fn gather(&self) -> Result<ArrayRef> {
        Ok(interleave(&self.chunks.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &self.places)?)
    }
}

impl Accumulator for Pick {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        self.places.resize(rows.groups, NONE);
        let chunk = self.chunks.len();
        let mut picked: Vec<u32> = vec![];
        let nulls = if self.ignore_nulls { values.logical_nulls().filter(|n| n.null_count() > 0) } else { None };
        rows.each_row(nulls.as_ref(), |group, row| {
            let place = &mut self.places[group];
            if *place == NONE {
                *place = (chunk, picked.len());
                picked.push(row as u32);
            } else if self.last && place.0 == chunk {
                picked[place.1] = row as u32;
            } else if self.last {
                *place = (chunk, picked.len());
                picked.push(row as u32);
            }
        });
        if !picked.is_empty() {
            self.kept += picked.len();
            let chunk = take(values, &UInt32Array::from(picked), None)?;
            self.bytes += column_size(&chunk);
            self.chunks.push(chunk);
        }
        // Values that were overtaken are dropped once they are most of what is kept.
        if self.last && self.kept > 4 * rows.groups.max(8192) {
            let compact = self.gather()?;
            self.kept = compact.len();
            self.places.iter_mut().enumerate().filter(|(_, p)| **p != NONE).for_each(|(group, p)| *p = (1, group));
            self.chunks.truncate(1);
            self.bytes = column_size(&compact);
            self.chunks.push(compact);
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.places.capacity() * 16 + self.bytes
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        self.places.resize(groups, NONE);
        self.gather()
    }
}

/// Arrays of all values, or of all different values, in order of arrival. NULLs are left out.
pub struct Collect {
    field: FieldRef,
    /// The values come as arrays.
    flatten: bool,
    /// Of sets: the pairs of group and value that are there.
    distinct: Option<GroupKeys>,
    /// Group and value of each element.
    groups: Vec<u32>,
    chunks: Vec<ArrayRef>,
    /// Bytes of `chunks`.
    bytes: usize,
}

impl Collect {
    /// # Errors
    /// `Internal` when `data_type` is not a list, or sets of its elements cannot be made.
    pub fn new(data_type: &DataType, distinct: bool, flatten: bool) -> Result<Self> {
        let DataType::List(field) = data_type else {
            return Err(Error::internal(format!("values are collected into a list, not {data_type}")));
        };
        let keys = set_keys(&new_empty_array(field.data_type()), 0)?.data_type().clone();
        let distinct = if distinct { Some(GroupKeys::new(&[DataType::Int64, keys], &[false, false])?) } else { None };
        Ok(Self { field: field.clone(), flatten, distinct, groups: vec![], chunks: vec![], bytes: 0 })
    }

    fn append(&mut self, groups: Vec<u32>, values: ArrayRef) -> Result<()> {
        let Some(distinct) = &mut self.distinct else {
            self.groups.extend(groups);
            self.bytes += column_size(&values);
            self.chunks.push(values);
            return Ok(());
        };
        let owners: ArrayRef = Arc::new(groups.iter().map(|g| Some(i64::from(*g))).collect::<arrow::array::Int64Array>());
        let mut ids = vec![];
        let mut known = distinct.len() as u32;
        distinct.intern(&[owners, set_keys(&values, self.groups.len())?], values.len(), &mut ids)?;
        let mut fresh = vec![];
        for (row, id) in ids.into_iter().enumerate() {
            if id >= known {
                known = id + 1;
                self.groups.push(groups[row]);
                fresh.push(row as u32);
            }
        }
        let chunk = take(&values, &UInt32Array::from(fresh), None)?;
        self.bytes += column_size(&chunk);
        self.chunks.push(chunk);
        Ok(())
    }
}

impl Accumulator for Collect {
    fn update(&mut self, rows: Rows, values: &ArrayRef) -> Result<()> {
        let (mut groups, mut picked) = (vec![], vec![]);
        let elements = if self.flatten {
            let lists = values.as_list_opt::<i32>().ok_or_else(|| mismatch("concatenation", values))?;
            let offsets = lists.value_offsets();
            rows.each_row(real_nulls(lists), |group, row| {
                for element in offsets[row]..offsets[row + 1] {
                    groups.push(group as u32);
                    picked.push(element as u32);
                }
            });
            lists.values().clone()
        } else {
            let nulls = values.logical_nulls().filter(|n| n.null_count() > 0);
            rows.each_row(nulls.as_ref(), |group, row| {
                groups.push(group as u32);
                picked.push(row as u32);
            });
            values.clone()
        };
        if picked.is_empty() {
            return Ok(());
        }
        let all = picked.len() == elements.len();
        self.append(groups, if all { elements } else { take(&elements, &UInt32Array::from(picked), None)? })
    }

    fn memory(&self) -> usize {
        self.groups.capacity() * 4 + self.bytes + self.distinct.as_ref().map_or(0, GroupKeys::memory)
    }

    fn finish(&mut self, groups: usize, _: &[i64]) -> Result<ArrayRef> {
        let chunks = std::mem::take(&mut self.chunks);
        let values = match &chunks[..] {
            [one] => one.clone(),
            several => concatenated(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>(), self.field.data_type())?,
        };
        drop(chunks);
        // Counting sort by group: stable, so elements stay in order of arrival.
        let mut offsets = vec![0i32; groups + 1];
        self.groups.iter().for_each(|g| offsets[*g as usize + 1] += 1);
        (0..groups).for_each(|g| offsets[g + 1] += offsets[g]);
        let mut next = offsets.clone();
        let mut order = vec![0u32; values.len()];
        for (element, group) in polled(self.groups.iter().enumerate()) {
            let at = &mut next[*group as usize];
            order[*at as usize] = element as u32;
            *at += 1;
        }
        let values = take(&values, &UInt32Array::from(order), None)?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(ListArray::try_new(self.field.clone(), offsets, values, None)?))
    }
}
