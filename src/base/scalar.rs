//! One literal value.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::schema::{DataType, Field};

/// A value of a SQL type. Floats compare by bits, so a scalar can be a map key; SQL comparison lives in `expr`.
#[derive(Debug, Clone)]
pub enum Scalar {
    /// NULL of a type.
    Null(DataType),
    Boolean(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal {
        value: i128,
        precision: u8,
        scale: i8,
    },
    String(Arc<str>),
    Binary(Arc<[u8]>),
    Date(i32),
    Timestamp(i64),
    TimestampNtz(i64),
    YearMonthInterval(i32),
    DayTimeInterval(i64),
    Array(Vec<Scalar>, DataType),
    /// Keys and values, with their types.
    Map(Vec<(Scalar, Scalar)>, DataType, DataType),
    Struct(Vec<Scalar>, Vec<Field>),
}

impl Scalar {
    pub fn string(s: impl Into<Arc<str>>) -> Self {
        Scalar::String(s.into())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Scalar::Null(_))
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Scalar::Null(t) => t.clone(),
            Scalar::Boolean(_) => DataType::Boolean,
            Scalar::Byte(_) => DataType::Byte,
            Scalar::Short(_) => DataType::Short,
            Scalar::Int(_) => DataType::Int,
            Scalar::Long(_) => DataType::Long,
            Scalar::Float(_) => DataType::Float,
            Scalar::Double(_) => DataType::Double,
            Scalar::Decimal { precision, scale, .. } => DataType::decimal(*precision, *scale),
            Scalar::String(_) => DataType::String,
            Scalar::Binary(_) => DataType::Binary,
            Scalar::Date(_) => DataType::Date,
            Scalar::Timestamp(_) => DataType::Timestamp,
            Scalar::TimestampNtz(_) => DataType::TimestampNtz,
            Scalar::YearMonthInterval(_) => DataType::YearMonthInterval,
            Scalar::DayTimeInterval(_) => DataType::DayTimeInterval,
            Scalar::Array(_, t) => DataType::Array(Box::new(t.clone())),
            Scalar::Map(_, k, v) => DataType::Map(Box::new(k.clone()), Box::new(v.clone())),
            Scalar::Struct(_, fs) => DataType::Struct(fs.clone()),
        }
    }

    /// The bytes of a string or a binary value.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Scalar::String(s) => Some(s.as_bytes()),
            Scalar::Binary(b) => Some(b),
            _ => None,
        }
    }

    /// The value as a 128-bit integer where it has an exact one: integers, dates, timestamps, intervals,
    /// booleans, and the unscaled value of a decimal.
    pub fn as_i128(&self) -> Option<i128> {
        Some(match self {
            Scalar::Boolean(v) => i128::from(*v),
            Scalar::Byte(v) => i128::from(*v),
            Scalar::Short(v) => i128::from(*v),
            Scalar::Int(v) | Scalar::Date(v) | Scalar::YearMonthInterval(v) => i128::from(*v),
            Scalar::Long(v) | Scalar::Timestamp(v) | Scalar::TimestampNtz(v) | Scalar::DayTimeInterval(v) => i128::from(*v),
            Scalar::Decimal { value, .. } => *value,
            _ => return None,
        })
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        use Scalar::*;
        match (self, other) {
            (Null(a), Null(b)) => a == b,
            (Boolean(a), Boolean(b)) => a == b,
            (Byte(a), Byte(b)) => a == b,
            (Short(a), Short(b)) => a == b,
            (Int(a), Int(b)) | (Date(a), Date(b)) | (YearMonthInterval(a), YearMonthInterval(b)) => a == b,
            (Long(a), Long(b))
            | (Timestamp(a), Timestamp(b))
            | (TimestampNtz(a), TimestampNtz(b))
            | (DayTimeInterval(a), DayTimeInterval(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
            (Double(a), Double(b)) => a.to_bits() == b.to_bits(),
            (Decimal { value: a, precision: p, scale: s }, Decimal { value: b, precision: q, scale: t }) => a == b && p == q && s == t,
            (String(a), String(b)) => a == b,
            (Binary(a), Binary(b)) => a == b,
            (Array(a, t), Array(b, u)) => a == b && t == u,
            (Map(a, k, v), Map(b, l, w)) => a == b && k == l && v == w,
            (Struct(a, f), Struct(b, g)) => a == b && f == g,
            _ => false,
        }
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Scalar::Null(t) => t.hash(state),
            Scalar::Float(v) => v.to_bits().hash(state),
            Scalar::Double(v) => v.to_bits().hash(state),
            Scalar::String(v) => v.hash(state),
            Scalar::Binary(v) => v.hash(state),
            Scalar::Array(v, _) => v.hash(state),
            Scalar::Map(v, ..) => v.hash(state),
            Scalar::Struct(v, _) => v.hash(state),
            Scalar::Decimal { value, precision, scale } => (value, precision, scale).hash(state),
            other => other.as_i128().hash(state),
        }
    }
}
