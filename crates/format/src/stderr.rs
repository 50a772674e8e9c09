//! A line on standard error, from a place where nothing may go wrong.
//!
//! Owns one write that neither waits, nor panics, nor takes a lock: whoever has something to tell
//! may hold a lock of its own, standard error may be a full pipe or a file on a full disk, and a
//! fork may come at any moment. Knows nothing of what is told.
#![expect(
    unsafe_code,
    reason = "the standard library takes a lock and knows no write without it"
)]

/// Writes `line` if standard error takes it at once, and else does nothing.
#[cfg(target_os = "linux")]
pub fn tell(line: &str) {
    let mut poll = libc::pollfd {
        fd: libc::STDERR_FILENO,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: `poll` is one valid `pollfd`, which outlives the call; a zero timeout never waits.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    if ready != 1 || poll.revents & libc::POLLOUT == 0 {
        return;
    }
    // SAFETY: the pointer and the length are those of a slice that outlives the call. What comes of
    // the write is nobody's concern: there is no place left to tell it.
    let _written = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// Writes `line` if standard error takes it.
#[cfg(not(target_os = "linux"))]
pub fn tell(line: &str) {
    use std::io::Write;

    let _written = std::io::stderr().write_all(line.as_bytes());
}
