//! A session: settings, tables, worker threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::catalog::Catalog;
use super::dataframe::DataFrame;
use crate::base::settings::{MEMORY_LIMIT, TEMP_DIR};
use crate::base::{Attribute, DataType, Error, ErrorClass, Result, Schema, Settings, interrupt, warning};
use crate::datasource::{self, FileTable, MemoryTable, TableSource};
use crate::execution::{QueryExecution, Scheduler};
use crate::logical::{BoundQuery, LogicalPlan, StorageLevel};
use crate::operators::CachedPlan;
use crate::rdd::memory::{MemoryPool, reservable};
use crate::rdd::spill::remove_leftovers;
use crate::sql::{self, CatalogEntry, CatalogView, ParsedStatement};

/// Where queries start. Cloning shares the session.
///
/// ```
/// use wholestage::api::Session;
///
/// let session = Session::new()?;
/// let rows = session.sql("SELECT 1 + 1 AS two")?.collect()?;
/// assert_eq!(rows[0].num_rows(), 1);
/// # Ok::<(), wholestage::base::Error>(())
/// ```
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RwLock<Settings>,
    catalog: Catalog,
    scheduler: Mutex<Option<Arc<Scheduler>>>,
    memory: Arc<MemoryPool>,
    running: Arc<interrupt::Group>,
}

/// Collects settings for a [`Session`].
#[derive(Default)]
pub struct SessionBuilder {
    settings: Vec<(String, String)>,
}

impl SessionBuilder {
    /// Any setting, with or without the prefix `spark.`.
    pub fn config(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((key.into(), value.to_string()));
        self
    }

    /// Worker threads; 0 means one per core.
    pub fn threads(self, threads: usize) -> Self {
        self.config("execution.threads", threads)
    }

    /// # Errors
    /// `UnknownSetting`, `InvalidSetting`.
    pub fn build(self) -> Result<Session> {
        let mut settings = Settings::new();
        for (key, value) in self.settings {
            settings.set(&key, &value)?;
        }
        remove_leftovers(settings.text(&TEMP_DIR));
        let inner = Inner {
            settings: RwLock::new(settings),
            catalog: Catalog::default(),
            scheduler: Mutex::new(None),
            memory: MemoryPool::new(0),
            running: Arc::default(),
        };
        Ok(Session { inner: Arc::new(inner) })
    }
}

impl Session {
    /// A session with the default settings.
    ///
    /// # Errors
    /// None at present.
    pub fn new() -> Result<Self> {
        SessionBuilder::default().build()
    }

    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// A copy of the settings in force.
    pub fn settings(&self) -> Settings {
        self.inner.settings.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Changes a setting for queries made from now on.
    ///
    /// # Errors
    /// `UnknownSetting`, `InvalidSetting`.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        self.inner.settings.write().unwrap_or_else(|e| e.into_inner()).set(key, value)
    }

    /// Puts a setting back to its default.
    ///
    /// # Errors
    /// `UnknownSetting`.
    pub fn unset(&self, key: &str) -> Result<()> {
        self.inner.settings.write().unwrap_or_else(|e| e.into_inner()).unset(key)
    }

    /// Puts all settings back to their defaults.
    pub fn reset(&self) {
        *self.inner.settings.write().unwrap_or_else(|e| e.into_inner()) = Settings::new();
    }

    /// The memory that the session's queries share, as limited by `memory.limit`.
    pub fn memory(&self) -> &Arc<MemoryPool> {
        &self.inner.memory
    }

    /// Stops every query and command that the session runs at this moment; each fails with the error `Cancelled`. To stop one
    /// query alone, see [`QueryExecution::cancel_handle`].
    pub fn cancel_all(&self) {
        self.inner.running.request();
    }

    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// The worker threads, started on first use and again when `execution.threads` has changed.
    pub(crate) fn scheduler(&self) -> Result<Arc<Scheduler>> {
        let settings = self.settings();
        let threads = settings.threads();
        self.inner.memory.set_limit(reservable(settings.bytes(&MEMORY_LIMIT).max(0) as usize));
        let mut current = self.inner.scheduler.lock().unwrap_or_else(|e| e.into_inner());
        match current.as_ref() {
            Some(s) if s.threads() == threads => Ok(s.clone()),
            _ => {
                let (memory, running) = (self.inner.memory.clone(), self.inner.running.clone());
                Ok(current.insert(Scheduler::of_session(threads, memory, running)?).clone())
            }
        }
    }

