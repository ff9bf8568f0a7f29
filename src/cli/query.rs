//! `wholestage query`: runs statements and writes their rows.

use std::path::PathBuf;

use clap::Args;

use super::options::{self, Options, Sources, Statements};
use super::output;
use super::progress::Progress;
use crate::api::{DataFrame, Session};
use crate::base::{Error, ErrorClass, Result};
use crate::datasource::write::ResultFormat;
use crate::execution::PhaseTimings;

#[derive(Args)]
#[command(after_help = "\
Examples:
  wholestage query --data fixtures/sales \"SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY total DESC\"
  wholestage query --table o=fixtures/sales/orders.parquet --format csv -o top.csv \"SELECT * FROM o ORDER BY amount DESC LIMIT 10\"
  wholestage query --data fixtures/sales --timing -f queries.sql

Files in buckets, which joins and groups by k need not shuffle:
  CREATE TABLE t (k BIGINT, v BIGINT) USING parquet CLUSTERED BY (k) SORTED BY (k) INTO 8 BUCKETS LOCATION 'folder'")]
pub(super) struct Arguments {
    #[command(flatten)]
    statements: Statements,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    options: Options,
    /// How rows are written [default: table, or by the extension of -o]
    #[arg(long, value_name = "FORMAT", value_parser = output::parse_format)]
    format: Option<ResultFormat>,
    /// Write the rows of the last statement to a file
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let text = arguments.statements.text()?;
    let session = options::session(&arguments.sources, &arguments.options)?;
    let statements = session.parse(&text)?;
    let Some(last) = statements.len().checked_sub(1) else {
        return Err(Error::new(ErrorClass::Parse, "there is no SQL statement."));
    };
    for (i, statement) in statements.iter().enumerate() {
        options::heed_memory_limit(&session);
        let frame = session.run(statement)?;
        let file = arguments.output.as_deref().filter(|_| i == last);
        let timings = match file {
            Some(path) => output::to_file(&frame, path, arguments.format, arguments.options.progress)?,
            None => print(&frame, arguments.format.unwrap_or(ResultFormat::Table), arguments.options.progress)?,
        };
        if arguments.options.timing {
            eprintln!("{}", timing_line(&timings));
        }
    }
    Ok(())
}

/// Runs a frame and writes its rows to standard output, once all are there: a failing query prints no part of its result.
fn print(frame: &DataFrame, format: ResultFormat, progress: Progress) -> Result<PhaseTimings> {
    if let Some(text) = frame.explanation() {
        output::warn(frame.warnings());
        output::print(text)?;
        return Ok(PhaseTimings::default());
    }
    let execution = frame.query_execution()?;
    execution.physical()?;
    output::warn(&execution.warnings());
    let batches = progress.during(&execution, || execution.collect())?;
    output::to_stdout(&execution.output(), batches, format)?;
    Ok(execution.timings())
}

/// Runs all statements of a text, printing tables.
pub(super) fn print_all(session: &Session, text: &str, timing: bool, progress: Progress) -> Result<()> {
    for statement in session.parse(text)? {
        options::heed_memory_limit(session);
        let timings = print(&session.run(&statement)?, ResultFormat::Table, progress)?;
        if timing {
            eprintln!("{}", timing_line(&timings));
        }
    }
    Ok(())
}

fn timing_line(t: &PhaseTimings) -> String {
    let ms = |d: std::time::Duration| format!("{:.2} ms", d.as_secs_f64() * 1e3);
    format!(
        "parse {}, optimize {}, plan {}, compile {} (median of stages {}), run {}",
        ms(t.parse),
        ms(t.optimize),
        ms(t.plan),
        ms(t.compile),
        ms(t.compile_median),
        ms(t.run.saturating_sub(t.compile))
    )
}
