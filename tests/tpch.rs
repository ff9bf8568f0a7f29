//! All TPC-H queries at scale factor 0.01 against the stored answers, which were checked against DuckDB.

use wholestage::api::Session;
use wholestage::cli::answers::Answer;
use wholestage::datasource::generate::tpch_memory;

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("codegen-tests/tpch")
}

/// Runs all queries in a mode; every difference in one message.
fn check(mode: &str, threads: usize) {
    let session = Session::builder().config("execution.mode", mode).threads(threads).build().unwrap();
    for (name, source) in tpch_memory(0.01, 3).unwrap() {
        session.register_table(&name, source);
    }
    let mut wrong = vec![];
    for n in 1..=22 {
        let sql = std::fs::read_to_string(folder().join(format!("q{n}.sql"))).unwrap();
        let stored = std::fs::read_to_string(folder().join(format!("answers/q{n}.csv"))).unwrap();
        let checked = session.sql(&sql).and_then(|frame| {
            let execution = frame.query_execution()?;
            Answer::of(&execution.output(), execution.collect()?)?.matches_stored(&stored)
        });
        if let Err(e) = checked {
            wrong.push(format!("query {n}: {e}"));
        }
    }
    assert!(wrong.is_empty(), "mode {mode}, {threads} threads:\n{}", wrong.join("\n"));
}

#[test]
fn interpreted() {
    check("interpreted", 2);
}

#[test]
fn compiled() {
    check("jit", 1);
    check("jit", 2);
}
