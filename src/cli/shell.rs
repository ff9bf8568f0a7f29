//! `wholestage shell`: statements from standard input, line by line.

use std::io::{BufRead, Write};

use clap::Args;

use super::options::{self, Options, Sources};
use super::{interrupt, output, query};
use crate::base::{Error, Result};

const PROMPT: &str = "> ";

#[derive(Args, Default)]
#[command(after_help = "\
Example:
  wholestage shell --data fixtures/sales

A statement ends with ';' and may take several lines. Commands: \\d lists the tables, \\d NAME the columns of one, \\timing turns
times on and off, \\q ends.")]
pub(super) struct Arguments {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    options: Options,
}

/// Reads until the end of input. A failing statement is reported and, on a terminal, the next one is asked for; in a script it
/// ends the run.
pub(super) fn run(arguments: &Arguments, terminal: bool) -> Result<()> {
    let session = options::session(&arguments.sources, &arguments.options)?;
    let (mut timing, progress) = (arguments.options.timing, arguments.options.progress);
    let mut pending = String::new();
    if terminal {
        output::print("wholestage: end a statement with ';', stop it with Ctrl-C, leave with \\q\n")?;
    }
    interrupt::listen(terminal.then_some(PROMPT))?;
    let print_all = |text: &str, timing| interrupt::stoppable(|| query::print_all(&session, text, timing, progress));
    for line in prompted(terminal) {
        let line = line.map_err(|e| Error::from(e).context("standard input"))?;
        if interrupt::pressed_at_prompt() {
            pending.clear();
        }
        let command = line.trim();
        let done = match command.strip_prefix('\\').filter(|_| pending.trim().is_empty()) {
            Some("q") => return Ok(()),
            Some("timing") => {
                timing = !timing;
                output::print(if timing { "timing is on\n" } else { "timing is off\n" })
            }
            Some("d") => print_all("SHOW TABLES", timing),
            Some(rest) if rest.starts_with("d ") => print_all(&format!("DESCRIBE {}", &rest[2..]), timing),
            Some(other) => output::print(&format!("there is no command \\{other}\n")),
            None => {
                pending.push_str(&line);
                pending.push('\n');
                if !command.ends_with(';') {
                    continue;
                }
                print_all(&std::mem::take(&mut pending), timing)
            }
        };
        match done {
            Err(e) if terminal => eprintln!("error: {e}"),
            other => other?,
        }
    }
    if pending.trim().is_empty() { Ok(()) } else { print_all(&pending, timing) }
}

/// The lines of standard input; on a terminal each is asked for.
fn prompted(terminal: bool) -> impl Iterator<Item = std::io::Result<String>> {
    let mut lines = std::io::stdin().lock().lines();
    std::iter::from_fn(move || {
        if terminal {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(PROMPT.as_bytes()).and_then(|()| out.flush());
        }
        lines.next()
    })
}
