//! Spark's functions, as the tests of the crate `datafusion-sqllogictest` (`test_files/spark/**/*.slt`) state them.
//!
//! The files are not part of this repository. They are read from the folder in `WHOLESTAGE_SPARK_SLT`, else from the newest
//! `datafusion-sqllogictest` in cargo's registry (`cargo fetch` in any project that depends on it puts it there); without
//! them the test says so and passes. `cargo test --test spark_functions -- --nocapture` prints what passes per file and every
//! query that does not; `WHOLESTAGE_SPARK_SLT_MINIMUM` fails the test below that share in percent.
//!
//! A query runs interpreted and compiled, and passes if both give the answer. It is "not declared" when it uses a function,
//! a type or syntax that Wholestage does not have, and "ansi" when it states an answer of Spark's non-ANSI mode where ANSI
//! mode, the only one here, raises an error. The share is of the rest.

mod dialect;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Field, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, DurationFormat, FormatOptions};
use wholestage::api::Session;
use wholestage::base::{DataType, Error, ErrorClass};

/// A record of a file.
struct Record {
    line: usize,
    /// `query` or `statement`.
    is_query: bool,
    expected: Expected,
    /// One letter per column: B, I, R, T, D, P, `?` for any other.
    types: String,
    rowsort: bool,
    sql: String,
}

enum Expected {
    Rows(Vec<String>),
    Error,
    Ok,
}

fn parse(text: &str) -> Vec<Record> {
    let mut lines = text.lines().enumerate().peekable();
    let mut records = vec![];
    while let Some((at, header)) = lines.next() {
        let words: Vec<&str> = header.split_whitespace().collect();
        let (is_query, fails) = match words.as_slice() {
            ["query", rest @ ..] => (true, rest.first() == Some(&"error")),
            ["statement", rest @ ..] => (false, rest.first() == Some(&"error")),
            _ => continue,
        };
        let (mut sql, mut rows, mut in_rows) = (vec![], vec![], false);
        while let Some((_, line)) = lines.next_if(|(_, l)| !l.trim().is_empty()) {
            match line.trim_end() {
                "----" => in_rows = true,
                row if in_rows => rows.push(row.to_string()),
                text => sql.push(text),
            }
        }
        records.push(Record {
            line: at + 1,
            is_query,
            expected: match (fails, is_query) {
                (true, _) => Expected::Error,
                (false, true) => Expected::Rows(rows),
                (false, false) => Expected::Ok,
            },
            types: words.get(1).unwrap_or(&"").to_string(),
            rowsort: words.contains(&"rowsort"),
            sql: dialect::spark(sql.join("\n").trim_end_matches(';')),
        });
    }
    records
}

fn letter(t: &DataType) -> char {
    match t {
        DataType::Boolean => 'B',
        t if t.is_integral() => 'I',
        t if t.is_numeric() => 'R',
        DataType::String => 'T',
        DataType::Date => 'D',
        DataType::Timestamp | DataType::TimestampNtz => 'P',
        _ => '?',
    }
}

/// A number without an exponent, rounded to 15 digits after the point, without zeros at the end.
fn plain(number: f64, shortest: String) -> String {
    if !number.is_finite() {
        return shortest.replace("inf", "Infinity");
    }
    let digits = if shortest.split('.').nth(1).is_some_and(|f| f.len() > 15) { format!("{number:.15}") } else { shortest };
    trimmed(&digits)
}

fn trimmed(digits: &str) -> String {
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    if digits == "-0" { "0".into() } else { digits.to_string() }
}

/// A value in another type: timestamps without the time zone, which is UTC throughout.
fn local(column: &dyn Array, row: usize, t: ArrowType) -> String {
    cell(arrow::compute::cast(&column.slice(row, 1), &t).unwrap().as_ref(), 0)
}

fn cell(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".into();
    }
    match column.data_type() {
        ArrowType::Float64 => {
            let v = column.as_primitive::<Float64Type>().value(row);
            plain(v, v.to_string())
        }
        ArrowType::Float32 => {
            let v = column.as_primitive::<Float32Type>().value(row);
            plain(f64::from(v), v.to_string())
        }
        ArrowType::Timestamp(unit, Some(_)) => local(column, row, ArrowType::Timestamp(*unit, None)),
        ArrowType::List(field) if matches!(field.data_type(), ArrowType::Timestamp(_, Some(_))) => {
            let t = ArrowType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
            local(column, row, ArrowType::List(Arc::new(Field::new("element", t, true))))
        }
        t => {
            let options = FormatOptions::new().with_null("NULL").with_duration_format(DurationFormat::Pretty);
            let formatted = ArrayFormatter::try_new(column, &options).and_then(|f| f.value(row).try_to_string());
            let text = formatted.unwrap_or_else(|e| e.to_string());
            match t {
                ArrowType::Decimal64(..) | ArrowType::Decimal128(..) => trimmed(&text),
                ArrowType::Utf8View if text.is_empty() => "(empty)".into(),
                ArrowType::Utf8View => text.trim_end_matches('\n').replace('\0', "\\0"),
                _ => text,
            }
        }
    }
}

