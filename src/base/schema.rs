//! Data types in Spark's words, their Arrow representation, and attributes (columns with identity).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, IntervalUnit, Schema as ArrowSchema, TimeUnit};

use super::error::{Error, Result};

/// Largest decimal precision whose unscaled value always fits 64 bits.
pub const MAX_LONG_PRECISION: u8 = 18;
/// Largest decimal precision.
pub const MAX_PRECISION: u8 = 38;

/// A SQL data type, with Spark's names and semantics.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataType {
    /// The type of the literal `NULL`.
    Null,
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    /// Unscaled integer with `scale` digits after the point; 64-bit up to precision 18, else 128-bit.
    Decimal {
        precision: u8,
        scale: i8,
    },
    String,
    Binary,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since the epoch, an instant shown in the session time zone.
    Timestamp,
    /// Microseconds since the epoch without a time zone.
    TimestampNtz,
    /// Months.
    YearMonthInterval,
    /// Microseconds.
    DayTimeInterval,
    Array(Box<DataType>),
    Map(Box<DataType>, Box<DataType>),
    Struct(Vec<Field>),
}

impl DataType {
    pub fn decimal(precision: u8, scale: i8) -> Self {
        DataType::Decimal { precision, scale }
    }

    pub fn is_integral(&self) -> bool {
        matches!(self, DataType::Byte | DataType::Short | DataType::Int | DataType::Long)
    }

    pub fn is_fractional(&self) -> bool {
        matches!(self, DataType::Float | DataType::Double)
    }

    pub fn is_decimal(&self) -> bool {
        matches!(self, DataType::Decimal { .. })
    }

    pub fn is_numeric(&self) -> bool {
        self.is_integral() || self.is_fractional() || self.is_decimal()
    }

    pub fn is_nested(&self) -> bool {
        matches!(self, DataType::Array(_) | DataType::Map(..) | DataType::Struct(_))
    }

    /// Whether values can be ordered and compared; maps, and what holds maps, cannot.
    pub fn is_orderable(&self) -> bool {
        match self {
            DataType::Map(..) => false,
            DataType::Array(e) => e.is_orderable(),
            DataType::Struct(fs) => fs.iter().all(|f| f.data_type.is_orderable()),
            _ => true,
        }
    }

    /// Spark's estimate of a value's size in bytes, for statistics.
    pub fn default_size(&self) -> u64 {
        match self {
            DataType::Null | DataType::Boolean | DataType::Byte => 1,
            DataType::Short => 2,
            DataType::Int | DataType::Float | DataType::Date | DataType::YearMonthInterval => 4,
            DataType::Long | DataType::Double | DataType::Timestamp | DataType::TimestampNtz | DataType::DayTimeInterval => 8,
            DataType::Decimal { precision, .. } => {
                if *precision <= MAX_LONG_PRECISION {
                    8
                } else {
                    16
                }
            }
            DataType::String => 20,
            DataType::Binary => 100,
            DataType::Array(e) => e.default_size(),
            DataType::Map(k, v) => k.default_size() + v.default_size(),
            DataType::Struct(fs) => fs.iter().map(|f| f.data_type.default_size()).sum(),
        }
    }

    /// The one Arrow type in which values of this type travel between operators.
    pub fn to_arrow(&self) -> ArrowType {
        match self {
            DataType::Null => ArrowType::Null,
            DataType::Boolean => ArrowType::Boolean,
            DataType::Byte => ArrowType::Int8,
            DataType::Short => ArrowType::Int16,
            DataType::Int => ArrowType::Int32,
            DataType::Long => ArrowType::Int64,
            DataType::Float => ArrowType::Float32,
            DataType::Double => ArrowType::Float64,
            DataType::Decimal { precision, scale } if *precision <= MAX_LONG_PRECISION => ArrowType::Decimal64(*precision, *scale),
            DataType::Decimal { precision, scale } => ArrowType::Decimal128(*precision, *scale),
            DataType::String => ArrowType::Utf8View,
            DataType::Binary => ArrowType::BinaryView,
            DataType::Date => ArrowType::Date32,
            DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::TimestampNtz => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            DataType::YearMonthInterval => ArrowType::Interval(IntervalUnit::YearMonth),
            DataType::DayTimeInterval => ArrowType::Duration(TimeUnit::Microsecond),
            DataType::Array(e) => ArrowType::List(Arc::new(ArrowField::new("element", e.to_arrow(), true))),
            DataType::Map(k, v) => {
                let entries = vec![ArrowField::new("key", k.to_arrow(), false), ArrowField::new("value", v.to_arrow(), true)];
                ArrowType::Map(Arc::new(ArrowField::new("entries", ArrowType::Struct(entries.into()), false)), false)
            }
            DataType::Struct(fs) => ArrowType::Struct(fs.iter().map(Field::to_arrow).collect()),
        }
    }

