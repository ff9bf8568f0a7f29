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
