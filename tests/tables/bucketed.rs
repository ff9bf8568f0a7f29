//! Bucketed tables: writing them, reading them bucket by bucket, and the exchanges that this saves.

use std::fs;
use std::path::Path;

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::datasource::write::SaveMode;
use wholestage::planning::ExplainLevel;

use super::{answer, plan_of, sessions};

/// `t8` and `t4` by `a`, `t6` by `a` and `b`, and the same rows as `plain`.
fn with_tables(session: &Session, dir: &Path) {
    let create = |name: &str, buckets: &str, query: &str| {
        let location = dir.join(name).display().to_string();
        session.sql(&format!("CREATE TABLE {name} USING parquet {buckets} LOCATION '{location}' AS {query}")).unwrap();
    };
    create("t8", "CLUSTERED BY (a) INTO 8 BUCKETS", "SELECT id AS a, id % 7 AS b, concat('x', id % 13) AS c FROM range(0, 1000, 1, 2)");
    create("t4", "CLUSTERED BY (a) SORTED BY (a) INTO 4 BUCKETS", "SELECT id * 2 AS a, id % 7 AS b FROM range(0, 1000, 1, 1)");
    create("t6", "CLUSTERED BY (a, b) SORTED BY (a, b) INTO 6 BUCKETS", "SELECT id AS a, id % 7 AS b FROM range(0, 1000, 1, 1)");
    session.sql("CREATE TABLE plain AS SELECT id AS a, id % 7 AS b, concat('x', id % 13) AS c FROM range(0, 1000, 1, 2)").unwrap();
}

fn sessions_with_tables() -> Vec<(Session, tempfile::TempDir)> {
    let with_dir = |session: Session| {
        let dir = tempfile::tempdir().unwrap();
        with_tables(&session, dir.path());
        (session, dir)
    };
    sessions().into_iter().map(with_dir).collect()
}

/// A plan's lines, of scans only what they say of buckets.
fn operators(session: &Session, sql: &str) -> Vec<String> {
    let scan = regex::Regex::new(r" Batched: true(, Bucketed: [^,]*)?.*?(, SelectedBucketsCount: .*)?$").unwrap();
    plan_of(session, sql).iter().map(|l| scan.replace(l, "$1$2").into_owned()).collect()
}

#[test]
fn files_are_named_after_their_buckets() -> Result<()> {
    let (session, dir) = &sessions_with_tables()[1];
    let name = regex::Regex::new(r"^part-0000[01]-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_0000[0-7]\.c000\.snappy\.parquet$").unwrap();
    let names: Vec<String> =
        fs::read_dir(dir.path().join("t8")).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names.iter().filter(|n| name.is_match(n)).count(), 16, "{names:?}");
    // Every row is in the bucket that Spark's hash gives it, and in order.
    for (number, path) in (0..4).map(|b| (b, dir.path().join("t4"))) {
        let file = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().path())
            .find(|p| p.to_string_lossy().contains(&format!("_0000{number}.c000")))
            .unwrap();
        let rows = format!(
            "(SELECT a, monotonic FROM (SELECT a, a >= lag(a, 1, -1) OVER (ORDER BY 1) AS monotonic FROM parquet.`{}`))",
            file.display()
        );
        let sql = format!("SELECT min(pmod(hash(a), 4)), max(pmod(hash(a), 4)), bool_and(monotonic) FROM {rows}");
        assert_eq!(answer(session, &sql), format!("{number},{number},true"));
    }
    Ok(())
}

