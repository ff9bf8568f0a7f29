//! Floor 9: the command `wholestage`.
//!
//! Results go to standard output and nothing else does. Exit codes: 0 done, 1 the query failed (one message on standard error),
//! 2 wrong usage, 130 interrupted.

pub mod answers;
mod bench;
mod explain;
mod generate;
mod interrupt;
mod ir;
mod options;
mod output;
mod progress;
mod query;
mod shell;
mod suites;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::base::{ErrorClass, Result};

/// SQL planned the way Spark does and compiled to machine code, over Parquet, CSV, JSON and Arrow.
#[derive(Parser)]
#[command(
    name = "wholestage",
    version,
    max_term_width = 110,
    after_help = "\
Examples, on the data in this repository:
  wholestage query   --data fixtures/sales \"SELECT region, sum(amount) AS total FROM orders GROUP BY region ORDER BY total DESC\"
  wholestage explain --data fixtures/sales \"SELECT region, sum(amount) FROM orders GROUP BY region\"
  wholestage shell   --data fixtures/sales"
)]
struct Command {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Run SQL statements and print their results
    Query(query::Arguments),
    /// Show how a query would run
    Explain(explain::Arguments),
    /// Show the code made for a query's compiled stages
    Ir(ir::Arguments),
    /// Time queries in each mode
    Bench(bench::Arguments),
    /// Write benchmark data to files
    Generate(generate::Arguments),
    /// Read statements line by line and run them
    Shell(shell::Arguments),
}

/// Runs the command with the process's arguments.
pub fn main() -> ExitCode {
    quiet_panics();
    let command = Command::parse();
    let done = match command.what {
        Some(what) => run(what),
        None => shell::run(&shell::Arguments::default(), std::io::stdin().is_terminal()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            if e.class == ErrorClass::Cancelled { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(what: What) -> Result<()> {
    match what {
        What::Query(a) => stoppable(|| query::run(&a)),
        What::Explain(a) => stoppable(|| explain::run(&a)),
        What::Ir(a) => ir::run(&a),
        What::Bench(a) => bench::run(&a),
        What::Generate(a) => generate::run(&a),
        What::Shell(a) => shell::run(&a, std::io::stdin().is_terminal()),
    }
}

/// What Ctrl-C stops in an orderly way.
fn stoppable(work: impl FnOnce() -> Result<()>) -> Result<()> {
    interrupt::listen(None)?;
    interrupt::stoppable(work)
}

/// A panic in a task is reported as the query's error; the default hook would print a second message.
fn quiet_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
}
