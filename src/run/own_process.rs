//! What /proc tells about this process.
//!
//! Owns two lines of it: the group that this process is in, and the signals that it was started to
//! ignore.

use std::fs;

use rustix::process::Pid;

/// The process group of this process; `None` where it has no number here, as in a PID namespace
/// that somebody else's group was taken into, which getpgrp(2) answers with 0.
pub(super) fn group() -> Option<Pid> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    Pid::from_raw(after_name.split_whitespace().nth(2)?.parse().ok()?)
}

/// Whether whoever started this process wants `signal` ignored, as nohup(1) does with SIGHUP.
/// To be asked before a handler is installed.
pub(super) fn ignores(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A bit for each signal, the first for signal 1.
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_this_process_is_the_kernels() {
        assert_eq!(group(), Some(rustix::process::getpgrp()));
    }

    #[test]
    fn only_what_rust_ignores_is_ignored() {
        const SIGPIPE: i32 = 13;
        const SIGTERM: i32 = 15;
        assert!(ignores(SIGPIPE) && !ignores(SIGTERM));
    }
}
