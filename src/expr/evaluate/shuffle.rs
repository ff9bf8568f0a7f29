//! `shuffle`, with the generator that Spark has from Apache Commons Math: a seed gives the permutations that it gives there.

use std::cell::Cell;

use arrow::array::Int64Array;

use super::value::{Arg, Value};
use crate::base::Result;

/// MT19937.
pub(super) struct MersenneTwister {
    state: [u32; 624],
    next: usize,
}

impl MersenneTwister {
    fn new(seed: u64) -> Self {
        let key = [(seed >> 32) as u32, seed as u32];
        let mut mt = Self { state: [0; 624], next: 624 };
        let n = mt.state.len();
        mt.state[0] = 19_650_218;
        for i in 1..n {
            let before = mt.state[i - 1];
            mt.state[i] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        let (mut i, mut j) = (1, 0);
        let before = |state: &[u32; 624], i: usize| state[i - 1] ^ (state[i - 1] >> 30);
        for _ in 0..n {
            let mixed = mt.state[i] ^ before(&mt.state, i).wrapping_mul(1_664_525);
            mt.state[i] = mixed.wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == n {
                mt.state[0] = mt.state[n - 1];
                i = 1;
            }
        }
        for _ in 1..n {
            let mixed = mt.state[i] ^ before(&mt.state, i).wrapping_mul(1_566_083_941);
            mt.state[i] = mixed.wrapping_sub(i as u32);
            i += 1;
            if i == n {
                mt.state[0] = mt.state[n - 1];
                i = 1;
            }
        }
        mt.state[0] = 0x8000_0000;
        mt
    }

    /// A generator for the arrays of a batch: of the seed that is given, else of one that is never the same.
    pub fn of(seed: Option<&Value>) -> Result<Self> {
        thread_local! {
            static CALLS: Cell<u64> = const { Cell::new(0) };
        }
        let given = match seed {
            Some(value) => Arg::<Int64Array>::primitive(value).map(|a| (!a.array.is_empty() && !a.is_null(0)).then(|| a.at(0) as u64))?,
            None => None,
        };
        Ok(Self::new(given.unwrap_or_else(|| {
            let calls = CALLS.replace(CALLS.get() + 1);
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
            now.wrapping_add(calls << 40)
        })))
    }

    /// So many random bits, at most 32.
    fn bits(&mut self, count: u32) -> u32 {
        const M: usize = 397;
        let n = self.state.len();
        if self.next >= n {
            for k in 0..n {
                let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % n] & 0x7fff_ffff);
                self.state[k] = self.state[(k + M) % n] ^ (y >> 1) ^ if y & 1 == 0 { 0 } else { 0x9908_b0df };
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^= y >> 18;
        y >> (32 - count)
    }

    /// A number below `n`, which is positive.
    fn below(&mut self, n: i32) -> i32 {
        if n & n.wrapping_neg() == n {
            return ((i64::from(n) * i64::from(self.bits(31))) >> 31) as i32;
        }
        loop {
            let bits = self.bits(31) as i32;
            let value = bits % n;
            if bits.wrapping_sub(value).wrapping_add(n - 1) >= 0 {
                return value;
            }
        }
    }

    /// Brings the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as i32 + 1) as usize);
        }
    }
}
