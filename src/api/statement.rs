//! Running statements: queries become DataFrames, commands act at once and give their rows.

use super::catalog::Catalog;
use super::dataframe::DataFrame;
use super::session::Session;
use super::tables;
use crate::base::settings::ALL;
use crate::base::{Attribute, DataType, Error, ErrorClass, Result, Scalar, Schema};
use crate::datasource::write::SaveMode;
use crate::datasource::{FileTable, MemoryTable};
use crate::logical::{BoundQuery, LogicalPlan, StorageLevel};
use crate::planning::ExplainLevel;
use crate::sql::{BoundStatement, CatalogEntry, CatalogView};

/// Runs a statement: a query waits for an action.
pub(super) fn run(session: &Session, statement: BoundStatement) -> Result<DataFrame> {
    let catalog = session.catalog();
    match statement {
        BoundStatement::Query(query) => return Ok(DataFrame::from_query(session.clone(), query)),
        BoundStatement::Explain { level, query } => return explain(session, level, query),
        BoundStatement::CreateView { name, replace, if_not_exists, query } => {
            create(catalog, &name, replace, if_not_exists, || Ok((query.into(), None)))?;
        }
        BoundStatement::CreateTable { name, replace, if_not_exists, schema, files } => {
            let make = || open(schema, files);
            create(catalog, &name, replace, if_not_exists, make)?;
        }
        BoundStatement::CreateTableAs { name, replace, if_not_exists, files, query } => {
            let mode = if replace { SaveMode::Overwrite } else { SaveMode::ErrorIfExists };
            create(catalog, &name, replace, if_not_exists, || tables::create(session, files, query, mode))?;
        }
        BoundStatement::Insert { name, overwrite, query } => tables::insert(session, last(&name), overwrite, query)?,
        BoundStatement::Drop { name, view, if_exists } => drop_entry(catalog, &name, view, if_exists)?,
        BoundStatement::Set { key: Some(key), value: Some(value) } => {
            session.set(&key, &value)?;
            return setting_rows(session, Some(&key));
        }
        BoundStatement::Set { key, value: _ } => return setting_rows(session, key.as_deref()),
        BoundStatement::Reset { key: Some(key) } => session.unset(&key)?,
        BoundStatement::Reset { key: None } => session.reset(),
        BoundStatement::ShowTables { pattern } => return Ok(show_tables(session, pattern.as_deref())),
        BoundStatement::Describe { columns } => {
            let rows = columns.iter().map(|f| vec![text(&f.name), text(&f.data_type.to_string()), Scalar::Boolean(f.nullable)]);
            let columns = [("col_name", DataType::String), ("data_type", DataType::String), ("nullable", DataType::Boolean)];
            return Ok(literal_rows(session, &columns, rows.collect()));
        }
        BoundStatement::Cache { name, lazy, level, query } => cache(session, last(&name), lazy, level, query)?,
        BoundStatement::Uncache { name, if_exists } => {
            if catalog.contains(last(&name)) || !if_exists {
                catalog.uncache_table(last(&name))?;
            }
        }
        BoundStatement::ClearCache => catalog.clear_cache(),
        BoundStatement::Refresh { name } => session.refresh_table(last(&name))?,
    }
    Ok(literal_rows(session, &[], vec![]))
}

/// Puts a view over a query in place.
pub(super) fn register_view(session: &Session, name: &str, query: BoundQuery) {
    session.catalog().put(name, query.into(), None);
}

/// The catalog is flat: of a dotted name the last part counts.
fn last(name: &[String]) -> &str {
    name.last().map_or("", String::as_str)
}

fn create(
    catalog: &Catalog,
    name: &[String],
    replace: bool,
    if_not_exists: bool,
    entry: impl FnOnce() -> Result<(CatalogEntry, Option<FileTable>)>,
) -> Result<()> {
    let name = last(name);
    match catalog.contains(name) {
        true if if_not_exists => Ok(()),
        true if !replace => {
            Err(Error::new(ErrorClass::TableExists, format!("`{name}` already exists; drop it first or use CREATE OR REPLACE.")))
        }
        _ => {
            let (entry, files) = entry()?;
            catalog.put(name, entry, files);
            Ok(())
        }
    }
}

fn open(schema: Option<Schema>, files: FileTable) -> Result<(CatalogEntry, Option<FileTable>)> {
    match (files.path.is_empty(), schema) {
        (false, None) => {
            let source = files.open()?;
            let fields = &source.schema().fields;
            let partitions = &fields[fields.len() - source.partition_columns()..];
            if let Some(missing) = files.partition_by.iter().find(|p| !partitions.iter().any(|f| f.name.eq_ignore_ascii_case(&p.name))) {
                let message = format!("{}: the folders do not name the partition column `{}`.", files.path, missing.name);
                return Err(Error::new(ErrorClass::MalformedData, message));
            }
            Ok((CatalogEntry::Table(source), Some(files)))
        }
        (false, Some(_)) => Err(Error::unsupported("a table over files takes its columns from the files; leave the list of columns out.")),
        (true, schema) => {
            let schema = schema.unwrap_or_default();
            let Some(spec) = files.buckets else { return Ok((CatalogEntry::Table(MemoryTable::new(schema, vec![])?), None)) };
            spec.check(&schema, 0)?;
            let empty = vec![vec![]; spec.buckets];
            Ok((CatalogEntry::Table(MemoryTable::in_buckets(schema, empty, 1, spec)?), None))
        }
    }
}

