//! Compiled and interpreted execution answer alike, whatever the threads and the size of batches.

mod cancel;
mod faults;
mod memory;
mod metrics;
mod streams;
mod subqueries;

use wholestage::api::Session;
use wholestage::base::Result;
use wholestage::cli::answers::Answer;

fn session(mode: &str, threads: usize, batch_size: usize) -> Session {
    let session = Session::builder()
        .config("execution.mode", mode)
        .config("execution.batchSize", batch_size)
        .config("sql.codegen.fallback", false)
        .threads(threads)
        .build()
        .unwrap();
    session.register_folder(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sales")).unwrap();
    session
}

fn answer(session: &Session, sql: &str) -> Result<Answer> {
    let execution = session.sql(sql)?.query_execution()?;
    Answer::of(&execution.output(), execution.collect()?)
}

#[test]
fn every_engine_answers_alike() {
    let queries = include_str!("../../codegen-tests/sales/queries.sql");
    let interpreter = session("interpreted", 1, 8192);
    let others = [
        ("interpreted, 2 threads, small batches", session("interpreted", 2, 5)),
        ("compiled", session("jit", 1, 8192)),
        ("compiled, 2 threads", session("jit", 2, 8192)),
        ("compiled, small batches", session("jit", 2, 5)),
    ];
    let mut wrong = vec![];
    for sql in queries.split(";\n").map(str::trim).filter(|q| !q.is_empty()) {
        let expected = match answer(&interpreter, sql) {
            Ok(expected) => expected,
            Err(e) => {
                wrong.push(format!("{sql}: {e}"));
                continue;
            }
        };
        for (name, session) in &others {
            if let Err(e) = answer(session, sql).and_then(|got| got.matches(&expected)) {
                wrong.push(format!("{name}: {sql}: {e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn common_subexpressions_are_computed_once_unless_told_otherwise() {
    let sql = "SELECT id * id * 3 + 1 AS a, id * id * 3 + 2 AS b, sum(id * id * 3) OVER () AS c FROM range(10)";
    let code = |eliminate: bool| {
        let session = session("jit", 1, 8192);
        session.set("sql.subexpressionElimination.enabled", &eliminate.to_string()).unwrap();
        let expected = answer(&session, "SELECT id * id * 3 + 1, id * id * 3 + 2, 855L FROM range(10)").unwrap();
        assert!(answer(&session, sql).unwrap().matches(&expected).is_ok());
        session.set("execution.mode", "interpreted").unwrap();
        assert!(answer(&session, sql).unwrap().matches(&expected).is_ok());
        session.set("execution.mode", "jit").unwrap();
        let code = session.sql(sql).unwrap().explain(wholestage::planning::ExplainLevel::Codegen).unwrap();
        code.lines().filter(|l| l.contains("mul")).count()
    };
    let (once, each) = (code(true), code(false));
    assert!(once > 0 && each > once, "{once} {each}");
}
