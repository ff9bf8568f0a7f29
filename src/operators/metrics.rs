//! What operators count while they run, under Spark's names.
//!
//! The counts themselves are the query's ([`QueryContext::metric`]), by node and key. A count of a task that failed is taken back.

use super::{Operator, SparkPlan};
use crate::base::number::{format_bytes, format_count, format_nanos};
use crate::rdd::QueryContext;

/// Something that an operator counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Spark's key: `numOutputRows`.
    pub key: &'static str,
    /// As people read it: `number of output rows`.
    pub name: &'static str,
    pub unit: Unit,
}

/// What a metric's number means. Numbers are sums over all tasks, but for the peak of memory, which is that of one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Nanoseconds,
}

impl Metric {
    /// A value as people read it: `1,000`, `8.0 MiB`, `12 ms`.
    pub fn text(&self, value: u64) -> String {
        match self.unit {
            Unit::Count => format_count(value),
            Unit::Bytes => format_bytes(value),
            Unit::Nanoseconds => format_nanos(value),
        }
    }
}

const fn count(key: &'static str, name: &'static str) -> Metric {
    Metric { key, name, unit: Unit::Count }
}

const fn bytes(key: &'static str, name: &'static str) -> Metric {
    Metric { key, name, unit: Unit::Bytes }
}

const fn time(key: &'static str, name: &'static str) -> Metric {
    Metric { key, name, unit: Unit::Nanoseconds }
}

/// The key of the metric that nearly all operators have.
pub const OUTPUT_ROWS: &str = "numOutputRows";

const ROWS: Metric = count(OUTPUT_ROWS, "number of output rows");
const PEAK: Metric = bytes("peakMemory", "peak memory");
const SPILL: Metric = bytes("spillSize", "spill size");
const AGGREGATION: Metric = time("aggTime", "time in aggregation build");
const DATA_SIZE: Metric = bytes("dataSize", "data size");

const FILE_SCAN: &[Metric] = &[
    ROWS,
    count("numFiles", "number of files read"),
    bytes("filesSize", "size of files read"),
    count("numPartitions", "number of partitions read"),
    time("metadataTime", "metadata time"),
    time("scanTime", "scan time"),
];
const IN_MEMORY_SCAN: &[Metric] = &[ROWS, time("scanTime", "scan time")];
const ONLY_ROWS: &[Metric] = &[ROWS];
const SORT: &[Metric] = &[ROWS, time("sortTime", "sort time"), PEAK, SPILL];
const AGGREGATE: &[Metric] = &[ROWS, AGGREGATION, PEAK, SPILL, count("numTasksFallBacked", "number of sort fallback tasks")];
const HOLDING: &[Metric] = &[ROWS, PEAK, SPILL];
const HASH_JOIN: &[Metric] =
    &[ROWS, time("buildTime", "time to build hash map"), bytes("buildDataSize", "data size of build side"), PEAK, SPILL];
const EXCHANGE: &[Metric] = &[
    DATA_SIZE,
    count("numPartitions", "number of partitions"),
    bytes("shuffleBytesWritten", "shuffle bytes written"),
    count("shuffleRecordsWritten", "shuffle records written"),
    time("shuffleWriteTime", "shuffle write time"),
    count(RECORDS_READ, "records read"),
    PEAK,
    SPILL,
];
const RECORDS_READ: &str = "recordsRead";
const BROADCAST: &[Metric] = &[ROWS, DATA_SIZE, time("collectTime", "time to collect"), time("buildTime", "time to build"), PEAK, SPILL];
const COMPILED_STAGE: &[Metric] = &[
    time("pipelineTime", "duration"),
    time("compileTime", "compile time"),
    bytes("codeSize", "code size"),
    count("numFunctions", "number of functions"),
    count("numCalls", "number of calls"),
    count("numInputRows", "number of input rows"),
    ROWS,
];

impl Operator {
    /// What the operator counts. Those of Spark as far as there is something to count, and the rows of operators for which Spark
    /// counts none; of a compiled stage also its code.
    pub fn metrics(&self) -> &'static [Metric] {
        match self {
            Operator::FileScan(_) => FILE_SCAN,
            Operator::InMemoryTableScan(_) => IN_MEMORY_SCAN,
            Operator::Sort(_) => SORT,
            Operator::Aggregate(_) => AGGREGATE,
            Operator::BroadcastHashJoin(_) | Operator::ShuffledHashJoin(_) => HASH_JOIN,
            Operator::SortMergeJoin(_)
            | Operator::Window(_)
            | Operator::TakeOrderedAndProject(_)
            | Operator::BroadcastNestedLoopJoin(_)
            | Operator::CartesianProduct(_) => HOLDING,
            Operator::Exchange(_) => EXCHANGE,
            Operator::BroadcastExchange(_) => BROADCAST,
            Operator::WholeStageCodegen(_) => COMPILED_STAGE,
            Operator::LocalTableScan(_)
            | Operator::OneRowScan
            | Operator::Range(_)
            | Operator::Filter(_)
            | Operator::CollectLimit(_)
            | Operator::LocalLimit(_)
            | Operator::GlobalLimit(_)
            | Operator::ReusedExchange(_)
            | Operator::Union(_)
            | Operator::Expand(_)
            | Operator::Generate(_)
            | Operator::WindowGroupLimit(_)
            | Operator::Sample(_)
            | Operator::Coalesce(_) => ONLY_ROWS,
            Operator::Project(_) | Operator::InputAdapter => &[],
        }
    }

    /// Of [`Self::metrics`], the key under which the rows that come out are counted one partition after the other.
    pub fn rows_key(&self) -> Option<&'static str> {
        match self {
            Operator::Exchange(_) => Some(RECORDS_READ),
            // Counted once, when its rows are collected.
            Operator::BroadcastExchange(_) => None,
            _ => self.metrics().iter().map(|m| m.key).find(|key| *key == OUTPUT_ROWS),
        }
    }
}

impl SparkPlan {
    /// The operator's metrics in a run, as far as it has counted anything.
    pub fn metrics(&self, context: &QueryContext) -> Vec<(Metric, u64)> {
        let counted = context.metrics_of(self.id);
        let value = |metric: &Metric| counted.iter().find(|(key, _)| *key == metric.key).map(|(_, value)| *value);
        self.operator.metrics().iter().filter_map(|metric| Some((*metric, value(metric)?))).collect()
    }

    /// Sets the operator's metrics in a run to 0.
    pub fn reset_metrics(&self, context: &QueryContext) {
        for (key, _) in context.metrics_of(self.id) {
            context.metric(self.id, key).store(0, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
