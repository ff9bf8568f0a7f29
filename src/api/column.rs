//! Columns of a DataFrame by name, and expressions over them. Nothing is resolved before a DataFrame uses it.

use std::fmt;
use std::ops;

use crate::base::{DataType, Scalar};
use crate::expr::{ArithmeticOp, ComparisonOp, FrameBound, FrameUnits};

/// An expression over the columns of the DataFrame that it is given to.
#[derive(Debug, Clone)]
pub struct Column(pub(super) Node);

#[derive(Debug, Clone)]
pub(super) enum Node {
    /// `name`, `alias.name`, or with backquotes.
    Name(String),
    /// `*` or `alias.*`.
    Star(Option<String>),
    Literal(Scalar),
    Alias(Box<Node>, String),
    Cast {
        value: Box<Node>,
        to: DataType,
        try_cast: bool,
    },
    Negate(Box<Node>),
    Arithmetic(ArithmeticOp, Box<Node>, Box<Node>),
    Comparison(ComparisonOp, Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    IsNotNull(Box<Node>),
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    In(Box<Node>, Vec<Node>),
    Like {
        value: Box<Node>,
        pattern: Box<Node>,
        case_insensitive: bool,
    },
    /// SQL text.
    Sql(String),
    /// A scalar, aggregate or window function by its SQL name.
    Call {
        name: String,
        args: Vec<Node>,
        distinct: bool,
    },
    Over(Box<Node>, WindowSpec),
    /// An item of an ordering.
    Order {
        value: Box<Node>,
        ascending: bool,
        nulls_first: bool,
    },
}

/// A value in an expression: a [`Column`], or a Rust value, which becomes a literal.
pub struct Operand(pub(super) Node);

impl From<Column> for Operand {
    fn from(c: Column) -> Self {
        Operand(c.0)
    }
}

impl From<&Column> for Operand {
    fn from(c: &Column) -> Self {
        Operand(c.0.clone())
    }
}

macro_rules! literals {
    ($($t:ty => $v:ident => $scalar:expr),* $(,)?) => {$(
        impl From<$t> for Operand {
            fn from($v: $t) -> Self {
                Operand(Node::Literal($scalar))
            }
        }
    )*};
}

literals! {
    bool => v => Scalar::Boolean(v),
    i8 => v => Scalar::Byte(v),
    i16 => v => Scalar::Short(v),
    i32 => v => Scalar::Int(v),
    i64 => v => Scalar::Long(v),
    f32 => v => Scalar::Float(v),
    f64 => v => Scalar::Double(v),
    &str => v => Scalar::string(v),
    String => v => Scalar::string(v),
    Scalar => v => v,
}

/// A column by name.
impl From<&str> for Column {
    fn from(name: &str) -> Self {
        super::functions::col(name)
    }
}

impl From<String> for Column {
    fn from(name: String) -> Self {
        super::functions::col(&name)
    }
}

impl From<&Column> for Column {
    fn from(c: &Column) -> Self {
        c.clone()
    }
}

impl Column {
    fn boxed(self) -> Box<Node> {
        Box::new(self.0)
    }

    fn compare(self, op: ComparisonOp, other: impl Into<Operand>) -> Column {
        Column(Node::Comparison(op, self.boxed(), Box::new(other.into().0)))
    }

    /// The same value under another name.
    pub fn alias(self, name: impl Into<String>) -> Column {
        Column(Node::Alias(self.boxed(), name.into()))
    }

    /// ANSI cast: a value that does not fit is an error.
    pub fn cast(self, to: DataType) -> Column {
        Column(Node::Cast { value: self.boxed(), to, try_cast: false })
    }

    /// Cast that gives NULL for a value that does not fit.
    pub fn try_cast(self, to: DataType) -> Column {
        Column(Node::Cast { value: self.boxed(), to, try_cast: true })
    }

    /// `=`; NULL when a side is.
    pub fn eq(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::Equal, other)
    }

