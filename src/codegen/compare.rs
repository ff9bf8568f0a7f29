//! Lowering of comparisons. Floats order NaN last and equal to itself, and -0.0 equals 0.0, as in Spark.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder};

use super::emitter::Emitter;
use super::expr::boolean;
use super::scope::Scope;
use super::value::Value;
use crate::base::Result;
use crate::expr::{ComparisonOp, Expr};
use crate::runtime::FieldKind;

impl Emitter<'_> {
    /// # Errors
    /// As for [`Self::expr`].
    pub fn comparison(&mut self, op: ComparisonOp, left: &Expr, right: &Expr, scope: &Scope) -> Result<Value> {
        let (l, r) = (self.expr(left, scope)?, self.expr(right, scope)?);
        if op == ComparisonOp::EqualNullSafe {
            let equal = self.equal(&l, &r)?;
            let (Some(any), both) = (self.either_null(l.null, r.null), (l.null, r.null)) else { return Ok(boolean(equal)) };
            let equal = self.b.ins().band_not(equal, any);
            let lo = match both {
                (Some(a), Some(b)) => {
                    let both = self.b.ins().band(a, b);
                    self.b.ins().bor(equal, both)
                }
                _ => equal,
            };
            return Ok(boolean(lo));
        }
        let lo = self.compare_values(op, &l, &r)?;
        Ok(boolean(lo).with_null(self.either_null(l.null, r.null)))
    }

    /// Equality of values that are not NULL (0 or 1).
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn equal(&mut self, l: &Value, r: &Value) -> Result<ir::Value> {
        self.compare_values(ComparisonOp::Equal, l, r)
    }

    /// Compares values that are not NULL (0 or 1).
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn compare_values(&mut self, op: ComparisonOp, l: &Value, r: &Value) -> Result<ir::Value> {
        match l.kind {
            FieldKind::F32 | FieldKind::F64 => Ok(self.compare_floats(op, l.lo, r.lo)),
            FieldKind::Str => self.compare_strings(op, l, r),
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::I64 | FieldKind::I128 => {
                let kind = if l.kind.size() >= r.kind.size() { l.kind } else { r.kind };
                let (l, r) = (self.widen(l, kind), self.widen(r, kind));
                Ok(self.compare(signed(op), l.lo, r.lo))
            }
        }
    }

    fn compare_floats(&mut self, op: ComparisonOp, l: ir::Value, r: ir::Value) -> ir::Value {
        use ComparisonOp::*;
        match op {
            Equal | EqualNullSafe => {
                let equal = self.b.ins().fcmp(FloatCC::Equal, l, r);
                let (ln, rn) = (self.b.ins().fcmp(FloatCC::Unordered, l, l), self.b.ins().fcmp(FloatCC::Unordered, r, r));
                let both = self.b.ins().band(ln, rn);
                self.b.ins().bor(equal, both)
            }
            NotEqual => {
                let equal = self.compare_floats(Equal, l, r);
                self.b.ins().bxor_imm_u(equal, 1)
            }
            Less => {
                let less = self.b.ins().fcmp(FloatCC::LessThan, l, r);
                let (lo, rn) = (self.b.ins().fcmp(FloatCC::Ordered, l, l), self.b.ins().fcmp(FloatCC::Unordered, r, r));
                let below_nan = self.b.ins().band(lo, rn);
                self.b.ins().bor(less, below_nan)
            }
            LessOrEqual => {
                let less = self.b.ins().fcmp(FloatCC::LessThanOrEqual, l, r);
                let rn = self.b.ins().fcmp(FloatCC::Unordered, r, r);
                self.b.ins().bor(less, rn)
            }
            Greater => self.compare_floats(Less, r, l),
            GreaterOrEqual => self.compare_floats(LessOrEqual, r, l),
        }
    }

    fn compare_strings(&mut self, op: ComparisonOp, l: &Value, r: &Value) -> Result<ir::Value> {
        match op {
            ComparisonOp::Equal | ComparisonOp::EqualNullSafe => self.equal_strings(l, r),
            ComparisonOp::NotEqual => {
                let equal = self.equal_strings(l, r)?;
                Ok(self.b.ins().bxor_imm_u(equal, 1))
            }
            ComparisonOp::Less | ComparisonOp::LessOrEqual | ComparisonOp::Greater | ComparisonOp::GreaterOrEqual => {
                self.order_strings(signed(op), l, r)
            }
        }
    }
}

fn signed(op: ComparisonOp) -> IntCC {
    match op {
        ComparisonOp::Equal | ComparisonOp::EqualNullSafe => IntCC::Equal,
        ComparisonOp::NotEqual => IntCC::NotEqual,
        ComparisonOp::Less => IntCC::SignedLessThan,
        ComparisonOp::LessOrEqual => IntCC::SignedLessThanOrEqual,
        ComparisonOp::Greater => IntCC::SignedGreaterThan,
        ComparisonOp::GreaterOrEqual => IntCC::SignedGreaterThanOrEqual,
    }
}
