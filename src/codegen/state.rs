//! What a task's state array holds: one 64-bit slot for everything that generated code reaches.
//!
//! Code names no address and no constant of the query; it loads slots. The layout is made while lowering, the array once per
//! task from the layout.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::{Interrupt, Scalar};
use crate::runtime::StrRef;
use crate::runtime::bloom::BloomFilter;
use crate::runtime::like::LikePattern;
use crate::runtime::symbols::{DecimalFunction, IntegerSet, StringSet};

/// A slot's number.
pub type Slot = usize;

/// The selection vector's address: one 32-bit row number per row of the largest batch.
pub const SELECTION: Slot = 0;
/// Two slots into which helpers write 16-byte results.
pub const SCRATCH: Slot = 1;
const FIRST_FREE: Slot = 3;

/// Objects made at plan time that helpers use.
#[derive(Clone)]
pub enum Helper {
    Like(Arc<LikePattern>),
    Strings(Arc<StringSet>),
    Integers(Arc<IntegerSet>),
    Bloom(Arc<BloomFilter>),
    Decimal(Arc<DecimalFunction>),
}

/// What fills a slot before a task runs.
#[derive(Clone)]
enum Init {
    Word(u64),
    Helper(Helper),
    /// The address of the flag that asks the task to stop.
    StopFlag,
    /// Filled by whoever runs the stage (tables, builders, counters).
    Later,
}

/// The slots of a stage.
#[derive(Clone, Default)]
pub struct StateLayout {
    slots: Vec<Init>,
    constants: HashMap<Scalar, Slot>,
    stop_flag: Option<Slot>,
    /// Bytes that string constants point to.
    strings: Vec<Scalar>,
}

impl StateLayout {
    pub fn new() -> Self {
        Self { slots: vec![Init::Later; FIRST_FREE], ..Self::default() }
    }

    fn push(&mut self, init: Init) -> Slot {
        self.slots.push(init);
        self.slots.len() - 1
    }

    /// A slot that the stage's runner fills.
    pub fn reserve(&mut self) -> Slot {
        self.push(Init::Later)
    }

    /// The slot holding the address of a helper object.
    pub fn helper(&mut self, helper: Helper) -> Slot {
        self.push(Init::Helper(helper))
    }

    /// The slot holding the address of a byte that is not 0 once the task is to stop.
    pub fn stop_flag(&mut self) -> Slot {
        match self.stop_flag {
            Some(slot) => slot,
            None => {
                let slot = self.push(Init::StopFlag);
                *self.stop_flag.insert(slot)
            }
        }
    }

    /// The first slot of a constant: one, or two for strings and 128-bit decimals. The same constant has the same slot.
    pub fn constant(&mut self, value: &Scalar) -> Slot {
        if let Some(slot) = self.constants.get(value) {
            return *slot;
        }
        let slot = match value {
            Scalar::String(_) | Scalar::Binary(_) => {
                self.strings.push(value.clone());
                let word = StrRef::new(value.as_bytes().unwrap_or_default());
                let first = self.push(Init::Word(word.lo));
                self.push(Init::Word(word.hi));
                first
            }
            Scalar::Float(v) => self.push(Init::Word(u64::from(v.to_bits()))),
            Scalar::Double(v) => self.push(Init::Word(v.to_bits())),
            other => {
                let v = other.as_i128().unwrap_or_default();
                let first = self.push(Init::Word(v as u64));
                if matches!(other, Scalar::Decimal { .. }) {
                    self.push(Init::Word((v >> 64) as u64));
                }
                first
            }
        };
        self.constants.insert(value.clone(), slot);
        slot
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Never true: some slots are fixed.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The words of a task's state from slot `from` on, for a task that `interrupt` stops; slots that the stage's runner fills are 0.
    pub fn instantiate(&self, from: Slot, interrupt: &Interrupt) -> Vec<u64> {
        self.slots[from..]
            .iter()
            .map(|init| match init {
                Init::Word(w) => *w,
                Init::Helper(Helper::Like(p)) => Arc::as_ptr(p) as u64,
                Init::Helper(Helper::Strings(s)) => Arc::as_ptr(s) as u64,
                Init::Helper(Helper::Integers(s)) => Arc::as_ptr(s) as u64,
                Init::Helper(Helper::Bloom(f)) => Arc::as_ptr(f) as u64,
                Init::Helper(Helper::Decimal(d)) => Arc::as_ptr(d) as u64,
                Init::StopFlag => std::ptr::from_ref(interrupt.flag()) as u64,
                Init::Later => 0,
            })
            .collect()
    }
}
