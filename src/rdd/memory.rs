//! The memory of a session: who holds how much, and who must wait, spill or fail.
//!
//! Structures that grow with their input hold a [`Reservation`] and ask before they grow, once per batch or so. What can be spilled
//! asks by [`Reservation::try_resize`] and spills when refused; what cannot asks by [`Reservation::resize`], which waits for other
//! tasks as long as one goes on, and whose refusal is the query's error. Holders that can spill share the limit equally, and have a
//! little of their own. Some of what is held is *evictable*: whoever needs its memory writes it out (outputs of finished map tasks) or
//! drops it (what is made of broadcasts and not in use).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::BatchStream;
use super::counter::Counter;
use super::spill::TempFolder;
use crate::base::{Error, ErrorClass, Result, interrupt};

/// What a holder that can spill may always have, so that it does not spill crumbs; a sixteenth of the limit if that is less.
const LEAST: usize = 1 << 20;
/// Memory is asked for in steps of so many bytes, or a fraction of a small limit.
const STEP: usize = 1 << 20;

/// How long a task waits at most for memory that other tasks have: whoever takes their rows may be waiting for its own.
const MOST_WAIT: Duration = Duration::from_secs(30);
/// How long it sleeps between two tries.
const NEXT_TRY: Duration = Duration::from_millis(2);

/// Of a limit on a process's memory, in bytes, what may be reserved: four fifths. The rest is for what is not: batches on their way, scans,
/// code, and what the allocator keeps.
pub fn reservable(limit: usize) -> usize {
    limit - limit / 5
}

/// Memory that is held for later and can be freed by others.
pub trait Evictable: Send + Sync {
    /// Writes it out or drops it and frees its reservation, unless that has happened; `false` if it is in use.
    ///
    /// # Errors
    /// `Io`.
    fn evict(&self) -> Result<bool>;
}

/// The memory of a session.
#[derive(Default)]
pub struct MemoryPool {
    /// Bytes; 0 is unlimited.
    limit: AtomicUsize,
    state: Mutex<State>,
    evictable: Mutex<Vec<Weak<dyn Evictable>>>,
    temp: Mutex<Weak<TempFolder>>,
}

#[derive(Default)]
struct State {
    used: usize,
    /// Of `used`, what neither spills nor is evictable.
    fixed: usize,
    peak: usize,
    /// Reservations that can spill and hold something.
    sharers: usize,
    /// Tasks that run, and those who wait for memory.
    tasks: usize,
    waiting: usize,
}

/// How a reservation can be made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Spills,
    Fixed,
    Evictable,
}

impl MemoryPool {
    /// A pool of `limit` bytes; 0 is unlimited.
    pub fn new(limit: usize) -> Arc<Self> {
        let pool = Self::default();
        pool.set_limit(limit);
        Arc::new(pool)
    }

