//! Values computed in the background that others wait for: broadcasts, subqueries.

use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::base::{Error, ErrorClass, Result};

/// A value computed once, on a thread of its own, and waited for by its users, and by whoever drops it.
pub struct Future<T> {
    state: Arc<State<T>>,
}

struct State<T> {
    value: Mutex<Option<Result<T>>>,
    done: Condvar,
    /// Who computes.
    thread: OnceLock<ThreadId>,
}

impl<T> Drop for Future<T> {
    /// When a query has ended nothing of it goes on.
    fn drop(&mut self) {
        // Waiting for itself, the last holder would wait for ever.
        if self.state.thread.get() != Some(&std::thread::current().id()) {
            let value = self.state.value.lock().unwrap_or_else(|e| e.into_inner());
            drop(self.state.done.wait_while(value, |value| value.is_none()));
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Future<T> {
    /// Starts `compute` on a new thread, outside the worker pool: it blocks on jobs that need the pool.
    pub fn start(compute: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        let state = Arc::new(State { value: Mutex::new(None), done: Condvar::new(), thread: OnceLock::new() });
        let filled = state.clone();
        let run = move || {
            let _ = filled.thread.set(std::thread::current().id());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compute))
                .unwrap_or_else(|_| Err(Error::internal("a background computation panicked")));
            filled.fill(result);
        };
        if let Err(e) = std::thread::Builder::new().name("background".to_string()).spawn(run) {
            state.fill(Err(Error::new(ErrorClass::ResourceExhausted, format!("cannot start a thread: {e}"))));
        }
        Self { state }
    }

    /// Waits for the value.
    ///
    /// # Errors
    /// Those of the computation.
    pub fn get(&self) -> Result<T> {
        self.wait(None).unwrap_or_else(|| Err(Error::internal("a background computation ended without a value")))
    }

    /// Waits for the value, but no longer than `limit`; `None` if it is not there then.
    pub fn get_within(&self, limit: Duration) -> Option<Result<T>> {
        self.wait(Instant::now().checked_add(limit))
    }

    fn wait(&self, until: Option<Instant>) -> Option<Result<T>> {
        let mut value = self.state.value.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            if value.is_some() {
                return value.clone();
            }
            value = match until {
                None => self.state.done.wait(value).unwrap_or_else(|e| e.into_inner()),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.state.done.wait_timeout(value, left).unwrap_or_else(|e| e.into_inner()).0
                }
            };
        }
    }
}

impl<T> State<T> {
    fn fill(&self, result: Result<T>) {
        *self.value.lock().unwrap_or_else(|e| e.into_inner()) = Some(result);
        self.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_wait_get_the_value_or_the_error() {
        let slow = Arc::new(Future::start(|| {
            std::thread::sleep(Duration::from_millis(20));
            Ok(7)
        }));
        assert_eq!(slow.get_within(Duration::ZERO), None);
        let others: Vec<_> = (0..3)
            .map(|_| {
                std::thread::spawn({
                    let slow = slow.clone();
                    move || slow.get()
                })
            })
            .collect();
        assert!(others.into_iter().all(|o| o.join().unwrap() == Ok(7)));
        assert_eq!(slow.get_within(Duration::from_secs(9)), Some(Ok(7)));
        let failing: Future<i32> = Future::start(|| Err(Error::divide_by_zero()));
        assert_eq!(failing.get().unwrap_err().class, ErrorClass::DivideByZero);
    }
}
