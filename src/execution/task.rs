//! One task: its tries, and which failures are worth another one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::settings::TASK_MAX_FAILURES;
use crate::base::{Error, ErrorClass, Result, interrupt};
use crate::rdd::TaskContext;
use crate::rdd::counter::Tally;
use crate::rdd::stages::RunningStage;

/// Runs a task of a stage, again if reading or writing failed or it panicked, until the settings say that it was tried often
/// enough. Of a failed try nothing is left: what it made is dropped, what it counted is taken back. Other errors come again however
/// often a task is tried, and lost rows of a shuffle are for the stage to bring back.
///
/// # Errors
/// That of the last try.
pub(super) fn run_task<T>(stage: &RunningStage, first: TaskContext, work: impl Fn(&TaskContext) -> Result<T>) -> Result<T> {
    let tries = first.query.settings.int(&TASK_MAX_FAILURES).max(1) as u64;
    let mut task = first;
    loop {
        task.query.check_cancelled()?;
        let (error, passing) = match attempt(&task, &work) {
            Ok(value) => return Ok(value),
            Err(Failure::Error(e)) if matches!(e.class, ErrorClass::FetchFailed | ErrorClass::Cancelled) => return Err(e),
            Err(Failure::Error(e)) => {
                let passing = e.class == ErrorClass::Io;
                (e, passing)
            }
            Err(Failure::Panic(cause)) => (Error::internal(format!("a panic: {cause}")), true),
        };
        stage.failed_try();
        if !passing {
            return Err(error);
        }
        if task.attempt >= tries || task.has_left() {
            let times = if task.attempt == 1 { "once".to_string() } else { format!("{} times, the last time by", task.attempt) };
            return Err(error.context(format!("task {} of stage `{}` failed {times}", task.partition, stage.name)));
        }
        task = task.again();
    }
}

enum Failure {
    Error(Error),
    /// With its message.
    Panic(String),
}

fn attempt<T>(task: &TaskContext, work: impl Fn(&TaskContext) -> Result<T>) -> Result<T, Failure> {
    let (tally, _entered, _running) = (Tally::begin(), task.query.interrupt().enter(), task.query.memory.running_task());
    let whole = || {
        let made = work(task)?;
        task.check()?;
        if !task.has_left() {
            task.injected()?;
        }
        Ok(made)
    };
    let made = catch_unwind(AssertUnwindSafe(|| interrupt::catch(whole)?))
        .map_err(|payload| Failure::Panic(panic_message(payload.as_ref()).to_string()))?;
    let made = made.map_err(Failure::Error)?;
    tally.keep();
    Ok(made)
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