    /// What is held stays; the limit is for what is asked for from now on.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// `None`: unlimited.
    pub fn limit(&self) -> Option<usize> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|l| *l > 0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.state().used
    }

    /// The most that was held at a time.
    pub fn peak(&self) -> usize {
        self.state().peak
    }

    /// The folder of this session's spill files under `parent`; it is there as long as someone holds it.
    pub fn temp_folder(&self, parent: &str) -> Arc<TempFolder> {
        let mut temp = self.temp.lock().unwrap_or_else(|e| e.into_inner());
        match temp.upgrade() {
            Some(folder) if folder.is_in(parent) => folder,
            _ => {
                let folder = Arc::new(TempFolder::new(parent));
                *temp = Arc::downgrade(&folder);
                folder
            }
        }
    }

    /// Notes that a task runs, until this is dropped: there is a point in waiting for what it holds.
    pub fn running_task(self: &Arc<Self>) -> Counted {
        self.counted(|state| &mut state.tasks)
    }

    fn counted(self: &Arc<Self>, count: fn(&mut State) -> &mut usize) -> Counted {
        *count(&mut self.state()) += 1;
        Counted { pool: self.clone(), count }
    }

    /// Whether a task runs that does not wait for memory.
    fn may_get_more(&self) -> bool {
        let state = self.state();
        state.waiting < state.tasks
    }

    /// A reservation of something that can spill; `peak` is the metric of the most that it held.
    pub fn spillable(self: &Arc<Self>, name: &'static str, peak: Counter) -> Reservation {
        self.reservation(Kind::Spills, name, Some(peak))
    }

    /// A reservation of something that cannot spill.
    pub fn fixed(self: &Arc<Self>, name: &'static str, peak: Counter) -> Reservation {
        self.reservation(Kind::Fixed, name, Some(peak))
    }

    fn reservation(self: &Arc<Self>, kind: Kind, name: &'static str, peak: Option<Counter>) -> Reservation {
        Reservation { pool: self.clone(), kind, name, peak, used: 0, granted: 0 }
    }

    /// `make` is given a reservation that whoever needs memory may have freed.
    pub fn evictable<E: Evictable + 'static>(self: &Arc<Self>, name: &'static str, make: impl FnOnce(Reservation) -> E) -> Arc<E> {
        let made = Arc::new(make(self.reservation(Kind::Evictable, name, None)));
        self.offer(&made);
        made
    }

    /// From now on whoever needs memory may evict `held`, once.
    pub fn offer<E: Evictable + 'static>(&self, held: &Arc<E>) {
        let weak: Weak<dyn Evictable> = Arc::<E>::downgrade(held);
        let mut list = self.evictable.lock().unwrap_or_else(|e| e.into_inner());
        list.retain(|w| w.strong_count() > 0);
        list.push(weak);
    }

    /// Adds to what is held.
    fn take(&self, state: &mut State, kind: Kind, held: usize, bytes: usize) {
        state.used += bytes;
        state.peak = state.peak.max(state.used);
        match kind {
            Kind::Spills => state.sharers += usize::from(held == 0 && bytes > 0),
            Kind::Fixed => state.fixed += bytes,
            Kind::Evictable => {}
        }
    }

    /// Whether `bytes` more were taken for a holder of `held` bytes, who may be `capped`: to an equal share if it can spill, else to what
    /// leaves a quarter to others.
    fn try_take(&self, kind: Kind, held: usize, bytes: usize, capped: bool) -> Result<bool> {
        loop {
            let mut state = self.state();
            let Some(limit) = self.limit() else {
                self.take(&mut state, kind, held, bytes);
                return Ok(true);
            };
            if kind == Kind::Spills && held + bytes <= LEAST.min(limit / 16) {
                self.take(&mut state, kind, held, bytes);
                return Ok(true);
            }
            let sharers = state.sharers + usize::from(held == 0);
            let beyond_cap = match kind {
                Kind::Spills => held + bytes > limit.saturating_sub(state.fixed) / sharers,
                Kind::Fixed => state.fixed + bytes > limit - limit / 4,
                Kind::Evictable => false,
            };
            if capped && beyond_cap {
                return Ok(false);
            }
            // What cannot spill goes before what can, which then has less and spills.
            let goes_before = kind == Kind::Fixed && state.fixed + bytes <= limit / 4;
            if state.used + bytes <= limit || goes_before {
                self.take(&mut state, kind, held, bytes);
                return Ok(true);
            }
            let missing = state.used + bytes - limit;
            drop(state);
            if !self.evict(missing)? {
                return Ok(false);
            }
        }
    }

    /// Evicts until `wanted` bytes are freed or nothing is left; whether anything was freed.
    fn evict(&self, wanted: usize) -> Result<bool> {
        let before = self.used();
        let list = || self.evictable.lock().unwrap_or_else(|e| e.into_inner());
        let mut kept = vec![];
        let freed = loop {
            let next = list().pop();
            let Some(next) = next else { break Ok(self.used() < before) };
            let Some(held) = next.upgrade() else { continue };
            let evicted = held.evict();
            if !matches!(evicted, Ok(true)) {
                // It may go better the next time.
                kept.push(next);
            }
            if let Err(e) = evicted {
                break Err(e);
            }
            if before.saturating_sub(self.used()) >= wanted {
                break Ok(true);
            }
        };
        list().extend(kept);
        freed
    }
}

/// Somebody who counts among those who run, or wait.
pub struct Counted {
    pool: Arc<MemoryPool>,
    count: fn(&mut State) -> &mut usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        *(self.count)(&mut self.pool.state()) -= 1;
    }
}

