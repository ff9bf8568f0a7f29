//! Floor 4: a lazily computed, partitioned collection of batches with its lineage.
//!
//! Describing is not running: building an [`Rdd`] computes nothing. A [`ShuffleDependency`] is the only thing that cuts stages;
//! whoever runs a job ([`JobRunner`]) materialises the shuffles of the lineage first.

pub mod context;
pub mod counter;
pub mod faults;
pub mod future;
pub mod kept;
pub mod memory;
pub mod partitioner;
pub mod shuffle;
pub mod size;
pub mod spill;
pub mod stages;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::Result;
pub use crate::datasource::BatchStream;
pub use context::{JobRunner, QueryContext, TaskContext};
pub use counter::Counter;
pub use future::Future;
pub use kept::KeptRows;
pub use memory::{MemoryPool, Reservation};
pub use partitioner::Partitioner;
pub use shuffle::{Held, MapOutput, MapWriter, ShuffleDependency};
pub use size::data_size;
pub use spill::{Frame, SpillFile};
pub use stages::StageInfo;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

type Compute = dyn Fn(usize, &TaskContext) -> Result<BatchStream> + Send + Sync;

/// A partitioned collection of batches, computed partition by partition when asked.
#[derive(Clone)]
pub struct Rdd {
    inner: Arc<Inner>,
}

struct Inner {
    id: u64,
    name: String,
    partitions: usize,
    dependencies: Vec<Dependency>,
    compute: Box<Compute>,
}

/// What an [`Rdd`] is computed from.
#[derive(Clone)]
pub enum Dependency {
    /// Partitions of the parent are computed inside the task of the child.
    Narrow(Rdd),
    /// All partitions of the parent are computed before any of the child.
    Shuffle(Arc<ShuffleDependency>),
    /// All are there, or are computed again, before any of the child.
    Kept(Arc<dyn KeptRows>),
}

impl Dependency {
    /// Whether both are the same, described once.
    pub fn is(&self, other: &Dependency) -> bool {
        match (self, other) {
            (Dependency::Narrow(a), Dependency::Narrow(b)) => a.is(b),
            (Dependency::Shuffle(a), Dependency::Shuffle(b)) => Arc::ptr_eq(a, b),
            (Dependency::Kept(a), Dependency::Kept(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Rdd {
    /// `compute` is called once per partition and try, inside a task.
    pub fn new(
        name: impl Into<String>,
        partitions: usize,
        dependencies: Vec<Dependency>,
        compute: impl Fn(usize, &TaskContext) -> Result<BatchStream> + Send + Sync + 'static,
    ) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { inner: Arc::new(Inner { id, name: name.into(), partitions, dependencies, compute: Box::new(compute) }) }
    }

    /// Unique in the process.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Whether both are the same lineage, described once.
    pub fn is(&self, other: &Rdd) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn num_partitions(&self) -> usize {
        self.inner.partitions
    }

    pub fn dependencies(&self) -> &[Dependency] {
        &self.inner.dependencies
    }

    /// The batches of one partition. Shuffles of the lineage must have been materialised.
    ///
    /// # Errors
    /// Whatever the computation meets.
    pub fn compute(&self, partition: usize, task: &TaskContext) -> Result<BatchStream> {
        (self.inner.compute)(partition, task)
    }

    /// The same partitions with `f` applied to each one's stream.
    pub fn map_partitions(
        &self,
        name: impl Into<String>,
        f: impl Fn(usize, BatchStream, &TaskContext) -> Result<BatchStream> + Send + Sync + 'static,
    ) -> Rdd {
        let parent = self.clone();
        Rdd::new(name, self.num_partitions(), vec![Dependency::Narrow(self.clone())], move |p, task| f(p, parent.compute(p, task)?, task))
    }

    /// The partitions of all parents, one after the other.
    pub fn union(rdds: Vec<Rdd>) -> Rdd {
        let total = rdds.iter().map(Rdd::num_partitions).sum();
        let dependencies = rdds.iter().cloned().map(Dependency::Narrow).collect();
        Rdd::new("Union", total, dependencies, move |mut p, task| {
            for rdd in &rdds {
                if p < rdd.num_partitions() {
                    return rdd.compute(p, task);
                }
                p -= rdd.num_partitions();
            }
            Ok(Box::new(std::iter::empty()))
        })
    }

    /// Partition `i` of the result holds partitions `i` of all parents, which must have equally many.
    pub fn union_by_partition(rdds: Vec<Rdd>) -> Rdd {
        let partitions = rdds.first().map_or(0, Rdd::num_partitions);
        debug_assert!(rdds.iter().all(|r| r.num_partitions() == partitions));
        let dependencies = rdds.iter().cloned().map(Dependency::Narrow).collect();
        Rdd::new("Union", partitions, dependencies, move |p, task| {
            let streams = rdds.iter().map(|rdd| rdd.compute(p, task)).collect::<Result<Vec<_>>>()?;
            Ok(Box::new(streams.into_iter().flatten()))
        })
    }

    /// Partition `i` of the result from partition `i` of both parents, which must have equally many.
    pub fn zip_partitions(
        &self,
        other: &Rdd,
        name: impl Into<String>,
        f: impl Fn(usize, BatchStream, BatchStream, &TaskContext) -> Result<BatchStream> + Send + Sync + 'static,
    ) -> Rdd {
        let (left, right) = (self.clone(), other.clone());
        debug_assert_eq!(left.num_partitions(), right.num_partitions());
        let dependencies = vec![Dependency::Narrow(left.clone()), Dependency::Narrow(right.clone())];
        Rdd::new(name, self.num_partitions(), dependencies, move |p, task| f(p, left.compute(p, task)?, right.compute(p, task)?, task))
    }
}
