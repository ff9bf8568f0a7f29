//! `wholestage bench`: times queries in each mode and compares the modes' answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::answers::Answer;
use super::options::{self, Mode};
use super::{generate, output, suites};
use crate::api::Session;
use crate::base::{Attribute, Error, ErrorClass, Result, Schema};
use crate::datasource::MemoryTable;
use crate::datasource::generate::Suite;
use crate::planning::ExplainLevel;

#[derive(Args)]
#[command(after_help = "\
Examples:
  wholestage bench tpch --sf 0.1 --modes jit,interpreted --check
  wholestage bench tpch --sf 1 --queries 1,6,18 --storage parquet --runs 5 --json times.ndjson
  wholestage bench tpcds --sf 0.1 --queries 3,14,23b --check
  wholestage bench --data fixtures/sales my_queries.sql")]
pub(super) struct Arguments {
    /// 'tpch', 'tpcds', or files of SQL statements over the tables of --data
    #[arg(value_name = "SUITE", required = true)]
    suite: Vec<String>,
    /// Scale factor of data generated for the benchmark
    #[arg(long, value_name = "N", default_value_t = 0.1)]
    sf: f64,
    /// Use the tables of a folder instead of generating them
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Modes to time, in turn
    #[arg(long, value_name = "MODES", value_delimiter = ',', default_value = "jit,interpreted")]
    modes: Vec<Mode>,
    /// Numbers of the queries to run, 14 for 14a and 14b [default: all]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    queries: Vec<String>,
    /// Where data is read from [default: generated data from memory, that of --data from its files]
    #[arg(long, value_enum, value_name = "WHERE")]
    storage: Option<Storage>,
    /// Timed runs per query and mode, after one that is not timed
    #[arg(long, value_name = "K", default_value_t = 3)]
    runs: usize,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Write one JSON object per query and mode to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare answers: with the stored ones where there are (tpch at sf 0.01, tpcds at sf 0.05), and between modes
    #[arg(long)]
    check: bool,
    /// Print the plan of each query and mode with the metrics of its last run
    #[arg(long)]
    analyze: bool,
    /// Any setting; repeatable
    #[arg(long = "conf", value_name = "KEY=VALUE", value_parser = options::parse_pair)]
    conf: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Storage {
    Memory,
    Parquet,
}

impl Arguments {
    fn storage_name(&self) -> &'static str {
        match (self.storage, &self.data) {
            (Some(Storage::Memory), _) | (None, None) => "memory",
            (_, Some(_)) => "files",
            (Some(Storage::Parquet), None) => "parquet",
        }
    }
}

struct Query {
    number: usize,
    /// The letter of a query that has variants.
    variant: &'static str,
    text: String,
    stored: Option<&'static str>,
}

impl Query {
    fn name(&self) -> String {
        format!("{}{}", self.number, self.variant)
    }
}

/// A query's times by position of the mode.
type Times = (Query, BTreeMap<usize, Measured>);

/// One query in one mode.
struct Measured {
    /// Sorted times of the runs, planning included.
    times: Vec<Duration>,
    plan: Duration,
    compile: Duration,
    rows: usize,
    answer: Option<Answer>,
    /// The plan with metrics.
    analyzed: Option<String>,
}

impl Measured {
    fn median_ms(&self) -> f64 {
        let n = self.times.len();
        (milliseconds(self.times[(n - 1) / 2]) + milliseconds(self.times[n / 2])) / 2.0
    }
}

