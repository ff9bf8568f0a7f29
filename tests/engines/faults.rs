//! Queries whose tasks fail or whose spilled rows are lost answer as if nothing had happened, or fail with one clear error; nothing is
//! left, and the next query is answered.

use std::path::Path;

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::cli::answers::Answer;
use wholestage::datasource::generate::Suite;

use super::memory::{answer_and_spill, assert_nothing_left, one_key, session, side};

/// Numbers and strings too long to be held in their views.
const ROWS: &str = "(SELECT id, id * 7919 % 10007 AS k, concat('a text of some length, number ', id) AS t FROM range(20000))";

/// A shuffle over a shuffle, a sort that spills, groups that spill, a shuffled join with a subquery, and a broadcast that spills.
fn queries() -> [String; 5] {
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
        format!("SELECT /*+ BROADCAST(b) */ count(*), sum(a.id), max(b.t) FROM {ROWS} a LEFT JOIN {ROWS} b ON a.id = b.k"),
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

/// A query that spills under a limit on memory.
struct Case {
    limit: &'static str,
    sql: String,
}

/// Each kind of operator that spills, with files that others share and without.
fn cases() -> Vec<Case> {
    let of = |limit, queries: &[&str]| queries.iter().map(|sql| Case { limit, sql: sql.to_string() }).collect::<Vec<_>>();
    let rows = |n: usize| format!("(SELECT id, id * 7919 % 1009 AS k, concat('a text of some length, number ', id) AS t FROM range({n}))");
    let side = |key: &str, condition: &str| side(700, key, condition);
    let (left, right) = (side("id * 7919 % 1009", "true"), side("id * 7907 % 1009 + 500", "id % 3 > 0"));
    let (one, other) = (one_key(250, 1), one_key(250, 3));
    let wide = "(SELECT id, id % 3 AS k, concat(repeat('x', 400), id) AS t FROM range(1500))";
    let join = |hint: &str, join: &str, left: &str, right: &str, on: &str| {
        format!(
            "SELECT /*+ {hint} */ count(*), sum(l.id + 3 * r.id), sum(length(l.t) + length(r.t)) FROM {left} l {join} {right} r ON {on}"
        )
    };
    let shuffled = format!("SELECT /*+ REPARTITION(3) */ * FROM {}", rows(3000));
    [
        of("64KB", &[
            &format!("SELECT count(*), sum(id), max(t) FROM ({shuffled})"),
            &format!("SELECT count(*), sum(id), max(t) FROM (SELECT /*+ REPARTITION_BY_RANGE(3, t) */ * FROM {})", rows(3000)),
            &format!("SELECT count(*), max(t), sum(CASE WHEN before > k THEN 1 ELSE 0 END) FROM (SELECT *, lag(k) OVER (ORDER BY k) AS before FROM {})", rows(3000)),
            &format!("SELECT count(*), sum(n), max(t) FROM (SELECT k, count(*) AS n, max(t) AS t FROM {} GROUP BY k)", rows(1200)),
            &format!("SELECT count(*), sum(n), max(l) FROM (SELECT t, count(*) AS n, size(collect_list(id)) AS l FROM {} GROUP BY t)", rows(800)),
            &format!("SELECT count(DISTINCT k), count(DISTINCT t), sum(id) FROM {}", rows(600)),
            &join("SHUFFLE_HASH(r)", "FULL JOIN", &left, &right, "l.k = r.k AND l.id < 2 * r.id"),
            &join("MERGE(r)", "FULL JOIN", &left, &right, "l.k = r.k"),
            &join("SHUFFLE_HASH(r)", "LEFT JOIN", &one, &other, "l.k = r.k AND l.id > r.id + 200"),
            &join("MERGE(r)", "JOIN", &one, &other, "l.k = r.k AND l.id > r.id + 200"),
            &format!("SELECT count(*), max(t) FROM {left} WHERE id < (SELECT max(length(t)) * 30 FROM ({shuffled}))"),
        ]),
        of(
            "32KB",
            &[
                &join("SHUFFLE_REPLICATE_NL(r)", "JOIN", &one_key(450, 1), &one_key(450, 3), "l.id < r.id - 400"),
                &join("BROADCAST(r)", "LEFT JOIN", &one_key(100, 1), &one_key(100, 3), "l.id < r.id - 50"),
            ],
        ),
        of("512KB", &[
            &format!("SELECT count(*), sum(r), sum(s), sum(length(t)) FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY id DESC) AS r, sum(id) OVER (PARTITION BY k ORDER BY id DESC ROWS 3 PRECEDING) AS s FROM {wide})"),
        ]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SPILL_CALLS: [&str; 5] = ["spill.create", "spill.write", "spill.read", "shuffle.delete", "shuffle.flip"];

type Calls = [u64; SPILL_CALLS.len()];

/// Runs a query once to count the calls that may fail, then once for each call, which fails; what went wrong.
fn fail_each_call(session: &Session, dir: &Path, sql: &str, expected: &Answer) -> (Calls, Vec<String>) {
    let run = |fault: &str| {
        session.set("execution.faults", fault).unwrap();
        let execution = session.sql(sql).unwrap().query_execution().unwrap();
        let outcome = execution.collect().and_then(|rows| Answer::of(&execution.output(), rows)).and_then(|got| got.matches(expected));
        let calls = execution.last_run().map(|run| SPILL_CALLS.map(|point| run.faults.passed(point))).unwrap_or_default();
        assert_nothing_left(session, dir, sql);
        (calls, outcome.err().map(|e| format!("{fault}: {sql}: {e}")))
    };
    let (calls, wrong) = run("");
    let faults = SPILL_CALLS.iter().zip(calls).flat_map(|(point, calls)| (1..=calls).map(move |n| format!("{point}:{n}")));
    (calls, wrong.into_iter().chain(faults.filter_map(|fault| run(&fault).1)).collect())
}

/// Both engines answer right whichever call fails; how many calls of each kind there were.
fn sweep(cases: &[Case], settings: &[(&str, &str)], prepare: impl Fn(&Session)) -> Calls {
    let dir = tempfile::tempdir().unwrap();
    let prepared = |mode, limit| {
        let session = session(mode, limit, dir.path());
        settings.iter().for_each(|(key, value)| session.set(key, value).unwrap());
        prepare(&session);
        session
    };
    let (free, mut all, mut wrong) = (prepared("interpreted", "0"), Calls::default(), vec![]);
    for Case { limit, sql } in cases {
        let expected = answer_and_spill(&free, sql).0.unwrap();
        for mode in ["interpreted", "jit"] {
            let (calls, errors) = fail_each_call(&prepared(mode, limit), dir.path(), sql, &expected);
            println!("{mode}, {calls:?}: {}", sql.lines().next().unwrap_or_default());
            if calls[1] == 0 || calls[2] == 0 {
                wrong.push(format!("{mode}: does not spill: {sql}"));
            }
            all.iter_mut().zip(calls).for_each(|(all, n)| *all += n);
            wrong.extend(errors.into_iter().map(|e| format!("{mode}, {e}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    all
}

#[test]
fn each_spill_call_may_fail() {
    let settings = [("sql.shuffle.partitions", "2"), ("sql.autoBroadcastJoinThreshold", "-1"), ("execution.batchSize", "200")];
    let calls = sweep(&cases(), &settings, |_| ());
    assert!(calls.iter().all(|n| *n > 20), "{SPILL_CALLS:?}: {calls:?}");
}

/// `cargo test --release --test engines each_spill_call_of_tpch -- --ignored --nocapture` tells how many calls there are; `FAULTS_QUERIES`
/// names the queries, `FAULTS_LIMIT` the memory.
#[test]
#[ignore = "takes minutes; a short form of it is `each_spill_call_may_fail`"]
fn each_spill_call_of_tpch_may_fail() {
    let given = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_string());
    let limit: &'static str = given("FAULTS_LIMIT", "1MB").leak();
    let query = |number: &str| {
        let path = format!("{}/codegen-tests/tpch/q{number}.sql", env!("CARGO_MANIFEST_DIR"));
        Case { limit, sql: std::fs::read_to_string(path).unwrap() }
    };
    let cases: Vec<Case> = given("FAULTS_QUERIES", "3,5,9,10,13,18,21").split(',').map(query).collect();
    let tables = Suite::Tpch.memory(0.01, 3).unwrap();
    let settings = [("sql.shuffle.partitions", "3"), ("sql.autoBroadcastJoinThreshold", "-1")];
    let calls = sweep(&cases, &settings, |session| tables.iter().for_each(|(name, table)| session.register_table(name, table.clone())));
    println!("{SPILL_CALLS:?}: {calls:?}");
}

#[test]
fn what_fails_each_time_is_one_clear_error() {
    let faults = ["task:*", "panic:*", "spill.create:*", "spill.write:*", "spill.read:*", "shuffle.delete:*", "shuffle.flip:*"];
    let lost = std::cell::Cell::new(0);
    with_faults(&faults.map(String::from), |fault, got, difference| {
        let e = match got {
            // Not every query has files of shuffles.
            Ok(_) => return difference.or_else(|| (!fault.starts_with("shuffle")).then(|| "no error".to_string())),
            Err(e) => e,
        };
        let class = match fault {
            "panic:*" => ErrorClass::Internal,
            "task:*" | "spill.create:*" | "spill.write:*" => ErrorClass::Io,
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
