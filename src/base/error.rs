//! The one `Error` and the one `Result`.
//!
//! Classes carry Spark's error-condition names, so that a user of Spark finds the same words.

use std::fmt;

/// Where in the SQL text an error was found; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub line: u64,
    pub column: u64,
}

/// What kind of error it is. `name()` gives Spark's error-condition name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The SQL text does not parse.
    Parse,
    TableNotFound,
    TableExists,
    ColumnNotFound,
    RoutineNotFound,
    AmbiguousReference,
    /// A struct lacks the field, or has several of that name.
    FieldNotFound,
    AmbiguousField,
    /// A star of what is neither a relation nor a struct.
    StarNotFound,
    /// A field or an element of what is neither struct, array nor map.
    InvalidExtractBase,
    /// Operands or arguments have types that do not fit.
    TypeMismatch,
    WrongArguments,
    /// A lambda function where none can be, or with other variables than it is given.
    InvalidLambda,
    /// An aggregate or grouping rule is broken.
    InvalidGrouping,
    NestingTooDeep,
    /// Valid SQL that is not supported here.
    Unsupported,
    UnknownSetting,
    InvalidSetting,
    DivideByZero,
    RemainderByZero,
    ArithmeticOverflow,
    NumericOutOfRange,
    CastInvalidInput,
    CastOverflow,
    InvalidParameter,
    /// A generator such as explode where none can be.
    UnsupportedGenerator,
    InvalidArrayIndex,
    /// As [`Self::InvalidArrayIndex`], of `element_at`.
    InvalidElementIndex,
    IndexOfZero,
    NullMapKey,
    DuplicatedMapKey,
    /// The function by which an array is sorted gave NULL.
    NullComparison,
    DateTime,
    ScalarSubqueryTooManyRows,
    /// The query itself called `raise_error` or `assert_true`.
    UserRaised,
    /// A file or folder is missing.
    PathNotFound,
    /// The operating system refused a read or write.
    Io,
    /// A file is there but its content is broken.
    MalformedData,
    /// A memory, broadcast or result limit is exceeded.
    ResourceExhausted,
    /// `memory.limit` leaves too little for something that cannot spill.
    OutOfMemory,
    /// Rows that a map task left for a shuffle, or that were cached, are lost or corrupt; computed again, they may be fine.
    FetchFailed,
    Cancelled,
    /// Generated code could not be made; the query falls back where it can.
    Codegen,
    /// A defect of this project.
    Internal,
}

impl ErrorClass {
    /// Spark's error-condition name, the stable part of a message.
    pub fn name(self) -> &'static str {
        use ErrorClass::*;
        match self {
            Parse => "PARSE_SYNTAX_ERROR",
            TableNotFound => "TABLE_OR_VIEW_NOT_FOUND",
            TableExists => "TABLE_OR_VIEW_ALREADY_EXISTS",
            ColumnNotFound => "UNRESOLVED_COLUMN",
            RoutineNotFound => "UNRESOLVED_ROUTINE",
            AmbiguousReference => "AMBIGUOUS_REFERENCE",
            StarNotFound => "CANNOT_RESOLVE_STAR_EXPAND",
            FieldNotFound => "FIELD_NOT_FOUND",
            AmbiguousField => "AMBIGUOUS_REFERENCE_TO_FIELDS",
            InvalidExtractBase => "INVALID_EXTRACT_BASE_FIELD_TYPE",
            TypeMismatch => "DATATYPE_MISMATCH",
            WrongArguments => "WRONG_NUM_ARGS",
            InvalidLambda => "INVALID_LAMBDA_FUNCTION_CALL",
            InvalidGrouping => "MISSING_AGGREGATION",
            NestingTooDeep => "NESTING_TOO_DEEP",
            Unsupported => "UNSUPPORTED_FEATURE",
            UnknownSetting => "UNKNOWN_SETTING",
            InvalidSetting => "INVALID_CONF_VALUE",
            DivideByZero => "DIVIDE_BY_ZERO",
            RemainderByZero => "REMAINDER_BY_ZERO",
            ArithmeticOverflow => "ARITHMETIC_OVERFLOW",
            NumericOutOfRange => "NUMERIC_VALUE_OUT_OF_RANGE",
            CastInvalidInput => "CAST_INVALID_INPUT",
            CastOverflow => "CAST_OVERFLOW",
            InvalidParameter => "INVALID_PARAMETER_VALUE",
            UnsupportedGenerator => "UNSUPPORTED_GENERATOR",
            InvalidArrayIndex => "INVALID_ARRAY_INDEX",
            InvalidElementIndex => "INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
            IndexOfZero => "INVALID_INDEX_OF_ZERO",
            NullMapKey => "NULL_MAP_KEY",
            DuplicatedMapKey => "DUPLICATED_MAP_KEY",
            NullComparison => "COMPARATOR_RETURNS_NULL",
            DateTime => "DATETIME_FIELD_OUT_OF_BOUNDS",
            ScalarSubqueryTooManyRows => "SCALAR_SUBQUERY_TOO_MANY_ROWS",
            UserRaised => "USER_RAISED_EXCEPTION",
            PathNotFound => "PATH_NOT_FOUND",
            Io => "IO_ERROR",
            MalformedData => "MALFORMED_DATA",
            ResourceExhausted => "RESOURCE_EXHAUSTED",
            OutOfMemory => "UNABLE_TO_ACQUIRE_MEMORY",
            FetchFailed => "FETCH_FAILED",
            Cancelled => "OPERATION_CANCELED",
            Codegen => "CODEGEN_FAILED",
            Internal => "INTERNAL_ERROR",
        }
    }
}

