//! Cached rows keep to the memory limit, are where their storage level says, and are computed again where they are lost.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::execution::StreamOrder;
use wholestage::logical::StorageLevel;

use super::answer;

const MODES: [&str; 2] = ["interpreted", "jit"];
/// Of which four fifths may be reserved: much less than the rows take.
const LIMIT: &str = "1MB";
const RESERVABLE: usize = 1024 * 1024 / 5 * 4;
/// Numbers and strings too long to be held in their views, 4 MB of them.
const ROWS: &str = "SELECT id, id * 7919 % 100003 AS k, concat('a text of some length, number ', id) AS t FROM range(0, 60000, 1, 4)";

fn session(mode: &str, limit: &str, dir: &Path) -> Session {
    let settings = [("execution.mode", mode), ("memory.limit", limit), ("sql.shuffle.partitions", "3")];
    let builder = settings.into_iter().fold(Session::builder().threads(2), |b, (key, value)| b.config(key, value));
    builder.config("memory.tempDir", dir.display()).build().unwrap()
}

fn cache(session: &Session, level: &str, rows: &str) {
    session.sql(&format!("CACHE TABLE c OPTIONS ('storageLevel' '{level}') AS {rows}")).unwrap_or_else(|e| panic!("{level}: {e}"));
}

/// The spill files there are.
fn files(dir: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

fn assert_nothing_left(session: &Session, dir: &Path, after: &str) {
    assert_eq!((session.memory().used(), files(dir).len()), (0, 0), "left after {after}");
}

const QUERIES: [&str; 4] = [
    "SELECT count(*), sum(id), sum(k), max(t) FROM c",
    "SELECT count(*), sum(length(t)) FROM c WHERE id BETWEEN 30000 AND 30010 OR id = 59999",
    "SELECT count(*), sum(n), max(t) FROM (SELECT k % 1000, count(*) AS n, max(t) AS t FROM c GROUP BY k % 1000)",
    "SELECT count(*), max(x.t) FROM c x JOIN c y ON x.id = y.k WHERE x.k < 5000",
];

fn answers(session: &Session) -> Vec<String> {
    QUERIES.iter().map(|sql| answer(session, sql)).collect()
}

fn uncached(rows: &str) -> Vec<String> {
    let free = Session::builder().threads(2).build().unwrap();
    free.sql(&format!("CREATE TEMP VIEW c AS {rows}")).unwrap();
    answers(&free)
}

#[test]
fn a_table_larger_than_memory_is_answered_from_files() {
    let expected = uncached(ROWS);
    for mode in MODES {
        for level in ["MEMORY_AND_DISK", "MEMORY_ONLY", "DISK_ONLY", "OFF_HEAP", "MEMORY_AND_DISK_SER_2"] {
            let dir = tempfile::tempdir().unwrap();
            let session = session(mode, LIMIT, dir.path());
            session.set("driver.maxResultSize", "100KB").unwrap();
            cache(&session, level, ROWS);
            let info = session.catalog().cached("c").unwrap().unwrap();
            assert!(info.size.is_some_and(|(bytes, rows)| bytes > 4 * RESERVABLE as u64 && rows == 60_000), "{info:?}");
            for _ in 0..2 {
                assert_eq!(answers(&session), expected, "{mode}, {level}");
                let (used, files) = (session.memory().used(), files(dir.path()).len());
                let info = session.catalog().cached("c").unwrap().unwrap();
                assert!(used <= RESERVABLE && info.memory_bytes <= used as u64, "{mode}, {level}: {used}, {info:?}");
                assert_eq!(info.disk_bytes > 0, files > 0, "{mode}, {level}: {info:?}");
                match level {
                    "MEMORY_ONLY" => assert_eq!(files, 0, "{mode}, {level}"),
                    "DISK_ONLY" => assert_eq!((used, files), (0, 4), "{mode}, {level}"),
                    _ => assert!(files > 0, "{mode}, {level}"),
                }
            }
            session.sql("UNCACHE TABLE c").unwrap();
            assert_nothing_left(&session, dir.path(), level);
        }
    }
}

/// Files are read column by column.
#[test]
fn columns_of_all_types_come_back() {
    let columns = [
        ("t", "concat('a text of some length, number ', id)"),
        ("a", "array(id, id % 7, NULL)"),
        ("b", "id % 3 = 0"),
        ("m", "map(id, concat('value ', id))"),
        ("n", "NULL"),
        ("s", "named_struct('x', id, 'y', array(concat('an element of some length ', id)))"),
        ("h", "cast(concat('bytes of some length, number ', id) AS binary)"),
        ("d", "cast(id AS decimal(30, 3))"),
        ("f", "id / 7.0D"),
        ("i", "date '2024-02-29' + cast(id AS int)"),
        ("ts", "CASE WHEN id % 5 > 0 THEN timestamp_seconds(id * 1000003) END"),
        ("id", "id"),
    ];
    let list: Vec<String> = columns.iter().map(|(name, value)| format!("{value} AS {name}")).collect();
    let rows = format!("SELECT {} FROM range(0, 3000, 1, 2)", list.join(", "));
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let session = session(mode, "0", dir.path());
        cache(&session, "DISK_ONLY", &rows);
        for (name, value) in columns {
            let [kept, computed] = [format!("{name} AS v FROM c"), format!("{value} AS v FROM range(3000)")]
                .map(|of| answer(&session, &format!("SELECT sum(crc32(cast(to_json(struct(v)) AS binary))), count(v) FROM (SELECT {of})")));
            assert_eq!(kept, computed, "{mode}: {name}");
        }
        let several = |from: &str, [n, a, t]: [&str; 3]| {
            answer(&session, &format!("SELECT count(*), sum(crc32(cast({t} AS binary)) + size({a}) + coalesce({n}, 1)) FROM {from}"))
        };
        assert_eq!(several("c", ["n", "a", "t"]), several("range(3000)", ["NULL", "array(id, 1, NULL)", columns[0].1]), "{mode}");
    }
}

