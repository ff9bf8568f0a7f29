//! CACHE TABLE, `DataFrame::cache` and what later queries make of them.

use std::sync::Arc;
use std::thread;

use wholestage::api::{Session, col};
use wholestage::base::{ErrorClass, Result};
use wholestage::logical::StorageLevel;
use wholestage::planning::ExplainLevel;

use super::{answer, plan, plan_of, rows, sessions};

fn with_source(session: &Session) {
    session.sql("CREATE TEMP VIEW src AS SELECT id AS a, id % 7 AS b FROM range(0, 100, 1, 2)").unwrap();
}

const CACHED: [&str; 5] = [
    "+- InMemoryRelation [b, s, m], StorageLevel(disk, memory, deserialized, 1 replicas)",
    "      +- *(2) HashAggregate(keys=[b], functions=[sum(a), max(a)])",
    "         +- Exchange hashpartitioning(b, 5), ENSURE_REQUIREMENTS",
    "            +- *(1) HashAggregate(keys=[b], functions=[partial_sum(a), partial_max(a)])",
    "               +- *(1) Project [id AS a, (id % 7) AS b]",
];

fn cached_below(indent: &str, top: &[&str]) -> Vec<String> {
    let top = top.iter().map(|l| l.to_string());
    let below = CACHED.iter().map(|l| format!("{indent}{l}"));
    top.chain(below).chain([format!("{indent}                  +- *(1) Range (0, 100, step=1, splits=2)")]).collect()
}

#[test]
fn plans_are_those_of_spark() {
    let session = &sessions()[1];
    with_source(session);
    session.sql("CACHE TABLE t AS SELECT b, sum(a) AS s, max(a) AS m FROM src GROUP BY b").unwrap();
    let filtered = [
        "*(1) Project [s]",
        "+- *(1) Filter ((isnotnull(s) AND (s > 3)) AND (b = 1))",
        "   +- Scan In-memory table t [b, s], [isnotnull(s), (s > 3), (b = 1)]",
    ];
    assert_eq!(plan_of(session, "SELECT s FROM t WHERE s > 3 AND b = 1"), cached_below("         ", &filtered));
    // The cached rows are partitioned by b: no exchange.
    let grouped = [
        "*(1) HashAggregate(keys=[b], functions=[count(1)])",
        "+- *(1) HashAggregate(keys=[b], functions=[partial_count(1)])",
        "   +- Scan In-memory table t [b]",
    ];
    assert_eq!(plan_of(session, "SELECT b, count(*) FROM t GROUP BY b"), cached_below("         ", &grouped));
    let joined = plan_of(session, "SELECT * FROM t x JOIN t y ON x.b = y.b");
    assert!(joined[0].contains("*(3) SortMergeJoin [b], [b], Inner"), "{joined:#?}");
    assert_eq!(joined.iter().filter(|l| l.contains("Exchange")).count(), 2, "those of the cached plan alone: {joined:#?}");
    assert!(plan_of(session, "SELECT count(*) FROM t").contains(&"      +- Scan In-memory table t".to_string()));
}

#[test]
fn formatted_and_extended_explanations() {
    let session = &sessions()[0];
    let frame = session.range(0, 50).select([col("id").alias("k"), (col("id") * 2).alias("v")]).unwrap().repartition_by(Some(4), ["k"]);
    let frame = frame.unwrap().cache().unwrap();
    let query = frame.filter(col("k").gt(3)).unwrap().select(["v"]).unwrap();
    let ids = regex::Regex::new(r"#\d+L?|, \[plan_id=\d+\]").unwrap();
    let formatted = ids.replace_all(&query.explain(ExplainLevel::Formatted).unwrap(), "").into_owned();
    let outline = "* Project (7)\n+- * Filter (6)\n   +- InMemoryTableScan (1)\n         +- InMemoryRelation (2)\n               +- Exchange (5)\n                  \
                   +- * Project (4)\n                     +- * Range (3)\n";
    assert!(formatted.contains(outline), "{formatted}");
    let blocks = "(1) InMemoryTableScan\nOutput [2]: [k, v]\nArguments: [k, v], [(k > 3)]\n\n(2) InMemoryRelation\n\
                  Arguments: [k, v], StorageLevel(disk, memory, deserialized, 1 replicas)\n\n(3) Range [codegen id : 1]\n";
    assert!(formatted.contains(blocks), "{formatted}");
    let cost = ids.replace_all(&query.explain(ExplainLevel::Cost).unwrap(), "").into_owned();
    let relation = "InMemoryRelation [k, v], StorageLevel(disk, memory, deserialized, 1 replicas), Statistics(sizeInBytes=1200.0 B, rowCount=50)\n      \
                    \x20  +- Exchange hashpartitioning(k, 4), REPARTITION_BY_NUM\n";
    assert!(cost.contains(relation), "{cost}");
}

