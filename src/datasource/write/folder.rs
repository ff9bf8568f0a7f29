//! Folders of part files, whole or not there at all.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;

use super::{ResultFormat, ResultWriter};
use crate::base::{Error, ErrorClass, Result, Schema};

/// Writes a folder of part files: parts go to a hidden folder beside it, which gets the name when all is written.
/// Dropped before [`Self::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    staging: PathBuf,
    format: ResultFormat,
    schema: Schema,
    overwrite: bool,
    committed: bool,
}

static NEXT_STAGING: AtomicU64 = AtomicU64::new(0);

impl FolderWriter {
    /// # Errors
    /// `TableExists` when something is at `path` and `overwrite` is false; `Io`.
    pub fn create(path: impl AsRef<Path>, format: ResultFormat, schema: &Schema, overwrite: bool) -> Result<Self> {
        let target = path.as_ref().to_path_buf();
        if target.exists() && !overwrite {
            return Err(Error::new(ErrorClass::TableExists, format!("{} exists already.", target.display())));
        }
        let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let staging = format!(".{name}.{}-{}.writing", std::process::id(), NEXT_STAGING.fetch_add(1, Ordering::Relaxed));
        let staging = target.with_file_name(staging);
        std::fs::create_dir_all(&staging).map_err(|e| at(&staging, e))?;
        Ok(Self { target, staging, format, schema: schema.clone(), overwrite, committed: false })
    }

    /// The writer of part `index`; parts may be written side by side. A part begun again replaces the first try.
    ///
    /// # Errors
    /// `Io`.
    pub fn part(&self, index: usize) -> Result<PartWriter> {
        let path = self.staging.join(format!("part-{index:05}.{}", self.format.extension()));
        let file = File::create(&path).map_err(|e| at(&path, e))?;
        let writer = ResultWriter::new(self.format, &self.schema, BufWriter::new(file)).map_err(|e| e.context(path.display()))?;
        Ok(PartWriter { writer, path })
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// `Io`; `TableExists` when the name was taken meanwhile.
    pub fn commit(mut self) -> Result<()> {
        let success = self.staging.join("_SUCCESS");
        File::create(&success).map_err(|e| at(&success, e))?;
        if self.target.is_dir() && self.overwrite {
            std::fs::remove_dir_all(&self.target).map_err(|e| at(&self.target, e))?;
        } else if self.target.exists() && self.overwrite {
            std::fs::remove_file(&self.target).map_err(|e| at(&self.target, e))?;
        } else if self.target.exists() {
            return Err(Error::new(ErrorClass::TableExists, format!("{} exists already.", self.target.display())));
        }
        std::fs::rename(&self.staging, &self.target).map_err(|e| at(&self.target, e))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for FolderWriter {
    fn drop(&mut self) {
        if !self.committed {
            let _ = std::fs::remove_dir_all(&self.staging);
        }
    }
}

/// One part file.
pub struct PartWriter {
    writer: ResultWriter<'static>,
    path: PathBuf,
}

impl PartWriter {
    /// # Errors
    /// `Io`, naming the file.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| e.context(self.path.display()))
    }

    /// # Errors
    /// `Io`, naming the file.
    pub fn finish(self) -> Result<()> {
        self.writer.finish().map_err(|e| e.context(self.path.display()))
    }
}

fn at(path: &Path, e: std::io::Error) -> Error {
    Error::from(e).context(path.display())
}
