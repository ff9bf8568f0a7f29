//! Dynamic partition pruning: a join on a partition column reads the partitions that have a partner.

use std::sync::Arc;

use tempfile::TempDir;
use wholestage::api::Session;
use wholestage::base::Result;
use wholestage::planning::ExplainLevel;

use super::{answer, plan_of, sessions};

/// `fact` has a file for each of 10 days, `dim` a row; four kinds of days.
fn tables(session: &Session) -> Result<TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let fact = "SELECT id AS k, id * 3 AS v, CAST(id % 10 AS INT) AS day FROM range(0, 1000, 1, 1)";
    session.sql(fact)?.write().partition_by(["day"]).path(dir.path().join("fact")).save_as_table("fact")?;
    let dim = "SELECT CAST(id AS INT) AS day, concat('name', id) AS name, CAST(id % 4 AS INT) AS q FROM range(0, 10, 1, 1)";
    session.sql(dim)?.write().path(dir.path().join("dim")).save_as_table("dim")?;
    session.set("sql.autoBroadcastJoinThreshold", "10MB")?;
    Ok(dir)
}

/// Of a run of the query: files read of `fact`.
fn files_read(session: &Session, sql: &str) -> u64 {
    let execution = session.sql(sql).unwrap().query_execution().unwrap();
    execution.collect().unwrap();
    let of_scans = execution.metrics().into_iter().filter(|m| m.operator == "FileScan");
    of_scans.filter(|m| m.get("numPartitions").is_some()).map(|m| m.get("numFiles").unwrap()).sum()
}

/// A plan's lines, scans without all but their columns and partition filters.
fn shape(session: &Session, sql: &str) -> Vec<String> {
    let scan = regex::Regex::new(r"Batched: .*(PartitionFilters: \[.*\]), PushedFilters.*").unwrap();
    let id = regex::Regex::new(r", \[id=\]").unwrap();
    plan_of(session, sql).iter().map(|l| id.replace(&scan.replace(l, "$1"), "").into_owned()).collect()
}

