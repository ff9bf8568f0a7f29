//! Floor 8: SQL text to a bound logical plan.
//!
//! The life of a statement: [`parse_statements`] lexes (`dialect.rs`), bounds the nesting and parses (`parse.rs`);
//! [`bind`] (`statement.rs`) then resolves names (`scope.rs`) and types. A query goes through `query.rs`: FROM (`from.rs`), WHERE,
//! the select list (`select_list.rs`), grouping (`aggregate.rs`), window calls (`window.rs`), ORDER BY (`order.rs`), set operations
//! (`set_ops.rs`), PIVOT (`pivot.rs`), windows of time (`time_window.rs`), hints (`hints.rs`). Expressions are bound in `expr.rs`, calls in `call.rs`, literals in `literal.rs`; subqueries
//! (`subquery.rs`) become `Apply` nodes under the clause that uses them. `naming.rs` gives unnamed columns the name that Spark
//! gives them.
//!
//! Every mention of a table, view or CTE gets fresh attribute ids, so that ids are unique in a plan.

mod aggregate;
mod call;
mod dialect;
mod expr;
mod from;
mod grouping_sets;
mod hints;
mod lambda;
mod literal;
mod naming;
mod order;
mod parse;
mod pivot;
mod query;
mod scope;
mod select_list;
mod set_ops;
mod statement;
mod subquery;
mod time_window;
mod window;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tpch_tests;

use std::sync::Arc;

pub use parse::{MAX_NESTING, ParsedStatement, parse_statements};
pub use statement::{BoundStatement, bind, bind_expression};

use crate::base::settings::ADAPTIVE_ENABLED;
use crate::base::{Attribute, ExprId, Settings};
use crate::datasource::TableSource;
use crate::expr::SubqueryId;
use crate::logical::{BoundQuery, LogicalPlan};

/// What the binder needs to know of the catalog.
pub trait CatalogView {
    /// The table or view of that name, without regard to case; parts of a dotted name in order.
    fn resolve(&self, name: &[String]) -> Option<CatalogEntry>;

    /// Names of all tables and views, for suggestions.
    fn names(&self) -> Vec<String>;
}

/// A table or a view.
#[derive(Debug, Clone)]
pub enum CatalogEntry {
    Table(Arc<dyn TableSource>),
    /// A bound query; each mention gets a copy with fresh ids.
    View(Arc<BoundQuery>),
}

/// A CTE in sight.
#[derive(Debug, Clone)]
struct Cte {
    name: String,
    query: Arc<BoundQuery>,
    /// Columns of the queries around it that it uses.
    outer: Vec<ExprId>,
}

/// State of binding one statement.
struct Binder<'a> {
    catalog: &'a dyn CatalogView,
    /// Those in sight, innermost last.
    ctes: Vec<Cte>,
    /// Uncorrelated scalar subqueries so far, innermost first.
    subqueries: Vec<(SubqueryId, LogicalPlan)>,
    /// Whether partitions can be rebalanced while a query runs.
    adaptive: bool,
    /// Levels of expressions and queries entered.
    depth: usize,
    /// Variables of lambda functions so far, each with how many functions are around its own and its place in it: functions that are
    /// written alike are equal.
    variables: Vec<(usize, usize, Attribute)>,
}

impl<'a> Binder<'a> {
    fn new(catalog: &'a dyn CatalogView, settings: &Settings) -> Self {
        Self { catalog, ctes: vec![], subqueries: vec![], adaptive: settings.bool(&ADAPTIVE_ENABLED), depth: 0, variables: vec![] }
    }
}
