//! Processes that are made without a program of their own: by `fork`, and in the ways that no
//! handler of the C library hears of.
//!
//! Owns the unsafe code of forking. The root package's tests use this file, too.
#![expect(unsafe_code, reason = "no safe wrapper forks")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

/// How a child is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// By the C library, which runs the handlers of `pthread_atfork`.
    Fork,
    /// By the bare system call, which runs none.
    RawClone,
    /// By the newer one.
    RawClone3,
    /// By the C library's `_Fork`, which runs none either.
    BareFork,
}

impl Way {
    pub(crate) const ALL: [Way; 4] = [Way::Fork, Way::RawClone, Way::RawClone3, Way::BareFork];
}

/// Makes a child that does `work` and then ends, well only if `work` did not panic.
///
/// Where the way is not `fork`, no other thread of this process may be allocating memory: the
/// child would find the allocator's lock held for ever.
pub(crate) fn spawn(way: Way, work: impl FnOnce()) -> Pid {
    if let Some(child) = split(way) {
        return child;
    }
    let outcome = catch_unwind(AssertUnwindSafe(work));
    // SAFETY: ends this process at once and touches none of its memory. What would run at an
    // orderly exit belongs to the parent.
    unsafe { libc::_exit(i32::from(outcome.is_err())) }
}

/// Waits for the end of a child.
pub(crate) fn wait(child: Pid) -> WaitStatus {
    let ended = waitpid(Some(child), WaitOptions::empty()).expect("it is a child of ours");
    ended.expect("nothing but its end is waited for").1
}

/// Returns twice: the child's pid in the parent, and `None` in the child.
fn split(way: Way) -> Option<Pid> {
    let pid = match way {
        Way::Fork => {
            // SAFETY: duplicates the process. The C library leaves its own locks usable in the
            // child, and the writer under test takes none over a fork.
            unsafe { libc::fork() }
        }
        Way::RawClone => {
            let none = 0 as libc::c_long;
            let flags = libc::c_long::from(libc::SIGCHLD);
            // On x86_64 the arguments after the stack are parent's tid, child's tid, and thread
            // area; on aarch64 the last two change places. None of them is used, so both agree.
            // SAFETY: with no flag but the signal and no stack of its own the child is a
            // duplicate, as by `fork`; the callers see to the allocator.
            let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
            libc::pid_t::try_from(pid).expect("the kernel yields a pid")
        }
        Way::RawClone3 => {
            // SAFETY: plain numbers, of which zero asks for nothing.
            let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
            arguments.exit_signal = libc::SIGCHLD as u64;
            let bytes = size_of::<libc::clone_args>();
            // SAFETY: the arguments outlive the call, and ask for a duplicate as by `fork`; the
            // callers see to the allocator.
            let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, bytes) };
            libc::pid_t::try_from(pid).expect("the kernel yields a pid")
        }
        Way::BareFork => {
            // SAFETY: as `fork`, but that the callers see to the allocator.
            unsafe { _Fork() }
        }
    };
    assert!(pid >= 0, "{way:?}: {}", std::io::Error::last_os_error());
    Pid::from_raw(pid)
}

// In glibc since 2.34 and musl since 1.2.2.
unsafe extern "C" {
    fn _Fork() -> libc::pid_t;
}
