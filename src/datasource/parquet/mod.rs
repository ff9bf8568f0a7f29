//! Parquet: footers read once, row groups and pages skipped by statistics, columns read in their final representation.

mod chunks;
mod footer;
mod late;
mod pages;
mod read;
mod scan;

use std::sync::Arc;

use rayon::prelude::*;

use self::footer::{FileFooter, ParquetFile};
use super::listing::Listing;
use super::prune::BlockColumn;
use super::statistics::Bounds;
use super::{ColumnStatistics, ScanPartition, ScanRequest, SelectedFiles, TableSource, TableStatistics};
use crate::base::{DataType, Error, ErrorClass, Field, Result, Scalar, Schema};

/// A table of Parquet files.
#[derive(Debug)]
pub struct ParquetTable {
    listing: Listing,
    schema: Schema,
    files: Arc<Vec<ParquetFile>>,
    statistics: TableStatistics,
}

impl ParquetTable {
    /// Reads the footers of all files; the schema has the columns of all of them, by name without regard to case.
    ///
    /// # Errors
    /// `PathNotFound`, `Io`; `MalformedData` for a broken footer or a column whose types do not agree, naming the file.
    pub fn open(listing: Listing) -> Result<Arc<dyn TableSource>> {
        let footers = listing.files.par_iter().map(FileFooter::read).collect::<Result<Vec<_>>>()?;
        let data_fields = merged_fields(&footers, &listing.partition_fields)?;
        let files = footers.into_par_iter().map(|f| ParquetFile::new(f, &data_fields)).collect::<Result<Vec<_>>>()?;
        let mut fields = data_fields;
        fields.extend(listing.partition_fields.iter().cloned());
        let schema = Schema::new(fields);
        let statistics = table_statistics(&schema, &files, listing.total_size());
        Ok(Arc::new(Self { listing, schema, files: Arc::new(files), statistics }))
    }
}

impl TableSource for ParquetTable {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn partition_columns(&self) -> usize {
        self.listing.partition_fields.len()
    }

    fn format(&self) -> &'static str {
        "parquet"
    }

    fn location(&self) -> String {
        self.listing.location()
    }

    fn statistics(&self) -> &TableStatistics {
        &self.statistics
    }

    fn supports_pushdown(&self) -> bool {
        true
    }

    fn selected_files(&self, request: &ScanRequest) -> Result<Option<SelectedFiles>> {
        self.listing.selected(&self.schema, request).map(Some)
    }

    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        let selected = self.listing.select(&self.schema, request)?;
        scan::plan(&self.schema, &self.files, &selected, request)
    }
}

/// The columns of all files in order of first appearance, each with a type that all its values fit.
fn merged_fields(footers: &[FileFooter], partition_fields: &[Field]) -> Result<Vec<Field>> {
    let mut merged: Vec<(Field, usize)> = Vec::new();
    for footer in footers {
        for field in &footer.fields {
            // The value in the path wins over one in the file.
            if partition_fields.iter().any(|p| p.name.eq_ignore_ascii_case(&field.name)) {
                continue;
            }
            match merged.iter_mut().find(|(m, _)| m.name.eq_ignore_ascii_case(&field.name)) {
                Some((known, files)) => {
                    *files += 1;
                    known.nullable |= field.nullable;
                    known.data_type = wider(&known.data_type, &field.data_type).ok_or_else(|| {
                        let (path, name) = (footer.file.path.display(), &field.name);
                        let message =
                            format!("{path}: column `{name}` is {} here but {} in other files.", field.data_type, known.data_type);
                        Error::new(ErrorClass::MalformedData, message)
                    })?;
                }
                None => merged.push((field.clone(), 1)),
            }
        }
    }
    Ok(merged.into_iter().map(|(f, files)| Field { nullable: f.nullable || files < footers.len(), ..f }).collect())
}

/// The type that holds the values of both without loss; `None` where there is none.
fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    let rank = |t: &DataType| [DataType::Byte, DataType::Short, DataType::Int, DataType::Long].iter().position(|i| i == t);
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (DataType::Float | DataType::Double, DataType::Float | DataType::Double) => Some(DataType::Double),
        (DataType::Decimal { precision: p, scale: s }, DataType::Decimal { precision: q, scale: t }) if s == t => {
            Some(DataType::decimal(*p.max(q), *s))
        }
        _ => Some(if rank(a)? > rank(b)? { a.clone() } else { b.clone() }),
    }
}

fn table_statistics(schema: &Schema, files: &[ParquetFile], size_bytes: u64) -> TableStatistics {
    let rows: u64 = files.iter().map(ParquetFile::rows).sum();
    let columns = (0..schema.fields.len()).map(|i| column_statistics(i, files, rows)).collect();
    TableStatistics { size_bytes, row_count: Some(rows), columns }
}

fn column_statistics(column: usize, files: &[ParquetFile], rows: u64) -> ColumnStatistics {
    let mut bounds = Bounds::default();
    let mut nulls = Some(0);
    let mut distinct = Distinct::default();
    let mut bytes = Some(0);
    for (file, group) in files.iter().flat_map(|f| (0..f.row_groups()).map(move |g| (f, g))) {
        let block: BlockColumn = file.block(group, column);
        nulls = nulls.zip(block.null_count).map(|(a, b): (u64, u64)| a + b);
        distinct.add(file.distinct_count(group, column), block.rows);
        bytes = bytes.zip(file.string_bytes(group, column)).map(|(a, b): (u64, u64)| a + b);
        bounds.add(block.min, block.max, block.null_count == Some(block.rows));
    }
    let (min, max) = bounds.finish();
    let most = rows - nulls.unwrap_or_default().min(rows);
    let distinct_count = distinct.estimate().into_iter().chain(range(&min, &max)).map(|d| d.min(most)).min();
    // Where none is empty and there are as many bytes as strings, each has one.
    let none_empty = matches!(&min, Some(Scalar::String(least)) if !least.is_empty());
    let length = (none_empty && bytes.is_some() && bytes == nulls.map(|n| rows - n)).then_some((1, 1));
    ColumnStatistics { min, max, null_count: nulls, distinct_count, length }
}

/// The distinct values of a column from those of its row groups.
#[derive(Default)]
struct Distinct {
    largest: u64,
    sum: u64,
    rows: u64,
    unknown: bool,
}

impl Distinct {
    fn add(&mut self, count: Option<u64>, rows: u64) {
        self.largest = self.largest.max(count.unwrap_or_default());
        self.sum += count.unwrap_or_default();
        self.rows += rows;
        self.unknown |= count.is_none();
    }

    /// Values that hardly repeat within a row group are taken not to repeat in another one, and others to be the same ones.
    fn estimate(&self) -> Option<u64> {
        let unique = self.sum * 2 > self.rows;
        (!self.unknown && self.rows > 0).then_some(if unique { self.sum } else { self.largest })
    }
}

/// How many values there are between integer-like bounds.
fn range(min: &Option<Scalar>, max: &Option<Scalar>) -> Option<u64> {
    let (min, max) = (min.as_ref()?, max.as_ref()?);
    let countable = matches!(
        min,
        Scalar::Boolean(_)
            | Scalar::Byte(_)
            | Scalar::Short(_)
            | Scalar::Int(_)
            | Scalar::Long(_)
            | Scalar::Date(_)
            | Scalar::Decimal { .. }
    );
    countable.then(|| u64::try_from(max.as_i128()? - min.as_i128()? + 1).ok()).flatten()
}

#[cfg(test)]
mod tests;
