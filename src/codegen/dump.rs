//! CLIF as text, annotated with the operator that each run of instructions belongs to.

use std::fmt::Write as _;

use cranelift_codegen::ir::Function;

/// The function's text under its name, called symbols by theirs (`symbols`: Cranelift's reference and the name). Before the first
/// instruction of each operator stands a comment (`operators[i]` is source location `i + 1`).
pub fn annotated(function: &Function, name: &str, symbols: &[(String, String)], operators: &[&str]) -> String {
    let text = function.display().to_string();
    let mut out = String::with_capacity(text.len() * 2);
    let mut current = 0;
    for line in text.lines() {
        let line = line.trim();
        // Aliases are resolved where they are used.
        if line.starts_with('v') && line.contains(" -> ") && !line.contains('=') {
            continue;
        }
        // Cranelift prints source locations as `@0001` in front of instructions.
        let location = line.strip_prefix('@').and_then(|l| l.get(..4)).and_then(|hex| usize::from_str_radix(hex, 16).ok());
        if let Some(location) = location.filter(|l| *l > 0 && *l != current) {
            current = location;
            if let Some(operator) = operators.get(location - 1) {
                let _ = writeln!(out, "    ; {operator}");
            }
        }
        let code = if location.is_some() { line[5..].trim_start() } else { line };
        let outermost = code == "}" || (code.starts_with("block") && code.ends_with(':'));
        if let Some(rest) = code.strip_prefix("function u0:0") {
            let _ = writeln!(out, "function %{name}{rest}");
        } else if outermost {
            let _ = writeln!(out, "{code}");
        } else if let Some((reference, symbol)) = symbols.iter().find(|(r, _)| code.contains(r.as_str()) && code.starts_with("fn")) {
            let _ = writeln!(out, "    {}", code.replace(reference.as_str(), &format!("%{symbol}")));
        } else {
            let _ = writeln!(out, "    {code}");
        }
    }
    out.replace("    \n", "\n")
}
