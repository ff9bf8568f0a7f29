//! Tables and views of a session, by name without regard to case.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::base::error::nearest;
use crate::base::{Error, ErrorClass, Result};
use crate::datasource::{FileTable, TableSource};
use crate::execution::{CacheInfo, CacheManager};
use crate::logical::{BoundQuery, LogicalPlan};
use crate::sql::{CatalogEntry, CatalogView};

/// The names that queries of a session can use, and what is cached.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By the name in lower case.
    entries: RwLock<BTreeMap<String, Named>>,
    cache: Arc<CacheManager>,
}

#[derive(Debug)]
struct Named {
    /// As given.
    name: String,
    entry: CatalogEntry,
    /// Of a table in files, where these are.
    files: Option<FileTable>,
}

impl Named {
    fn query(&self) -> BoundQuery {
        match &self.entry {
            CatalogEntry::Table(source) => LogicalPlan::relation(&self.name, source.clone()).into(),
            CatalogEntry::View(query) => (**query).clone(),
        }
    }
}

impl Catalog {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Named>> {
        self.entries.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Named>> {
        self.entries.write().unwrap_or_else(|e| e.into_inner())
    }

    /// Names a table; one of that name is replaced.
    pub fn register_table(&self, name: &str, source: Arc<dyn TableSource>) {
        self.put(name, CatalogEntry::Table(source), None);
    }

    /// Names a table in files that was opened as `source`.
    pub(crate) fn register_files(&self, name: &str, files: FileTable, source: Arc<dyn TableSource>) {
        self.put(name, CatalogEntry::Table(source), Some(files));
    }

    /// Puts an entry in place; what was cached of one that it replaces is forgotten.
    pub(crate) fn put(&self, name: &str, entry: CatalogEntry, files: Option<FileTable>) {
        let replaced = self.write().insert(name.to_lowercase(), Named { name: name.to_string(), entry, files });
        self.forget(replaced.as_ref());
    }

    fn forget(&self, named: Option<&Named>) {
        // Errors are those of rewriting expressions, which renumbering them does not meet.
        let _ = named.map(|n| self.cache.uncache(&n.query()));
    }

    /// Puts an entry in place of nothing.
    ///
    /// # Errors
    /// `TableExists`.
    pub(crate) fn create(&self, name: &str, entry: CatalogEntry) -> Result<()> {
        if self.contains(name) {
            return Err(Error::new(ErrorClass::TableExists, format!("`{name}` already exists; drop it first.")));
        }
        self.put(name, entry, None);
        Ok(())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.read().contains_key(&name.to_lowercase())
    }

    /// Forgets a table or view, and what is cached of it; files stay.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub fn drop(&self, name: &str) -> Result<()> {
        let removed = self.write().remove(&name.to_lowercase());
        self.forget(removed.as_ref());
        removed.map(|_| ()).ok_or_else(|| self.not_found(name))
    }

    /// Other rows for a table, and for the views over it; those cached stay until [`CacheManager::replace`].
    /// The rows that it had, if it is a table.
    ///
    /// # Errors
    /// None at present.
    pub(crate) fn replace_rows(&self, name: &str, source: &Arc<dyn TableSource>) -> Result<Option<Arc<dyn TableSource>>> {
        let mut entries = self.write();
        let Some(CatalogEntry::Table(rows)) = entries.get_mut(&name.to_lowercase()).map(|n| &mut n.entry) else { return Ok(None) };
        let old = std::mem::replace(rows, source.clone());
        for named in entries.values_mut() {
            if let CatalogEntry::View(query) = &mut named.entry
                && let Some(renewed) = query.with_source(&old, source)?
            {
                *query = Arc::new(renewed);
            }
        }
        Ok(Some(old))
    }

    pub(crate) fn entry(&self, name: &str) -> Option<CatalogEntry> {
        Some(self.read().get(&name.to_lowercase())?.entry.clone())
    }

    /// Where the files of a table are; nothing for tables in memory and views.
    pub(crate) fn files(&self, name: &str) -> Option<FileTable> {
        self.read().get(&name.to_lowercase())?.files.clone()
    }

    /// The rows that a name stands for, as a query.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub(crate) fn query(&self, name: &str) -> Result<BoundQuery> {
        let query = self.read().get(&name.to_lowercase()).map(Named::query);
        query.ok_or_else(|| self.not_found(name))
    }

    pub(crate) fn cache(&self) -> &Arc<CacheManager> {
        &self.cache
    }

    /// Whether the rows of a table or view are cached, be they computed yet or not.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub fn is_cached(&self, name: &str) -> Result<bool> {
        Ok(self.cached(name)?.is_some())
    }

    /// The cached rows of a table or view: their size in memory among others.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub fn cached(&self, name: &str) -> Result<Option<CacheInfo>> {
        Ok(self.cache.lookup(&self.query(name)?)?.map(|plan| CacheInfo::of(&plan)))
    }

    /// Everything cached, DataFrames included.
    pub fn list_cached(&self) -> Vec<CacheInfo> {
        self.cache.list()
    }

    /// Forgets the cached rows of a table or view, if there are any.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub fn uncache_table(&self, name: &str) -> Result<()> {
        self.cache.uncache(&self.query(name)?).map(|_| ())
    }

    /// Forgets all cached rows.
    pub fn clear_cache(&self) {
        self.cache.clear();
    }

    /// Names in alphabetical order.
    pub fn table_names(&self) -> Vec<String> {
        self.read().values().map(|n| n.name.clone()).collect()
    }

    /// The error for a name that names nothing.
    pub(crate) fn not_found(&self, name: &str) -> Error {
        let names = self.table_names();
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(n) => format!(" Did you mean `{n}`?"),
            None if names.is_empty() => " There are no tables.".to_string(),
            None => format!(" Known: {}.", names.join(", ")),
        };
        Error::new(ErrorClass::TableNotFound, format!("The table or view `{name}` cannot be found.{hint}"))
    }
}

impl CatalogView for Catalog {
    fn resolve(&self, name: &[String]) -> Option<CatalogEntry> {
        // One flat catalog: of `catalog.schema.table` the last part counts.
        let last = name.last()?.to_lowercase();
        Some(self.read().get(&last)?.entry.clone())
    }

    fn names(&self) -> Vec<String> {
        self.table_names()
    }
}