#[test]
fn joins_and_aggregates_by_buckets_need_no_exchange() {
    let (session, _dir) = &sessions_with_tables()[0];
    assert_eq!(
        operators(session, "SELECT a, count(*) FROM t8 GROUP BY a"),
        [
            "*(1) HashAggregate(keys=[a], functions=[count(1)])",
            "+- *(1) HashAggregate(keys=[a], functions=[partial_count(1)])",
            "   +- *(1) FileScan parquet t8[a], Bucketed: true, SelectedBucketsCount: 8 out of 8",
        ]
    );
    // Reference 4.2: the side with more buckets stays, the other follows it.
    assert_eq!(
        operators(session, "SELECT * FROM t8 JOIN t4 ON t8.a = t4.a"),
        [
            "*(4) SortMergeJoin [a], [a], Inner",
            ":- *(1) Sort [a ASC NULLS FIRST], false, 0",
            ":  +- *(1) Filter isnotnull(a)",
            ":     +- *(1) FileScan parquet t8[a,b,c], Bucketed: true, SelectedBucketsCount: 8 out of 8",
            "+- *(3) Sort [a ASC NULLS FIRST], false, 0",
            "   +- Exchange hashpartitioning(a, 8), ENSURE_REQUIREMENTS",
            "      +- *(2) Filter isnotnull(a)",
            "         +- *(2) FileScan parquet t4[a,b], Bucketed: false (disabled by query planner)",
        ]
    );
    // An unbucketed side is shuffled into as many buckets.
    assert_eq!(
        operators(session, "SELECT * FROM t4 JOIN (SELECT id FROM range(10)) ON a = id"),
        [
            "*(4) SortMergeJoin [a], [id], Inner",
            ":- *(1) Sort [a ASC NULLS FIRST], false, 0",
            ":  +- *(1) Filter isnotnull(a)",
            ":     +- *(1) FileScan parquet t4[a,b], Bucketed: true, SelectedBucketsCount: 4 out of 4",
            "+- *(3) Sort [id ASC NULLS FIRST], false, 0",
            "   +- Exchange hashpartitioning(id, 4), ENSURE_REQUIREMENTS",
            "      +- *(2) Range (0, 10, step=1, splits=2)",
        ]
    );
    // Join keys take the order of the bucket columns, of either side.
    assert_eq!(
        operators(session, "SELECT * FROM t6 x JOIN t6 y ON x.b = y.b AND x.a = y.a"),
        [
            "*(3) SortMergeJoin [a, b], [a, b], Inner",
            ":- *(1) Sort [a ASC NULLS FIRST, b ASC NULLS FIRST], false, 0",
            ":  +- *(1) Filter (isnotnull(b) AND isnotnull(a))",
            ":     +- *(1) FileScan parquet t6[a,b], Bucketed: true, SelectedBucketsCount: 6 out of 6",
            "+- *(2) Sort [a ASC NULLS FIRST, b ASC NULLS FIRST], false, 0",
            "   +- *(2) Filter (isnotnull(b) AND isnotnull(a))",
            "      +- *(2) FileScan parquet t6[a,b], Bucketed: true, SelectedBucketsCount: 6 out of 6",
        ]
    );
    let one_sided = operators(session, "SELECT * FROM t6 x JOIN t8 y ON x.b = y.b AND x.a = y.a");
    assert_eq!(one_sided[0], "*(4) SortMergeJoin [a, b], [a, b], Inner");
    assert_eq!(one_sided[5], "   +- Exchange hashpartitioning(a, b, 6), ENSURE_REQUIREMENTS");
}

#[test]
fn buckets_that_help_nobody_are_read_as_files() -> Result<()> {
    let (session, _dir) = &sessions_with_tables()[0];
    let bucketed = |sql: &str| operators(session, sql).pop().unwrap();
    assert_eq!(bucketed("SELECT * FROM t8"), "*(1) FileScan parquet t8[a,b,c], Bucketed: false (disabled by query planner)");
    assert!(bucketed("SELECT * FROM t4 ORDER BY a").ends_with("t4[a,b], Bucketed: false (disabled by query planner)"));
    assert!(bucketed("SELECT b, count(*) FROM t8 GROUP BY b").ends_with("t8[b], Bucketed: false (bucket column(s) not read)"));
    session.set("sql.sources.bucketing.autoBucketedScan.enabled", "false")?;
    assert!(bucketed("SELECT * FROM t8").ends_with("t8[a,b,c], Bucketed: true, SelectedBucketsCount: 8 out of 8"));
    session.set("sql.sources.bucketing.enabled", "false")?;
    assert!(bucketed("SELECT a, count(*) FROM t8 GROUP BY a").ends_with("t8[a], Bucketed: false (disabled by configuration)"));
    Ok(())
}

#[test]
fn filters_on_the_bucket_column_select_buckets() {
    let (session, _dir) = &sessions_with_tables()[0];
    let selected = |filter: &str| operators(session, &format!("SELECT a, count(*) FROM t8 WHERE {filter} GROUP BY a")).pop().unwrap();
    for (filter, count) in [
        ("a = 3", 1),
        ("a <=> 3", 1),
        ("a IN (3, 4) OR a IS NULL", 3),
        ("a IN (3, 4, 5) AND a = 4", 1),
        ("a > 3", 8),
        ("a = 3 OR a > 990", 8),
    ] {
        assert!(selected(filter).ends_with(&format!("SelectedBucketsCount: {count} out of 8")), "{filter}: {}", selected(filter));
    }
    let formatted = session.sql("SELECT a, count(*) FROM t8 WHERE a = 3 GROUP BY a").unwrap().explain(ExplainLevel::Formatted).unwrap();
    assert!(
        formatted.contains("Batched: true\nBucketed: true\nLocation: ") && formatted.contains("SelectedBucketsCount: 1 out of 8\n"),
        "{formatted}"
    );
}

