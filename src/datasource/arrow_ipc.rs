//! Arrow IPC files.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::ipc::reader::{FileReader, read_footer_length};
use arrow::ipc::{root_as_footer, root_as_message};
use rayon::prelude::*;

use super::chunked::{Chunk, ChunkFormat, ChunkedTable, without_partition_columns};
use super::convert::{make_batch, normalise};
use super::listing::{DataFile, Listing};
use super::memory::slices;
use super::{BatchStream, TableSource};
use crate::base::{Error, ErrorClass, Field, Result, Schema};

/// Arrow IPC with its columns.
#[derive(Debug)]
struct ArrowIpc {
    /// All columns of the files.
    fields: Vec<Field>,
    /// Positions in the files of the table's data columns.
    positions: Vec<usize>,
}

/// Opens Arrow IPC files, which must all have the columns of the first.
///
/// # Errors
/// `Io`; `MalformedData` for a broken file or one of other columns, naming it.
pub(super) fn open(listing: Listing) -> Result<Arc<dyn TableSource>> {
    let surveys = listing.files.par_iter().map(survey).collect::<Result<Vec<_>>>()?;
    let mut fields: Vec<Field> = surveys[0].0.clone();
    for (file, (other, _)) in listing.files.iter().zip(&surveys) {
        if !fields.iter().map(|f| (&f.name, &f.data_type)).eq(other.iter().map(|f| (&f.name, &f.data_type))) {
            let message = format!("{}: its columns are not those of {}.", file.path.display(), listing.files[0].path.display());
            return Err(Error::new(ErrorClass::MalformedData, message));
        }
        fields.iter_mut().zip(other).for_each(|(f, o)| f.nullable |= o.nullable);
    }
    let positions = without_partition_columns(&fields, &listing);
    let data_fields = positions.iter().map(|p| fields[*p].clone()).collect();
    let chunks = surveys.into_iter().map(|s| s.1).collect();
    Ok(ChunkedTable::create(ArrowIpc { fields, positions }, listing, data_fields, chunks))
}

fn malformed(path: &Path, e: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::MalformedData, format!("{}: {e}", path.display()))
}

/// A file's columns, and a chunk per batch.
fn survey(file: &DataFile) -> Result<(Vec<Field>, Vec<Chunk>)> {
    let path = &file.path;
    let handle = File::open(path).map_err(|e| Error::from(e).context(path.display()))?;
    let reader = FileReader::try_new(BufReader::new(&handle), None).map_err(|e| malformed(path, e))?;
    let fields = Schema::from_arrow(&reader.schema()).map_err(|e| e.context(path.display()))?.fields;
    let chunks = blocks(&handle).map_err(|e| e.context(path.display()))?;
    Ok((fields, chunks))
}

/// Offset, length and rows of each batch, from the footer and the messages' heads.
fn blocks(mut file: &File) -> Result<Vec<Chunk>> {
    let broken = |e: &dyn std::fmt::Display| Error::new(ErrorClass::MalformedData, format!("{e}"));
    let mut end = [0; 10];
    file.seek(SeekFrom::End(-10))?;
    file.read_exact(&mut end)?;
    let length = read_footer_length(end)?;
    let mut footer = vec![0; length];
    file.seek(SeekFrom::End(-10 - i64::try_from(length).map_err(|e| broken(&e))?))?;
    file.read_exact(&mut footer)?;
    let footer = root_as_footer(&footer).map_err(|e| broken(&e))?;
    let mut chunks = Vec::new();
    for block in footer.recordBatches().into_iter().flatten() {
        let mut head = vec![0; block.metaDataLength().max(0) as usize];
        file.seek(SeekFrom::Start(block.offset().max(0) as u64))?;
        file.read_exact(&mut head)?;
        // A continuation marker and a length stand before the message; old files have the length alone.
        let skip = if head.starts_with(&[0xff; 4]) { 8 } else { 4 };
        let rows =
            head.get(skip..).and_then(|m| root_as_message(m).ok()).and_then(|m| Some(m.header_as_record_batch()?.length().max(0) as u64));
        let length = (block.bodyLength() + i64::from(block.metaDataLength())).max(0) as u64;
        chunks.push(Chunk { start: block.offset().max(0) as u64, length, first_line: 0, rows });
    }
    Ok(chunks)
}

