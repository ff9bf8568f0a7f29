//! The output of one task of a join whose build side is complete before the first stream row comes.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::matches::{BuildRows, Candidates, Joiner, Probe};
use crate::base::Result;
use crate::operators::stream::coalesced;
use crate::rdd::{BatchStream, TaskContext};

/// The build side of [`join_rows`].
pub struct Build {
    pub rows: RecordBatch,
    /// See [`BuildRows::order`].
    pub order: Option<Arc<Vec<u32>>>,
}

/// Joins each batch of `stream` with the candidates that `find` names; then come the build rows that the join type asks for.
pub fn join_rows(
    joiner: Arc<Joiner>,
    build: Build,
    stream: BatchStream,
    find: impl FnMut(&RecordBatch) -> Result<Candidates> + Send + 'static,
    task: &TaskContext,
) -> BatchStream {
    if build.rows.num_rows() == 0 && joiner.needs_build() {
        return Box::new(std::iter::empty());
    }
    let matched = vec![false; if joiner.tracks_build() { build.rows.num_rows() } else { 0 }];
    let mut rows = JoinRows { joiner: joiner.clone(), build, stream, find, probe: None, matched, finished: None, task: task.clone() };
    whole_batches(&joiner, Box::new(std::iter::from_fn(move || rows.next().transpose())))
}

/// Puts small output batches together.
pub fn whole_batches(joiner: &Joiner, output: BatchStream) -> BatchStream {
    if joiner.schema().fields().is_empty() {
        return output;
    }
    coalesced(output, joiner.schema().clone(), joiner.batch_size(), |buffer, batch| Ok(buffer.push_batch(batch)?))
}

struct JoinRows<F> {
    joiner: Arc<Joiner>,
    build: Build,
    stream: BatchStream,
    find: F,
    probe: Option<Probe>,
    matched: Vec<bool>,
    /// Once the stream has ended: how many build rows have had their turn.
    finished: Option<usize>,
    task: TaskContext,
}

impl<F: FnMut(&RecordBatch) -> Result<Candidates>> JoinRows<F> {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(from) = self.finished {
                return Ok(self.joiner.finish(&self.build.rows, &self.matched, from)?.map(|(batch, to)| {
                    self.finished = Some(to);
                    batch
                }));
            }
            // A batch may have many candidates and few matches.
            self.task.query.check_cancelled()?;
            if let Some(probe) = &mut self.probe {
                let build = BuildRows { rows: &self.build.rows, order: self.build.order.as_ref().map(|o| o.as_slice()) };
                if let Some(batch) = self.joiner.next(probe, build, &mut self.matched)? {
                    return Ok(Some(batch));
                }
                self.probe = None;
            }
            match self.stream.next().transpose()? {
                Some(batch) => {
                    let candidates = (self.find)(&batch)?;
                    self.probe = Some(Probe::new(batch, candidates));
                }
                None => self.finished = Some(0),
            }
        }
    }
}
