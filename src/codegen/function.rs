//! Lowering of scalar functions: those worth machine code. The others run interpreted.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::emitter::Emitter;
use super::expr::boolean;
use super::module::failure;
use super::scope::Scope;
use super::value::{Value, clif_type};
use crate::base::{DataType, Result, Scalar};
use crate::expr::{Expr, ScalarFunction};
use crate::runtime::FieldKind;

/// Whether [`Emitter::function`] can lower the call.
pub fn lowered(function: ScalarFunction, args: &[Expr]) -> bool {
    use ScalarFunction as F;
    let literals = || args[1..].iter().all(|a| matches!(a, Expr::Literal(s) if !s.is_null()));
    match function {
        F::Year | F::Quarter | F::Month | F::DayOfMonth | F::IsNaN | F::NormalizeFloat => true,
        F::Abs => args[0].data_type().is_fractional() || args[0].data_type().is_decimal(),
        F::Substring | F::Left | F::StartsWith | F::EndsWith | F::Contains => args[0].data_type() == DataType::String && literals(),
        F::XxHash64 => args.iter().all(|a| super::spark_hash::hashable(&a.data_type())),
        // A subquery's value is a literal by the time that code is written.
        F::MightContain => matches!(args[0], Expr::ScalarSubquery { .. } | Expr::Literal(_)),
        _ => false,
    }
}

impl Emitter<'_> {
    /// # Errors
    /// As for [`Self::expr`].
    pub fn function(&mut self, function: ScalarFunction, args: &[Expr], t: &DataType, scope: &Scope) -> Result<Value> {
        use ScalarFunction as F;
        let unsupported = || failure(format!("{function:?}"));
        if args.is_empty() || !lowered(function, args) {
            return Err(unsupported());
        }
        let integer = |i: usize| args.get(i).and_then(|a| if let Expr::Literal(Scalar::Int(v)) = a { Some(*v) } else { None });
        match function {
            F::Year | F::Quarter | F::Month | F::DayOfMonth => {
                let v = self.expr(&args[0], scope)?;
                let part = self.date_part(function, v.lo);
                Ok(Value::new(FieldKind::I32, part).with_null(v.null).with_bounds(super::value::type_bounds(t)))
            }
            F::IsNaN => {
                let v = self.expr(&args[0], scope)?;
                let lo = self.b.ins().fcmp(ir::condcodes::FloatCC::Unordered, v.lo, v.lo);
                Ok(boolean(match v.null {
                    Some(null) => self.b.ins().band_not(lo, null),
                    None => lo,
                }))
            }
            F::NormalizeFloat => {
                let v = self.expr(&args[0], scope)?;
                if !matches!(v.kind, FieldKind::F32 | FieldKind::F64) {
                    return Ok(v);
                }
                let lo = self.normalise_float(&v);
                Ok(Value { lo, ..v })
            }
            F::Abs => {
                let v = self.expr(&args[0], scope)?;
                match v.kind {
                    FieldKind::F32 | FieldKind::F64 => {
                        let lo = self.b.ins().fabs(v.lo);
                        Ok(Value { lo, ..v })
                    }
                    kind => {
                        let zero = self.integer(clif_type(kind), 0);
                        let negative = self.compare(IntCC::SignedLessThan, v.lo, zero);
                        let negated = self.b.ins().ineg(v.lo);
                        let lo = self.b.ins().select(negative, negated, v.lo);
                        let bounds = v.bounds.map(|(l, h)| (0, h.max(l.saturating_neg())));
                        Ok(Value { lo, bounds, ..v })
                    }
                }
            }
            F::Substring | F::Left => {
                let (position, length) = match function {
                    F::Left => (1, integer(1).ok_or_else(unsupported)?),
                    _ => (integer(1).ok_or_else(unsupported)?, if args.len() > 2 { integer(2).ok_or_else(unsupported)? } else { i32::MAX }),
                };
                let v = self.expr(&args[0], scope)?;
                self.substring(&v, position, length)
            }
            F::XxHash64 => self.xxhash64(args, scope),
            F::MightContain => self.might_contain(&args[0], &args[1], scope),
            F::StartsWith | F::EndsWith | F::Contains => {
                let call = Expr::Function { function, args: args.to_vec() };
                let (value, pattern) = super::strings::like_pattern(&call).ok_or_else(unsupported)?;
                self.like(value, pattern, scope)
            }
            _ => Err(unsupported()),
        }
    }

    /// Year, quarter, month or day of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn date_part(&mut self, part: ScalarFunction, days: ir::Value) -> ir::Value {
        let days = self.b.ins().sextend(types::I64, days);
        let shifted = self.b.ins().iadd_imm_s(days, 719_468);
        let era = self.floor_divide(shifted, 146_097);
        let in_eras = self.b.ins().imul_imm_s(era, 146_097);
        let day_of_era = self.b.ins().isub(shifted, in_eras);
        let divide = |e: &mut Self, v: ir::Value, by: i64| {
            let by = e.b.ins().iconst(types::I64, by);
            e.b.ins().udiv(v, by)
        };
        let (a, b, c) = (divide(self, day_of_era, 1460), divide(self, day_of_era, 36_524), divide(self, day_of_era, 146_096));
        let sum = self.b.ins().isub(day_of_era, a);
        let sum = self.b.ins().iadd(sum, b);
        let sum = self.b.ins().isub(sum, c);
        let year_of_era = divide(self, sum, 365);
        let (leaps, centuries) = (divide(self, year_of_era, 4), divide(self, year_of_era, 100));
        let start = self.b.ins().imul_imm_s(year_of_era, 365);
        let start = self.b.ins().iadd(start, leaps);
        let start = self.b.ins().isub(start, centuries);
        let day_of_year = self.b.ins().isub(day_of_era, start);
        let month_index = self.b.ins().imul_imm_s(day_of_year, 5);
        let month_index = self.b.ins().iadd_imm_s(month_index, 2);
        let month_index = divide(self, month_index, 153);
        let late = self.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, month_index, 10);
        let out = match part {
            ScalarFunction::Year => {
                let years = self.b.ins().imul_imm_s(era, 400);
                let year = self.b.ins().iadd(years, year_of_era);
                let next = self.b.ins().uextend(types::I64, late);
                self.b.ins().iadd(year, next)
            }
            ScalarFunction::DayOfMonth => {
                let first = self.b.ins().imul_imm_s(month_index, 153);
                let first = self.b.ins().iadd_imm_s(first, 2);
                let first = divide(self, first, 5);
                let day = self.b.ins().isub(day_of_year, first);
                self.b.ins().iadd_imm_s(day, 1)
            }
            _ => {
                let (early, wrapped) = (self.b.ins().iadd_imm_s(month_index, 3), self.b.ins().iadd_imm_s(month_index, -9));
                let month = self.b.ins().select(late, wrapped, early);
                if part == ScalarFunction::Month {
                    month
                } else {
                    let months = self.b.ins().iadd_imm_s(month, 2);
                    divide(self, months, 3)
                }
            }
        };
        self.b.ins().ireduce(types::I32, out)
    }
}
