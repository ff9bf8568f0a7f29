//! The rows of a broadcast, and what joins make of them to find them by.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::base::Result;
use crate::base::schema::arrow_schema;
use crate::expr::Expr;
use crate::operators::SparkPlan;
use crate::operators::join::join_index::gather;
use crate::operators::join::{JoinIndex, bytes_held};
use crate::rdd::memory::Evictable;
use crate::rdd::shuffle::Size;
use crate::rdd::{Counter, QueryContext, Rdd, Reservation, TaskContext};
use crate::runtime::JoinTable;

/// The rows of a broadcast. What its users look rows up in is made once for all tasks where memory allows; where it does not, there are
/// still the rows.
pub struct BroadcastRelation {
    /// All rows, in order of the partitions they come from: one partition. Where memory is limited they may be in files, and who reads
    /// them in a task stands on the dependencies of this.
    pub rows: Rdd,
    pub size: Size,
    schema: SchemaRef,
    /// Time that users took to make lookups of the rows.
    build_time: Counter,
    gathered: Arc<Lookup<RecordBatch>>,
    index: Arc<Lookup<JoinIndex>>,
    /// Of rows, and of keys alone.
    tables: [Arc<Lookup<JoinTable>>; 2],
}

impl BroadcastRelation {
    /// Of the broadcast `plan`.
    pub fn new(rows: Rdd, size: Size, plan: &SparkPlan, context: &QueryContext) -> Self {
        let memory = || context.fixed(plan.id, "BroadcastExchange");
        Self {
            rows,
            size,
            schema: arrow_schema(&plan.output()),
            build_time: context.metric(plan.id, "buildTime"),
            gathered: Lookup::new(memory()),
            index: Lookup::new(memory()),
            tables: [Lookup::new(memory()), Lookup::new(memory())],
        }
    }

    /// All rows in one batch; `None` if there is no memory for it.
    ///
    /// # Errors
    /// Those of reading the rows and of [`gather`].
    pub fn gathered(&self, task: &TaskContext) -> Result<Option<Arc<RecordBatch>>> {
        let make = |batches: &[RecordBatch]| gather(&self.schema, batches);
        self.look_up(&self.gathered, self.bytes_held(), make, RecordBatch::get_array_memory_size, task)
    }

    /// The rows by key; `None` if there is no memory for it. All users of a relation have the same `keys`, bound to its columns.
    ///
    /// # Errors
    /// Those of reading the rows and of [`JoinIndex::build`].
    pub fn join_index(&self, keys: &[Expr], task: &TaskContext) -> Result<Option<Arc<JoinIndex>>> {
        let make = |batches: &[RecordBatch]| JoinIndex::build(&self.schema, batches, keys);
        self.look_up(&self.index, self.bytes_held(), make, JoinIndex::memory, task)
    }

    /// The table for compiled joins that `make` makes of the rows, or of their keys alone if it is a `set`; a row costs `row_bytes` in it.
    /// `None` if there is no memory for it. All users of a relation have the same keys.
    ///
    /// # Errors
    /// Those of reading the rows and of `make`.
    pub fn join_table(
        &self,
        set: bool,
        row_bytes: usize,
        make: impl FnOnce(&[RecordBatch]) -> Result<JoinTable>,
        task: &TaskContext,
    ) -> Result<Option<Arc<JoinTable>>> {
        let bytes = self.size.bytes as usize + self.size.rows as usize * row_bytes;
        self.look_up(&self.tables[usize::from(set)], bytes, make, JoinTable::memory, task)
    }

    fn bytes_held(&self) -> usize {
        bytes_held(self.size.rows as usize, self.size.bytes as usize)
    }

    fn look_up<T: Send + Sync + 'static>(
        &self,
        lookup: &Arc<Lookup<T>>,
        bytes: usize,
        make: impl FnOnce(&[RecordBatch]) -> Result<T>,
        held: impl FnOnce(&T) -> usize,
        task: &TaskContext,
    ) -> Result<Option<Arc<T>>> {
        let make = || {
            let start = Instant::now();
            let mut batches = vec![];
            for batch in self.rows.compute(0, task)? {
                task.query.check_cancelled()?;
                batches.push(batch?);
            }
            let made = make(&batches);
            self.build_time.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
            made
        };
        lookup.get_or_make(bytes, make, held)
    }
}

/// Something made of rows that can be made of them again: when memory is wanted and no task uses it, it is dropped.
struct Lookup<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    made: Option<Arc<T>>,
    memory: Reservation,
}

impl<T: Send + Sync + 'static> Lookup<T> {
    fn new(memory: Reservation) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { made: None, memory }) })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What `make` makes, unless it is there; it takes `bytes` while it is made, and as many as `held` says later. `None` if these are not
    /// to be had.
    fn get_or_make(
        self: &Arc<Self>,
        bytes: usize,
        make: impl FnOnce() -> Result<T>,
        held: impl FnOnce(&T) -> usize,
    ) -> Result<Option<Arc<T>>> {
        let mut state = self.state();
        if let Some(made) = &state.made {
            return Ok(Some(made.clone()));
        }
        if !state.memory.try_resize(bytes)? {
            return Ok(None);
        }
        let made = make().map(Arc::new);
        state.memory.try_resize(made.as_ref().map_or(0, |made| held(made)).min(bytes))?;
        // Not to be remembered if it failed: rows that could not be read are computed again.
        let made = state.made.insert(made?).clone();
        state.memory.pool().offer(self);
        Ok(Some(made))
    }
}

impl<T: Send + Sync + 'static> Evictable for Lookup<T> {
    fn evict(&self) -> Result<bool> {
        // Who makes it asks for memory meanwhile.
        let Ok(mut state) = self.state.try_lock() else { return Ok(false) };
        if state.made.as_ref().is_some_and(|made| Arc::strong_count(made) > 1) {
            return Ok(false);
        }
        state.made = None;
        state.memory.free();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Error;
    use crate::rdd::MemoryPool;

    const MB: usize = 1 << 20;

    #[test]
    fn lookups_give_way_unless_they_are_in_use() {
        let pool = MemoryPool::new(100 * MB);
        let lookup = Lookup::new(pool.fixed("BroadcastExchange", Counter::default()));
        let make = |value: i32| lookup.get_or_make(60 * MB, move || Ok(value), |_| 50 * MB).unwrap();
        assert_eq!(make(1).as_deref(), Some(&1));
        assert_eq!((make(2).as_deref(), pool.used()), (Some(&1), 50 * MB));
        let mut sorts = [0; 2].map(|_| pool.spillable("Sort", Counter::default()));
        assert!(sorts[0].try_resize(30 * MB).unwrap());
        let used = make(3);
        assert!(!sorts[1].try_resize(25 * MB).unwrap(), "it is in use");
        drop(used);
        assert!(sorts[1].try_resize(25 * MB).unwrap());
        assert_eq!((make(4), pool.used()), (None, 55 * MB));
        drop(sorts);
        let fails = || Err(Error::divide_by_zero());
        assert!(lookup.get_or_make(10 * MB, fails, |_| 5 * MB).is_err());
        assert_eq!((make(5).as_deref(), make(6).as_deref(), pool.used()), (Some(&5), Some(&5), 50 * MB));
        let other = Lookup::new(pool.fixed("BroadcastExchange", Counter::default()));
        assert_eq!(other.get_or_make(26 * MB, || Ok(1), |_| MB).unwrap(), None, "a quarter is left to others");
    }
}
