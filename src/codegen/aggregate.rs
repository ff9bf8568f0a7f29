//! The sink that groups rows: lookup, insertion and updates inline; without keys, accumulators in registers.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};
use cranelift_frontend::Variable;

use super::emitter::{Emitter, trusted};
use super::module::failure;
use super::scope::Scope;
use super::state::Slot;
use super::value::{Value, clif_type};
use crate::base::{DataType, Result};
use crate::expr::aggregate::Accumulate;
use crate::expr::{ComparisonOp, Expr};
use crate::runtime::FieldKind;
use crate::runtime::aggregate_table::{DIRECTORY, MASK, SHIFT};
use crate::runtime::row::RowField;
use crate::runtime::string::INLINE;

/// A buffer of an aggregate.
#[derive(Debug, Clone)]
pub struct BufferSpec {
    pub accumulate: Accumulate,
    /// Over the pipeline's rows.
    pub input: Expr,
    /// Rows for which it is not true are skipped.
    pub filter: Option<Expr>,
    pub field: RowField,
    /// A sum whose 128 bits might overflow, or a sum in 64 bits that is not proven to fit.
    pub can_overflow: bool,
}

/// Groups rows into a table, or, without keys, into one row.
#[derive(Debug, Clone)]
pub struct AggregateSink {
    /// Slot with the address of the table; without keys, of the row.
    pub table: Slot,
    pub keys: Vec<(Expr, DataType, RowField)>,
    pub buffers: Vec<BufferSpec>,
    /// The one key is an integer between these bounds, and the table has a slot for each.
    pub by_key: Option<(i64, i64)>,
}

/// Registers of an aggregate without keys; strings stay in the row.
pub struct Accumulators(Vec<Option<(Variable, Option<Variable>)>>);

