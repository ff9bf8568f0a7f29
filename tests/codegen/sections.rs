//! What each kind of section says of the query, and how it is checked.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use wholestage::api::Session;
use wholestage::base::{Error, Schema};
use wholestage::datasource::open_folder;
use wholestage::datasource::write::{ResultFormat, ResultWriter};
use wholestage::execution::QueryExecution;
use wholestage::logical::optimizer;
use wholestage::planning::ExplainLevel;

use crate::file::{GoldenFile, Section};
use crate::tables;

/// Checks every section; with `bless`, the file with its sections as they should be, if any differs.
pub fn check(file: GoldenFile, bless: bool) -> Result<Option<GoldenFile>, String> {
    let sql = file.section("sql").ok_or("there is no section sql")?.body.clone();
    let session = session(&file, &[])?;
    let execution = || session.sql(&sql).and_then(|d| d.query_execution());
    let mut new = file.clone();
    let trace = || -> Result<Vec<(&'static str, String)>, String> {
        let execution = execution().map_err(text)?;
        let (_, trace) = optimizer::optimize_traced(execution.query().clone(), execution.settings()).map_err(text)?;
        Ok(trace.into_iter().map(|(name, plan)| (name, plan.tree_string())).collect())
    };
    if !file.expect.is_empty() {
        let fired = trace()?;
        for rule in &file.expect {
            if !fired.iter().any(|(name, _)| name == rule) {
                return Err(format!("the rule {rule} did not change the plan"));
            }
        }
    }
    for section in &mut new.sections {
        let found = match section.name.as_str() {
            "sql" => continue,
            "rules" => normalise(&trace()?.iter().map(|(name, plan)| format!("-- {name}\n{plan}")).collect::<Vec<_>>().join("\n")),
            "plan" => plan(&execution().map_err(text)?, section)?,
            "clif" => clif(&execution().map_err(text)?, section)?,
            "result" => result(&file, &sql)?,
            "error" => error(&file, &sql)?,
            other => return Err(format!("unknown section {other}")),
        };
        let found = found.trim_end().to_string();
        if is_checks(&section.body) {
            checks(&section.body, &found)?;
        } else if found != section.body {
            if !bless {
                return Err(format!("section {} should be\n{}\n--- but is\n{found}", section.name, section.body));
            }
            section.body = found;
        }
    }
    Ok((new != file).then_some(new))
}

fn text(e: Error) -> String {
    e.to_string()
}

fn session(file: &GoldenFile, more: &[(&str, &str)]) -> Result<Session, String> {
    let mut builder = Session::builder().threads(2).config("jit.verifier", true);
    for (key, value) in &file.settings {
        builder = builder.config(key.as_str(), value);
    }
    for (key, value) in more {
        builder = builder.config(*key, value);
    }
    let session = builder.build().map_err(text)?;
    for table in &file.tables {
        let (name, source) = tables::declare(table)?;
        session.register_table(&name, source);
    }
    for folder in &file.data {
        let tables = open_folder(&format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).map_err(text)?;
        tables.into_iter().for_each(|(name, source)| session.register_table(&name, source));
    }
    Ok(session)
}

/// EXPLAIN at a level, `simple` unless said, or `json`.
fn plan(execution: &QueryExecution, section: &Section) -> Result<String, String> {
    let level = section.arguments.iter().find(|(k, _)| k == "level").map_or("simple", |(_, v)| v.as_str());
    let explained = match level {
        "json" => execution.explain_json(false),
        "simple" => execution.explain(ExplainLevel::Simple),
        "extended" => execution.explain(ExplainLevel::Extended),
        "formatted" => execution.explain(ExplainLevel::Formatted),
        "cost" => execution.explain(ExplainLevel::Cost),
        "codegen" => execution.explain(ExplainLevel::Codegen),
        other => return Err(format!("unknown level {other}")),
    };
    Ok(normalise(&without_paths(&explained.map_err(text)?)))
}

/// Where a scan's files are differs from machine to machine.
fn without_paths(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("Location: ") {
        let (before, location) = rest.split_at(at + "Location: ".len());
        out.push_str(before);
        out.push_str("[files]");
        rest = &location[[", PartitionFilters", "\n"].iter().filter_map(|end| location.find(end)).min().unwrap_or(location.len())..];
    }
    out + rest
}