    /// `<>`
    pub fn neq(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::NotEqual, other)
    }

    /// `<=>`: NULLs are equal.
    pub fn eq_null_safe(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::EqualNullSafe, other)
    }

    /// `<`
    pub fn lt(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::Less, other)
    }

    /// `<=`
    pub fn leq(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::LessOrEqual, other)
    }

    /// `>`
    pub fn gt(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::Greater, other)
    }

    /// `>=`
    pub fn geq(self, other: impl Into<Operand>) -> Column {
        self.compare(ComparisonOp::GreaterOrEqual, other)
    }

    /// Three-valued AND.
    pub fn and(self, other: impl Into<Operand>) -> Column {
        Column(Node::And(self.boxed(), Box::new(other.into().0)))
    }

    /// Three-valued OR.
    pub fn or(self, other: impl Into<Operand>) -> Column {
        Column(Node::Or(self.boxed(), Box::new(other.into().0)))
    }

    pub fn is_null(self) -> Column {
        Column(Node::IsNull(self.boxed()))
    }

    pub fn is_not_null(self) -> Column {
        Column(Node::IsNotNull(self.boxed()))
    }

    /// `LIKE` with `%` and `_`.
    pub fn like(self, pattern: impl Into<Operand>) -> Column {
        Column(Node::Like { value: self.boxed(), pattern: Box::new(pattern.into().0), case_insensitive: false })
    }

    /// `LIKE` without regard to case.
    pub fn ilike(self, pattern: impl Into<Operand>) -> Column {
        Column(Node::Like { value: self.boxed(), pattern: Box::new(pattern.into().0), case_insensitive: true })
    }

    /// Both bounds included.
    pub fn between(self, low: impl Into<Operand>, high: impl Into<Operand>) -> Column {
        self.clone().geq(low).and(self.leq(high))
    }

    /// `IN (values)`
    pub fn isin<T: Into<Operand>>(self, values: impl IntoIterator<Item = T>) -> Column {
        Column(Node::In(self.boxed(), values.into_iter().map(|v| v.into().0).collect()))
    }

    /// Another branch of a `CASE` begun with [`super::functions::when`].
    pub fn when(self, condition: Column, value: impl Into<Operand>) -> Column {
        match self.0 {
            Node::Case { mut branches, otherwise } => {
                branches.push((condition.0, value.into().0));
                Column(Node::Case { branches, otherwise })
            }
            other => Column(Node::Case { branches: vec![(condition.0, value.into().0)], otherwise: Some(Box::new(other)) }),
        }
    }

    /// The value of a `CASE` where no branch applies; NULL when not said.
    pub fn otherwise(self, value: impl Into<Operand>) -> Column {
        let value = Some(Box::new(value.into().0));
        match self.0 {
            Node::Case { branches, .. } => Column(Node::Case { branches, otherwise: value }),
            other => Column(other),
        }
    }

    /// Ascending, NULLs first.
    pub fn asc(self) -> Column {
        Column(Node::Order { value: self.boxed(), ascending: true, nulls_first: true })
    }

    /// Descending, NULLs last.
    pub fn desc(self) -> Column {
        Column(Node::Order { value: self.boxed(), ascending: false, nulls_first: false })
    }

    pub fn asc_nulls_last(self) -> Column {
        Column(Node::Order { value: self.boxed(), ascending: true, nulls_first: false })
    }

    pub fn desc_nulls_first(self) -> Column {
        Column(Node::Order { value: self.boxed(), ascending: false, nulls_first: true })
    }

    /// `function OVER (window)`
    pub fn over(self, window: WindowSpec) -> Column {
        Column(Node::Over(self.boxed(), window))
    }
}

macro_rules! operators {
    ($($trait:ident, $method:ident, $op:expr);* $(;)?) => {$(
        impl<T: Into<Operand>> ops::$trait<T> for Column {
            type Output = Column;

            fn $method(self, other: T) -> Column {
                Column(Node::Arithmetic($op, self.boxed(), Box::new(other.into().0)))
            }
        }
    )*};
}

operators! {
    Add, add, ArithmeticOp::Add;
    Sub, sub, ArithmeticOp::Subtract;
    Mul, mul, ArithmeticOp::Multiply;
    Div, div, ArithmeticOp::Divide;
    Rem, rem, ArithmeticOp::Remainder;
}

impl ops::Neg for Column {
    type Output = Column;

    fn neg(self) -> Column {
        Column(Node::Negate(self.boxed()))
    }
}

impl ops::Not for Column {
    type Output = Column;

    fn not(self) -> Column {
        Column(Node::Not(self.boxed()))
    }
}

/// The rows that a window function sees: `PARTITION BY … ORDER BY … frame`.
#[derive(Debug, Clone, Default)]
pub struct WindowSpec {
    pub(super) partition_by: Vec<Node>,
    pub(super) order_by: Vec<Node>,
    pub(super) frame: Option<(FrameUnits, FrameBound, FrameBound)>,
}