/// Bytes that a holder has of a pool; given back when dropped. They are asked for in steps, so that small growth costs nothing.
pub struct Reservation {
    pool: Arc<MemoryPool>,
    kind: Kind,
    name: &'static str,
    peak: Option<Counter>,
    /// What the holder uses.
    used: usize,
    /// What it has of the pool, at least `used`.
    granted: usize,
}

impl Reservation {
    pub fn size(&self) -> usize {
        self.used
    }

    pub fn pool(&self) -> &Arc<MemoryPool> {
        &self.pool
    }

    /// Whether the pool has a limit.
    pub fn limited(&self) -> bool {
        self.pool.limit().is_some()
    }

    /// Whether the holder now has `bytes` in all. Getting smaller is never refused.
    ///
    /// # Errors
    /// `Io` when memory of others could not be written out.
    pub fn try_resize(&mut self, bytes: usize) -> Result<bool> {
        Ok(self.used >= bytes && self.set(bytes) || self.request(bytes, true)?)
    }

    /// As [`Self::try_resize`] for `bytes` more.
    ///
    /// # Errors
    /// As there.
    pub fn try_grow(&mut self, bytes: usize) -> Result<bool> {
        self.try_resize(self.used + bytes)
    }

    /// Has `bytes` in all, of what the limit leaves; waits while other tasks have too much and go on.
    ///
    /// # Errors
    /// `OutOfMemory`, naming the holder, what it asked for and the limit; `Cancelled`; `Io` as for [`Self::try_resize`].
    pub fn resize(&mut self, bytes: usize) -> Result<()> {
        // Beyond the equal share, since there is no other way; never beyond the limit.
        if self.used >= bytes && self.set(bytes) || self.request(bytes, false)? || self.wait_for(bytes)? {
            return Ok(());
        }
        Err(self.refused(bytes - self.used))
    }

    /// Asks again and again while there are tasks that may give something back.
    fn wait_for(&mut self, bytes: usize) -> Result<bool> {
        let pool = self.pool.clone();
        let _waiting = pool.counted(|state| &mut state.waiting);
        let until = Instant::now() + MOST_WAIT;
        while pool.limit().is_some_and(|limit| bytes <= limit) && pool.may_get_more() && Instant::now() < until {
            interrupt::check()?;
            std::thread::sleep(NEXT_TRY);
            if self.request(bytes, false)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`Self::resize`] for `bytes` more.
    ///
    /// # Errors
    /// As there.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        self.resize(self.used + bytes)
    }

    /// Has `bytes` more whatever the limit: the least that a holder needs to go on after it has spilled all.
    pub fn force(&mut self, bytes: usize) {
        let bytes = self.used + bytes;
        if bytes > self.granted {
            self.pool.take(&mut self.pool.state(), self.kind, self.granted, bytes - self.granted);
            self.granted = bytes;
        }
        self.set(bytes);
    }

    /// Moves all to a holder that needs no permission, since it was granted already.
    pub fn transfer(&mut self, to: &mut Reservation) {
        let bytes = self.used;
        self.free();
        to.force(bytes);
    }

    /// `rows`, whose stream keeps the reservation as long as it is there.
    pub fn while_read(self, rows: impl Iterator<Item = Result<RecordBatch>> + Send + 'static) -> BatchStream {
        Box::new(rows.inspect(move |_| {
            let _ = &self;
        }))
    }

    /// The error of a holder that cannot go on without `bytes` more.
    pub fn refused(&self, bytes: usize) -> Error {
        let limit = self.pool.limit().unwrap_or(usize::MAX);
        let message = format!(
            "{}: unable to acquire {bytes} bytes of memory; it holds {}, all queries {} of the {limit} bytes that memory.limit leaves for rows held.",
            self.name,
            self.used,
            self.pool.used(),
        );
        Error::new(ErrorClass::OutOfMemory, message)
    }

