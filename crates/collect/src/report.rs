//! What a pass found beside the values: the files and what state each is in, and what did not
//! agree.
//!
//! Owns the words in which trouble is told. Knows no metric values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::budget::Budget;
use crate::model::{MetricType, Mode};

/// Whether the process that writes a file still runs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Liveness {
    /// The kernel says that it runs.
    Live,
    /// The kernel says that it is gone.
    Dead,
    /// Nothing proves either; counts as live.
    Unknown,
}

impl Liveness {
    /// The word for it in labels and messages.
    pub fn name(self) -> &'static str {
        match self {
            Liveness::Live => "live",
            Liveness::Dead => "dead",
            Liveness::Unknown => "unknown",
        }
    }
}

/// How it was decided whether the process that writes a file still runs (`[life.verdict]`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Method {
    /// The kernel was asked whether any process has the file open for writing.
    Lease,
    /// The kernel was asked for the lock that the worker of a store holds.
    Lock,
    /// Nothing proves it, or the caller did not say what does.
    None,
    /// A process was found that has the file open for writing.
    Proc,
}

impl Method {
    /// All of them, in the order of their names.
    pub const ALL: [Method; 4] = [Method::Lease, Method::Lock, Method::None, Method::Proc];

    /// The word for it in labels and messages.
    pub fn name(self) -> &'static str {
        match self {
            Method::Lease => "lease",
            Method::Lock => "lock",
            Method::None => "none",
            Method::Proc => "proc",
        }
    }
}

/// Whether the process that writes a file still runs, and how that is known.
///
/// ```
/// use headcount_collect::report::{Liveness, Method, Verdict};
///
/// let verdict = Verdict::by(Method::Lease, Liveness::Dead);
/// assert_eq!(verdict.doubt, None);
/// let verdict = Verdict::from(Liveness::Unknown);
/// assert_eq!(verdict.method, Method::None);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether it runs.
    pub liveness: Liveness,
    /// What decided.
    pub method: Method,
    /// Why nothing is proved and what to do about it, told for a person; `None` where something is,
    /// and where there is nobody to ask about.
    pub doubt: Option<Arc<str>>,
}

impl Verdict {
    /// What `method` has found.
    pub fn by(method: Method, liveness: Liveness) -> Verdict {
        Verdict {
            liveness,
            method,
            doubt: None,
        }
    }

    /// Nothing is proved, and why.
    pub fn unknown(doubt: impl Into<Arc<str>>) -> Verdict {
        Verdict {
            liveness: Liveness::Unknown,
            method: Method::None,
            doubt: Some(doubt.into()),
        }
    }
}

/// The caller's own word.
impl From<Liveness> for Verdict {
    fn from(liveness: Liveness) -> Verdict {
        Verdict::by(Method::None, liveness)
    }
}

/// The format in which a file is written.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Dialect {
    /// The DirectFileStore of Ruby's prometheus-client.
    DirectFileStore,
    /// GitLab's prometheus-client-mmap, and what Vinted made of it.
    GitLab,
    /// Python's prometheus_client, multiprocess mode.
    Python,
    /// headcount's own.
    Store,
    /// The Prometheus text format, in a file.
    Text,
}

impl Dialect {
    /// All of them, in the order of their names.
    pub const ALL: [Dialect; 5] = [
        Dialect::DirectFileStore,
        Dialect::GitLab,
        Dialect::Python,
        Dialect::Store,
        Dialect::Text,
    ];

    /// The word for it in labels and messages.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::DirectFileStore => "direct_file_store",
            Dialect::GitLab => "gitlab",
            Dialect::Python => "python",
            Dialect::Store => "store",
            Dialect::Text => "text",
        }
    }
}

/// One file of a pool's directory, as the last pass found it.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Where it lies.
    pub path: PathBuf,
    /// Its format; `None` where its content does not tell.
    pub dialect: Option<Dialect>,
    /// How it fares.
    pub state: FileState,
    /// Whose it is: files with the same worker were written by one process.
    pub worker: Option<Worker>,
    /// Whether its worker runs, and how that is known.
    pub verdict: Verdict,
    /// Its size, in bytes; zero where it could not be looked at.
    pub bytes: u64,
    /// How many series it holds.
    pub series: usize,
    /// How many series its worker counts in memory alone, for want of room in the file.
    pub refused: u64,
    /// Which releases of which client write like this; empty where the content does not tell.
    pub client: &'static str,
    /// How many of its samples are left out, by the budget that has no room for them.
    pub left_out: BTreeMap<Budget, u64>,
}

