//! Life, as the kernel proves it: the lock that a writer holds on its own store.
//!
//! Owns taking the lock and asking for it (`spec/store.md`, chapter 7). Never looks at a pid: an
//! open-file-description lock ends with the process, whatever its namespace, and is asked for
//! without being taken. POSIX locks are never used (`[store.lock.bias]`): closing any descriptor of
//! the file drops them.
#![expect(
    unsafe_code,
    reason = "no safe wrapper knows open-file-description locks"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::layout::LockKind;

/// What the kernel says about the writer of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Probe {
    /// Nobody holds the lock: the writer is gone, and the store will never be written again.
    Free,
    /// The writer lives.
    Held,
    /// The kernel or the file system does not tell.
    Unknown,
}

/// Asks whether the writer of the store `file`, open for reading, lives.
///
/// `kind` is what the store's header says of the lock.
pub fn probe(file: &File, kind: LockKind) -> Probe {
    if kind != LockKind::Description {
        return Probe::Unknown;
    }
    // A read lock: other readers' read locks do not count, a writer's write lock does. Length zero
    // reaches to the end of any file.
    let mut lock = description_lock(libc::F_RDLCK, 0);
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `lock` is a valid
    // `flock` that the kernel may write to for the time of the call.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    match (outcome, libc::c_int::from(lock.l_type)) {
        (0, libc::F_UNLCK) => Probe::Free,
        (0, _) => Probe::Held,
        _ => Probe::Unknown,
    }
}

/// `[store.lock]`: takes the lock on a store that has no public name yet.
///
/// # Errors
///
/// When somebody holds it already; a file system without such locks yields the next best kind.
pub(crate) fn take(file: &File) -> io::Result<LockKind> {
    let lock = description_lock(libc::F_WRLCK, 1);
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `lock` is a valid
    // `flock` that outlives the call.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if outcome == 0 {
        return Ok(LockKind::Description);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Err(error),
        _ if rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .is_ok() =>
        {
            Ok(LockKind::Flock)
        }
        _ => Ok(LockKind::Missing),
    }
}

/// `[fold.lock]`: shows everybody who asks with [`is_marked`] that somebody has this file or directory
/// open, until that is closed. Any number may.
///
/// # Errors
///
/// Where the kernel or the file system has no such locks.
pub fn mark(file: &File) -> io::Result<()> {
    let lock = description_lock(libc::F_RDLCK, 1);
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `lock` is a valid
    // `flock` that outlives the call.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether somebody has marked this file or directory through another opening of it.
pub fn is_marked(file: &File) -> bool {
    let mut lock = description_lock(libc::F_WRLCK, 1);
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and `lock` is a valid
    // `flock` that the kernel may write to for the time of the call.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    outcome == 0 && libc::c_int::from(lock.l_type) != libc::F_UNLCK
}

fn description_lock(kind: libc::c_int, length: libc::off_t) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: length,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [fold.lock]
    #[test]
    fn a_directory_is_marked_for_others_until_it_is_closed() {
        let place = std::env::temp_dir().join(format!("headcount-mark-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let [one, two, three] = [(); 3].map(|()| File::open(&place).unwrap());
        assert!(!is_marked(&one));
        mark(&one).unwrap();
        assert!(!is_marked(&one), "it is its own");
        assert!(is_marked(&two));
        mark(&two).unwrap();
        drop(one);
        assert!(is_marked(&three) && !is_marked(&two));
        drop(two);
        assert!(!is_marked(&three));
        std::fs::remove_dir(place).unwrap();
    }

    // [store.lock] [store.lock.probe]
    #[test]
    fn a_lock_is_seen_through_another_descriptor_until_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("headcount-lock-{}", std::process::id()));
        let writer = File::create_new(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(probe(&reader, LockKind::Description), Probe::Free);
        assert_eq!(take(&writer).unwrap(), LockKind::Description);
        assert_eq!(probe(&reader, LockKind::Description), Probe::Held);
        assert_eq!(probe(&reader, LockKind::Flock), Probe::Unknown);
        let second = File::options().write(true).open(&path).unwrap();
        assert_eq!(take(&second).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(writer);
        assert_eq!(probe(&reader, LockKind::Description), Probe::Free);
        std::fs::remove_file(path).unwrap();
    }
}
