//! Ctrl-C: the first stops what runs, the second ends the process.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use crate::base::{Error, Interrupt, Result};

/// The exit code of what Ctrl-C has ended.
pub(super) const EXIT_CODE: u8 = 130;

static RUNNING: Mutex<Option<Interrupt>> = Mutex::new(None);
/// Whether Ctrl-C was pressed while nothing ran.
static PRESSED_AT_PROMPT: AtomicBool = AtomicBool::new(false);

fn running<T>(f: impl FnOnce(&mut Option<Interrupt>) -> T) -> T {
    f(&mut RUNNING.lock().unwrap_or_else(|e| e.into_inner()))
}

/// Takes Ctrl-C over. Where nothing runs it ends the process, or with `prompt` has it printed anew.
///
/// # Errors
/// `Io` when the system has no such signal for the process.
pub(super) fn listen(prompt: Option<&'static str>) -> Result<()> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| {
        let pressed = move || {
            let running = running(|r| r.clone());
            match (running, prompt) {
                (Some(interrupt), _) if !interrupt.requested() => interrupt.request(),
                (None, Some(prompt)) => {
                    PRESSED_AT_PROMPT.store(true, Ordering::Relaxed);
                    let mut out = std::io::stdout().lock();
                    let _ = write!(out, "\n{prompt}").and_then(|()| out.flush());
                }
                _ => std::process::exit(i32::from(EXIT_CODE)),
            }
        };
        result = Signals::new([SIGINT]).map_err(|e| Error::from(e).context("Ctrl-C")).map(|mut signals| {
            std::thread::spawn(move || signals.forever().for_each(|_| pressed()));
        });
    });
    result
}

/// Whether Ctrl-C was pressed at a prompt since the last call.
pub(super) fn pressed_at_prompt() -> bool {
    PRESSED_AT_PROMPT.swap(false, Ordering::Relaxed)
}

/// Does `work`, which fails with `Cancelled` if Ctrl-C is pressed meanwhile.
///
/// # Errors
/// Those of `work`.
pub(super) fn stoppable<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let interrupt = Interrupt::new();
    running(|r| *r = Some(interrupt.clone()));
    let entered = interrupt.enter();
    let result = work();
    drop(entered);
    running(|r| *r = None);
    // Pressed too late for the work, but before its outcome is told.
    interrupt.check().and(result)
}
