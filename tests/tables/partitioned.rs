//! Tables partitioned by columns: folders `column=value`, and INSERT into them.

use std::fs;

use wholestage::base::{ErrorClass, Result};
use wholestage::datasource::write::SaveMode;

use super::{answer, plan_of, sessions};

#[test]
fn values_become_folders_and_keep_their_types() -> Result<()> {
    for session in sessions() {
        let dir = tempfile::tempdir().unwrap();
        let location = dir.path().join("t");
        session.sql(&format!(
            "CREATE TABLE t USING parquet PARTITIONED BY (kind, day, flag) LOCATION '{}' AS SELECT * FROM VALUES \
             ('7', DATE '2024-01-02', true, 1), ('a/b', DATE '2024-01-02', false, 2), (NULL, DATE '2024-01-03', NULL, 3) v(kind, day, flag, n)",
            location.display()
        ))?;
        let kinds: Vec<String> = fs::read_dir(&location).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        for folder in ["kind=7", "kind=a%2Fb", "kind=__HIVE_DEFAULT_PARTITION__"] {
            assert!(kinds.contains(&folder.to_string()), "{kinds:?}");
        }
        assert_eq!(answer(&session, "SELECT * FROM t"), "1,7,2024-01-02,true|2,a/b,2024-01-02,false|3,,2024-01-03,");
        assert_eq!(answer(&session, "SELECT typeof(kind), typeof(day), typeof(flag) FROM t LIMIT 1"), "string,date,boolean");
        let plan = plan_of(&session, "SELECT n FROM t WHERE kind = '7' AND flag").pop().unwrap();
        assert!(
            plan.contains("PartitionFilters: [isnotnull(kind), isnotnull(flag), (kind = 7), flag]")
                && plan.contains("ReadSchema: struct<n:int>"),
            "{plan}"
        );
    }
    Ok(())
}

#[test]
fn rows_are_added_and_replaced() -> Result<()> {
    for session in sessions() {
        let dir = tempfile::tempdir().unwrap();
        for format in ["parquet", "csv", "json", "arrow"] {
            let name = format!("t_{format}");
            let location = dir.path().join(format);
            session.sql(&format!(
                "CREATE TABLE {name} USING {format} PARTITIONED BY (p) LOCATION '{}' AS SELECT 1 AS p, 10 AS v",
                location.display()
            ))?;
            session.sql(&format!("CACHE TABLE {name}"))?;
            session.sql(&format!("INSERT INTO {name} VALUES (20, 2), (30, 1)"))?;
            session.sql(&format!("INSERT INTO {name} (p, v) SELECT p + 1, v + 1 FROM {name} WHERE p = 2"))?;
            assert_eq!(answer(&session, &format!("SELECT v, p FROM {name}")), "10,1|20,2|21,3|30,1", "{format}");
            session.sql(&format!("INSERT OVERWRITE {name} SELECT max(v), 9 FROM {name}"))?;
            assert_eq!(answer(&session, &format!("SELECT v, p FROM {name}")), "30,9", "{format}");
        }
    }
    Ok(())
}

#[test]
fn buckets_within_partitions() -> Result<()> {
    for session in sessions() {
        let dir = tempfile::tempdir().unwrap();
        let frame = session.sql("SELECT id AS a, CAST(id % 3 AS INT) AS p FROM range(0, 300, 1, 2)")?;
        frame.write().partition_by(["p"]).bucket_by(4, ["a"]).sort_by(["a"]).path(dir.path().join("t")).save_as_table("t")?;
        let plan = plan_of(&session, "SELECT a, count(*) FROM t WHERE p = 1 AND a = 31 GROUP BY a").pop().unwrap();
        assert!(plan.contains("Bucketed: true") && plan.ends_with("SelectedBucketsCount: 1 out of 4"), "{plan}");
        assert_eq!(answer(&session, "SELECT a, count(*) FROM t WHERE p = 1 AND a IN (31, 32) GROUP BY a"), "31,1");
        assert_eq!(answer(&session, "SELECT count(*), count(DISTINCT a) FROM t"), "300,300");
        assert_eq!(answer(&session, "SELECT count(*) FROM t x JOIN t y ON x.a = y.a"), "300");
        // A folder without a table's name, and what `save` does about one that is there.
        frame.write().partition_by(["p"]).format("csv").save(dir.path().join("c"))?;
        assert_eq!(frame.write().save(dir.path().join("c")).unwrap_err().class, ErrorClass::TableExists);
        frame.write().partition_by(["p"]).format("csv").mode(SaveMode::Append).save(dir.path().join("c"))?;
        assert_eq!(session.read_csv(dir.path().join("c"), &[])?.count()?, 600);
    }
    Ok(())
}

#[test]
fn wrong_tables_are_errors() -> Result<()> {
    let session = &sessions()[0];
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("t").display().to_string();
    let create = |rest: &str| session.sql(&format!("CREATE TABLE t USING parquet {rest}")).err().unwrap();
    assert_eq!(create(&format!("PARTITIONED BY (q) LOCATION '{location}' AS SELECT 1 AS a")).class, ErrorClass::ColumnNotFound);
    assert_eq!(create(&format!("PARTITIONED BY (a) LOCATION '{location}' AS SELECT 1 AS a")).class, ErrorClass::InvalidParameter);
    assert_eq!(create("PARTITIONED BY (a) AS SELECT 1 AS a, 2 AS b").class, ErrorClass::Unsupported);
    assert!(!dir.path().join("t").exists());
    session.sql(&format!("CREATE TABLE t USING parquet LOCATION '{location}' AS SELECT 1 AS a, 2 AS b"))?;
    assert_eq!(
        session.sql(&format!("CREATE TABLE u USING parquet PARTITIONED BY (a) LOCATION '{location}'")).err().unwrap().class,
        ErrorClass::MalformedData
    );
    session.sql("CREATE TEMP VIEW v AS SELECT * FROM t")?;
    assert_eq!(session.sql("INSERT INTO v VALUES (1, 2)").err().unwrap().class, ErrorClass::Unsupported);
    assert_eq!(session.table("t")?.insert_into("nope", false).unwrap_err().class, ErrorClass::TableNotFound);
    session.table("t")?.insert_into("t", false)?;
    assert_eq!(answer(session, "SELECT count(*) FROM v"), "2");
    Ok(())
}
