//! Rows on disk: files of a session's own folder, each a sequence of frames.
//!
//! A frame is a complete Arrow IPC stream (LZ4) of a few batches; where it lies, how many rows it has and its checksum are known
//! to whoever wrote it. A file is gone when its last holder drops it, the folder with the session.

use std::fs::File;
use std::hash::Hasher;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use twox_hash::XxHash64;

use super::counter::Counter;
use super::faults::Faults;
use super::size::{compacted, data_size};
use super::stages;
use super::{BatchStream, MemoryPool};
use crate::base::{Error, ErrorClass, OwnedFolder, Result, interrupt};

/// Names of folders and locks begin so.
const PREFIX: &str = "wholestage-spill-";
/// Bytes of rows in a frame, about.
pub const FRAME_BYTES: usize = 128 << 10;

/// The folder of a session's spill files: made with the first file, removed with the last holder.
pub struct TempFolder {
    parent: PathBuf,
    /// As given in the settings.
    setting: String,
    made: Mutex<Option<OwnedFolder>>,
    files: AtomicU64,
}

impl TempFolder {
    /// A folder in `parent`, or where the system keeps such things if that is empty.
    pub fn new(parent: &str) -> Self {
        Self { parent: parent_path(parent), setting: parent.to_string(), made: Mutex::default(), files: AtomicU64::new(0) }
    }

    pub(super) fn is_in(&self, parent: &str) -> bool {
        self.setting == parent
    }

    /// Where it is. When it cannot be made, the next caller tries again.
    fn path(&self) -> Result<PathBuf> {
        let mut made = self.made.lock().unwrap_or_else(|e| e.into_inner());
        let made = match &mut *made {
            Some(made) => made,
            none => {
                let create = || std::fs::create_dir_all(&self.parent).and_then(|()| OwnedFolder::create(&self.parent, PREFIX, ""));
                none.insert(create().map_err(|e| io(&self.parent, &e))?)
            }
        };
        Ok(made.path().to_path_buf())
    }
}

fn parent_path(setting: &str) -> PathBuf {
    if setting.is_empty() { std::env::temp_dir() } else { PathBuf::from(setting) }
}

/// Removes what killed processes left in `parent`.
pub fn remove_leftovers(parent: &str) {
    OwnedFolder::remove_leftovers(&parent_path(parent), PREFIX, "");
}

/// Where some rows are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    offset: u64,
    length: u64,
    checksum: u64,
    pub rows: usize,
}

/// Where the spill files of a plan node go, and what they count to.
#[derive(Clone)]
pub struct SpillSite {
    pub memory: Arc<MemoryPool>,
    /// The setting `memory.tempDir`.
    pub parent: String,
    pub faults: Arc<Faults>,
    /// The metric of bytes written.
    pub written: Counter,
}

impl SpillSite {
    /// An empty file.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(&self) -> Result<SpillFile> {
        SpillFile::create(self.memory.temp_folder(&self.parent), self.faults.clone(), self.written.clone())
    }
}

/// A file of frames; removed when dropped. It is open only while a frame is written or read, as there may be very many.
pub struct SpillFile {
    path: PathBuf,
    /// Where the next frame goes.
    end: Mutex<u64>,
    faults: Arc<Faults>,
    written: Counter,
    _folder: Arc<TempFolder>,
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(bytes);
    hasher.finish()
}

impl SpillFile {
    fn create(folder: Arc<TempFolder>, faults: Arc<Faults>, written: Counter) -> Result<Self> {
        let path = folder.path()?.join(format!("{}.arrows", folder.files.fetch_add(1, Ordering::Relaxed)));
        if faults.hit("spill.create") {
            return Err(Error::new(ErrorClass::Io, format!("{}: No space left on device (injected)", path.display())));
        }
        File::create(&path).map_err(|e| io(&path, &e))?;
        Ok(Self { path, end: Mutex::default(), faults, written, _folder: folder })
    }

