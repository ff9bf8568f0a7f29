//! The allocator of the command.

use std::ffi::c_long;
use std::sync::OnceLock;

use libmimalloc_sys::{mi_option_get, mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of mimalloc's `mi_option_e`: for how many milliseconds freed memory is kept to be used again.
const PURGE_DELAY: mi_option_t = 15;

/// Whether mimalloc, where it is the program's allocator, is to give memory back to the system as soon as it is freed: a process that
/// frees gigabytes a second otherwise holds hundreds of megabytes that nobody uses.
pub fn give_back_at_once(at_once: bool) {
    static USUAL: OnceLock<c_long> = OnceLock::new();
    // SAFETY: options are numbers that any thread may read and set at any time.
    let usual = *USUAL.get_or_init(|| unsafe { mi_option_get(PURGE_DELAY) });
    // SAFETY: as above.
    unsafe { mi_option_set(PURGE_DELAY, if at_once { 0 } else { usual }) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: as above.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        let usual = delay();
        assert!(usual > 0);
        give_back_at_once(true);
        assert_eq!(delay(), 0);
        give_back_at_once(false);
        assert_eq!(delay(), usual);
    }
}
