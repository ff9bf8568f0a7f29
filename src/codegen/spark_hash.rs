//! `xxhash64` inline, and tests by Bloom filters.

use std::sync::Arc;

use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};

use super::emitter::Emitter;
use super::expr::boolean;
use super::module::failure;
use super::scope::Scope;
use super::state::Helper;
use super::value::{Value, type_bounds};
use crate::base::schema::MAX_LONG_PRECISION;
use crate::base::{DataType, Result, Scalar};
use crate::expr::Expr;
use crate::runtime::FieldKind;
use crate::runtime::bloom::BloomFilter;

/// Spark's seed.
const SEED: i64 = 42;
const PRIMES: [i64; 5] = [
    0x9E37_79B1_85EB_CA87_u64 as i64,
    0xC2B2_AE3D_27D4_EB4F_u64 as i64,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63_u64 as i64,
    0x27D4_EB2F_1656_67C5,
];

/// Whether `xxhash64` of a value of the type is compiled.
pub fn hashable(t: &DataType) -> bool {
    super::value::kind_of(t).is_some() && !matches!(t, DataType::Decimal { precision, .. } if *precision > MAX_LONG_PRECISION)
}

impl Emitter<'_> {
    /// Spark's `xxhash64` of values: each is hashed with the hash so far as seed, and NULL leaves that as it is.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn xxhash64(&mut self, args: &[Expr], scope: &Scope) -> Result<Value> {
        let mut hash = self.b.ins().iconst(types::I64, SEED);
        for arg in args {
            let v = self.expr(arg, scope)?;
            let next = self.xxhash64_of(&v, hash, &arg.data_type())?;
            hash = match v.null {
                Some(null) => self.b.ins().select(null, hash, next),
                None => next,
            };
        }
        Ok(Value::new(FieldKind::I64, hash).with_bounds(type_bounds(&DataType::Long)))
    }

    fn xxhash64_of(&mut self, v: &Value, seed: ir::Value, t: &DataType) -> Result<ir::Value> {
        Ok(match v.kind {
            FieldKind::Str => self.call_value("ws_xxhash64", &[v.lo, v.hi.unwrap_or(v.lo), seed])?,
            FieldKind::I8 if *t == DataType::Boolean => {
                let word = self.b.ins().uextend(types::I64, v.lo);
                self.xxhash64_word(word, seed, 4)
            }
            FieldKind::I8 | FieldKind::I16 => {
                let int = self.b.ins().sextend(types::I32, v.lo);
                let word = self.b.ins().uextend(types::I64, int);
                self.xxhash64_word(word, seed, 4)
            }
            FieldKind::I32 => {
                let word = self.b.ins().uextend(types::I64, v.lo);
                self.xxhash64_word(word, seed, 4)
            }
            FieldKind::I64 => self.xxhash64_word(v.lo, seed, 8),
            FieldKind::F32 => {
                let normal = self.normalise_float(v);
                let bits = self.b.ins().bitcast(types::I32, MemFlagsData::new(), normal);
                let word = self.b.ins().uextend(types::I64, bits);
                self.xxhash64_word(word, seed, 4)
            }
            FieldKind::F64 => {
                let normal = self.normalise_float(v);
                let word = self.b.ins().bitcast(types::I64, MemFlagsData::new(), normal);
                self.xxhash64_word(word, seed, 8)
            }
            FieldKind::I128 => return Err(failure(format!("xxhash64 of {t}"))),
        })
    }

    /// XXH64 of one word of `bytes` bytes, 4 or 8.
    fn xxhash64_word(&mut self, word: ir::Value, seed: ir::Value, bytes: i64) -> ir::Value {
        let [p1, p2, p3, p4, p5] = PRIMES;
        let start = self.b.ins().iadd_imm_s(seed, p5.wrapping_add(bytes));
        let (mixed, turn, times, plus) = if bytes == 4 {
            (self.b.ins().imul_imm_s(word, p1), 23, p2, p3)
        } else {
            let word = self.b.ins().imul_imm_s(word, p2);
            let word = self.b.ins().rotl_imm_u(word, 31);
            (self.b.ins().imul_imm_s(word, p1), 27, p1, p4)
        };
        let mut h = self.b.ins().bxor(start, mixed);
        h = self.b.ins().rotl_imm_u(h, turn);
        h = self.b.ins().imul_imm_s(h, times);
        h = self.b.ins().iadd_imm_s(h, plus);
        for (shift, prime) in [(33, p2), (29, p3)] {
            let high = self.b.ins().ushr_imm_u(h, shift);
            h = self.b.ins().bxor(h, high);
            h = self.b.ins().imul_imm_s(h, prime);
        }
        let high = self.b.ins().ushr_imm_u(h, 32);
        self.b.ins().bxor(h, high)
    }

    /// `might_contain(filter, item)`; the filter is a literal by now. NULL for a NULL.
    ///
    /// # Errors
    /// `Codegen` when the bytes are no filter, and as for [`Self::expr`].
    pub fn might_contain(&mut self, filter: &Expr, item: &Expr, scope: &Scope) -> Result<Value> {
        let bytes = match filter {
            Expr::Literal(Scalar::Binary(bytes)) => bytes,
            Expr::Literal(Scalar::Null(_)) => {
                let null = self.b.ins().iconst(types::I8, 1);
                return Ok(self.zero(FieldKind::I8).with_null(Some(null)));
            }
            other => return Err(failure(format!("a Bloom filter that is `{other}`"))),
        };
        let filter = BloomFilter::from_bytes(bytes).map_err(|e| failure(e.to_string()))?;
        let v = self.expr(item, scope)?;
        let filter = self.helper(Helper::Bloom(Arc::new(filter)));
        let found = self.call_value("ws_might_contain", &[filter, v.lo])?;
        Ok(boolean(found).with_null(v.null))
    }
}
