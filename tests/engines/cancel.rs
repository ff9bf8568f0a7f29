//! Queries that are cancelled stop soon, and leave nothing: no file, no memory, no thread, no code; the next query is answered.

use std::path::Path;
use std::time::{Duration, Instant};

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::cli::answers::Answer;
use wholestage::execution::{QueryExecution, StreamOrder};

use super::memory::{assert_nothing_left, session};

const ROWS: &str = "(SELECT id, id * 7919 % 10007 AS k, concat('a text of some length, number ', id) AS t FROM range(400000))";

/// Each runs for seconds at least, and each spends its time elsewhere.
fn heavy() -> Vec<(&'static str, String)> {
    let all = [
        ("range", "SELECT sum(id % 7), max(id) FROM range(100000000000)".to_string()),
        ("filter", "SELECT count(*) FROM range(100000000000) WHERE concat('x', id) LIKE '%99999%'".to_string()),
        ("groups", "SELECT count(*), sum(n) FROM (SELECT id % 9000011 AS k, count(*) AS n FROM range(100000000) GROUP BY 1)".to_string()),
        ("groups of strings", format!("SELECT count(*), sum(n) FROM (SELECT t, x, count(*) AS n FROM {ROWS} CROSS JOIN (SELECT id AS x FROM range(500)) GROUP BY t, x)")),
        ("sort", "SELECT sum(CASE WHEN b > k THEN 1 ELSE 0 END) FROM (SELECT k, lag(k) OVER (ORDER BY k) AS b FROM (SELECT id * 7919 % 1000003 AS k FROM range(30000000)))".to_string()),
        ("sort of strings", "SELECT sum(CASE WHEN b > t THEN 1 ELSE 0 END) FROM (SELECT t, lag(t) OVER (ORDER BY t) AS b FROM (SELECT concat('some text ', id * 7919 % 1000003) AS t FROM range(10000000)))".to_string()),
        ("repeated keys", "SELECT count(*), sum(a.id + b.id) FROM range(10000000) a JOIN (SELECT id, 0 AS k FROM range(2000000)) b ON a.id % 2 = b.k".to_string()),
        ("repeated keys, rows", "SELECT max(h) FROM (SELECT /*+ REPARTITION(2) */ hash(a.id, b.id) AS h FROM range(10000000) a JOIN (SELECT id, 0 AS k FROM range(2000000)) b ON a.id % 2 = b.k)".to_string()),
        ("shuffled join", format!("SELECT count(*), max(b.t) FROM {ROWS} a JOIN (SELECT /*+ SHUFFLE_HASH(b) */ * FROM {ROWS} b) b ON a.k = b.k JOIN {ROWS} c ON b.k = c.k")),
        ("merge join", format!("SELECT /*+ MERGE(a, b) */ count(*), max(b.t) FROM {ROWS} a JOIN {ROWS} b ON a.k % 10 = b.k % 10")),
        ("nested loops", format!("SELECT count(*), max(a.t) FROM {ROWS} a JOIN {ROWS} b ON a.k < b.k - 9990")),
        ("semi join with a condition", format!("SELECT count(*) FROM {ROWS} a WHERE EXISTS (SELECT 1 FROM {ROWS} b WHERE a.k % 3 = b.k % 3 AND a.id + b.id < 0)")),
        ("build side", "SELECT count(*), max(b.t) FROM range(1000) a JOIN (SELECT id * 3 AS k, concat('some text ', id) AS t FROM range(20000000)) b ON a.id = b.k".to_string()),
        ("window", "SELECT max(s), max(r) FROM (SELECT sum(id) OVER (PARTITION BY id % 3 ORDER BY id ROWS BETWEEN 1000 PRECEDING AND 1000 FOLLOWING) AS s, max(id) OVER (PARTITION BY id % 3 ORDER BY id DESC ROWS BETWEEN 100000 PRECEDING AND 100000 FOLLOWING) AS r FROM range(20000000))".to_string()),
        ("shuffle", "SELECT count(*), max(id) FROM (SELECT /*+ REPARTITION(200) */ id, concat('text ', id) AS t FROM range(60000000)) WHERE t > ''".to_string()),
        ("ranges", "SELECT count(*), max(t) FROM (SELECT /*+ REPARTITION_BY_RANGE(50, t) */ id, concat('text ', id) AS t FROM range(30000000))".to_string()),
        ("explode", "SELECT sum(x), count(*) FROM (SELECT explode(sequence(0, 100000)) AS x FROM range(100000))".to_string()),
        ("a long sequence", "SELECT size(sequence(id, 100000000 + id)) FROM range(1)".to_string()),
        ("a subquery", "SELECT count(*) FROM range(100) WHERE id < (SELECT count(DISTINCT id * 7919 % 1000000007) FROM range(100000000))".to_string()),
        ("grouping sets", format!("SELECT count(*) FROM (SELECT k, id, t, count(*) AS n FROM {ROWS} CROSS JOIN (SELECT id AS x FROM range(20)) GROUP BY CUBE(k, id, t))")),
        ("top", "SELECT t FROM (SELECT concat('some text ', id * 7919 % 1000003) AS t, id FROM range(1000000000)) ORDER BY t DESC, id LIMIT 100000".to_string()),
        ("distinct", "SELECT count(DISTINCT id * 7919 % 1000003, id % 31), count(DISTINCT id % 17) FROM range(50000000)".to_string()),
        ("rows", "SELECT id, concat('text ', id) AS t FROM range(40000000)".to_string()),
        ("compiling", many_branches()),
        ("broadcast", "SELECT /*+ BROADCAST(b) */ count(*), max(b.t) FROM range(100000000) a JOIN (SELECT id * 3 AS k, concat('some text ', id) AS t FROM range(5000000)) b ON a.id = b.k".to_string()),
        ("reading a shuffle", format!("SELECT max(sha2(repeat(t, 20), 256)) FROM (SELECT /*+ REPARTITION(4) */ * FROM {ROWS})")),
        ("ranks", "SELECT max(a), max(b), max(c) FROM (SELECT rank() OVER (ORDER BY k) AS a, lag(id, 7) OVER (ORDER BY k) AS b, percent_rank() OVER (ORDER BY k) AS c FROM (SELECT id, id * 7919 % 1000003 AS k FROM range(10000000)))".to_string()),
        ("groups of every kind", "SELECT count(*), max(s), max(m), max(d) FROM (SELECT id % 3000017 AS k, sum(id) AS s, min(concat('text ', id)) AS m, stddev(id) AS d, collect_set(id % 3) AS c FROM range(30000000) GROUP BY 1)".to_string()),
    ];
    all.into()
}

