//! The directory in which somebody folds.
//!
//! Owns the look into it, with the caution of every reader (`[merge.file.open]`). Knows no dialect.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;

use crate::directory::Directory;
use crate::report::Damage;

/// A directory that is open.
#[derive(Debug)]
pub struct FoldDirectory(Directory);

impl FoldDirectory {
    /// Opens what `path` leads to.
    ///
    /// # Errors
    ///
    /// When it is not there, or no directory, or cannot be opened.
    pub fn open(path: &Path) -> io::Result<FoldDirectory> {
        let mut directory = Directory::new(path.to_owned());
        directory.renew()?;
        Ok(FoldDirectory(directory))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The directory itself.
    pub fn handle(&self) -> &File {
        self.0.handle().expect("it is made open")
    }

    /// The names of all that may belong to the pool, in order.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let listing = self.0.list(|_| true, usize::MAX)?;
        Ok(listing
            .entries
            .into_iter()
            .map(|entry| entry.name)
            .collect())
    }

    /// Opens a file for reading: a regular one with one name, on the directory's own file system.
    /// `None` for what is not there.
    ///
    /// # Errors
    ///
    /// [`Damage`] for anything else.
    pub fn open_file(&self, name: &OsStr) -> Result<Option<File>, Damage> {
        self.0.open(&name.to_owned())
    }
}
