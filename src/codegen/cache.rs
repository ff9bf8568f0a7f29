//! Compiled functions kept for the next query of the same shape.
//!
//! Generated code names no address and no constant of a query, so equal CLIF is equal code. Functions are found by a 128-bit
//! hash of their CLIF before optimization, the symbols they call, and the compiler's settings.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock, Mutex};

use super::module::Code;

/// See the module. Two keyed hashes of 64 bits each, of different kinds: nobody can make two functions collide on purpose.
pub struct CodeCache {
    hashers: (RandomState, hashbrown::DefaultHashBuilder),
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    functions: HashMap<Key, Entry>,
    /// Counts uses: what was used longest ago goes first.
    clock: u64,
}

struct Entry {
    code: Arc<Code>,
    used: u64,
}

/// What a function is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u64; 2]);

/// The cache of this process.
pub static CACHE: LazyLock<CodeCache> = LazyLock::new(|| CodeCache { hashers: Default::default(), entries: Mutex::default() });

impl CodeCache {
    /// The key of a function that consists of `parts`.
    pub fn key(&self, parts: impl Hash) -> Key {
        Key([self.hashers.0.hash_one(&parts), self.hashers.1.hash_one(&parts)])
    }

    pub fn get(&self, key: Key) -> Option<Arc<Code>> {
        let mut entries = self.entries.lock().unwrap_or_else(|e| e.into_inner());
        entries.clock += 1;
        let now = entries.clock;
        let entry = entries.functions.get_mut(&key)?;
        entry.used = now;
        Some(entry.code.clone())
    }

    /// Keeps a function, and no more than `most` in all.
    pub fn put(&self, key: Key, code: Arc<Code>, most: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(|e| e.into_inner());
        entries.clock += 1;
        let used = entries.clock;
        entries.functions.insert(key, Entry { code, used });
        while entries.functions.len() > most {
            let Some(oldest) = entries.functions.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| *k) else { return };
            entries.functions.remove(&oldest);
        }
    }
}
