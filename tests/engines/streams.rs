//! Rows that are taken one after the other, and rows that are written as they come.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wholestage::api::Session;
use wholestage::base::{ErrorClass, Result};
use wholestage::datasource::write::SaveMode;

use super::memory::{assert_nothing_left, session};

/// Shuffles more than the limit of [`limited`] holds.
const ROWS: &str = "(SELECT /*+ REPARTITION(5) */ id, concat('a text of some length, number ', id) AS t FROM range(100000))";

fn limited(mode: &str, dir: &Path) -> Session {
    session(mode, "512KB", dir)
}

fn names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_stream_that_is_dropped_or_ends_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for mode in ["interpreted", "jit"] {
        let session = limited(mode, dir.path());
        let frame = session.sql(&format!("SELECT * FROM {ROWS}")).unwrap();
        let mut stream = frame.execute_stream().unwrap();
        assert!(stream.next().unwrap().unwrap().num_rows() > 0);
        drop(stream);
        assert_nothing_left(&session, dir.path(), "dropping a stream");
        let mut stream = frame.execute_stream().unwrap();
        assert_eq!(stream.by_ref().map(|b| b.unwrap().num_rows()).sum::<usize>(), 100_000);
        // It is still there, but the query is over.
        assert_nothing_left(&session, dir.path(), "the end of a stream");
        let mut partitions = frame.to_local_iterator().unwrap();
        partitions.next().unwrap().unwrap();
        drop(partitions);
        assert_nothing_left(&session, dir.path(), "dropping an iterator");
    }
}

#[test]
fn a_cancelled_stream_ends_also_while_nobody_takes_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let session = session("auto", "0", dir.path());
    let execution = session.sql("SELECT id FROM range(100000000000)").unwrap().query_execution().unwrap();
    let mut stream = execution.execute_stream(wholestage::execution::StreamOrder::AsMade).unwrap();
    assert!(stream.next().unwrap().is_ok());
    std::thread::sleep(Duration::from_millis(50));
    execution.cancel_handle().cancel();
    assert_eq!(stream.find_map(Result::err).unwrap().class, ErrorClass::Cancelled);
    assert!(stream.next().is_none());
}

#[test]
fn an_iterator_computes_a_partition_when_it_comes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let execution = session("auto", "0", dir.path()).sql(&format!("SELECT * FROM {ROWS}")).unwrap().query_execution().unwrap();
    let mut rows = execution.to_local_iterator().unwrap();
    let jobs = || execution.last_run().unwrap().jobs.load(Ordering::Relaxed);
    assert_eq!(jobs(), 0);
    let first = rows.next().unwrap().unwrap().num_rows();
    assert_eq!(jobs(), 1);
    assert_eq!(first + rows.map(|b| b.unwrap().num_rows()).sum::<usize>(), 100_000);
    assert_eq!(jobs(), 5);
}

#[test]
fn what_is_not_written_to_the_end_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (spill, out) = (dir.path().join("spill"), dir.path().join("out"));
    [&spill, &out].iter().for_each(|d| std::fs::create_dir(d).unwrap());
    let fails = format!("SELECT id % 7 AS p, id, t, 1 / (id - 99990) AS x FROM {ROWS}");
    let good = format!("SELECT id % 7 AS p, id, t, 1 / (id + 1) AS x FROM {ROWS}");
    for mode in ["interpreted", "jit"] {
        for (sql, fault, class) in [
            (&fails, "", Some(ErrorClass::DivideByZero)),
            (&good, "task:*", Some(ErrorClass::Io)),
            (&good, "panic:*", Some(ErrorClass::Internal)),
            (&good, "spill.read:*", Some(ErrorClass::FetchFailed)),
            (&good, "task:1,panic:2", None),
        ] {
            for format in ["parquet", "csv", "json"] {
                for partitioned in [false, true] {
                    let session = limited(mode, &spill);
                    session.set("execution.faults", fault).unwrap();
                    let writer = session.sql(sql).unwrap().write().format(format).mode(SaveMode::ErrorIfExists);
                    let writer = if partitioned { writer.partition_by(["p"]) } else { writer };
                    let what = format!("{mode}, {fault}, {format}, {partitioned}");
                    let written = writer.save(out.join("t"));
                    assert_eq!(written.as_ref().err().map(|e| e.class), class, "{what}: {written:?}");
                    assert_nothing_left(&session, &spill, &what);
                    if class.is_none() {
                        session.set("execution.faults", "").unwrap();
                        let path = out.join("t").display().to_string();
                        session.register_path("back", path + if partitioned { "/*/*" } else { "/part*" }).unwrap();
                        let count = session.sql("SELECT id FROM back WHERE length(t) > 30").unwrap().collect().unwrap();
                        assert_eq!(count.iter().map(|b| b.num_rows()).sum::<usize>(), 100_000, "{what}");
                        std::fs::remove_dir_all(out.join("t")).unwrap();
                    }
                    assert_eq!(names(&out), Vec::<String>::new(), "{what}");
                }
            }
            let session = limited(mode, &spill);
            session.set("execution.faults", fault).unwrap();
            let file = out.join("rows.csv");
            let written = session.sql(sql).unwrap().write_csv(&file);
            assert_eq!(written.err().map(|e| e.class), class, "{mode}, {fault}: a file");
            if class.is_none() {
                assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 100_001);
                std::fs::remove_file(&file).unwrap();
            }
            assert_eq!(names(&out), Vec::<String>::new(), "{mode}, {fault}: a file");
        }
    }
}

#[test]
fn a_cancelled_write_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (spill, out) = (dir.path().join("spill"), dir.path().join("out"));
    [&spill, &out].iter().for_each(|d| std::fs::create_dir(d).unwrap());
    let session = limited("auto", &spill);
    let sql = format!(
        "CREATE TABLE t USING parquet LOCATION '{}' AS SELECT id, concat('text ', id) AS t FROM range(100000000000)",
        out.join("t").display()
    );
    let writing = {
        let session = session.clone();
        std::thread::spawn(move || session.sql(&sql).map(|_| ()))
    };
    // Rows are on their way to files when it is cancelled.
    while !names(&out).iter().map(|name| out.join(name)).any(|staging| staging.is_dir() && names(&staging).len() > 1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    session.cancel_all();
    assert_eq!(writing.join().unwrap().unwrap_err().class, ErrorClass::Cancelled);
    assert_eq!(names(&out), Vec::<String>::new());
    assert_nothing_left(&session, &spill, "a cancelled write");
}
