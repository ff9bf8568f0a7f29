//! Tables that are kept: cached in memory, bucketed and partitioned in files.

mod bucketed;
mod cached;
mod kept;
mod partitioned;
mod pruned;

use wholestage::api::{DataFrame, Session};
use wholestage::base::{Attribute, Result};
use wholestage::datasource::write::ResultFormat;

/// One session per engine, with Spark's plans and small exchanges.
fn sessions() -> Vec<Session> {
    let session = |mode: &str| {
        let settings = [
            ("planner.profile", "cluster"),
            ("execution.mode", mode),
            ("sql.shuffle.partitions", "5"),
            ("sql.autoBroadcastJoinThreshold", "-1"),
        ];
        settings.into_iter().fold(Session::builder().threads(2), |b, (key, value)| b.config(key, value)).build().unwrap()
    };
    vec![session("interpreted"), session("jit")]
}

/// Rows as CSV without the header, sorted, `|` between them.
fn rows(frame: &DataFrame) -> Result<String> {
    let output: Vec<Attribute> = frame.query_execution()?.output();
    let text = wholestage::api::write::text(&output, frame.collect()?, ResultFormat::Csv)?;
    let mut lines: Vec<&str> = text.lines().skip(1).collect();
    lines.sort_unstable();
    Ok(lines.join("|"))
}

fn answer(session: &Session, sql: &str) -> String {
    session.sql(sql).and_then(|frame| rows(&frame)).unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// A plan's lines without ids.
fn plan(frame: &DataFrame) -> Vec<String> {
    let ids = regex::Regex::new(r"#\d+L?|, \[plan_id=\d+\]").unwrap();
    let text = frame.explain(wholestage::planning::ExplainLevel::Simple).unwrap();
    text.lines().filter(|l| !l.starts_with("==")).map(|l| ids.replace_all(l, "").trim_end().to_string()).collect()
}

fn plan_of(session: &Session, sql: &str) -> Vec<String> {
    plan(&session.sql(sql).unwrap())
}
