//! Why nothing is proved about a file, and what to do about it (`[life.unknown]`).
//!
//! Owns the words. Asks the kernel nothing but whether it has leases at all.

use std::fmt;
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::geteuid;

/// Why nothing is proved about a file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Doubt {
    /// The file is of another user, and this process has no capability for it.
    Owner(u32),
    /// The file system has no leases, or they are switched off.
    NoLeases,
    /// The file system, by its name, has writers of which this kernel does not know.
    Elsewhere(&'static str),
    /// Any other reason, by its number.
    Refused(i32),
}

impl Doubt {
    /// Why the kernel does not tell of a file of `owner`.
    pub(super) fn of(error: &io::Error, owner: u32) -> Doubt {
        match Errno::from_io_error(error) {
            // Who owns it is refused too where a security module says so.
            Some(Errno::ACCESS) if owner != geteuid().as_raw() => Doubt::Owner(owner),
            Some(Errno::INVAL) => Doubt::NoLeases,
            _ => Doubt::other(error),
        }
    }

    /// Any other reason.
    pub(super) fn other(error: &io::Error) -> Doubt {
        Doubt::Refused(error.raw_os_error().unwrap_or_default())
    }
}

fn are_leases_off() -> bool {
    let enabled = fs::read_to_string("/proc/sys/fs/leases-enable");
    enabled.is_ok_and(|enabled| enabled.trim() == "0")
}

/// Behind "3 files not told": why, and what to do.
impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Owner(uid) => write!(
                formatter,
                "owned by uid {uid}: run headcount as that user, or give it CAP_LEASE"
            ),
            // Asked here: a doubt is told once in a pass, whatever the number of its files.
            Doubt::NoLeases if are_leases_off() => {
                formatter.write_str("leases are off: write 1 to /proc/sys/fs/leases-enable")
            }
            Doubt::NoLeases => formatter
                .write_str("no leases there: have the directory on a tmpfs or a local disk"),
            Doubt::Elsewhere(name) => write!(
                formatter,
                "{name}, where others may write: have the directory on a tmpfs or a local disk"
            ),
            Doubt::Refused(number) => {
                let error = io::Error::from_raw_os_error(*number);
                write!(formatter, "fcntl(F_SETLEASE) is refused: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [life.unknown]
    #[test]
    fn the_reason_for_a_doubt_says_what_to_do() {
        let own = geteuid().as_raw();
        let doubt = |number: Errno, owner| Doubt::of(&number.into(), owner).to_string();
        let advice = "run headcount as that user, or give it CAP_LEASE";
        let stranger = own + 1;
        let owned = format!("owned by uid {stranger}: {advice}");
        assert_eq!(doubt(Errno::ACCESS, stranger), owned);
        let moved = "have the directory on a tmpfs or a local disk";
        assert!(doubt(Errno::INVAL, own).ends_with(moved));
        // A profile of seccomp says the one, a security module the other, to the owner too.
        assert!(doubt(Errno::PERM, own).contains("Operation not permitted"));
        assert!(doubt(Errno::ACCESS, own).contains("Permission denied"));
    }
}
