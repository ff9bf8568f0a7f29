//! A query whose rows are kept: what the logical floor knows of it.

use std::any::Any;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use super::statistics::Statistics;
use crate::base::{Attribute, Error, ErrorClass, Result};
use crate::datasource::TableStatistics;

/// The rows of a query that are, or are to be, kept.
pub trait CachedRows: Any + Debug + Send + Sync {
    fn storage_level(&self) -> StorageLevel;

    /// The columns under the cached plan's own identities.
    fn output(&self) -> Vec<Attribute>;

    /// What is known of the rows, once they have been computed.
    fn computed(&self) -> Option<&TableStatistics>;

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

/// Where cached rows are kept. Those in memory are there as Arrow batches, and once, whatever a level says of serializing and replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageLevel {
    name: &'static str,
    disk: bool,
    memory: bool,
    off_heap: bool,
    deserialized: bool,
    replicas: u8,
}

impl StorageLevel {
    /// Not kept.
    pub const NONE: Self = Self { name: "NONE", disk: false, memory: false, off_heap: false, deserialized: false, replicas: 1 };
    /// Written to files at once.
    pub const DISK_ONLY: Self = Self { name: "DISK_ONLY", disk: true, ..Self::NONE };
    /// In memory while nobody needs it for something else; what has been given up is computed again when next read.
    pub const MEMORY_ONLY: Self = Self { name: "MEMORY_ONLY", memory: true, deserialized: true, ..Self::NONE };
    /// In memory while nobody needs it for something else, then in files.
    pub const MEMORY_AND_DISK: Self = Self { name: "MEMORY_AND_DISK", disk: true, ..Self::MEMORY_ONLY };
    const ALL: &'static [Self] = &[
        Self::NONE,
        Self::DISK_ONLY,
        Self { name: "DISK_ONLY_2", replicas: 2, ..Self::DISK_ONLY },
        Self { name: "DISK_ONLY_3", replicas: 3, ..Self::DISK_ONLY },
        Self::MEMORY_ONLY,
        Self { name: "MEMORY_ONLY_2", replicas: 2, ..Self::MEMORY_ONLY },
        Self { name: "MEMORY_ONLY_SER", deserialized: false, ..Self::MEMORY_ONLY },
        Self { name: "MEMORY_ONLY_SER_2", deserialized: false, replicas: 2, ..Self::MEMORY_ONLY },
        Self::MEMORY_AND_DISK,
        Self { name: "MEMORY_AND_DISK_2", replicas: 2, ..Self::MEMORY_AND_DISK },
        Self { name: "MEMORY_AND_DISK_SER", deserialized: false, ..Self::MEMORY_AND_DISK },
        Self { name: "MEMORY_AND_DISK_SER_2", deserialized: false, replicas: 2, ..Self::MEMORY_AND_DISK },
        Self { name: "OFF_HEAP", off_heap: true, deserialized: false, ..Self::MEMORY_AND_DISK },
    ];

    /// `MEMORY_ONLY`, as programs name it.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Whether rows may be in files.
    pub fn uses_disk(self) -> bool {
        self.disk
    }

    /// Whether rows may be in memory.
    pub fn uses_memory(self) -> bool {
        self.memory
    }
}

impl std::str::FromStr for StorageLevel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|l| l.name.eq_ignore_ascii_case(name)).copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|l| l.name).collect();
            let message = format!("There is no storage level `{name}`; there are {}.", names.join(", "));
            Error::new(ErrorClass::InvalidParameter, message)
        })
    }
}

/// As Spark's plans show it.
impl Display for StorageLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.disk, "disk"), (self.memory, "memory"), (self.off_heap, "offheap"), (self.deserialized, "deserialized")];
        f.write_str("StorageLevel(")?;
        parts.iter().filter(|(holds, _)| *holds).try_for_each(|(_, part)| write!(f, "{part}, "))?;
        write!(f, "{} replicas)", self.replicas)
    }
}
