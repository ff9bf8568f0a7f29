//! All queries of TPC-H (at scale factor 0.01) and TPC-DS (at 0.05) against the stored answers, which were checked against DuckDB.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use wholestage::api::Session;
use wholestage::cli::answers::Answer;
use wholestage::datasource::TableSource;
use wholestage::datasource::generate::Suite;

type Tables = Vec<(String, Arc<dyn TableSource>)>;

/// The suite's tables, generated once for all tests.
fn tables(suite: Suite) -> &'static Tables {
    static TPCH: OnceLock<Tables> = OnceLock::new();
    static TPCDS: OnceLock<Tables> = OnceLock::new();
    let (place, scale) = match suite {
        Suite::Tpch => (&TPCH, 0.01),
        Suite::Tpcds => (&TPCDS, 0.05),
    };
    place.get_or_init(|| suite.memory(scale, 3).unwrap())
}

/// The names of the suite's queries (`q14a`) and the folder they are in.
fn queries(suite: Suite) -> (PathBuf, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("codegen-tests").join(suite.name());
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let sql = files.filter(|path| path.extension().is_some_and(|e| e == "sql"));
    let names = sql.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    (folder, names)
}

/// Runs all queries in a mode; every difference in one message. A stage that cannot be compiled is a failure too.
fn check(suite: Suite, mode: &str, threads: usize) {
    let builder = Session::builder().config("execution.mode", mode).config("sql.codegen.fallback", "false");
    let session = builder.threads(threads).build().unwrap();
    for (name, source) in tables(suite) {
        session.register_table(name, source.clone());
    }
    let (folder, names) = queries(suite);
    assert_eq!(names.len(), if suite == Suite::Tpch { 22 } else { 103 });
    let mut wrong = vec![];
    for name in &names {
        let sql = std::fs::read_to_string(folder.join(format!("{name}.sql"))).unwrap();
        let stored = std::fs::read_to_string(folder.join(format!("answers/{name}.csv"))).unwrap();
        let checked = session.sql(&sql).and_then(|frame| {
            let execution = frame.query_execution()?;
            Answer::of(&execution.output(), execution.collect()?)?.matches_stored(&stored)
        });
        if let Err(e) = checked {
            wrong.push(format!("{name}: {e}"));
        }
    }
    assert!(wrong.is_empty(), "{} in mode {mode}, {threads} threads:\n{}", suite.name(), wrong.join("\n"));
}

#[test]
fn tpch_interpreted() {
    check(Suite::Tpch, "interpreted", 2);
}

#[test]
fn tpch_compiled() {
    check(Suite::Tpch, "jit", 1);
    check(Suite::Tpch, "jit", 2);
}

#[test]
fn tpcds_interpreted() {
    check(Suite::Tpcds, "interpreted", 2);
}

#[test]
fn tpcds_compiled() {
    check(Suite::Tpcds, "jit", 2);
}
