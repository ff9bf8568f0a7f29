//! `+ - * / div %` and negation of integers and floats; decimals go to [`super::decimal`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType as ArrowType, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};

use super::decimal;
use super::value::{Value, extent, primitive, union_nulls, wrap};
use crate::base::{DataType, Error, Result};
use crate::expr::ArithmeticOp;

pub(super) fn evaluate(
    op: ArithmeticOp,
    left: &Value,
    right: &Value,
    types: (&DataType, &DataType),
    tries: bool,
    rows: usize,
) -> Result<Value> {
    let (n, scalar) = extent(&[left, right], rows);
    let array = if let (DataType::Decimal { .. }, DataType::Decimal { .. }) = types {
        decimal::arithmetic(op, left, right, types, tries, n)?
    } else {
        match left.inner().data_type() {
            ArrowType::Int8 => integers::<Int8Type>(op, left, right, tries, n)?,
            ArrowType::Int16 => integers::<Int16Type>(op, left, right, tries, n)?,
            ArrowType::Int32 => integers::<Int32Type>(op, left, right, tries, n)?,
            ArrowType::Int64 => integers::<Int64Type>(op, left, right, tries, n)?,
            ArrowType::Float32 => floats::<Float32Type>(op, left, right, tries, n)?,
            ArrowType::Float64 => floats::<Float64Type>(op, left, right, tries, n)?,
            other => return Err(Error::internal(format!("arithmetic on {other}"))),
        }
    };
    Ok(wrap(array, scalar))
}

/// A binary loop over values (NULL slots included, whatever they hold): `f` gives the value and whether there is one.
///
/// Only when some row has none, a second look tells whether such a row is not NULL: then it is the error, or NULL if `tries`.
pub(super) fn binary<L, R, O>(
    left: (&Value, &PrimitiveArray<L>),
    right: (&Value, &PrimitiveArray<R>),
    rows: usize,
    tries: bool,
    f: impl Fn(L::Native, R::Native) -> (O::Native, bool),
    error: impl Fn(L::Native, R::Native) -> Error,
) -> Result<PrimitiveArray<O>>
where
    L: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let nulls = union_nulls(&[left.0, right.0], rows);
    let (l, r) = (left.1.values(), right.1.values());
    let mut out: Vec<O::Native> = Vec::with_capacity(rows);
    let mut failed = false;
    let mut step = |a: L::Native, b: R::Native| {
        let (value, ok) = f(a, b);
        failed |= !ok;
        value
    };
    match (left.0.is_scalar(), right.0.is_scalar()) {
        (false, false) => out.extend(l.iter().zip(r.iter()).map(|(a, b)| step(*a, *b))),
        (false, true) => {
            let b = r[0];
            out.extend(l.iter().map(|a| step(*a, b)));
        }
        (true, false) => {
            let a = l[0];
            out.extend(r.iter().map(|b| step(a, *b)));
        }
        (true, true) => out.push(step(l[0], r[0])),
    }
    if !failed {
        return Ok(PrimitiveArray::new(out.into(), nulls));
    }
    let mut valid = vec![true; rows];
    for (row, valid) in valid.iter_mut().enumerate() {
        let (a, b) = (l[row * left.0.step()], r[row * right.0.step()]);
        if nulls.as_ref().is_none_or(|n| n.is_valid(row)) && !f(a, b).1 {
            if !tries {
                return Err(error(a, b));
            }
            *valid = false;
        }
    }
    Ok(PrimitiveArray::new(out.into(), NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::from(valid))).filter(|n| n.null_count() > 0)))
}

/// Integer operations that the loops need.
pub(super) trait Integer: Copy + Default + PartialEq {
    const NAME: &'static str;
    fn overflowing(self, op: ArithmeticOp, other: Self) -> (Self, bool);
    fn negated(self) -> (Self, bool);
}

macro_rules! integer {
    ($($t:ty => $name:literal),*) => {$(
        impl Integer for $t {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn overflowing(self, op: ArithmeticOp, other: Self) -> (Self, bool) {
                match op {
                    ArithmeticOp::Add => self.overflowing_add(other),
                    ArithmeticOp::Subtract => self.overflowing_sub(other),
                    ArithmeticOp::Multiply => self.overflowing_mul(other),
                    ArithmeticOp::Divide | ArithmeticOp::IntegralDivide => match other {
                        0 => (0, true),
                        other => self.overflowing_div(other),
                    },
                    // The remainder of the least value by -1 is 0, no overflow.
                    ArithmeticOp::Remainder => match other {
                        0 => (0, true),
                        other => (self.wrapping_rem(other), false),
                    },
                }
            }

            fn negated(self) -> (Self, bool) {
                self.overflowing_neg()
            }
        }
    )*};
}

