//! Typed SSA values with an optional null bit.

use cranelift_codegen::ir::{self, types};

use crate::base::DataType;
use crate::base::schema::MAX_LONG_PRECISION;
use crate::runtime::FieldKind;
use crate::runtime::string::INLINE;

/// Inclusive bounds of an integer value (of the unscaled value, for decimals), proven for every row.
pub type Bounds = (i128, i128);

/// A SQL value in registers.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// How it is held. A decimal of more than 18 digits is held in 64 bits where its bounds prove that it fits.
    pub kind: FieldKind,
    /// The value; of a string, length and first bytes.
    pub lo: ir::Value,
    /// Of a string, the other bytes or the address (see [`crate::runtime::StrRef`]).
    pub hi: Option<ir::Value>,
    /// Of a string, what is `hi` where the string is inline and arbitrary elsewhere; at hand without computing an address.
    pub tail: Option<ir::Value>,
    /// 1 where NULL; absent when it never is. The value of a NULL is arbitrary (but no trap).
    pub null: Option<ir::Value>,
    /// Bounds of an integer; of a string's length in bytes.
    pub bounds: Option<Bounds>,
}

impl Value {
    pub fn new(kind: FieldKind, lo: ir::Value) -> Self {
        Self { kind, lo, hi: None, tail: None, null: None, bounds: None }
    }

    pub fn string(lo: ir::Value, hi: ir::Value) -> Self {
        Self { kind: FieldKind::Str, lo, hi: Some(hi), tail: Some(hi), null: None, bounds: None }
    }

    /// Whether it is a string that is proven to lie in the value itself.
    pub fn never_long(&self) -> bool {
        self.kind == FieldKind::Str && self.bounds.is_some_and(|(_, most)| most <= INLINE as i128)
    }

    pub fn with_null(mut self, null: Option<ir::Value>) -> Self {
        self.null = null;
        self
    }

    pub fn with_bounds(mut self, bounds: Option<Bounds>) -> Self {
        self.bounds = bounds;
        self
    }
}

/// How values of a type are held in rows and batches; `None` for types that generated code does not handle.
pub fn kind_of(t: &DataType) -> Option<FieldKind> {
    Some(match t {
        DataType::Boolean | DataType::Byte => FieldKind::I8,
        DataType::Short => FieldKind::I16,
        DataType::Int | DataType::Date | DataType::YearMonthInterval => FieldKind::I32,
        DataType::Long | DataType::Timestamp | DataType::TimestampNtz | DataType::DayTimeInterval => FieldKind::I64,
        DataType::Float => FieldKind::F32,
        DataType::Double => FieldKind::F64,
        DataType::Decimal { precision, .. } if *precision <= MAX_LONG_PRECISION => FieldKind::I64,
        DataType::Decimal { .. } => FieldKind::I128,
        DataType::String | DataType::Binary => FieldKind::Str,
        DataType::Null | DataType::Array(_) | DataType::Map(..) | DataType::Struct(_) => return None,
    })
}

/// The Cranelift type of a kind (of a string, of each half).
pub fn clif_type(kind: FieldKind) -> ir::Type {
    match kind {
        FieldKind::I8 => types::I8,
        FieldKind::I16 => types::I16,
        FieldKind::I32 => types::I32,
        FieldKind::I64 | FieldKind::Str => types::I64,
        FieldKind::I128 => types::I128,
        FieldKind::F32 => types::F32,
        FieldKind::F64 => types::F64,
    }
}

/// Bounds that a type promises by itself.
pub fn type_bounds(t: &DataType) -> Option<Bounds> {
    Some(match t {
        DataType::Boolean => (0, 1),
        DataType::Byte => (i128::from(i8::MIN), i128::from(i8::MAX)),
        DataType::Short => (i128::from(i16::MIN), i128::from(i16::MAX)),
        DataType::Int | DataType::Date | DataType::YearMonthInterval => (i128::from(i32::MIN), i128::from(i32::MAX)),
        DataType::Long | DataType::Timestamp | DataType::TimestampNtz | DataType::DayTimeInterval => {
            (i128::from(i64::MIN), i128::from(i64::MAX))
        }
        DataType::Decimal { precision, .. } => {
            let most = 10i128.pow(u32::from(*precision)) - 1;
            (-most, most)
        }
        _ => return None,
    })
}

/// Whether all values within the bounds fit 64 bits.
pub fn fits_i64(bounds: Option<Bounds>) -> bool {
    bounds.is_some_and(|(lo, hi)| lo >= i128::from(i64::MIN) && hi <= i128::from(i64::MAX))
}

/// Bounds that hold for values of either.
pub fn union(a: Option<Bounds>, b: Option<Bounds>) -> Option<Bounds> {
    match (a, b) {
        (Some((al, ah)), Some((bl, bh))) => Some((al.min(bl), ah.max(bh))),
        _ => None,
    }
}

/// Bounds that hold if both do.
pub fn intersect(a: Option<Bounds>, b: Option<Bounds>) -> Option<Bounds> {
    match (a, b) {
        (Some((al, ah)), Some((bl, bh))) => Some((al.max(bl), ah.min(bh))),
        (some, None) | (None, some) => some,
    }
}
