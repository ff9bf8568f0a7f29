//! Reading a file by whole column chunks.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::Mutex;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A file of which column chunks are read whole when first touched and then handed out without copying: one read of some
/// megabytes in place of several small ones per page. Where most pages are passed over, they are read one by one instead.
pub(super) struct ChunkFile {
    length: u64,
    /// Column chunks in the order of the file.
    chunks: Vec<ColumnChunk>,
    whole: bool,
    state: Mutex<State>,
}

/// Where a column chunk lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnChunk {
    pub column: usize,
    pub start: u64,
    pub length: u64,
}

struct State {
    file: File,
    /// The chunk held for each column: its position, its bytes. Row groups are read in turn, so one is enough.
    held: Vec<Option<(usize, Bytes)>>,
}

impl ChunkFile {
    /// `chunks` are those that will be read, `whole` or page by page.
    pub fn new(file: File, length: u64, mut chunks: Vec<ColumnChunk>, whole: bool) -> Self {
        chunks.sort_by_key(|c| c.start);
        let columns = chunks.iter().map(|c| c.column + 1).max().unwrap_or_default();
        Self { length, chunks, whole, state: Mutex::new(State { file, held: vec![None; columns] }) }
    }

    /// Bytes from `start`: `length` of them, or without it, all to the end of the chunk (of the file, outside chunks).
    fn bytes(&self, start: u64, length: Option<u64>) -> Result<Bytes> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let after = self.chunks.partition_point(|c| c.start <= start);
        let inside = after.checked_sub(1).filter(|i| {
            let c = &self.chunks[*i];
            start.saturating_add(length.unwrap_or(1)) <= c.start + c.length
        });
        let Some(position) = inside else {
            return self.read(&mut state, start, length.unwrap_or(self.length.saturating_sub(start)));
        };
        let chunk = self.chunks[position];
        if !self.whole {
            return self.read(&mut state, start, length.unwrap_or(chunk.start + chunk.length - start));
        }
        let bytes = match &state.held[chunk.column] {
            Some((held, bytes)) if *held == position => bytes.clone(),
            _ => {
                let bytes = self.read(&mut state, chunk.start, chunk.length)?;
                state.held[chunk.column] = Some((position, bytes.clone()));
                bytes
            }
        };
        let from = (start - chunk.start) as usize;
        Ok(bytes.slice(from..length.map_or(bytes.len(), |l| from + l as usize)))
    }

    fn read(&self, state: &mut State, start: u64, length: u64) -> Result<Bytes> {
        let early = || ParquetError::EOF(format!("{length} bytes at {start} are not within the file"));
        // Before memory is taken: a broken footer can ask for anything.
        if start.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(early());
        }
        let mut bytes = Vec::with_capacity(length as usize);
        state.file.seek(SeekFrom::Start(start))?;
        let read = (&mut state.file).take(length).read_to_end(&mut bytes)? as u64;
        if read < length { Err(early()) } else { Ok(bytes.into()) }
    }
}

impl Length for ChunkFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for ChunkFile {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(Cursor::new(self.bytes(start, None)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.bytes(start, Some(length as u64))
    }
}
