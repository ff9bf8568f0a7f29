//! CSV and TSV: RFC 4180 with Spark's options, types inferred from the whole of the data.

mod columns;
mod records;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use self::records::{RecordBlock, RecordReader};
use super::chunked::{Chunk, ChunkFormat, ChunkedTable, without_partition_columns};
use super::convert::{batch_schema, make_batch};
use super::listing::{DataFile, Listing};
use super::{BatchStream, TableSource};
use crate::base::{DataType, Error, ErrorClass, Field, Result, Schema};

/// The options of the reader, besides those of the format.
pub(super) const OPTIONS: &[&str] = &["header", "delimiter", "sep", "quote", "escape", "comment", "nullValue", "inferSchema"];

/// Most bytes read to infer types, shared among the files; files read to their end are also cut into chunks.
const INFER_BYTES: u64 = 256 << 20;
/// Bytes per chunk.
const CHUNK_BYTES: u64 = 4 << 20;

/// How fields and records are marked.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    header: bool,
    delimiter: u8,
    quote: Option<u8>,
    /// What takes away a quote's meaning inside quotes, besides doubling it.
    escape: Option<u8>,
    comment: Option<u8>,
    /// The unquoted text that is NULL.
    null_value: String,
    infer: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { header: true, delimiter: b',', quote: Some(b'"'), escape: None, comment: None, null_value: String::new(), infer: true }
    }
}

impl Dialect {
    /// # Errors
    /// `InvalidParameter` for a value that an option cannot have.
    fn new(delimiter: u8, options: &BTreeMap<String, String>) -> Result<Self> {
        let mut dialect = Self { delimiter, ..Self::default() };
        for (key, value) in options {
            let invalid =
                |what: &str| Error::new(ErrorClass::InvalidParameter, format!("The option `{key}` must be {what}, not `{value}`."));
            let byte = || match value.as_str() {
                "\\t" => Ok(Some(b'\t')),
                "" => Ok(None),
                v if v.len() == 1 => Ok(Some(v.as_bytes()[0])),
                _ => Err(invalid("one ASCII character")),
            };
            let flag = || value.to_ascii_lowercase().parse::<bool>().map_err(|_| invalid("true or false"));
            match key.to_ascii_lowercase().as_str() {
                "header" => dialect.header = flag()?,
                "inferschema" => dialect.infer = flag()?,
                "delimiter" | "sep" => dialect.delimiter = byte()?.ok_or_else(|| invalid("one ASCII character"))?,
                "quote" => dialect.quote = byte()?,
                "escape" => dialect.escape = byte()?,
                "comment" => dialect.comment = byte()?,
                _ => dialect.null_value.clone_from(value),
            }
        }
        Ok(dialect)
    }
}

/// CSV with its columns.
#[derive(Debug)]
struct Csv {
    dialect: Dialect,
    /// All columns of the files.
    fields: Vec<Field>,
    /// Positions in the files of the table's data columns.
    positions: Vec<usize>,
}

/// Opens CSV files (TSV, with tabs as delimiter): reads them once for their types.
///
/// # Errors
/// `Io`; `MalformedData` naming file and line; `InvalidParameter` for options.
pub(super) fn open(listing: Listing, delimiter: u8, options: &BTreeMap<String, String>) -> Result<Arc<dyn TableSource>> {
    let dialect = Dialect::new(delimiter, options)?;
    let budget = INFER_BYTES / listing.files.len() as u64;
    let surveys = listing.files.par_iter().map(|file| survey(file, &dialect, budget)).collect::<Result<Vec<_>>>()?;
    // Empty files have nothing to say about columns.
    let mut fields: Option<Vec<Field>> = None;
    for (file, survey) in listing.files.iter().zip(&surveys) {
        match &mut fields {
            _ if survey.fields.is_empty() => {}
            None => fields = Some(survey.fields.clone()),
            Some(known) => merge_fields(known, &survey.fields, file)?,
        }
    }
    let mut fields = fields.unwrap_or_default();
    for field in &mut fields {
        if field.data_type == DataType::Null || !dialect.infer {
            field.data_type = DataType::String;
        }
    }
    let positions = without_partition_columns(&fields, &listing);
    let data_fields = positions.iter().map(|p| fields[*p].clone()).collect();
    let chunks = surveys.into_iter().map(|s| s.chunks).collect();
    Ok(ChunkedTable::create(Csv { dialect, fields, positions }, listing, data_fields, chunks))
}

fn merge_fields(known: &mut [Field], fields: &[Field], file: &DataFile) -> Result<()> {
    let names = |fields: &[Field]| fields.iter().map(|f| f.name.to_string()).collect::<Vec<_>>().join(", ");
    if !known.iter().map(|f| &f.name).eq(fields.iter().map(|f| &f.name)) {
        let message =
            format!("{}: its columns ({}) are not those of the other files ({}).", file.path.display(), names(fields), names(known));
        return Err(Error::new(ErrorClass::MalformedData, message));
    }
    for (k, f) in known.iter_mut().zip(fields) {
        k.data_type = columns::merge(k.data_type.clone(), f.data_type.clone());
    }
    Ok(())
}