#[test]
fn rows_in_memory_give_way_to_queries() {
    let rows = "SELECT id, concat('a text of some length, number ', id) AS t FROM range(0, 6000, 1, 4)";
    let sorts =
        "SELECT count(*), max(b) FROM (SELECT lag(id) OVER (ORDER BY k) AS b FROM (SELECT id, id * 7919 % 100003 AS k FROM range(100000)))";
    for mode in MODES {
        for (level, in_files) in [("MEMORY_AND_DISK", true), ("MEMORY_ONLY", false)] {
            let dir = tempfile::tempdir().unwrap();
            let session = session(mode, LIMIT, dir.path());
            cache(&session, level, rows);
            let held = session.memory().used();
            assert!(held > 300_000 && files(dir.path()).is_empty(), "{held}");
            assert_eq!(answer(&session, "SELECT count(*), max(length(t)) FROM c"), "6000,34");
            assert_eq!(session.memory().used(), held);
            assert_eq!(answer(&session, sorts), "100000,99999");
            assert!(session.memory().used() < held, "{mode}, {level}");
            assert_eq!(files(dir.path()).is_empty(), !in_files, "{mode}, {level}");
            assert_eq!(answer(&session, "SELECT count(*), sum(id), max(length(t)) FROM c"), "6000,17997000,34");
            session.sql("CLEAR CACHE").unwrap();
            assert_nothing_left(&session, dir.path(), level);
        }
    }
}

/// Partitions are dropped by some queries while others begin to read them, and are lost while they are read.
#[test]
fn queries_beside_each_other_agree_while_rows_come_and_go() {
    let expected = uncached(ROWS);
    for mode in MODES {
        for level in ["MEMORY_ONLY", "MEMORY_AND_DISK", "DISK_ONLY"] {
            let dir = tempfile::tempdir().unwrap();
            let session = session(mode, LIMIT, dir.path());
            cache(&session, level, ROWS);
            let of_cache = files(dir.path());
            std::thread::scope(|scope| {
                for first in 0..3 {
                    let (session, expected) = (&session, &expected);
                    scope.spawn(move || {
                        for i in (first..).step_by(3).take(4) {
                            let i = i % QUERIES.len();
                            assert_eq!(answer(session, QUERIES[i]), expected[i], "{mode}, {level}");
                        }
                    });
                }
                if level == "DISK_ONLY" {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    spoil(of_cache, "flipped");
                }
            });
            session.sql("UNCACHE TABLE c").unwrap();
            assert_nothing_left(&session, dir.path(), level);
        }
    }
}