    /// The SQL type that an incoming Arrow type is read as; the data is cast to [`Self::to_arrow`] where it differs.
    ///
    /// # Errors
    /// `Unsupported` for Arrow types without a SQL counterpart (e.g. unions).
    pub fn from_arrow(t: &ArrowType) -> Result<Self> {
        Ok(match t {
            ArrowType::Null => DataType::Null,
            ArrowType::Boolean => DataType::Boolean,
            ArrowType::Int8 => DataType::Byte,
            ArrowType::Int16 | ArrowType::UInt8 => DataType::Short,
            ArrowType::Int32 | ArrowType::UInt16 => DataType::Int,
            ArrowType::Int64 | ArrowType::UInt32 => DataType::Long,
            ArrowType::UInt64 => DataType::decimal(20, 0),
            ArrowType::Float16 | ArrowType::Float32 => DataType::Float,
            ArrowType::Float64 => DataType::Double,
            ArrowType::Decimal32(p, s) | ArrowType::Decimal64(p, s) | ArrowType::Decimal128(p, s) => DataType::decimal(*p, *s),
            ArrowType::Decimal256(p, s) if *p <= MAX_PRECISION => DataType::decimal(*p, *s),
            ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::String,
            ArrowType::Binary | ArrowType::LargeBinary | ArrowType::BinaryView | ArrowType::FixedSizeBinary(_) => DataType::Binary,
            ArrowType::Date32 | ArrowType::Date64 => DataType::Date,
            ArrowType::Timestamp(_, Some(_)) => DataType::Timestamp,
            ArrowType::Timestamp(_, None) => DataType::TimestampNtz,
            ArrowType::Interval(IntervalUnit::YearMonth) => DataType::YearMonthInterval,
            ArrowType::Duration(_) => DataType::DayTimeInterval,
            ArrowType::List(f) | ArrowType::LargeList(f) | ArrowType::FixedSizeList(f, _) | ArrowType::ListView(f) => {
                DataType::Array(Box::new(Self::from_arrow(f.data_type())?))
            }
            ArrowType::Map(entries, _) => match entries.data_type() {
                ArrowType::Struct(kv) if kv.len() == 2 => {
                    DataType::Map(Box::new(Self::from_arrow(kv[0].data_type())?), Box::new(Self::from_arrow(kv[1].data_type())?))
                }
                other => return Err(Error::unsupported(format!("Arrow map entries of type {other}"))),
            },
            ArrowType::Struct(fs) => DataType::Struct(fs.iter().map(|f| Field::from_arrow(f)).collect::<Result<_>>()?),
            ArrowType::Dictionary(_, v) => Self::from_arrow(v)?,
            ArrowType::RunEndEncoded(_, v) => Self::from_arrow(v.data_type())?,
            other => return Err(Error::unsupported(format!("Arrow type {other} has no SQL type"))),
        })
    }
}

