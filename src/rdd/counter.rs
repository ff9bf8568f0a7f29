//! Counters of plan nodes, and what a failed try of a task had added to them.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that many tasks add to. What a task adds in a try that fails is taken back ([`Tally`]).
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

thread_local! {
    /// What the try that runs on this thread has added so far.
    static ADDED: RefCell<Option<Vec<(Counter, u64)>>> = const { RefCell::new(None) };
}

impl Counter {
    /// Adds; the value before.
    pub fn fetch_add(&self, amount: u64, order: Ordering) -> u64 {
        ADDED.with_borrow_mut(|added| {
            if let Some(added) = added {
                match added.iter_mut().find(|(counter, _)| Arc::ptr_eq(&counter.0, &self.0)) {
                    Some((_, sum)) => *sum = sum.wrapping_add(amount),
                    None => added.push((self.clone(), amount)),
                }
            }
        });
        self.0.fetch_add(amount, order)
    }
}

impl Deref for Counter {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}

/// Watches what a thread adds to counters while a task is tried, and takes it back unless the try is [kept](Self::keep).
pub struct Tally {
    /// Of the task that this thread was running already: waiting for others, it took up another one.
    outer: Option<Vec<(Counter, u64)>>,
    kept: bool,
}

impl Tally {
    pub fn begin() -> Self {
        Self { outer: ADDED.replace(Some(vec![])), kept: false }
    }

    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Keeps what was added if the try around this one, on the same thread, is kept.
    pub fn pass_on(mut self) {
        self.kept = true;
        let added = ADDED.take();
        if let (Some(outer), Some(added)) = (&mut self.outer, added) {
            outer.extend(added);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let added = ADDED.replace(self.outer.take());
        if !self.kept {
            for (counter, sum) in added.into_iter().flatten() {
                counter.0.fetch_sub(sum, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_kept_counts() {
        let (counter, order) = (Counter::default(), Ordering::Relaxed);
        counter.fetch_add(1, order);
        let failing = Tally::begin();
        counter.fetch_add(10, order);
        let kept = Tally::begin();
        counter.fetch_add(100, order);
        kept.keep();
        counter.fetch_add(10, order);
        assert_eq!(counter.load(order), 121);
        let part = Tally::begin();
        counter.fetch_add(1000, order);
        part.pass_on();
        let part = Tally::begin();
        counter.fetch_add(10_000, order);
        drop(part);
        assert_eq!(counter.load(order), 1121);
        drop(failing);
        assert_eq!(counter.load(order), 101);
        counter.fetch_add(1, order);
        assert_eq!(counter.load(order), 102);
    }
}