/// How a file fares.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FileState {
    /// Read to the end.
    Good,
    /// Created, and nothing written yet.
    Empty,
    /// Set aside: written before the machine last started.
    EarlierBoot,
    /// Sound, and not read: it holds nothing that is merged here.
    PassedOver(&'static str),
    /// Set aside: not to be read, or not all of it. What was read of it before stays in the sums.
    Damaged(Damage),
}

impl FileState {
    /// The word for it in labels and messages.
    pub fn name(&self) -> &'static str {
        match self {
            FileState::Good => "good",
            FileState::Empty => "empty",
            FileState::EarlierBoot => "earlier_boot",
            FileState::PassedOver(_) => "passed_over",
            FileState::Damaged(_) => "damaged",
        }
    }
}

/// How the ledger of a directory fares (`spec/ledger.md`).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum LedgerState {
    /// Set aside: of an earlier boot.
    EarlierBoot,
    /// Somebody has deleted it; what it held is kept in memory.
    Gone,
    /// It is read.
    Good,
    /// There is none.
    #[default]
    Missing,
    /// `[ledger.version]`: it cannot be read, and is not touched.
    Refused(Damage),
}

impl LedgerState {
    /// The word for it in labels and messages.
    pub fn name(&self) -> &'static str {
        match self {
            LedgerState::EarlierBoot => "earlier_boot",
            LedgerState::Gone => "gone",
            LedgerState::Good => "good",
            LedgerState::Missing => "missing",
            LedgerState::Refused(_) => "refused",
        }
    }
}

/// What is known of the ledger of a directory.
#[derive(Clone, Debug, Default)]
pub struct LedgerReport {
    /// How it fares.
    pub state: LedgerState,
    /// The size of the one that is read, in bytes; zero where there is none.
    pub bytes: u64,
    /// How many series it holds.
    pub series: usize,
    /// The files that it lists as folded, the last one first; those that went long ago are not
    /// listed any more.
    pub folded: Arc<[FoldedReport]>,
    /// When it was written, in nanoseconds since 1970; zero where there is none.
    pub written: u64,
    /// How many of its samples are left out, by the budget that has no room for them.
    pub left_out: BTreeMap<Budget, u64>,
}

/// A file that has been folded into a ledger.
#[derive(Clone, Debug)]
pub struct FoldedReport {
    /// Its worker's pid, or the name of a file of another client.
    pub name: Box<str>,
    /// When it was made, in nanoseconds since 1970; zero where that is not known.
    pub started: u64,
    /// When it was folded, in nanoseconds since 1970.
    pub when: u64,
    /// How many bytes it had.
    pub bytes: u64,
}

/// The process that wrote a file.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Worker {
    /// What tells it apart: the incarnation of a store, in hexadecimal, or the identifier in the
    /// file name of a peer, which is a pid unless the application chose another.
    pub id: Arc<str>,
    /// The value of the label `pid` where a series belongs to one worker.
    pub pid: Arc<str>,
    /// When it began, in nanoseconds since 1970; zero where the file does not say.
    pub started: u64,
}

/// What is wrong with a file, told for a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The kind, for a label.
    pub reason: DamageReason,
    /// What was found, where, and what was expected.
    pub detail: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason.name(), self.detail)
    }
}

impl std::error::Error for Damage {}

/// The kinds of damage.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DamageReason {
    /// Its content is in no format that is read here.
    Foreign,
    /// Planted: no regular file with one name, but a directory, a pipe, a link.
    Hostile,
    /// Structure, names or text inside are wrong.
    Malformed,
    /// A field is larger than any worker makes it.
    TooLarge,
    /// The end of what the file says it holds does not parse; it is tried again.
    TornTail,
    /// It ends before what it says it holds.
    Truncated,
    /// The operating system refuses to open or read it.
    Unreadable,
    /// A store of a version that this release does not know.
    Version,
}

