//! Tables and views of a session, by name without regard to case.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::base::error::nearest;
use crate::base::{Error, ErrorClass, Result};
use crate::datasource::TableSource;
use crate::sql::{CatalogEntry, CatalogView};

/// The names that queries of a session can use.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By the name in lower case.
    entries: RwLock<BTreeMap<String, Named>>,
}

#[derive(Debug)]
struct Named {
    /// As given.
    name: String,
    entry: CatalogEntry,
    /// The rows of `entry`, held in memory.
    cached: Option<Arc<dyn TableSource>>,
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
        self.put(name, CatalogEntry::Table(source));
    }

    /// Puts an entry in place.
    pub(crate) fn put(&self, name: &str, entry: CatalogEntry) {
        self.write().insert(name.to_lowercase(), Named { name: name.to_string(), entry, cached: None });
    }

    /// Puts an entry in place of nothing.
    ///
    /// # Errors
    /// `TableExists`.
    pub(crate) fn create(&self, name: &str, entry: CatalogEntry) -> Result<()> {
        if self.contains(name) {
            return Err(Error::new(ErrorClass::TableExists, format!("`{name}` already exists; drop it first.")));
        }
        self.put(name, entry);
        Ok(())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.read().contains_key(&name.to_lowercase())
    }

    /// Forgets a table or view; files stay.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub fn drop(&self, name: &str) -> Result<()> {
        let removed = self.write().remove(&name.to_lowercase());
        removed.map(|_| ()).ok_or_else(|| self.not_found(name))
    }

    /// From now on the name stands for these rows.
    pub(crate) fn cache(&self, name: &str, rows: Arc<dyn TableSource>) {
        if let Some(named) = self.write().get_mut(&name.to_lowercase()) {
            named.cached = Some(rows);
        }
    }

    /// The name stands for its table or view again; whether it was cached.
    pub(crate) fn uncache(&self, name: &str) -> bool {
        self.write().get_mut(&name.to_lowercase()).is_some_and(|n| n.cached.take().is_some())
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
        let entries = self.read();
        let named = entries.get(&last)?;
        Some(named.cached.clone().map_or_else(|| named.entry.clone(), CatalogEntry::Table))
    }

    fn names(&self) -> Vec<String> {
        self.table_names()
    }
}