/// An expression of a thousand branches, which takes long to compile.
fn many_branches() -> String {
    let branches: String = (0..1000).map(|i| format!(" WHEN id % {} = {i} THEN id * {i}", i + 7)).collect();
    format!("SELECT sum(CASE{branches} ELSE 0 END) FROM range(100000000000)")
}

/// How the rows of a query are taken.
#[derive(Clone, Copy)]
enum Taken {
    AtOnce,
    Streamed,
    ByPartition,
}

fn take_all(execution: &QueryExecution, how: Taken) -> Result<()> {
    match how {
        Taken::AtOnce => execution.collect().map(|_| ()),
        Taken::Streamed => execution.execute_stream(StreamOrder::AsMade)?.try_for_each(|batch| batch.map(|_| ())),
        Taken::ByPartition => execution.to_local_iterator()?.try_for_each(|batch| batch.map(|_| ())),
    }
}

fn answer(session: &Session, sql: &str) -> Result<Answer> {
    let execution = session.sql(sql)?.query_execution()?;
    Answer::of(&execution.output(), execution.collect()?)
}

/// Runs a query and cancels it after `delay`: how long it took to end after that, unless it had ended before; and how many
/// [mappings of code](code_pages) there were.
fn cancelled_after(session: &Session, sql: &str, how: Taken, delay: Duration) -> (Option<Duration>, usize) {
    let execution = session.sql(sql).unwrap().query_execution().unwrap();
    let handle = execution.cancel_handle();
    let (sender, cancelled) = std::sync::mpsc::channel();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(delay);
        let code = code_pages();
        let at = Instant::now();
        handle.cancel();
        let _ = sender.send(at);
        code
    });
    let outcome = take_all(&execution, how);
    let ended = Instant::now();
    let code = canceller.join().unwrap();
    let at = cancelled.recv().unwrap();
    match outcome {
        Err(e) => assert_eq!(e.class, ErrorClass::Cancelled, "{sql}: {e}"),
        Ok(_) => assert!(ended < at + Duration::from_secs(30), "{sql} ended long after it was cancelled, and without an error"),
    }
    (ended.checked_duration_since(at), code)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Mappings of machine code that is from no file.
