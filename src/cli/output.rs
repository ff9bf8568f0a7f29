//! Standard output and files.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use arrow::array::RecordBatch;

use super::progress::Progress;
use crate::api::{DataFrame, write};
use crate::base::{Attribute, Error, Result};
use crate::datasource::write::ResultFormat;
use crate::execution::{PhaseTimings, StreamOrder};

/// Standard output; when its reader has gone away (`| head`) the process ends quietly, as one that SIGPIPE ends.
struct Stdout(io::Stdout);

impl Stdout {
    fn alive<T>(result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe) {
            std::process::exit(141);
        }
        result
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::alive(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::alive(self.0.flush())
    }
}

/// Prints text, with a line end after the last line.
///
/// # Errors
/// `Io`.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = Stdout(io::stdout());
    let end = if text.ends_with('\n') { "" } else { "\n" };
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(end.as_bytes()))
        .and_then(|()| out.flush())
        .map_err(|e| Error::from(e).context("standard output"))
}

/// Prints rows. A statement without columns (`SET a = b`) prints nothing.
///
/// # Errors
/// `Io`; `Unsupported` where the format cannot hold a type.
pub(super) fn to_stdout(output: &[Attribute], batches: Vec<RecordBatch>, format: ResultFormat) -> Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    write::to(BufWriter::with_capacity(1 << 16, Stdout(io::stdout())), format, output, batches.into_iter().map(Ok))
}

/// Writes a frame's rows to a file; the format follows the extension unless given.
///
/// # Errors
/// Those of the query; `InvalidParameter` for an unknown extension; `Io`.
pub(super) fn to_file(frame: &DataFrame, path: &Path, format: Option<ResultFormat>, progress: Progress) -> Result<PhaseTimings> {
    let format = match format {
        Some(format) => format,
        None => path.extension().map(|e| e.to_string_lossy()).unwrap_or_default().parse()?,
    };
    let execution = frame.query_execution()?;
    execution.physical()?;
    warn(&execution.warnings());
    progress.during(&execution, || write::file(path, format, &execution.output(), execution.execute_stream(StreamOrder::ByPartition)?))?;
    Ok(execution.timings())
}

/// Tells on standard error what a user should know of a query.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// For clap.
pub(super) fn parse_format(text: &str) -> std::result::Result<ResultFormat, String> {
    text.parse().map_err(|e: Error| e.message)
}