/// Letters of the columns and lines of the result.
fn run(session: &Session, sql: &str) -> Result<(String, Vec<String>), Error> {
    let execution = session.sql(sql)?.query_execution()?;
    let types = execution.output().iter().map(|a| letter(&a.data_type)).collect();
    let batches: Vec<RecordBatch> = execution.collect()?;
    let rows = batches.iter().flat_map(|b| {
        (0..b.num_rows()).map(|row| b.columns().iter().map(|c| cell(c.as_ref(), row)).collect::<Vec<_>>().join(" ").trim_end().to_string())
    });
    Ok((types, rows.collect()))
}

/// The same words, numbers to 12 digits.
fn same_line(got: &str, expected: &str) -> bool {
    let close = |(g, e): (&str, &str)| match (g.parse::<f64>(), e.trim_end_matches('Z').parse::<f64>()) {
        _ if g == e || g == e.trim_end_matches('Z') => true,
        (Ok(g), Ok(e)) => (g - e).abs() <= 1e-12 * g.abs().max(e.abs()).max(1e-3),
        _ => false,
    };
    let (g, e): (Vec<&str>, Vec<&str>) = (got.split(' ').collect(), expected.split(' ').collect());
    g.len() == e.len() && g.into_iter().zip(e).all(close)
}

fn same(got: &[String], expected: &[String], rowsort: bool) -> bool {
    let lines = |rows: &[String]| {
        let mut rows = rows.to_vec();
        if rowsort {
            rows.sort();
        }
        rows.iter().flat_map(|r| r.split('\n').map(|l| l.trim_end().to_string()).collect::<Vec<_>>()).collect::<Vec<String>>()
    };
    let (got, expected) = (lines(got), lines(expected));
    if let Some(start) = expected.iter().map(|e| e.split("<slt:ignore>").next()).next().flatten()
        && expected.iter().any(|e| e.contains("<slt:ignore>"))
    {
        return got.join("\n").starts_with(start);
    }
    got.len() == expected.len() && got.iter().zip(&expected).all(|(g, e)| same_line(g, e))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Passed,
    Failed,
    Ansi,
    NotDeclared,
}

/// What Wholestage does not have, as its error says.
fn not_declared(e: &Error) -> bool {
    use ErrorClass::*;
    matches!(e.class, RoutineNotFound | Parse | Unsupported | TableNotFound | UnknownSetting)
}

/// Errors that ANSI mode raises where the other mode gives NULL or wraps around.
fn ansi_error(e: &Error) -> bool {
    use ErrorClass::*;
    matches!(
        e.class,
        DivideByZero
            | RemainderByZero
            | ArithmeticOverflow
            | NumericOutOfRange
            | CastInvalidInput
            | CastOverflow
            | InvalidArrayIndex
            | DateTime
    )
}

fn judge(record: &Record, sessions: &[Session; 2]) -> (Verdict, String) {
    let [interpreted, compiled] = sessions.each_ref().map(|s| run(s, &record.sql));
    match (&interpreted, &compiled) {
        (Ok((_, a)), Ok((_, b))) if a != b => return (Verdict::Failed, format!("interpreted {a:?}, compiled {b:?}")),
        (Err(a), Err(b)) if a.class != b.class => return (Verdict::Failed, format!("interpreted: {a}, compiled: {b}")),
        (Ok(_), Err(e)) => return (Verdict::Failed, format!("compiled only: {e}")),
        (Err(e), Ok(_)) => return (Verdict::Failed, format!("interpreted only: {e}")),
        _ => {}
    }
    match (&record.expected, interpreted) {
        (_, Err(e)) if not_declared(&e) => (Verdict::NotDeclared, e.to_string()),
        (Expected::Error, Err(_)) => (Verdict::Passed, String::new()),
        (Expected::Error, Ok((_, rows))) => (Verdict::Failed, format!("{rows:?} instead of an error")),
        (Expected::Rows(_), Err(e)) if ansi_error(&e) => (Verdict::Ansi, e.to_string()),
        (_, Err(e)) => (Verdict::Failed, e.to_string()),
        (Expected::Rows(rows), Ok((_, got))) if !same(&got, rows, record.rowsort) => {
            (Verdict::Failed, format!("{got:?} instead of {rows:?}"))
        }
        (Expected::Rows(_), Ok((types, _))) if types != record.types && !record.types.contains('?') => {
            (Verdict::Failed, format!("columns {types} instead of {}", record.types))
        }
        (_, Ok(_)) => (Verdict::Passed, String::new()),
    }
}