impl ChunkFormat for ArrowIpc {
    fn name(&self) -> &'static str {
        "arrow"
    }

    fn read(&self, path: &Path, chunk: &Chunk, columns: &[usize], batch_size: usize) -> Result<BatchStream> {
        let mut file = File::open(path).map_err(|e| Error::from(e).context(path.display()))?;
        let chunks = blocks(&file).map_err(|e| e.context(path.display()))?;
        let index = chunks.iter().position(|c| c == chunk).ok_or_else(|| malformed(path, "changed since it was opened"))?;
        file.rewind().map_err(|e| Error::from(e).context(path.display()))?;
        let wanted: Vec<usize> = columns.iter().map(|c| self.positions[*c]).collect();
        // The reader gives columns in the order of the file, each once.
        let mut roots = wanted.clone();
        roots.sort_unstable();
        roots.dedup();
        let at = |e: &dyn std::fmt::Display| malformed(path, e);
        let mut reader = FileReader::try_new(BufReader::new(file), Some(roots.clone())).map_err(|e| at(&e))?;
        reader.set_index(index).map_err(|e| at(&e))?;
        let batch = match reader.next() {
            Some(batch) => batch.map_err(|e| at(&e))?,
            None => return Ok(Box::new(std::iter::empty())),
        };
        let schema = Schema::new(roots.iter().map(|r| self.fields[*r].clone()).collect());
        let whole = normalise(&batch, &schema).map_err(|e| e.context(path.display()))?;
        let order: Vec<usize> = wanted.iter().map(|w| roots.partition_point(|r| r < w)).collect();
        let fields = Schema::new(wanted.iter().map(|w| self.fields[*w].clone()).collect());
        let arrays = order.iter().map(|i| whole.column(*i).clone()).collect();
        let ordered = make_batch(&super::convert::batch_schema(&fields), arrays, whole.num_rows())?;
        Ok(Box::new(slices(&ordered, batch_size).into_iter().map(Ok)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::*;

    use super::*;
    use crate::base::{DataType, Settings};
    use crate::datasource::write::{ResultFormat, ResultWriter};
    use crate::datasource::{ScanRequest, open_path};

    #[test]
    fn batches_are_read_by_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.arrow");
        let schema = Schema::new(vec![Field::new("a", DataType::Int, false), Field::new("s", DataType::String, true)]);
        let mut writer = ResultWriter::new(ResultFormat::Arrow, &schema, File::create(&path).unwrap()).unwrap();
        for from in [0, 100] {
            let a: ArrayRef = Arc::new(Int32Array::from_iter_values(from..from + 100));
            let s: ArrayRef = Arc::new(StringViewArray::from_iter_values((from..from + 100).map(|i| format!("s{i}"))));
            writer.write(&RecordBatch::try_from_iter([("a", a), ("s", s)]).unwrap()).unwrap();
        }
        writer.finish().unwrap();

        let t = open_path(path.to_str().unwrap(), None, &BTreeMap::new()).unwrap();
        assert_eq!((t.schema(), t.statistics().row_count), (&schema, Some(200)));
        let mut settings = Settings::new();
        settings.set("execution.threads", "2").unwrap();
        settings.set("execution.batchSize", "60").unwrap();
        let request = ScanRequest { columns: vec![1, 0], partition_filters: vec![], data_filters: vec![], buckets: None, settings };
        let partitions = t.plan_scan(&request).unwrap();
        assert_eq!(partitions.iter().map(|p| p.row_count()).collect::<Vec<_>>(), [Some(100), Some(100)]);
        let batches: Vec<RecordBatch> = partitions.iter().flat_map(|p| p.open().unwrap()).map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [60, 40, 60, 40]);
        assert_eq!(batches[2].column(0).as_string_view().value(0), "s100");

        std::fs::write(&path, "not arrow at all").unwrap();
        let e = open_path(path.to_str().unwrap(), None, &BTreeMap::new()).unwrap_err();
        assert!(e.class == ErrorClass::MalformedData && e.message.contains("t.arrow"), "{e}");
    }
}
