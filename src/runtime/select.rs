//! Selection vectors: the rows whose value in a column of integers passes a test, eight at a time where the machine has AVX-512.
//!
//! Cranelift has vectors of 128 bits and no compressing stores, so generated code calls these once per block of rows for tests of
//! plain columns; every other test is a loop of its own.

use super::join_table::JoinTable;

/// What a value must pass.
#[derive(Debug, Clone, Copy)]
pub enum Test<'a> {
    /// From the first to the last, both included.
    Between(i64, i64),
    /// Whether it is a key of the table (of a form by key), or (`false`) is not.
    Present(&'a JoinTable, bool),
}

impl Test<'_> {
    #[inline(always)]
    fn passes(&self, value: i64) -> bool {
        match self {
            Test::Between(first, last) => (*first <= value) & (value <= *last),
            Test::Present(table, wanted) => table.contains(value) == *wanted,
        }
    }
}

/// A column of integers: 32 or 64 bits each.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub values: *const u8,
    pub wide: bool,
}

impl Column {
    /// # Safety
    /// The column has more than `row` rows.
    #[inline(always)]
    unsafe fn value(&self, row: usize) -> i64 {
        // SAFETY: by the caller's promise.
        unsafe { if self.wide { *self.values.cast::<i64>().add(row) } else { i64::from(*self.values.cast::<i32>().add(row)) } }
    }
}

/// Rows that a test is put to.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// From the first up to the last, excluded.
    Range(usize, usize),
    /// The first so many of the selection vector.
    Selected(usize),
}

/// Room that selection vectors need beyond the rows of a block: whole vectors are written.
pub const SLACK: usize = 8;

/// Writes the rows that pass to the selection vector; how many they are.
///
/// # Safety
/// The column has all the rows; there is room for as many, and [`SLACK`], in the selection vector.
pub unsafe fn select(column: Column, rows: Rows, test: Test, selection: *mut u32) -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl") {
        // SAFETY: the features are there; for the rest by the caller's promise.
        return unsafe {
            match (column.wide, rows, test) {
                (true, Rows::Range(..), Test::Between(..)) => avx512::select::<true, false, false>(column, rows, test, selection),
                (true, Rows::Range(..), Test::Present(..)) => avx512::select::<true, false, true>(column, rows, test, selection),
                (true, Rows::Selected(_), Test::Between(..)) => avx512::select::<true, true, false>(column, rows, test, selection),
                (true, Rows::Selected(_), Test::Present(..)) => avx512::select::<true, true, true>(column, rows, test, selection),
                (false, Rows::Range(..), Test::Between(..)) => avx512::select::<false, false, false>(column, rows, test, selection),
                (false, Rows::Range(..), Test::Present(..)) => avx512::select::<false, false, true>(column, rows, test, selection),
                (false, Rows::Selected(_), Test::Between(..)) => avx512::select::<false, true, false>(column, rows, test, selection),
                (false, Rows::Selected(_), Test::Present(..)) => avx512::select::<false, true, true>(column, rows, test, selection),
            }
        };
    }
    // SAFETY: by the caller's promise.
    unsafe { one_by_one(column, rows, 0, test, selection, 0) }
}