/// A query that is stopped while it computes rows again leaves them to the next one.
#[test]
fn stopping_a_query_that_computes_rows_again_loses_nothing() -> Result<()> {
    let slow = "SELECT id, id % 7 AS k FROM range(0, 40, 1, 4) WHERE (SELECT count(*) FROM range(1000)) > 0 AND id >= (SELECT count(*) FROM range(2000) x CROSS JOIN range(2000) y WHERE x.id * y.id < 0)";
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let session = session(mode, LIMIT, dir.path());
        cache(&session, "DISK_ONLY", slow);
        spoil(files(dir.path()), "removed");
        let execution = session.sql("SELECT k, count(*) FROM c GROUP BY k")?.query_execution()?;
        let handle = execution.cancel_handle();
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(|| execution.collect());
            std::thread::sleep(std::time::Duration::from_millis(60));
            handle.cancel();
            running.join().unwrap()
        });
        if let Err(e) = outcome {
            assert_eq!(e.class, ErrorClass::Cancelled, "{e}");
        }
        assert_eq!(answer(&session, "SELECT count(*), sum(id) FROM c"), "40,780", "{mode}");
        drop(execution);
        session.sql("UNCACHE TABLE c")?;
        assert_nothing_left(&session, dir.path(), "a query that was stopped");
    }
    Ok(())
}

#[test]
fn what_is_kept_nowhere_is_not_cached() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let session = session("jit", "0", dir.path());
    cache(&session, "NONE", ROWS);
    assert!(session.catalog().list_cached().is_empty());
    let frame = session.sql(ROWS)?.persist(StorageLevel::NONE)?;
    assert_eq!((frame.cached()?, answer(&session, "SELECT count(*) FROM c")), (None, "60000".to_string()));
    Ok(())
}

#[test]
fn files_go_with_the_last_reader_and_with_the_session() -> Result<()> {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let session = session(mode, LIMIT, dir.path());
        cache(&session, "DISK_ONLY", ROWS);
        let execution = session.sql("SELECT * FROM c")?.query_execution()?;
        let mut stream = execution.execute_stream(StreamOrder::ByPartition)?;
        let first = stream.next().unwrap()?.num_rows();
        session.sql("UNCACHE TABLE c")?;
        assert_eq!(files(dir.path()).len(), 4);
        let rest: usize = stream.map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(first + rest, 60_000);
        drop(execution);
        assert_nothing_left(&session, dir.path(), "the last reader");

        session.sql(&format!("CACHE TABLE d AS {ROWS}"))?;
        assert!(!files(dir.path()).is_empty());
        drop(session);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "left after the session");
    }
    Ok(())
}

/// Does something to each of the files.
fn spoil(files: Vec<PathBuf>, what: &str) {
    assert!(!files.is_empty());
    for path in files {
        match what {
            "removed" => std::fs::remove_file(&path).unwrap(),
            _ => {
                let bytes = std::fs::read(&path).unwrap();
                let mut file = std::fs::File::options().write(true).open(&path).unwrap();
                file.seek(SeekFrom::Start(bytes.len() as u64 / 2)).unwrap();
                file.write_all(&[bytes[bytes.len() / 2] ^ 0x10]).unwrap();
            }
        }
    }
}

#[test]
fn lost_and_corrupt_files_are_computed_again() {
    let expected = uncached(ROWS);
    for mode in MODES {
        for what in ["removed", "flipped"] {
            let dir = tempfile::tempdir().unwrap();
            let session = session(mode, LIMIT, dir.path());
            cache(&session, "DISK_ONLY", ROWS);
            // The last one reads the table twice.
            for at in [0, 3] {
                spoil(files(dir.path()), what);
                assert_eq!(answer(&session, QUERIES[at]), expected[at], "{mode}, {what}");
                assert_eq!(files(dir.path()).len(), 4, "{mode}, {what}");
            }
            session.sql("UNCACHE TABLE c").unwrap();
            assert_nothing_left(&session, dir.path(), what);
        }
    }
}

