//! JSON: one object per line (NDJSON), or one array of objects; types inferred from the data.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema as ArrowSchema;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::{Decoder, infer_json_schema_from_iterator};
use memchr::memchr;
use serde_json::Value;

use super::chunked::{Chunk, ChunkFormat, ChunkedTable, without_partition_columns};
use super::convert::{batch_schema, make_batch};
use super::listing::{DataFile, Listing};
use super::{BatchStream, TableSource};
use crate::base::{DataType, Error, ErrorClass, Field, Result, Schema};

/// Most bytes read to infer types, shared among the files; files read to their end are also cut into chunks.
const INFER_BYTES: u64 = 256 << 20;
/// Bytes per chunk.
const CHUNK_BYTES: u64 = 4 << 20;

/// JSON with its columns.
#[derive(Debug)]
struct Json {
    fields: Vec<Field>,
}

/// Opens JSON files: reads them once for their types. A key that some object lacks is NULL there.
///
/// # Errors
/// `Io`; `MalformedData` naming file and line.
pub(super) fn open(listing: Listing) -> Result<Arc<dyn TableSource>> {
    let budget = INFER_BYTES / listing.files.len() as u64;
    let mut chunks = Vec::with_capacity(listing.files.len());
    let mut failure = None;
    // One inference over all files, which sees one value after the other.
    let mut files = listing.files.iter();
    let mut survey: Option<Survey> = None;
    let values = std::iter::from_fn(|| {
        loop {
            if let Some(current) = &mut survey {
                match current.next() {
                    Ok(Some(value)) => return Some(Ok(value)),
                    Ok(None) => chunks.push(std::mem::take(&mut current.chunks)),
                    Err(e) => {
                        failure = Some(e);
                        return Some(Err(ArrowError::JsonError(String::new())));
                    }
                }
            }
            match Survey::new(files.next()?, budget) {
                Ok(next) => survey = Some(next),
                Err(e) => {
                    failure = Some(e);
                    return Some(Err(ArrowError::JsonError(String::new())));
                }
            }
        }
    });
    let inferred = infer_json_schema_from_iterator(values);
    if let Some(e) = failure {
        return Err(e);
    }
    let shown = listing.roots.first().map(|r| r.display().to_string()).unwrap_or_default();
    let inferred = inferred.map_err(|e| Error::new(ErrorClass::MalformedData, format!("{shown}: {e}")))?;
    let mut fields = Schema::from_arrow(&inferred).map_err(|e| e.context(&shown))?.fields;
    // Objects have no order of their own: by name, as in Spark.
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields.iter_mut().for_each(|f| f.data_type = without_null(&f.data_type));
    let kept = without_partition_columns(&fields, &listing);
    let fields: Vec<Field> = kept.into_iter().map(|i| fields[i].clone()).collect();
    Ok(ChunkedTable::create(Json { fields: fields.clone() }, listing, fields, chunks))
}

/// Values never seen are text.
fn without_null(t: &DataType) -> DataType {
    match t {
        DataType::Null => DataType::String,
        DataType::Array(e) => DataType::Array(Box::new(without_null(e))),
        DataType::Struct(fs) => DataType::Struct(fs.iter().map(|f| Field { data_type: without_null(&f.data_type), ..f.clone() }).collect()),
        other => other.clone(),
    }
}

/// A first reading of a file, value by value.
struct Survey {
    path: String,
    size: u64,
    budget: u64,
    values: Values,
    chunks: Vec<Chunk>,
}

enum Values {
    Lines { reader: BufReader<File>, offset: u64, line: u64 },
    Array(std::vec::IntoIter<Value>),
    Done,
}

impl Survey {
    fn new(file: &DataFile, budget: u64) -> Result<Self> {
        let path = file.path.display().to_string();
        let mut reader = open_file(&file.path)?;
        let at = |e: std::io::Error| Error::from(e).context(&path);
        let mut chunks = Vec::new();
        let values = if starts_array(&mut reader).map_err(at)? {
            let items = read_array(&file.path)?;
            chunks.push(Chunk { start: 0, length: file.size, first_line: 0, rows: Some(items.len() as u64) });
            Values::Array(items.into_iter())
        } else {
            reader.rewind().map_err(at)?;
            Values::Lines { reader, offset: 0, line: 1 }
        };
        Ok(Self { path, size: file.size, budget, values, chunks })
    }

