//! A progress bar on standard error while a query takes long, of Spark's form: `[Stage 3:=====>      (5 + 2) / 12]`.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::ValueEnum;

use crate::execution::QueryExecution;
use crate::rdd::StageInfo;

/// Queries that are done by then show nothing.
const FIRST: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(200);
/// Most stages that are shown at once.
const MOST_STAGES: usize = 3;

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Progress {
    /// On a terminal
    #[default]
    Auto,
    Always,
    Never,
}

impl Progress {
    /// Does `work`, which runs the query, and shows meanwhile how far it is. Nothing of that is left when it returns.
    pub fn during<T>(self, execution: &QueryExecution, work: impl FnOnce() -> T) -> T {
        let wanted = match self {
            Progress::Auto => std::io::stderr().is_terminal(),
            Progress::Always => true,
            Progress::Never => false,
        };
        if !wanted {
            return work();
        }
        let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(80);
        std::thread::scope(|scope| {
            let (done, finished) = channel::<()>();
            scope.spawn(move || {
                let (mut wait, mut shown) = (FIRST, 0usize);
                while finished.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    wait = INTERVAL;
                    let bars = execution.progress().map(|p| bars(&p.stages, columns)).unwrap_or_default();
                    if !bars.is_empty() {
                        eprint!("\r{bars}{:1$}", "", shown.saturating_sub(bars.len()));
                        shown = bars.len();
                    }
                }
                if shown > 0 {
                    eprint!("\r{:shown$}\r", "");
                }
            });
            let result = work();
            drop(done);
            result
        })
    }
}

/// The stages that run, beside each other in a line of `columns` characters; empty when none does.
fn bars(stages: &[StageInfo], columns: usize) -> String {
    let active: Vec<_> = stages.iter().filter(|s| !s.has_ended()).take(MOST_STAGES).collect();
    let width = columns.saturating_sub(1) / active.len().max(1);
    active.iter().map(|stage| bar(stage, width)).collect()
}

fn bar(stage: &StageInfo, width: usize) -> String {
    let head = format!("[Stage {}:", stage.id);
    let tail = format!("({} + {}) / {}]", stage.done, stage.running, stage.tasks);
    let room = width.saturating_sub(head.len() + tail.len());
    let full = room * stage.done / stage.tasks.max(1);
    let arrow = if full < room { ">" } else { "" };
    format!("{head}{}{arrow}{}{tail}", "=".repeat(full), " ".repeat(room - full - arrow.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(id: usize, done: usize, running: usize, tasks: usize) -> StageInfo {
        StageInfo {
            id,
            name: "Sort".into(),
            tasks,
            running,
            done,
            failed_tries: 0,
            run_time: Duration::ZERO,
            rows: 0,
            shuffle_bytes: 0,
            spilled: 0,
        }
    }

    #[test]
    fn bars_of_running_stages_share_the_line() {
        let ended = stage(0, 4, 0, 4);
        assert_eq!(bars(std::slice::from_ref(&ended), 40), "");
        assert_eq!(bars(&[ended.clone(), stage(3, 5, 2, 12)], 40), "[Stage 3:=======>         (5 + 2) / 12]");
        let two = bars(&[stage(1, 0, 2, 4), ended, stage(2, 3, 1, 4)], 61);
        assert_eq!(two, "[Stage 1:>        (0 + 2) / 4][Stage 2:======>  (3 + 1) / 4]");
        assert_eq!(bars(&[stage(1, 10, 2, 400)], 10), "[Stage 1:(10 + 2) / 400]");
    }
}
