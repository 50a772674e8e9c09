//! Why a fold did not happen.
//!
//! Owns the words, and what each means for what the dead have counted.

use std::fmt;
use std::io;

use headcount_collect::fold::FoldError;
use headcount_collect::report::Damage;

/// Why nothing was folded. Nothing is lost: what has not been folded stays where it is, and counts.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum FoldFailure {
    /// A file could not be changed as the fold wants it.
    Change {
        what: &'static str,
        source: io::Error,
    },
    /// `[fold.deny]`: the directory cannot be written.
    Denied { source: io::Error },
    /// There is no new ledger.
    Fold(FoldError),
    /// The directory is not there.
    Missing { source: io::Error },
    /// `[fold.lock]`: another process folds there.
    NotOurs,
    /// `[ledger.lineage]`: the ledger that lies there is older than one that was seen before.
    Older,
    /// `[ledger.version]`: the ledger that lies there cannot be read.
    Refused(Damage),
    /// The new ledger cannot be read.
    Unreadable(Damage),
}

impl FoldFailure {
    /// The word for it in labels and messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            FoldFailure::Change { .. } | FoldFailure::Fold(_) | FoldFailure::Unreadable(_) => {
                "failed"
            }
            FoldFailure::Denied { .. } => "memory",
            FoldFailure::Missing { .. } => "missing",
            FoldFailure::NotOurs => "elsewhere",
            FoldFailure::Older | FoldFailure::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for FoldFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoldFailure::Change { what, source } => write!(formatter, "cannot {what}: {source}"),
            FoldFailure::Denied { source } => write!(
                formatter,
                "the directory cannot be written ({source}): what dead workers counted is kept in \
                 memory, and their files stay"
            ),
            FoldFailure::Fold(error) => error.fmt(formatter),
            FoldFailure::Missing { source } => {
                write!(formatter, "the directory cannot be opened: {source}")
            }
            FoldFailure::NotOurs => formatter.write_str(
                "another headcount folds this directory; one is enough, and both serve the same",
            ),
            FoldFailure::Older => formatter.write_str(
                "headcount.ledger is older than the one that was there before, and is not touched: \
                 put the newer one back, or restart headcount to go on with this one",
            ),
            FoldFailure::Refused(damage) => write!(
                formatter,
                "headcount.ledger cannot be read, and is not touched: {damage}. Use the release \
                 that wrote it, or move it away: what dead workers counted before is lost then"
            ),
            FoldFailure::Unreadable(damage) => {
                write!(formatter, "the new ledger could not be read back: {damage}")
            }
        }
    }
}

impl std::error::Error for FoldFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FoldFailure::Change { source, .. }
            | FoldFailure::Denied { source }
            | FoldFailure::Missing { source } => Some(source),
            FoldFailure::Fold(error) => Some(error),
            FoldFailure::Refused(damage) | FoldFailure::Unreadable(damage) => Some(damage),
            FoldFailure::NotOurs | FoldFailure::Older => None,
        }
    }
}

impl From<FoldError> for FoldFailure {
    fn from(error: FoldError) -> FoldFailure {
        FoldFailure::Fold(error)
    }
}
