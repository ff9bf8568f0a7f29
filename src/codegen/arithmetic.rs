//! Lowering of arithmetic. Overflow checks are left out where the operands' bounds prove that nothing can overflow.

use std::sync::Arc;

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::emitter::Emitter;
use super::module::failure;
use super::scope::Scope;
use super::state::{Helper, SCRATCH};
use super::value::{Bounds, Value, clif_type, fits_i64, intersect, kind_of, type_bounds};
use crate::base::{DataType, Result, decimal};
use crate::expr::{ArithmeticOp, Expr};
use crate::runtime::FieldKind;
use crate::runtime::symbols::DecimalFunction;

impl Emitter<'_> {
    /// # Errors
    /// As for [`Self::expr`].
    pub fn arithmetic(
        &mut self,
        op: ArithmeticOp,
        left: &Expr,
        right: &Expr,
        try_arithmetic: bool,
        t: &DataType,
        scope: &Scope,
    ) -> Result<Value> {
        let (l, r) = (self.expr(left, scope)?, self.expr(right, scope)?);
        let null = self.either_null(l.null, r.null);
        let (value, failed) = match (left.data_type(), right.data_type(), t) {
            (DataType::Decimal { precision: p1, scale: s1 }, DataType::Decimal { precision: p2, scale: s2 }, t) => {
                self.decimals(op, &l, (p1, s1), &r, (p2, s2), t)?
            }
            (_, _, DataType::Float | DataType::Double) => self.floats(op, &l, &r)?,
            (_, _, DataType::Byte | DataType::Short | DataType::Int | DataType::Long) => self.integers(op, &l, &r, t)?,
            (a, b, _) => return Err(failure(format!("arithmetic of {a} and {b}"))),
        };
        Ok(self.checked(value.with_null(null), failed, try_arithmetic))
    }

    /// A value that fails, or is NULL, where `failed` holds.
    pub fn checked(&mut self, value: Value, failed: Option<ir::Value>, try_form: bool) -> Value {
        match failed {
            Some(failed) if try_form => {
                let null = self.either_null(value.null, Some(failed));
                value.with_null(null)
            }
            Some(failed) => {
                self.fail_if(failed, value.null);
                value
            }
            None => value,
        }
    }

    /// # Errors
    /// As for [`Self::expr`].
    pub fn negate(&mut self, inner: &Expr, scope: &Scope) -> Result<Value> {
        let v = self.expr(inner, scope)?;
        match v.kind {
            FieldKind::F32 | FieldKind::F64 => {
                let lo = self.b.ins().fneg(v.lo);
                Ok(Value { lo, ..v })
            }
            FieldKind::Str => Err(failure("the negative of a string")),
            kind => {
                let t = clif_type(kind);
                let least = type_bounds(&inner.data_type()).map_or(0, |b| b.0);
                let can_overflow = kind != FieldKind::I128 && !inner.data_type().is_decimal() && v.bounds.is_none_or(|b| b.0 == least);
                let failed = can_overflow.then(|| {
                    let least = self.integer(t, least);
                    self.compare(ir::condcodes::IntCC::Equal, v.lo, least)
                });
                let lo = self.b.ins().ineg(v.lo);
                let value = Value { lo, bounds: v.bounds.map(|(l, h)| (h.saturating_neg(), l.saturating_neg())), ..v };
                Ok(self.checked(value, failed, false))
            }
        }
    }

    fn integers(&mut self, op: ArithmeticOp, l: &Value, r: &Value, t: &DataType) -> Result<(Value, Option<ir::Value>)> {
        let kind = kind_of(t).ok_or_else(|| failure(format!("arithmetic of {t}")))?;
        let (a, b) = (self.as_i64(l), self.as_i64(r));
        let limits = type_bounds(t);
        let (lo, bounds, failed) = match op {
            ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Multiply => {
                let bounds = bounds_of(op, l.bounds, r.bounds);
                let safe = within(bounds, limits);
                if kind == FieldKind::I64 && !safe {
                    let (v, overflow) = match op {
                        ArithmeticOp::Add => self.b.ins().sadd_overflow(a, b),
                        ArithmeticOp::Subtract => self.b.ins().ssub_overflow(a, b),
                        _ => self.b.ins().smul_overflow(a, b),
                    };
                    (v, bounds, Some(overflow))
                } else {
                    let v = match op {
                        ArithmeticOp::Add => self.b.ins().iadd(a, b),
                        ArithmeticOp::Subtract => self.b.ins().isub(a, b),
                        _ => self.b.ins().imul(a, b),
                    };
                    let (lo, hi) = limits.unwrap_or_default();
                    let failed = (!safe).then(|| self.outside(v, types::I64, lo, hi));
                    (v, bounds, failed)
                }
            }
            ArithmeticOp::IntegralDivide | ArithmeticOp::Remainder => {
                let zero = self.b.ins().icmp_imm_s(ir::condcodes::IntCC::Equal, b, 0);
                let minus_one = self.b.ins().icmp_imm_s(ir::condcodes::IntCC::Equal, b, -1);
                let one = self.b.ins().iconst(types::I64, 1);
                // Dividing by 0 or -1 may trap; -1 is handled by other means.
                let special = self.b.ins().bor(zero, minus_one);
                let divisor = self.b.ins().select(special, one, b);
                if op == ArithmeticOp::Remainder {
                    let v = self.b.ins().srem(a, divisor);
                    (v, l.bounds.map(|(lo, hi)| (lo.min(0), hi.max(0))), Some(zero))
                } else {
                    let quotient = self.b.ins().sdiv(a, divisor);
                    let negated = self.b.ins().ineg(a);
                    let v = self.b.ins().select(minus_one, negated, quotient);
                    let least = self.b.ins().iconst(types::I64, i64::MIN);
                    let is_least = self.compare(ir::condcodes::IntCC::Equal, a, least);
                    let overflow = self.b.ins().band(is_least, minus_one);
                    (v, None, Some(self.b.ins().bor(zero, overflow)))
                }
            }
            ArithmeticOp::Divide => return Err(failure("division of integers")),
        };
        let lo = if kind == FieldKind::I64 { lo } else { self.b.ins().ireduce(clif_type(kind), lo) };
        Ok((Value::new(kind, lo).with_bounds(intersect(bounds, limits)), failed))
    }

    fn floats(&mut self, op: ArithmeticOp, l: &Value, r: &Value) -> Result<(Value, Option<ir::Value>)> {
        let mut failed = None;
        let lo = match op {
            ArithmeticOp::Add => self.b.ins().fadd(l.lo, r.lo),
            ArithmeticOp::Subtract => self.b.ins().fsub(l.lo, r.lo),
            ArithmeticOp::Multiply => self.b.ins().fmul(l.lo, r.lo),
            ArithmeticOp::Divide => {
                let zero = self.zero(r.kind);
                failed = Some(self.b.ins().fcmp(FloatCC::Equal, r.lo, zero.lo));
                self.b.ins().fdiv(l.lo, r.lo)
            }
            ArithmeticOp::IntegralDivide | ArithmeticOp::Remainder => return Err(failure("the remainder of floats")),
        };
        Ok((Value::new(l.kind, lo), failed))
    }

    fn decimals(
        &mut self,
        op: ArithmeticOp,
        l: &Value,
        (_, s1): (u8, i8),
        r: &Value,
        (_, s2): (u8, i8),
        t: &DataType,
    ) -> Result<(Value, Option<ir::Value>)> {
        let DataType::Decimal { precision, scale } = *t else {
            return Err(failure("integral division of decimals"));
        };
        let declared = kind_of(t).unwrap_or(FieldKind::I128);
        let exact_scale = match op {
            ArithmeticOp::Add | ArithmeticOp::Subtract => s1.max(s2),
            ArithmeticOp::Multiply => s1 + s2,
            ArithmeticOp::Divide | ArithmeticOp::IntegralDivide | ArithmeticOp::Remainder => i8::MAX,
        };
        let general = |e: &mut Self| e.decimal_call(decimal_function(op, s1, s2, (precision, scale)), l, r, declared, t);
        if exact_scale != scale {
            return general(self);
        }
        let (l, r) = if op == ArithmeticOp::Multiply {
            (*l, *r)
        } else {
            match (self.scale_up(l, (scale - s1) as u32), self.scale_up(r, (scale - s2) as u32)) {
                (Some(l), Some(r)) => (l, r),
                _ => return general(self),
            }
        };
        let Some(bounds) = bounds_of(op, l.bounds, r.bounds) else { return general(self) };
        let narrow = fits_i64(Some(bounds)) && l.kind == FieldKind::I64 && r.kind == FieldKind::I64;
        let (kind, lo) = match op {
            _ if narrow => (FieldKind::I64, self.integer_op(op, l.lo, r.lo)),
            // The full product of two words is two instructions; a product of double words is many.
            ArithmeticOp::Multiply if l.kind == FieldKind::I64 && r.kind == FieldKind::I64 => {
                let low = self.b.ins().imul(l.lo, r.lo);
                let high = self.b.ins().smulhi(l.lo, r.lo);
                (FieldKind::I128, self.b.ins().iconcat(low, high))
            }
            _ => {
                let (a, b) = (self.widen(&l, FieldKind::I128), self.widen(&r, FieldKind::I128));
                (FieldKind::I128, self.integer_op(op, a.lo, b.lo))
            }
        };
        let limits = type_bounds(t);
        let failed = match limits {
            Some((least, most)) if !within(Some(bounds), limits) => Some(self.outside(lo, clif_type(kind), least, most)),
            _ => None,
        };
        let value = Value::new(kind, lo).with_bounds(intersect(Some(bounds), limits));
        Ok((if declared == FieldKind::I64 { self.widen(&value, FieldKind::I64) } else { value }, failed))
    }

    fn integer_op(&mut self, op: ArithmeticOp, a: ir::Value, b: ir::Value) -> ir::Value {
        match op {
            ArithmeticOp::Add => self.b.ins().iadd(a, b),
            ArithmeticOp::Subtract => self.b.ins().isub(a, b),
            _ => self.b.ins().imul(a, b),
        }
    }

    /// Times ten to the `digits`, widened as needed; `None` where even 128 bits might not do.
    pub fn scale_up(&mut self, value: &Value, digits: u32) -> Option<Value> {
        if digits == 0 {
            return Some(*value);
        }
        let factor = 10i128.checked_pow(digits)?;
        let bounds = bounds_of(ArithmeticOp::Multiply, value.bounds, Some((factor, factor)))?;
        let kind = if fits_i64(Some(bounds)) && value.kind == FieldKind::I64 { FieldKind::I64 } else { FieldKind::I128 };
        let wide = self.widen(value, kind);
        let factor = self.integer(clif_type(kind), factor);
        let lo = self.b.ins().imul(wide.lo, factor);
        Some(Value { lo, bounds: Some(bounds), ..wide })
    }

    /// A decimal operation by a call; the result is in `kind`.
    ///
    /// # Errors
    /// Never in practice: the symbol is there.
    pub fn decimal_call(
        &mut self,
        function: DecimalFunction,
        l: &Value,
        r: &Value,
        kind: FieldKind,
        t: &DataType,
    ) -> Result<(Value, Option<ir::Value>)> {
        let function = self.helper(Helper::Decimal(Arc::new(function)));
        let (a, b) = (self.halves(l), self.halves(r));
        let out = self.slot_address(SCRATCH);
        let failed = self.call_value("ws_decimal_function", &[function, a.0, a.1, b.0, b.1, out])?;
        let lo = self.load_slot(SCRATCH, clif_type(kind));
        Ok((Value::new(kind, lo).with_bounds(type_bounds(t)), Some(failed)))
    }

    fn halves(&mut self, v: &Value) -> (ir::Value, ir::Value) {
        if v.kind == FieldKind::I128 {
            return self.b.ins().isplit(v.lo);
        }
        let lo = self.as_i64(v);
        (lo, self.b.ins().sshr_imm_u(lo, 63))
    }
}

