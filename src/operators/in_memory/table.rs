//! The rows of a cached query as a query reads them.

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use super::plan::{CachedPlan, Known, Partition};
use crate::base::{Error, ErrorClass, Result, Schema};
use crate::datasource::{BatchStream, Block, ScanPartition, ScanRequest, TableSource, TableStatistics};
use crate::expr::Expr;
use crate::rdd::KeptRows;

/// What there was of the rows stays at least as long as this; a partition that cannot be read all the same is lost.
pub struct Reading {
    cached: Arc<CachedPlan>,
    known: Arc<Known>,
    partitions: Mutex<Vec<Option<Arc<Partition>>>>,
    /// Why the first partition is lost that is.
    lost: OnceLock<Error>,
}

impl Reading {
    pub(super) fn new(cached: Arc<CachedPlan>, known: Arc<Known>, partitions: Vec<Partition>) -> Arc<Self> {
        let partitions = Mutex::new(partitions.into_iter().map(|p| Some(Arc::new(p))).collect());
        Arc::new(Self { cached, known, partitions, lost: OnceLock::new() })
    }

    fn partitions(&self) -> MutexGuard<'_, Vec<Option<Arc<Partition>>>> {
        self.partitions.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Forgets the rows of a partition, unless there are others by now; the error of who wants to read them.
    fn lose(&self, number: usize, partition: &Arc<Partition>, why: &Error) -> Error {
        let slot = &mut self.partitions()[number];
        if slot.as_ref().is_some_and(|p| Arc::ptr_eq(p, partition)) {
            *slot = None;
        }
        self.cached.lose(number, partition.held.output());
        self.lost.get_or_init(|| self.cached.unreadable(&why.message)).clone()
    }
}

impl KeptRows for Reading {
    fn is_whole(&self) -> bool {
        self.partitions().iter().all(Option::is_some)
    }

    fn restore(&self) -> Result<()> {
        if let Some(why) = self.lost.get().filter(|_| !self.cached.repeatable) {
            let again = "Computed again they may come in another order, which is for the next query.";
            return Err(Error::new(why.class, format!("{} {again}", why.message)));
        }
        let (_, partitions) = self.cached.materialise()?;
        for (slot, partition) in self.partitions().iter_mut().zip(partitions) {
            slot.get_or_insert_with(|| Arc::new(partition));
        }
        Ok(())
    }

    fn rows(&self) -> Option<u64> {
        self.known.statistics.row_count
    }
}

/// The table that a scan reads.
pub struct CachedTable {
    schema: Schema,
    reading: Arc<Reading>,
}

impl CachedTable {
    pub fn new(reading: Arc<Reading>) -> Self {
        Self { schema: reading.cached.schema(), reading }
    }
}

impl Debug for CachedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedTable({:?})", self.reading.cached)
    }
}

impl TableSource for CachedTable {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn format(&self) -> &'static str {
        "memory"
    }

    fn location(&self) -> String {
        String::new()
    }

    fn statistics(&self) -> &TableStatistics {
        &self.reading.known.statistics
    }

    fn supports_pushdown(&self) -> bool {
        true
    }

    /// The partitions that the rows were computed in.
    fn plan_scan(&self, request: &ScanRequest) -> Result<Vec<Arc<dyn ScanPartition>>> {
        let (columns, filters): (Arc<[usize]>, Arc<[Expr]>) = (request.columns.as_slice().into(), request.data_filters.as_slice().into());
        let partition = |number| -> Arc<dyn ScanPartition> {
            Arc::new(CachedPartition { reading: self.reading.clone(), number, columns: columns.clone(), filters: filters.clone() })
        };
        Ok((0..self.reading.partitions().len()).map(partition).collect())
    }
}

struct CachedPartition {
    reading: Arc<Reading>,
    number: usize,
    columns: Arc<[usize]>,
    filters: Arc<[Expr]>,
}

impl Debug for CachedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedPartition({:?}, {})", self.reading.cached, self.number)
    }
}

impl ScanPartition for CachedPartition {
    /// # Errors
    /// `FetchFailed`, as those of the stream may be: the rows are to be [restored](KeptRows::restore) then.
    fn open(&self) -> Result<BatchStream> {
        let (reading, number, columns) = (self.reading.clone(), self.number, Some(self.columns.clone()));
        let partition = reading.partitions()[number].clone().ok_or_else(|| reading.cached.unreadable("they are lost."))?;
        let rows = partition.held.output().read_only(0, columns, matching(&partition.blocks, &self.filters));
        Ok(Box::new(
            rows.map(move |batch| batch.map_err(|e| if e.class == ErrorClass::Io { reading.lose(number, &partition, &e) } else { e })),
        ))
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.reading.partitions()[self.number].as_ref()?.held.output().written().rows)
    }
}

/// The numbers of the rows whose blocks the filters do not exclude.
fn matching(blocks: &[Block], filters: &[Expr]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = vec![];
    let mut from = 0;
    for block in blocks {
        let to = from + block.rows;
        match ranges.last_mut() {
            _ if !block.may_match(filters) => {}
            Some(last) if last.end == from => last.end = to,
            _ => ranges.push(from..to),
        }
        from = to;
    }
    ranges
}
