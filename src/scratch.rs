//! A fresh directory for one pool, gone when its owner is.
//!
//! Owns where such a directory is made and that it is removed, with all that is in it. In a directory
//! of somebody else `fold` alone deletes.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::filesystem::{self, FileSystem};

/// A directory that only this user may read, and that is removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

/// Why no directory could be made.
#[derive(Debug)]
pub(crate) struct ScratchError {
    parent: PathBuf,
    error: io::Error,
}

impl Scratch {
    /// Makes one on /dev/shm where that has room, else in the temporary directory.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made there.
    pub(crate) fn new() -> Result<Scratch, ScratchError> {
        let memory = Path::new("/dev/shm");
        let parent = if has_room(memory) {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let stamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        // The name need not be secret: mkdir(2) fails where somebody has it already.
        for attempt in 0..16 {
            let name = format!(
                "headcount-{}-{:08x}",
                std::process::id(),
                (stamp + attempt) as u32
            );
            let path = parent.join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Scratch { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(ScratchError { parent, error }),
            }
        }
        Err(ScratchError {
            parent,
            error: io::ErrorKind::AlreadyExists.into(),
        })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A worker that is still ending may add a file while the others are being removed.
        let removed = fs::remove_dir_all(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        let is_there = |error: &std::io::Error| error.kind() != std::io::ErrorKind::NotFound;
        if let Err(error) = removed.map_err(|error| is_there(&error).then_some(error)) {
            let Some(error) = error else { return };
            warn!(path = %self.path.display(), %error, "Could not remove the pool's directory.");
        }
    }
}

/// Docker gives a container 64 MiB there unless told otherwise; full pages of it kill nobody, but
/// leave nothing to count in.
fn has_room(path: &Path) -> bool {
    let local = rustix::fs::statfs(path)
        .is_ok_and(|statfs| filesystem::classify(statfs.f_type as u32) == FileSystem::Local);
    local
        && rustix::fs::statvfs(path)
            .is_ok_and(|room| room.f_bavail.saturating_mul(room.f_frsize) >= ROOM_BYTES)
}

impl fmt::Display for ScratchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "cannot make a directory for the pool in {}: {}; set TMPDIR to a directory that can be \
             written to",
            self.parent.display(),
            self.error,
        )
    }
}

impl std::error::Error for ScratchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The least that must be free on /dev/shm: ten thousand series in each of sixteen workers take
/// about half of it.
const ROOM_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_directory_is_private_and_goes_with_its_owner() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_path_buf();
        fs::write(path.join("store"), "left behind").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o700
        );
        drop(scratch);
        assert!(!path.exists());
    }
}
