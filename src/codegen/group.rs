//! Finding the row of a group by its keys: by hash, or by number where the keys' ranges are small.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};

use super::aggregate::AggregateSink;
use super::emitter::{Emitter, trusted};
use super::module::failure;
use super::scope::{Column, Scope};
use super::value::{Bounds, Value};
use crate::base::{DataType, Result};
use crate::expr::Expr;
use crate::runtime::aggregate_table::{Addressing, DIRECTORY, MASK, NEXT, ROOM, SHIFT};
use crate::runtime::string::INLINE;
use crate::runtime::{FieldKind, Status};

/// Ranges of keys that number the groups: each key is a digit of a group's number, which is its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRanges {
    /// Per key the least and the greatest of its words (see [`key_range`]).
    pub ranges: Vec<(i64, i64)>,
    /// Whether rows lie in their slots.
    pub in_place: bool,
}

/// The range of the words that stand for a key: integers for themselves, a string of one byte for length and byte. `bounds` are
/// of the integer, or of the string's length. `None` for what has no such word.
pub fn key_range(t: &DataType, kind: FieldKind, bounds: Bounds) -> Option<(i64, i64)> {
    match kind {
        FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::I64 => {
            Some((i64::try_from(bounds.0).ok()?, i64::try_from(bounds.1).ok()?))
        }
        FieldKind::Str if bounds == (1, 1) => {
            let most = if *t == DataType::String { 0x7F } else { 0xFF };
            Some((1 << 32, (1 << 32) | most))
        }
        _ => None,
    }
}

impl KeyRanges {
    /// How many groups there can be; `nullable` says which keys can be NULL. `None` for too many to count.
    pub fn slots(&self, nullable: impl Iterator<Item = bool>) -> Option<usize> {
        let mut slots = 1usize;
        for ((least, most), nullable) in self.ranges.iter().zip(nullable) {
            let count = usize::try_from(most.checked_sub(*least)?).ok()?.checked_add(1 + usize::from(nullable))?;
            slots = slots.checked_mul(count)?;
        }
        Some(slots)
    }
}

/// A key of the row at hand.
struct Key<'a> {
    value: Value,
    data_type: &'a DataType,
    /// A string's bytes live as long as the task.
    lasts: bool,
}

/// Whether the value is a field of a packed row: tables of joins and of groups are kept until the task ends.
fn lasts(expr: &Expr, scope: &Scope) -> bool {
    let Expr::Column { index, .. } = expr.unaliased() else { return false };
    column_lasts(scope, *index)
}

fn column_lasts(scope: &Scope, index: usize) -> bool {
    match scope.columns().get(index) {
        Some(Column::Field { .. }) => true,
        Some(Column::Same { scope, index }) => column_lasts(scope, *index),
        Some(Column::Computed { expr, scope }) => lasts(expr, scope),
        Some(Column::Input { .. } | Column::Known(_)) | None => false,
    }
}

/// How the table of an aggregate is addressed.
pub fn addressing(sink: &AggregateSink) -> Addressing {
    let slots = |k: &KeyRanges| k.slots(sink.keys.iter().map(|(_, _, field)| field.null.is_some()));
    match &sink.by_key {
        Some(k) if k.in_place => Addressing::InPlace { slots: slots(k).unwrap_or_default() },
        Some(k) => Addressing::Directory { slots: slots(k).unwrap_or_default() },
        None => Addressing::Hash,
    }
}