    /// Writes the rows as one frame.
    ///
    /// # Errors
    /// `Io`.
    pub fn append(&self, batches: &[RecordBatch], schema: &SchemaRef) -> Result<Frame> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), schema, options)?;
        for batch in batches {
            stream.write(&compacted(batch)?)?;
        }
        let bytes = stream.into_inner()?;
        if self.faults.hit("spill.write") {
            return Err(Error::new(ErrorClass::Io, format!("{}: No space left on device (injected)", self.path.display())));
        }
        let mut end = self.end.lock().unwrap_or_else(|e| e.into_inner());
        let write = || {
            // Frames before this one are missed by who reads them, if the file is gone.
            let mut file = File::options().write(true).create(true).truncate(false).open(&self.path)?;
            // A write that failed may have left a part of its frame.
            file.seek(SeekFrom::Start(*end))?;
            file.write_all(&bytes)
        };
        write().map_err(|e| io(&self.path, &e))?;
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let frame = Frame { offset: *end, length: bytes.len() as u64, checksum: checksum(&bytes), rows };
        *end += frame.length;
        drop(end);
        self.written.fetch_add(frame.length, Ordering::Relaxed);
        stages::spilled(frame.length);
        Ok(frame)
    }

    /// Writes batches as frames of about [`FRAME_BYTES`], in order: small ones together, large ones in pieces.
    ///
    /// # Errors
    /// `Io`, and those of the batches.
    pub fn append_all(&self, batches: impl IntoIterator<Item = Result<RecordBatch>>, schema: &SchemaRef) -> Result<Vec<Frame>> {
        let (mut frames, mut together, mut bytes) = (vec![], vec![], 0);
        for batch in batches {
            let batch = batch?;
            let (size, rows) = (data_size(&batch), batch.num_rows());
            let step = if size > 2 * FRAME_BYTES { (rows * FRAME_BYTES / size).max(1) } else { rows.max(1) };
            for at in (0..rows).step_by(step) {
                let piece = batch.slice(at, step.min(rows - at));
                bytes += size * piece.num_rows() / rows;
                together.push(piece);
                interrupt::check()?;
                if bytes >= FRAME_BYTES {
                    frames.push(self.append(&[joined(&std::mem::take(&mut together), schema)?], schema)?);
                    bytes = 0;
                }
            }
        }
        if !together.is_empty() {
            frames.push(self.append(&[joined(&together, schema)?], schema)?);
        }
        Ok(frames)
    }

    /// Bytes written.
    pub fn size(&self) -> u64 {
        *self.end.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The rows of a frame.
    ///
    /// # Errors
    /// `Io` when they cannot be read or are not what was written.
    pub fn read(&self, frame: &Frame) -> Result<Vec<RecordBatch>> {
        self.read_columns(frame, None)
    }

    /// Of the rows of a frame these columns, by their numbers.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_columns(&self, frame: &Frame, columns: Option<&[usize]>) -> Result<Vec<RecordBatch>> {
        let mut bytes = vec![0; frame.length as usize];
        let mut fill = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(frame.offset))?;
            file.read_exact(&mut bytes)
        };
        if self.faults.hit("spill.read") {
            return Err(Error::new(ErrorClass::Io, format!("{}: Input/output error (injected)", self.path.display())));
        }
        fill().map_err(|e| io(&self.path, &e))?;
        if checksum(&bytes) != frame.checksum {
            return Err(Error::new(ErrorClass::Io, format!("{}: the file is corrupt (checksum differs)", self.path.display())));
        }
        Ok(StreamReader::try_new(Cursor::new(bytes), columns.map(<[usize]>::to_vec))?.collect::<Result<Vec<_>, _>>()?)
    }

    /// The rows of frames, read one frame at a time.
    pub fn stream(self: &Arc<Self>, frames: Vec<Frame>) -> BatchStream {
        let file = self.clone();
        Box::new(frames.into_iter().flat_map(move |frame| match file.read(&frame) {
            Ok(batches) => batches.into_iter().map(Ok).collect(),
            Err(e) => vec![Err(e)],
        }))
    }

    /// Does to the file what the faults of shuffle files ask for.
    pub fn suffer(&self) {
        if self.faults.hit("shuffle.delete") {
            let _ = std::fs::remove_file(&self.path);
        }
        if self.faults.hit("shuffle.flip")
            && let Ok(mut bytes) = std::fs::read(&self.path)
        {
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0x10;
                let _ = std::fs::write(&self.path, bytes);
            }
        }
    }
}