impl Emitter<'_> {
    /// Loads the accumulators of an aggregate without keys.
    pub fn begin_accumulators(&mut self, sink: &AggregateSink) -> Option<Accumulators> {
        if !sink.keys.is_empty() {
            return None;
        }
        let row = self.slot(sink.table);
        let registers = sink
            .buffers
            .iter()
            .map(|b| {
                if b.field.kind == FieldKind::Str {
                    return None;
                }
                let value = self.load_field(row, &b.field);
                let register = self.b.declare_var(clif_type(value.kind));
                self.b.def_var(register, value.lo);
                let null = value.null.map(|null| {
                    let register = self.b.declare_var(types::I8);
                    self.b.def_var(register, null);
                    register
                });
                Some((register, null))
            })
            .collect();
        Some(Accumulators(registers))
    }

    /// Writes them back.
    ///
    /// # Errors
    /// None.
    pub fn store_accumulators(&mut self, sink: &AggregateSink, accumulators: &Accumulators) -> Result<()> {
        let row = self.slot(sink.table);
        for (buffer, registers) in sink.buffers.iter().zip(&accumulators.0) {
            if let Some((value, null)) = registers {
                let lo = self.b.use_var(*value);
                let null = null.map(|n| self.b.use_var(n));
                self.store_field(row, &buffer.field, &Value::new(buffer.field.kind, lo).with_null(null));
            }
        }
        Ok(())
    }

    /// ```text
    /// row = group of hash(keys), inserted if new
    /// row.buffer = update(row.buffer, input), for each
    /// ```
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn aggregate(&mut self, sink: &AggregateSink, accumulators: Option<&Accumulators>, scope: &Scope) -> Result<()> {
        let row = if sink.keys.is_empty() { self.slot(sink.table) } else { self.group(sink, scope)? };
        for (i, buffer) in sink.buffers.iter().enumerate() {
            let register = accumulators.and_then(|a| a.0[i]);
            match &buffer.filter {
                Some(filter) => {
                    let seen = self.predicate(filter, scope)?;
                    self.when(seen, |e| e.update(buffer, row, register, scope, sink))?;
                }
                None => self.update(buffer, row, register, scope, sink)?,
            }
        }
        Ok(())
    }

    /// The address of the group's row.
    fn group(&mut self, sink: &AggregateSink, scope: &Scope) -> Result<ir::Value> {
        let mut keys = vec![];
        for (expr, t, _) in &sink.keys {
            let mut key = self.expr(expr, scope)?;
            if matches!(key.kind, FieldKind::F32 | FieldKind::F64) {
                key.lo = self.normalise_float(&key);
            }
            keys.push((key, t));
        }
        if let Some((least, most)) = sink.by_key {
            return self.group_by_key(sink, &keys[0].0, least, most);
        }
        let hash = self.hash(&keys)?;
        let table = self.slot(sink.table);
        let directory = self.b.ins().load(types::I64, trusted(), table, DIRECTORY);
        let shift = self.b.ins().load(types::I64, trusted(), table, SHIFT);
        let mask = self.b.ins().load(types::I64, trusted(), table, MASK);
        let first = self.b.ins().ushr(hash, shift);
        let (look, occupied, check, next, insert, found) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.append_block_param(look, types::I64);
        self.b.append_block_param(found, types::I64);
        self.b.set_cold_block(insert);
        self.b.set_cold_block(next);
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
        let equal = self.same_keys(sink, &keys, row)?;
        self.back_to(mark);
        self.b.ins().brif(equal, found, &[BlockArg::Value(row)], next, &[]);

        self.b.switch_to_block(next);
        let following = self.b.ins().iadd_imm_s(slot, 1);
        let following = self.b.ins().band(following, mask);
        self.b.ins().jump(look, &[BlockArg::Value(following)]);

        self.b.switch_to_block(insert);
        let mark = self.mark();
        let new = self.call_value("ws_aggregate_insert", &[table, hash])?;
        for ((key, _), (_, _, field)) in keys.iter().zip(&sink.keys) {
            let kept = if key.kind == FieldKind::Str { self.keep_string(table, key)? } else { *key };
            self.store_field(new, field, &kept);
        }
        self.begin_buffers(sink, new);
        self.back_to(mark);
        self.b.ins().jump(found, &[BlockArg::Value(new)]);
        self.b.switch_to_block(found);
        Ok(self.b.block_params(found)[0])
    }

    /// ```text
    /// slot = key - least; row = directory[slot], inserted if 0
    /// ```
    ///
    /// A key beyond its bounds (statistics of a file that lie) is an error of the row, so that the interpreter takes over.
    fn group_by_key(&mut self, sink: &AggregateSink, key: &Value, least: i64, most: i64) -> Result<ir::Value> {
        let table = self.slot(sink.table);
        let wide = self.as_i64(key);
        let first = self.b.ins().iconst(types::I64, least);
        let offset = self.b.ins().isub(wide, first);
        let last = self.b.ins().iconst(types::I64, most.wrapping_sub(least));
        let beyond = self.compare(IntCC::UnsignedGreaterThan, offset, last);
        self.fail_if(beyond, None);
        let zero = self.b.ins().iconst(types::I64, 0);
        let slot = self.b.ins().select(beyond, zero, offset);
        let directory = self.b.ins().load(types::I64, trusted(), table, DIRECTORY);
        let scaled = self.b.ins().ishl_imm_u(slot, 3);
        let address = self.b.ins().iadd(directory, scaled);
        let entry = self.b.ins().load(types::I64, trusted(), address, 0);
        let (insert, found) = (self.b.create_block(), self.b.create_block());
        self.b.append_block_param(found, types::I64);
        self.b.ins().brif(entry, found, &[BlockArg::Value(entry)], insert, &[]);
        self.b.switch_to_block(insert);
        let new = self.call_value("ws_aggregate_insert_at", &[table, slot])?;
        self.store_field(new, &sink.keys[0].2, key);
        self.begin_buffers(sink, new);
        self.b.ins().jump(found, &[BlockArg::Value(new)]);
        self.b.switch_to_block(found);
        Ok(self.b.block_params(found)[0])
    }

    /// Marks the buffers of a new row that begin as NULL.
    fn begin_buffers(&mut self, sink: &AggregateSink, row: ir::Value) {
        for buffer in &sink.buffers {
            if let Some(at) = buffer.field.null {
                let one = self.b.ins().iconst(types::I8, 1);
                self.b.ins().store(trusted(), one, row, at as i32);
            }
        }
    }

    fn same_keys(&mut self, sink: &AggregateSink, keys: &[(Value, &DataType)], row: ir::Value) -> Result<ir::Value> {
        let mut all: Option<ir::Value> = None;
        for ((key, _), (_, _, field)) in keys.iter().zip(&sink.keys) {
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
    fn keep_string(&mut self, table: ir::Value, value: &Value) -> Result<Value> {
        let hi = value.hi.unwrap_or(value.lo);
        let mut lo = value.lo;
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

    fn update(
        &mut self,
        buffer: &BufferSpec,
        row: ir::Value,
        register: Option<(Variable, Option<Variable>)>,
        scope: &Scope,
        sink: &AggregateSink,
    ) -> Result<()> {
        let input = self.expr(&buffer.input, scope)?;
        if buffer.field.kind == FieldKind::Str {
            return self.update_string(buffer, row, &input, sink);
        }
        let old = match register {
            Some((value, null)) => {
                let lo = self.b.use_var(value);
                let null = null.map(|n| self.b.use_var(n));
                Value::new(buffer.field.kind, lo).with_null(null)
            }
            None => self.load_field(row, &buffer.field),
        };
        let new = self.accumulate(buffer, &old, &input)?;
        match register {
            Some((value, null)) => {
                self.b.def_var(value, new.lo);
                if let (Some(register), Some(null)) = (null, new.null) {
                    self.b.def_var(register, null);
                }
            }
            None => self.store_field(row, &buffer.field, &new),
        }
        Ok(())
    }

    /// The buffer's value after an input that is not a string.
    fn accumulate(&mut self, buffer: &BufferSpec, old: &Value, input: &Value) -> Result<Value> {
        let kind = buffer.field.kind;
        let zero = self.b.ins().iconst(types::I8, 0);
        let input_null = input.null;
        // Not NULL any more once an input was not.
        let null = old.null.map(|n| self.b.ins().band(n, input_null.unwrap_or(zero)));
        let lo = match buffer.accumulate {
            Accumulate::Count => {
                let one = match input_null {
                    Some(n) => self.b.ins().bxor_imm_u(n, 1),
                    None => self.b.ins().iconst(types::I8, 1),
                };
                let one = self.b.ins().uextend(types::I64, one);
                self.b.ins().iadd(old.lo, one)
            }
            Accumulate::Sum => {
                let input = self.widen(input, kind);
                let nothing = self.zero(kind).lo;
                match kind {
                    FieldKind::F32 | FieldKind::F64 => {
                        let sum = self.b.ins().fadd(old.lo, input.lo);
                        match input_null {
                            Some(n) => self.b.ins().select(n, old.lo, sum),
                            None => sum,
                        }
                    }
                    _ => {
                        let addend = match input_null {
                            Some(n) => self.b.ins().select(n, nothing, input.lo),
                            None => input.lo,
                        };
                        self.add_to_sum(old.lo, addend, kind, buffer.can_overflow)
                    }
                }
            }
            Accumulate::Min | Accumulate::Max => {
                let op = if buffer.accumulate == Accumulate::Min { ComparisonOp::Less } else { ComparisonOp::Greater };
                let input = self.widen(input, kind);
                let mut better = self.compare_values(op, &input, old)?;
                if let Some(n) = old.null {
                    better = self.b.ins().bor(better, n);
                }
                if let Some(n) = input_null {
                    better = self.b.ins().band_not(better, n);
                }
                self.b.ins().select(better, input.lo, old.lo)
            }
            other => return Err(failure(format!("{other:?} in a compiled stage"))),
        };
        Ok(Value::new(kind, lo).with_null(null))
    }

    fn add_to_sum(&mut self, sum: ir::Value, addend: ir::Value, kind: FieldKind, can_overflow: bool) -> ir::Value {
        if !can_overflow {
            return self.b.ins().iadd(sum, addend);
        }
        if kind == FieldKind::I64 {
            let (new, overflow) = self.b.ins().sadd_overflow(sum, addend);
            self.fail_if(overflow, None);
            return new;
        }
        let new = self.b.ins().iadd(sum, addend);
        let (a, b) = (self.b.ins().bxor(sum, new), self.b.ins().bxor(addend, new));
        let signs = self.b.ins().band(a, b);
        let zero = self.integer(clif_type(kind), 0);
        let overflow = self.compare(IntCC::SignedLessThan, signs, zero);
        self.fail_if(overflow, None);
        new
    }

    /// Least or greatest string so far, kept in the row.
    fn update_string(&mut self, buffer: &BufferSpec, row: ir::Value, input: &Value, sink: &AggregateSink) -> Result<()> {
        let op = match buffer.accumulate {
            Accumulate::Min => ComparisonOp::Less,
            Accumulate::Max => ComparisonOp::Greater,
            other => return Err(failure(format!("{other:?} of strings in a compiled stage"))),
        };
        if sink.keys.is_empty() {
            return Err(failure("the least string without grouping"));
        }
        let old = self.load_field(row, &buffer.field);
        let mut better = self.compare_values(op, input, &old)?;
        if let Some(n) = old.null {
            better = self.b.ins().bor(better, n);
        }
        if let Some(n) = input.null {
            better = self.b.ins().band_not(better, n);
        }
        let table = self.slot(sink.table);
        self.when(better, |e| {
            let kept = e.keep_string(table, &input.with_null(None))?;
            e.store_field(row, &buffer.field, &kept);
            Ok(())
        })
    }
}
