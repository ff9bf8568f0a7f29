//! How a scan goes about the buckets of a table, and what that guarantees.

use std::fmt::{self, Display};

use super::FileScan;
use crate::base::Attribute;
use crate::datasource::{BucketRequest, BucketSpec};
use crate::expr::{Expr, SortOrder};
use crate::operators::{Partitioning, ProvidedOrder};

/// The buckets of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct BucketScan {
    pub usage: BucketUse,
    /// Those that the filters leave; all when absent.
    pub selected: Option<Vec<bool>>,
    /// Read as so many, fewer, buckets.
    pub coalesced: Option<usize>,
    /// Whether the order within files counts.
    pub ordered: bool,
}

/// Whether partitions are buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUse {
    Bucketed,
    DisabledByConfiguration,
    DisabledByPlanner,
    ColumnsNotRead,
}

/// As EXPLAIN shows it.
impl Display for BucketUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BucketUse::Bucketed => "true",
            BucketUse::DisabledByConfiguration => "false (disabled by configuration)",
            BucketUse::DisabledByPlanner => "false (disabled by query planner)",
            BucketUse::ColumnsNotRead => "false (bucket column(s) not read)",
        })
    }
}

impl FileScan {
    /// The buckets where partitions are buckets, with how the table is bucketed.
    pub fn bucketed(&self) -> Option<(&BucketScan, &BucketSpec)> {
        let scan = self.buckets.as_ref().filter(|b| b.usage == BucketUse::Bucketed)?;
        Some((scan, &self.source.bucketing()?.spec))
    }

    /// The column of that name, if it is read.
    pub fn read_column(&self, name: &str) -> Option<&Attribute> {
        self.output.iter().find(|a| a.name.eq_ignore_ascii_case(name))
    }

    /// By the bucket columns where partitions are buckets.
    pub fn output_partitioning(&self) -> Partitioning {
        let Some((scan, spec)) = self.bucketed() else { return Partitioning::Unknown(0) };
        let columns = spec.columns.iter().map(|name| self.read_column(name).cloned().map(Expr::Attribute));
        match columns.collect() {
            Some(exprs) => Partitioning::Hash { exprs, partitions: scan.coalesced.unwrap_or(spec.buckets) },
            None => Partitioning::Unknown(0),
        }
    }

    /// By the sort columns read, up to the first that is not, where each bucket is one file.
    pub fn output_ordering(&self) -> Vec<ProvidedOrder> {
        let Some((scan, spec)) = self.bucketed() else { return vec![] };
        let single_files = self.source.bucketing().is_some_and(|b| b.single_files);
        if !scan.ordered || !single_files || scan.coalesced.is_some() {
            return vec![];
        }
        let columns = spec.sort.iter().map_while(|name| self.read_column(name).cloned());
        columns.map(|a| SortOrder::ascending(Expr::Attribute(a)).into()).collect()
    }

    /// What the source is asked for. Buckets that the filters exclude are passed over also where partitions are not buckets.
    pub fn bucket_request(&self) -> Option<BucketRequest> {
        let scan = self.buckets.as_ref().filter(|b| b.usage != BucketUse::DisabledByConfiguration)?;
        let partitions = self.bucketed().map(|(scan, spec)| scan.coalesced.unwrap_or(spec.buckets));
        Some(BucketRequest { selected: scan.selected.clone(), partitions })
    }
}
