//! Folders of part files, whole or not there at all.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::partition;
use arrow::datatypes::Int32Type;

use super::{ResultFormat, ResultWriter};
use crate::base::owned_folder::folder_of;
use crate::base::{Error, ErrorClass, OwnedFolder, Result, Schema};
use crate::datasource::listing::partition_folder;

/// What becomes of what is at the path already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SaveMode {
    #[default]
    ErrorIfExists,
    Overwrite,
    /// Files are added.
    Append,
}

/// Writes a folder of part files under Spark's names: parts go to a hidden folder beside it, which gets the name when all is written,
/// or gives its files to the folder that is there. Dropped before [`Self::commit`], it leaves nothing behind; what a killed process
/// has left, the next that writes to the same place removes.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    staging: OwnedFolder,
    format: ResultFormat,
    schema: Schema,
    mode: SaveMode,
    /// Makes names of files differ from those of other writers.
    job: String,
}

/// The columns of sorted batches by which rows go to folders and files, after the columns that are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// Partition columns; their values come as text.
    pub partition_by: Vec<String>,
    /// Whether the last column is the number of a bucket.
    pub bucketed: bool,
}

impl FolderWriter {
    /// # Errors
    /// `TableExists` when something is at `path` that the mode does not expect; `Io`.
    pub fn create(path: impl AsRef<Path>, format: ResultFormat, schema: &Schema, mode: SaveMode) -> Result<Self> {
        let target = path.as_ref().to_path_buf();
        let unexpected = match mode {
            SaveMode::ErrorIfExists => target.exists(),
            SaveMode::Append => target.exists() && !target.is_dir(),
            SaveMode::Overwrite => false,
        };
        if unexpected {
            return Err(Error::new(ErrorClass::TableExists, format!("{} exists already.", target.display())));
        }
        let create = || std::fs::create_dir_all(folder_of(&target)).and_then(|()| OwnedFolder::beside(&target));
        let staging = create().map_err(|e| at(&target, e))?;
        Ok(Self { target, staging, format, schema: schema.clone(), mode, job: unique() })
    }

    /// The writer of all rows of task `index`; parts may be written side by side. A part begun again replaces the first try.
    ///
    /// # Errors
    /// `Io`.
    pub fn part(&self, index: usize) -> Result<PartWriter> {
        self.open(self.staging.path().join(format!("part-{index:05}-{}-c000{}", self.job, self.extension())))
    }

    /// Writes the rows of task `index`, which come sorted by the key columns: each run of equal keys is a file. How many rows there
    /// were.
    ///
    /// # Errors
    /// Those of the batches; `Io`, naming the file.
    pub fn write_keyed(&self, index: usize, keys: &Keys, batches: impl Iterator<Item = Result<RecordBatch>>) -> Result<u64> {
        let (written, mut total) = (self.schema.fields.len(), 0);
        let mut current: Option<(PathBuf, PartWriter)> = None;
        for batch in batches {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            total += batch.num_rows() as u64;
            let rows = batch.project(&(0..written).collect::<Vec<_>>())?;
            for run in partition(&batch.columns()[written..])?.ranges() {
                let path = self.keyed_path(index, keys, &batch.columns()[written..], run.start)?;
                if current.as_ref().is_none_or(|(open, _)| *open != path) {
                    if let Some((_, finished)) = current.take() {
                        finished.finish()?;
                    }
                    current = Some((path.clone(), self.open(path)?));
                }
                if let Some((_, part)) = &mut current {
                    part.write(&rows.slice(run.start, run.len()))?;
                }
            }
        }
        current.map_or(Ok(()), |(_, part)| part.finish())?;
        Ok(total)
    }

    /// A file without rows, so that a table without rows has its columns.
    ///
    /// # Errors
    /// `Unsupported` for partition columns, which only rows make; `Io`.
    pub fn write_empty(&self, keys: &Keys) -> Result<()> {
        if !keys.partition_by.is_empty() {
            return Err(Error::unsupported("A table that is partitioned by columns must be written with rows."));
        }
        self.open(self.staging.path().join(format!("part-00000-{}_00000.c000{}", self.job, self.extension())))?.finish()
    }

    fn keyed_path(&self, index: usize, keys: &Keys, columns: &[ArrayRef], row: usize) -> Result<PathBuf> {
        let mut folder = self.staging.path().to_path_buf();
        for (name, column) in keys.partition_by.iter().zip(columns) {
            let values = column.as_string_view();
            folder.push(partition_folder(name, values.is_valid(row).then(|| values.value(row))));
        }
        std::fs::create_dir_all(&folder).map_err(|e| at(&folder, e))?;
        let bucket = match columns.last() {
            Some(column) if keys.bucketed => format!("_{:05}", column.as_primitive::<Int32Type>().value(row)),
            _ => String::new(),
        };
        Ok(folder.join(format!("part-{index:05}-{}{bucket}.c000{}", self.job, self.extension())))
    }

    fn extension(&self) -> String {
        let compression = if self.format == ResultFormat::Parquet { ".snappy" } else { "" };
        format!("{compression}.{}", self.format.extension())
    }

    fn open(&self, path: PathBuf) -> Result<PartWriter> {
        let file = File::create(&path).map_err(|e| at(&path, e))?;
        let writer = ResultWriter::new(self.format, &self.schema, BufWriter::new(file)).map_err(|e| e.context(path.display()))?;
        Ok(PartWriter { writer, path })
    }

    /// Gives the folder its name, or its files to the folder of that name.
    ///
    /// # Errors
    /// `Io`; `TableExists` when the name was taken meanwhile.
    pub fn commit(self) -> Result<()> {
        let success = self.staging.path().join("_SUCCESS");
        File::create(&success).map_err(|e| at(&success, e))?;
        match (self.mode, self.target.exists()) {
            (SaveMode::Append, true) => {
                move_files(self.staging.path(), &self.target)?;
                return Ok(());
            }
            (SaveMode::Overwrite, true) if self.target.is_dir() => {
                std::fs::remove_dir_all(&self.target).map_err(|e| at(&self.target, e))?
            }
            (SaveMode::Overwrite, true) => std::fs::remove_file(&self.target).map_err(|e| at(&self.target, e))?,
            (SaveMode::ErrorIfExists, true) => {
                return Err(Error::new(ErrorClass::TableExists, format!("{} exists already.", self.target.display())));
            }
            (_, false) => {}
        }
        std::fs::rename(self.staging.path(), &self.target).map_err(|e| at(&self.target, e))?;
        Ok(())
    }
}

/// Moves all files of a folder, those in folders below to folders of the same name.
fn move_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(|e| at(to, e))?;
    for entry in std::fs::read_dir(from).map_err(|e| at(from, e))? {
        let (source, target) = entry.map(|e| (e.path(), to.join(e.file_name()))).map_err(|e| at(from, e))?;
        if source.is_dir() {
            move_files(&source, &target)?;
        } else {
            std::fs::rename(&source, &target).map_err(|e| at(&target, e))?;
        }
    }
    Ok(())
}

/// Random digits in the form of a UUID.
fn unique() -> String {
    let random = || RandomState::new().build_hasher().finish();
    let (high, low) = (random(), random());
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffff_ffff_ffff)
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
