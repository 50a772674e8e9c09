//! Why a fold did not happen, or not with a file.
//!
//! Owns the words, and what each means for what the dead have counted.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;

use headcount_collect::fold::FoldError;
use headcount_collect::report::{Damage, DamageReason};

use crate::print::Plain;

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
    /// The new ledger, of so many bytes, cannot be written.
    Write { bytes: usize, source: io::Error },
}

impl FoldFailure {
    /// The word for it in labels and messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            FoldFailure::Change { .. }
            | FoldFailure::Fold(_)
            | FoldFailure::Unreadable(_)
            | FoldFailure::Write { .. } => "failed",
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
            FoldFailure::Refused(damage) => {
                let remedy = match damage.reason {
                    DamageReason::Unreadable => "Let headcount read it",
                    _ => {
                        "Use the release that wrote it, or move it away: what dead workers counted \
                         before is lost then"
                    }
                };
                write!(
                    formatter,
                    "headcount.ledger cannot be read, and is not touched: {damage}. {remedy}"
                )
            }
            FoldFailure::Unreadable(damage) => {
                write!(formatter, "the new ledger could not be read back: {damage}")
            }
            FoldFailure::Write { bytes, source } => {
                write!(formatter, "cannot write the new ledger: {source}")?;
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => write!(
                        formatter,
                        "; make room for its {bytes} bytes, and what the dead have left makes more"
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for FoldFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FoldFailure::Change { source, .. }
            | FoldFailure::Denied { source }
            | FoldFailure::Missing { source }
            | FoldFailure::Write { source, .. } => Some(source),
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

/// What has kept a fold from one file. The others are folded.
#[derive(Debug)]
pub(crate) struct Trouble {
    file: OsString,
    is_folded: bool,
    source: io::Error,
}

impl Trouble {
    /// A file that is folded, and cannot be deleted.
    pub(super) fn undeleted(file: &OsStr, source: io::Error) -> Trouble {
        Trouble {
            file: file.to_owned(),
            is_folded: true,
            source,
        }
    }

    /// `[fold.peer]`: a file that cannot get its folding name.
    pub(super) fn unmoved(file: &OsStr, source: io::Error) -> Trouble {
        Trouble {
            file: file.to_owned(),
            is_folded: false,
            source,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, source) = (Plain(Path::new(&self.file).display()), &self.source);
        match self.is_folded {
            true => write!(
                formatter,
                "{file} is folded, and cannot be deleted: {source}; every reader passes it over"
            ),
            false => write!(
                formatter,
                "{file} cannot be renamed: {source}; it is not folded, and is kept in memory"
            ),
        }
    }
}
