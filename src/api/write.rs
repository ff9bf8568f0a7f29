//! Rows of a DataFrame to text and files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arrow::array::RecordBatch;

use crate::base::{Attribute, Error, ErrorClass, OwnedFolder, Result, Schema, interrupt};
use crate::datasource::write::{ResultFormat, ResultWriter};

/// Writes batches to `out` and ends the output.
///
/// # Errors
/// Those of the batches; `Io`; `Unsupported` where the format cannot hold a type.
pub fn to(
    out: impl Write + Send,
    format: ResultFormat,
    output: &[Attribute],
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<()> {
    all(out, format, output, batches, &|e| e)
}

/// As [`to`]; `at` is told of errors of writing, and not of those of the batches.
fn all(
    out: impl Write + Send,
    format: ResultFormat,
    output: &[Attribute],
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
    at: &dyn Fn(Error) -> Error,
) -> Result<()> {
    let schema = Schema::new(output.iter().map(Attribute::to_field).collect());
    let mut writer = ResultWriter::new(format, &schema, out).map_err(at)?;
    for batch in batches {
        interrupt::check()?;
        writer.write(&batch?).map_err(at)?;
    }
    writer.finish().map_err(at)
}

/// Batches as text.
///
/// # Errors
/// `Unsupported` where the format cannot hold a type.
pub fn text(output: &[Attribute], batches: Vec<RecordBatch>, format: ResultFormat) -> Result<String> {
    let mut bytes = vec![];
    to(&mut bytes, format, output, batches.into_iter().map(Ok))?;
    String::from_utf8(bytes).map_err(|_| Error::unsupported(format!("the format {} is not text", format.name())))
}

/// Writes batches to a file, which appears under its name only when complete.
///
/// # Errors
/// Those of the batches; `PathNotFound` and `Io`, naming the file.
pub fn file(path: &Path, format: ResultFormat, output: &[Attribute], batches: impl IntoIterator<Item = Result<RecordBatch>>) -> Result<()> {
    let Some(name) = path.file_name() else {
        return Err(Error::new(ErrorClass::InvalidParameter, format!("{} is not a file name.", path.display())));
    };
    let at = |e: Error| e.context(path.display());
    let io = |e: std::io::Error| at(e.into());
    let folder = OwnedFolder::beside(path).map_err(io)?;
    let unfinished = folder.path().join(name);
    all(BufWriter::new(File::create(&unfinished).map_err(io)?), format, output, batches, &at)?;
    std::fs::rename(&unfinished, path).map_err(io)
}