integer!(i8 => "tinyint", i16 => "smallint", i32 => "integer", i64 => "long");

fn integers<T: ArrowPrimitiveType>(op: ArithmeticOp, left: &Value, right: &Value, tries: bool, rows: usize) -> Result<ArrayRef>
where
    T::Native: Integer,
{
    let (l, r) = ((left, primitive::<T>(left.inner())?), (right, primitive::<T>(right.inner())?));
    let error = |_: T::Native, b: T::Native| match op {
        ArithmeticOp::Remainder => Error::remainder_by_zero(),
        ArithmeticOp::IntegralDivide | ArithmeticOp::Divide if b == T::Native::default() => Error::divide_by_zero(),
        _ => Error::overflow(T::Native::NAME),
    };
    // One loop per operator, so that each is vectorised.
    macro_rules! run {
        ($($op:ident),*) => {
            match op {
                $(ArithmeticOp::$op => binary::<T, T, T>(l, r, rows, tries, |a, b| {
                    let (value, overflow) = a.overflowing(ArithmeticOp::$op, b);
                    (value, !overflow)
                }, error)?),*
            }
        };
    }
    Ok(Arc::new(run!(Add, Subtract, Multiply, Divide, IntegralDivide, Remainder)))
}

fn floats<T: ArrowPrimitiveType>(op: ArithmeticOp, left: &Value, right: &Value, tries: bool, rows: usize) -> Result<ArrayRef>
where
    T::Native: std::ops::Add<Output = T::Native>
        + std::ops::Sub<Output = T::Native>
        + std::ops::Mul<Output = T::Native>
        + std::ops::Div<Output = T::Native>
        + std::ops::Rem<Output = T::Native>
        + Default
        + PartialEq,
{
    let (l, r) = ((left, primitive::<T>(left.inner())?), (right, primitive::<T>(right.inner())?));
    let zero = T::Native::default();
    let error = |_: T::Native, _: T::Native| match op {
        ArithmeticOp::Remainder => Error::remainder_by_zero(),
        _ => Error::divide_by_zero(),
    };
    Ok(Arc::new(match op {
        ArithmeticOp::Add => binary::<T, T, T>(l, r, rows, tries, |a, b| (a + b, true), error)?,
        ArithmeticOp::Subtract => binary::<T, T, T>(l, r, rows, tries, |a, b| (a - b, true), error)?,
        ArithmeticOp::Multiply => binary::<T, T, T>(l, r, rows, tries, |a, b| (a * b, true), error)?,
        ArithmeticOp::Divide => binary::<T, T, T>(l, r, rows, tries, |a, b| (a / b, b != zero), error)?,
        ArithmeticOp::Remainder => binary::<T, T, T>(l, r, rows, tries, |a, b| (a % b, b != zero), error)?,
        ArithmeticOp::IntegralDivide => return Err(Error::internal("div of floating-point numbers")),
    }))
}

/// `-x`.
pub(super) fn negate(array: &ArrayRef) -> Result<ArrayRef> {
    fn run<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<ArrayRef>
    where
        T::Native: Integer,
    {
        let a = primitive::<T>(array)?;
        let overflows = |v: &T::Native| v.negated().1;
        if a.values().iter().any(overflows) && a.iter().flatten().any(|v| overflows(&v)) {
            return Err(Error::overflow(T::Native::NAME));
        }
        Ok(Arc::new(a.unary::<_, T>(|v| v.negated().0)))
    }
    Ok(match array.data_type() {
        ArrowType::Int8 => run::<Int8Type>(array)?,
        ArrowType::Int16 => run::<Int16Type>(array)?,
        ArrowType::Int32 => run::<Int32Type>(array)?,
        ArrowType::Int64 => run::<Int64Type>(array)?,
        ArrowType::Float32 => Arc::new(primitive::<Float32Type>(array)?.unary::<_, Float32Type>(|v| -v)),
        ArrowType::Float64 => Arc::new(primitive::<Float64Type>(array)?.unary::<_, Float64Type>(|v| -v)),
        t @ ArrowType::Decimal64(..) => {
            Arc::new(primitive::<Decimal64Type>(array)?.unary::<_, Decimal64Type>(i64::wrapping_neg).with_data_type(t.clone()))
        }
        t @ ArrowType::Decimal128(..) => {
            Arc::new(primitive::<Decimal128Type>(array)?.unary::<_, Decimal128Type>(i128::wrapping_neg).with_data_type(t.clone()))
        }
        other => return Err(Error::internal(format!("negation of {other}"))),
    })
}