    fn next(&mut self) -> Result<Option<Value>> {
        let mut text = Vec::new();
        loop {
            let (reader, offset, line) = match &mut self.values {
                Values::Array(items) => return Ok(items.next()),
                Values::Done => return Ok(None),
                Values::Lines { reader, offset, line } => (reader, offset, line),
            };
            if *offset > self.budget {
                // What follows was not seen: one chunk to the end, its rows unknown.
                self.chunks = vec![Chunk { start: 0, length: self.size, first_line: 1, rows: None }];
                self.values = Values::Done;
                return Ok(None);
            }
            text.clear();
            let read = reader.read_until(b'\n', &mut text).map_err(|e| Error::from(e).context(&self.path))? as u64;
            if read == 0 {
                self.values = Values::Done;
                return Ok(None);
            }
            let (start, number) = (*offset, *line);
            *offset += read;
            *line += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let fresh = self.chunks.last().is_none_or(|c| c.length >= CHUNK_BYTES);
            if fresh {
                self.chunks.push(Chunk { start, length: 0, first_line: number, rows: Some(0) });
            }
            if let Some(chunk) = self.chunks.last_mut() {
                chunk.length = start + read - chunk.start;
                chunk.rows = chunk.rows.map(|r| r + 1);
            }
            let broken = |what: String| Error::new(ErrorClass::MalformedData, format!("{}: line {number}: {what}", self.path));
            return match serde_json::from_slice(&text) {
                Ok(value @ Value::Object(_)) => Ok(Some(value)),
                Ok(_) => Err(broken("not an object".into())),
                Err(e) => Err(broken(format!("{e}"))),
            };
        }
    }
}

fn open_file(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::with_capacity(256 * 1024, File::open(path).map_err(|e| Error::from(e).context(path.display()))?))
}

/// Whether the first character that is not white is `[`.
fn starts_array(reader: &mut impl BufRead) -> std::io::Result<bool> {
    for byte in reader.bytes() {
        match byte? {
            b if b.is_ascii_whitespace() => {}
            b => return Ok(b == b'['),
        }
    }
    Ok(false)
}

fn read_array(path: &Path) -> Result<Vec<Value>> {
    serde_json::from_reader(open_file(path)?).map_err(|e| Error::new(ErrorClass::MalformedData, format!("{}: {e}", path.display())))
}

impl Json {
    fn decoder(schema: &Arc<ArrowSchema>, batch_size: usize) -> Result<Decoder> {
        Ok(ReaderBuilder::new(schema.clone()).with_batch_size(batch_size).with_coerce_primitive(true).build_decoder()?)
    }
}

impl ChunkFormat for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn read(&self, path: &Path, chunk: &Chunk, columns: &[usize], batch_size: usize) -> Result<BatchStream> {
        let schema = batch_schema(&Schema::new(columns.iter().map(|c| self.fields[*c].clone()).collect()));
        let mut decoder = Self::decoder(&schema, batch_size)?;
        if chunk.first_line == 0 {
            return array_batches(path, decoder, batch_size);
        }
        let mut file = open_file(path)?;
        file.seek(SeekFrom::Start(chunk.start)).map_err(|e| Error::from(e).context(path.display()))?;
        let mut reader = BufReader::with_capacity(256 * 1024, file.take(chunk.length));
        let (path, chunk) = (path.to_path_buf(), chunk.clone());
        let mut next = move || {
            let mut bytes = 0;
            loop {
                let buffer = reader.fill_buf().map_err(|e| Error::from(e).context(path.display()))?;
                // Of long lines so many are a batch as make a chunk.
                let line = if bytes >= CHUNK_BYTES { memchr(b'\n', buffer) } else { None };
                let available = line.map_or(buffer.len(), |end| end + 1);
                let consumed = decoder.decode(&buffer[..available]).map_err(|e| locate(&path, &chunk, &schema, &e))?;
                reader.consume(consumed);
                bytes += consumed as u64;
                // The decoder stops short where its batch is full.
                if available == 0 || consumed < available || line.is_some() {
                    let batch = decoder.flush().map_err(|e| locate(&path, &chunk, &schema, &e))?;
                    if batch.is_none() && available > 0 {
                        continue;
                    }
                    return batch.map(|b| make_batch(&schema, b.columns().to_vec(), b.num_rows())).transpose();
                }
            }
        };
        Ok(Box::new(std::iter::from_fn(move || next().transpose())))
    }
}

fn array_batches(path: &Path, mut decoder: Decoder, batch_size: usize) -> Result<BatchStream> {
    let items = read_array(path)?;
    let shown = path.display().to_string();
    let mut from = 0;
    Ok(Box::new(std::iter::from_fn(move || {
        let to = items.len().min(from + batch_size);
        let rows = &items[from..to];
        from = to;
        let broken = |e: ArrowError| Error::new(ErrorClass::MalformedData, format!("{shown}: {e}"));
        if rows.is_empty() { None } else { decoder.serialize(rows).and_then(|()| decoder.flush()).map_err(broken).transpose() }
    })))
}

