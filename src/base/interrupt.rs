//! Requests to stop, and the polls that notice them.
//!
//! Whoever runs part of a query enters its [`Interrupt`] on the thread; loops that may run for more than some milliseconds call
//! [`check`] every few thousand rows. Where an error has no way out there are [`Ticks`] (comparisons within a sort) and
//! [`Interrupt::flag`] (generated code between its matches).

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

use super::error::{Error, ErrorClass, Result};

/// Tells those who do something together to stop. Clones are the same request.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requested: AtomicBool,
    /// Kept, so that requests come through from what is above them.
    _above: Vec<Interrupt>,
    /// What stops when this does.
    below: Mutex<Vec<Weak<Inner>>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

impl Interrupt {
    pub fn new() -> Self {
        Self::default()
    }

    /// One that is requested whenever one of `above` is, besides on its own.
    pub fn under(above: &[&Interrupt]) -> Self {
        let above: Vec<Interrupt> = above.iter().map(|&a| a.clone()).collect();
        let new = Self { inner: Arc::new(Inner { _above: above.clone(), ..Inner::default() }) };
        for interrupt in above {
            let mut below = interrupt.inner.below.lock().unwrap_or_else(|e| e.into_inner());
            below.retain(|b| b.strong_count() > 0);
            below.push(Arc::downgrade(&new.inner));
            drop(below);
            // A request that came before is not repeated.
            if interrupt.requested() {
                new.request();
            }
        }
        new
    }

    /// Asks for an end; for good.
    pub fn request(&self) {
        self.inner.request();
    }

    pub fn requested(&self) -> bool {
        self.inner.requested.load(Ordering::Relaxed)
    }

    /// # Errors
    /// `Cancelled` once it is requested.
    pub fn check(&self) -> Result<()> {
        if self.requested() { Err(cancelled()) } else { Ok(()) }
    }

    /// What generated code polls: not 0 once it is requested.
    pub fn flag(&self) -> &AtomicBool {
        &self.inner.requested
    }

    /// Makes this what the thread polls until the guard is dropped.
    pub fn enter(&self) -> Entered {
        Entered { outer: CURRENT.replace(Some(self.clone())) }
    }
}

impl Inner {
    fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
        let below = std::mem::take(&mut *self.below.lock().unwrap_or_else(|e| e.into_inner()));
        below.iter().filter_map(Weak::upgrade).for_each(|inner| inner.request());
    }
}

/// See [`Interrupt::enter`].
#[must_use]
pub struct Entered {
    /// Of what this thread was doing already: waiting for others, it took up something else.
    outer: Option<Interrupt>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
    }
}

/// What the thread polls now; a new one that nobody requests where nothing was entered.
pub fn current() -> Interrupt {
    CURRENT.with_borrow(|current| current.clone()).unwrap_or_default()
}

/// # Errors
/// `Cancelled` once what the thread does is to stop.
pub fn check() -> Result<()> {
    CURRENT.with_borrow(|current| current.as_ref().map_or(Ok(()), Interrupt::check))
}

/// Locks, waiting no longer than until what the thread does is to stop: whoever has the lock may do something else.
///
/// # Errors
/// `Cancelled`.
pub fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(e)) => return Ok(e.into_inner()),
            Err(TryLockError::WouldBlock) => check()?,
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The error of what was stopped.
pub fn cancelled() -> Error {
    Error::new(ErrorClass::Cancelled, "The query was cancelled.")
}

/// Things that are stopped together: all that have begun so far, not those that begin later.
#[derive(Debug, Default)]
pub struct Group {
    begun: Mutex<Interrupt>,
}

impl Group {
    /// What something that begins now is to be [under](Interrupt::under).
    pub fn interrupt(&self) -> Interrupt {
        self.begun.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Asks all that have begun to stop.
    pub fn request(&self) {
        std::mem::take(&mut *self.begun.lock().unwrap_or_else(|e| e.into_inner())).request();
    }
}

struct Unwinding;

/// Does `work`, which may poll where an error has no way out: see [`Ticks`].
///
/// # Errors
/// `Cancelled`.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| if payload.is::<Unwinding>() { cancelled() } else { resume_unwind(payload) })
}

/// Polls at every 2¹⁶th step, and leaves by a panic that [`catch`] turns into an error; each task is within one.
#[derive(Default)]
pub struct Ticks(Cell<u16>);

impl Ticks {
    #[inline(always)]
    pub fn tick(&self) {
        let next = self.0.get().wrapping_add(1);
        self.0.set(next);
        if next == 0 {
            poll();
        }
    }
}

/// The items, with a [tick](Ticks::tick) before each.
pub fn polled<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    let ticks = Ticks::default();
    items.into_iter().inspect(move |_| ticks.tick())
}

/// `0..rows` in pieces that take some milliseconds where a row takes some hundred nanoseconds, polling before each.
///
/// # Errors
/// `Cancelled`.
pub fn pieces(rows: usize) -> impl Iterator<Item = Result<Range<usize>>> {
    (0..rows).step_by(PIECE).map(move |from| check().map(|()| from..rows.min(from + PIECE)))
}

const PIECE: usize = 1 << 16;

#[cold]
fn poll() {
    if check().is_err() {
        // Not `panic!`: nobody needs to read of it.
        resume_unwind(Box::new(Unwinding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_down_and_not_up() {
        let (a, b) = (Interrupt::new(), Interrupt::new());
        let both = Interrupt::under(&[&a, &b]);
        let lower = Interrupt::under(&[&both]);
        both.request();
        assert!(lower.requested() && !a.requested() && !b.requested());
        b.request();
        assert!(Interrupt::under(&[&a, &b]).requested());
        assert!(!Interrupt::under(&[&a]).requested());
        let far_below = Interrupt::under(&[&Interrupt::under(&[&a])]);
        a.request();
        assert!(far_below.requested());
    }

    #[test]
    fn a_group_ends_what_has_begun() {
        let group = Group::default();
        let before = Interrupt::under(&[&group.interrupt()]);
        group.request();
        assert!(before.requested() && !Interrupt::under(&[&group.interrupt()]).requested());
    }

    #[test]
    fn a_thread_polls_what_it_entered_last() {
        let (outer, inner) = (Interrupt::new(), Interrupt::new());
        let entered = outer.enter();
        inner.request();
        {
            let _inner = inner.enter();
            assert_eq!(check().unwrap_err().class, ErrorClass::Cancelled);
            let ticks = Ticks::default();
            assert_eq!(catch(|| (0..1 << 16).for_each(|_| ticks.tick())).unwrap_err().class, ErrorClass::Cancelled);
        }
        assert!(check().is_ok());
        drop(entered);
        drop(inner.enter());
        assert!(check().is_ok());
    }
}
