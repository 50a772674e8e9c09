//! Life, as the kernel proves it of any file: whether somebody has it open for writing.
//!
//! Owns asking for a lease and giving it back at once (`spec/merge.md`, chapter 7). A lease for
//! reading is granted only while no process of this kernel has the file open for writing, and a
//! mapping keeps a file open; so it tells of writers that have never heard of it, in any namespace.
//! Knows no format, and not what the answer is good for.
//!
//! Whoever opens the file for writing while the lease is held waits until it is given back, and the
//! kernel tells the holder by a signal: SIGIO, which ends a process that does not expect it. That is
//! a danger to a program, so none has to think of it: [`probe`] has the kernel use SIGURG instead,
//! which does nothing unless somebody wants it to. That is set on the descriptor, not on the
//! process, and so nothing is inherited by what the process starts.
#![expect(unsafe_code, reason = "no safe wrapper knows leases")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// What the kernel says about the writers of a file.
#[derive(Debug)]
pub enum Lease {
    /// No process of this kernel has it open for writing.
    Free,
    /// Some process has it open for writing, or is about to.
    Held,
    /// The kernel or the file system does not tell, and why: `PermissionDenied` where the file is
    /// another user's and this process has no `CAP_LEASE`, `InvalidInput` where there are no leases.
    Untold(io::Error),
}

/// Asks whether any process of this kernel has `file`, which is open for reading only, open for
/// writing.
///
/// A writer that opens the file in that instant, of a microsecond, waits for its end. On overlayfs a
/// mapping by itself does not count.
///
/// ```
/// use headcount_format::lease::{Lease, probe};
///
/// let path = std::env::temp_dir().join(format!("lease-{}", std::process::id()));
/// let writer = std::fs::File::create(&path)?;
/// let reader = std::fs::File::open(&path)?;
/// assert!(matches!(probe(&reader), Lease::Held));
/// drop(writer);
/// assert!(matches!(probe(&reader), Lease::Free));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn probe(file: &File) -> Lease {
    match Held::take(file) {
        Ok(held) => {
            drop(held);
            Lease::Free
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Lease::Held,
        Err(error) => Lease::Untold(error),
    }
}

/// A lease for reading, given back on drop.
#[derive(Debug)]
struct Held<'a>(&'a File);

impl Held<'_> {
    /// `[life.lease]`: the signal first, so that there is no instant in which it is SIGIO.
    fn take(file: &File) -> io::Result<Held<'_>> {
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and this operation takes
        // a number, which is that of a signal.
        let quiet = unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) };
        if quiet != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and this operation takes
        // a number, which is one of the kinds of leases.
        let taken = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
        match taken {
            0 => Ok(Held(file)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open for as long as the file is borrowed, and this operation
        // takes a number, which is one of the kinds of leases. It fails only where the kernel has
        // taken the lease back, and then nobody waits for it.
        let _given = unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}

/// Names the signal that a descriptor raises; from asm-generic/fcntl.h, and missing in libc.
const F_SETSIG: libc::c_int = 10;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use rustix::fs::{Mode, OFlags};

    use super::*;

    /// A file of one page, removed on drop.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("headcount-lease-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, [0; 4096]).unwrap();
            Scratch(path)
        }

        fn reader(&self) -> File {
            File::open(&self.0).unwrap()
        }

        fn writer(&self) -> File {
            let mut options = File::options();
            options.read(true).write(true).open(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// Another test may fork, and its child has a copy of every descriptor for a moment.
    fn is_free_soon(reader: &File) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !matches!(probe(reader), Lease::Free) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    // [life.lease]
    #[test]
    fn a_descriptor_for_writing_is_seen_until_it_is_closed_and_those_for_reading_are_not() {
        let file = Scratch::new("descriptor");
        let (reader, other_reader) = (file.reader(), file.reader());
        assert!(is_free_soon(&reader));
        let writer = file.writer();
        let second = writer.try_clone().unwrap();
        for reader in [&reader, &other_reader] {
            assert!(matches!(probe(reader), Lease::Held));
        }
        drop(writer);
        assert!(matches!(probe(&reader), Lease::Held));
        drop(second);
        for reader in [&reader, &other_reader] {
            assert!(is_free_soon(reader));
        }
    }

    // [life.lease]
    #[test]
    fn a_mapping_is_seen_when_its_descriptor_is_closed() {
        let file = Scratch::new("mapping");
        let reader = file.reader();
        let writer = file.writer();
        // SAFETY: nobody else knows the file, and nothing is read through the mapping.
        let mapping = unsafe { memmap2::MmapMut::map_mut(&writer) }.unwrap();
        drop(writer);
        assert!(matches!(probe(&reader), Lease::Held));
        drop(mapping);
        assert!(is_free_soon(&reader));
    }

    // [life.lease]: with SIGIO, the kernel would end this process here.
    #[test]
    fn whoever_opens_the_file_in_that_instant_ends_nobody() {
        let file = Scratch::new("instant");
        let reader = file.reader();
        assert!(is_free_soon(&reader));
        let held = Held::take(&reader).unwrap();
        let second_reader = file.reader();
        let open = || {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            rustix::fs::open(&file.0, flags, Mode::empty())
        };
        // The open is refused, as it may not wait, and the kernel has told the holder.
        assert_eq!(open().unwrap_err(), rustix::io::Errno::WOULDBLOCK);
        // Somebody is about to write.
        assert!(matches!(probe(&second_reader), Lease::Held));
        drop(held);
        open().unwrap();
        assert!(is_free_soon(&second_reader));
    }

    #[test]
    fn what_cannot_be_leased_is_told_with_the_reason() {
        let null = File::open("/dev/null").unwrap();
        let Lease::Untold(error) = probe(&null) else {
            panic!("a device has no lease")
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
