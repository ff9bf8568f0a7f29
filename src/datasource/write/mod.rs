//! Rows out: results in the formats of the command, and folders of part files.

mod folder;
mod table;
mod text;

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

pub use self::folder::{FolderWriter, Keys, PartWriter, SaveMode};
use self::table::TableSink;
pub use self::table::render;
use self::text::{CsvSink, JsonSink, MarkdownSink};
use crate::base::error::nearest;
use crate::base::{Error, ErrorClass, Result, Schema};

/// A row group of a Parquet file is in memory until it is written: of wide rows it has fewer than else, about so many bytes.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultFormat {
    /// Aligned columns for people.
    Table,
    /// RFC 4180 with a header; NULL is an empty field.
    Csv,
    /// As CSV with tabs.
    Tsv,
    /// One array of objects.
    Json,
    /// One object per line.
    Ndjson,
    Markdown,
    Parquet,
    /// The Arrow IPC file format.
    Arrow,
}

impl ResultFormat {
    const NAMES: &'static [(&'static str, ResultFormat)] = &[
        ("table", ResultFormat::Table),
        ("csv", ResultFormat::Csv),
        ("tsv", ResultFormat::Tsv),
        ("json", ResultFormat::Json),
        ("ndjson", ResultFormat::Ndjson),
        ("markdown", ResultFormat::Markdown),
        ("parquet", ResultFormat::Parquet),
        ("arrow", ResultFormat::Arrow),
    ];

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, f)| *f == self).map_or("table", |(n, _)| n)
    }

    /// What names of files of this format end with.
    pub fn extension(self) -> &'static str {
        match self {
            ResultFormat::Table => "txt",
            ResultFormat::Markdown => "md",
            _ => self.name(),
        }
    }
}

impl std::str::FromStr for ResultFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, f)| *f).ok_or_else(|| {
            let hint = nearest(name, Self::NAMES.iter().map(|(n, _)| *n)).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
            let names: Vec<&str> = Self::NAMES.iter().map(|(n, _)| *n).collect();
            Error::new(ErrorClass::InvalidParameter, format!("There is no format `{name}`; there are {}.{hint}", names.join(", ")))
        })
    }
}

/// Writes batches in a format as they come.
pub struct ResultWriter<'a> {
    sink: Box<dyn Sink + Send + 'a>,
}

/// A format's writer.
trait Sink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what is left and flushes.
    fn finish(self: Box<Self>) -> Result<()>;
}

impl<'a> ResultWriter<'a> {
    /// A writer of rows of `schema` to `out`, which should be buffered.
    ///
    /// # Errors
    /// `Io`; `Unsupported` where the format cannot hold a type.
    pub fn new(format: ResultFormat, schema: &Schema, out: impl Write + Send + 'a) -> Result<Self> {
        let sink: Box<dyn Sink + Send + 'a> = match format {
            ResultFormat::Table => Box::new(TableSink::new(schema, out)),
            ResultFormat::Csv => Box::new(CsvSink::new(schema, out, ',')?),
            ResultFormat::Tsv => Box::new(CsvSink::new(schema, out, '\t')?),
            ResultFormat::Json => Box::new(JsonSink::new(schema, out, true)),
            ResultFormat::Ndjson => Box::new(JsonSink::new(schema, out, false)),
            ResultFormat::Markdown => Box::new(MarkdownSink::new(schema, out)?),
            ResultFormat::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::SNAPPY).set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
                let properties = properties.build();
                let schema = Arc::new(schema.to_arrow());
                Box::new(ParquetSink { writer: ArrowWriter::try_new(out, schema.clone(), Some(properties))?, schema })
            }
            ResultFormat::Arrow => {
                let schema = Arc::new(schema.to_arrow());
                Box::new(ArrowSink { writer: FileWriter::try_new(out, &schema)?, schema })
            }
        };
        Ok(Self { sink })
    }

    /// Writes rows, in the representation of the schema.
    ///
    /// # Errors
    /// `Io`.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.sink.write(batch)
    }

    /// Ends the output; without it a file is not whole.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(self) -> Result<()> {
        self.sink.finish()
    }
}

struct ParquetSink<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: Arc<ArrowSchema>,
}

impl<W: Write + Send> Sink for ParquetSink<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(&with_schema(batch, &self.schema)?)?)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.finish()?;
        self.writer.inner_mut().flush()?;
        Ok(())
    }
}

struct ArrowSink<W: Write> {
    writer: FileWriter<W>,
    schema: Arc<ArrowSchema>,
}

impl<W: Write> Sink for ArrowSink<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(&with_schema(batch, &self.schema)?)?)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.finish()?;
        self.writer.into_inner()?.flush()?;
        Ok(())
    }
}

/// The batch under the names and nullability that the file declares.
fn with_schema(batch: &RecordBatch, schema: &Arc<ArrowSchema>) -> Result<RecordBatch> {
    super::convert::make_batch(schema, batch.columns().to_vec(), batch.num_rows())
}

#[cfg(test)]
mod tests;
