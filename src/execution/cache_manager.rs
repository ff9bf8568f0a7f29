//! The cached queries of a session, and their use in later queries.

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{QueryExecution, Scheduler};
use crate::base::settings::CACHE_BATCH_SIZE;
use crate::base::{Result, Settings};
use crate::datasource::TableSource;
use crate::expr::SubqueryId;
use crate::logical::statistics::estimate;
use crate::logical::{BoundQuery, Canonical, InMemoryRelation, LogicalPlan, StorageLevel};
use crate::operators::in_memory::{CachedPlan, Compute, Partition, is_repeatable};
use crate::planning::{PhysicalQuery, explain};

/// Queries whose rows are kept. Parts of later queries that equal one, column names and identities aside, read its rows.
#[derive(Debug, Default)]
pub struct CacheManager {
    entries: RwLock<Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    query: BoundQuery,
    canonical: Arc<Canonical>,
    plan: Arc<CachedPlan>,
}

/// What there is to know of a cached query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    /// Of the table or view that was cached by name.
    pub name: Option<Arc<str>>,
    pub level: StorageLevel,
    /// Bytes that its rows take in memory where they are there, and their number; `None` until they have been computed.
    pub size: Option<(u64, u64)>,
    /// Bytes of the rows that are in memory now.
    pub memory_bytes: u64,
    /// Bytes of the files that rows are in now.
    pub disk_bytes: u64,
}

impl CacheManager {
    fn read(&self) -> RwLockReadGuard<'_, Vec<Entry>> {
        self.entries.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Entry>> {
        self.entries.write().unwrap_or_else(|e| e.into_inner())
    }

    /// Plans a query whose rows are to be kept from their first use on. A query cached already stays as it is.
    ///
    /// # Errors
    /// Those of planning.
    pub fn cache(
        &self,
        query: &BoundQuery,
        name: Option<Arc<str>>,
        level: StorageLevel,
        settings: &Settings,
        scheduler: &Arc<Scheduler>,
    ) -> Result<Arc<CachedPlan>> {
        let canonical = Arc::new(Canonical::of(&query.plan, &query.subqueries)?);
        if let Some(known) = self.read().iter().find(|e| e.canonical == canonical) {
            return Ok(known.plan.clone());
        }
        let plan = Arc::new(planned(self.use_cached(query.clone())?, name, level, settings, scheduler)?);
        let mut entries = self.write();
        // Somebody may have been faster.
        if let Some(known) = entries.iter().find(|e| e.canonical == canonical) {
            return Ok(known.plan.clone());
        }
        entries.push(Entry { query: query.clone(), canonical, plan: plan.clone() });
        Ok(plan)
    }

    /// Forgets the rows of a query; whether they were cached. Queries that have been planned keep what they read.
    ///
    /// # Errors
    /// None at present.
    pub fn uncache(&self, query: &BoundQuery) -> Result<bool> {
        if self.read().is_empty() {
            return Ok(false);
        }
        let canonical = Canonical::of(&query.plan, &query.subqueries)?;
        let mut entries = self.write();
        let before = entries.len();
        entries.retain(|e| *e.canonical != canonical);
        Ok(entries.len() < before)
    }

    /// Forgets all rows.
    pub fn clear(&self) {
        self.write().clear();
    }

    /// The cached form of a query.
    ///
    /// # Errors
    /// None at present.
    pub fn lookup(&self, query: &BoundQuery) -> Result<Option<Arc<CachedPlan>>> {
        if self.read().is_empty() {
            return Ok(None);
        }
        let canonical = Canonical::of(&query.plan, &query.subqueries)?;
        Ok(self.read().iter().find(|e| *e.canonical == canonical).map(|e| e.plan.clone()))
    }

    /// All cached queries, in the order in which they were cached.
    pub fn list(&self) -> Vec<CacheInfo> {
        self.read().iter().map(|e| CacheInfo::of(&e.plan)).collect()
    }

