//! What can be wrong with a rules file, and the words for it.
//!
//! Owns the messages. Each says where, what, and what to do. Decides nothing.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a rules file cannot be used. The message says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum RulesError {
    /// Something in it is not as it should be.
    Content {
        path: PathBuf,
        complaint: Box<Complaint>,
    },
    /// This process may not read it.
    Denied { path: PathBuf },
    /// It does not exist.
    Missing { path: PathBuf },
    /// It is a directory, a pipe or a device.
    NotAFile { path: PathBuf },
    /// It is not UTF-8.
    NotText { path: PathBuf, line: usize },
    /// It is larger than any rules file.
    TooLarge { path: PathBuf },
    /// The operating system refuses for another reason.
    Unreadable { path: PathBuf, error: io::Error },
}

/// What is wrong inside a file.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// `None` where the parser does not say.
    pub(super) place: Option<Place>,
    /// The way to it, such as `rules[2].mode`, counted from 0; empty where there is none.
    pub(super) key: String,
    pub(super) fault: Fault,
}

/// Both from 1; columns in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) enum Fault {
    Alias,
    EmptyRule,
    KeyTwice,
    LabelName {
        name: String,
    },
    LabelReserved {
        name: String,
    },
    /// A key that has to be there.
    Missing {
        key: &'static str,
        example: &'static str,
    },
    NoBuckets,
    NoLabels,
    NoText,
    NotAscending {
        before: f64,
        after: f64,
    },
    NotFinite,
    NotServed {
        path: String,
        served: Vec<PathBuf>,
    },
    RenamedAndDropped {
        name: String,
    },
    RenamedToOne {
        name: String,
    },
    SecondDocument,
    ServedTwice {
        path: String,
    },
    Syntax(String),
    TooDeep,
    TooMuch,
    Twice {
        name: String,
    },
    UnknownKey {
        known: &'static [&'static str],
    },
    UnknownWord {
        word: String,
        what: &'static str,
        known: Vec<&'static str>,
    },
    WrongType {
        wanted: &'static str,
        found: &'static str,
    },
}

