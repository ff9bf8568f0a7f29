//! Lowering of expressions: dispatch, literals, logic, conditionals. Families have files of their own.

use std::rc::Rc;
use std::sync::Arc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::emitter::Emitter;
use super::module::failure;
use super::scope::{MemoKey, Scope};
use super::state::Helper;
use super::value::{Value, clif_type, fits_i64, kind_of, type_bounds, union};
use crate::base::{DataType, Result, Scalar};
use crate::expr::{Expr, ScalarFunction};
use crate::runtime::FieldKind;
use crate::runtime::like::LikePattern;

/// Lists of at most this many literals become comparisons, longer ones a set.
const INLINE_LIST: usize = 6;

impl Emitter<'_> {
    /// The value of an expression over a row. Errors of the row set the error flag.
    ///
    /// # Errors
    /// `Codegen` for what cannot be compiled; callers fall back to the interpreter.
    pub fn expr(&mut self, expr: &Expr, scope: &Scope) -> Result<Value> {
        match expr {
            Expr::Column { index, .. } => return self.column(scope, *index),
            Expr::Alias { expr, .. } => return self.expr(expr, scope),
            Expr::Literal(value) => return self.literal(value),
            _ => {}
        }
        if !self.eliminate {
            return stacker::maybe_grow(128 * 1024, 1024 * 1024, || self.operation(expr, scope));
        }
        let key = MemoKey::Expr(scope.id(), Rc::new(expr.clone()));
        if let Some(v) = self.recall(&key) {
            return Ok(v);
        }
        let value = stacker::maybe_grow(128 * 1024, 1024 * 1024, || self.operation(expr, scope))?;
        self.remember(key, value);
        Ok(value)
    }

    fn operation(&mut self, expr: &Expr, scope: &Scope) -> Result<Value> {
        match expr {
            Expr::Column { index, .. } => self.column(scope, *index),
            Expr::Alias { expr, .. } => self.expr(expr, scope),
            Expr::Literal(value) => self.literal(value),
            Expr::Cast { expr: inner, to, try_cast } => self.cast(inner, to, *try_cast, scope),
            Expr::Negate(inner) => self.negate(inner, scope),
            Expr::Arithmetic { op, left, right, try_arithmetic } => {
                self.arithmetic(*op, left, right, *try_arithmetic, &expr.data_type(), scope)
            }
            Expr::Comparison { op, left, right } => self.comparison(*op, left, right, scope),
            Expr::And(l, r) => self.and_or(l, r, true, scope),
            Expr::Or(l, r) => self.and_or(l, r, false, scope),
            Expr::Not(inner) => {
                let v = self.expr(inner, scope)?;
                let lo = self.b.ins().bxor_imm_u(v.lo, 1);
                Ok(boolean(lo).with_null(v.null))
            }
            Expr::IsNull(inner) => {
                let v = self.expr(inner, scope)?;
                Ok(boolean(v.null.unwrap_or_else(|| self.b.ins().iconst(types::I8, 0))))
            }
            Expr::IsNotNull(inner) => {
                let v = self.expr(inner, scope)?;
                let lo = match v.null {
                    Some(null) => self.b.ins().bxor_imm_u(null, 1),
                    None => self.b.ins().iconst(types::I8, 1),
                };
                Ok(boolean(lo))
            }
            Expr::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), &expr.data_type(), expr.nullable(), scope),
            Expr::Coalesce(args) => self.coalesce(args, &expr.data_type(), scope),
            Expr::In { value, list } => self.in_list(value, list, scope),
            Expr::Like { value, pattern, escape, case_insensitive } => {
                let Expr::Literal(Scalar::String(pattern)) = pattern.as_ref() else {
                    return Err(failure("LIKE with a pattern that is not a literal"));
                };
                self.like(value, LikePattern::new(pattern, *escape, *case_insensitive)?, scope)
            }
            Expr::Function { function, args } => self.function(*function, args, &expr.data_type(), scope),
            Expr::Attribute(_)
            | Expr::Lambda { .. }
            | Expr::LambdaVariable(_)
            | Expr::Aggregate(_)
            | Expr::Window(_)
            | Expr::ScalarSubquery { .. }
            | Expr::DynamicPruning { .. } => Err(failure(format!("`{expr}` in a compiled stage"))),
        }
    }

    /// 1 where a condition is true, 0 where it is false or NULL.
    ///
    /// # Errors
    /// As for [`Self::expr`].
    pub fn predicate(&mut self, condition: &Expr, scope: &Scope) -> Result<ir::Value> {
        let v = self.expr(condition, scope)?;
        Ok(match v.null {
            Some(null) => self.b.ins().band_not(v.lo, null),
            None => v.lo,
        })
    }

    fn literal(&mut self, value: &Scalar) -> Result<Value> {
        let t = value.data_type();
        match value {
            Scalar::Null(DataType::Null) => {
                let lo = self.b.ins().iconst(types::I8, 0);
                let null = self.b.ins().iconst(types::I8, 1);
                Ok(Value::new(FieldKind::I8, lo).with_null(Some(null)))
            }
            Scalar::Null(t) => {
                let kind = kind_of(t).ok_or_else(|| failure(format!("NULL of type {t}")))?;
                let null = self.b.ins().iconst(types::I8, 1);
                Ok(self.zero(kind).with_null(Some(null)))
            }
            Scalar::Boolean(b) => Ok(boolean(self.b.ins().iconst(types::I8, i64::from(*b)))),
            _ => {
                let declared = kind_of(&t).ok_or_else(|| failure(format!("a literal of type {t}")))?;
                let kind = match (declared, value.as_i128()) {
                    (FieldKind::I128, Some(v)) if i64::try_from(v).is_ok() => FieldKind::I64,
                    _ => declared,
                };
                Ok(self.constant(value, kind))
            }
        }
    }

    /// The zero of a kind.
    pub fn zero(&mut self, kind: FieldKind) -> Value {
        match kind {
            FieldKind::F32 => Value::new(kind, self.b.ins().f32const(0.0)),
            FieldKind::F64 => Value::new(kind, self.b.ins().f64const(0.0)),
            FieldKind::Str => {
                let zero = self.b.ins().iconst(types::I64, 0);
                Value::string(zero, zero)
            }
            _ => {
                let lo = self.integer(clif_type(kind), 0);
                Value::new(kind, lo).with_bounds(Some((0, 0)))
            }
        }
    }

    /// Three-valued AND (or, with `and` false, OR). The right side is computed only where it matters if it can fail or is dear.
    fn and_or(&mut self, left: &Expr, right: &Expr, and: bool, scope: &Scope) -> Result<Value> {
        let l = self.expr(left, scope)?;
        if !lazy(right) {
            let r = self.expr(right, scope)?;
            return Ok(self.combine(&l, &r, and));
        }
        let decided = {
            let value = if and { self.b.ins().bxor_imm_u(l.lo, 1) } else { l.lo };
            match l.null {
                Some(null) => self.b.ins().band_not(value, null),
                None => value,
            }
        };
        let out = self.either(
            decided,
            &[types::I8, types::I8],
            |e| {
                let value = e.b.ins().iconst(types::I8, i64::from(!and));
                let null = e.b.ins().iconst(types::I8, 0);
                Ok(vec![value, null])
            },
            |e| {
                let r = e.expr(right, scope)?;
                let v = e.combine(&l, &r, and);
                let null = v.null.unwrap_or_else(|| e.b.ins().iconst(types::I8, 0));
                Ok(vec![v.lo, null])
            },
        )?;
        Ok(boolean(out[0]).with_null((left.nullable() || right.nullable()).then_some(out[1])))
    }

    fn combine(&mut self, l: &Value, r: &Value, and: bool) -> Value {
        if l.null.is_none() && r.null.is_none() {
            let lo = if and { self.b.ins().band(l.lo, r.lo) } else { self.b.ins().bor(l.lo, r.lo) };
            return boolean(lo);
        }
        let mut known = |v: &Value, wanted: bool| {
            let value = if wanted { v.lo } else { self.b.ins().bxor_imm_u(v.lo, 1) };
            match v.null {
                Some(null) => self.b.ins().band_not(value, null),
                None => value,
            }
        };
        // The deciding value (false for AND, true for OR) of either side decides; else a NULL of either side is the result.
        let (dl, dr) = (known(l, !and), known(r, !and));
        let decided = self.b.ins().bor(dl, dr);
        let null = self.either_null(l.null, r.null).unwrap_or(decided);
        let null = self.b.ins().band_not(null, decided);
        let value = if and { self.b.ins().bxor_imm_u(decided, 1) } else { decided };
        boolean(value).with_null(Some(null))
    }

    /// A value as the list of SSA values that blocks pass, in the declared kind.
    fn spread(&mut self, value: &Value, kind: FieldKind) -> Vec<ir::Value> {
        let v = self.widen(value, kind);
        let null = v.null.unwrap_or_else(|| self.b.ins().iconst(types::I8, 0));
        v.hi.map_or_else(|| vec![v.lo, null], |hi| vec![v.lo, null, hi])
    }

    /// `then` where `condition` holds, else `otherwise`: by branches if either is lazy.
    fn choose(
        &mut self,
        condition: ir::Value,
        t: &DataType,
        is_lazy: bool,
        nullable: bool,
        then: impl FnOnce(&mut Self) -> Result<Value>,
        otherwise: impl FnOnce(&mut Self) -> Result<Value>,
    ) -> Result<Value> {
        let declared = kind_of(t).ok_or_else(|| failure(format!("a conditional of type {t}")))?;
        if is_lazy {
            let mut passed = vec![clif_type(declared), types::I8];
            if declared == FieldKind::Str {
                passed.push(types::I64);
            }
            let out = self.either(
                condition,
                &passed,
                |e| {
                    let v = then(e)?;
                    Ok(e.spread(&v, declared))
                },
                |e| {
                    let v = otherwise(e)?;
                    Ok(e.spread(&v, declared))
                },
            )?;
            let hi = out.get(2).copied();
            let value = Value { kind: declared, lo: out[0], hi, tail: hi, null: None, bounds: type_bounds(t) };
            return Ok(value.with_null(nullable.then_some(out[1])));
        }
        let (a, b) = (then(self)?, otherwise(self)?);
        let bounds = union(a.bounds, b.bounds);
        let kind = if declared == FieldKind::I128 && a.kind == FieldKind::I64 && b.kind == FieldKind::I64 && fits_i64(bounds) {
            FieldKind::I64
        } else {
            declared
        };
        let (a, b) = (self.widen(&a, kind), self.widen(&b, kind));
        let lo = self.b.ins().select(condition, a.lo, b.lo);
        let hi = match (a.hi, b.hi) {
            (Some(x), Some(y)) => Some(self.b.ins().select(condition, x, y)),
            _ => None,
        };
        let null = match (a.null, b.null) {
            (None, None) => None,
            (x, y) => {
                let x = x.unwrap_or_else(|| self.b.ins().iconst(types::I8, 0));
                let y = y.unwrap_or_else(|| self.b.ins().iconst(types::I8, 0));
                Some(self.b.ins().select(condition, x, y))
            }
        };
        Ok(Value { kind, lo, hi, tail: hi, null, bounds })
    }

    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, t: &DataType, nullable: bool, scope: &Scope) -> Result<Value> {
        let Some(((condition, value), rest)) = branches.split_first() else {
            return match otherwise {
                Some(e) => {
                    let v = self.expr(e, scope)?;
                    self.of_type(v, t)
                }
                None => self.literal(&Scalar::Null(t.clone())),
            };
        };
        let condition = self.predicate(condition, scope)?;
        let is_lazy = lazy(value) || rest.iter().any(|(c, v)| lazy(c) || lazy(v)) || otherwise.is_some_and(lazy);
        self.choose(
            condition,
            t,
            is_lazy,
            nullable,
            |e| {
                let v = e.expr(value, scope)?;
                e.of_type(v, t)
            },
            |e| e.case(rest, otherwise, t, nullable, scope),
        )
    }

    /// An untyped NULL takes the type that it stands for.
    fn of_type(&mut self, value: Value, t: &DataType) -> Result<Value> {
        let kind = kind_of(t).ok_or_else(|| failure(format!("values of type {t}")))?;
        let narrow = kind == FieldKind::I128 && value.kind == FieldKind::I64;
        if value.kind == kind || narrow { Ok(value) } else { Ok(self.zero(kind).with_null(value.null)) }
    }

    fn coalesce(&mut self, args: &[Expr], t: &DataType, scope: &Scope) -> Result<Value> {
        let Some((first, rest)) = args.split_first() else {
            return self.literal(&Scalar::Null(t.clone()));
        };
        let v = self.expr(first, scope)?;
        let v = self.of_type(v, t)?;
        let Some(null) = v.null else { return Ok(v) };
        if rest.is_empty() {
            return Ok(v);
        }
        let nullable = rest.iter().all(Expr::nullable);
        self.choose(null, t, rest.iter().any(lazy), nullable, |e| e.coalesce(rest, t, scope), |_| Ok(v.with_null(None)))
    }

    fn in_list(&mut self, value: &Expr, list: &[Expr], scope: &Scope) -> Result<Value> {
        let literals: Option<Vec<&Scalar>> = list.iter().map(|e| if let Expr::Literal(s) = e { Some(s) } else { None }).collect();
        let Some(literals) = literals else {
            let mut any: Option<Value> = None;
            for item in list {
                let equal = self.comparison(crate::expr::ComparisonOp::Equal, value, item, scope)?;
                any = Some(match any {
                    Some(found) => self.combine(&found, &equal, false),
                    None => equal,
                });
            }
            return any.ok_or_else(|| failure("IN with an empty list"));
        };
        let has_null = literals.iter().any(|s| s.is_null());
        let items: Vec<&Scalar> = literals.into_iter().filter(|s| !s.is_null()).collect();
        let v = self.expr(value, scope)?;
        let found = match v.kind {
            FieldKind::Str => self.one_of(&v, &items)?,
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 | FieldKind::I64 if items.len() > INLINE_LIST => {
                let set = items.iter().filter_map(|s| s.as_i128()).filter_map(|v| i64::try_from(v).ok()).collect();
                let set = self.helper(Helper::Integers(Arc::new(set)));
                let wide = self.as_i64(&v);
                self.call_value("ws_integer_set", &[set, wide])?
            }
            _ => {
                let mut any = self.b.ins().iconst(types::I8, 0);
                for item in items {
                    let item = self.literal(item)?;
                    let equal = self.equal(&v, &item)?;
                    any = self.b.ins().bor(any, equal);
                }
                any
            }
        };
        let null = if has_null {
            let missing = self.b.ins().bxor_imm_u(found, 1);
            self.either_null(v.null, Some(missing))
        } else {
            v.null
        };
        Ok(boolean(found).with_null(null))
    }

    /// An integer sign-extended to 64 bits.
    pub fn as_i64(&mut self, value: &Value) -> ir::Value {
        match value.kind {
            FieldKind::I8 | FieldKind::I16 | FieldKind::I32 => self.b.ins().sextend(types::I64, value.lo),
            FieldKind::I128 => self.b.ins().ireduce(types::I64, value.lo),
            _ => value.lo,
        }
    }

    /// 1 where `v` is outside `[lo, hi]`.
    pub fn outside(&mut self, v: ir::Value, t: ir::Type, lo: i128, hi: i128) -> ir::Value {
        let (lo, hi) = (self.integer(t, lo), self.integer(t, hi));
        let below = self.compare(IntCC::SignedLessThan, v, lo);
        let above = self.compare(IntCC::SignedGreaterThan, v, hi);
        self.b.ins().bor(below, above)
    }
}

/// A boolean in a register.
pub fn boolean(lo: ir::Value) -> Value {
    Value::new(FieldKind::I8, lo)
}

/// Whether an expression must not, or should not, be computed for rows that do not need it.
pub fn lazy(expr: &Expr) -> bool {
    expr.can_fail() || is_dear(expr)
}

/// Whether computing it costs more than a mispredicted branch.
pub fn is_dear(expr: &Expr) -> bool {
    expr.any(&mut |e| match e {
        Expr::Function { function: ScalarFunction::StartsWith | ScalarFunction::EndsWith | ScalarFunction::Contains, .. } => {
            super::strings::is_dear(e)
        }
        Expr::Function { .. } => true,
        Expr::In { value, list } if value.data_type() != DataType::String => list.len() > INLINE_LIST,
        Expr::Comparison { left, .. } if left.data_type() != DataType::String => false,
        Expr::Like { .. } | Expr::In { .. } | Expr::Comparison { .. } => super::strings::is_dear(e),
        _ => false,
    })
}