#[test]
fn more_buckets_are_read_as_fewer() -> Result<()> {
    let (session, _dir) = &sessions_with_tables()[0];
    let join = "SELECT * FROM t8 JOIN t4 ON t8.a = t4.a";
    session.set("sql.bucketing.coalesceBucketsInJoin.enabled", "true")?;
    assert_eq!(
        operators(session, join),
        [
            "*(3) SortMergeJoin [a], [a], Inner",
            ":- *(1) Sort [a ASC NULLS FIRST], false, 0",
            ":  +- *(1) Filter isnotnull(a)",
            ":     +- *(1) FileScan parquet t8[a,b,c], Bucketed: true, SelectedBucketsCount: 8 out of 8 (Coalesced to 4)",
            "+- *(2) Sort [a ASC NULLS FIRST], false, 0",
            "   +- *(2) Filter isnotnull(a)",
            "      +- *(2) FileScan parquet t4[a,b], Bucketed: true, SelectedBucketsCount: 4 out of 4",
        ]
    );
    let exchanges = |sql: &str| operators(session, sql).iter().filter(|l| l.contains("Exchange")).count();
    // Of a hash join only the streamed side.
    assert_eq!(exchanges("SELECT /*+ SHUFFLE_HASH(t4) */ * FROM t8 JOIN t4 ON t8.a = t4.a"), 0);
    assert_eq!(exchanges("SELECT /*+ SHUFFLE_HASH(t8) */ * FROM t8 JOIN t4 ON t8.a = t4.a"), 1);
    session.set("sql.bucketing.coalesceBucketsInJoin.maxBucketRatio", "1")?;
    assert_eq!(exchanges(join), 1);
    Ok(())
}

#[test]
fn one_sorted_file_per_bucket_needs_no_sort() -> Result<()> {
    let (session, _dir) = &sessions_with_tables()[1];
    session.set("sql.legacy.bucketedTableScan.outputOrdering", "true")?;
    let join = "SELECT x.a, x.b FROM t4 x JOIN t4 y ON x.a = y.a";
    assert!(!operators(session, join).iter().any(|l| l.contains("Sort [") || l.contains("Exchange")), "{:#?}", operators(session, join));
    assert_eq!(answer(session, &format!("SELECT count(*), sum(a) FROM ({join})")), "1000,999000");
    // The order counts, so the scan stays bucketed; Spark loses it here.
    assert_eq!(
        operators(session, "SELECT b, a FROM t4 SORT BY a")[1],
        "+- *(1) FileScan parquet t4[a,b], Bucketed: true, SelectedBucketsCount: 4 out of 4"
    );
    // A second file in a bucket has an order of its own.
    session.sql("INSERT INTO t4 SELECT 1, 1")?;
    assert_eq!(operators(session, join).iter().filter(|l| l.contains("Sort [")).count(), 2);
    assert_eq!(answer(session, &format!("SELECT count(*), sum(a) FROM ({join})")), "1001,999001");
    Ok(())
}

#[test]
fn answers_are_those_of_the_unbucketed_table() -> Result<()> {
    let queries = [
        "SELECT a, count(*), min(c) FROM # GROUP BY a",
        "SELECT a, b FROM # WHERE a IN (1, 17, 999, 4000)",
        "SELECT c FROM # WHERE a = 12 AND b = 5",
        "SELECT x.a, y.c FROM # x JOIN # y ON x.a = y.a WHERE y.b = 3",
        "SELECT x.a, y.c FROM # x JOIN t4 y0 ON x.a = y0.a LEFT JOIN # y ON y.a = y0.b WHERE x.b = 3",
        "SELECT x.a, x.b FROM # x JOIN t6 y ON x.b = y.b AND x.a = y.a",
        "SELECT count(*) FROM # x FULL OUTER JOIN t4 y ON x.a = y.a",
        "SELECT a, row_number() OVER (PARTITION BY a ORDER BY b) FROM # WHERE b = 1",
        "SELECT count(*) FROM # WHERE a NOT IN (SELECT a FROM t4)",
        "SELECT DISTINCT a FROM # WHERE a < 10",
    ];
    for (session, _dir) in sessions_with_tables() {
        for (key, value) in [
            ("sql.shuffle.partitions", "3"),
            ("sql.bucketing.coalesceBucketsInJoin.enabled", "true"),
            ("sql.legacy.bucketedTableScan.outputOrdering", "true"),
            ("planner.profile", "local"),
        ] {
            session.set(key, value)?;
            for query in queries {
                assert_eq!(answer(&session, &query.replace('#', "t8")), answer(&session, &query.replace('#', "plain")), "{query}");
            }
        }
    }
    Ok(())
}