impl RulesError {
    pub(super) fn of(path: &Path, error: io::Error) -> RulesError {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::NotFound => RulesError::Missing { path },
            io::ErrorKind::PermissionDenied => RulesError::Denied { path },
            _ => RulesError::Unreadable { path, error },
        }
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RulesError::Content { path, complaint } => {
                write!(formatter, "{}{complaint}", path.display())
            }
            RulesError::Denied { path } => write!(
                formatter,
                "{}: permission denied: let the user that headcount runs as read the rules file, \
                 and enter each directory above it",
                path.display(),
            ),
            RulesError::Missing { path } => write!(
                formatter,
                "{}: there is no such rules file; check the name, or leave --rules.file and \
                 HEADCOUNT_RULES_FILE out",
                path.display(),
            ),
            RulesError::NotAFile { path } => write!(
                formatter,
                "{}: a rules file is a regular file, and this is none; name one that can be read \
                 again",
                path.display(),
            ),
            RulesError::NotText { path, line } => write!(
                formatter,
                "{}:{line}: this line is not UTF-8; save the rules file in that encoding",
                path.display(),
            ),
            RulesError::TooLarge { path } => write!(
                formatter,
                "{}: a rules file has 1 MiB at most; check the name, or write patterns in place \
                 of single names",
                path.display(),
            ),
            RulesError::Unreadable { path, error } => {
                write!(
                    formatter,
                    "{}: the rules file cannot be read: {error}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for RulesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RulesError::Unreadable { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Complaint {
    /// What follows the name of the file.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(formatter, ":{line}:{column}")?;
        }
        formatter.write_str(": ")?;
        if !self.key.is_empty() {
            write!(formatter, "{}: ", shortened(&self.key))?;
        }
        self.fault.fmt(formatter)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Alias => formatter.write_str(
                "what begins with * or & is an alias or an anchor in YAML, and a rules file has \
                 neither; write it in quotes, as in \"*_total\", where it is text",
            ),
            Fault::EmptyRule => formatter.write_str(
                "the rule wants nothing of the families that it matches; add mode, type, help, \
                 buckets, drop, rename_labels, drop_labels or worker_label, or take the rule out",
            ),
            Fault::KeyTwice => {
                formatter.write_str("the key stands twice in one place; keep one of the two")
            }
            Fault::LabelName { name } => write!(
                formatter,
                "{:?} is no label name; use letters, digits and _, with no digit in front",
                shortened(name),
            ),
            Fault::LabelReserved { name } => write!(
                formatter,
                "{:?} cannot be given; le, quantile, pid and names that begin with __ have a \
                 meaning of their own, so choose another",
                shortened(name),
            ),
            Fault::Missing { key, example } => {
                write!(formatter, "{key} is missing; add it, as in {example}")
            }
            Fault::NoBuckets => formatter
                .write_str("the list is empty; name one upper bound at least, or take it out"),
            Fault::NoLabels => formatter
                .write_str("there is no label; add one, as in {app: web}, or take the entry out"),
            Fault::NoText => {
                formatter.write_str("the text is empty; write something, or take it out")
            }
            Fault::NotAscending { before, after } => write!(
                formatter,
                "{after} follows {before}; write the bounds in ascending order, each once",
            ),
            Fault::NotFinite => formatter
                .write_str("a bound is a finite number; leave +Inf out, which every histogram has"),
            Fault::NotServed { path, served } if served.is_empty() => write!(
                formatter,
                "{:?} is not read: `headcount run` makes a directory of its own; take \
                 directories out, or use `headcount serve`",
                shortened(path),
            ),
            Fault::NotServed { path, served } => {
                write!(
                    formatter,
                    "{:?} is not among the directories that are read (",
                    shortened(path),
                )?;
                let mut separator = "";
                for directory in served {
                    write!(formatter, "{separator}{}", directory.display())?;
                    separator = ", ";
                }
                formatter.write_str("); name it on the command line too, or take the entry out")
            }
            Fault::RenamedAndDropped { name } => write!(
                formatter,
                "{:?} is dropped here and renamed in rename_labels; keep one of the two",
                shortened(name),
            ),
            Fault::RenamedToOne { name } => write!(
                formatter,
                "two labels would be called {:?}; give each a name of its own",
                shortened(name),
            ),
            Fault::SecondDocument => formatter.write_str(
                "a second YAML document begins; write one, without --- between its parts",
            ),
            Fault::ServedTwice { path } => write!(
                formatter,
                "{:?} has an entry already; write all of its labels there",
                shortened(path),
            ),
            Fault::Syntax(message) => {
                write!(formatter, "this is not valid YAML: {}", shortened(message))
            }
            Fault::TooDeep => {
                formatter.write_str("this is nested too deep; a rules file has four levels at most")
            }
            Fault::TooMuch => formatter.write_str(
                "this is more than a rules file may hold; write patterns in place of single names",
            ),
            Fault::Twice { name } => {
                write!(formatter, "{:?} stands twice; keep one", shortened(name))
            }
            Fault::UnknownKey { known } => write!(
                formatter,
                "there is no such key; here may stand {}",
                known.join(", ")
            ),
            Fault::UnknownWord { word, what, known } => {
                write!(
                    formatter,
                    "{:?} is no {what}; write one of {}",
                    shortened(word),
                    known.join(", ")
                )
            }
            Fault::WrongType { wanted, found } => {
                write!(formatter, "this is {found}, and must be {wanted}")?;
                match (*wanted, *found) {
                    ("text", "a number" | "true or false") => {
                        formatter.write_str("; put it in quotes")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// A text of the file, as far as somebody needs it who looks for it there.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

/// In characters.
const MOST_SHOWN: usize = 160;
