//! Lowering of casts between numbers, booleans, dates and timestamps. Casts from and to strings run interpreted.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::emitter::Emitter;
use super::expr::boolean;
use super::module::failure;
use super::scope::Scope;
use super::value::{Value, clif_type, intersect, kind_of, type_bounds};
use crate::base::{DataType, Result, decimal};
use crate::expr::Expr;
use crate::runtime::FieldKind;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Whether [`Emitter::cast`] can lower it.
pub fn castable(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (a, b) if a == b => kind_of(a).is_some(),
        (Null, to) => kind_of(to).is_some(),
        (Boolean | Byte | Short | Int | Long, Boolean | Byte | Short | Int | Long | Float | Double | Decimal { .. }) => true,
        (Float | Double, Float | Double | Boolean) => true,
        (Float | Double, Byte | Short | Int | Long) => true,
        (Decimal { .. }, Decimal { .. } | Boolean) => true,
        (Decimal { scale, .. }, Byte | Short | Int | Long) => *scale == 0,
        (Decimal { precision, .. }, Double) => *precision <= 15,
        (Date, Timestamp | TimestampNtz) | (Timestamp | TimestampNtz, Date) => true,
        (Timestamp, TimestampNtz) | (TimestampNtz, Timestamp) => true,
        _ => false,
    }
}

