//! From a path to a table: the format by extension, one file, a folder, a glob, or a folder of tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::buckets::{BucketSpec, BucketedTable};
use super::listing::Listing;
use super::parquet::ParquetTable;
use super::{TableSource, arrow_ipc, csv, json};
use crate::base::error::nearest;
use crate::base::{Error, ErrorClass, Field, Result};

/// The formats, each with the extensions that name it.
const FORMATS: &[(&str, &[&str])] = &[
    ("parquet", &["parquet", "parq", "pq"]),
    ("csv", &["csv"]),
    ("tsv", &["tsv", "tab"]),
    ("json", &["json", "ndjson", "jsonl"]),
    ("arrow", &["arrow", "feather", "ipc"]),
];

/// A table in files: where they are and how to read them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileTable {
    /// A file, a folder or a glob; empty for a table that is to be in memory.
    pub path: String,
    /// By the extension when absent.
    pub format: Option<String>,
    pub options: BTreeMap<String, String>,
    /// The columns in the names of folders, where their types are known; else they are guessed.
    pub partition_by: Vec<Field>,
    /// Of a table whose files are buckets. Nothing in the files tells; whoever names the table must know.
    pub buckets: Option<BucketSpec>,
}

impl FileTable {
    /// As [`open_path`], of what is there now.
    ///
    /// # Errors
    /// Those of [`open_path`]; for buckets `ColumnNotFound` and `MalformedData`.
    pub fn open(&self) -> Result<Arc<dyn TableSource>> {
        let listing = Listing::with_partitions(&self.path, &self.partition_by)?;
        let files = open_listing(listing.clone(), self.format.as_deref(), &self.options)?;
        match &self.buckets {
            Some(spec) => BucketedTable::open(files, &listing, spec.clone()),
            None => Ok(files),
        }
    }
}

/// The table in a file, a folder (hive-style `key=value` folders become partition columns) or the files of a glob.
///
/// `format` is one of `parquet`, `csv`, `tsv`, `json`, `arrow`; without it, the extension of the first file decides.
/// `options` are those of the format's reader.
///
/// # Errors
/// `PathNotFound`, `Io`; `Unsupported` for an unknown format; `MalformedData` naming the file; `InvalidParameter` for an option
/// that the format does not have.
pub fn open_path(path: &str, format: Option<&str>, options: &BTreeMap<String, String>) -> Result<Arc<dyn TableSource>> {
    open_listing(Listing::new(path)?, format, options)
}

fn open_listing(listing: Listing, format: Option<&str>, options: &BTreeMap<String, String>) -> Result<Arc<dyn TableSource>> {
    let format = match format {
        Some(name) => named_format(name)?,
        None => format_of(&listing.files[0].path).ok_or_else(|| {
            let known = FORMATS.iter().flat_map(|(_, e)| e.iter().copied()).collect::<Vec<_>>().join(", ");
            Error::unsupported(format!("{}: the format is not known by the extension ({known}).", listing.files[0].path.display()))
        })?,
    };
    match format {
        "parquet" => {
            check_options(options, &[], format)?;
            ParquetTable::open(listing)
        }
        "csv" | "tsv" => {
            check_options(options, csv::OPTIONS, format)?;
            csv::open(listing, if format == "tsv" { b'\t' } else { b',' }, options)
        }
        "json" => {
            check_options(options, &[], format)?;
            json::open(listing)
        }
        _ => {
            check_options(options, &[], format)?;
            arrow_ipc::open(listing)
        }
    }
}

/// The tables of a folder, by name: each file `NAME.EXT` of a known extension and each folder `NAME/` that holds such files.
///
/// # Errors
/// As [`open_path`].
pub fn open_folder(dir: &str) -> Result<Vec<(String, Arc<dyn TableSource>)>> {
    list_folder(dir)?.into_iter().map(|(name, files)| Ok((name, files.open()?))).collect()
}

/// [`open_folder`] without opening the tables.
///
/// # Errors
/// `PathNotFound`, `Io`.
pub fn list_folder(dir: &str) -> Result<Vec<(String, FileTable)>> {
    let at = |e: std::io::Error| Error::from(e).context(dir);
    let mut entries = std::fs::read_dir(dir).map_err(at)?.collect::<std::io::Result<Vec<_>>>().map_err(at)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut tables = Vec::new();
    for entry in entries {
        let (path, file_name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if file_name.starts_with(['_', '.']) || file_name.contains('=') {
            continue;
        }
        let text = path.to_string_lossy();
        let name = if path.is_dir() {
            // Folders of something else are passed over.
            match Listing::new(&text) {
                Ok(listing) if format_of(&listing.files[0].path).is_some() => file_name,
                _ => continue,
            }
        } else if format_of(&path).is_some() {
            path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or(file_name)
        } else {
            continue;
        };
        tables.push((name, FileTable { path: text.into_owned(), ..FileTable::default() }));
    }
    if tables.is_empty() {
        return Err(Error::new(ErrorClass::PathNotFound, format!("{dir}: there are no tables in this folder.")));
    }
    Ok(tables)
}

/// The format that a file's extension names.
fn format_of(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    FORMATS.iter().find(|(_, extensions)| extensions.contains(&extension.as_str())).map(|(f, _)| *f)
}

fn named_format(name: &str) -> Result<&'static str> {
    let lower = name.to_ascii_lowercase();
    let found = FORMATS.iter().find(|(f, e)| *f == lower || e.contains(&lower.as_str())).map(|(f, _)| *f);
    found.ok_or_else(|| {
        let known: Vec<&str> = FORMATS.iter().map(|(f, _)| *f).collect();
        Error::unsupported(format!("There is no format `{name}`; there are {}.", known.join(", ")))
    })
}

/// Refuses options that the format does not have.
fn check_options(options: &BTreeMap<String, String>, known: &[&str], format: &str) -> Result<()> {
    match options.keys().find(|k| !known.iter().any(|n| n.eq_ignore_ascii_case(k))) {
        None => Ok(()),
        Some(key) => {
            let hint = nearest(key, known.iter().copied()).map(|n| format!(" Did you mean `{n}`?")).unwrap_or_default();
            Err(Error::new(ErrorClass::InvalidParameter, format!("The format {format} has no option `{key}`.{hint}")))
        }
    }
}