/// The ways in which every query runs; the first is the one that results are blessed from.
const MODES: [(&str, &[(&str, &str)]); 3] = [
    ("interpreted", &[("execution.mode", "interpreted")]),
    ("compiled", &[("execution.mode", "jit"), ("sql.codegen.fallback", "false")]),
    ("compiled, one-row batches", &[("execution.mode", "jit"), ("sql.codegen.fallback", "false"), ("execution.batchSize", "1")]),
];

/// What a query gives in all modes, which must agree.
fn in_all_modes<T: PartialEq + std::fmt::Debug>(file: &GoldenFile, run: impl Fn(&Session) -> Result<T, String>) -> Result<T, String> {
    let mut first: Option<T> = None;
    for (name, settings) in MODES {
        let found = run(&session(file, settings)?).map_err(|e| format!("{name}: {e}"))?;
        match &first {
            Some(expected) if *expected != found => {
                return Err(format!("the engines differ: {name} gives\n{found:#?}\nin place of\n{expected:#?}"));
            }
            Some(_) => {}
            None => first = Some(found),
        }
    }
    first.ok_or_else(|| "no mode".into())
}

fn result(file: &GoldenFile, sql: &str) -> Result<String, String> {
    let ordered = sql.to_lowercase().contains("order by");
    in_all_modes(file, |session| {
        let data = session.sql(sql).map_err(text)?;
        let mut csv = csv(&data.schema(), &data.collect().map_err(text)?)?;
        if !ordered {
            let (head, rows) = csv.split_once('\n').unwrap_or((&csv, ""));
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.sort_unstable();
            csv = [vec![head], rows].concat().join("\n");
        }
        Ok(csv.trim_end().to_string())
    })
}

fn csv(schema: &Schema, batches: &[RecordBatch]) -> Result<String, String> {
    let mut out = vec![];
    let mut writer = ResultWriter::new(ResultFormat::Csv, schema, &mut out).map_err(text)?;
    for batch in batches {
        writer.write(batch).map_err(text)?;
    }
    writer.finish().map_err(text)?;
    String::from_utf8(out).map_err(|e| e.to_string())
}

fn error(file: &GoldenFile, sql: &str) -> Result<String, String> {
    in_all_modes(file, |session| match session.sql(sql).and_then(|d| d.collect()) {
        Ok(_) => Err("the query does not fail".into()),
        Err(e) => Ok(e.to_string()),
    })
}

fn clif(execution: &QueryExecution, section: &Section) -> Result<String, String> {
    let wanted: usize = section.arguments.iter().find(|(k, _)| k == "stage").and_then(|(_, v)| v.parse().ok()).unwrap_or(1);
    let stages = execution.stages().map_err(text)?;
    // Those of subqueries come before those of the main plan.
    let stage = stages.iter().rfind(|(id, _)| *id == wanted).ok_or_else(|| format!("there is no stage {wanted}"))?;
    Ok(stage.1.clif().to_string())
}

/// Whether a body consists of `check:` and `not:` lines rather than the text itself.
fn is_checks(body: &str) -> bool {
    body.lines().next().is_some_and(|l| l.starts_with("check:") || l.starts_with("not:"))
}

/// `check:` lines must occur in order, `not:` lines nowhere.
fn checks(body: &str, found: &str) -> Result<(), String> {
    let mut rest = found;
    for line in body.lines() {
        if let Some(wanted) = line.strip_prefix("check:") {
            let at = rest.find(wanted.trim()).ok_or_else(|| format!("`{}` is not (there) in\n{found}", wanted.trim()))?;
            rest = &rest[at + wanted.trim().len()..];
        } else if let Some(unwanted) = line.strip_prefix("not:")
            && found.contains(unwanted.trim())
        {
            return Err(format!("`{}` is in\n{found}", unwanted.trim()));
        }
    }
    Ok(())
}

/// Numbers of attributes (`#12`) and plans (`plan_id=12`), and those of JSON, by order of appearance.
fn normalise(text: &str) -> String {
    let mut out = String::new();
    let mut known: HashMap<(&str, String), usize> = HashMap::new();
    let mut rest = text;
    let marks = ["#", "plan_id=", "\"id\": "];
    while let Some((at, mark)) = marks.iter().filter_map(|m| rest.find(m).map(|at| (at, *m))).min() {
        let (before, after) = rest.split_at(at + mark.len());
        out.push_str(before);
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        if !digits.is_empty() {
            let next = known.iter().filter(|((m, _), _)| *m == mark).count();
            let number = *known.entry((mark, digits.clone())).or_insert(next);
            out.push_str(&number.to_string());
        }
        rest = &after[digits.len()..];
    }
    out.push_str(rest);
    out
}
