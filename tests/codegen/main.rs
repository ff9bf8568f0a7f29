//! Golden files: every `codegen-tests/**/*.test` states a query and what must come of it. See codegen-tests/README.md.
//!
//! `WHOLESTAGE_BLESS=1 cargo test --test codegen` rewrites the sections that differ and keeps everything else.

mod file;
mod sections;
mod tables;

use std::path::{Path, PathBuf};

use file::GoldenFile;

fn golden_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            golden_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "test") {
            out.push(path);
        }
    }
}

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("codegen-tests");
    let bless = std::env::var("WHOLESTAGE_BLESS").is_ok_and(|v| v == "1");
    let mut paths = vec![];
    golden_files(&root, &mut paths);
    assert!(!paths.is_empty(), "no golden files under {}", root.display());
    let mut problems = vec![];
    for path in paths {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let outcome = GoldenFile::parse(&text).and_then(|file| sections::check(file, bless));
        match outcome {
            Ok(Some(new)) => std::fs::write(&path, new.to_text()).unwrap(),
            Ok(None) => {}
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    assert!(
        problems.is_empty(),
        "{} golden file(s) differ (WHOLESTAGE_BLESS=1 cargo test --test codegen rewrites them):\n\n{}",
        problems.len(),
        problems.join("\n\n")
    );
}
