//! Functions for [`Column`] expressions. Whatever has no function of its own here is reached by its SQL name with [`call`].

use super::column::{Column, Node, Operand};

/// A column by name: `amount`, `o.amount` after `alias("o")`, `` `a.b` `` for a name with a point, `*` for all.
pub fn col(name: &str) -> Column {
    Column(match name.strip_suffix('*') {
        Some("") => Node::Star(None),
        Some(qualifier) if qualifier.ends_with('.') => Node::Star(Some(qualifier.trim_end_matches('.').to_string())),
        _ => Node::Name(name.to_string()),
    })
}

/// A literal.
pub fn lit(value: impl Into<Operand>) -> Column {
    Column(value.into().0)
}

/// An expression in SQL: `expr("amount * 2 AS double")`.
pub fn expr(text: &str) -> Column {
    Column(Node::Sql(text.to_string()))
}

/// Begins a `CASE`: the value where the condition is true.
pub fn when(condition: Column, value: impl Into<Operand>) -> Column {
    Column(Node::Case { branches: vec![(condition.0, value.into().0)], otherwise: None })
}

/// Any scalar, aggregate or window function by its SQL name.
pub fn call(name: &str, args: impl IntoIterator<Item = Column>) -> Column {
    Column(Node::Call { name: name.to_string(), args: args.into_iter().map(|c| c.0).collect(), distinct: false })
}

fn distinct(name: &str, column: impl Into<Column>) -> Column {
    Column(Node::Call { name: name.to_string(), args: vec![column.into().0], distinct: true })
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = $sql:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(column: impl Into<Column>) -> Column {
            call($sql, [column.into()])
        }
    )*};
}

unary! {
    /// Sum; NULL over no rows, an error on overflow.
    sum = "sum";
    /// Mean; NULL over no rows.
    avg = "avg";
    /// Smallest value.
    min = "min";
    /// Largest value.
    max = "max";
    /// Rows in which the column is not NULL; `count("*")` counts all.
    count = "count";
    /// Some first value, NULL included.
    first = "first";
    /// Some last value, NULL included.
    last = "last";
    /// Sample standard deviation.
    stddev = "stddev";
    /// Sample variance.
    variance = "variance";
    /// All values as an array.
    collect_list = "collect_list";
    /// The distinct values as an array.
    collect_set = "collect_set";
    /// Absolute value.
    abs = "abs";
    /// In upper case.
    upper = "upper";
    /// In lower case.
    lower = "lower";
    /// Characters of a string.
    length = "length";
    /// Without leading and trailing spaces.
    trim = "trim";
    /// Year of a date.
    year = "year";
    /// Month of a date, from 1.
    month = "month";
    /// Day of the month, from 1.
    dayofmonth = "dayofmonth";
}

/// Sum of the distinct values.
pub fn sum_distinct(column: impl Into<Column>) -> Column {
    distinct("sum", column)
}

/// Number of distinct values that are not NULL.
pub fn count_distinct(column: impl Into<Column>) -> Column {
    distinct("count", column)
}

/// The first argument that is not NULL.
pub fn coalesce(columns: impl IntoIterator<Item = Column>) -> Column {
    call("coalesce", columns)
}

/// The arguments one after the other; NULL when one is.
pub fn concat(columns: impl IntoIterator<Item = Column>) -> Column {
    call("concat", columns)
}

/// `length` characters from `start`, which counts from 1.
pub fn substring(column: impl Into<Column>, start: i32, length: i32) -> Column {
    call("substring", [column.into(), lit(start), lit(length)])
}

/// To `digits` digits after the point, half away from zero.
pub fn round(column: impl Into<Column>, digits: i32) -> Column {
    call("round", [column.into(), lit(digits)])
}

/// Place in the window, from 1.
pub fn row_number() -> Column {
    call("row_number", [])
}

/// Place in the window; peers share one, and leave gaps after them.
pub fn rank() -> Column {
    call("rank", [])
}

/// Place in the window; peers share one, without gaps.
pub fn dense_rank() -> Column {
    call("dense_rank", [])
}

/// The value `offset` rows before in the window.
pub fn lag(column: impl Into<Column>, offset: i32) -> Column {
    call("lag", [column.into(), lit(offset)])
}

/// The value `offset` rows after in the window.
pub fn lead(column: impl Into<Column>, offset: i32) -> Column {
    call("lead", [column.into(), lit(offset)])
}
