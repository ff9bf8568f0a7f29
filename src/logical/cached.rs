//! A query whose rows are kept in memory: what the logical floor knows of it.

use std::any::Any;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use super::statistics::Statistics;
use crate::base::{Attribute, Error, ErrorClass, Result};
use crate::datasource::TableSource;

/// The rows of a query that are, or are to be, kept in memory.
pub trait CachedRows: Any + Debug + Send + Sync {
    fn storage_level(&self) -> StorageLevel;

    /// The columns under the cached plan's own identities.
    fn output(&self) -> Vec<Attribute>;

    /// The rows, once they are there.
    fn computed(&self) -> Option<&Arc<dyn TableSource>>;

    /// What is expected of the rows until they are there, by the attributes of [`Self::output`].
    fn expected(&self) -> &Statistics;

    /// The tree of the physical plan that computes the rows.
    fn plan_text(&self) -> &str;
}

/// A leaf of a logical plan in the place of a cached query; `output` are that query's columns by position.
#[derive(Debug, Clone)]
pub struct InMemoryRelation {
    pub output: Vec<Attribute>,
    pub rows: Arc<dyn CachedRows>,
}

impl PartialEq for InMemoryRelation {
    fn eq(&self, other: &Self) -> bool {
        self.output == other.output && Arc::ptr_eq(&self.rows, &other.rows)
    }
}

/// Where Spark would keep cached rows. Here they are in memory, uncompressed and as they are computed, whatever else a level allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageLevel {
    name: &'static str,
    disk: bool,
    deserialized: bool,
    replicas: u8,
}

impl StorageLevel {
    pub const MEMORY_AND_DISK: Self = Self { name: "MEMORY_AND_DISK", disk: true, deserialized: true, replicas: 1 };
    pub const MEMORY_ONLY: Self = Self { name: "MEMORY_ONLY", disk: false, deserialized: true, replicas: 1 };
    const ALL: &'static [Self] = &[
        Self::MEMORY_AND_DISK,
        Self::MEMORY_ONLY,
        Self { name: "MEMORY_ONLY_2", replicas: 2, ..Self::MEMORY_ONLY },
        Self { name: "MEMORY_ONLY_SER", deserialized: false, ..Self::MEMORY_ONLY },
        Self { name: "MEMORY_ONLY_SER_2", deserialized: false, replicas: 2, ..Self::MEMORY_ONLY },
        Self { name: "MEMORY_AND_DISK_2", replicas: 2, ..Self::MEMORY_AND_DISK },
        Self { name: "MEMORY_AND_DISK_SER", deserialized: false, ..Self::MEMORY_AND_DISK },
        Self { name: "MEMORY_AND_DISK_SER_2", deserialized: false, replicas: 2, ..Self::MEMORY_AND_DISK },
    ];

    /// `MEMORY_ONLY`, as programs name it.
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl std::str::FromStr for StorageLevel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|l| l.name.eq_ignore_ascii_case(name)).copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|l| l.name).collect();
            let message = format!("There is no storage level `{name}` in memory; there are {}.", names.join(", "));
            Error::new(ErrorClass::InvalidParameter, message)
        })
    }
}

/// As Spark's plans show it.
impl Display for StorageLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = if self.disk { "disk, " } else { "" };
        let deserialized = if self.deserialized { "deserialized, " } else { "" };
        write!(f, "StorageLevel({disk}memory, {deserialized}{} replicas)", self.replicas)
    }
}