    /// Asks for what is missing of `bytes`: a step more if there is that much.
    fn request(&mut self, bytes: usize, capped: bool) -> Result<bool> {
        if bytes > self.granted {
            let missing = bytes - self.granted;
            let step = self.pool.limit().map_or(STEP, |limit| STEP.min(limit / 256));
            let mut more = missing.max(step);
            if !self.pool.try_take(self.kind, self.granted, more, capped)? {
                if more == missing || !self.pool.try_take(self.kind, self.granted, missing, capped)? {
                    return Ok(false);
                }
                more = missing;
            }
            self.granted += more;
        }
        Ok(self.set(bytes))
    }

    /// Notes that `bytes` of what was granted are used, and gives back what is far more.
    fn set(&mut self, bytes: usize) -> bool {
        self.used = bytes;
        if let Some(peak) = &self.peak {
            peak.fetch_max(bytes as u64, Ordering::Relaxed);
        }
        if self.granted - bytes > STEP {
            self.shrink(bytes);
        }
        true
    }

    fn shrink(&mut self, granted: usize) {
        let less = self.granted - granted;
        if less == 0 {
            return;
        }
        let mut state = self.pool.state();
        state.used -= less;
        match self.kind {
            Kind::Spills => state.sharers -= usize::from(granted == 0),
            Kind::Fixed => state.fixed -= less,
            Kind::Evictable => {}
        }
        drop(state);
        self.granted = granted;
    }

    /// Gives all back.
    pub fn free(&mut self) {
        self.used = 0;
        self.shrink(0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spillable(pool: &Arc<MemoryPool>) -> Reservation {
        pool.spillable("Sort", Counter::default())
    }

    #[test]
    fn holders_share_equally_and_give_back() {
        let pool = MemoryPool::new(100);
        let mut a = spillable(&pool);
        assert!(a.try_resize(100).unwrap());
        let mut b = spillable(&pool);
        assert!(!b.try_resize(60).unwrap(), "more than half");
        assert!(!b.try_resize(50).unwrap(), "a holds it");
        a.free();
        assert!(b.try_resize(100).unwrap());
        drop(b);
        assert_eq!((pool.used(), pool.peak()), (0, 100));
    }

    #[test]
    fn what_cannot_spill_waits_for_tasks_that_go_on() {
        let pool = MemoryPool::new(100);
        let (running, mut first) = (pool.running_task(), pool.fixed("Window", Counter::default()));
        first.resize(80).unwrap();
        let other = pool.clone();
        let second = std::thread::spawn(move || {
            let (_running, mut second) = (other.running_task(), other.fixed("Window", Counter::default()));
            second.resize(60).map(|()| second.size())
        });
        while !pool.state().waiting.eq(&1) {
            std::thread::sleep(NEXT_TRY);
        }
        drop(first);
        assert_eq!(second.join().unwrap().unwrap(), 60);
        // Who runs alone waits for nobody.
        drop(running);
        let (_running, mut third, mut fourth) =
            (pool.running_task(), pool.fixed("Window", Counter::default()), pool.fixed("Window", Counter::default()));
        third.resize(80).unwrap();
        assert_eq!(fourth.resize(60).unwrap_err().class, ErrorClass::OutOfMemory);
    }

    #[test]
    fn what_cannot_spill_fails_by_name() {
        let pool = MemoryPool::new(100);
        let mut table = pool.fixed("BroadcastExchange", Counter::default());
        table.resize(80).unwrap();
        let e = table.grow(21).unwrap_err();
        assert_eq!(e.class, ErrorClass::OutOfMemory);
        assert!(e.message.contains("BroadcastExchange") && e.message.contains("21 bytes") && e.message.contains("100 bytes"), "{e}");
        assert!(!spillable(&pool).try_resize(21).unwrap());
        assert!(spillable(&pool).try_resize(20).unwrap());
    }

    struct Kept(Mutex<Reservation>);

    impl Evictable for Kept {
        fn evict(&self) -> Result<bool> {
            self.0.lock().unwrap().free();
            Ok(true)
        }
    }

    #[test]
    fn finished_outputs_give_way() {
        let pool = MemoryPool::new(100);
        let kept = pool.evictable("Exchange", |mut r| {
            assert!(r.try_resize(90).unwrap());
            Kept(Mutex::new(r))
        });
        let mut a = spillable(&pool);
        assert!(a.try_resize(50).unwrap());
        assert_eq!(kept.0.lock().unwrap().size(), 0);
        assert_eq!(pool.used(), 50);
    }
}