fn drop_entry(catalog: &Catalog, name: &[String], view: bool, if_exists: bool) -> Result<()> {
    let name = last(name);
    match (catalog.resolve(&[name.to_string()]), view) {
        (None, _) if if_exists => Ok(()),
        (Some(CatalogEntry::View(_)), false) => {
            Err(Error::new(ErrorClass::InvalidParameter, format!("`{name}` is a view; use DROP VIEW.")))
        }
        // Tables of files are named for the session only, as temporary views over them are.
        _ => catalog.drop(name),
    }
}

/// Keeps the rows of a table or view, or of a query that gets the name; where they cannot be computed, nothing is left of it.
fn cache(session: &Session, name: &str, lazy: bool, level: StorageLevel, query: Option<BoundQuery>) -> Result<()> {
    let catalog = session.catalog();
    let makes_view = query.is_some();
    if let Some(query) = query {
        catalog.create(name, query.into())?;
    }
    let query = catalog.query(name)?;
    let cached = session.cache_query(&query, Some(name), level);
    let computed = cached.and_then(|plan| plan.filter(|_| !lazy).map_or(Ok(()), |plan| plan.materialise().map(|_| ())));
    computed.or_else(|e| {
        catalog.uncache_table(name)?;
        if makes_view {
            catalog.drop(name)?;
        }
        Err(e)
    })
}

fn explain(session: &Session, level: ExplainLevel, query: BoundQuery) -> Result<DataFrame> {
    let execution = session.query_execution(query, std::time::Duration::ZERO)?;
    let plan = execution.explain(level)?;
    Ok(literal_rows(session, &[("plan", DataType::String)], vec![vec![text(&plan)]]).warned(execution.warnings()))
}

fn setting_rows(session: &Session, key: Option<&str>) -> Result<DataFrame> {
    let settings = session.settings();
    let columns = ["key", "value", "default", "meaning"].map(|c| (c, DataType::String));
    let row = |s: &&'static crate::base::settings::Setting| vec![text(s.key), text(settings.text(s)), text(s.local), text(s.doc)];
    match key {
        None => Ok(literal_rows(session, &columns, ALL.iter().map(row).collect())),
        Some(key) => Ok(literal_rows(session, &columns[..2], vec![row(&crate::base::settings::find(key)?)[..2].to_vec()])),
    }
}

fn show_tables(session: &Session, pattern: Option<&str>) -> DataFrame {
    let catalog = session.catalog();
    let names = catalog.table_names().into_iter().filter(|name| pattern.is_none_or(|p| matches_pattern(name, p)));
    let rows = names.map(|name| {
        let kind = match catalog.resolve(std::slice::from_ref(&name)) {
            Some(CatalogEntry::Table(table)) => table.format(),
            Some(CatalogEntry::View(_)) | None => "view",
        };
        let cached = catalog.cached(&name).ok().flatten().map(|info| info.size.map_or(0, |(bytes, _)| bytes));
        let bytes = cached.and_then(|b| i64::try_from(b).ok()).map_or(Scalar::Null(DataType::Long), Scalar::Long);
        vec![text(&name), text(kind), bytes]
    });
    let columns = [("tableName", DataType::String), ("kind", DataType::String), ("cachedBytes", DataType::Long)];
    literal_rows(session, &columns, rows.collect())
}

/// `*` stands for any text, `|` separates alternatives; case does not count.
fn matches_pattern(name: &str, pattern: &str) -> bool {
    fn matches(name: &str, pattern: &str) -> bool {
        match pattern.split_once('*') {
            None => name == pattern,
            Some((start, rest)) => {
                name.strip_prefix(start).is_some_and(|left| (0..=left.len()).any(|i| left.is_char_boundary(i) && matches(&left[i..], rest)))
            }
        }
    }
    let name = name.to_lowercase();
    pattern.to_lowercase().split('|').any(|p| matches(&name, p.trim()))
}

fn text(s: &str) -> Scalar {
    Scalar::string(s)
}

fn literal_rows(session: &Session, columns: &[(&str, DataType)], rows: Vec<Vec<Scalar>>) -> DataFrame {
    let nullable = |i: usize| rows.iter().any(|r| r[i].is_null());
    let output = columns.iter().enumerate().map(|(i, (name, t))| Attribute::new(*name, t.clone(), nullable(i))).collect();
    DataFrame::new(session.clone(), LogicalPlan::LocalRelation { output, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_patterns() {
        assert!(matches_pattern("Orders", "ord*"));
        assert!(matches_pattern("orders", "x|*der*"));
        assert!(!matches_pattern("orders", "ord"));
        assert!(matches_pattern("größe", "*e"));
    }
}
