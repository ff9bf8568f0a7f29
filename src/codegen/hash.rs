//! The hash of keys, inline: the same steps as [`crate::runtime::hash`].

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};

use super::emitter::Emitter;
use super::value::Value;
use crate::base::{DataType, Result};
use crate::runtime::FieldKind;
use crate::runtime::hash::{MULTIPLIER, NULL_WORD, SEED};
use crate::runtime::string::INLINE;

impl Emitter<'_> {
    /// The hash of key values of these types.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn hash(&mut self, keys: &[(Value, &DataType)]) -> Result<ir::Value> {
        let mut state = self.b.ins().iconst(types::I64, SEED as i64);
        for (value, t) in keys {
            for word in self.hash_words(value, t)? {
                let mixed = self.b.ins().bxor(state, word);
                let multiplier = self.b.ins().iconst(types::I64, MULTIPLIER as i64);
                let low = self.b.ins().imul(mixed, multiplier);
                let high = self.b.ins().umulhi(mixed, multiplier);
                state = self.b.ins().bxor(low, high);
            }
        }
        Ok(state)
    }

    /// The 64-bit words of a key value; the same for equal values, however they are held.
    fn hash_words(&mut self, value: &Value, t: &DataType) -> Result<Vec<ir::Value>> {
        let declared = super::value::kind_of(t).unwrap_or(value.kind);
        let words = match declared {
            FieldKind::I8 if *t == DataType::Boolean => vec![self.b.ins().uextend(types::I64, value.lo)],
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::I64 => vec![self.as_i64(value)],
            FieldKind::I128 if value.kind == FieldKind::I64 => vec![value.lo, self.b.ins().sshr_imm_u(value.lo, 63)],
            FieldKind::I128 => {
                let (lo, hi) = self.b.ins().isplit(value.lo);
                vec![lo, hi]
            }
            FieldKind::F32 | FieldKind::F64 => {
                let normal = self.normalise_float(value);
                let bits =
                    self.b.ins().bitcast(if declared == FieldKind::F64 { types::I64 } else { types::I32 }, MemFlagsData::new(), normal);
                vec![if declared == FieldKind::F64 { bits } else { self.b.ins().uextend(types::I64, bits) }]
            }
            FieldKind::Str => {
                let hi = value.hi.unwrap_or(value.lo);
                if value.never_long() {
                    return Ok(self.or_null(vec![value.lo, hi], value.null));
                }
                let length = self.b.ins().band_imm_u(value.lo, 0xFFFF_FFFF);
                let long = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, length, INLINE as i64);
                let long = match value.null {
                    Some(null) => self.b.ins().band_not(long, null),
                    None => long,
                };
                let word =
                    self.either(long, &[types::I64], |e| Ok(vec![e.call_value("ws_bytes_hash", &[hi, length])?]), |_| Ok(vec![hi]))?;
                vec![value.lo, word[0]]
            }
        };
        Ok(self.or_null(words, value.null))
    }

    /// The words, or those that stand for NULL.
    fn or_null(&mut self, mut words: Vec<ir::Value>, null: Option<ir::Value>) -> Vec<ir::Value> {
        if let Some(null) = null {
            let stand_in = self.b.ins().iconst(types::I64, NULL_WORD as i64);
            for word in &mut words {
                *word = self.b.ins().select(null, stand_in, *word);
            }
        }
        words
    }

    /// One NaN, and 0.0 for -0.0.
    pub fn normalise_float(&mut self, value: &Value) -> ir::Value {
        let zero = self.zero(value.kind).lo;
        let nan = if value.kind == FieldKind::F64 { self.b.ins().f64const(f64::NAN) } else { self.b.ins().f32const(f32::NAN) };
        let is_zero = self.b.ins().fcmp(FloatCC::Equal, value.lo, zero);
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, value.lo, value.lo);
        let v = self.b.ins().select(is_zero, zero, value.lo);
        self.b.ins().select(is_nan, nan, v)
    }
}
