//! Which files a path names, and the partition columns in their folders.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use arrow::array::{RecordBatch, new_null_array};

use super::convert::{batch_schema, make_batch};
use super::{ScanRequest, SelectedFiles};
use crate::base::{DataType, Error, ErrorClass, Field, Result, Scalar, Schema, calendar};
use crate::expr::Expr;
use crate::expr::evaluate::scalar::list_to_array;
use crate::expr::evaluate::{fold, predicate};

/// A file to read.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// One value per partition column.
    pub partition_values: Vec<Scalar>,
}

/// The files of a table.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Paths as given, or as a glob matched them; for EXPLAIN.
    pub roots: Vec<PathBuf>,
    pub files: Vec<DataFile>,
    pub partition_fields: Vec<Field>,
}

/// Stands for NULL in a `key=value` folder name.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

impl Listing {
    /// Lists a file, a folder (with all below it) or a glob; files and folders whose names begin with `_` or `.` are skipped.
    ///
    /// # Errors
    /// `PathNotFound` when nothing is there, `Io`, `MalformedData` when folders disagree about partition columns.
    pub fn new(path: &str) -> Result<Self> {
        Self::with_partitions(path, &[])
    }

    /// The same, with the partition columns declared: their types are not guessed.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_partitions(path: &str, declared: &[Field]) -> Result<Self> {
        let bare = path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path);
        let roots = if bare.contains(['*', '?', '[']) && !Path::new(bare).exists() { matched(bare)? } else { vec![PathBuf::from(bare)] };
        let mut found = Vec::new();
        for root in &roots {
            let at = |e: std::io::Error| Error::from(e).context(root.display());
            let meta = std::fs::metadata(root).map_err(at)?;
            if meta.is_dir() {
                walk(root, &mut Vec::new(), &mut found)?;
            } else {
                found.push((root.clone(), meta.len(), Vec::new()));
            }
        }
        if found.is_empty() {
            return Err(Error::new(ErrorClass::PathNotFound, format!("{path}: there are no data files.")));
        }
        let (files, partition_fields) = typed(found, declared)?;
        Ok(Self { roots, files, partition_fields })
    }

    pub fn total_size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// As EXPLAIN shows it.
    pub fn location(&self) -> String {
        let roots: Vec<String> =
            self.roots.iter().map(|r| format!("file:{}", std::path::absolute(r).unwrap_or_else(|_| r.clone()).display())).collect();
        format!("InMemoryFileIndex({} paths)[{}]", roots.len(), roots.join(", "))
    }

    /// For each file, whether it may hold rows that are wanted: whether it passes the conjuncts over partition columns, which are the last
    /// columns of `schema`, and is of a bucket selected.
    ///
    /// # Errors
    /// Those of evaluating the filters.
    pub fn select(&self, schema: &Schema, request: &ScanRequest) -> Result<Vec<bool>> {
        let mut keep: Vec<bool> =
            self.files.iter().map(|f| request.buckets.as_ref().is_none_or(|buckets| buckets.selects_file(&f.path))).collect();
        if request.partition_filters.is_empty() {
            return Ok(keep);
        }
        let batch = self.partition_batch(schema)?;
        for filter in &request.partition_filters {
            let passes = predicate(filter, &batch)?;
            keep.iter_mut().enumerate().for_each(|(i, k)| *k &= passes.value(i));
        }
        Ok(keep)
    }

    /// How much [`Self::select`] selects.
    ///
    /// # Errors
    /// As there.
    pub fn selected(&self, schema: &Schema, request: &ScanRequest) -> Result<SelectedFiles> {
        let keep = self.select(schema, request)?;
        let kept: Vec<&DataFile> = self.files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file).collect();
        let values: HashSet<&[Scalar]> = kept.iter().map(|f| f.partition_values.as_slice()).collect();
        Ok(SelectedFiles { files: kept.len() as u64, bytes: kept.iter().map(|f| f.size).sum(), partitions: values.len() as u64 })
    }

    /// One row per file: its partition values in their places in `schema`, NULLs in all other columns.
    fn partition_batch(&self, schema: &Schema) -> Result<RecordBatch> {
        let data_columns = schema.fields.len() - self.partition_fields.len();
        let column = |(i, field): (usize, &Field)| match i.checked_sub(data_columns) {
            None => Ok(new_null_array(&field.data_type.to_arrow(), self.files.len())),
            Some(p) => {
                let values: Vec<Scalar> = self.files.iter().map(|f| f.partition_values[p].clone()).collect();
                list_to_array(&values, &field.data_type)
            }
        };
        let columns = schema.fields.iter().enumerate().map(column).collect::<Result<_>>()?;
        make_batch(&batch_schema(schema), columns, self.files.len())
    }
}

fn matched(pattern: &str) -> Result<Vec<PathBuf>> {
    let invalid = |e: glob::PatternError| Error::new(ErrorClass::InvalidParameter, format!("{pattern}: {e}"));
    let mut roots = Vec::new();
    for entry in glob::glob(pattern).map_err(invalid)? {
        let path = entry.map_err(|e| Error::new(ErrorClass::Io, e.to_string()))?;
        if path.file_name().is_some_and(|n| !is_hidden(&n.to_string_lossy())) {
            roots.push(path);
        }
    }
    if roots.is_empty() {
        return Err(Error::new(ErrorClass::PathNotFound, format!("{pattern}: no file matches.")));
    }
    Ok(roots)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

type Found = (PathBuf, u64, Vec<(String, String)>);

fn walk(folder: &Path, keys: &mut Vec<(String, String)>, found: &mut Vec<Found>) -> Result<()> {
    let at = |e: std::io::Error| Error::from(e).context(folder.display());
    let mut entries = std::fs::read_dir(folder).map_err(at)?.collect::<std::io::Result<Vec<_>>>().map_err(at)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if is_hidden(&name) {
            continue;
        }
        let meta = std::fs::metadata(&path).map_err(|e| Error::from(e).context(path.display()))?;
        if !meta.is_dir() {
            found.push((path, meta.len(), keys.clone()));
        } else if let Some((key, value)) = name.split_once('=') {
            keys.push((unescape(key), unescape(value)));
            walk(&path, keys, found)?;
            keys.pop();
        } else {
            walk(&path, keys, found)?;
        }
    }
    Ok(())
}