/// The error with the first line that does not decode by itself.
fn locate(path: &Path, chunk: &Chunk, schema: &Arc<ArrowSchema>, error: &ArrowError) -> Error {
    let find = || -> Option<u64> {
        let mut file = open_file(path).ok()?;
        file.seek(SeekFrom::Start(chunk.start)).ok()?;
        let lines = BufReader::new(file.take(chunk.length)).split(b'\n');
        for (i, line) in lines.enumerate() {
            let mut decoder = Json::decoder(schema, 1).ok()?;
            let mut line = line.ok()?;
            line.push(b'\n');
            if decoder.decode(&line).and_then(|_| decoder.flush()).is_err() {
                return Some(chunk.first_line + i as u64);
            }
        }
        None
    };
    let line = find().map(|l| format!("line {l}: ")).unwrap_or_default();
    Error::new(ErrorClass::MalformedData, format!("{}: {line}{error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Array, AsArray, RecordBatch};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::base::Settings;
    use crate::datasource::{ScanRequest, open_path};

    fn table(name: &str, text: &str) -> Result<(tempfile::TempDir, Arc<dyn TableSource>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let table = open_path(path.to_str().unwrap(), None, &BTreeMap::new())?;
        Ok((dir, table))
    }

    fn read(t: &dyn TableSource, columns: &[usize]) -> Result<Vec<RecordBatch>> {
        let request = ScanRequest {
            columns: columns.to_vec(),
            partition_filters: vec![],
            data_filters: vec![],
            buckets: None,
            settings: Settings::new(),
        };
        t.plan_scan(&request)?.iter().map(|p| p.open()?.collect::<Result<Vec<_>>>()).collect::<Result<Vec<_>>>().map(|v| v.concat())
    }

    #[test]
    fn lines_and_arrays() {
        let rows = ["{\"a\": 1, \"s\": \"x\", \"l\": [1, 2]}", "{\"a\": null, \"d\": 1.5, \"o\": {\"k\": true}}"];
        for (name, text) in [("t.ndjson", format!("{}\n\n{}", rows[0], rows[1])), ("t.json", format!(" [{},\n{}]\n", rows[0], rows[1]))] {
            let (_dir, t) = table(name, &text).unwrap();
            let types: Vec<String> = t.schema().fields.iter().map(|f| format!("{}:{}", f.name, f.data_type)).collect();
            assert_eq!(types, ["a:bigint", "d:double", "l:array<bigint>", "o:struct<k:boolean>", "s:string"]);
            assert_eq!(t.statistics().row_count, Some(2));
            let batch = &read(&*t, &[4, 0, 2]).unwrap()[0];
            assert_eq!(batch.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
            assert_eq!(batch.column(0).as_string_view().value(0), "x");
            assert_eq!(batch.column(2).data_type(), &DataType::Array(Box::new(DataType::Long)).to_arrow());
            assert_eq!(batch.column(2).null_count(), 1);
            assert_eq!(read(&*t, &[]).unwrap()[0].num_rows(), 2);
        }
    }

    #[test]
    fn batches_of_long_lines_have_few() {
        let line = |i: usize| format!("{{\"a\": {i}, \"s\": \"{}\"}}\n\n", "x".repeat(1 << 20));
        let text: String = (0..12).map(line).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ndjson");
        std::fs::write(&path, &text).unwrap();
        let format = Json { fields: vec![Field::new("a", DataType::Long, true), Field::new("s", DataType::String, true)] };
        let chunk = Chunk { start: 0, length: text.len() as u64, first_line: 1, rows: None };
        let batches = format.read(&path, &chunk, &[0, 1], 8192).unwrap().collect::<Result<Vec<_>>>().unwrap();
        assert!(batches.len() >= 2 && batches.iter().all(|b| b.num_rows() <= 6), "{}", batches.len());
        let numbers: Vec<i64> = batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(numbers, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn broken_lines_are_named() {
        for text in ["{\"a\": 1}\n{\"a\": \n", "{\"a\": 1}\n[1]\n"] {
            let e = table("t.ndjson", text).unwrap_err();
            assert!(e.class == ErrorClass::MalformedData && e.message.contains("t.ndjson: line 2"), "{e}");
        }
        let (dir, t) = table("t.ndjson", "{\"a\": 1}\n{\"a\": 2}\n").unwrap();
        std::fs::write(dir.path().join("t.ndjson"), "{\"a\": 1}\n{\"a\":{}}\n").unwrap();
        let e = read(&*t, &[0]).unwrap_err();
        assert!(e.message.contains("t.ndjson: line 2"), "{e}");
    }
}
