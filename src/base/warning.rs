//! Warnings: what a user should know about a statement that goes on all the same.
//!
//! They arise deep in binding, optimizing and planning, each of which runs on one thread from start to end; there they are gathered
//! rather than handed up through every signature.

use std::cell::RefCell;

thread_local! {
    /// Absent where nobody gathers: the warning is lost.
    static GATHERED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Warns, once in the same words.
pub fn warn(message: impl Into<String>) {
    let message = message.into();
    GATHERED.with_borrow_mut(|gathered| match gathered {
        Some(known) if !known.contains(&message) => known.push(message),
        _ => {}
    });
}

/// Runs `f`, and gives what it warned of.
pub fn gather<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    let around = GATHERED.replace(Some(vec![]));
    let result = f();
    (result, GATHERED.replace(around).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_gathering_keeps_to_itself() {
        let (inner, outer) = gather(|| {
            warn("a");
            let ((), inner) = gather(|| warn("b"));
            warn("a");
            inner
        });
        assert_eq!((inner, outer), (vec!["b".to_string()], vec!["a".to_string()]));
        warn("lost");
    }
}