/// The folder of a value of a partition column, as Hive names it.
pub(super) fn partition_folder(name: &str, value: Option<&str>) -> String {
    let value = value.filter(|v| !v.is_empty()).map_or_else(|| NULL_PARTITION.to_string(), escape);
    format!("{}={value}", escape(name))
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// `%2F` and the like, as Hive writes characters that paths cannot hold.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Gives partition columns the narrowest type that all their values fit.
fn typed(found: Vec<Found>, declared: &[Field]) -> Result<(Vec<DataFile>, Vec<Field>)> {
    let names: Vec<String> = found.first().map(|f| f.2.iter().map(|(k, _)| k.clone()).collect()).unwrap_or_default();
    if let Some((path, ..)) = found.iter().find(|f| !f.2.iter().map(|(k, _)| k).eq(names.iter())) {
        let message =
            format!("{}: its folders do not name the partition columns ({}) of the other files.", path.display(), names.join(", "));
        return Err(Error::new(ErrorClass::MalformedData, message));
    }
    let fields: Vec<Field> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let values = found.iter().map(|f| f.2[i].1.as_str()).filter(|v| *v != NULL_PARTITION);
            let declared = declared.iter().find(|d| d.name.eq_ignore_ascii_case(name));
            declared.cloned().unwrap_or_else(|| Field::new(name.as_str(), partition_type(values), true))
        })
        .collect();
    let files = found
        .into_iter()
        .map(|(path, size, keys)| {
            let partition_values = keys.iter().zip(&fields).map(|((_, v), f)| partition_value(v, &f.data_type)).collect();
            DataFile { path, size, partition_values }
        })
        .collect();
    Ok((files, fields))
}

fn partition_type<'a>(values: impl Iterator<Item = &'a str> + Clone) -> DataType {
    if values.clone().next().is_none() {
        return DataType::String;
    }
    [DataType::Int, DataType::Long, DataType::Double, DataType::Date]
        .into_iter()
        .find(|t| values.clone().all(|v| !partition_value(v, t).is_null()))
        .unwrap_or(DataType::String)
}

/// The value of a folder name, NULL where it does not fit the type.
fn partition_value(text: &str, data_type: &DataType) -> Scalar {
    let value = match data_type {
        _ if text == NULL_PARTITION => None,
        DataType::Int => text.parse().ok().map(Scalar::Int),
        DataType::Long => text.parse().ok().map(Scalar::Long),
        DataType::Double if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
            text.parse().ok().filter(|v: &f64| v.is_finite()).map(Scalar::Double)
        }
        DataType::Date if text.len() == 10 => calendar::parse_date(text).map(Scalar::Date),
        DataType::String => Some(Scalar::string(text)),
        other => {
            let text = Box::new(Expr::Literal(Scalar::string(text)));
            fold(&Expr::Cast { expr: text, to: other.clone(), try_cast: true }).ok()
        }
    };
    value.unwrap_or_else(|| Scalar::Null(data_type.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: PathBuf) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }

    #[test]
    fn partition_folders_have_types() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path().join("day=2024-01-02/n=1/kind=a%2Fb/part-0.csv"));
        touch(dir.path().join("day=2024-01-03/n=3000000000/kind=__HIVE_DEFAULT_PARTITION__/part-0.csv"));
        touch(dir.path().join("_SUCCESS"));
        touch(dir.path().join("_temporary/part-9.csv"));
        let listing = Listing::new(dir.path().to_str().unwrap()).unwrap();
        let types: Vec<&DataType> = listing.partition_fields.iter().map(|f| &f.data_type).collect();
        assert_eq!(types, [&DataType::Date, &DataType::Long, &DataType::String]);
        assert_eq!(listing.files[0].partition_values, [Scalar::Date(19724), Scalar::Long(1), Scalar::string("a/b")]);
        assert_eq!(listing.files[1].partition_values[2], Scalar::Null(DataType::String));
    }

    #[test]
    fn globs_and_missing_paths() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path().join("a1.csv"));
        touch(dir.path().join("a2.csv"));
        touch(dir.path().join("b.csv"));
        let listing = Listing::new(&format!("{}/a*.csv", dir.path().display())).unwrap();
        assert_eq!(listing.files.len(), 2);
        for missing in ["nothing.csv", "z*.csv"] {
            let e = Listing::new(&format!("{}/{missing}", dir.path().display())).unwrap_err();
            assert!(e.class == ErrorClass::PathNotFound && e.message.contains(missing), "{e}");
        }
        touch(dir.path().join("p/x=1/f.csv"));
        touch(dir.path().join("p/y=1/f.csv"));
        assert_eq!(Listing::new(dir.path().join("p").to_str().unwrap()).unwrap_err().class, ErrorClass::MalformedData);
    }
}
