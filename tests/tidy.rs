//! The structure that DESIGN.md states, read from the source: imports go down, files stay readable, `unsafe` stays where
//! generated code meets Rust.

use std::path::{Path, PathBuf};

/// Floors from the bottom; a folder imports its own floor and lower ones only.
const FLOORS: [&[&str]; 10] = [
    &["base"],
    &["runtime"],
    &["expr"],
    &["codegen", "datasource"],
    &["logical", "rdd"],
    &["operators"],
    &["planning"],
    &["execution"],
    &["sql", "api"],
    &["cli"],
];
/// Lines of a file at most.
const LONGEST: usize = 800;
/// Where `unsafe` may be.
const UNSAFE: [&str; 2] = ["runtime", "codegen"];

fn floor(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|names| names.contains(&folder))
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The first folder of each path `crate::a…` or `crate::{a, b…}` in a line.
fn imports(line: &str) -> Vec<&str> {
    let word = |t: &'_ str| t.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(t.len());
    line.match_indices("crate::").map(|(at, m)| &line[at + m.len()..]).map(|t| &t[..word(t)]).filter(|w| !w.is_empty()).collect()
}

#[test]
fn the_source_keeps_to_its_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    rust_files(&root, &mut files);
    let mut problems = vec![];
    for path in files {
        let relative = path.strip_prefix(&root).unwrap();
        let folder = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > LONGEST {
            problems.push(format!("{}: {lines} lines, more than {LONGEST}", relative.display()));
        }
        let is_test = relative.to_str().is_some_and(|p| p.contains("test"));
        let code = if is_test { "" } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text) };
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or(line);
            let place = || format!("{}:{}", relative.display(), number + 1);
            if let Some(own) = floor(folder) {
                for import in imports(line) {
                    if floor(import).is_some_and(|f| f > own || (f == own && import != folder && folder != "api")) {
                        problems.push(format!("{}: {folder} imports {import}", place()));
                    }
                }
            }
            let is_unsafe = line.split_whitespace().any(|w| w.trim_start_matches('(') == "unsafe");
            if is_unsafe && !UNSAFE.contains(&folder) {
                problems.push(format!("{}: unsafe", place()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
