//! The sink that groups rows: lookup (see `group`) and updates inline; without keys, accumulators in registers.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};
use cranelift_frontend::Variable;

use super::emitter::Emitter;
use super::group::KeyRanges;
use super::module::failure;
use super::scope::Scope;
use super::state::Slot;
use super::value::{Value, clif_type};
use crate::base::{DataType, Result};
use crate::expr::aggregate::Accumulate;
use crate::expr::{ComparisonOp, Expr};
use crate::runtime::FieldKind;
use crate::runtime::row::RowField;

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
    /// The keys lie in small ranges, and the table has a slot for each group there can be.
    pub by_key: Option<KeyRanges>,
    /// Bytes of a row.
    pub row_size: usize,
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