fn code_pages() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|m| m.len() == 5 && m[1].contains('x')).count()
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// `count` cancels of heavy queries in both engines, with and without a limit on memory; how long each took, by query.
fn cancel_at_random(count: usize, dir: &Path) -> Vec<(Duration, String)> {
    let sessions = [("interpreted", "0"), ("jit", "0"), ("interpreted", "64MB"), ("jit", "64MB")].map(|(mode, limit)| {
        let session = session(mode, limit, dir);
        session.set("sql.codegen.fallback", "false").unwrap();
        // Code goes with its query.
        session.set("sql.codegen.cache.maxEntries", "0").unwrap();
        (mode, limit, session)
    });
    let only = std::env::var("CANCEL_QUERY").ok();
    let queries: Vec<_> = heavy().into_iter().filter(|(name, _)| only.as_ref().is_none_or(|o| o == name)).collect();
    let check = |session: &Session| {
        let sql = "SELECT count(*), sum(id), max(k) FROM (SELECT id, id % 10 AS k FROM range(1000)) WHERE id < 500";
        answer(session, sql).unwrap().matches(&answer(&sessions[0].2, "SELECT 500, 124750, 9").unwrap()).unwrap();
    };
    // The workers of all sessions are there then.
    sessions.iter().for_each(|(.., session)| check(session));
    let before = (threads(), code_pages());
    let (mut random, mut times) = (Random(42), vec![]);
    let mut most_code = 0;
    for i in 0..count {
        let (name, sql) = &queries[i % queries.len()];
        let (mode, limit, session) = &sessions[(i / queries.len()) % sessions.len()];
        let delay = Duration::from_millis(random.below(if i % 4 == 0 { 30 } else { 3000 }));
        let how = [Taken::AtOnce, Taken::Streamed, Taken::ByPartition][i % 3];
        let (took, code) = cancelled_after(session, sql, how, delay);
        most_code = most_code.max(code);
        assert_nothing_left(session, dir, name);
        check(session);
        times.extend(took.map(|t| (t, format!("{name}, {mode}, limit {limit}, after {delay:?}"))));
    }
    // Those of the last query may be on their way out.
    let deadline = Instant::now() + Duration::from_secs(5);
    while (threads() > before.0 || code_pages() > before.1) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let after = (threads(), code_pages());
    assert!(count < 60 || most_code > before.1, "no machine code was seen");
    assert!(after.0 <= before.0 && after.1 <= before.1, "{after:?} threads and mappings of code, {before:?} at first");
    times.sort();
    times
}

/// Run alone, by the test below or by hand: `CANCELS=500 cargo test --release --test engines cancels_at_random_moments -- --ignored
/// --nocapture` prints how long they took; `CANCEL_QUERY` names one query.
#[test]
#[ignore = "takes minutes; a short form of it is run by `cancels_leave_nothing`"]
fn cancels_at_random_moments() {
    let count = std::env::var("CANCELS").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    let dir = tempfile::tempdir().unwrap();
    let times = cancel_at_random(count, dir.path());
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].0;
    println!("{} cancels: p50 {:?}, p90 {:?}, p99 {:?}, slowest:", times.len(), at(0.5), at(0.9), at(0.99));
    times.iter().rev().take(20).for_each(|(t, what)| println!("  {t:?} {what}"));
    // Unoptimised code, beside other tests, says nothing about times.
    if !cfg!(debug_assertions) {
        assert!(at(0.99) < Duration::from_millis(200), "p99 is {:?}", at(0.99));
    }
}

#[test]
fn cancels_leave_nothing() {
    // In a process of its own, whose threads are its own.
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cancel::cancels_at_random_moments", "--ignored", "--nocapture"])
        .env("CANCELS", "60")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

#[test]
fn a_cancelled_query_stays_cancelled_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let session = session("auto", "0", dir.path());
    let frame = session.sql("SELECT sum(id) FROM range(1000)").unwrap();
    let (one, other) = (frame.query_execution().unwrap(), frame.query_execution().unwrap());
    let handle = one.cancel_handle();
    assert!(!handle.is_cancelled());
    handle.cancel();
    assert!(handle.is_cancelled());
    assert_eq!(one.collect().unwrap_err().class, ErrorClass::Cancelled);
    assert_eq!(one.collect().unwrap_err().class, ErrorClass::Cancelled);
    assert_eq!(other.collect().unwrap().len(), 1);
}

#[test]
fn a_session_cancels_all_that_runs() {
    let dir = tempfile::tempdir().unwrap();
    let session = session("auto", "0", dir.path());
    let running =
        ["SELECT sum(id % 7) FROM range(100000000000)", "CACHE TABLE c AS SELECT sum(id % 9) FROM range(100000000000)"].map(|sql| {
            let session = session.clone();
            std::thread::spawn(move || session.sql(sql).and_then(|frame| frame.collect()).map(|_| ()))
        });
    let deadline = Instant::now() + Duration::from_secs(60);
    while running.iter().any(|r| !r.is_finished()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        session.cancel_all();
    }
    for thread in running {
        assert_eq!(thread.join().unwrap().unwrap_err().class, ErrorClass::Cancelled);
    }
    assert_eq!(session.sql("SELECT sum(id) FROM range(10)").unwrap().collect().unwrap().len(), 1);
}
