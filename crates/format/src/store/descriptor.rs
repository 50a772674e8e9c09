//! The descriptor that holds a store's lock.
//!
//! Owns the care that it takes: a process that closes what it does not know, as one that becomes a
//! daemon does, may have another file there by now.

use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;

/// A store's file, which is used, and closed, only while it is still that file.
#[derive(Debug)]
pub(super) struct Descriptor {
    /// There until it is dropped.
    file: Option<File>,
    /// Device and inode.
    identity: (u64, u64),
}

impl Descriptor {
    pub(super) fn new(file: File) -> io::Result<Descriptor> {
        let identity = identity_of(&file)?;
        Ok(Descriptor {
            file: Some(file),
            identity,
        })
    }

    /// # Errors
    ///
    /// When somebody has closed it.
    pub(super) fn file(&self) -> io::Result<&File> {
        let file = self.file.as_ref().expect("only dropping takes it");
        if identity_of(file)? == self.identity {
            return Ok(file);
        }
        let taken = "its descriptor was closed behind its back and is another file's now";
        Err(io::Error::other(taken))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.file().is_err()
            && let Some(others) = self.file.take()
        {
            // Not ours to close.
            let _number = others.into_raw_fd();
        }
    }
}

fn identity_of(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}