impl Emitter<'_> {
    /// The address of the group's row.
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn group(&mut self, sink: &AggregateSink, scope: &Scope) -> Result<ir::Value> {
        let mut keys = vec![];
        for (expr, t, _) in &sink.keys {
            let mut key = self.expr(expr, scope)?;
            if matches!(key.kind, FieldKind::F32 | FieldKind::F64) {
                key.lo = self.normalise_float(&key);
            }
            keys.push(Key { value: key, data_type: t, lasts: lasts(expr, scope) });
        }
        match &sink.by_key {
            Some(ranges) => self.group_by_key(sink, &keys, ranges),
            None => self.group_by_hash(sink, &keys),
        }
    }

    /// ```text
    /// start: slot = hash >> shift
    /// look:  entry = directory[slot]
    ///        if !entry { if !room { grow; goto start }; row = next; directory[slot] = row; … }
    ///        if the tag or a key differs { slot = slot + 1 & mask; goto look }
    /// ```
    fn group_by_hash(&mut self, sink: &AggregateSink, keys: &[Key]) -> Result<ir::Value> {
        let hash = self.hash(&keys.iter().map(|k| (k.value, k.data_type)).collect::<Vec<_>>())?;
        let table = self.slot(sink.table);
        let [start, look, occupied, check, next, insert, found] = std::array::from_fn(|_| self.b.create_block());
        self.b.append_block_param(look, types::I64);
        self.b.append_block_param(found, types::I64);
        self.b.set_cold_block(insert);
        self.b.set_cold_block(next);
        self.b.ins().jump(start, &[]);
        self.b.switch_to_block(start);
        let directory = self.b.ins().load(types::I64, trusted(), table, DIRECTORY);
        let shift = self.b.ins().load(types::I64, trusted(), table, SHIFT);
        let mask = self.b.ins().load(types::I64, trusted(), table, MASK);
        let first = self.b.ins().ushr(hash, shift);
        self.b.ins().jump(look, &[BlockArg::Value(first)]);
        self.b.switch_to_block(look);
        let slot = self.b.block_params(look)[0];
        let offset = self.b.ins().ishl_imm_u(slot, 3);
        let address = self.b.ins().iadd(directory, offset);
        let entry = self.b.ins().load(types::I64, trusted(), address, 0);
        self.b.ins().brif(entry, occupied, &[], insert, &[]);

        self.b.switch_to_block(occupied);
        let difference = self.b.ins().bxor(entry, hash);
        let difference = self.b.ins().band_imm_u(difference, 0xFFFF);
        self.b.ins().brif(difference, next, &[], check, &[]);

        self.b.switch_to_block(check);
        let mark = self.mark();
        let row = self.b.ins().ushr_imm_u(entry, 16);
        let equal = self.same_keys(sink, keys, row)?;
        self.back_to(mark);
        self.b.ins().brif(equal, found, &[BlockArg::Value(row)], next, &[]);

        self.b.switch_to_block(next);
        let following = self.b.ins().iadd_imm_s(slot, 1);
        let following = self.b.ins().band(following, mask);
        self.b.ins().jump(look, &[BlockArg::Value(following)]);

        self.b.switch_to_block(insert);
        let new = self.new_row(sink, table, start)?;
        self.b.ins().store(trusted(), hash, new, 0);
        let tag = self.b.ins().band_imm_u(hash, 0xFFFF);
        let entry = self.b.ins().ishl_imm_u(new, 16);
        let entry = self.b.ins().bor(entry, tag);
        self.b.ins().store(trusted(), entry, address, 0);
        self.begin_group(sink, table, keys, new)?;
        self.b.ins().jump(found, &[BlockArg::Value(new)]);
        self.b.switch_to_block(found);
        Ok(self.b.block_params(found)[0])
    }

    /// ```text
    /// slot = key - least, for each further key slot * range + key - least
    /// row = directory[slot], or the slot itself; added if there is none
    /// ```
    ///
    /// A key beyond its bounds (statistics of a file that lie) is an error of the row, so that the interpreter takes over.
    fn group_by_key(&mut self, sink: &AggregateSink, keys: &[Key], ranges: &KeyRanges) -> Result<ir::Value> {
        let table = self.slot(sink.table);
        let mut slot: Option<ir::Value> = None;
        let mut beyond: Option<ir::Value> = None;
        for ((Key { value: key, .. }, (_, _, field)), (least, most)) in keys.iter().zip(&sink.keys).zip(&ranges.ranges) {
            let word = match key.kind {
                FieldKind::Str => self.b.ins().rotl_imm_u(key.lo, 32),
                _ => self.as_i64(key),
            };
            let least_word = self.b.ins().iconst(types::I64, *least);
            let mut digit = self.b.ins().isub(word, least_word);
            let largest = self.b.ins().iconst(types::I64, most.wrapping_sub(*least));
            let mut outside = self.compare(IntCC::UnsignedGreaterThan, digit, largest);
            let mut count = most.wrapping_sub(*least).wrapping_add(1);
            if field.null.is_some() {
                // The first digit is NULL's.
                count += 1;
                digit = self.b.ins().iadd_imm_s(digit, 1);
                if let Some(null) = key.null {
                    let zero = self.b.ins().iconst(types::I64, 0);
                    digit = self.b.ins().select(null, zero, digit);
                    outside = self.b.ins().band_not(outside, null);
                }
            }
            slot = Some(match slot {
                Some(slot) => {
                    let higher = self.b.ins().imul_imm_s(slot, count);
                    self.b.ins().iadd(higher, digit)
                }
                None => digit,
            });
            beyond = Some(match beyond {
                Some(beyond) => self.b.ins().bor(beyond, outside),
                None => outside,
            });
        }
        let (slot, beyond) = slot.zip(beyond).ok_or_else(|| failure("grouping without keys"))?;
        self.fail_if(beyond, None);
        let zero = self.b.ins().iconst(types::I64, 0);
        let slot = self.b.ins().select(beyond, zero, slot);
        let directory = self.b.ins().load(types::I64, trusted(), table, DIRECTORY);
        let scaled = self.b.ins().imul_imm_s(slot, if ranges.in_place { sink.row_size as i64 } else { 8 });
        let address = self.b.ins().iadd(directory, scaled);
        let entry = self.b.ins().load(types::I64, trusted(), address, 0);
        let [start, insert, found] = std::array::from_fn(|_| self.b.create_block());
        self.b.append_block_param(found, types::I64);
        if ranges.in_place {
            self.b.set_cold_block(insert);
        }
        let there = if ranges.in_place { address } else { entry };
        self.b.ins().brif(entry, found, &[BlockArg::Value(there)], start, &[]);
        self.b.switch_to_block(start);
        self.b.ins().jump(insert, &[]);
        self.b.switch_to_block(insert);
        let new = if ranges.in_place {
            self.call("ws_aggregate_place", &[table, address])?;
            address
        } else {
            let new = self.new_row(sink, table, start)?;
            self.b.ins().store(trusted(), new, address, 0);
            new
        };
        self.begin_group(sink, table, keys, new)?;
        self.b.ins().jump(found, &[BlockArg::Value(new)]);
        self.b.switch_to_block(found);
        Ok(self.b.block_params(found)[0])
    }

    /// The next free row. Where there is none the table grows, and `again` is gone to unless the task is to stop.
    fn new_row(&mut self, sink: &AggregateSink, table: ir::Value, again: ir::Block) -> Result<ir::Value> {
        let [grow, take, stop] = std::array::from_fn(|_| self.b.create_block());
        self.b.set_cold_block(grow);
        self.b.set_cold_block(stop);
        let room = self.b.ins().load(types::I64, trusted(), table, ROOM);
        self.b.ins().brif(room, take, &[], grow, &[]);
        self.b.switch_to_block(grow);
        let grown = self.call_value("ws_aggregate_grow", &[table])?;
        self.b.ins().brif(grown, again, &[], stop, &[]);
        self.b.switch_to_block(stop);
        self.leave(Status::Stop);
        self.b.switch_to_block(take);
        let left = self.b.ins().iadd_imm_s(room, -1);
        self.b.ins().store(trusted(), left, table, ROOM);
        let row = self.b.ins().load(types::I64, trusted(), table, NEXT);
        let following = self.b.ins().iadd_imm_s(row, sink.row_size as i64);
        self.b.ins().store(trusted(), following, table, NEXT);
        Ok(row)
    }

    /// Writes the keys of a new row, and marks its buffers that begin as NULL.
    fn begin_group(&mut self, sink: &AggregateSink, table: ir::Value, keys: &[Key], row: ir::Value) -> Result<()> {
        let mark = self.mark();
        for (key, (_, _, field)) in keys.iter().zip(&sink.keys) {
            let kept = if key.value.kind == FieldKind::Str && !key.lasts { self.keep_string(table, &key.value)? } else { key.value };
            self.store_field(row, field, &kept);
        }
        for buffer in &sink.buffers {
            if let Some(at) = buffer.field.null {
                let one = self.b.ins().iconst(types::I8, 1);
                self.b.ins().store(trusted(), one, row, at as i32);
            }
        }
        self.back_to(mark);
        Ok(())
    }

    fn same_keys(&mut self, sink: &AggregateSink, keys: &[Key], row: ir::Value) -> Result<ir::Value> {
        let mut all: Option<ir::Value> = None;
        for (Key { value: key, .. }, (_, _, field)) in keys.iter().zip(&sink.keys) {
            let stored = self.load_field(row, field);
            let mut equal = self.equal(key, &stored)?;
            if key.null.is_some() || stored.null.is_some() {
                let zero = self.b.ins().iconst(types::I8, 0);
                let (a, b) = (key.null.unwrap_or(zero), stored.null.unwrap_or(zero));
                let (either, both) = (self.b.ins().bor(a, b), self.b.ins().band(a, b));
                equal = self.b.ins().band_not(equal, either);
                equal = self.b.ins().bor(equal, both);
            }
            all = Some(match all {
                Some(a) => self.b.ins().band(a, equal),
                None => equal,
            });
        }
        all.ok_or_else(|| failure("grouping without keys"))
    }

    /// The string with its bytes, if long, copied to the table's memory.
    pub fn keep_string(&mut self, table: ir::Value, value: &Value) -> Result<Value> {
        let hi = value.hi.unwrap_or(value.lo);
        let mut lo = value.lo;
        if value.never_long() {
            return Ok(*value);
        }
        if let Some(null) = value.null {
            let zero = self.b.ins().iconst(types::I64, 0);
            lo = self.b.ins().select(null, zero, lo);
        }
        let length = self.b.ins().band_imm_u(lo, 0xFFFF_FFFF);
        let long = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, length, INLINE as i64);
        let kept =
            self.either(long, &[types::I64], |e| Ok(vec![e.call_value("ws_aggregate_keep", &[table, lo, hi])?]), |_| Ok(vec![hi]))?;
        Ok(Value::string(lo, kept[0]).with_null(value.null))
    }
}