    pub(crate) fn query_execution(&self, query: BoundQuery, parse: Duration) -> Result<QueryExecution> {
        let execution = QueryExecution::new(query, self.settings(), self.scheduler()?, parse);
        Ok(execution.with_cache(self.catalog().cache().clone()))
    }

    /// The statements of a text, separated by `;`. Each is resolved when it is run, so a later one sees what an earlier one made.
    ///
    /// # Errors
    /// `Parse`, with line and column.
    pub fn parse(&self, text: &str) -> Result<Vec<ParsedStatement>> {
        sql::parse_statements(text)
    }

    /// Runs one SQL statement: a query is resolved and waits for an action; a command (`SET`, `CREATE VIEW`, …) is run at once,
    /// and its rows are the result.
    ///
    /// # Errors
    /// Those of parsing and resolving; `Parse` when the text is not exactly one statement.
    pub fn sql(&self, text: &str) -> Result<DataFrame> {
        let start = Instant::now();
        let statements = self.parse(text)?;
        match statements.as_slice() {
            [one] => Ok(self.run(one)?.parsed_in(start.elapsed())),
            several => Err(Error::new(ErrorClass::Parse, format!("expected one SQL statement, found {}.", several.len()))),
        }
    }

    /// Runs one statement of [`Self::parse`]; see [`Self::sql`].
    ///
    /// # Errors
    /// Those of resolving, and for a command of running it.
    pub fn run(&self, statement: &ParsedStatement) -> Result<DataFrame> {
        let start = Instant::now();
        let (bound, warnings) = warning::gather(|| sql::bind(statement, self.catalog(), &self.settings()));
        Ok(super::statement::run(self, bound?)?.parsed_in(start.elapsed()).warned(warnings))
    }

    /// A table or view by name.
    ///
    /// # Errors
    /// `TableNotFound`, naming the nearest.
    pub fn table(&self, name: &str) -> Result<DataFrame> {
        let parts: Vec<String> = name.split('.').map(|p| p.trim_matches('`').to_string()).collect();
        if self.catalog().resolve(&parts).is_none() {
            return Err(self.catalog().not_found(name));
        }
        let quoted: Vec<String> = parts.iter().map(|p| format!("`{p}`")).collect();
        Ok(self.sql(&format!("SELECT * FROM {}", quoted.join(".")))?.qualified(parts.last().map_or(name, String::as_str)))
    }

    fn read(&self, path: impl AsRef<Path>, format: Option<&str>, options: &[(&str, &str)]) -> Result<DataFrame> {
        let path = path.as_ref().to_string_lossy();
        let options: BTreeMap<String, String> = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Ok(self.data_frame(&path, datasource::open_path(&path, format, &options)?))
    }

    fn data_frame(&self, name: &str, source: Arc<dyn TableSource>) -> DataFrame {
        DataFrame::new(self.clone(), LogicalPlan::relation(name, source))
    }

    /// A file, folder or glob of Parquet.
    ///
    /// # Errors
    /// `PathNotFound`, `MalformedData`.
    pub fn read_parquet(&self, path: impl AsRef<Path>) -> Result<DataFrame> {
        self.read(path, Some("parquet"), &[])
    }

    /// A file, folder or glob of CSV, with a header line unless the option `header` is `false`; types are inferred.
    ///
    /// # Errors
    /// `PathNotFound`, `MalformedData`, `InvalidParameter` for an unknown option.
    pub fn read_csv(&self, path: impl AsRef<Path>, options: &[(&str, &str)]) -> Result<DataFrame> {
        self.read(path, Some("csv"), options)
    }

    /// A file, folder or glob of JSON, one object per line.
    ///
    /// # Errors
    /// `PathNotFound`, `MalformedData`.
    pub fn read_json(&self, path: impl AsRef<Path>) -> Result<DataFrame> {
        self.read(path, Some("json"), &[])
    }

    /// A file, folder or glob of Arrow IPC.
    ///
    /// # Errors
    /// `PathNotFound`, `MalformedData`.
    pub fn read_arrow(&self, path: impl AsRef<Path>) -> Result<DataFrame> {
        self.read(path, Some("arrow"), &[])
    }

