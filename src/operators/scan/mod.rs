//! Scans of tables and of literal rows.

mod buckets;
mod interpret;
pub mod lower;

pub use buckets::{BucketScan, BucketUse};
pub use interpret::{Scanned, one_row, scan};

use std::sync::Arc;

use crate::base::{Attribute, Scalar};
use crate::datasource::TableSource;
use crate::expr::Expr;

/// Reads a table: `FileScan parquet`, or `Scan memory`-style for other sources.
#[derive(Debug, Clone)]
pub struct FileScan {
    /// The table's name.
    pub name: Arc<str>,
    pub source: Arc<dyn TableSource>,
    /// All columns of the table as attributes, in the order of the source's schema.
    pub table_output: Vec<Attribute>,
    /// The columns read, a subset of `table_output`.
    pub output: Vec<Attribute>,
    /// Conjuncts over partition columns only; applied by the source.
    pub partition_filters: Vec<Expr>,
    /// Conjuncts over data columns; advisory for the source, kept in a Filter above.
    pub data_filters: Vec<Expr>,
    /// Of a bucketed table.
    pub buckets: Option<BucketScan>,
}

impl PartialEq for FileScan {
    fn eq(&self, other: &Self) -> bool {
        let Self { name, source, table_output, output, partition_filters, data_filters, buckets } = self;
        *name == other.name
            && source.as_ref() == other.source.as_ref()
            && *table_output == other.table_output
            && *output == other.output
            && *partition_filters == other.partition_filters
            && *data_filters == other.data_filters
            && *buckets == other.buckets
    }
}

/// Literal rows.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalTableScan {
    pub output: Vec<Attribute>,
    pub rows: Vec<Vec<Scalar>>,
}
