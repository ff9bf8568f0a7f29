//! Floor 5: the physical plan — Spark's operators, what each requires and provides, and how each runs.
//!
//! A [`SparkPlan`] is a header (id, children) around an [`Operator`], one variant per physical operator, one file (or folder) per
//! operator: the node, its planning face, its interpreted face, and, in `lower.rs`, its compiled face. Nodes are immutable;
//! whatever changes while a query runs lives in the query's or the task's context.

pub mod aggregate;
pub mod coalesce;
mod collect;
#[cfg(test)]
mod contract_tests;
pub mod exchange;
pub mod execute;
pub mod expand;
pub mod filter;
pub mod fixed_key;
pub mod generate;
pub mod in_memory;
pub mod join;
pub mod limit;
pub mod metrics;
pub mod plan;
pub mod project;
pub mod properties;
pub mod range;
pub mod sample;
pub mod scan;
mod set_aside;
pub mod sort;
pub mod stream;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
pub mod union;
pub mod whole_stage;
pub mod window;
pub mod window_group_limit;

pub use aggregate::{Aggregate, AggregateCall, AggregateKind, AggregateMode};
pub use exchange::{BroadcastExchange, BroadcastMode, BroadcastRelation, Exchange, ShuffleOrigin};
pub use expand::Expand;
pub use filter::Filter;
pub use generate::Generate;
pub use in_memory::{CachedPlan, InMemoryTableScan};
pub use join::{BuildSide, HashJoin, NestedLoopJoin, SortMergeJoin};
pub use limit::{CollectLimit, GlobalLimit, LocalLimit, TakeOrderedAndProject};
pub use metrics::{Metric, Unit};
pub use project::Project;
pub use properties::{Distribution, Partitioning, ProvidedOrder, ShuffleSpec};
pub use range::Range;
pub use sample::Sample;
pub use scan::{BucketScan, BucketUse, FileScan, LocalTableScan};
pub use sort::Sort;
pub use whole_stage::WholeStageCodegen;
pub use window::Window;
pub use window_group_limit::{LimitPhase, WindowGroupLimit};

use std::sync::Arc;

use crate::base::Attribute;

/// A node of the physical plan.
#[derive(Debug, Clone)]
pub struct SparkPlan {
    /// Unique in the process; shown as `plan_id` and the key of the node's metrics.
    pub id: u64,
    pub operator: Operator,
    pub children: Vec<Arc<SparkPlan>>,
}

/// The physical operators. Payloads hold no children.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    FileScan(FileScan),
    InMemoryTableScan(InMemoryTableScan),
    LocalTableScan(LocalTableScan),
    /// One row, no columns.
    OneRowScan,
    Range(Range),
    Filter(Filter),
    Project(Project),
    /// HashAggregate, ObjectHashAggregate or SortAggregate.
    Aggregate(Aggregate),
    Sort(Sort),
    TakeOrderedAndProject(TakeOrderedAndProject),
    CollectLimit(CollectLimit),
    LocalLimit(LocalLimit),
    GlobalLimit(GlobalLimit),
    Exchange(Exchange),
    BroadcastExchange(BroadcastExchange),
    /// The output of an equal exchange elsewhere in the plan (`children[0]`), under other attribute ids.
    ReusedExchange(ReusedExchange),
    BroadcastHashJoin(HashJoin),
    ShuffledHashJoin(HashJoin),
    SortMergeJoin(SortMergeJoin),
    BroadcastNestedLoopJoin(NestedLoopJoin),
    /// Every left partition with every right one.
    CartesianProduct(NestedLoopJoin),
    Union(Union),
    Expand(Expand),
    Generate(Generate),
    Window(Window),
    WindowGroupLimit(WindowGroupLimit),
    Sample(Sample),
    /// Fewer partitions, each reading a group of the child's.
    Coalesce(Coalesce),
    /// The root of a compiled stage; the fused operators are below it down to the next `InputAdapter`s or leaves.
    WholeStageCodegen(WholeStageCodegen),
    /// Where a compiled stage takes rows from an operator outside it.
    InputAdapter,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReusedExchange {
    pub output: Vec<Attribute>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Union {
    pub output: Vec<Attribute>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Coalesce {
    pub partitions: usize,
}