/// Spark's simple name: `bigint`, `decimal(15,2)`, `array<int>`.
impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Null => f.write_str("void"),
            DataType::Boolean => f.write_str("boolean"),
            DataType::Byte => f.write_str("tinyint"),
            DataType::Short => f.write_str("smallint"),
            DataType::Int => f.write_str("int"),
            DataType::Long => f.write_str("bigint"),
            DataType::Float => f.write_str("float"),
            DataType::Double => f.write_str("double"),
            DataType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            DataType::String => f.write_str("string"),
            DataType::Binary => f.write_str("binary"),
            DataType::Date => f.write_str("date"),
            DataType::Timestamp => f.write_str("timestamp"),
            DataType::TimestampNtz => f.write_str("timestamp_ntz"),
            DataType::YearMonthInterval => f.write_str("interval year to month"),
            DataType::DayTimeInterval => f.write_str("interval day to second"),
            DataType::Array(e) => write!(f, "array<{e}>"),
            DataType::Map(k, v) => write!(f, "map<{k},{v}>"),
            DataType::Struct(fs) => {
                f.write_str("struct<")?;
                for (i, field) in fs.iter().enumerate() {
                    write!(f, "{}{}:{}", if i > 0 { "," } else { "" }, field.name, field.data_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

/// A named column of a table or a field of a struct; no identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    pub name: Arc<str>,
    pub data_type: DataType,
    pub nullable: bool,
}

impl Field {
    pub fn new(name: impl Into<Arc<str>>, data_type: DataType, nullable: bool) -> Self {
        Self { name: name.into(), data_type, nullable }
    }

    pub fn to_arrow(&self) -> ArrowField {
        ArrowField::new(self.name.as_ref(), self.data_type.to_arrow(), self.nullable)
    }

    /// # Errors
    /// See [`DataType::from_arrow`].
    pub fn from_arrow(f: &ArrowField) -> Result<Self> {
        Ok(Self::new(
            f.name().as_str(),
            DataType::from_arrow(f.data_type()).map_err(|e| e.context(format!("column `{}`", f.name())))?,
            f.is_nullable(),
        ))
    }
}

/// The columns of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    pub fields: Vec<Field>,
}

impl Schema {
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// # Errors
    /// See [`DataType::from_arrow`].
    pub fn from_arrow(s: &ArrowSchema) -> Result<Self> {
        Ok(Self::new(s.fields().iter().map(|f| Field::from_arrow(f)).collect::<Result<_>>()?))
    }

    pub fn to_arrow(&self) -> ArrowSchema {
        ArrowSchema::new(self.fields.iter().map(Field::to_arrow).collect::<Vec<_>>())
    }

    /// Position of the column of that name, without regard to case.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name.eq_ignore_ascii_case(name))
    }
}

/// Identity of an attribute or a named expression, unique in the process (`name#12`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u64);

static NEXT_EXPR_ID: AtomicU64 = AtomicU64::new(0);

impl ExprId {
    /// A fresh id.
    pub fn next() -> Self {
        Self(NEXT_EXPR_ID.fetch_add(1, Ordering::Relaxed))
    }
}

/// A column with identity. Equality and hash are those of the id alone: nullability may change on the way up
/// (outer joins) and the name is for people.
#[derive(Debug, Clone)]
pub struct Attribute {
    pub id: ExprId,
    pub name: Arc<str>,
    pub data_type: DataType,
    pub nullable: bool,
}

impl Attribute {
    /// An attribute with a fresh id.
    pub fn new(name: impl Into<Arc<str>>, data_type: DataType, nullable: bool) -> Self {
        Self { id: ExprId::next(), name: name.into(), data_type, nullable }
    }

    pub fn with_nullable(mut self, nullable: bool) -> Self {
        self.nullable = nullable;
        self
    }

    /// The same column under a fresh id.
    pub fn fresh(&self) -> Self {
        Self { id: ExprId::next(), ..self.clone() }
    }

    pub fn to_field(&self) -> Field {
        Field::new(self.name.clone(), self.data_type.clone(), self.nullable)
    }
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Attribute {}

impl Hash for Attribute {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// `name#12`, with the suffix `L` for bigint, as Spark prints it.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}{}", self.name, self.id.0, if self.data_type == DataType::Long { "L" } else { "" })
    }
}

/// The Arrow schema of a row of attributes. Fields are all nullable: a batch may be wider than its declaration.
pub fn arrow_schema(attributes: &[Attribute]) -> Arc<ArrowSchema> {
    Arc::new(ArrowSchema::new(
        attributes.iter().map(|a| ArrowField::new(a.name.as_ref(), a.data_type.to_arrow(), true)).collect::<Vec<_>>(),
    ))
}