/// Rows from the `done`th on, behind the `count` that have passed.
///
/// # Safety
/// As for [`select`].
#[inline(always)]
unsafe fn one_by_one(column: Column, rows: Rows, done: usize, test: Test, selection: *mut u32, mut count: usize) -> usize {
    // SAFETY: by the caller's promise; no more rows have passed than have been seen.
    let mut see = |row: usize| unsafe {
        selection.add(count).write(row as u32);
        count += usize::from(test.passes(column.value(row)));
    };
    match rows {
        Rows::Range(first, last) => (first + done..last).for_each(&mut see),
        // SAFETY: as above; a place is read before a row is written to it or behind it.
        Rows::Selected(n) => (done..n).for_each(|k| see(unsafe { selection.add(k).read() } as usize)),
    }
    count
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Column, Rows, Test, one_by_one};

    /// # Safety
    /// As for [`super::select`]; the machine has the features, and the constants say what the arguments are.
    #[target_feature(enable = "avx512f,avx512vl,popcnt")]
    pub unsafe fn select<const WIDE: bool, const SELECTED: bool, const PRESENT: bool>(
        column: Column,
        rows: Rows,
        test: Test,
        selection: *mut u32,
    ) -> usize {
        let (first, n) = match rows {
            Rows::Range(first, last) => (first, last.saturating_sub(first)),
            Rows::Selected(n) => (0, n),
        };
        let (low, high, blocks, wanted) = match test {
            Test::Between(low, high) => (low, high, std::ptr::null(), true),
            Test::Present(table, wanted) => (table.least(), table.limit() as i64, table.blocks().as_ptr(), wanted),
        };
        let (low, high) = (_mm512_set1_epi64(low), _mm512_set1_epi64(high));
        let flip: __mmask8 = if wanted { 0 } else { 0xFF };
        let (one, low_six) = (_mm512_set1_epi64(1), _mm512_set1_epi64(63));
        let mut row_numbers = _mm256_add_epi32(_mm256_set1_epi32(first as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        let mut count = 0;
        let mut done = 0;
        while done + 8 <= n {
            // SAFETY: eight more rows are there; gathered rows are rows of the column; block numbers are at most that of the limit,
            // which there is a block for; what has passed is at most what was read, and there is room for a whole vector behind it.
            unsafe {
                if SELECTED {
                    row_numbers = _mm256_loadu_si256(selection.add(done).cast());
                }
                let values = match (WIDE, SELECTED) {
                    (true, false) => _mm512_loadu_si512(column.values.cast::<i64>().add(first + done).cast()),
                    (true, true) => _mm512_i32gather_epi64::<8>(row_numbers, column.values.cast()),
                    (false, false) => _mm512_cvtepi32_epi64(_mm256_loadu_si256(column.values.cast::<i32>().add(first + done).cast())),
                    (false, true) => _mm512_cvtepi32_epi64(_mm256_i32gather_epi32::<4>(column.values.cast(), row_numbers)),
                };
                let pass = if PRESENT {
                    let offset = _mm512_min_epu64(_mm512_sub_epi64(values, low), high);
                    let word = _mm512_slli_epi64::<1>(_mm512_srli_epi64::<6>(offset));
                    let bits = _mm512_i64gather_epi64::<8>(word, blocks.cast());
                    _mm512_test_epi64_mask(_mm512_srlv_epi64(bits, _mm512_and_si512(offset, low_six)), one) ^ flip
                } else {
                    _mm512_cmpge_epi64_mask(values, low) & _mm512_cmple_epi64_mask(values, high)
                };
                _mm256_storeu_si256(selection.add(count).cast(), _mm256_maskz_compress_epi32(pass, row_numbers));
                count += pass.count_ones() as usize;
            }
            if !SELECTED {
                row_numbers = _mm256_add_epi32(row_numbers, _mm256_set1_epi32(8));
            }
            done += 8;
        }
        // SAFETY: by the caller's promise.
        unsafe { one_by_one(column, rows, done, test, selection, count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::join_table::{Form, Parts};

    fn selected<T>(values: &[T], rows: Rows, before: &[u32], test: Test) -> Vec<u32> {
        let mut selection = before.to_vec();
        selection.resize(values.len() + SLACK, 0);
        let column = Column { values: values.as_ptr().cast(), wide: size_of::<T>() == 8 };
        // SAFETY: the rows are rows of `values`; there is room.
        let n = unsafe { select(column, rows, test, selection.as_mut_ptr()) };
        selection.truncate(n);
        selection
    }

    #[test]
    fn ranges_and_keys_of_both_widths() {
        let wide: Vec<i64> = (0..1000).map(|i| (i * 7919) % 257 - 100).collect();
        let narrow: Vec<i32> = wide.iter().map(|v| *v as i32).collect();
        // Keys -100, -93, -86, …: each seventh of 150 from the least on.
        let mut blocks = vec![[0u64; 2]; 3];
        (0..150u64).step_by(7).for_each(|k| blocks[(k / 64) as usize][0] |= 1 << (k % 64));
        let parts = Parts { least: -100, limit: 150, blocks, ..Parts::default() };
        let table = JoinTable::new(Form::Set, parts, false, false);
        let is_key = |v: i64| (-100..50).contains(&v) && (v + 100) % 7 == 0;
        let some: Vec<u32> = (0..1000).filter(|i| i % 3 != 1).collect();
        type Expected<'a> = (Test<'a>, Box<dyn Fn(i64) -> bool>);
        let tests: [Expected; 4] = [
            (Test::Between(-5, 60), Box::new(|v| (-5..=60).contains(&v))),
            (Test::Between(1, 0), Box::new(|_| false)),
            (Test::Present(&table, true), Box::new(is_key)),
            (Test::Present(&table, false), Box::new(move |v| !is_key(v))),
        ];
        for (test, expected) in tests {
            for (rows, before) in [(Rows::Range(3, 990), &[][..]), (Rows::Range(5, 5), &[]), (Rows::Selected(some.len()), &some)] {
                let candidates: Vec<u32> = match rows {
                    Rows::Range(first, last) => (first as u32..last as u32).collect(),
                    Rows::Selected(_) => some.clone(),
                };
                let wanted: Vec<u32> = candidates.into_iter().filter(|i| expected(wide[*i as usize])).collect();
                assert_eq!(selected(&wide, rows, before, test), wanted);
                assert_eq!(selected(&narrow, rows, before, test), wanted);
            }
        }
    }
}