    /// A table has other rows now: whatever was cached of it is to be computed again when next used.
    ///
    /// # Errors
    /// Those of planning. What was cached of a table whose columns are others now is forgotten.
    pub fn replace(
        &self,
        old: &Arc<dyn TableSource>,
        new: &Arc<dyn TableSource>,
        settings: &Settings,
        scheduler: &Arc<Scheduler>,
    ) -> Result<()> {
        let all = std::mem::take(&mut *self.write());
        for Entry { query, canonical, plan } in all {
            match query.with_source(old, new)? {
                Some(renewed) if old.schema() == new.schema() => {
                    self.cache(&renewed, plan.name.clone(), plan.level, settings, scheduler)?;
                }
                Some(_) => {}
                None => self.write().push(Entry { query, canonical, plan }),
            }
        }
        Ok(())
    }

    /// The query with its cached parts, the largest first, in the form of reading the cache.
    ///
    /// # Errors
    /// None at present.
    pub fn use_cached(&self, query: BoundQuery) -> Result<BoundQuery> {
        let entries = self.read().clone();
        if entries.is_empty() {
            return Ok(query);
        }
        let BoundQuery { plan, subqueries } = query;
        let plan = replaced(plan, &subqueries, &entries)?;
        let of_subquery = |(id, plan): &(SubqueryId, LogicalPlan)| Ok((*id, replaced(plan.clone(), &subqueries, &entries)?));
        let subqueries = subqueries.iter().map(of_subquery).collect::<Result<_>>()?;
        Ok(BoundQuery { plan, subqueries })
    }
}

impl CacheInfo {
    pub fn of(plan: &CachedPlan) -> Self {
        let size = plan.statistics().map(|known| (known.size_bytes, known.row_count.unwrap_or_default()));
        let (memory_bytes, disk_bytes) = plan.held();
        Self { name: plan.name.clone(), level: plan.level, size, memory_bytes, disk_bytes }
    }
}

/// `query` must read the cache already where it is to.
fn planned(
    query: BoundQuery,
    name: Option<Arc<str>>,
    level: StorageLevel,
    settings: &Settings,
    scheduler: &Arc<Scheduler>,
) -> Result<CachedPlan> {
    let execution = QueryExecution::new(query, settings.clone(), scheduler.clone(), std::time::Duration::ZERO);
    let physical: PhysicalQuery = execution.physical()?.clone();
    let text = explain::tree_string(&physical.executed_plan, Some(&physical), settings);
    let expected = estimate(execution.optimized_plan()?);
    let batch_rows = settings.int(&CACHE_BATCH_SIZE).max(1) as usize;
    let plans: Vec<_> =
        [&physical.executed_plan].into_iter().chain(physical.subqueries.iter().map(|s| &s.executed_plan)).cloned().collect();
    let repeatable = is_repeatable(&plans);
    let made = |partition: &Partition| partition.held.output().written();
    let compute: Compute = Box::new(move |which, keep| execution.for_partitions(which, keep, made));
    Ok(CachedPlan::new(name, level, (physical.executed_plan, text), expected, batch_rows, compute, repeatable))
}

fn replaced(plan: LogicalPlan, subqueries: &[(SubqueryId, LogicalPlan)], entries: &[Entry]) -> Result<LogicalPlan> {
    plan.transform_down(&mut |node| {
        let similar = |e: &&Entry| e.query.plan.name() == node.name() && same_types(&e.query.plan, &node);
        let mut similar = entries.iter().filter(similar).peekable();
        if similar.peek().is_none() {
            return Ok(node);
        }
        let canonical = Canonical::of(&node, subqueries)?;
        Ok(match similar.find(|e| *e.canonical == canonical) {
            Some(entry) => LogicalPlan::InMemoryRelation(InMemoryRelation { output: node.output(), rows: entry.plan.clone() }),
            None => node,
        })
    })
}

fn same_types(a: &LogicalPlan, b: &LogicalPlan) -> bool {
    a.output().iter().map(|a| &a.data_type).eq(b.output().iter().map(|b| &b.data_type))
}