/// Bounds of a sum, difference or product; `None` where 128 bits might not hold them.
pub fn bounds_of(op: ArithmeticOp, a: Option<Bounds>, b: Option<Bounds>) -> Option<Bounds> {
    let ((al, ah), (bl, bh)) = (a?, b?);
    match op {
        ArithmeticOp::Add => Some((al.checked_add(bl)?, ah.checked_add(bh)?)),
        ArithmeticOp::Subtract => Some((al.checked_sub(bh)?, ah.checked_sub(bl)?)),
        ArithmeticOp::Multiply => {
            let corners = [al.checked_mul(bl)?, al.checked_mul(bh)?, ah.checked_mul(bl)?, ah.checked_mul(bh)?];
            Some((*corners.iter().min()?, *corners.iter().max()?))
        }
        ArithmeticOp::Divide | ArithmeticOp::IntegralDivide | ArithmeticOp::Remainder => None,
    }
}

fn within(bounds: Option<Bounds>, limits: Option<Bounds>) -> bool {
    matches!((bounds, limits), (Some(b), Some(l)) if b.0 >= l.0 && b.1 <= l.1)
}

/// The operation over unscaled values, with the interpreter's own routines; `None` is an error of the row.
fn decimal_function(op: ArithmeticOp, s1: i8, s2: i8, (precision, scale): (u8, i8)) -> DecimalFunction {
    let common = s1.max(s2);
    let align = move |a: i128, b: i128| -> Option<(i128, i128)> {
        let up = |v: i128, s: i8| v.checked_mul(10i128.checked_pow((common - s) as u32)?);
        Some((up(a, s1)?, up(b, s2)?))
    };
    Box::new(move |a, b| match op {
        ArithmeticOp::Add => {
            let (a, b) = align(a, b)?;
            decimal::rescale(a.checked_add(b)?, common, scale, precision)
        }
        ArithmeticOp::Subtract => {
            let (a, b) = align(a, b)?;
            decimal::rescale(a.checked_sub(b)?, common, scale, precision)
        }
        ArithmeticOp::Multiply => decimal::multiply(a, b, (s1 + s2 - scale) as u32, precision),
        ArithmeticOp::Divide if b != 0 => decimal::divide(a, b, i32::from(scale) - i32::from(s1) + i32::from(s2), precision),
        ArithmeticOp::Remainder if b != 0 => decimal::rescale(decimal::remainder(a, s1, b, s2), common, scale, precision),
        ArithmeticOp::Divide | ArithmeticOp::Remainder | ArithmeticOp::IntegralDivide => None,
    })
}
