//! Every setting, with its defaults and why it exists.
//!
//! Spark's keys keep Spark's meaning; ours live under `jit.`, `memory.`, `execution.` and `planner.`.
//! A setting is one `Setting` constant and its place in [`ALL`].

use std::collections::BTreeMap;

use super::error::{Error, ErrorClass, Result, nearest};

/// What a setting's text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
    /// Bytes, written `10MB`, `1g`, `4096`.
    Size,
    Text,
    /// One of the given words.
    Choice(&'static [&'static str]),
}

/// One setting. `local` and `cluster` are its defaults under the two values of `planner.profile`.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    pub kind: Kind,
    pub local: &'static str,
    pub cluster: &'static str,
    pub doc: &'static str,
}

macro_rules! settings {
    ($($name:ident = $key:literal, $kind:expr, $local:literal, $cluster:literal, $doc:literal;)*) => {
        $(#[doc = $doc] pub static $name: Setting = Setting { key: $key, kind: $kind, local: $local, cluster: $cluster, doc: $doc };)*
        /// Every setting there is.
        pub static ALL: &[&Setting] = &[$(&$name),*];
    };
}

settings! {
    PROFILE = "planner.profile", Kind::Choice(&["local", "cluster"]), "local", "local", "Chooses the defaults where one process and a cluster differ: `local` or `cluster` (Spark's).";
    SHUFFLE_PARTITIONS = "sql.shuffle.partitions", Kind::Int, "0", "200", "Partitions of an exchange; 0 means as many as worker threads.";
    AUTO_BROADCAST_JOIN_THRESHOLD = "sql.autoBroadcastJoinThreshold", Kind::Size, "2g", "10MB", "A join side estimated at most this large is broadcast; -1 never.";
    PREFER_SORT_MERGE_JOIN = "sql.join.preferSortMergeJoin", Kind::Bool, "false", "true", "Sort-merge rather than shuffled hash join where both would do.";
    SHUFFLED_HASH_JOIN_FACTOR = "sql.shuffledHashJoinFactor", Kind::Int, "3", "3", "A side this many times smaller may be the build side of a shuffled hash join.";
    OPTIMIZE_NULL_AWARE_ANTI_JOIN = "sql.optimizeNullAwareAntiJoin", Kind::Bool, "true", "true", "NOT IN over one column by a hash table rather than by comparing all pairs.";
    ADAPTIVE_ENABLED = "sql.adaptive.enabled", Kind::Bool, "false", "false", "Re-plan between stages for the sizes that arrived.";
    ANSI_ENABLED = "sql.ansi.enabled", Kind::Bool, "true", "true", "Overflow, division by zero and invalid casts are errors; only true is supported.";
    CODEGEN_ENABLED = "sql.codegen.wholeStage", Kind::Bool, "true", "true", "Group operators into compiled stages.";
    CODEGEN_MAX_FIELDS = "sql.codegen.maxFields", Kind::Int, "200", "100", "Operators with more fields (nested ones counted) are not fused.";
    CODEGEN_CACHE_MAX_ENTRIES = "sql.codegen.cache.maxEntries", Kind::Int, "1000", "100", "Compiled functions kept for later queries of the same shape; 0 keeps none.";
    CODEGEN_FALLBACK = "sql.codegen.fallback", Kind::Bool, "true", "true", "Run a stage interpreted when it cannot be compiled, instead of failing the query.";
    FILES_MAX_PARTITION_BYTES = "sql.files.maxPartitionBytes", Kind::Size, "128MB", "128MB", "Most bytes of files packed into one partition.";
    FILES_OPEN_COST = "sql.files.openCostInBytes", Kind::Size, "4MB", "4MB", "What opening a file costs, in bytes that could be read meanwhile.";
    FILES_MIN_PARTITION_NUM = "sql.files.minPartitionNum", Kind::Int, "0", "0", "Fewest partitions of a file scan; 0 means as many as worker threads.";
    LIMIT_INITIAL_NUM_PARTITIONS = "sql.limit.initialNumPartitions", Kind::Int, "1", "1", "Partitions that the first job of a take scans.";
    LIMIT_SCALE_UP_FACTOR = "sql.limit.scaleUpFactor", Kind::Int, "4", "4", "How much each further job of a take may grow.";
    SUBEXPRESSION_ELIMINATION = "sql.subexpressionElimination.enabled", Kind::Bool, "true", "true", "Compute common subexpressions once.";
    EXCHANGE_REUSE = "sql.exchange.reuse", Kind::Bool, "true", "true", "Run equal exchanges once.";
    SUBQUERY_REUSE = "sql.execution.reuseSubquery", Kind::Bool, "true", "true", "Run equal subqueries once.";
    REQUIRE_ALL_CLUSTER_KEYS_FOR_CO_PARTITION = "sql.requireAllClusterKeysForCoPartition", Kind::Bool, "true", "true", "A co-partitioned join needs all its keys in the partitioning.";
    REQUIRE_ALL_CLUSTER_KEYS_FOR_DISTRIBUTION = "sql.requireAllClusterKeysForDistribution", Kind::Bool, "false", "false", "A clustered distribution needs all its keys in the partitioning.";
    REMOVE_REDUNDANT_SORTS = "sql.execution.removeRedundantSorts", Kind::Bool, "true", "true", "Drop sorts whose input is already sorted.";
    REMOVE_REDUNDANT_PROJECTS = "sql.execution.removeRedundantProjects", Kind::Bool, "true", "true", "Drop projects that change nothing.";
    REPLACE_HASH_WITH_SORT_AGG = "sql.execution.replaceHashWithSortAgg", Kind::Bool, "false", "false", "Aggregate rows that come sorted by the keys without a hash table.";
    TOP_K_SORT_FALLBACK_THRESHOLD = "sql.execution.topKSortFallbackThreshold", Kind::Int, "2147483632", "2147483632", "LIMITs below this over a sort become top-K.";
    WINDOW_GROUP_LIMIT_THRESHOLD = "sql.optimizer.windowGroupLimitThreshold", Kind::Int, "1000", "1000", "Filters that keep at most so many ranks limit the groups before their window; -1 never.";
    BLOOM_FILTER_ENABLED = "sql.optimizer.runtime.bloomFilter.enabled", Kind::Bool, "false", "true", "Test the keys of a large table by a Bloom filter of those of a small one before they are joined.";
    BLOOM_FILTER_CREATION_SIDE_THRESHOLD = "sql.optimizer.runtime.bloomFilter.creationSideThreshold", Kind::Size, "10MB", "10MB", "Largest input that a Bloom filter is made of.";
    BLOOM_FILTER_APPLICATION_SIDE_SCAN_SIZE_THRESHOLD = "sql.optimizer.runtime.bloomFilter.applicationSideScanSizeThreshold", Kind::Size, "10GB", "10GB", "Smallest table that a Bloom filter is worth making for.";
    BLOOM_FILTER_EXPECTED_NUM_ITEMS = "sql.optimizer.runtime.bloomFilter.expectedNumItems", Kind::Int, "1000000", "1000000", "Items expected in a Bloom filter where nothing is known.";
    BLOOM_FILTER_MAX_NUM_ITEMS = "sql.optimizer.runtime.bloomFilter.maxNumItems", Kind::Int, "4000000", "4000000", "Most items that a Bloom filter is laid out for.";
    BLOOM_FILTER_NUM_BITS = "sql.optimizer.runtime.bloomFilter.numBits", Kind::Int, "8388608", "8388608", "Bits of a Bloom filter where nothing is known.";
    BLOOM_FILTER_MAX_NUM_BITS = "sql.optimizer.runtime.bloomFilter.maxNumBits", Kind::Int, "67108864", "67108864", "Most bits of a Bloom filter.";
    RUNTIME_FILTER_NUMBER_THRESHOLD = "sql.optimizer.runtimeFilter.number.threshold", Kind::Int, "10", "10", "Most Bloom filters in one query.";
    DYNAMIC_PARTITION_PRUNING_ENABLED = "sql.optimizer.dynamicPartitionPruning.enabled", Kind::Bool, "true", "true", "Pass over partitions of a table for which the other side of its join has no key.";
    DYNAMIC_PARTITION_PRUNING_USE_STATS = "sql.optimizer.dynamicPartitionPruning.useStats", Kind::Bool, "true", "true", "Judge by numbers of distinct values how many partitions that leaves.";
    DYNAMIC_PARTITION_PRUNING_FALLBACK_FILTER_RATIO = "sql.optimizer.dynamicPartitionPruning.fallbackFilterRatio", Kind::Float, "0.5", "0.5", "The part of a table passed over where nothing is known.";
    DYNAMIC_PARTITION_PRUNING_REUSE_BROADCAST_ONLY = "sql.optimizer.dynamicPartitionPruning.reuseBroadcastOnly", Kind::Bool, "true", "true", "Only where the join broadcasts the other side anyway.";
    MAX_BROADCAST_TABLE_SIZE = "sql.maxBroadcastTableSize", Kind::Size, "8g", "8g", "A broadcast larger than this is an error.";
    BROADCAST_TIMEOUT = "sql.broadcastTimeout", Kind::Int, "300", "300", "Seconds to wait for a broadcast; -1 forever.";
    MAX_SINGLE_PARTITION_BYTES = "sql.maxSinglePartitionBytes", Kind::Size, "128MB", "128MB", "Largest input kept in one partition rather than shuffled for a co-partitioned join.";
    SAMPLE_SIZE_PER_PARTITION = "sql.execution.rangeExchange.sampleSizePerPartition", Kind::Int, "100", "100", "Rows sampled per partition to find the bounds of a range exchange.";
    MAX_TO_STRING_FIELDS = "sql.debug.maxToStringFields", Kind::Int, "25", "25", "Longest sequence that EXPLAIN prints in full.";
    MAX_METADATA_STRING_LENGTH = "sql.maxMetadataStringLength", Kind::Int, "100", "100", "Longest text that EXPLAIN prints of a scan's files, filters and columns.";
    CBO_ENABLED = "sql.cbo.enabled", Kind::Bool, "true", "false", "Choose joins by estimated rows; otherwise by the sizes of files and the widths of rows.";
    CBO_JOIN_REORDER = "sql.cbo.joinReorder.enabled", Kind::Bool, "true", "false", "Reorder inner joins by estimated cardinality.";
    SESSION_TIME_ZONE = "sql.session.timeZone", Kind::Text, "UTC", "UTC", "Time zone of timestamps; only UTC is supported.";
    CASE_SENSITIVE = "sql.caseSensitive", Kind::Bool, "false", "false", "Whether identifiers differ by case; only false is supported.";
    DRIVER_MAX_RESULT_SIZE = "driver.maxResultSize", Kind::Size, "0", "1g", "Largest result that collect() gathers; 0 is unlimited.";
    TASK_MAX_FAILURES = "task.maxFailures", Kind::Int, "4", "4", "Tries of a task before its query fails.";
    STAGE_MAX_ATTEMPTS = "stage.maxConsecutiveAttempts", Kind::Int, "4", "4", "Tries of a stage whose input was lost before its query fails.";
    MODE = "execution.mode", Kind::Choice(&["auto", "jit", "interpreted"]), "auto", "auto", "`jit` compiles before the first row, `interpreted` never compiles, `auto` chooses by the work.";
    THREADS = "execution.threads", Kind::Int, "0", "0", "Worker threads; 0 means one per core.";
    BATCH_SIZE = "execution.batchSize", Kind::Int, "8192", "8192", "Rows per Arrow batch.";
    BUCKETING_ENABLED = "sql.sources.bucketing.enabled", Kind::Bool, "true", "true", "Read bucketed tables bucket by bucket.";
    AUTO_BUCKETED_SCAN = "sql.sources.bucketing.autoBucketedScan.enabled", Kind::Bool, "true", "true", "Read buckets as ordinary files where no operator profits from the buckets.";
    COALESCE_BUCKETS_IN_JOIN = "sql.bucketing.coalesceBucketsInJoin.enabled", Kind::Bool, "false", "false", "Join tables of different numbers of buckets by reading the larger number as the smaller.";
    COALESCE_BUCKETS_MAX_RATIO = "sql.bucketing.coalesceBucketsInJoin.maxBucketRatio", Kind::Int, "4", "4", "Most times that one number of buckets may be the other for that.";
    BUCKETED_SCAN_ORDERING = "sql.legacy.bucketedTableScan.outputOrdering", Kind::Bool, "true", "false", "Rely on the order of rows within buckets that are one sorted file each.";
    CACHE_BATCH_SIZE = "sql.inMemoryColumnarStorage.batchSize", Kind::Int, "10000", "10000", "Rows per batch of a cached table; each batch has its own bounds.";
    CACHE_PARTITION_PRUNING = "sql.inMemoryColumnarStorage.partitionPruning", Kind::Bool, "true", "true", "Pass over batches of cached tables whose bounds exclude the filters.";
    MEMORY_LIMIT = "memory.limit", Kind::Size, "0", "0", "Most memory of running queries, of which a fifth is for what is not counted; 0 is unlimited.";
    TEMP_DIR = "memory.tempDir", Kind::Text, "", "", "Where spill files go; empty means the system's folder.";
    FAULTS = "execution.faults", Kind::Text, "", "", "For tests: failures on purpose, `POINT:N` or `POINT:*` separated by commas (points in `rdd::faults`).";
    JIT_OPT_LEVEL = "jit.optLevel", Kind::Choice(&["none", "speed", "speed_and_size"]), "speed", "speed", "Cranelift's opt_level.";
    JIT_VERIFIER = "jit.verifier", Kind::Bool, "false", "false", "Run Cranelift's verifier on generated code.";
    JIT_COUNT_ROWS = "jit.countRows", Kind::Bool, "false", "false", "Compiled stages count the rows of all operators inside, one by one; EXPLAIN ANALYZE does.";
    JIT_MIN_ROWS = "jit.minRows", Kind::Int, "20000", "20000", "In mode `auto`, stages estimated at fewer input rows stay interpreted.";
}

/// The values in force: defaults of the profile, overridden key by key.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    overrides: BTreeMap<&'static str, String>,
}