/// Rows dealt out in the order they come, or of which some are chosen so: one partition computed again may not fit the others.
#[test]
fn partitions_that_depend_on_order_are_dropped_and_computed_again_together_only() -> Result<()> {
    let grouped = "SELECT k % 1000 AS id, count(*) AS k, max(t) AS t FROM (ROWS) GROUP BY k % 1000".replace("ROWS", ROWS);
    let dealt = format!("SELECT /*+ REPARTITION(4) */ * FROM ({grouped})");
    let limited = format!("SELECT id, max(k) AS k, max(t) AS t FROM (SELECT * FROM ({ROWS}) LIMIT 900) GROUP BY id");
    let sql = "SELECT count(*), sum(id), sum(k), max(t) FROM c";
    for mode in MODES {
        for (rows, together) in [(&grouped, false), (&dealt, true), (&limited, true)] {
            let dir = tempfile::tempdir().unwrap();
            let session = session(mode, "256KB", dir.path());
            cache(&session, "MEMORY_ONLY", rows);
            let expected = answer(&session, sql);
            answer(&session, "SELECT count(*), max(b) FROM (SELECT lag(id) OVER (ORDER BY id % 7) AS b FROM range(50000))");
            assert_eq!(files(dir.path()).is_empty(), !together, "{mode}, {rows}");
            assert_eq!(answer(&session, sql), expected);
            session.sql("UNCACHE TABLE c")?;

            session.sql(&format!("CACHE TABLE d OPTIONS ('storageLevel' 'DISK_ONLY') AS {rows}"))?;
            spoil(files(dir.path()), "flipped");
            let of_d = sql.replace("FROM c", "FROM d");
            if together {
                let error = session.sql(&of_d)?.collect().unwrap_err();
                assert_eq!(error.class, ErrorClass::FetchFailed, "{error}");
                assert!(error.message.contains("`d`") && error.message.contains(".arrows: the file is corrupt"), "{error}");
            }
            assert_eq!(answer(&session, &of_d), expected, "{mode}, {rows}");
            session.sql("UNCACHE TABLE d")?;
            assert_nothing_left(&session, dir.path(), rows);
        }
    }
    Ok(())
}

#[test]
fn what_changed_since_is_an_error_not_another_answer() -> Result<()> {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let temp = dir.path().join("temp");
        std::fs::create_dir(&temp).unwrap();
        let csv = dir.path().join("n.csv");
        std::fs::write(&csv, "n\n1\n2\n").unwrap();
        let session = session(mode, LIMIT, &temp);
        session.register_path("n", &csv)?;
        cache(&session, "DISK_ONLY", "SELECT n FROM n");
        for other in ["n\n1\n3\n", "n\n1\n"] {
            std::fs::write(&csv, other).unwrap();
            assert_eq!(answer(&session, "SELECT n FROM c"), "1|2");
            spoil(files(&temp), "removed");
            let error = session.sql("SELECT n + n FROM c")?.collect().unwrap_err();
            assert_eq!(error.class, ErrorClass::FetchFailed, "{error}");
            assert!(error.message.contains("`c`") && error.message.contains("REFRESH"), "{error}");
            std::fs::write(&csv, "n\n1\n2\n").unwrap();
            assert_eq!(answer(&session, "SELECT n FROM c"), "1|2");
        }
        std::fs::write(&csv, "n\n1\n2\n7\n").unwrap();
        session.sql("REFRESH TABLE n")?;
        assert_eq!(answer(&session, "SELECT n FROM c"), "1|2|7");
        session.sql("CLEAR CACHE")?;
        assert_nothing_left(&session, &temp, "CLEAR CACHE");
    }
    Ok(())
}

#[test]
fn failures_while_rows_are_kept_are_tried_again_or_leave_nothing() {
    let expected = uncached(ROWS);
    for mode in MODES {
        for (faults, fails) in
            [("task:1", false), ("panic:2", false), ("spill.write:3", false), ("spill.create:1", false), ("spill.write:*", true)]
        {
            let dir = tempfile::tempdir().unwrap();
            let session = session(mode, LIMIT, dir.path());
            session.set("execution.faults", faults).unwrap();
            let outcome = session.sql(&format!("CACHE TABLE c AS {ROWS}"));
            session.set("execution.faults", "").unwrap();
            match outcome {
                Ok(_) => {
                    assert!(!fails);
                    assert_eq!(answers(&session), expected, "{mode}, {faults}");
                    session.sql("UNCACHE TABLE c").unwrap();
                }
                Err(e) => assert!(fails && e.class == ErrorClass::Io && !session.catalog().contains("c"), "{mode}, {faults}: {e}"),
            }
            assert_nothing_left(&session, dir.path(), faults);
        }
    }
}