#[test]
fn folders_of_buckets_get_a_name() -> Result<()> {
    for (session, dir) in sessions_with_tables() {
        let location = dir.path().join("t8").display().to_string();
        session.sql(&format!("CREATE TABLE again USING parquet CLUSTERED BY (a) INTO 8 BUCKETS LOCATION '{location}'"))?;
        assert!(operators(&session, "SELECT DISTINCT a FROM again")[2].contains("Bucketed: true"));
        assert_eq!(answer(&session, "SELECT count(*) FROM again WHERE a = 5"), "1");
        let e =
            session.sql(&format!("CREATE TABLE fewer USING parquet CLUSTERED BY (a) INTO 7 BUCKETS LOCATION '{location}'")).err().unwrap();
        assert!(e.class == ErrorClass::MalformedData && e.message.contains("_00007.c000"), "{e}");
        // In memory, partitions are the buckets.
        session.sql("CREATE TABLE held CLUSTERED BY (a) SORTED BY (b) INTO 5 BUCKETS AS SELECT a, b FROM plain")?;
        session.sql("INSERT INTO held VALUES (5000, 1), (NULL, 2)")?;
        assert!(operators(&session, "SELECT DISTINCT a FROM held")[2].contains("Bucketed: true, SelectedBucketsCount: 5 out of 5"));
        assert_eq!(answer(&session, "SELECT a, b FROM held WHERE a IN (5000, 3) OR a IS NULL"), ",2|3,3|5000,1");
        assert_eq!(answer(&session, "SELECT count(*) FROM held x JOIN held y ON x.a = y.a"), "1001");
    }
    Ok(())
}

#[test]
fn frames_write_buckets() -> Result<()> {
    for session in sessions() {
        let dir = tempfile::tempdir().unwrap();
        let frame = session.sql("SELECT id AS k, CAST(id % 5 AS STRING) AS v FROM range(100)")?;
        frame.write().bucket_by(4, ["v"]).sort_by(["k"]).path(dir.path().join("t")).save_as_table("t")?;
        assert!(operators(&session, "SELECT v, count(*) FROM t GROUP BY v")[2].ends_with("SelectedBucketsCount: 4 out of 4"));
        assert_eq!(answer(&session, "SELECT v, count(*), sum(k) FROM t WHERE v = '3' GROUP BY v"), "3,20,1010");
        let twice = frame.write().bucket_by(4, ["v"]).path(dir.path().join("t"));
        assert_eq!(twice.clone().save_as_table("t").unwrap_err().class, ErrorClass::TableExists);
        twice.clone().mode(SaveMode::Append).save_as_table("t")?;
        assert_eq!(answer(&session, "SELECT count(*) FROM t"), "200");
        twice.mode(SaveMode::Overwrite).save_as_table("t")?;
        assert_eq!(answer(&session, "SELECT count(*) FROM t"), "100");
        assert_eq!(frame.write().bucket_by(4, ["v"]).save(dir.path().join("u")).unwrap_err().class, ErrorClass::InvalidParameter);
        assert_eq!(frame.write().sort_by(["v"]).save_as_table("u").unwrap_err().class, ErrorClass::InvalidParameter);
        session.sql(&format!(
            "CREATE TABLE none USING parquet CLUSTERED BY (x) INTO 3 BUCKETS LOCATION '{}' AS SELECT 1 AS x WHERE false",
            dir.path().join("n").display()
        ))?;
        assert_eq!(answer(&session, "SELECT x, count(*) FROM none GROUP BY x"), "");
    }
    Ok(())
}

#[test]
fn wrong_specifications_are_errors() {
    let session = &sessions()[0];
    for (clause, class) in [
        ("CLUSTERED BY (zz) INTO 4 BUCKETS", ErrorClass::ColumnNotFound),
        ("CLUSTERED BY (a) SORTED BY (q) INTO 4 BUCKETS", ErrorClass::ColumnNotFound),
        ("CLUSTERED BY (a) INTO 0 BUCKETS", ErrorClass::InvalidParameter),
        ("CLUSTERED BY (a, A) INTO 2 BUCKETS", ErrorClass::InvalidParameter),
        ("PARTITIONED BY (a) CLUSTERED BY (a) INTO 2 BUCKETS", ErrorClass::ColumnNotFound),
        ("CLUSTERED BY (a) INTO BUCKETS", ErrorClass::Parse),
    ] {
        let e = session.sql(&format!("CREATE TABLE w USING parquet {clause} LOCATION '/nowhere' AS SELECT 1 AS a, 2 AS b")).err().unwrap();
        assert_eq!(e.class, class, "{clause}: {e}");
        assert!(e.location.is_some(), "{clause}: {e}");
    }
}