fn slt_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            slt_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "slt") {
            out.push(path);
        }
    }
    out.sort();
}

/// `test_files/spark` of the newest fetched crate, or the folder that the environment names.
fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("WHOLESTAGE_SPARK_SLT") {
        return Some(folder.into());
    }
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
    let registries = std::fs::read_dir(cargo.join("registry/src")).ok()?;
    let crates = registries.flatten().filter_map(|r| std::fs::read_dir(r.path()).ok()).flatten().flatten();
    let version = |p: &PathBuf| -> Option<Vec<u64>> {
        let name = p.file_name()?.to_str()?;
        name.strip_prefix("datafusion-sqllogictest-")?.split('.').map(|n| n.parse().ok()).collect()
    };
    let newest = crates.map(|c| c.path()).filter(|p| version(p).is_some()).max_by_key(version)?;
    Some(newest.join("test_files/spark")).filter(|f| f.is_dir())
}

#[test]
fn spark_functions() {
    let Some(root) = folder() else {
        println!("skipped: no datafusion-sqllogictest in cargo's registry, and WHOLESTAGE_SPARK_SLT is not set");
        return;
    };
    let mut files = vec![];
    slt_files(&root, &mut files);
    assert!(!files.is_empty(), "no .slt files under {}", root.display());
    let (mut total, mut rest) = (BTreeMap::<Verdict, usize>::new(), vec![]);
    println!("{:40} {:>7} {:>7} {:>7} {:>13}", "file", "passed", "failed", "ansi", "not declared");
    for path in files {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let sessions = ["interpreted", "jit"].map(|mode| Session::builder().config("execution.mode", mode).threads(1).build().unwrap());
        let mut counts = BTreeMap::<Verdict, usize>::new();
        for record in parse(&std::fs::read_to_string(&path).unwrap()) {
            if let (Expected::Ok, false) = (&record.expected, record.is_query) {
                // Tables and settings; where one cannot be had the queries over it say so.
                sessions.iter().for_each(|s| drop(run(s, &record.sql)));
                continue;
            }
            let (verdict, why) = judge(&record, &sessions);
            *counts.entry(verdict).or_default() += 1;
            if verdict != Verdict::Passed {
                rest.push((verdict, format!("{name}:{}: {}\n    {why}", record.line, record.sql.replace('\n', " "))));
            }
        }
        let count = |v: Verdict| counts.get(&v).copied().unwrap_or(0);
        let [passed, failed, ansi, missing] = [Verdict::Passed, Verdict::Failed, Verdict::Ansi, Verdict::NotDeclared].map(count);
        println!("{name:40} {passed:>7} {failed:>7} {ansi:>7} {missing:>13}");
        counts.into_iter().for_each(|(v, n)| *total.entry(v).or_default() += n);
    }
    for (verdict, title) in [(Verdict::NotDeclared, "not declared"), (Verdict::Ansi, "ansi"), (Verdict::Failed, "failed")] {
        println!("\n== {title}");
        rest.iter().filter(|(v, _)| *v == verdict).for_each(|(_, line)| println!("{line}"));
    }
    let count = |v: Verdict| total.get(&v).copied().unwrap_or(0);
    let (passed, declared) = (count(Verdict::Passed), count(Verdict::Passed) + count(Verdict::Failed));
    let share = 100.0 * passed as f64 / declared.max(1) as f64;
    println!(
        "\n{passed} of {declared} declared queries pass ({share:.1} %); {} more expect non-ANSI answers, {} use what is not declared",
        count(Verdict::Ansi),
        count(Verdict::NotDeclared)
    );
    if let Some(minimum) = std::env::var("WHOLESTAGE_SPARK_SLT_MINIMUM").ok().and_then(|m| m.parse::<f64>().ok()) {
        assert!(share >= minimum, "{share:.1} % of the declared queries pass, less than {minimum} %");
    }
}
