//! A line on standard error while a query takes long.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::execution::QueryExecution;

/// Queries that are done by then show nothing.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// On a terminal
    #[default]
    Auto,
    Always,
    Never,
}

impl Progress {
    /// Does `work`, which runs the query, and shows meanwhile how long it takes and how much it has read.
    pub fn during<T>(self, execution: &QueryExecution, work: impl FnOnce() -> T) -> T {
        let wanted = match self {
            Progress::Auto => std::io::stderr().is_terminal(),
            Progress::Always => true,
            Progress::Never => false,
        };
        if !wanted {
            return work();
        }
        std::thread::scope(|scope| {
            let (done, finished) = channel::<()>();
            scope.spawn(move || {
                let start = Instant::now();
                let mut shown = false;
                while finished.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    eprint!("\r{:.1} s, {} rows read ", start.elapsed().as_secs_f64(), rows_read(execution));
                    shown = true;
                }
                if shown {
                    eprint!("\r{:60}\r", "");
                }
            });
            let result = work();
            drop(done);
            result
        })
    }
}

/// Rows that have left the plan's scans.
fn rows_read(execution: &QueryExecution) -> u64 {
    let (Some(run), Ok(plan)) = (execution.last_run(), execution.executed_plan()) else { return 0 };
    let mut leaves = vec![];
    plan.visit(&mut |node| {
        if node.children.is_empty() {
            leaves.push(node.id);
        }
    });
    run.metrics().iter().filter(|(node, name, _)| *name == "numOutputRows" && leaves.contains(node)).map(|(_, _, rows)| rows).sum()
}
