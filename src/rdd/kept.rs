//! What stays of a lineage beyond the query that computed it.

use crate::base::Result;

/// Rows that are kept between queries, as a query reads them. Unlike those of a shuffle they are computed by a query of their own.
pub trait KeptRows: Send + Sync {
    /// Whether all partitions can be read, as far as is known.
    fn is_whole(&self) -> bool;

    /// Computes the partitions that are lost. Called by those who drive a query, never by its tasks: the computation needs the workers.
    ///
    /// # Errors
    /// Those of the computation; `FetchFailed` when it no longer gives the rows that it gave.
    fn restore(&self) -> Result<()>;

    /// Of all partitions.
    fn rows(&self) -> Option<u64>;
}