#[test]
fn the_keys_of_a_broadcast_prune() -> Result<()> {
    let ids = regex::Regex::new(r"#\d+").unwrap();
    for session in sessions() {
        let _dir = tables(&session)?;
        let sql = "SELECT v, name FROM fact JOIN dim ON fact.day = dim.day WHERE dim.q = 1";
        let exchange = "BroadcastExchange HashedRelationBroadcastMode(List(cast(input[0, int, true] as bigint)),false)";
        let expected = [
            "*(2) Project [v, name]".to_string(),
            "+- *(2) BroadcastHashJoin [day], [day], Inner, BuildRight, false".to_string(),
            "   :- *(2) FileScan parquet fact[v,day] PartitionFilters: [isnotnull(day), dynamicpruningexpression(day IN dynamicpruning)]"
                .to_string(),
            "   :     +- SubqueryBroadcast dynamicpruning, [0], [day]".to_string(),
            format!("   :        +- {exchange}"),
            "   :           +- *(1) Project [day, name]".to_string(),
            "   :              +- *(1) Filter ((isnotnull(q) AND (q = 1)) AND isnotnull(day))".to_string(),
            "   :                 +- *(1) FileScan parquet dim[day,name,q] PartitionFilters: []".to_string(),
            format!("   +- ReusedExchange [day, name], {exchange}"),
        ];
        assert_eq!(shape(&session, sql), expected);
        assert_eq!(files_read(&session, sql), 3);
        // The build side comes first: the subquery reuses its exchange.
        let turned = "SELECT v, name FROM dim JOIN fact ON fact.day = dim.day WHERE dim.q = 1";
        let lines = shape(&session, turned);
        assert!(lines[1].ends_with("BuildLeft, false") && lines[2].starts_with("   :- BroadcastExchange"), "{lines:#?}");
        assert_eq!(
            &lines[7..],
            [
                "         +- SubqueryBroadcast dynamicpruning, [0], [day]".to_string(),
                format!("            +- ReusedExchange [day, name], {exchange}")
            ]
        );
        assert_eq!(files_read(&session, turned), 3);
        let logical = session.sql(sql)?.explain(ExplainLevel::Extended)?;
        let section = logical.split("== Optimized Logical Plan ==").nth(1).unwrap();
        let lines: Vec<&str> = section.lines().collect();
        assert!(section.contains("Filter (isnotnull(day#") && section.contains(" AND dynamicpruning#"), "{lines:#?}");
        let formatted = session.sql(sql)?.explain(ExplainLevel::Formatted)?;
        let text = ids.replace_all(&formatted, "").into_owned();
        for words in [
            "ReusedExchange [Reuses operator id: 8]",
            "Subquery:1 Hosting operator id = 1 Hosting Expression = day IN dynamicpruning\nBroadcastExchange (8)",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    Ok(())
}

#[test]
fn equal_keys_are_found_out_once() -> Result<()> {
    let session = &sessions()[0];
    let _dir = tables(session)?;
    let one = "FROM fact JOIN dim ON fact.day = dim.day WHERE dim.q = 2";
    let lines = shape(session, &format!("SELECT v {one} UNION ALL SELECT k {one}"));
    let starting = |start: &str| {
        lines.iter().filter(|l| l.trim_start_matches([' ', ':']).trim_start_matches(['+', '-', ' ']).starts_with(start)).count()
    };
    assert_eq!(starting("SubqueryBroadcast dynamicpruning, [0], [day]"), 1, "{lines:#?}");
    assert_eq!(lines[lines.len() - 2], "      :     +- ReusedSubquery SubqueryBroadcast dynamicpruning, [0], [day]", "{lines:#?}");
    assert_eq!((starting("BroadcastExchange"), starting("ReusedExchange")), (1, 2), "{lines:#?}");
    // Two joins, one of them with an aggregate.
    let lines = shape(
        session,
        "SELECT v FROM fact JOIN (SELECT day FROM dim WHERE q = 2) d ON fact.day = d.day \
         JOIN (SELECT DISTINCT day FROM fact WHERE k < 3) e ON fact.day = e.day",
    );
    let broadcasts: Vec<&str> = lines.iter().filter(|l| l.contains("SubqueryBroadcast")).map(|l| l.trim_end()).collect();
    assert_eq!(
        broadcasts,
        [
            "   :     :     :- SubqueryBroadcast dynamicpruning, [0], [day]",
            "   :     :     +- SubqueryBroadcast dynamicpruning, [0], [day]"
        ],
        "{lines:#?}"
    );
    Ok(())
}

#[test]
fn answers_are_the_same_and_fewer_files_are_read() -> Result<()> {
    for session in sessions() {
        let _dir = tables(&session)?;
        for (sql, files) in [
            ("SELECT v FROM fact LEFT SEMI JOIN dim ON fact.day = dim.day AND dim.q = 1", 3),
            ("SELECT v FROM fact WHERE day IN (SELECT day FROM dim WHERE q = 1)", 3),
            ("SELECT v, name FROM fact JOIN dim ON fact.day + 1 = dim.day WHERE dim.q = 1", 3),
            ("SELECT v, name FROM fact LEFT JOIN dim ON fact.day = dim.day WHERE dim.q = 1 AND fact.k > 3", 3),
            (
                "SELECT sum(v) FROM fact JOIN dim d1 ON fact.day = d1.day JOIN dim d2 ON fact.day = d2.day WHERE d1.q = 1 AND d2.name LIKE 'name1%'",
                1,
            ),
            ("SELECT day, sum(v) FROM (SELECT day, v FROM fact UNION ALL SELECT day, k FROM fact) f GROUP BY day", 20),
            // Twice the same: one broadcast, one subquery.
            (
                "SELECT v FROM fact JOIN dim ON fact.day = dim.day WHERE dim.q = 2 UNION ALL SELECT k FROM fact JOIN dim ON fact.day = dim.day WHERE dim.q = 2",
                4,
            ),
            ("SELECT v FROM fact JOIN dim ON fact.day = dim.day WHERE dim.name = 'nobody'", 0),
            // Values are known before: no join.
            ("SELECT v FROM fact WHERE day = (SELECT max(day) FROM dim WHERE q = 1)", 1),
            ("SELECT v FROM fact WHERE EXISTS (SELECT 1 FROM dim WHERE q = 9)", 0),
            ("SELECT v FROM fact WHERE EXISTS (SELECT 1 FROM dim WHERE q = 1)", 10),
            // Nothing to go by, or a side that must stay whole.
            ("SELECT v, name FROM fact JOIN dim ON fact.day = dim.day", 10),
            ("SELECT v, name FROM fact LEFT JOIN dim ON fact.day = dim.day AND dim.q = 1", 10),
            ("SELECT v FROM fact JOIN (SELECT * FROM dim WHERE rand(1) < 2 AND q = 1) d ON fact.day = d.day", 10),
            ("SELECT v FROM fact LEFT ANTI JOIN (SELECT * FROM dim WHERE q = 1) d ON fact.day = d.day", 10),
        ] {
            session.set("sql.optimizer.dynamicPartitionPruning.enabled", "false")?;
            let expected = answer(&session, sql);
            session.unset("sql.optimizer.dynamicPartitionPruning.enabled")?;
            assert_eq!(answer(&session, sql), expected, "{sql}");
            assert_eq!(files_read(&session, sql), files, "{sql}");
        }
    }
    Ok(())
}

#[test]
fn without_a_broadcast_it_must_pay() -> Result<()> {
    let session = &sessions()[1];
    let _dir = tables(session)?;
    let sql = "SELECT v, name FROM fact JOIN dim ON fact.day = dim.day WHERE dim.q = 1";
    let expected = answer(session, sql);
    let pruned = |changes: &[(&str, &str)]| {
        changes.iter().for_each(|(key, value)| session.set(key, value).unwrap());
        assert_eq!(answer(session, sql), expected);
        let lines = shape(session, sql);
        changes.iter().for_each(|(key, _)| session.unset(key).unwrap());
        session.set("sql.autoBroadcastJoinThreshold", "10MB").unwrap();
        (lines.iter().any(|l| l.contains("dynamicpruningexpression(true)")), lines.iter().any(|l| l.contains("Subquery dynamicpruning")))
    };
    let (merge, own) = (("sql.autoBroadcastJoinThreshold", "-1"), ("sql.optimizer.dynamicPartitionPruning.reuseBroadcastOnly", "false"));
    assert_eq!(pruned(&[merge]), (true, false));
    assert_eq!(pruned(&[("sql.exchange.reuse", "false")]), (true, false));
    assert_eq!(pruned(&[merge, own]), (false, true));
    assert_eq!(pruned(&[merge, own, ("sql.optimizer.dynamicPartitionPruning.fallbackFilterRatio", "0.001")]), (true, false));
    assert_eq!(pruned(&[("sql.optimizer.dynamicPartitionPruning.enabled", "false")]), (false, false));
    Ok(())
}

#[test]
fn pruning_needs_one_thread_only() -> Result<()> {
    for mode in ["interpreted", "jit"] {
        let session = Session::builder().threads(1).config("execution.mode", mode).build()?;
        let _dir = tables(&session)?;
        let sql = "SELECT count(*) FROM fact JOIN dim ON fact.day = dim.day WHERE dim.q = (SELECT min(q) + 1 FROM dim)";
        let columns = session.sql(sql)?.collect()?;
        assert_eq!(columns[0].column(0), &(Arc::new(arrow::array::Int64Array::from(vec![300])) as arrow::array::ArrayRef));
    }
    Ok(())
}