fn milliseconds(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let suite = match arguments.suite.as_slice() {
        [name] => Suite::named(name),
        _ => None,
    };
    let queries = queries(arguments, suite)?;
    let count = queries.len();
    let session = session(arguments, suite)?;
    let mut failures = vec![];
    let mut results: Vec<Times> = vec![];
    for query in queries {
        let name = query.name();
        let mut by_mode = BTreeMap::new();
        for (m, mode) in arguments.modes.iter().enumerate() {
            session.set("execution.mode", mode.name())?;
            match measure(&session, &query, arguments) {
                Ok(measured) => {
                    if let Err(e) = check(arguments, &query, &measured, &by_mode) {
                        failures.push(format!("query {name} in mode {}: {}", mode.name(), e.message));
                    }
                    if let Some(text) = &measured.analyzed {
                        output::print(&format!("-- query {name}, {}\n{text}\n", mode.name()))?;
                    }
                    by_mode.insert(m, measured);
                }
                Err(e) => failures.push(format!("query {name} in mode {}: {e}", mode.name())),
            }
        }
        results.push((query, by_mode));
    }
    if let Some(path) = &arguments.json {
        write_json(path, suite, arguments, session.settings().threads(), &results)?;
    }
    output::print(&table(&arguments.modes, &results))?;
    if arguments.check && failures.is_empty() {
        output::print(&format!("answers agree: {} of {} queries\n", results.len(), count))?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    let class = if arguments.check { ErrorClass::Internal } else { ErrorClass::InvalidParameter };
    Err(Error::new(class, format!("{} failed:\n  {}", failures.len(), failures.join("\n  "))))
}

fn queries(arguments: &Arguments, suite: Option<Suite>) -> Result<Vec<Query>> {
    let mut all = vec![];
    if let Some(suite) = suite {
        let stored = arguments.data.is_none() && arguments.sf == suites::answers_scale(suite);
        for query in suites::queries(suite) {
            let digits = query.name.trim_end_matches(char::is_alphabetic);
            let number = digits.parse().map_err(|_| Error::internal("a query without a number"))?;
            let variant = &query.name[digits.len()..];
            all.push(Query { number, variant, text: query.text.to_string(), stored: stored.then_some(query.answer) });
        }
    } else {
        for path in &arguments.suite {
            let text = options::read_file(Path::new(path))?;
            for part in split_statements(&text) {
                if !crate::sql::parse_statements(part)?.is_empty() {
                    all.push(Query { number: all.len() + 1, variant: "", text: part.to_string(), stored: None });
                }
            }
        }
    }
    let is = |query: &Query, wanted: &String| query.name() == *wanted || query.number.to_string() == *wanted;
    if let Some(unknown) = arguments.queries.iter().find(|wanted| !all.iter().any(|query| is(query, wanted))) {
        let last = all.last().map_or(0, |query| query.number);
        return Err(Error::new(ErrorClass::InvalidParameter, format!("there is no query {unknown}; they are 1 to {last}.")));
    }
    if !arguments.queries.is_empty() {
        all.retain(|query| arguments.queries.iter().any(|wanted| is(query, wanted)));
    }
    Ok(all)
}

/// The text between the `;` that are outside quotes and comments.
fn split_statements(text: &str) -> Vec<&str> {
    let mut parts = vec![];
    let mut start = 0;
    let mut i = 0;
    while i < text.len() {
        let rest = &text[i..];
        let skip_to = |opening: usize, end: &str| rest[opening..].find(end).map_or(rest.len(), |at| opening + at + end.len());
        i += match rest.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => skip_to(1, quote.encode_utf8(&mut [0; 4])),
            _ if rest.starts_with("--") => skip_to(2, "\n"),
            _ if rest.starts_with("/*") => skip_to(2, "*/"),
            Some(';') => {
                parts.push(&text[start..i]);
                start = i + 1;
                1
            }
            other => other.map_or(1, char::len_utf8),
        };
    }
    parts.push(&text[start..]);
    parts
}

fn session(arguments: &Arguments, suite: Option<Suite>) -> Result<Session> {
    let mut builder = Session::builder();
    for (key, value) in &arguments.conf {
        builder = builder.config(key, value);
    }
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads);
    }
    let session = builder.build()?;
    options::heed_memory_limit(&session);
    match (&arguments.data, suite) {
        (Some(dir), _) => {
            session.register_folder(dir)?;
            if arguments.storage == Some(Storage::Memory) {
                read_into_memory(&session)?;
            }
        }
        (None, None) => {}
        (None, Some(suite)) => {
            generate::check_scale(arguments.sf)?;
            let partitions = session.settings().threads();
            if arguments.storage != Some(Storage::Parquet) {
                for (name, source) in suite.memory(arguments.sf, partitions)? {
                    session.register_table(&name, source);
                }
            } else {
                session.register_folder(cached(suite, arguments.sf)?)?;
            }
        }
    }
    Ok(session)
}

/// Puts the rows of all tables in the place of their files.
fn read_into_memory(session: &Session) -> Result<()> {
    for name in session.catalog().table_names() {
        let execution = session.table(&name)?.query_execution()?;
        let schema = Schema::new(execution.output().iter().map(Attribute::to_field).collect());
        session.register_table(&name, MemoryTable::new(schema, execution.collect_partitions()?)?);
    }
    Ok(())
}

/// A folder with generated Parquet files, made on first use. It appears under its name only when complete.
fn cached(suite: Suite, scale: f64) -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("wholestage-{}-sf{scale}", suite.name()));
    if !dir.is_dir() {
        let unfinished = std::env::temp_dir().join(format!("wholestage-{}-sf{scale}.{}", suite.name(), std::process::id()));
        suite.write(scale, &unfinished.to_string_lossy(), "parquet", 1)?;
        std::fs::rename(&unfinished, &dir).map_err(|e| Error::from(e).context(dir.display()))?;
    }
    Ok(dir)
}

fn measure(session: &Session, query: &Query, arguments: &Arguments) -> Result<Measured> {
    let mut measured = Measured { times: vec![], plan: Duration::ZERO, compile: Duration::ZERO, rows: 0, answer: None, analyzed: None };
    for run in 0..=arguments.runs.max(1) {
        let start = std::time::Instant::now();
        // Statements before the last (a view that the query uses) belong to the query and its time.
        let statements = session.parse(&query.text)?;
        let mut last = None;
        for statement in &statements {
            last = Some(session.run(statement)?);
        }
        let frame = last.ok_or_else(|| Error::new(ErrorClass::Parse, "there is no SQL statement."))?;
        let execution = frame.query_execution()?;
        let batches = execution.collect()?;
        let time = start.elapsed();
        if run == 0 {
            measured.rows = batches.iter().map(|b| b.num_rows()).sum();
            if arguments.check {
                measured.answer = Some(Answer::of(&execution.output(), batches)?);
            }
            continue;
        }
        let timings = execution.timings();
        measured.times.push(time);
        measured.plan = timings.parse + timings.optimize + timings.plan;
        measured.compile = timings.compile;
        if arguments.analyze && run == arguments.runs.max(1) {
            measured.analyzed = Some(execution.explain(ExplainLevel::Analyze)?);
        }
    }
    measured.times.sort_unstable();
    Ok(measured)
}

