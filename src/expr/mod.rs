//! Floor 2: expressions as pure data, their typing, their interpretation over Arrow arrays, their text.
//!
//! One enum, [`Expr`]; typing (`typing.rs`), evaluation (`evaluate/`), display (`display.rs`) and lowering
//! (`codegen::expr`) each match it exhaustively, so the compiler lists what a new variant needs.
//! Names never occur in an `Expr`: the binder resolves them to [`Attribute`]s at once.

pub mod aggregate;
pub mod coerce;
pub mod display;
pub mod evaluate;
pub mod function;
pub mod traverse;
pub mod typing;
pub mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use aggregate::{AggregateExpr, AggregateFunction};
pub use function::ScalarFunction;
pub use window::{Frame, FrameBound, FrameUnits, GroupLimit, WindowExpr, WindowFunction};

use crate::base::{Attribute, DataType, ExprId, Scalar};

/// An expression over the attributes of an operator's input.
///
/// Operand types are already coerced: both sides of a comparison or of non-decimal arithmetic have one type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expr {
    Literal(Scalar),
    /// A column by identity.
    Attribute(Attribute),
    /// A column by position, after [`Expr::bind`]; only bound expressions are evaluated or lowered.
    Column {
        index: usize,
        data_type: DataType,
        nullable: bool,
    },
    /// `expr AS name`, giving the result an identity.
    Alias {
        expr: Box<Expr>,
        name: Arc<str>,
        id: ExprId,
    },
    /// ANSI cast (an error on what does not fit), or `try_cast` (NULL).
    Cast {
        expr: Box<Expr>,
        to: DataType,
        try_cast: bool,
    },
    /// `-x`; overflow is an error.
    Negate(Box<Expr>),
    /// Numeric arithmetic. Integer and float operands have one type, the result's; decimal operands keep their own
    /// precision and the result follows Spark's rules. Overflow and division by zero are errors
    /// (or NULL where `try_arithmetic`).
    Arithmetic {
        op: ArithmeticOp,
        left: Box<Expr>,
        right: Box<Expr>,
        try_arithmetic: bool,
    },
    Comparison {
        op: ComparisonOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Three-valued AND.
    And(Box<Expr>, Box<Expr>),
    /// Three-valued OR.
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    IsNotNull(Box<Expr>),
    /// Searched CASE: the value of the first branch whose condition is true, else `otherwise` (NULL when absent).
    /// Later branches are not evaluated for rows already decided. `IF` is a CASE of one branch.
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// First argument that is not NULL; later ones are not evaluated.
    Coalesce(Vec<Expr>),
    /// `value IN (list)`; NULL where not found but `value` or an item is NULL. All of one type.
    In {
        value: Box<Expr>,
        list: Vec<Expr>,
    },
    /// SQL LIKE with `%` and `_`; `case_insensitive` for ILIKE.
    Like {
        value: Box<Expr>,
        pattern: Box<Expr>,
        escape: char,
        case_insensitive: bool,
    },
    /// A named scalar function.
    Function {
        function: ScalarFunction,
        args: Vec<Expr>,
    },
    /// A function of its variables, as an argument of a higher-order function. `hidden` when it was written without variables.
    Lambda {
        params: Vec<Attribute>,
        body: Box<Expr>,
        hidden: bool,
    },
    /// A variable of a lambda function around it. Its id tells how deep and in which place it is, not which of several functions.
    LambdaVariable(Attribute),
    /// An aggregate call; only inside Aggregate and Window plan nodes.
    Aggregate(Box<AggregateExpr>),
    /// A window call; only inside Window plan nodes.
    Window(Box<WindowExpr>),
    /// The single value of an uncorrelated scalar subquery, planned and run apart (by id) before its user; NULL when empty.
    ScalarSubquery {
        id: SubqueryId,
        data_type: DataType,
    },
    /// `value IN (the keys of the other side of a join)`, over partition columns of a table: partitions without a partner are passed
    /// over. The subquery of that id answers with the keys.
    DynamicPruning {
        value: Box<Expr>,
        id: SubqueryId,
        state: Pruning,
    },
}

/// How far a [`Expr::DynamicPruning`] has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pruning {
    /// Before physical planning: the plan beside the query is the other side of the join and `key` is over its columns;
    /// `broadcast_only` where it is not worth computing unless the join broadcasts it anyway.
    Wanted { key: Box<Expr>, broadcast_only: bool },
    /// The subquery is planned.
    Planned,
    /// Not worth it: true.
    Dropped,
}

/// Names an uncorrelated scalar subquery of a statement; its plan lives beside the main plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubqueryId(pub u64);

impl SubqueryId {
    /// One not used before in the process.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    /// `/`: on doubles and decimals only (integers are cast to double first).
    Divide,
    /// `div`: integral division to bigint (operands bigint or decimal).
    IntegralDivide,
    /// `%`: sign of the dividend.
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComparisonOp {
    Equal,
    /// `<=>`: NULLs are equal, never NULL.
    EqualNullSafe,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl ComparisonOp {
    /// The operator with its sides swapped: `a < b` is `b > a`.
    pub fn swapped(self) -> Self {
        use ComparisonOp::*;
        match self {
            Less => Greater,
            LessOrEqual => GreaterOrEqual,
            Greater => Less,
            GreaterOrEqual => LessOrEqual,
            same @ (Equal | EqualNullSafe | NotEqual) => same,
        }
    }
}

/// One item of ORDER BY.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SortOrder {
    pub expr: Expr,
    pub ascending: bool,
    pub nulls_first: bool,
}

impl SortOrder {
    /// Spark's default: ascending, NULLs first.
    pub fn ascending(expr: Expr) -> Self {
        Self { expr, ascending: true, nulls_first: true }
    }

    /// Spark's default for DESC: NULLs last.
    pub fn descending(expr: Expr) -> Self {
        Self { expr, ascending: false, nulls_first: false }
    }
}
