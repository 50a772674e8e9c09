//! Processes that are made without a program of their own: by `fork`, and by a raw `clone` that
//! no handler of the C library hears of.
//!
//! Owns all the unsafe code of the tests. The root package's tests use this file, too.
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
}

impl Way {
    pub(crate) const ALL: [Way; 2] = [Way::Fork, Way::RawClone];
}

/// Makes a child that does `work` and then ends, well only if `work` did not panic.
///
/// Where the way is a raw clone, no other thread of this process may be allocating memory: the
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
    };
    assert!(pid >= 0, "{way:?}: {}", std::io::Error::last_os_error());
    Pid::from_raw(pid)
}
