//! What operators count is what they did, in both engines, whatever fails on the way.

use std::collections::HashMap;
use std::sync::Arc;

use wholestage::base::Result;
use wholestage::execution::QueryExecution;
use wholestage::operators::SparkPlan;
use wholestage::planning::ExplainLevel;

use super::{memory, session};

/// All nodes of the plan that runs, parents first, each once.
fn nodes(execution: &QueryExecution) -> Vec<Arc<SparkPlan>> {
    let mut all: Vec<Arc<SparkPlan>> = vec![];
    execution.executed_plan().unwrap().visit(&mut |node| {
        if all.iter().all(|known| known.id != node.id) {
            all.push(node.clone());
        }
    });
    all
}

/// Runs a query; what each node counted under `key`.
fn counted(execution: &QueryExecution, key: &str) -> Vec<(&'static str, Option<u64>)> {
    let metrics = execution.metrics();
    let value = |node: &SparkPlan| metrics.iter().find(|m| m.node == node.id).and_then(|m| m.get(key));
    nodes(execution).iter().map(|node| (node.name(), value(node))).collect()
}

fn ran(mode: &str, sql: &str) -> QueryExecution {
    let session = session(mode, 1, 8192);
    session.set("jit.countRows", "true").unwrap();
    let execution = session.sql(sql).unwrap().query_execution().unwrap();
    execution.collect().unwrap();
    execution
}

/// The value that the first operator of this name counted.
fn value(execution: &QueryExecution, operator: &str, key: &str) -> u64 {
    let found = execution.metrics().into_iter().find(|m| m.operator == operator).unwrap_or_else(|| panic!("no {operator}"));
    found.get(key).unwrap_or_else(|| panic!("{operator} has no {key}: {found:?}"))
}

