//! Rows of a running query, handed over batch by batch: as long as nobody takes them, the tasks that make them wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;

use crate::base::{Error, Result, interrupt};
use crate::rdd::QueryContext;

/// How soon a waiting task notices that it is to stop.
const POLLED_EVERY: Duration = Duration::from_millis(10);

/// In which order the rows of several partitions come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOrder {
    /// As they are made, by as many tasks at once as there are workers.
    AsMade,
    /// Those of a partition after all of the partitions before it, which run one at a time.
    ByPartition,
}

/// Between the tasks and who takes their rows.
pub(super) struct Channel {
    /// Most batches that wait.
    bound: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<RecordBatch>,
    failed: Option<Error>,
    /// No more will come.
    ended: bool,
    /// Nobody takes any more.
    closed: bool,
}

impl Channel {
    pub fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { bound, state: Mutex::default(), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, POLLED_EVERY).unwrap_or_else(|e| e.into_inner()).0
    }

    /// Waits for room; whether somebody takes rows still.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn send(&self, batch: RecordBatch) -> Result<bool> {
        let mut state = self.state();
        while !state.closed && state.waiting.len() >= self.bound {
            interrupt::check()?;
            state = self.wait(state);
        }
        if !state.closed {
            state.waiting.push_back(batch);
            self.changed.notify_all();
        }
        Ok(!state.closed)
    }

    /// All tasks have ended.
    pub fn end(&self, outcome: Result<()>) {
        let mut state = self.state();
        state.failed = outcome.err();
        state.ended = true;
        self.changed.notify_all();
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        self.changed.notify_all();
    }

    /// The next rows, waited for; after the last ones the error, if there was one.
    fn take(&self) -> Option<Result<RecordBatch>> {
        let mut state = self.state();
        loop {
            if let Some(batch) = state.waiting.pop_front() {
                self.changed.notify_all();
                return Some(Ok(batch));
            }
            if state.ended {
                return state.failed.take().map(Err);
            }
            state = self.wait(state);
        }
    }
}

/// Batches of a running query. Dropping it stops the query, and waits until it has stopped.
pub struct Stream {
    channel: Arc<Channel>,
    context: Arc<QueryContext>,
    producer: Option<JoinHandle<()>>,
}

impl Stream {
    pub(super) fn new(channel: Arc<Channel>, context: Arc<QueryContext>, producer: JoinHandle<()>) -> Self {
        Self { channel, context, producer: Some(producer) }
    }

    /// Ends the query, however far it is.
    fn finish(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.channel.close();
            self.context.cancel();
            let _ = producer.join();
            self.context.release();
        }
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.channel.take();
        if !matches!(next, Some(Ok(_))) {
            self.finish();
        }
        next
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.finish();
    }
}