    /// Names a file, folder or glob; the format is known by the extension.
    ///
    /// # Errors
    /// `PathNotFound`, `MalformedData`.
    pub fn register_path(&self, name: &str, path: impl AsRef<Path>) -> Result<()> {
        let files = FileTable { path: path.as_ref().to_string_lossy().into_owned(), ..FileTable::default() };
        let source = files.open()?;
        self.catalog().register_files(name, files, source);
        Ok(())
    }

    /// Names every file `NAME.EXT` and folder `NAME/` of a folder.
    ///
    /// # Errors
    /// `PathNotFound`, `MalformedData`.
    pub fn register_folder(&self, path: impl AsRef<Path>) -> Result<()> {
        for (name, files) in datasource::list_folder(&path.as_ref().to_string_lossy())? {
            let source = files.open()?;
            self.catalog().register_files(&name, files, source);
        }
        Ok(())
    }

    /// Names a table.
    pub fn register_table(&self, name: &str, source: Arc<dyn TableSource>) {
        self.catalog().register_table(name, source);
    }

    /// Keeps the rows of a query from their first use on, if the level says to keep them anywhere.
    pub(crate) fn cache_query(&self, query: &BoundQuery, name: Option<&str>, level: StorageLevel) -> Result<Option<Arc<CachedPlan>>> {
        if level == StorageLevel::NONE {
            return Ok(None);
        }
        self.catalog().cache().cache(query, name.map(Into::into), level, &self.settings(), &self.scheduler()?).map(Some)
    }

    /// Keeps the rows of a table or view from their first use on.
    ///
    /// # Errors
    /// `TableNotFound`; those of planning.
    pub fn cache_table(&self, name: &str, level: StorageLevel) -> Result<()> {
        self.cache_query(&self.catalog().query(name)?, Some(name), level).map(|_| ())
    }

    /// Looks at the files of a table anew; what is cached of it is computed again when next used.
    ///
    /// # Errors
    /// `TableNotFound`; those of opening the files.
    pub fn refresh_table(&self, name: &str) -> Result<()> {
        let catalog = self.catalog();
        match (catalog.files(name), catalog.resolve(&[name.to_string()])) {
            (_, None) => Err(catalog.not_found(name)),
            (Some(files), _) => self.replace_rows(name, files.open()?),
            (None, Some(CatalogEntry::Table(source))) => self.replace_rows(name, source),
            (None, Some(CatalogEntry::View(_))) => Ok(()),
        }
    }

    /// Other rows for a table and for what is cached of it.
    pub(crate) fn replace_rows(&self, name: &str, source: Arc<dyn TableSource>) -> Result<()> {
        match self.catalog().replace_rows(name, &source)? {
            Some(old) => self.catalog().cache().replace(&old, &source, &self.settings(), &self.scheduler()?),
            None => Ok(()),
        }
    }

    /// Rows in memory, in as many partitions as there are worker threads (or fewer, for few batches).
    ///
    /// # Errors
    /// `Unsupported` for Arrow types without a SQL counterpart; `TypeMismatch` when the batches differ in schema.
    pub fn create_dataframe(&self, batches: Vec<RecordBatch>) -> Result<DataFrame> {
        let Some(first) = batches.first() else {
            return Err(Error::new(ErrorClass::InvalidParameter, "a DataFrame needs at least one batch, which may be empty."));
        };
        let schema = Schema::from_arrow(&first.schema())?;
        let mut partitions: Vec<Vec<RecordBatch>> = vec![vec![]; self.settings().threads().min(batches.len())];
        let count = partitions.len();
        let total = batches.len();
        for (i, batch) in batches.into_iter().enumerate() {
            partitions[i * count / total].push(batch);
        }
        Ok(self.data_frame("memory", MemoryTable::new(schema, partitions)?))
    }

    /// The numbers from `start` up to, not including, `end`: one column `id`.
    pub fn range(&self, start: i64, end: i64) -> DataFrame {
        let output = Attribute::new("id", DataType::Long, false);
        DataFrame::new(self.clone(), LogicalPlan::Range { start, end, step: 1, partitions: None, output })
    }
}