impl WindowSpec {
    /// All rows, in no order.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn partition_by<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.partition_by = columns.into_iter().map(|c| c.into().0).collect();
        self
    }

    pub fn order_by<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.order_by = columns.into_iter().map(|c| c.into().0).collect();
        self
    }

    /// Rows counted from the current one (negative: before); `i64::MIN` and `i64::MAX` are unbounded.
    pub fn rows_between(mut self, start: i64, end: i64) -> Self {
        self.frame = Some((FrameUnits::Rows, bound(start), bound(end)));
        self
    }

    /// Values of the order key counted from the current row's; `i64::MIN` and `i64::MAX` are unbounded.
    pub fn range_between(mut self, start: i64, end: i64) -> Self {
        self.frame = Some((FrameUnits::Range, bound(start), bound(end)));
        self
    }
}

fn bound(distance: i64) -> FrameBound {
    let count = |n: i64| i32::try_from(n).map_or(Scalar::Long(n), Scalar::Int);
    match distance {
        i64::MIN => FrameBound::UnboundedPreceding,
        i64::MAX => FrameBound::UnboundedFollowing,
        0 => FrameBound::CurrentRow,
        n if n < 0 => FrameBound::Preceding(count(-n)),
        n => FrameBound::Following(count(n)),
    }
}

/// As Spark names a column that has no alias: `sum(amount)`, `(a + 1)`, `CAST(a AS BIGINT)`.
impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn comma(f: &mut fmt::Formatter<'_>, nodes: &[Node]) -> fmt::Result {
    for (i, n) in nodes.iter().enumerate() {
        write!(f, "{}{n}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Name(name) => f.write_str(name.rsplit('.').next().unwrap_or(name).trim_matches('`')),
            Node::Star(None) => f.write_str("*"),
            Node::Star(Some(q)) => write!(f, "{q}.*"),
            Node::Literal(v) => write!(f, "{}", crate::expr::Expr::Literal(v.clone())),
            Node::Alias(_, name) => f.write_str(name),
            Node::Cast { value, to, try_cast } => {
                write!(f, "{}CAST({value} AS {})", if *try_cast { "TRY_" } else { "" }, to.to_string().to_uppercase())
            }
            Node::Negate(v) => write!(f, "(- {v})"),
            Node::Arithmetic(op, l, r) => write!(f, "({l} {} {r})", op.symbol()),
            Node::Comparison(op, l, r) => write!(f, "({l} {} {r})", comparison_sign(*op)),
            Node::And(l, r) => write!(f, "({l} AND {r})"),
            Node::Or(l, r) => write!(f, "({l} OR {r})"),
            Node::Not(v) => write!(f, "(NOT {v})"),
            Node::IsNull(v) => write!(f, "({v} IS NULL)"),
            Node::IsNotNull(v) => write!(f, "({v} IS NOT NULL)"),
            Node::Case { branches, otherwise } => {
                f.write_str("CASE")?;
                for (c, v) in branches {
                    write!(f, " WHEN {c} THEN {v}")?;
                }
                if let Some(v) = otherwise {
                    write!(f, " ELSE {v}")?;
                }
                f.write_str(" END")
            }
            Node::In(v, list) => {
                write!(f, "({v} IN (")?;
                comma(f, list)?;
                f.write_str("))")
            }
            Node::Like { value, pattern, case_insensitive } => {
                write!(f, "{value} {} {pattern}", if *case_insensitive { "ILIKE" } else { "LIKE" })
            }
            Node::Sql(text) => f.write_str(text),
            Node::Call { name, args, distinct } => {
                write!(f, "{name}({}", if *distinct { "DISTINCT " } else { "" })?;
                comma(f, args)?;
                f.write_str(")")
            }
            Node::Over(function, _) => write!(f, "{function} OVER (…)"),
            Node::Order { value, ascending, nulls_first } => {
                let direction = if *ascending { "ASC" } else { "DESC" };
                write!(f, "{value} {direction} NULLS {}", if *nulls_first { "FIRST" } else { "LAST" })
            }
        }
    }
}

fn comparison_sign(op: ComparisonOp) -> &'static str {
    if op == ComparisonOp::NotEqual { "<>" } else { op.symbol() }
}