/// What a first reading of a file tells.
struct Survey {
    fields: Vec<Field>,
    chunks: Vec<Chunk>,
}

fn survey(file: &DataFile, dialect: &Dialect, budget: u64) -> Result<Survey> {
    let at = |e: Error| e.context(file.path.display());
    let handle = File::open(&file.path).map_err(|e| at(e.into()))?;
    let mut reader = RecordReader::new(handle, dialect, 1, None);
    let mut block = RecordBlock::default();
    reader.skip_mark().map_err(at)?;
    let mut first = reader.offset();
    if !reader.read(&mut block).map_err(at)? {
        return Ok(Survey { fields: Vec::new(), chunks: Vec::new() });
    }
    let names = names(&block, dialect);
    let mut reader = if dialect.header {
        first = reader.offset();
        reader
    } else {
        // The first record is data: begin again before it.
        let handle = File::open(&file.path).map_err(|e| at(e.into()))?;
        let mut again = RecordReader::new(handle, dialect, 1, None);
        again.skip_mark().map_err(at)?;
        again
    };
    reader.set_columns(names.len());
    let mut types = vec![DataType::Null; names.len()];
    let mut chunks = vec![Chunk { start: first, length: 0, first_line: reader.line(), rows: Some(0) }];
    let mut whole = true;
    loop {
        block.clear();
        if !reader.read(&mut block).map_err(at)? {
            break;
        }
        check_width(&block, 0, names.len()).map_err(at)?;
        infer(&block, dialect, &mut types);
        let chunk = chunks.last_mut().ok_or_else(|| Error::internal("no chunk"))?;
        chunk.rows = chunk.rows.map(|r| r + 1);
        chunk.length = reader.offset() - chunk.start;
        if chunk.length >= CHUNK_BYTES {
            chunks.push(Chunk { start: reader.offset(), length: 0, first_line: reader.line(), rows: Some(0) });
        }
        if reader.offset() > budget {
            whole = false;
            break;
        }
    }
    if whole {
        chunks.retain(|c| c.rows != Some(0));
    } else {
        // What follows was not seen: one chunk to the end, its rows unknown.
        let first_line = chunks[0].first_line;
        chunks = vec![Chunk { start: first, length: file.size.saturating_sub(first), first_line, rows: None }];
    }
    let fields = names.into_iter().zip(types).map(|(n, t)| Field::new(n, t, true)).collect();
    Ok(Survey { fields, chunks })
}

/// Names from the header, or `_c0`, `_c1`, … as Spark gives them.
fn names(block: &RecordBlock, dialect: &Dialect) -> Vec<String> {
    let name = |column: usize| {
        let text = String::from_utf8_lossy(block.field(0, column).0).into_owned();
        if dialect.header && !text.is_empty() { text } else { format!("_c{column}") }
    };
    (0..block.width(0)).map(name).collect()
}

fn infer(block: &RecordBlock, dialect: &Dialect, types: &mut [DataType]) {
    for (column, known) in types.iter_mut().enumerate() {
        let (bytes, _) = block.field(0, column);
        if *known == DataType::String || !dialect.infer || bytes.is_empty() || bytes == dialect.null_value.as_bytes() {
            continue;
        }
        let seen = std::str::from_utf8(bytes).map_or(DataType::String, columns::suggest);
        *known = columns::merge(std::mem::replace(known, DataType::Null), seen);
    }
}

fn check_width(block: &RecordBlock, row: usize, expected: usize) -> Result<()> {
    let found = block.width(row);
    if found == expected {
        return Ok(());
    }
    let message = format!("line {}: {found} fields where there are {expected} columns", block.line(row));
    Err(Error::new(ErrorClass::MalformedData, message))
}

impl ChunkFormat for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn read(&self, path: &Path, chunk: &Chunk, columns: &[usize], batch_size: usize) -> Result<BatchStream> {
        let shown = path.display().to_string();
        let mut file = File::open(path).map_err(|e| Error::from(e).context(&shown))?;
        file.seek(SeekFrom::Start(chunk.start)).map_err(|e| Error::from(e).context(&shown))?;
        let width = self.fields.len();
        let mut reader = RecordReader::new(file.take(chunk.length), &self.dialect, chunk.first_line, Some(width));
        let wanted: Vec<(usize, Field)> = columns.iter().map(|c| (self.positions[*c], self.fields[self.positions[*c]].clone())).collect();
        let schema = batch_schema(&Schema::new(wanted.iter().map(|(_, f)| f.clone()).collect()));
        let dialect = self.dialect.clone();
        let mut block = RecordBlock::default();
        let mut next = move || {
            block.clear();
            while block.rows() < batch_size && block.size() < CHUNK_BYTES as usize && reader.read(&mut block)? {
                check_width(&block, block.rows() - 1, width)?;
            }
            if block.rows() == 0 {
                return Ok(None);
            }
            let arrays = wanted.iter().map(|(p, f)| columns::build(&block, *p, f, &dialect)).collect::<Result<Vec<_>>>()?;
            make_batch(&schema, arrays, block.rows()).map(Some)
        };
        Ok(Box::new(std::iter::from_fn(move || next().map_err(|e| e.context(&shown)).transpose())))
    }
}

#[cfg(test)]
mod tests;
