//! Tables that are written: in files or in memory, with their rows in partitions and buckets.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::session::Session;
use crate::base::settings::CACHE_BATCH_SIZE;
use crate::base::{Attribute, DataType, Error, ErrorClass, ExprId, Field, Result, Scalar, Schema};
use crate::datasource::write::{FolderWriter, Keys, ResultFormat, SaveMode};
use crate::datasource::{BucketSpec, FileTable, MemoryTable, TableSource};
use crate::expr::{Expr, SortOrder, coerce};
use crate::logical::{BoundQuery, LogicalPlan, RepartitionKind};
use crate::sql::CatalogEntry;

/// Writes a query's rows as a table, in files where there is a path, and opens it.
pub(super) fn create(
    session: &Session,
    mut files: FileTable,
    query: BoundQuery,
    mode: SaveMode,
) -> Result<(CatalogEntry, Option<FileTable>)> {
    if files.path.is_empty() {
        if !files.partition_by.is_empty() {
            return Err(Error::unsupported("A table that is partitioned by columns needs a path (LOCATION)."));
        }
        return Ok((CatalogEntry::Table(in_memory(session, query, files.buckets)?), None));
    }
    files.format.get_or_insert_with(|| "parquet".into());
    let types = query.plan.output();
    write(session, &files, query, mode)?;
    for field in &mut files.partition_by {
        if let Some(column) = find(&types, &field.name) {
            *field = Field::new(column.name, column.data_type, true);
        }
    }
    Ok((CatalogEntry::Table(files.open()?), Some(files)))
}

/// Adds a query's rows to a table, or puts them in the place of its rows. The query has the table's columns.
pub(super) fn insert(session: &Session, name: &str, overwrite: bool, query: BoundQuery) -> Result<()> {
    let catalog = session.catalog();
    let table = match catalog.entry(name) {
        Some(CatalogEntry::Table(table)) => table,
        Some(CatalogEntry::View(_)) => return Err(Error::unsupported(format!("`{name}` is a view; INSERT writes to tables only."))),
        None => return Err(catalog.not_found(name)),
    };
    match catalog.files(name) {
        Some(mut files) => {
            if !std::path::Path::new(&files.path).is_dir() {
                return Err(Error::unsupported(format!(
                    "`{name}`: INSERT writes to tables in memory and in folders, not to {}.",
                    files.path
                )));
            }
            let fields = &table.schema().fields;
            files.format = Some(table.format().to_string());
            files.partition_by = fields[fields.len() - table.partition_columns()..].to_vec();
            write(session, &files, query, if overwrite { SaveMode::Overwrite } else { SaveMode::Append })?;
            session.replace_rows(name, files.open()?)
        }
        None if table.format() == "memory" => {
            let mut partitions = match overwrite {
                true => vec![],
                false => session.query_execution(catalog.query(name)?, std::time::Duration::ZERO)?.collect_partitions()?,
            };
            partitions.extend(collected(session, query)?);
            partitions.retain(|p| !p.is_empty());
            let mut rows = MemoryTable::new(table.schema().clone(), partitions)?;
            if let Some(bucketing) = table.bucketing() {
                rows = in_memory(session, LogicalPlan::relation(name, rows).into(), Some(bucketing.spec.clone()))?;
            }
            session.replace_rows(name, rows)
        }
        None => Err(Error::unsupported(format!("`{name}`: INSERT writes to tables in memory and in folders only."))),
    }
}

fn collected(session: &Session, query: BoundQuery) -> Result<Vec<Vec<RecordBatch>>> {
    session.query_execution(query, std::time::Duration::ZERO)?.collect_partitions()
}

fn in_memory(session: &Session, query: BoundQuery, buckets: Option<BucketSpec>) -> Result<Arc<dyn TableSource>> {
    let schema = nullable(query.plan.output().iter().map(Attribute::to_field).collect());
    let Some(spec) = buckets else { return MemoryTable::new(schema, collected(session, query)?) };
    spec.check(&schema, 0)?;
    let output = query.plan.output();
    let order = |names: &[String]| -> Vec<SortOrder> {
        names.iter().filter_map(|n| find(&output, n)).map(|a| SortOrder::ascending(Expr::Attribute(a))).collect()
    };
    let input = Box::new(query.plan);
    let dealt = LogicalPlan::Repartition { partitions: Some(spec.buckets), by: order(&spec.columns), kind: RepartitionKind::Hash, input };
    let sorted = LogicalPlan::Sort { order: order(&spec.sort), global: false, input: Box::new(dealt) };
    let rows = collected(session, BoundQuery { plan: sorted, subqueries: query.subqueries })?;
    let batch_rows = session.settings().int(&CACHE_BATCH_SIZE).max(1) as usize;
    MemoryTable::in_buckets(schema, rows, batch_rows, spec)
}