#[test]
fn queries_read_the_rows_computed_once() -> Result<()> {
    for session in sessions() {
        with_source(&session);
        session.sql("CACHE LAZY TABLE src OPTIONS ('storageLevel' 'MEMORY_ONLY')")?;
        let info = session.catalog().cached("src")?.unwrap();
        assert_eq!((info.size, info.level), (None, StorageLevel::MEMORY_ONLY));
        assert_eq!(answer(&session, "SELECT sum(a), max(b) FROM src WHERE a > 90"), "855,6");
        let (bytes, count) = session.catalog().cached("src")?.unwrap().size.unwrap();
        assert!(count == 100 && bytes >= 1600, "{bytes}");
        assert_eq!(answer(&session, "SHOW TABLES"), format!("src,view,{bytes}"));
        // Nothing but the columns asked for, other fragments, subqueries, unions and joins.
        assert_eq!(answer(&session, "SELECT count(*) FROM src"), "100");
        assert_eq!(
            answer(&session, "SELECT a FROM src WHERE a > (SELECT avg(a) + 48 FROM src) UNION ALL SELECT b FROM src WHERE a = 3"),
            "3|98|99"
        );
        assert_eq!(answer(&session, "SELECT count(*) FROM src x JOIN src y ON x.a = y.b"), "100");
        session.sql("UNCACHE TABLE src")?;
        assert!(!session.catalog().is_cached("src")? && session.catalog().list_cached().is_empty());
        assert_eq!(answer(&session, "SELECT count(*) FROM src"), "100");
    }
    Ok(())
}

#[test]
fn equal_parts_of_other_queries_read_the_cache() -> Result<()> {
    let session = &sessions()[1];
    with_source(session);
    let cached = session.sql("SELECT b, count(*) AS n FROM src GROUP BY b")?.cache()?;
    // Under other names, in a subquery, and not where it differs.
    let query = "SELECT max(k) FROM (SELECT b AS x, count(*) AS k FROM src GROUP BY b) WHERE x < 3";
    assert!(!plan_of(session, query).iter().any(|l| l.contains("InMemoryTableScan")), "a Project renames inside");
    let query = "SELECT * FROM (SELECT b, count(*) AS other FROM src AS s GROUP BY b) q WHERE other = 15";
    assert!(
        plan_of(session, query).iter().any(|l| l.contains("InMemoryTableScan [b, other], [(other = 15)]")),
        "{:#?}",
        plan_of(session, query)
    );
    assert_eq!(answer(session, query), "0,15|1,15");
    assert!(!plan_of(session, "SELECT b, count(a) AS n FROM src GROUP BY b")[0].contains("InMemoryTableScan"));
    let with_subquery = |limit: i32| format!("SELECT a FROM src WHERE a < (SELECT min(a) + {limit} FROM src)");
    session.sql(&with_subquery(3))?.cache()?;
    assert!(plan_of(session, &with_subquery(3))[0].contains("InMemoryTableScan"));
    assert!(!plan_of(session, &with_subquery(4))[0].contains("InMemoryTableScan"));
    assert_eq!((answer(session, &with_subquery(3)), answer(session, &with_subquery(4))), ("0|1|2".into(), "0|1|2|3".into()));
    // A cached query over a cached query.
    let upper = cached.clone().filter(col("n").eq(14))?.cache()?;
    assert_eq!(rows(&upper)?, "2,14|3,14|4,14|5,14|6,14");
    assert_eq!(plan(&upper).iter().filter(|l| l.contains("InMemoryRelation")).count(), 2, "{:#?}", plan(&upper));
    cached.unpersist()?;
    assert_eq!(rows(&upper)?, "2,14|3,14|4,14|5,14|6,14");
    session.sql("CLEAR CACHE")?;
    assert!(upper.cached()?.is_none());
    Ok(())
}

