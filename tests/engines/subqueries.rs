//! Subqueries that run beside each other and beside broadcasts, and results with a limit.

use std::sync::atomic::Ordering;

use wholestage::base::ErrorClass;

use super::{answer, session};

/// Scalar subqueries in a filter, in a projection, within each other, over broadcast joins, and twice the same.
const NESTED: &str = "SELECT id, (SELECT max(a.id) FROM range(50) a JOIN range(30) b ON a.id = b.id) AS m
    FROM range(200)
    WHERE id > (SELECT avg(id) FROM range(100) WHERE id < (SELECT count(*) FROM range(80) JOIN range(20) USING (id)))
      AND id < (SELECT max(id) FROM range(1000) WHERE id < (SELECT sum(id) FROM range(7)))
      AND id NOT IN (SELECT id + (SELECT min(id) FROM range(12, 15)) FROM range(3))
    ORDER BY id";

#[test]
fn nested_subqueries_need_one_thread_only() {
    for mode in ["interpreted", "jit"] {
        for threads in [1, 2] {
            let session = session(mode, threads, 16);
            let rows = session.sql(NESTED).unwrap().collect().unwrap();
            // Above 9.5, below 20, without 12, 13 and 14.
            assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), 7, "{mode}, {threads} threads");
        }
    }
}

#[test]
fn many_subqueries_at_once() {
    let list = (0..60).map(|i| format!("(SELECT sum(id) FROM range({}))", i + 2)).collect::<Vec<_>>().join(" + ");
    let expected =
        session("interpreted", 1, 8192).sql("SELECT sum(n * (n - 1) DIV 2) FROM (SELECT id + 2 AS n FROM range(60))").unwrap().collect();
    for threads in [1, 2] {
        let got = session("jit", threads, 8192).sql(&format!("SELECT {list}")).unwrap().collect().unwrap();
        assert_eq!(got[0].column(0), expected.as_ref().unwrap()[0].column(0));
    }
}

#[test]
fn which_error_is_reported_does_not_depend_on_time() {
    let slow = "(SELECT max(1 DIV (id - 4999999)) FROM range(5000000))";
    let quick = "(SELECT id FROM range(2))";
    for mode in ["interpreted", "jit"] {
        let session = session(mode, 2, 8192);
        for (sql, class) in [
            (format!("SELECT {slow}, {quick}"), ErrorClass::DivideByZero),
            (format!("SELECT {quick}, {slow}"), ErrorClass::ScalarSubqueryTooManyRows),
        ] {
            for _ in 0..3 {
                assert_eq!(answer(&session, &sql).err().map(|e| e.class), Some(class), "{mode}: {sql}");
            }
        }
    }
}

#[test]
fn results_are_limited_while_they_are_gathered() {
    for mode in ["interpreted", "jit"] {
        let session = session(mode, 2, 1000);
        session.set("driver.maxResultSize", "100KB").unwrap();
        let execution = session.sql("SELECT id FROM range(3000000)").unwrap().query_execution().unwrap();
        let e = execution.collect().unwrap_err();
        assert_eq!(e.class, ErrorClass::ResourceExhausted);
        let words = [" tasks (", "KiB) is bigger than driver.maxResultSize (100.0 KiB)"];
        assert!(e.message.starts_with("Total size of serialized results of ") && words.iter().all(|w| e.message.contains(w)), "{e}");
        // Most rows were never made.
        let made =
            execution.last_run().unwrap().metrics().iter().filter(|(_, key, _)| *key == "numOutputRows").map(|(.., rows)| *rows).max();
        assert!(made.unwrap() < 1_000_000, "{made:?}");
        let taken = session.sql("SELECT id FROM range(3000000)").unwrap().take(5).unwrap();
        assert_eq!(taken.iter().map(|b| b.num_rows()).sum::<usize>(), 5);
        let streamed = session.sql("SELECT id FROM range(30000)").unwrap().execute_stream().unwrap();
        assert_eq!(streamed.map(|b| b.unwrap().num_rows()).sum::<usize>(), 30000);
        assert!(execution.last_run().unwrap().jobs.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn existence_is_found_out_once() {
    for mode in ["interpreted", "jit"] {
        let session = session(mode, 2, 4);
        let sql = "SELECT count(*), max(CASE WHEN EXISTS (SELECT * FROM range(3) WHERE id > 2) THEN 1 ELSE 0 END) FROM range(10)
            WHERE EXISTS (SELECT count(*) FROM range(0)) AND (id > 6 OR NOT EXISTS (SELECT 1 FROM range(5) WHERE id = 4))";
        let expected = answer(&session, "SELECT 3L, 0").unwrap();
        let got = answer(&session, sql).unwrap();
        assert!(got.matches(&expected).is_ok(), "{mode}: {got:?}");
        let plan = session.sql(sql).unwrap().explain(wholestage::planning::ExplainLevel::Simple).unwrap();
        assert!(
            plan.contains("isnotnull(Subquery scalar-subquery#") && plan.contains("CollectLimit 1") && !plan.contains("Join"),
            "{plan}"
        );
    }
}

#[test]
fn conditions_of_outer_semi_and_anti_joins_have_subqueries() {
    let tables = "WITH a AS (SELECT id AS x FROM range(6)), b AS (SELECT id AS y FROM range(3, 9)), c AS (SELECT id AS z FROM range(2, 5))";
    for mode in ["interpreted", "jit"] {
        let session = session(mode, 2, 4);
        for (join, rows) in [
            // x is 0 to 5, y is 3 to 8, z is 2 to 4.
            ("a LEFT JOIN b ON x = y AND x IN (SELECT z FROM c)", "0:- 1:- 2:- 3:3 4:4 5:-"),
            ("a LEFT JOIN b ON x = y AND y NOT IN (SELECT z FROM c)", "0:- 1:- 2:- 3:- 4:- 5:5"),
            ("a RIGHT JOIN b ON x = y AND EXISTS (SELECT * FROM c WHERE z = x)", "-:5 -:6 -:7 -:8 3:3 4:4"),
            ("a LEFT JOIN b ON x = y AND EXISTS (SELECT * FROM c WHERE z > 7)", "0:- 1:- 2:- 3:- 4:- 5:-"),
            ("a LEFT JOIN b ON x + 3 = y AND x > (SELECT max(z) FROM c WHERE z < y)", "0:- 1:- 2:- 3:- 4:- 5:8"),
        ] {
            let sql = format!(
                "{tables} SELECT concat_ws(' ', array_sort(collect_list(concat(coalesce(CAST(x AS STRING), '-'), ':', coalesce(CAST(y AS STRING), '-'))))) FROM {join}"
            );
            let expected = format!("{tables} SELECT '{rows}'");
            let (got, expected) = (answer(&session, &sql).unwrap(), answer(&session, &expected).unwrap());
            assert!(got.matches(&expected).is_ok(), "{mode}: {join}: {got:?}");
        }
        for (join, rows) in [
            ("a LEFT SEMI JOIN b ON x = y AND x IN (SELECT z FROM c)", "3 4"),
            ("a LEFT ANTI JOIN b ON x = y AND y IN (SELECT z FROM c)", "0 1 2 5"),
        ] {
            let sql = format!("{tables} SELECT concat_ws(' ', array_sort(collect_list(CAST(x AS STRING)))) FROM {join}");
            let (got, expected) = (answer(&session, &sql).unwrap(), answer(&session, &format!("{tables} SELECT '{rows}'")).unwrap());
            assert!(got.matches(&expected).is_ok(), "{mode}: {join}: {got:?}");
        }
    }
}
