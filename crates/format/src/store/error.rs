//! Why a store could not be made or could not grow.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a store could not be made or could not grow.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// It could not be made in its directory.
    Create {
        /// The directory.
        directory: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It has its largest size.
    Full {
        /// The store.
        path: PathBuf,
        /// That size, in bytes.
        limit: u64,
    },
    /// The file system has no room for more, or took the file away.
    Grow {
        /// The store.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Create { directory, source } => write!(
                formatter,
                "failed to create a store in {}: {source}",
                directory.display()
            ),
            StoreError::Full { path, limit } => write!(
                formatter,
                "{} has reached its limit of {limit} bytes",
                path.display()
            ),
            StoreError::Grow { path, source } => {
                write!(formatter, "failed to grow {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Create { source, .. } | StoreError::Grow { source, .. } => Some(source),
            StoreError::Full { .. } => None,
        }
    }
}