#[test]
fn batches_are_passed_over_by_their_bounds() -> Result<()> {
    for session in sessions() {
        session.set("sql.inMemoryColumnarStorage.batchSize", "10")?;
        let rows = "SELECT id, CASE WHEN id % 10 = 0 THEN NULL ELSE id END AS v FROM range(0, 100, 1, 1)";
        let frame = session.sql(rows)?.cache()?;
        let scanned = |session: &Session, pruning: &str| -> Result<(String, u64)> {
            session.set("sql.inMemoryColumnarStorage.partitionPruning", pruning)?;
            let query = frame.clone().filter(col("id").geq(37).and(col("v").lt(45)))?;
            let execution = query.query_execution()?;
            let count: usize = execution.collect()?.iter().map(|b| b.num_rows()).sum();
            let scan = execution.metrics().into_iter().find(|m| m.operator == "InMemoryTableScan").unwrap();
            Ok((count.to_string(), scan.get("numOutputRows").unwrap()))
        };
        for level in [StorageLevel::MEMORY_AND_DISK, StorageLevel::DISK_ONLY] {
            session.sql(rows)?.unpersist()?.persist(level)?;
            assert_eq!(scanned(&session, "true")?, ("7".to_string(), 20), "{level}");
            assert_eq!(scanned(&session, "false")?, ("7".to_string(), 100), "{level}");
        }
    }
    Ok(())
}

#[test]
fn concurrent_queries_compute_once_and_failures_leave_nothing() -> Result<()> {
    for session in sessions() {
        // Each row's random number is drawn once, so that all who read the cache agree.
        let frame = session.sql("SELECT id, rand() AS r FROM range(0, 1000, 1, 4)")?.cache()?;
        let sums: Vec<String> = thread::scope(|s| {
            let query = Arc::new(frame.clone().agg([wholestage::api::functions::sum("r")]).unwrap());
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    s.spawn({
                        let query = query.clone();
                        move || rows(&query).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(sums.iter().all(|s| *s == sums[0]), "{sums:?}");

        let failing = session.sql("SELECT 1 / (id - 5) AS q FROM range(10)")?.cache()?;
        for _ in 0..2 {
            assert_eq!(failing.collect().unwrap_err().class, ErrorClass::DivideByZero);
            assert_eq!(failing.cached()?.unwrap().size, None);
        }
        let e = session.sql("CACHE TABLE broken AS SELECT 1 / (id - 5) AS q FROM range(10)").err().unwrap();
        assert_eq!(e.class, ErrorClass::DivideByZero);
        assert!(!session.catalog().contains("broken"));
        failing.unpersist()?;
        assert_eq!(session.catalog().list_cached().len(), 1);
    }
    Ok(())
}

#[test]
fn changed_tables_are_cached_anew() -> Result<()> {
    for session in sessions() {
        session.sql("CREATE TABLE m (x INT)")?;
        session.sql("INSERT INTO m VALUES (1), (2)")?;
        session.sql("CACHE TABLE m")?;
        session.sql("CACHE TABLE doubled AS SELECT x * 2 AS d FROM m")?;
        session.sql("INSERT INTO m VALUES (3)")?;
        assert!(session.catalog().is_cached("m")? && session.catalog().is_cached("doubled")?);
        assert_eq!((answer(&session, "SELECT * FROM m"), answer(&session, "SELECT * FROM doubled")), ("1|2|3".into(), "2|4|6".into()));
        assert!(plan_of(&session, "SELECT * FROM m")[0].starts_with("Scan In-memory table m [x]"));

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("n.csv");
        std::fs::write(&file, "n\n1\n").unwrap();
        session.register_path("n", &file)?;
        session.cache_table("n", StorageLevel::MEMORY_ONLY)?;
        assert_eq!(answer(&session, "SELECT n FROM n"), "1");
        std::fs::write(&file, "n\n1\n2\n").unwrap();
        assert_eq!(answer(&session, "SELECT n FROM n"), "1");
        session.sql("REFRESH TABLE n")?;
        assert!(session.catalog().is_cached("n")?);
        assert_eq!(answer(&session, "SELECT n FROM n"), "1|2");
        session.sql("DROP TABLE n")?;
        assert_eq!(session.catalog().list_cached().len(), 2);
    }
    Ok(())
}

#[test]
fn errors_name_what_is_wrong() {
    let session = &sessions()[0];
    with_source(session);
    let class = |sql: &str| session.sql(sql).err().unwrap_or_else(|| panic!("{sql} worked")).class;
    for sql in ["CACHE TABLE nope", "UNCACHE TABLE nope", "REFRESH TABLE nope"] {
        assert_eq!(class(sql), ErrorClass::TableNotFound, "{sql}");
    }
    session.sql("UNCACHE TABLE IF EXISTS nope").unwrap();
    session.sql("UNCACHE TABLE src").unwrap();
    assert_eq!(class("CACHE TABLE src AS SELECT 1"), ErrorClass::TableExists);
    assert_eq!(class("CACHE TABLE src OPTIONS ('storageLevel' 'TAPE')"), ErrorClass::InvalidParameter);
}