impl Emitter<'_> {
    /// # Errors
    /// As for [`Self::expr`].
    pub fn cast(&mut self, inner: &Expr, to: &DataType, try_cast: bool, scope: &Scope) -> Result<Value> {
        let from = inner.data_type();
        let v = self.expr(inner, scope)?;
        if from == *to {
            return Ok(v);
        }
        if !castable(&from, to) {
            return Err(failure(format!("a cast of {from} to {to}")));
        }
        let kind = kind_of(to).ok_or_else(|| failure(format!("values of type {to}")))?;
        let (value, failed) = match (&from, to) {
            (DataType::Null, _) => (self.zero(kind), None),
            (DataType::Float | DataType::Double, DataType::Float | DataType::Double) => {
                let lo =
                    if kind == FieldKind::F64 { self.b.ins().fpromote(types::F64, v.lo) } else { self.b.ins().fdemote(types::F32, v.lo) };
                (Value::new(kind, lo), None)
            }
            (DataType::Float | DataType::Double, DataType::Boolean) => {
                let zero = self.zero(v.kind);
                (boolean(self.b.ins().fcmp(FloatCC::NotEqual, v.lo, zero.lo)), None)
            }
            (DataType::Float | DataType::Double, _) => self.float_to_integer(&v, kind, to),
            (_, DataType::Boolean) => {
                let zero = self.integer(clif_type(v.kind), 0);
                (boolean(self.compare(IntCC::NotEqual, v.lo, zero)), None)
            }
            (DataType::Decimal { scale, .. }, DataType::Double) => {
                let wide = self.as_i64(&v);
                let unscaled = self.b.ins().fcvt_from_sint(types::F64, wide);
                let divisor = self.b.ins().f64const(10f64.powi(i32::from(*scale)));
                (Value::new(kind, self.b.ins().fdiv(unscaled, divisor)), None)
            }
            (DataType::Decimal { scale: s1, .. }, DataType::Decimal { precision, scale: s2 }) => {
                self.rescale(&v, *s1, *precision, *s2, to)?
            }
            (_, DataType::Decimal { precision, scale }) => {
                let lo = self.as_i64_from(&v, &from);
                self.rescale(&Value { kind: FieldKind::I64, lo, ..v }, 0, *precision, *scale, to)?
            }
            (_, DataType::Float | DataType::Double) => {
                let wide = self.as_i64_from(&v, &from);
                (Value::new(kind, self.b.ins().fcvt_from_sint(clif_type(kind), wide)), None)
            }
            (DataType::Date, DataType::Timestamp | DataType::TimestampNtz) => {
                let days = self.as_i64(&v);
                let lo = self.b.ins().imul_imm_s(days, MICROS_PER_DAY);
                (Value::new(kind, lo).with_bounds(type_bounds(to)), None)
            }
            (DataType::Timestamp | DataType::TimestampNtz, DataType::Date) => {
                let days = self.floor_divide(v.lo, MICROS_PER_DAY);
                let lo = self.b.ins().ireduce(types::I32, days);
                (Value::new(kind, lo).with_bounds(type_bounds(to)), None)
            }
            (DataType::Timestamp | DataType::TimestampNtz, _) => (v, None),
            _ => self.integer_to_integer(&v, &from, kind, to),
        };
        Ok(self.checked(value.with_null(v.null), failed, try_cast))
    }

    /// Booleans are 0 or 1, so they extend by zeros.
    fn as_i64_from(&mut self, v: &Value, from: &DataType) -> ir::Value {
        if *from == DataType::Boolean { self.b.ins().uextend(types::I64, v.lo) } else { self.as_i64(v) }
    }

    fn integer_to_integer(&mut self, v: &Value, from: &DataType, kind: FieldKind, to: &DataType) -> (Value, Option<ir::Value>) {
        let limits = type_bounds(to);
        let (least, most) = limits.unwrap_or_default();
        let safe = v.bounds.is_some_and(|(lo, hi)| lo >= least && hi <= most);
        let failed = (!safe && v.kind == FieldKind::I128).then(|| self.outside(v.lo, types::I128, least, most));
        let wide = self.as_i64_from(v, from);
        let failed = failed.or_else(|| (!safe).then(|| self.outside(wide, types::I64, least, most)));
        let lo = if kind == FieldKind::I64 { wide } else { self.b.ins().ireduce(clif_type(kind), wide) };
        (Value::new(kind, lo).with_bounds(intersect(v.bounds, limits)), failed)
    }

    fn float_to_integer(&mut self, v: &Value, kind: FieldKind, to: &DataType) -> (Value, Option<ir::Value>) {
        let wide = if v.kind == FieldKind::F32 { self.b.ins().fpromote(types::F64, v.lo) } else { v.lo };
        let truncated = self.b.ins().trunc(wide);
        let (least, most) = type_bounds(to).unwrap_or_default();
        // For bigint the upper limit is the first double beyond it.
        let below = self.b.ins().f64const(least as f64);
        let above = self.b.ins().f64const(most as f64 + if most > (1 << 53) { 0.0 } else { 1.0 });
        let enough = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, truncated, below);
        let less = self.b.ins().fcmp(FloatCC::LessThan, truncated, above);
        let fits = self.b.ins().band(enough, less);
        let failed = self.b.ins().bxor_imm_u(fits, 1);
        let whole = self.b.ins().fcvt_to_sint_sat(types::I64, truncated);
        let lo = if kind == FieldKind::I64 { whole } else { self.b.ins().ireduce(clif_type(kind), whole) };
        (Value::new(kind, lo).with_bounds(type_bounds(to)), Some(failed))
    }

    fn rescale(&mut self, v: &Value, from_scale: i8, precision: u8, scale: i8, to: &DataType) -> Result<(Value, Option<ir::Value>)> {
        let declared = kind_of(to).unwrap_or(FieldKind::I128);
        let up = if scale >= from_scale { self.scale_up(v, (scale - from_scale) as u32) } else { None };
        let Some(scaled) = up else {
            let function = Box::new(move |a, _| decimal::rescale(a, from_scale, scale, precision));
            return self.decimal_call(function, v, v, declared, to);
        };
        let limits = type_bounds(to);
        let (least, most) = limits.unwrap_or_default();
        let safe = scaled.bounds.is_some_and(|(lo, hi)| lo >= least && hi <= most);
        let failed = (!safe).then(|| self.outside(scaled.lo, clif_type(scaled.kind), least, most));
        let value = scaled.with_bounds(intersect(scaled.bounds, limits));
        Ok((if declared == FieldKind::I64 { self.widen(&value, FieldKind::I64) } else { value }, failed))
    }

    /// Division rounding towards negative infinity.
    pub fn floor_divide(&mut self, v: ir::Value, by: i64) -> ir::Value {
        let divisor = self.b.ins().iconst(types::I64, by);
        let quotient = self.b.ins().sdiv(v, divisor);
        let product = self.b.ins().imul(quotient, divisor);
        let rest = self.b.ins().isub(v, product);
        let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, rest, 0);
        let one = self.b.ins().uextend(types::I64, negative);
        self.b.ins().isub(quotient, one)
    }
}
