//! Failures on purpose, for tests of what follows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::{Error, ErrorClass, Result};

/// Places where something can go wrong: a task fails or panics; a spill file cannot be made, or a write to it or a read of it fails; a
/// file of a map task's output is removed, or one of its bits flipped, before it is first read.
pub const POINTS: [&str; 7] = ["task", "panic", "spill.create", "spill.write", "spill.read", "shuffle.delete", "shuffle.flip"];

/// What goes wrong, and when: `POINT:N` fails at the N-th passage of the point in a query, `POINT:*` at each; several are
/// separated by commas. At `task` and `panic` each task passes on its own.
#[derive(Default)]
pub struct Faults {
    list: Vec<Fault>,
    /// How often each point was passed.
    passed: [AtomicU64; POINTS.len()],
}

struct Fault {
    point: &'static str,
    /// The passage that fails; `None`: all.
    at: Option<u64>,
}

impl Fault {
    fn is_at(&self, point: &str, passage: u64) -> bool {
        self.point == point && self.at.is_none_or(|at| at == passage)
    }
}

impl Faults {
    /// # Errors
    /// `InvalidSetting` for what is no list of faults.
    pub fn parse(text: &str) -> Result<Arc<Self>> {
        let fault = |part: &str| {
            let (name, at) = part.split_once(':').unwrap_or((part, "1"));
            let point = POINTS.iter().find(|p| **p == name.trim());
            let at = if at.trim() == "*" { Some(None) } else { at.trim().parse().ok().map(Some) };
            let (Some(point), Some(at)) = (point, at) else {
                let message = format!("`execution.faults` must list POINT:N or POINT:* of {}, not `{part}`.", POINTS.join(", "));
                return Err(Error::new(ErrorClass::InvalidSetting, message));
            };
            Ok(Fault { point, at })
        };
        let parts = text.split(',').filter(|p| !p.trim().is_empty());
        Ok(Arc::new(Self { list: parts.map(fault).collect::<Result<_>>()?, passed: Default::default() }))
    }

    /// Whether this passage of `point` fails.
    pub fn hit(&self, point: &str) -> bool {
        let passage = self.counter(point).map_or(0, |counter| counter.fetch_add(1, Ordering::Relaxed) + 1);
        self.list.iter().any(|f| f.is_at(point, passage))
    }

    /// Whether try number `attempt` (from 1) of a task fails at `point`.
    pub fn hit_attempt(&self, point: &str, attempt: u64) -> bool {
        self.list.iter().any(|f| f.is_at(point, attempt))
    }

    /// How often the query has passed `point`; not known of `task` and `panic`.
    pub fn passed(&self, point: &str) -> u64 {
        self.counter(point).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn counter(&self, point: &str) -> Option<&AtomicU64> {
        POINTS.iter().zip(&self.passed).find_map(|(p, counter)| (*p == point).then_some(counter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_fail_at_their_passage() {
        let faults = Faults::parse("spill.write:2, task:*").unwrap();
        assert_eq!([1, 2, 3].map(|_| faults.hit("spill.write")), [false, true, false]);
        assert_eq!((faults.passed("spill.write"), faults.passed("spill.read")), (3, 0));
        assert!(faults.hit_attempt("task", 3) && !faults.hit_attempt("panic", 1));
        assert_eq!(Faults::parse("disk:1").err().map(|e| e.class), Some(ErrorClass::InvalidSetting));
    }
}
