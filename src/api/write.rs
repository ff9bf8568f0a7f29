//! Rows of a DataFrame to text and files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use crate::base::{Attribute, Error, Result, Schema, interrupt};
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
    let schema = Schema::new(output.iter().map(Attribute::to_field).collect());
    let mut writer = ResultWriter::new(format, &schema, out)?;
    for batch in batches {
        interrupt::check()?;
        writer.write(&batch?)?;
    }
    writer.finish()
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
    let unfinished = Unfinished(path.with_file_name(match path.file_name() {
        Some(name) => format!(".{}.{}", name.to_string_lossy(), std::process::id()),
        None => return Err(Error::new(crate::base::ErrorClass::InvalidParameter, format!("{} is not a file name.", path.display()))),
    }));
    let file = File::create(&unfinished.0).map_err(|e| Error::from(e).context(path.display()))?;
    to(BufWriter::new(file), format, output, batches)?;
    std::fs::rename(&unfinished.0, path).map_err(|e| Error::from(e).context(path.display()))
}

/// A file that is removed unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
