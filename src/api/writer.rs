//! Writing a DataFrame as a table: format, folders by partition columns, files by bucket.

use super::dataframe::DataFrame;
use super::tables;
use crate::base::{DataType, Error, ErrorClass, Field, Result};
use crate::datasource::write::SaveMode;
use crate::datasource::{BucketSpec, FileTable};

/// Says how to write the rows of [`DataFrame::write`]; a verb at the end writes them.
#[derive(Clone)]
pub struct DataFrameWriter {
    frame: DataFrame,
    files: FileTable,
    mode: SaveMode,
    buckets: Option<(usize, Vec<String>)>,
    sort: Vec<String>,
}

fn strings<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

impl DataFrameWriter {
    pub(super) fn new(frame: DataFrame) -> Self {
        Self { frame, files: FileTable::default(), mode: SaveMode::ErrorIfExists, buckets: None, sort: vec![] }
    }

    /// `parquet` (unless said), `csv`, `tsv`, `json` or `arrow`.
    pub fn format(mut self, format: &str) -> Self {
        self.files.format = Some(format.to_lowercase());
        self
    }

    /// What becomes of what is there already.
    pub fn mode(mut self, mode: SaveMode) -> Self {
        self.mode = mode;
        self
    }

    /// The folder of [`Self::save_as_table`]; without it the table is in memory.
    pub fn path(mut self, path: impl AsRef<std::path::Path>) -> Self {
        self.files.path = path.as_ref().to_string_lossy().into_owned();
        self
    }

    /// A folder `column=value` for each value of these columns.
    pub fn partition_by<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.files.partition_by = strings(columns).into_iter().map(|name| Field::new(name, DataType::Null, true)).collect();
        self
    }

    /// Deals the rows out to `buckets` files by the hash of these columns.
    pub fn bucket_by<S: Into<String>>(mut self, buckets: usize, columns: impl IntoIterator<Item = S>) -> Self {
        self.buckets = Some((buckets, strings(columns)));
        self
    }

    /// Sorts the rows of each bucket.
    pub fn sort_by<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.sort = strings(columns);
        self
    }

    /// Writes a folder.
    ///
    /// # Errors
    /// Those of the query; `TableExists`, `Io`; `ColumnNotFound` for columns to partition by; `InvalidParameter` with buckets, as only a
    /// table's name can remember them.
    pub fn save(self, path: impl AsRef<std::path::Path>) -> Result<()> {
        if self.buckets.is_some() || !self.sort.is_empty() {
            let message = "`save` forgets about buckets and their order; use `save_as_table`.";
            return Err(Error::new(ErrorClass::InvalidParameter, message));
        }
        let Self { frame, files, mode, .. } = self.path(path);
        tables::write(frame.session(), &files, frame.query().clone(), mode)
    }

    /// Writes a table and names it.
    ///
    /// # Errors
    /// Those of [`Self::save`]; `TableExists` when there is a table of that name, unless the mode is to overwrite or to append.
    pub fn save_as_table(mut self, name: &str) -> Result<()> {
        self.files.buckets = match (self.buckets.take(), self.sort) {
            (Some((buckets, columns)), sort) => Some(BucketSpec { buckets, columns, sort }),
            (None, sort) if sort.is_empty() => None,
            (None, _) => return Err(Error::new(ErrorClass::InvalidParameter, "`sort_by` sorts within buckets; say `bucket_by` too.")),
        };
        let session = self.frame.session().clone();
        let catalog = session.catalog();
        match (self.mode, catalog.contains(name)) {
            (SaveMode::ErrorIfExists, true) => {
                return Err(Error::new(ErrorClass::TableExists, format!("`{name}` already exists.")));
            }
            (SaveMode::Append, true) => return self.frame.insert_into(name, false),
            _ => {}
        }
        let (entry, files) = tables::create(&session, self.files, self.frame.query().clone(), self.mode)?;
        catalog.put(name, entry, files);
        Ok(())
    }
}