#[test]
fn engines_count_the_same_rows_and_all_counts_have_names() {
    let queries = include_str!("../../codegen-tests/sales/queries.sql");
    let (mut wrong, mut compared) = (vec![], HashMap::<&str, usize>::new());
    for sql in queries.split(";\n").map(str::trim).filter(|q| !q.is_empty()) {
        let runs = ["interpreted", "jit"].map(|mode| ran(mode, sql));
        for run in &runs {
            let counts = run.last_run().unwrap().metrics();
            for node in nodes(run) {
                let names = node.operator.metrics();
                let unnamed = counts.iter().filter(|(id, key, _)| *id == node.id && names.iter().all(|m| m.key != *key));
                wrong.extend(unnamed.map(|(_, key, _)| format!("{sql}: {} counts {key}", node.name())));
            }
        }
        let rows = runs.each_ref().map(|run| counted(run, "numOutputRows"));
        // Whoever has enough rows stops reading, after batches of different sizes; beside a NULL, NOT IN does not read at all.
        if rows[0].iter().any(|(name, _)| name.ends_with("Limit")) || sql.contains("NOT IN (SELECT") {
            continue;
        }
        for ((name, interpreted), (_, compiled)) in rows[0].iter().zip(&rows[1]) {
            if let (Some(interpreted), Some(compiled)) = (interpreted, compiled) {
                *compared.entry(*name).or_default() += 1;
                if interpreted != compiled {
                    wrong.push(format!("{sql}: {name} counts {interpreted} interpreted, {compiled} compiled"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for operator in ["Filter", "HashAggregate", "BroadcastHashJoin", "Expand", "FileScan", "Sort"] {
        assert!(compared.get(operator).is_some_and(|n| *n > 3), "{operator}: {compared:?}");
    }
}

#[test]
fn explain_analyze_counts_rows_inside_compiled_stages() -> Result<()> {
    let sql = "SELECT c.country, count(*) FROM orders o JOIN customers c ON o.customer_id = c.id WHERE o.quantity > 2 GROUP BY c.country";
    let joined = |execution: &QueryExecution| {
        counted(execution, "numOutputRows").into_iter().find(|(name, _)| *name == "BroadcastHashJoin").and_then(|(_, rows)| rows)
    };
    let analyzed = session("jit", 1, 8192).sql(sql)?.query_execution()?;
    analyzed.explain(ExplainLevel::Analyze)?;
    let rows = joined(&ran("interpreted", sql));
    assert!(rows.is_some() && joined(&analyzed) == rows, "{rows:?}");
    let plain = session("jit", 1, 8192).sql(sql)?.query_execution()?;
    plain.collect()?;
    assert_eq!(joined(&plain), None);
    Ok(())
}

#[test]
fn sparks_metrics_of_scans_exchanges_broadcasts_and_joins() -> Result<()> {
    let file = std::fs::metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sales/orders.parquet"))?.len();
    for mode in ["interpreted", "jit"] {
        let run = ran(mode, "SELECT region, count(*) FROM orders GROUP BY region ORDER BY region");
        let metric = |operator: &str, key: &str| value(&run, operator, key);
        assert_eq!((metric("FileScan", "numFiles"), metric("FileScan", "filesSize")), (1, file));
        assert_eq!(metric("FileScan", "numOutputRows"), 800);
        assert!(metric("FileScan", "scanTime") > 0 && metric("FileScan", "metadataTime") > 0);
        assert!(metric("HashAggregate", "aggTime") > 0 && metric("HashAggregate", "peakMemory") > 0);
        assert!(metric("Sort", "sortTime") > 0 && metric("Sort", "peakMemory") > 0);
        assert_eq!(metric("Exchange", "shuffleRecordsWritten"), metric("Exchange", "recordsRead"));
        assert_eq!(metric("Exchange", "shuffleBytesWritten"), metric("Exchange", "dataSize"));
        assert!(metric("Exchange", "dataSize") > 0);

        let run = ran(mode, "SELECT /*+ BROADCAST(c) */ count(*) FROM orders o JOIN customers c ON o.customer_id = c.id");
        assert!(value(&run, "BroadcastExchange", "collectTime") > 0 && value(&run, "BroadcastExchange", "buildTime") > 0);
        let run = ran(mode, "SELECT /*+ SHUFFLE_HASH(c) */ count(*) FROM orders o JOIN customers c ON o.customer_id = c.id");
        assert!(value(&run, "ShuffledHashJoin", "buildTime") > 0 && value(&run, "ShuffledHashJoin", "buildDataSize") > 0);

        let compiled = run.metrics().into_iter().filter(|m| m.operator == "WholeStageCodegen").collect::<Vec<_>>();
        assert_eq!(!compiled.is_empty(), mode == "jit");
        for stage in compiled {
            let told = ["compileTime", "codeSize", "numFunctions", "numCalls", "numInputRows"].map(|key| stage.get(key));
            assert!(told.iter().all(|value| value.is_some_and(|v| v > 0)), "{stage:?}");
        }
    }
    Ok(())
}

#[test]
fn progress_can_be_watched_from_another_thread() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for mode in ["interpreted", "jit"] {
        let session = memory::session(mode, "300KB", dir.path());
        let sql = "SELECT k, count(*), max(t) FROM (SELECT /*+ REPARTITION(5) */ id % 3000 AS k, concat('a text of some length ', id) AS t \
                   FROM range(0, 30000, 1, 4)) GROUP BY k";
        let execution = session.sql(sql)?.query_execution()?;
        assert_eq!(execution.progress(), None);
        let seen = std::thread::scope(|scope| {
            let running = scope.spawn(|| execution.collect());
            let mut seen = vec![];
            while !running.is_finished() {
                seen.extend(execution.progress());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            running.join().unwrap().map(|_| seen)
        })?;
        let end = execution.progress().unwrap();
        for both in seen.windows(2) {
            assert!(both[0].rows_read <= both[1].rows_read && both[0].stages.len() <= both[1].stages.len(), "{both:#?}");
        }
        assert!(end.stages.iter().all(|s| s.has_ended() && s.running == 0 && s.failed_tries == 0), "{end:#?}");
        assert_eq!((end.stages[0].tasks, end.stages[0].rows, end.rows_read), (4, 30_000, 30_000), "{end:#?}");
        assert_eq!(end.stages[1].tasks, 5, "{end:#?}");
        assert_eq!(end.stages.last().map(|s| (s.rows, s.shuffle_bytes)), Some((3000, 0)), "{end:#?}");
        assert!(end.spilled > 0 && end.spilled == end.stages.iter().map(|s| s.spilled).sum::<u64>(), "{end:#?}");
        assert_eq!(end.shuffle_bytes, end.stages.iter().map(|s| s.shuffle_bytes).sum::<u64>());

        session.set("execution.faults", "task:1")?;
        let execution = session.sql(sql)?.query_execution()?;
        execution.collect()?;
        let stages = execution.progress().unwrap().stages;
        assert!(stages.iter().any(|s| s.failed_tries > 0) && stages.iter().all(|s| s.done == s.tasks), "{stages:#?}");
    }
    Ok(())
}

#[test]
fn what_a_failed_try_counted_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "SELECT a.g, count(*), max(b.t) FROM (SELECT /*+ REPARTITION(3) */ id, id % 7 AS g FROM range(9000)) a \
               JOIN (SELECT /*+ REPARTITION(k) */ id % 100 AS k, concat('a text of some length ', id) AS t FROM range(4000)) b ON a.id = b.k \
               GROUP BY a.g";
    for mode in ["interpreted", "jit"] {
        let counts = |limit: &str, faults: &str| {
            let session = memory::session(mode, limit, dir.path());
            session.set("sql.shuffle.partitions", "3").unwrap();
            session.set("execution.faults", faults).unwrap();
            let execution = session.sql(sql).unwrap().query_execution().unwrap();
            execution.collect().unwrap();
            ["numOutputRows", "shuffleRecordsWritten", "recordsRead", "dataSize", "numInputRows"].map(|key| counted(&execution, key))
        };
        assert_eq!(counts("0", ""), counts("0", "task:1,panic:2"), "{mode}");
        // Files that are deleted are written again, by tasks that run again; under a limit there are files.
        assert_eq!(counts("300KB", ""), counts("300KB", "shuffle.delete:1"), "{mode}");
    }
}