/// One batch of all.
fn joined(batches: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch> {
    Ok(match batches {
        [one] => one.clone(),
        several if schema.fields().is_empty() => {
            crate::datasource::make_batch(schema, vec![], several.iter().map(RecordBatch::num_rows).sum())?
        }
        several => arrow::compute::concat_batches(schema, several)?,
    })
}

/// An error of the system about a spill file: never that a path of the user's is missing.
fn io(path: &Path, e: &std::io::Error) -> Error {
    Error::new(ErrorClass::Io, format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringViewArray};

    fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone()));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter(rows.map(|i| (i % 3 > 0).then(|| format!("a long text, number {i}")))));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, false), ("t", texts, true)]).unwrap()
    }

    fn file(parent: &Path, faults: &str) -> SpillFile {
        let folder = Arc::new(TempFolder::new(parent.to_str().unwrap()));
        SpillFile::create(folder, Faults::parse(faults).unwrap(), Counter::default()).unwrap()
    }

    #[test]
    fn rows_come_back_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let spilled = file(dir.path(), "");
        let rows = batch(0..20_000);
        let pieces = (0..200).map(|i| Ok(rows.slice(i * 100, 100)));
        let frames = spilled.append_all(pieces, &rows.schema()).unwrap();
        assert!(frames.len() > 2 && frames.len() < 100, "{}", frames.len());
        let spilled = Arc::new(spilled);
        let texts = spilled.read_columns(&frames[0], Some(&[1])).unwrap();
        assert_eq!((texts[0].num_columns(), texts[0].column(0)), (1, &rows.column(1).slice(0, texts[0].num_rows())));
        let none = spilled.read_columns(&frames[0], Some(&[])).unwrap();
        assert_eq!((none[0].num_columns(), none[0].num_rows()), (0, frames[0].rows));
        let back = spilled.stream(frames).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(arrow::compute::concat_batches(&rows.schema(), &back).unwrap(), rows);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "a folder and its lock");
        drop(spilled);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn rows_without_columns_keep_their_number() {
        let dir = tempfile::tempdir().unwrap();
        let spilled = file(dir.path(), "");
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let rows = crate::datasource::make_batch(&schema, vec![], 7).unwrap();
        let frames = spilled.append_all([Ok(rows.clone()), Ok(rows)], &schema).unwrap();
        assert_eq!(spilled.read(&frames[0]).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 14);
    }

    #[test]
    fn a_flipped_bit_or_a_lost_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for fault in ["shuffle.flip", "shuffle.delete", "spill.read"] {
            let spilled = file(dir.path(), fault);
            let rows = batch(0..1000);
            let frame = spilled.append(std::slice::from_ref(&rows), &rows.schema()).unwrap();
            spilled.suffer();
            assert_eq!(spilled.read(&frame).unwrap_err().class, ErrorClass::Io, "{fault}");
        }
    }

    #[test]
    fn files_are_not_kept_open() {
        let dir = tempfile::tempdir().unwrap();
        let spilled = file(dir.path(), "");
        let rows = batch(0..10);
        spilled.append(std::slice::from_ref(&rows), &rows.schema()).unwrap();
        let open =
            std::fs::read_dir("/proc/self/fd").map(|fds| fds.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect());
        assert!(!open.unwrap_or_else(|_| vec![]).contains(&spilled.path));
    }

    #[test]
    fn a_folder_that_could_not_be_made_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("spills");
        std::fs::write(&parent, "in the way").unwrap();
        let folder = Arc::new(TempFolder::new(parent.to_str().unwrap()));
        let create = || SpillFile::create(folder.clone(), Arc::default(), Counter::default());
        assert_eq!(create().err().map(|e| e.class), Some(ErrorClass::Io));
        std::fs::remove_file(&parent).unwrap();
        assert!(create().is_ok());
    }

    #[test]
    fn folders_of_dead_processes_are_removed_and_of_living_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        let living = file(dir.path(), "");
        let dead = dir.path().join(format!("{PREFIX}1-0"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dir.path().join(format!("{PREFIX}1-0.lock")), "").unwrap();
        remove_leftovers(dir.path().to_str().unwrap());
        assert!(!dead.exists() && living.path.exists());
    }
}