impl Settings {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` (with or without the prefix `spark.`) after checking the value.
    ///
    /// # Errors
    /// `UnknownSetting` names the nearest key; `InvalidSetting` tells what the value must be.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let setting = find(key)?;
        check(setting, value)?;
        self.overrides.insert(setting.key, value.trim().to_string());
        Ok(())
    }

    /// Back to the default.
    ///
    /// # Errors
    /// `UnknownSetting`.
    pub fn unset(&mut self, key: &str) -> Result<()> {
        self.overrides.remove(find(key)?.key);
        Ok(())
    }

    pub fn text(&self, setting: &'static Setting) -> &str {
        if let Some(v) = self.overrides.get(setting.key) {
            return v;
        }
        if self.overrides.get(PROFILE.key).is_some_and(|p| p == "cluster") { setting.cluster } else { setting.local }
    }

    /// Whether a value was given, so that the default is not in force.
    pub fn is_set(&self, setting: &'static Setting) -> bool {
        self.overrides.contains_key(setting.key)
    }

    /// Whether plans are to be those of Spark, where ours would be others.
    pub fn plans_as_spark(&self) -> bool {
        self.text(&PROFILE) == "cluster"
    }

    pub fn bool(&self, setting: &'static Setting) -> bool {
        self.text(setting).eq_ignore_ascii_case("true")
    }

    /// The value of an `Int` setting.
    pub fn int(&self, setting: &'static Setting) -> i64 {
        self.text(setting).parse().unwrap_or_default()
    }

    /// The value of a `Float` setting.
    pub fn float(&self, setting: &'static Setting) -> f64 {
        self.text(setting).parse().unwrap_or_default()
    }

    /// The value of a `Size` setting, in bytes.
    pub fn bytes(&self, setting: &'static Setting) -> i64 {
        parse_bytes(self.text(setting)).unwrap_or_default()
    }

    /// Worker threads, the default resolved.
    pub fn threads(&self) -> usize {
        match self.int(&THREADS) {
            n if n > 0 => n as usize,
            _ => std::thread::available_parallelism().map_or(1, |n| n.get()),
        }
    }

    /// Partitions of an exchange, the default resolved.
    pub fn shuffle_partitions(&self) -> usize {
        match self.int(&SHUFFLE_PARTITIONS) {
            n if n > 0 => n as usize,
            _ => self.threads(),
        }
    }

    /// Rows per batch.
    pub fn batch_size(&self) -> usize {
        self.int(&BATCH_SIZE).max(1) as usize
    }
}

/// The setting of that key, with or without the prefix `spark.`.
///
/// # Errors
/// `UnknownSetting`, naming the nearest key.
pub fn find(key: &str) -> Result<&'static Setting> {
    let bare = key.strip_prefix("spark.").unwrap_or(key);
    ALL.iter().find(|s| s.key.eq_ignore_ascii_case(bare)).copied().ok_or_else(|| {
        let hint = nearest(bare, ALL.iter().map(|s| s.key)).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
        Error::new(ErrorClass::UnknownSetting, format!("There is no setting `{key}`.{hint}"))
    })
}

fn check(setting: &'static Setting, value: &str) -> Result<()> {
    let value = value.trim();
    let expected = match setting.kind {
        Kind::Bool if !matches!(value.to_ascii_lowercase().as_str(), "true" | "false") => "true or false".to_string(),
        Kind::Int if value.parse::<i64>().is_err() => "a whole number".to_string(),
        Kind::Float if value.parse::<f64>().is_err() => "a number".to_string(),
        Kind::Size if parse_bytes(value).is_none() => "a size such as 512MB or 1g".to_string(),
        Kind::Choice(words) if !words.contains(&value) => format!("one of {}", words.join(", ")),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorClass::InvalidSetting, format!("`{}` must be {expected}, not `{value}`.", setting.key)))
}

/// Bytes in `512MB`, `1g`, `10 KiB`, `4096`, `-1`; units are powers of 1024.
pub fn parse_bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tb" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * factor) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_values_and_profiles() {
        let mut s = Settings::new();
        assert_eq!(s.bytes(&AUTO_BROADCAST_JOIN_THRESHOLD), 2 << 30);
        s.set("planner.profile", "cluster").unwrap();
        assert_eq!(s.bytes(&AUTO_BROADCAST_JOIN_THRESHOLD), 10 << 20);
        s.set("spark.sql.shuffle.partitions", "7").unwrap();
        assert_eq!(s.shuffle_partitions(), 7);
        let e = s.set("sql.shufle.partitions", "7").unwrap_err();
        assert!(e.message.contains("sql.shuffle.partitions"), "{e}");
        assert_eq!(s.set("sql.shuffle.partitions", "x").unwrap_err().class, ErrorClass::InvalidSetting);
    }
}