/// The error of every fallible operation in this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    pub class: ErrorClass,
    pub message: String,
    pub location: Option<Location>,
}

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), location: None }
    }

    /// A defect of this project, never the user's fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Internal, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Unsupported, message)
    }

    /// Adds a position unless the error already has one (the innermost wins).
    pub fn at(mut self, location: Option<Location>) -> Self {
        self.location = self.location.or(location);
        self
    }

    /// Prefixes the message, for example with the file or table it concerns.
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub fn divide_by_zero() -> Self {
        Self::new(ErrorClass::DivideByZero, "Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead.")
    }

    pub fn remainder_by_zero() -> Self {
        Self::new(ErrorClass::RemainderByZero, "Remainder by zero. Use `try_mod` to tolerate divisor being 0 and return NULL instead.")
    }

    pub fn scalar_subquery_too_many_rows() -> Self {
        Self::new(ErrorClass::ScalarSubqueryTooManyRows, "More than one row returned by a subquery used as an expression.")
    }

    /// `what` names the type, e.g. "integer" or "long", as Spark does.
    pub fn overflow(what: &str) -> Self {
        Self::new(
            ErrorClass::ArithmeticOverflow,
            format!("{what} overflow. Use the `try_` form of the function to tolerate overflow and return NULL instead."),
        )
    }

    pub fn decimal_out_of_range(value: impl fmt::Display, precision: u8, scale: i8) -> Self {
        Self::new(ErrorClass::NumericOutOfRange, format!("{value} cannot be represented as Decimal({precision}, {scale})."))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.class.name(), self.message)?;
        match self.location {
            Some(l) => write!(f, " (line {}, column {})", l.line, l.column),
            None => Ok(()),
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(e: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError as A;
        match e {
            A::DivideByZero => Error::divide_by_zero(),
            A::ArithmeticOverflow(_) => Error::overflow("arithmetic"),
            A::IoError(m, _) => Error::new(ErrorClass::Io, m),
            A::CastError(m) => Error::new(ErrorClass::CastInvalidInput, m),
            A::ParseError(m) | A::CsvError(m) | A::JsonError(m) | A::ParquetError(m) | A::IpcError(m) => {
                Error::new(ErrorClass::MalformedData, m)
            }
            other => Error::internal(other.to_string()),
        }
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(e: parquet::errors::ParquetError) -> Self {
        use parquet::errors::ParquetError as P;
        match e {
            P::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(e) => (*e).into(),
                Err(other) => Error::new(ErrorClass::MalformedData, other.to_string()),
            },
            other => Error::new(ErrorClass::MalformedData, other.to_string()),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        let class = if e.kind() == std::io::ErrorKind::NotFound { ErrorClass::PathNotFound } else { ErrorClass::Io };
        Error::new(class, e.to_string())
    }
}

/// The candidate nearest to `name` by edit distance, if any is near enough to be worth naming; of several, the one that begins like it
/// for longest.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 2).max(2);
    candidates
        .into_iter()
        .map(|c| (edit_distance(&name.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, c)| {
            let alike = c.chars().zip(name.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
            (*d, std::cmp::Reverse(alike), c.len())
        })
        .map(|(_, c)| c)
}

/// How many characters must be inserted, deleted or replaced to turn one text into the other (Levenshtein 1966).
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name() {
        assert_eq!(nearest("custmer", ["orders", "customer"]), Some("customer"));
        assert_eq!(nearest("zzz", ["orders", "customer"]), None);
    }
}
