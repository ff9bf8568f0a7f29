//! Queries that need more memory than they may have answer as without a limit, and leave nothing behind.

use std::path::Path;

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::cli::answers::Answer;
use wholestage::planning::ExplainLevel;

pub fn session(mode: &str, limit: &str, dir: &Path) -> Session {
    Session::builder()
        .config("execution.mode", mode)
        .config("memory.limit", limit)
        .config("memory.tempDir", dir.display())
        .threads(2)
        .build()
        .unwrap()
}

/// The answer, and how many bytes were spilled for it.
pub fn answer_and_spill(session: &Session, sql: &str) -> (Result<Answer>, u64) {
    let execution = session.sql(sql).unwrap().query_execution().unwrap();
    let answer = execution.collect().and_then(|rows| Answer::of(&execution.output(), rows));
    let metrics = execution.last_run().map(|run| run.metrics()).unwrap_or_default();
    (answer, metrics.iter().filter(|(_, name, _)| *name == "spillSize").map(|(.., bytes)| bytes).sum())
}

pub fn assert_nothing_left(session: &Session, dir: &Path, sql: &str) {
    assert_eq!(session.memory().used(), 0, "memory held after {sql}");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "files left after {sql}");
}

/// Each in both engines, with the limit and without: equal answers, and only the limited one spills.
fn check(limit: &str, settings: &[(&str, &str)], queries: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = vec![];
    for mode in ["interpreted", "jit"] {
        let (free, limited) = (session(mode, "0", dir.path()), session(mode, limit, dir.path()));
        settings.iter().for_each(|(key, value)| [&free, &limited].iter().for_each(|s| s.set(key, value).unwrap()));
        for sql in queries {
            let (expected, spilled) = answer_and_spill(&free, sql);
            assert_eq!(spilled, 0, "spilled without a limit: {sql}");
            let (got, spilled) = answer_and_spill(&limited, sql);
            if let Err(e) = got.and_then(|got| got.matches(&expected.unwrap())) {
                wrong.push(format!("{mode}: {sql}: {e}"));
            }
            if spilled == 0 {
                wrong.push(format!("{mode}: nothing spilled: {sql}"));
            }
            assert_nothing_left(&limited, dir.path(), sql);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Numbers and strings too long to be held in their views.
const ROWS: &str = "(SELECT id, id * 7919 % 100003 AS k, concat('a text of some length, number ', id) AS t FROM range(200000))";

#[test]
fn shuffles() {
    check(
        "2MB",
        &[("sql.shuffle.partitions", "3")],
        &[
            &format!("SELECT count(*), sum(id), max(t) FROM (SELECT /*+ REPARTITION(3) */ * FROM {ROWS})"),
            &format!("SELECT count(*), sum(id), max(t) FROM (SELECT /*+ REPARTITION(k) */ * FROM {ROWS})"),
            &format!("SELECT count(*), sum(id), max(t) FROM (SELECT /*+ REPARTITION_BY_RANGE(3, t) */ * FROM {ROWS})"),
        ],
    );
}

#[test]
fn sorts() {
    check(
        "2MB",
        &[("sql.shuffle.partitions", "2")],
        &[
            // Each row is compared with the one before it.
            &format!(
                "SELECT count(*), sum(id), max(t), sum(CASE WHEN before > k THEN 1 ELSE 0 END) FROM (SELECT *, lag(k) OVER (ORDER BY k) AS before FROM {ROWS})"
            ),
            &format!(
                "SELECT k, max(r), min(t), max(t) FROM (SELECT *, row_number() OVER (PARTITION BY k % 10 ORDER BY t DESC) AS r FROM {ROWS}) WHERE k < 200 GROUP BY k"
            ),
        ],
    );
}

/// Rows are numbered as they come, so that sums tell their order.
#[test]
fn top_k() {
    let ordered = |order: &str, limit: u32, offset: u32| {
        format!(
            "SELECT count(*), sum(id), sum(n * k), max(t) FROM (SELECT *, monotonically_increasing_id() AS n FROM (SELECT * FROM {ROWS} ORDER BY {order} LIMIT {limit} OFFSET {offset}))"
        )
    };
    check(
        "2MB",
        &[("sql.shuffle.partitions", "2")],
        &[ordered("k, id", 50_000, 10), ordered("t DESC", 150_000, 149_000), ordered("k % 3, id", 20_000, 5)]
            .each_ref()
            .map(String::as_str),
    );
}

/// The best rows fit: nothing is spilled however many there are, and only their strings are held.
#[test]
fn small_top_k() {
    let dir = tempfile::tempdir().unwrap();
    for mode in ["interpreted", "jit"] {
        let limited = session(mode, "2MB", dir.path());
        let sql = format!("SELECT id, t FROM {ROWS} ORDER BY id DESC LIMIT 100");
        let (answer, spilled) = answer_and_spill(&limited, &sql);
        assert_eq!(spilled, 0);
        let free = session(mode, "0", dir.path());
        answer.unwrap().matches(&answer_and_spill(&free, &sql).0.unwrap()).unwrap();
        assert!(limited.memory().peak() > 0);
        assert_nothing_left(&limited, dir.path(), &sql);
    }
}

#[test]
fn aggregates() {
    check(
        "2MB",
        &[("sql.shuffle.partitions", "2")],
        &[
            &format!(
                "SELECT count(*), sum(n), max(s), max(a), max(m) FROM (SELECT k, count(*) AS n, sum(id) AS s, avg(id) AS a, min(id) AS m FROM {ROWS} GROUP BY k)"
            ),
            &format!(
                "SELECT count(*), sum(n), min(t), max(l) FROM (SELECT t, count(*) AS n, size(collect_list(id)) AS l FROM {ROWS} GROUP BY t)"
            ),
            &format!("SELECT count(DISTINCT k), count(DISTINCT t), sum(id) FROM {ROWS}"),
        ],
    );
}

/// Groups leave a sorted aggregation as soon as they are complete, so that only the sort before it spills.
#[test]
fn sorted_aggregates() {
    let sorted = "(SELECT *, k % 20000 AS g FROM (SELECT * FROM ROWS) DISTRIBUTE BY g SORT BY g)".replace("ROWS", ROWS);
    check(
        "2MB",
        &[("sql.shuffle.partitions", "2"), ("sql.execution.replaceHashWithSortAgg", "true")],
        &[
            &format!(
                "SELECT count(*), sum(k), min(low), max(high), sum(n) FROM (SELECT k, min(t) AS low, max(t) AS high, count(*) AS n FROM {ROWS} GROUP BY k)"
            ),
            &format!(
                "SELECT count(*), sum(g), sum(size(l)), max(l[0]), sum(m), max(a) FROM (SELECT g, collect_list(t) AS l, percentile(id, 0.5) AS m, listagg(t, ',') WITHIN GROUP (ORDER BY t) AS a FROM {sorted} GROUP BY g)"
            ),
        ],
    );
}

/// What is collected of one group has to be in memory.
#[test]
fn groups_larger_than_memory_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    for mode in ["interpreted", "jit"] {
        let limited = session(mode, "2MB", dir.path());
        limited.set("sql.shuffle.partitions", "2").unwrap();
        limited.set("sql.execution.replaceHashWithSortAgg", "true").unwrap();
        let sorted = format!("(SELECT * FROM {ROWS} DISTRIBUTE BY id > 10 SORT BY id > 10)");
        for (rows, grouping, name) in [
            (ROWS, "", "ObjectHashAggregate"),
            (ROWS, "GROUP BY id > 10", "ObjectHashAggregate"),
            (&sorted, "GROUP BY id > 10", "SortAggregate"),
        ] {
            let sql = format!("SELECT max(size(l)) FROM (SELECT collect_list(t) AS l FROM {rows} {grouping})");
            let error = answer_and_spill(&limited, &sql).0.err().unwrap();
            assert_eq!(error.class, ErrorClass::OutOfMemory, "{error}");
            assert!(error.message.contains(name), "{error}");
            assert_nothing_left(&limited, dir.path(), &sql);
        }
    }
}

/// Every type of join of two sides with columns `id`, `k` and `t`.
fn joins(hint: &str, left: &str, right: &str, condition: &str) -> Vec<String> {
    let numbers = "count(*), count(l.id), count(r.id), sum(l.id + 3 * r.id), sum(length(l.t) + length(r.t))";
    let pairs = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
        .map(|join| format!("SELECT /*+ {hint} */ {numbers} FROM {left} l {join} {right} r ON {condition}"));
    let one_side = ["LEFT SEMI JOIN", "LEFT ANTI JOIN"]
        .map(|join| format!("SELECT /*+ {hint} */ count(*), sum(id), sum(length(t)) FROM {left} l {join} {right} r ON {condition}"));
    let exists = format!(
        "SELECT count(*), sum(id), sum(length(t)) FROM {left} l WHERE id < 100 OR EXISTS (SELECT 1 FROM {right} r WHERE {condition})"
    );
    pairs.into_iter().chain(one_side).chain([exists]).collect()
}

fn check_joins(limit: &str, queries: &[String]) {
    let settings = [("sql.shuffle.partitions", "2"), ("sql.autoBroadcastJoinThreshold", "-1"), ("execution.batchSize", "100")];
    check(limit, &settings, &queries.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Some numbers of a range, spread over keys of which half the sides have in common.
pub fn side(rows: usize, key: &str, condition: &str) -> String {
    format!("(SELECT id, {key} AS k, concat('a text of some length, number ', id) AS t FROM range({rows}) WHERE {condition})")
}

#[test]
fn hash_joins() {
    let (left, right) = (side(20000, "id * 7919 % 10007", "true"), side(20000, "id * 7907 % 10007 + 5000", "id % 3 > 0"));
    check_joins("256KB", &joins("SHUFFLE_HASH(r)", &left, &right, "l.k = r.k AND l.id < 2 * r.id"));
    check_joins("256KB", &joins("SHUFFLE_HASH(l)", &left, &right, "l.k = r.k")[..4]);
}

/// Nine rows of ten have the same key; a third of the others has a key that the other side does not have.
pub fn one_key(rows: usize, step: u32) -> String {
    let key = format!("CASE WHEN id % 10 = 0 THEN id * {step} WHEN id % 100 = 1 THEN NULL ELSE 7 END");
    format!("(SELECT id, {key} AS k, concat(repeat('x', 400), id) AS t FROM range({rows}))")
}

#[test]
fn hash_joins_of_one_key() {
    check_joins("100KB", &joins("SHUFFLE_HASH(r)", &one_key(500, 1), &one_key(500, 3), "l.k = r.k AND l.id > r.id + 300"));
    check_joins("100KB", &joins("SHUFFLE_HASH(l)", &one_key(500, 1), &one_key(500, 3), "l.k = r.k")[..4]);
}

#[test]
fn merge_joins() {
    let (left, right) = (side(20000, "id * 7919 % 10007", "true"), side(20000, "id * 7907 % 10007 + 5000", "id % 3 > 0"));
    check_joins("256KB", &joins("MERGE(r)", &left, &right, "l.k = r.k AND l.id < 2 * r.id")[2..5]);
    check_joins("100KB", &joins("MERGE(r)", &one_key(500, 1), &one_key(500, 3), "l.k = r.k AND l.id > r.id + 300"));
}

#[test]
fn nested_loops() {
    let queries = joins("SHUFFLE_REPLICATE_NL(r)", &one_key(500, 1), &one_key(500, 3), "l.id < r.id");
    check_joins("100KB", &queries[..1]);
    // Broadcasts that nobody looks up by keys.
    check_joins("100KB", &queries[1..4]);
    check_joins("100KB", &joins("", &one_key(500, 1), &one_key(500, 3), "l.t < r.t")[4..]);
    check_joins("100KB", &joins("BROADCAST(l)", &one_key(500, 1), &one_key(500, 3), "l.id < r.id")[..4]);
}

/// Window partitions larger than memory, with long rows.
#[test]
fn windows() {
    let rows = |key: &str| format!("(SELECT id, {key} AS k, concat(repeat('x', 400), id) AS t FROM range(8000))");
    let queries = [("", rows("7")), ("PARTITION BY k", rows("CASE WHEN id % 10 = 0 THEN id ELSE 7 END")), ("PARTITION BY k", rows("id % 3"))].map(|(by, rows)| {
        format!(
            "SELECT count(*), sum(r), sum(s), sum(b), sum(length(t)), sum(CASE WHEN t LIKE concat('%x', id) THEN 1 ELSE 0 END) FROM (SELECT *, row_number() OVER ({by} ORDER BY id DESC) AS r, sum(id) OVER ({by} ORDER BY id DESC ROWS 3 PRECEDING) AS s, lag(id, 2) OVER ({by} ORDER BY id DESC) AS b FROM {rows})"
        )
    });
    check_joins("2MB", &queries);
}

/// Window partitions of which not even the columns that calls need fit.
#[test]
fn windows_of_many_rows() {
    let calls = [
        "row_number() OVER w",
        "rank() OVER w + dense_rank() OVER w",
        "ntile(7) OVER w",
        "percent_rank() OVER w * 1000 + cume_dist() OVER w",
        "sum(id) OVER w",
        "avg(id) OVER (PARTITION BY p) + count(*) OVER (PARTITION BY p)",
        "sum(id) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 3 FOLLOWING)",
        "sum(id) OVER (w ROWS BETWEEN 100 PRECEDING AND 50 FOLLOWING)",
        "sum(id) OVER (w RANGE BETWEEN 2 PRECEDING AND CURRENT ROW)",
        "length(max(t) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))",
        "lag(id, 3, -1) OVER w + lead(id, 1000, -1) OVER w",
        "first(id) OVER w + last(id) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
        "stddev(id) OVER w",
    ];
    let results: Vec<String> = calls.iter().enumerate().map(|(i, call)| format!("{call} AS c{i}")).collect();
    // Two runs of equal results at most places, and a place in the order.
    let sums: Vec<String> = (0..calls.len()).map(|i| format!("sum(c{i}), sum(c{i} * (id % 97))")).collect();
    let queries = ["id % 2", "7"].map(|key| {
        format!(
            "SELECT count(*), {} FROM (SELECT id, {} FROM (SELECT id, {key} AS p, id * 7919 % 10007 AS k, concat('a text of some length, number ', id) AS t FROM range(40000)) WINDOW w AS (PARTITION BY p ORDER BY k, id % 4))",
            sums.join(", "),
            results.join(", ")
        )
        .replace("(w RANGE", "(PARTITION BY p ORDER BY k RANGE")
    });
    check("2MB", &[("sql.shuffle.partitions", "2")], &queries.each_ref().map(String::as_str));
}

/// These see any row of the partition from any other.
#[test]
fn windows_that_need_all_rows_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    for mode in ["interpreted", "jit"] {
        let limited = session(mode, "2MB", dir.path());
        for call in [
            "nth_value(t, 5) OVER (ORDER BY id)",
            "max(t) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
            "lag(t, 100000) OVER (ORDER BY id)",
        ] {
            let sql = format!("SELECT max(m) FROM (SELECT {call} AS m FROM {ROWS})");
            let error = answer_and_spill(&limited, &sql).0.err().unwrap_or_else(|| panic!("{mode}: {sql}"));
            assert_eq!(error.class, ErrorClass::OutOfMemory, "{error}");
            assert!(error.message.contains("Window"), "{error}");
            assert_nothing_left(&limited, dir.path(), &sql);
        }
    }
}

/// Every type of join that a broadcast of one side may have, with the conditions that such a join takes.
fn broadcast_joins(left: &str, right: &str, condition: &str) -> Vec<String> {
    let of_right = joins("BROADCAST(r)", left, right, condition);
    let of_left = joins("BROADCAST(l)", left, right, condition);
    let in_list =
        |not: &str, r: &str| format!("SELECT count(*), sum(id), sum(length(t)) FROM {left} l WHERE k {not} IN (SELECT k FROM {r})");
    let some = |keys: &str| format!("(SELECT * FROM {right} WHERE {keys})");
    let single = format!(
        "SELECT count(*), count(s), sum(length(s)) FROM (SELECT (SELECT max(t) FROM {right} r WHERE r.k = l.k) AS s FROM {left} l)"
    );
    let queries = [&of_right[0], &of_right[1], &of_left[0], &of_left[2], &of_right[4], &of_right[5], &of_right[6]];
    let others = [in_list("", right), in_list("NOT", right), in_list("NOT", &some("k IS NOT NULL AND k % 3 > 0")), single];
    queries.into_iter().cloned().chain(others).collect()
}

#[test]
fn broadcasts_that_do_not_fit() {
    let (left, right) = (side(6000, "id * 7919 % 10007", "true"), side(6000, "id * 7907 % 10007 + 5000", "id % 3 > 0"));
    let nulls = side(6000, "CASE WHEN id % 100 = 1 THEN NULL ELSE id * 7919 % 10007 END", "true");
    let settings = [("sql.shuffle.partitions", "2"), ("sql.autoBroadcastJoinThreshold", "1GB"), ("execution.batchSize", "100")];
    for (limit, left, right, condition, which) in [
        ("150KB", &left, &right, "l.k = r.k AND l.id < 2 * r.id", 0..7),
        ("150KB", &nulls, &right, "l.k = r.k", 7..11),
        // What `NOT IN` makes of NULLs on both sides.
        ("256KB", &nulls, &nulls, "l.k = r.k", 8..10),
        ("100KB", &one_key(200, 1), &one_key(200, 3), "l.k = r.k AND l.t < r.t", 0..7),
    ] {
        let queries = &broadcast_joins(left, right, condition)[which];
        for sql in queries {
            let plan = planned(sql, &settings);
            assert!(plan.contains("BroadcastHashJoin"), "{sql}: {plan}");
        }
        check(limit, &settings, &queries.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn planned(sql: &str, settings: &[(&str, &str)]) -> String {
    let session = Session::builder().build().unwrap();
    settings.iter().for_each(|(key, value)| session.set(key, value).unwrap());
    session.sql(sql).unwrap().explain(ExplainLevel::Simple).unwrap()
}

#[test]
fn errors_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sql = format!("SELECT sum(1 / (id - 199999)), max(t) FROM (SELECT /*+ REPARTITION(3) */ * FROM {ROWS})");
    for (fault, class) in [("", ErrorClass::DivideByZero), ("spill.write:*", ErrorClass::Io)] {
        let limited = session("auto", "2MB", dir.path());
        limited.set("execution.faults", fault).unwrap();
        assert_eq!(answer_and_spill(&limited, &sql).0.err().map(|e| e.class), Some(class), "{fault}");
        limited.set("execution.faults", "").unwrap();
        let after = "SELECT count(*) FROM range(10)";
        assert!(answer_and_spill(&limited, after).0.is_ok());
        assert_nothing_left(&limited, dir.path(), &sql);
    }
}
