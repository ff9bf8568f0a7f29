//! CLIF as text, annotated with the operator that each run of instructions belongs to.

use std::fmt::Write as _;

use cranelift_codegen::ir::Function;

/// The function's text; before the first instruction of each operator stands a comment with its name (`names[i]` is source
/// location `i + 1`).
pub fn annotated(function: &Function, names: &[&str]) -> String {
    let text = function.display().to_string();
    let mut out = String::with_capacity(text.len() * 2);
    let mut current = usize::MAX;
    for line in text.lines() {
        // Cranelift prints source locations as `@0001` in front of instructions.
        let location = line.trim_start().strip_prefix('@').and_then(|l| l.get(..4)).and_then(|hex| usize::from_str_radix(hex, 16).ok());
        if let Some(location) = location.filter(|l| *l > 0) {
            if location != current {
                current = location;
                if let Some(name) = names.get(location - 1) {
                    let _ = writeln!(out, "                                ; {name}");
                }
            }
        }
        let line = match location {
            Some(_) => line.replacen(&line.trim_start()[..5], "     ", 1),
            None => line.to_string(),
        };
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
