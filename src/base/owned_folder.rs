//! Folders of a process for what is not to outlive it: removed by itself or, if it was killed, by the next that looks.
//!
//! Beside each lies a file of its name and `.lock`, which is locked as long as the owner lives.

use std::fs::{File, OpenOptions};
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that is there until this is dropped.
#[derive(Debug)]
pub struct OwnedFolder {
    path: PathBuf,
    lock_path: PathBuf,
    /// Locked as long as the process lives.
    _lock: File,
}

static MADE: AtomicU64 = AtomicU64::new(0);

/// What names of folders for unfinished files end with.
const UNFINISHED: &str = ".writing";

impl OwnedFolder {
    /// An empty folder in `parent`; its name begins with `prefix` and ends with `suffix`.
    pub fn create(parent: &Path, prefix: &str, suffix: &str) -> Result<Self> {
        loop {
            let name = format!("{prefix}{}-{}{suffix}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
            let (path, lock_path) = (parent.join(&name), parent.join(name + ".lock"));
            let lock = OpenOptions::new().create(true).append(true).open(&lock_path)?;
            // Who looked for leftovers may have locked the file and taken it away since, and processes of other machines have the same ids.
            if lock.try_lock().is_err() || !lock_path.exists() || path.exists() {
                continue;
            }
            let made = Self { path, lock_path, _lock: lock };
            std::fs::create_dir(&made.path)?;
            return Ok(made);
        }
    }

    /// A hidden folder beside `target`, for what gets that name when it is whole. What killed processes have left there for the same name
    /// is removed.
    pub fn beside(target: &Path) -> Result<Self> {
        let parent = folder_of(target);
        let prefix = format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy());
        Self::remove_leftovers(parent, &prefix, UNFINISHED);
        Self::create(parent, &prefix, UNFINISHED)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folders in `parent` whose process was killed: nobody holds their lock. Best effort: others may be doing the same.
    pub fn remove_leftovers(parent: &Path, prefix: &str, suffix: &str) {
        let Ok(entries) = std::fs::read_dir(parent) else { return };
        for lock_path in entries.flatten().map(|e| e.path()) {
            let name = lock_path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".lock"));
            if !name.is_some_and(|n| n.len() >= prefix.len() + suffix.len() && n.starts_with(prefix) && n.ends_with(suffix)) {
                continue;
            }
            let Ok(lock) = OpenOptions::new().append(true).open(&lock_path) else { continue };
            if lock.try_lock().is_ok() {
                // Removed with the guard.
                drop(Self { path: lock_path.with_extension(""), lock_path, _lock: lock });
            }
        }
    }
}

/// The folder that `path` is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        // What cannot be removed now is found by the next process.
        let _ = std::fs::remove_dir_all(&self.path);
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_processes_are_removed_and_of_living_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("table");
        let living = OwnedFolder::beside(&target).unwrap();
        for name in [".table.1-0.writing", ".other.1-0.writing"] {
            let dead = dir.path().join(name);
            std::fs::create_dir(&dead).unwrap();
            std::fs::write(dead.join("part"), "x").unwrap();
            std::fs::write(dir.path().join(format!("{name}.lock")), "").unwrap();
        }
        let next = OwnedFolder::beside(&target).unwrap();
        assert!(living.path().is_dir() && next.path().is_dir() && living.path() != next.path());
        assert!(!dir.path().join(".table.1-0.writing").exists() && dir.path().join(".other.1-0.writing").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 6);
        drop((living, next));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_was_renamed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("table");
        let made = OwnedFolder::beside(&target).unwrap();
        std::fs::rename(made.path(), &target).unwrap();
        drop(made);
        assert!(target.is_dir());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