/// A table takes NULLs later, whatever the query that made it could give.
fn nullable(fields: Vec<Field>) -> Schema {
    Schema::new(fields.into_iter().map(|f| Field { nullable: true, ..f }).collect())
}

fn find(columns: &[Attribute], name: &str) -> Option<Attribute> {
    columns.iter().find(|a| a.name.eq_ignore_ascii_case(name)).cloned()
}

/// Writes a query's rows to a folder: by partition columns to folders below, by bucket to files, each sorted.
pub(super) fn write(session: &Session, files: &FileTable, query: BoundQuery, mode: SaveMode) -> Result<()> {
    let format = result_format(files.format.as_deref().unwrap_or("parquet"))?;
    let (data, partition_by) = split_columns(&query.plan.output(), &files.partition_by)?;
    let schema = nullable(data.iter().map(Attribute::to_field).collect());
    if let Some(spec) = &files.buckets {
        spec.check(&schema, 0)?;
    }
    let keys = Keys { partition_by: partition_by.iter().map(|a| a.name.to_string()).collect(), bucketed: files.buckets.is_some() };
    let folder = FolderWriter::create(&files.path, format, &schema, mode)?;
    if keys == Keys::default() {
        session.query_execution(query, std::time::Duration::ZERO)?.for_each_partition(|i, mut batches, task| {
            let mut part = folder.part(i)?;
            let mut rows = 0;
            batches.try_for_each(|batch| {
                task.check()?;
                let batch = batch?;
                rows += batch.num_rows() as u64;
                part.write(&batch)
            })?;
            part.finish()?;
            Ok(rows)
        })?;
    } else {
        let plan = keyed(query.plan, &data, &partition_by, files.buckets.as_ref())?;
        let execution = session.query_execution(BoundQuery { plan, subqueries: query.subqueries }, std::time::Duration::ZERO)?;
        let rows =
            execution.for_each_partition(|i, batches, task| folder.write_keyed(i, &keys, batches.map(|batch| task.check().and(batch))))?;
        if rows.iter().all(|rows| *rows == 0) {
            folder.write_empty(&keys)?;
        }
    }
    folder.commit()
}

/// Columns that are written, and partition columns, in the order in which these are named.
fn split_columns(output: &[Attribute], partition_by: &[Field]) -> Result<(Vec<Attribute>, Vec<Attribute>)> {
    let is_partition = |a: &Attribute| partition_by.iter().any(|p| p.name.eq_ignore_ascii_case(&a.name));
    let data: Vec<Attribute> = output.iter().filter(|a| !is_partition(a)).cloned().collect();
    let partition = |field: &Field| {
        find(output, &field.name).ok_or_else(|| {
            let names: Vec<&str> = output.iter().map(|a| a.name.as_ref()).collect();
            let message = format!("The partition column `{}` is not among the columns: {}.", field.name, names.join(", "));
            Error::new(ErrorClass::ColumnNotFound, message)
        })
    };
    let partitions = partition_by.iter().map(partition).collect::<Result<Vec<_>>>()?;
    if data.is_empty() {
        return Err(Error::new(ErrorClass::InvalidParameter, "A table needs a column that it is not partitioned by."));
    }
    Ok((data, partitions))
}

/// The rows as a [`FolderWriter`] takes them: data columns, partition columns as text, the bucket; sorted by these and the sort columns.
fn keyed(input: LogicalPlan, data: &[Attribute], partition_by: &[Attribute], buckets: Option<&BucketSpec>) -> Result<LogicalPlan> {
    let named = |expr: Expr, name: &str| Expr::Alias { expr: Box::new(expr), name: name.into(), id: ExprId::next() };
    let mut keys = vec![];
    for a in partition_by {
        keys.push(named(coerce::explicit_cast(Expr::Attribute(a.clone()), &DataType::String, false)?, &a.name));
    }
    if let Some(spec) = buckets {
        let columns = spec.columns.iter().filter_map(|n| find(data, n)).map(Expr::Attribute).collect();
        let hash = coerce::function("hash", columns)?;
        let bucket = coerce::function("pmod", vec![hash, Expr::Literal(Scalar::Int(spec.buckets as i32))])?;
        keys.push(named(bucket, "bucket"));
    }
    let sort = buckets.iter().flat_map(|spec| &spec.sort).filter_map(|n| find(data, n)).map(Expr::Attribute);
    let order = keys.iter().map(|k| Expr::Attribute(k.to_attribute())).chain(sort).map(SortOrder::ascending).collect();
    let list = data.iter().cloned().map(Expr::Attribute).chain(keys.iter().cloned()).collect();
    let project = LogicalPlan::Project { list, input: Box::new(input) };
    Ok(LogicalPlan::Sort { order, global: false, input: Box::new(project) })
}

/// JSON tables hold one object per line.
fn result_format(name: &str) -> Result<ResultFormat> {
    Ok(match name.parse()? {
        ResultFormat::Json => ResultFormat::Ndjson,
        other => other,
    })
}
