//! The sink that writes rows to Arrow buffers.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};

use super::emitter::{Emitter, trusted};
use super::module::failure;
use super::scope::Scope;
use super::state::Slot;
use super::value::kind_of;
use crate::base::{DataType, Result};
use crate::runtime::FieldKind;
use crate::runtime::output::{OUTPUT_CAPACITY, OUTPUT_COLUMN_SIZE, OUTPUT_COLUMNS, OUTPUT_COUNT, OUTPUT_VALIDITY};
use crate::runtime::string::INLINE;

/// Writes every row to the output builder.
#[derive(Debug, Clone)]
pub struct OutputSink {
    /// Slot with the builder's address.
    pub output: Slot,
    /// Type and nullability of the columns.
    pub columns: Vec<(DataType, bool)>,
}

impl Emitter<'_> {
    /// ```text
    /// if count == capacity { grow }
    /// column[count] = value, for each; count += 1
    /// ```
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled.
    pub fn output(&mut self, sink: &OutputSink, row: &Scope) -> Result<()> {
        let output = self.slot(sink.output);
        let mut values = vec![];
        for (i, (t, _)) in sink.columns.iter().enumerate() {
            let kind = kind_of(t).ok_or_else(|| failure(format!("values of type {t}")))?;
            let value = self.column(row, i)?;
            let value = self.widen(&value, kind);
            values.push((kind, value));
        }
        let count = self.b.ins().load(types::I64, trusted(), output, OUTPUT_COUNT);
        let capacity = self.b.ins().load(types::I64, trusted(), output, OUTPUT_CAPACITY);
        let full = self.compare(IntCC::Equal, count, capacity);
        self.when(full, |e| e.call("ws_output_grow", &[output]).map(drop))?;
        let columns = self.b.ins().load(types::I64, trusted(), output, OUTPUT_COLUMNS);
        for (i, (kind, value)) in values.iter().enumerate() {
            let base = i as i32 * OUTPUT_COLUMN_SIZE;
            let target = self.b.ins().load(types::I64, trusted(), columns, base);
            let offset = self.b.ins().imul_imm_u(count, kind.size() as i64);
            let address = self.b.ins().iadd(target, offset);
            if *kind == FieldKind::Str {
                let (mut lo, hi) = (value.lo, value.hi.unwrap_or(value.lo));
                if let Some(null) = value.null {
                    let zero = self.b.ins().iconst(types::I64, 0);
                    lo = self.b.ins().select(null, zero, lo);
                }
                let length = self.b.ins().band_imm_u(lo, 0xFFFF_FFFF);
                let long = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, length, INLINE as i64);
                let column = self.b.ins().iconst(types::I64, i as i64);
                let word = self.either(
                    long,
                    &[types::I64],
                    |e| Ok(vec![e.call_value("ws_output_string", &[output, column, lo, hi])?]),
                    |_| Ok(vec![hi]),
                )?;
                self.b.ins().store(trusted(), lo, address, 0);
                self.b.ins().store(trusted(), word[0], address, 8);
            } else {
                self.b.ins().store(trusted(), value.lo, address, 0);
            }
            if sink.columns[i].1 {
                let validity = self.b.ins().load(types::I64, trusted(), columns, base + OUTPUT_VALIDITY);
                let address = self.b.ins().iadd(validity, count);
                let valid = match value.null {
                    Some(null) => self.b.ins().bxor_imm_u(null, 1),
                    None => self.b.ins().iconst(types::I8, 1),
                };
                self.b.ins().store(trusted(), valid, address, 0);
            }
        }
        let next = self.b.ins().iadd_imm_s(count, 1);
        self.b.ins().store(trusted(), next, output, OUTPUT_COUNT);
        Ok(())
    }
}
