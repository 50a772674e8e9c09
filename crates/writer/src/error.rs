//! What can be wrong with a registry, a metric or a label, and what to change.

use std::fmt;
use std::io;
use std::path::PathBuf;

use headcount_format::Mode;

/// Why a registry could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory is not there, or is none.
    Directory {
        /// The directory, as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A label of all series is not valid.
    Label(LabelError),
    /// The operating system gave no memory.
    Memory(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Directory { path, source } => write!(
                formatter,
                "failed to open the directory {}: {source}; create it, or let `headcount run` start \
                 the pool, which does",
                path.display()
            ),
            OpenError::Label(error) => error.fmt(formatter),
            OpenError::Memory(source) => {
                write!(
                    formatter,
                    "failed to reserve memory for a registry: {source}"
                )
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Directory { source, .. } | OpenError::Memory(source) => Some(source),
            OpenError::Label(error) => Some(error),
        }
    }
}

/// Why a metric could not be registered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another metric has the name, or one that is made from it.
    Clash {
        /// The name that was to be registered.
        name: String,
        /// The metric that has it.
        other: String,
        /// What they do not agree about.
        what: &'static str,
    },
    /// The help text is too long.
    Help {
        /// The metric.
        name: String,
        /// Its length, in bytes.
        bytes: usize,
    },
    /// A label is not valid.
    Label {
        /// The metric.
        name: String,
        /// What is wrong with the label.
        source: LabelError,
    },
    /// The mode makes no sense for the type.
    Mode {
        /// The metric.
        name: String,
        /// The mode.
        mode: Mode,
    },
    /// The name is not valid.
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The states of a state set are not valid.
    States {
        /// The metric.
        name: String,
        /// What is wrong with them.
        problem: &'static str,
    },
    /// The unit is not valid.
    Unit {
        /// The metric.
        name: String,
        /// The unit.
        unit: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterError::Clash { name, other, what } => write!(
                formatter,
                "the metric {name} clashes with {other}, which is registered already, in its \
                 {what}: rename one of them, or register both alike"
            ),
            RegisterError::Help { name, bytes } => write!(
                formatter,
                "the help text of {name} has {bytes} bytes: shorten it to a sentence, or 65535 \
                 bytes at most"
            ),
            RegisterError::Label { name, source } => {
                write!(
                    formatter,
                    "a label of the metric {name} is not valid: {source}"
                )
            }
            RegisterError::Mode { name, mode } => write!(
                formatter,
                "the state set {name} cannot have the mode {mode}, which adds states up: use max, \
                 min, mostrecent or all"
            ),
            RegisterError::Name { name, problem } => {
                write!(
                    formatter,
                    "the metric name {name:?} is not valid: {problem}"
                )
            }
            RegisterError::States { name, problem } => {
                write!(formatter, "the states of {name} are not valid: {problem}")
            }
            RegisterError::Unit {
                name,
                unit,
                problem,
            } => {
                write!(
                    formatter,
                    "the unit {unit:?} of {name} is not valid: {problem}"
                )
            }
        }
    }
}

impl std::error::Error for RegisterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RegisterError::Label { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a label is not valid.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LabelError {
    /// Two labels have one name.
    Duplicate {
        /// The name.
        label: String,
    },
    /// The name is not valid.
    Name {
        /// The name.
        label: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are too many.
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// The value is too long.
    Value {
        /// The label's name.
        label: String,
        /// The value's length, in bytes.
        bytes: usize,
    },
}

impl fmt::Display for LabelError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelError::Duplicate { label } => {
                write!(formatter, "the label {label} comes twice: leave one out")
            }
            LabelError::Name { label, problem } => {
                write!(
                    formatter,
                    "the label name {label:?} is not valid: {problem}"
                )
            }
            LabelError::TooMany { count } => {
                write!(formatter, "{count} labels are too many: 128 is the limit")
            }
            LabelError::Value { label, bytes } => write!(
                formatter,
                "the value of the label {label} has {bytes} bytes: 65535 is the limit, and far \
                 fewer are wise, since every different value is a series of its own"
            ),
        }
    }
}

impl std::error::Error for LabelError {}
