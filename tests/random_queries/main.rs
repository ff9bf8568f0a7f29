//! Random queries give the same answer however they are run.
//!
//! The interpreter on one thread says what is right; the compiler, other numbers of threads, sizes of batches, algorithms of joins and a
//! small memory limit must agree, errors included. A failure names the number of its query:
//! `WHOLESTAGE_QUERY=N cargo test --test random_queries -- --nocapture`. More of them:
//! `WHOLESTAGE_FIRST=1000 WHOLESTAGE_QUERIES=100000 cargo test --release --test random_queries`. With
//! `WHOLESTAGE_ANSWERS=DIR` the tables, the queries and their answers as texts are written there, for `benches/spark/random_queries.py` to compare with Spark's.

mod expression;
mod query;
#[path = "../common/random.rs"]
mod random;
mod tables;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use random::Random;
use wholestage::api::Session;
use wholestage::base::{Error, ErrorClass, Result};
use wholestage::cli::answers::Answer;

/// How a query is run.
struct Engine {
    name: &'static str,
    session: Session,
    /// Whether it evaluates what the reference does for the same rows. Otherwise a failing row may be one that another order of
    /// evaluation does not reach.
    same_plan: bool,
}

fn engine(name: &'static str, threads: usize, settings: &[(&str, &str)]) -> Engine {
    let mut builder = Session::builder().threads(threads).config("sql.codegen.fallback", false).config("jit.verifier", true);
    for (key, value) in settings {
        builder = builder.config(*key, *value);
    }
    let session = builder.build().unwrap();
    let mut random = Random(1);
    for (table, rows) in tables::TABLES {
        session.create_dataframe(tables::rows(&mut random, rows)).unwrap().create_temp_view(table).unwrap();
    }
    Engine { name, session, same_plan: threads == 1 }
}

fn engines() -> Vec<Engine> {
    let (jit, interpreted) = (("execution.mode", "jit"), ("execution.mode", "interpreted"));
    vec![
        engine("interpreted", 1, &[interpreted]),
        engine("compiled", 1, &[jit]),
        engine("compiled, 3 threads, small batches", 3, &[jit, ("execution.batchSize", "7")]),
        engine("interpreted, 2 threads, small batches", 2, &[interpreted, ("execution.batchSize", "5")]),
        engine(
            "compiled, merge joins",
            2,
            &[jit, ("sql.autoBroadcastJoinThreshold", "-1"), ("sql.join.preferSortMergeJoin", "true"), ("sql.shuffle.partitions", "3")],
        ),
        engine(
            "interpreted, shuffled hash joins, little memory",
            2,
            &[interpreted, ("sql.autoBroadcastJoinThreshold", "-1"), ("sql.shuffle.partitions", "4"), ("memory.limit", "200000")],
        ),
    ]
}

fn answer(engine: &Engine, sql: &str) -> Result<Answer> {
    let execution = engine.session.sql(sql)?.query_execution()?;
    Answer::of(&execution.output(), execution.collect()?)
}

/// Errors that no query may end with.
fn is_ours(e: &Error) -> bool {
    matches!(e.class, ErrorClass::Internal | ErrorClass::Codegen | ErrorClass::Parse | ErrorClass::Unsupported | ErrorClass::ColumnNotFound)
}

/// What is wrong with a query, if anything; and whether it gave rows.
fn check(engines: &[Engine], sql: &str) -> (Option<String>, Result<Answer>) {
    let expected = answer(&engines[0], sql);
    if let Err(e) = &expected
        && is_ours(e)
    {
        return (Some(format!("{}: {e}", engines[0].name)), expected);
    }
    for engine in &engines[1..] {
        let got = answer(engine, sql);
        let wrong = match (&got, &expected) {
            (Ok(got), Ok(expected)) => got.matches(expected).err().map(|e| e.to_string()),
            (Err(got), Err(_)) => is_ours(got).then(|| got.to_string()),
            (Err(got), Ok(_)) => (engine.same_plan || is_ours(got)).then(|| got.to_string()),
            (Ok(_), Err(e)) => engine.same_plan.then(|| format!("no error, but: {e}")),
        };
        if let Some(wrong) = wrong {
            return (Some(format!("{}: {wrong}", engine.name)), expected);
        }
    }
    (None, expected)
}

/// A file for answers in `folder`, beside the tables.
fn answers_file(engine: &Engine, folder: &Path) -> std::fs::File {
    std::fs::create_dir_all(folder).unwrap();
    for (table, _) in tables::TABLES {
        engine.session.table(table).unwrap().write_parquet(folder.join(format!("{table}.parquet"))).unwrap();
    }
    std::fs::File::create(folder.join("answers.ndjson")).unwrap()
}

/// A query that casts its values to strings, with the rows that it gives or the name of its error.
fn as_texts(engine: &Engine, number: u64, sql: &str, columns: &[String]) -> serde_json::Value {
    let texts: Vec<_> = columns.iter().map(|c| format!("coalesce(CAST({c} AS STRING), '<null>') AS {c}")).collect();
    let sql = format!("SELECT {} FROM ({sql})", texts.join(", "));
    match answer(engine, &sql) {
        Ok(answer) => serde_json::json!({ "number": number, "sql": sql, "rows": answer.rows }),
        Err(e) => serde_json::json!({ "number": number, "sql": sql, "error": e.class.name() }),
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn every_engine_answers_random_queries_alike() {
    let engines = engines();
    let numbers = match setting("WHOLESTAGE_QUERY") {
        Some(number) => number..number + 1,
        None => {
            let first = setting("WHOLESTAGE_FIRST").unwrap_or(0);
            first..first + setting("WHOLESTAGE_QUERIES").unwrap_or(150)
        }
    };
    let (mut failures, mut errors, mut empty) = (String::new(), 0, 0);
    let mut answers = std::env::var_os("WHOLESTAGE_ANSWERS").map(|folder| answers_file(&engines[0], folder.as_ref()));
    let total = numbers.end - numbers.start;
    for number in numbers {
        let (sql, columns) = query::query(number);
        if total == 1 {
            println!("{sql}");
        }
        let (wrong, expected) = check(&engines, &sql);
        match expected {
            Ok(answer) => empty += u64::from(answer.rows.is_empty()),
            Err(_) => errors += 1,
        }
        if let Some(file) = &mut answers {
            writeln!(file, "{}", as_texts(&engines[0], number, &sql, &columns)).unwrap();
        }
        if let Some(wrong) = wrong {
            writeln!(failures, "query {number}: {wrong}\n  {sql}").unwrap();
        }
    }
    println!("{total} queries, {errors} with an error, {empty} without rows");
    assert!(failures.is_empty(), "{failures}");
}