impl DamageReason {
    /// All of them, in the order of their names.
    pub const ALL: [DamageReason; 8] = [
        DamageReason::Foreign,
        DamageReason::Hostile,
        DamageReason::Malformed,
        DamageReason::TooLarge,
        DamageReason::TornTail,
        DamageReason::Truncated,
        DamageReason::Unreadable,
        DamageReason::Version,
    ];

    /// The word for it in labels and messages.
    pub fn name(self) -> &'static str {
        match self {
            DamageReason::Foreign => "foreign",
            DamageReason::Hostile => "hostile",
            DamageReason::Malformed => "malformed",
            DamageReason::TooLarge => "too_large",
            DamageReason::TornTail => "torn_tail",
            DamageReason::Truncated => "truncated",
            DamageReason::Unreadable => "unreadable",
            DamageReason::Version => "version",
        }
    }
}

/// Workers that do not agree about a family; resolved by the rules of `spec/merge.md`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Conflict {
    /// Two help texts; the first is served.
    Help {
        /// The family's name.
        family: Arc<str>,
        /// The help text that is served.
        served: Arc<str>,
        /// One that is not.
        other: Arc<str>,
    },
    /// Two modes of one gauge; the first is used for every worker.
    Mode {
        /// The family's name.
        family: Arc<str>,
        /// The mode that is used.
        served: Mode,
        /// One that is not.
        other: Mode,
    },
    /// Two families that want one name; the first is served and the second left out.
    Name {
        /// The name of the family that is served.
        family: Arc<str>,
        /// Its type.
        served: MetricType,
        /// The name of the family that is left out.
        other_family: Arc<str>,
        /// The type of the family that is left out.
        other: MetricType,
    },
    /// State sets with different states; served with the union of their names.
    States {
        /// The family's name.
        family: Arc<str>,
    },
    /// A rule gives a gauge a mode that needs times, and its values have none; it is not served.
    Times {
        /// The family's name.
        family: Arc<str>,
        /// The rule's mode.
        mode: Mode,
    },
    /// Two units; the first is served.
    Unit {
        /// The family's name.
        family: Arc<str>,
        /// The unit that is served.
        served: Arc<str>,
        /// One that is not.
        other: Arc<str>,
    },
    /// Histograms with different buckets; served with the union of their bounds.
    Buckets {
        /// The family's name.
        family: Arc<str>,
    },
    /// Two workers that may both run, of one pid; the younger is served.
    Worker {
        /// The name of a gauge with a series for each worker.
        family: Arc<str>,
        /// The label that tells workers apart, `pid` or `worker`.
        label: &'static str,
        /// What both have there: a pid or an identifier, or a place.
        value: Arc<str>,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::Help {
                family,
                served,
                other,
            } => {
                write!(
                    formatter,
                    "{family} has two help texts: {served:?} is served, {other:?} is not"
                )
            }
            Conflict::Mode {
                family,
                served,
                other,
            } => write!(
                formatter,
                "{family} has two multiprocess modes: {served} is used for all workers, {other} is not"
            ),
            Conflict::Name {
                family,
                served,
                other_family,
                other,
            } => write!(
                formatter,
                "{served} {family} and {other} {other_family} want one name: {other} {other_family} is left out"
            ),
            Conflict::States { family } => {
                write!(
                    formatter,
                    "{family} has different states in different workers: their union is served"
                )
            }
            Conflict::Times { family, mode } => {
                write!(
                    formatter,
                    "{family} has the mode {mode} by a rule, but no value of it has a time: it is not served"
                )
            }
            Conflict::Unit {
                family,
                served,
                other,
            } => {
                write!(
                    formatter,
                    "{family} has two units: {served:?} is served, {other:?} is not"
                )
            }
            Conflict::Buckets { family } => {
                write!(
                    formatter,
                    "{family} has different buckets in different workers: their union is served"
                )
            }
            Conflict::Worker {
                family,
                label,
                value,
            } => write!(
                formatter,
                "{family} has two workers with {label}=\"{value}\": the younger one's value is \
                 served"
            ),
        }
    }
}