fn check(arguments: &Arguments, query: &Query, measured: &Measured, before: &BTreeMap<usize, Measured>) -> Result<()> {
    let Some(answer) = measured.answer.as_ref().filter(|_| arguments.check) else { return Ok(()) };
    if let Some(stored) = query.stored {
        answer.matches_stored(stored)?;
    }
    match before.values().find_map(|m| m.answer.as_ref()) {
        Some(other) => answer.matches(other),
        None => Ok(()),
    }
}

fn write_json(path: &Path, suite: Option<Suite>, arguments: &Arguments, threads: usize, results: &[Times]) -> Result<()> {
    let mut text = String::new();
    for (query, by_mode) in results {
        for (mode, m) in by_mode {
            let mut line = serde_json::json!({
                "suite": suite.map_or("files", Suite::name),
                "sf": arguments.sf,
                "storage": arguments.storage_name(),
                "query": query.number,
                "mode": arguments.modes[*mode].name(),
                "threads": threads,
                "runs": m.times.len(),
                "median_ms": m.median_ms(),
                "min_ms": m.times.first().copied().map_or(0.0, milliseconds),
                "rows": m.rows,
                "plan_ms": milliseconds(m.plan),
                "compile_ms": milliseconds(m.compile),
            });
            if !query.variant.is_empty() {
                line["variant"] = query.variant.into();
            }
            let _ = writeln!(text, "{line}");
        }
    }
    std::fs::write(path, text).map_err(|e| Error::from(e).context(path.display()))
}

/// Medians per query and mode; with two modes or more, how many times as long as the first each other takes.
fn table(modes: &[Mode], results: &[Times]) -> String {
    let mut out = format!("{:>5}", "query");
    for mode in modes {
        let _ = write!(out, " {:>14}", format!("{} ms", mode.name()));
    }
    for mode in modes.iter().skip(1) {
        let _ = write!(out, " {:>16}", format!("{}/{}", mode.name(), modes[0].name()));
    }
    let _ = writeln!(out, " {:>9} {:>10} {:>8}", "plan ms", "compile ms", "rows");
    let mut ratios: Vec<Vec<f64>> = vec![vec![]; modes.len()];
    let mut totals: Vec<Vec<f64>> = vec![vec![]; modes.len()];
    for (query, by_mode) in results {
        let _ = write!(out, "{:>5}", query.name());
        for (m, total) in totals.iter_mut().enumerate() {
            match by_mode.get(&m) {
                Some(measured) => {
                    total.push(measured.median_ms());
                    let _ = write!(out, " {:>14.2}", measured.median_ms());
                }
                None => {
                    let _ = write!(out, " {:>14}", "failed");
                }
            }
        }
        for (m, all) in ratios.iter_mut().enumerate().skip(1) {
            match (by_mode.get(&0), by_mode.get(&m)) {
                (Some(first), Some(other)) => {
                    let ratio = other.median_ms() / first.median_ms();
                    all.push(ratio);
                    let _ = write!(out, " {ratio:>16.2}");
                }
                _ => {
                    let _ = write!(out, " {:>16}", "");
                }
            }
        }
        match by_mode.values().next() {
            Some(first) => {
                let _ = writeln!(out, " {:>9.2} {:>10.2} {:>8}", milliseconds(first.plan), milliseconds(first.compile), first.rows);
            }
            None => out.push('\n'),
        }
    }
    let _ = write!(out, "{:>5}", "mean");
    for times in &totals {
        let _ = write!(out, " {:>14.2}", geometric_mean(times));
    }
    for ratio in ratios.iter().skip(1) {
        let _ = write!(out, " {:>16.2}", geometric_mean(ratio));
    }
    out.push_str("  (geometric)\n");
    out
}

fn geometric_mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    (values.iter().map(|v| v.max(1e-6).ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_outside_quotes_and_comments() {
        let parts = split_statements("SELECT ';' -- a; b\n, `x;`; /* ; */ SELECT 'é;''';");
        assert_eq!(parts, ["SELECT ';' -- a; b\n, `x;`", " /* ; */ SELECT 'é;'''", ""]);
    }

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_number_means_all_its_variants() {
        let names = |list| {
            let command = <Command as clap::Parser>::parse_from(["bench", "tpcds", "--queries", list]);
            queries(&command.arguments, Some(Suite::Tpcds)).map(|all| all.iter().map(Query::name).collect::<Vec<_>>())
        };
        assert_eq!(names("14,23b,3").unwrap(), ["3", "14a", "14b", "23b"]);
        assert!(names("100").unwrap_err().message.contains("1 to 99"));
        assert!(names("3a").is_err());
    }
}
