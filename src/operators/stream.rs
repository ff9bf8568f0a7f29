//! Small tools over batches and streams of them, shared by the interpreted operators.

use arrow::array::{Array, ArrayData, ArrayRef, BooleanArray, MutableArrayData, RecordBatch, make_array, new_empty_array};
use arrow::compute::{BatchCoalescer, prep_null_mask_filter};
use arrow::datatypes::{DataType, SchemaRef};

use crate::base::{Result, interrupt};
pub use crate::datasource::make_batch;
use crate::rdd::BatchStream;
use crate::runtime::buffers::with_buffers_once;

/// The same columns under another schema (other names).
///
/// # Errors
/// `Internal` when columns and schema do not fit.
pub fn with_schema(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let (_, columns, rows) = batch.into_parts();
    make_batch(schema, columns, rows)
}

/// `batch` in pieces of at most `size` rows, without copying.
pub fn slices(batch: RecordBatch, size: usize) -> impl Iterator<Item = RecordBatch> + Send {
    let rows = batch.num_rows();
    (0..rows).step_by(size.max(1)).map(move |at| batch.slice(at, size.min(rows - at)))
}

/// A stream of the pieces of one batch.
pub fn batch_stream(batch: RecordBatch, size: usize) -> BatchStream {
    Box::new(slices(batch, size).map(Ok))
}

/// The rows of a stream from `offset` up to `limit`; stops pulling once it has them.
pub fn limited(mut input: BatchStream, offset: u64, limit: u64) -> BatchStream {
    let mut seen = 0;
    Box::new(std::iter::from_fn(move || {
        while seen < limit {
            let batch = match input.next()? {
                Ok(batch) => batch,
                Err(e) => return Some(Err(e)),
            };
            let rows = batch.num_rows() as u64;
            let (start, end) = (offset.saturating_sub(seen).min(rows), rows.min(limit - seen));
            seen += rows;
            if start < end {
                return Some(Ok(batch.slice(start as usize, (end - start) as usize)));
            }
        }
        None
    }))
}

/// One batch of all rows of the stream.
///
/// # Errors
/// Those of the stream.
pub fn concat(stream: BatchStream, schema: &SchemaRef) -> Result<RecordBatch> {
    gathered(schema, &stream.collect::<Result<Vec<_>>>()?)
}

/// One batch of all rows.
///
/// # Errors
/// Those of Arrow's kernels; `Cancelled`.
pub fn gathered(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    if let [one] = batches {
        return Ok(one.clone());
    }
    let column = |c: usize| {
        interrupt::check()?;
        let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(c).as_ref()).collect();
        Ok(with_buffers_once(concatenated(&parts, schema.field(c).data_type())?))
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
    make_batch(schema, columns, batches.iter().map(RecordBatch::num_rows).sum())
}

/// So few rows are gathered within some ten milliseconds.
const SOON_GATHERED: usize = 1 << 19;

/// The parts, all of that type, one after the other.
///
/// # Errors
/// Those of Arrow's kernels; `Cancelled`.
pub fn concatenated(parts: &[&dyn Array], data_type: &DataType) -> Result<ArrayRef> {
    let rows: usize = parts.iter().map(|p| p.len()).sum();
    if parts.is_empty() {
        return Ok(new_empty_array(data_type));
    }
    if rows < SOON_GATHERED {
        return Ok(arrow::compute::concat(parts)?);
    }
    let all: Vec<ArrayData> = parts.iter().map(|p| p.to_data()).collect();
    let mut out = MutableArrayData::new(all.iter().collect(), false, rows);
    for (i, part) in parts.iter().enumerate() {
        for piece in interrupt::pieces(part.len()) {
            let piece = piece?;
            out.try_extend(i, piece.start, piece.end)?;
        }
    }
    Ok(make_array(out.freeze()))
}

/// How many input rows to take at once where nobody knows how many rows each yields: about as many as yield a batch.
pub struct Share {
    rows: usize,
    batch_size: usize,
}

impl Share {
    /// Begins with few, and with more each time as long as they yield little.
    pub fn new(batch_size: usize) -> Self {
        Self { rows: 16, batch_size }
    }

    /// Of so many rows, how many to take.
    pub fn of(&self, rows: usize) -> usize {
        self.rows.min(rows)
    }

    /// Tells how many rows those `taken` have yielded.
    pub fn yielded(&mut self, taken: usize, rows: usize) {
        if taken == 0 {
            return;
        }
        self.rows = (taken * self.batch_size / rows.max(1)).clamp(1, self.rows.saturating_mul(2));
    }
}

/// `flags` with NULL as false.
pub fn true_only(flags: &BooleanArray) -> BooleanArray {
    if flags.null_count() == 0 { flags.clone() } else { prep_null_mask_filter(flags) }
}

/// Collects small batches into ones of about `batch_size` rows; large ones pass untouched.
pub fn coalescer(schema: SchemaRef, batch_size: usize) -> BatchCoalescer {
    BatchCoalescer::new(schema, batch_size).with_biggest_coalesce_batch_size(Some(batch_size / 4))
}

/// The stream that `push` makes when it feeds each input batch to a [`coalescer`].
pub fn coalesced(
    input: BatchStream,
    schema: SchemaRef,
    batch_size: usize,
    push: impl FnMut(&mut BatchCoalescer, RecordBatch) -> Result<()> + Send + 'static,
) -> BatchStream {
    fed(coalescer(schema, batch_size), input, push)
}

/// The rows in batches of exactly `batch_size`, the last one aside.
pub fn in_batches(input: BatchStream, schema: SchemaRef, batch_size: usize) -> BatchStream {
    let push = |buffer: &mut BatchCoalescer, batch: RecordBatch| Ok(buffer.push_batch(batch)?);
    fed(BatchCoalescer::new(schema, batch_size.max(1)), input, push)
}

/// The stream that `push` makes when it feeds each input batch to `buffer`.
fn fed(
    mut buffer: BatchCoalescer,
    mut input: BatchStream,
    mut push: impl FnMut(&mut BatchCoalescer, RecordBatch) -> Result<()> + Send + 'static,
) -> BatchStream {
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(batch) = buffer.next_completed_batch() {
                return Some(Ok(batch));
            }
            if ended {
                return None;
            }
            let step = match input.next() {
                Some(Ok(batch)) => push(&mut buffer, batch),
                Some(Err(e)) => Err(e),
                None => {
                    ended = true;
                    buffer.finish_buffered_batch().map_err(Into::into)
                }
            };
            if let Err(e) = step {
                ended = true;
                return Some(Err(e));
            }
        }
    }))
}
