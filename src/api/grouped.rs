//! A DataFrame with a grouping, waiting for its aggregates.

use super::column::Column;
use super::dataframe::DataFrame;
use super::functions;
use crate::base::Result;
use crate::expr::Expr;
use crate::logical::LogicalPlan;

/// Made by [`DataFrame::group_by`].
pub struct GroupedData {
    pub(super) frame: DataFrame,
    pub(super) keys: Vec<Column>,
}

impl GroupedData {
    /// One row per group: the keys, then the aggregates.
    ///
    /// # Errors
    /// Those of resolving the columns; `InvalidGrouping` for a column that is neither a key nor inside an aggregate.
    pub fn agg<C: Into<Column>>(self, aggregates: impl IntoIterator<Item = C>) -> Result<DataFrame> {
        let aggregates: Vec<Column> = aggregates.into_iter().map(Into::into).collect();
        let (grouping, list) = self.frame.with_scope(|scope| {
            let keys = scope.named_list(&self.keys)?;
            let grouping: Vec<Expr> = keys.iter().map(|k| k.unaliased().clone()).collect();
            let calls = scope.named_list(&aggregates)?;
            for call in &calls {
                super::dataframe::check_grouping(call, &grouping)?;
            }
            Ok((grouping, keys.into_iter().chain(calls).collect()))
        })?;
        Ok(self.frame.map_plan(|input| LogicalPlan::Aggregate { grouping, list, input }))
    }

    /// Rows per group, as the column `count`.
    ///
    /// # Errors
    /// Those of [`Self::agg`].
    pub fn count(self) -> Result<DataFrame> {
        self.agg([functions::count("*").alias("count")])
    }

    /// Sums per group, named `sum(column)`.
    ///
    /// # Errors
    /// Those of [`Self::agg`].
    pub fn sum(self, columns: &[&str]) -> Result<DataFrame> {
        self.agg(columns.iter().map(|c| functions::sum(*c)))
    }

    /// Means per group, named `avg(column)`.
    ///
    /// # Errors
    /// Those of [`Self::agg`].
    pub fn avg(self, columns: &[&str]) -> Result<DataFrame> {
        self.agg(columns.iter().map(|c| functions::avg(*c)))
    }
}
