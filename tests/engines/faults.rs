//! Queries whose tasks fail or whose spilled rows are lost answer as if nothing had happened, or fail with one clear error; nothing is
//! left, and the next query is answered.

use std::path::Path;

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::cli::answers::Answer;

use super::memory::{answer_and_spill, assert_nothing_left, session};

/// Numbers and strings too long to be held in their views.
const ROWS: &str = "(SELECT id, id * 7919 % 10007 AS k, concat('a text of some length, number ', id) AS t FROM range(20000))";

/// A shuffle over a shuffle, a sort that spills, groups that spill, a shuffled join, a broadcast and a subquery.
fn queries() -> [String; 4] {
    [
        format!(
            "SELECT count(*), sum(n), max(t) FROM (SELECT k % 100, count(*) AS n, max(t) AS t FROM (SELECT /*+ REPARTITION(3) */ * FROM {ROWS}) GROUP BY k % 100)"
        ),
        format!(
            "SELECT count(*), max(t), sum(CASE WHEN before > k THEN 1 ELSE 0 END) FROM (SELECT *, lag(k) OVER (ORDER BY k) AS before FROM {ROWS})"
        ),
        format!("SELECT count(*), sum(n), max(t) FROM (SELECT k, count(*) AS n, max(t) AS t FROM {ROWS} GROUP BY k)"),
        format!(
            "SELECT count(*), sum(a.id), max(b.t) FROM {ROWS} a JOIN (SELECT /*+ REPARTITION(k) */ * FROM {ROWS}) b ON a.id = b.k WHERE a.id < (SELECT max(id) FROM {ROWS})"
        ),
    ]
}

const LIMIT: &str = "512KB";

fn limited(mode: &str, dir: &Path, faults: &str) -> Session {
    let session = session(mode, LIMIT, dir);
    session.set("sql.shuffle.partitions", "3").unwrap();
    session.set("execution.faults", faults).unwrap();
    session
}

/// What the queries answer when all goes well.
fn expected(dir: &Path) -> Vec<Answer> {
    let session = session("interpreted", "0", dir);
    queries().iter().map(|sql| answer_and_spill(&session, sql).0.unwrap()).collect()
}

/// Each query in both engines with each of the faults; `judge` is given its outcome and, if there is one, what is wrong with its answer.
fn with_faults(faults: &[String], judge: impl Fn(&str, &Result<Answer>, Option<String>) -> Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let expected = expected(dir.path());
    let mut wrong = vec![];
    for mode in ["interpreted", "jit"] {
        for fault in faults {
            let session = limited(mode, dir.path(), fault);
            for (sql, expected) in queries().iter().zip(&expected) {
                let (got, _) = answer_and_spill(&session, sql);
                let difference = got.as_ref().ok().and_then(|got| got.matches(expected).err()).map(|e| e.to_string());
                wrong.extend(judge(fault, &got, difference).map(|e| format!("{mode}, {fault}: {sql}: {e}")));
                assert_nothing_left(&session, dir.path(), sql);
            }
            session.set("execution.faults", "").unwrap();
            let (after, _) = answer_and_spill(&session, &queries()[0]);
            wrong.extend(after.and_then(|got| got.matches(&expected[0])).err().map(|e| format!("{mode}, after {fault}: {e}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn right(_: &str, got: &Result<Answer>, difference: Option<String>) -> Option<String> {
    got.as_ref().err().map(|e| e.to_string()).or(difference)
}

#[test]
fn a_task_that_fails_or_panics_is_tried_again() {
    with_faults(&["task:1".into(), "panic:1".into(), "task:1,panic:2,task:3".into()], right);
}

#[test]
fn lost_and_corrupt_files_of_shuffles_are_made_again() {
    let faults = ["shuffle.delete", "shuffle.flip"].iter().flat_map(|point| (1..5).map(move |n| format!("{point}:{n}")));
    with_faults(&faults.collect::<Vec<_>>(), right);
}

#[test]
fn a_full_disk_or_a_failed_read_costs_a_try() {
    let faults = ["spill.write", "spill.read"].iter().flat_map(|point| [1, 2, 3, 5, 8, 13, 30].map(|n| format!("{point}:{n}")));
    with_faults(&faults.collect::<Vec<_>>(), right);
}

#[test]
fn what_fails_each_time_is_one_clear_error() {
    let faults = ["task:*", "panic:*", "spill.write:*", "spill.read:*", "shuffle.delete:*", "shuffle.flip:*"];
    let lost = std::cell::Cell::new(0);
    with_faults(&faults.map(String::from), |fault, got, difference| {
        let e = match got {
            // Not every query has files of shuffles.
            Ok(_) => return difference.or_else(|| (!fault.starts_with("shuffle")).then(|| "no error".to_string())),
            Err(e) => e,
        };
        let class = match fault {
            "panic:*" => ErrorClass::Internal,
            "task:*" | "spill.write:*" => ErrorClass::Io,
            "spill.read:*" if e.class == ErrorClass::Io => ErrorClass::Io,
            _ => ErrorClass::FetchFailed,
        };
        lost.set(lost.get() + usize::from(fault.starts_with("shuffle")));
        let clear = e.class == class && e.message.contains("stage `") && e.message.contains("failed 4 times, the last time by: ");
        (!clear).then(|| e.to_string())
    });
    assert!(lost.get() >= 4, "{} queries lost files", lost.get());
}

#[test]
fn streams_try_tasks_again_until_rows_have_left() {
    let dir = tempfile::tempdir().unwrap();
    let sql = format!("SELECT id FROM (SELECT /*+ REPARTITION(3) */ * FROM {ROWS})");
    for mode in ["interpreted", "jit"] {
        for fault in ["task:1", "panic:1", "shuffle.delete:1"] {
            let frame = limited(mode, dir.path(), fault).sql(&sql).unwrap();
            let count = |batches: &mut dyn Iterator<Item = Result<arrow::array::RecordBatch>>| {
                batches.map(|b| b.unwrap().num_rows()).sum::<usize>()
            };
            assert_eq!(count(&mut frame.execute_stream().unwrap()), 20000, "{mode}, {fault}");
            assert_eq!(count(&mut frame.to_local_iterator().unwrap()), 20000, "{mode}, {fault}");
        }
    }
}
