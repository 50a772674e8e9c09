//! `headcount check`: what is wrong in a directory, worst first.
//!
//! Owns the order of the findings and the advice for each. What is a finding is decided by those
//! who looked.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use headcount_collect::collector::Collection;
use headcount_collect::report::{Conflict, DamageReason, FileState};

use crate::cli::DirectoryOptions;
use crate::directories::{self, DirectoryError};
use crate::filesystem::FileSystem;
use crate::pool::{self, Census, count_workers};
use crate::print::Plain;
use crate::{FAILURE, fail, limits};

/// `headcount check`.
pub(crate) fn execute(options: DirectoryOptions) -> ExitCode {
    limits::raise_open_files();
    let directories = match directories::given(options) {
        Ok(directories) => directories,
        Err(error) => return fail(&error),
    };
    let report = Report::of(directories);
    if let Err(error) = write!(io::stdout(), "{report}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return fail(&format_args!("cannot write to standard output: {error}"));
    }
    match (report.could_look, report.findings.is_empty()) {
        (false, _) => ExitCode::from(FAILURE),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    }
}

/// What there is to say.
#[derive(Debug)]
struct Report {
    /// Worst first.
    findings: Vec<Finding>,
    /// Of the directories that could be looked at.
    collection: Collection,
    /// Whether those are all.
    could_look: bool,
}

/// One thing that is wrong. The order of the variants is from the worst to the least.
#[derive(Debug)]
enum Finding {
    /// Nothing of it is served.
    Directory(DirectoryError),
    /// What a worker counts is not served.
    Refused { path: PathBuf, series: u64 },
    /// A part of a worker's counts is missing, or stands still.
    Damaged {
        path: PathBuf,
        reason: DamageReason,
        detail: String,
    },
    /// What is served is not what one of the workers means.
    Conflict(Conflict),
    /// It takes room and is not in the sums.
    EarlierBoot(PathBuf),
    /// It may go wrong.
    UserSpace(PathBuf),
}

impl Report {
    fn of(directories: Vec<PathBuf>) -> Report {
        let mut findings = Vec::new();
        let mut last = Vec::new();
        let mut readable = Vec::new();
        let mut could_look = true;
        for path in directories {
            match directories::examine(&path) {
                // It can be read; whether what is read is right is another question.
                Err(error @ DirectoryError::Network { .. }) => {
                    findings.push(Finding::Directory(error));
                    readable.push(path);
                }
                Err(error) => {
                    could_look = false;
                    findings.push(Finding::Directory(error));
                }
                Ok(FileSystem::UserSpace) => {
                    last.push(Finding::UserSpace(path.clone()));
                    readable.push(path);
                }
                Ok(_) => readable.push(path),
            }
        }
        let collection = pool::collect_once(&readable);
        for directory in &collection.directories {
            if let Some(error) = &directory.error {
                could_look = false;
                let (path, error) = (directory.path.clone(), io::Error::other(error.clone()));
                findings.push(Finding::Directory(DirectoryError::Unreadable {
                    path,
                    error,
                }));
            }
        }
        for file in &collection.files {
            if file.refused > 0 {
                let (path, series) = (file.path.clone(), file.refused);
                findings.push(Finding::Refused { path, series });
            }
            let path = file.path.clone();
            match &file.state {
                FileState::Damaged(damage) => findings.push(Finding::Damaged {
                    path,
                    reason: damage.reason,
                    detail: damage.detail.clone(),
                }),
                FileState::EarlierBoot => last.insert(0, Finding::EarlierBoot(path)),
                _ => {}
            }
        }
        findings.extend(collection.conflicts.iter().cloned().map(Finding::Conflict));
        findings.append(&mut last);
        findings.sort_by_key(Finding::rank);
        Report {
            findings,
            collection,
            could_look,
        }
    }

    fn write_summary(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = &self.collection.files;
        let good = files
            .iter()
            .filter(|file| matches!(file.state, FileState::Good))
            .count();
        let empty = files
            .iter()
            .filter(|file| matches!(file.state, FileState::Empty))
            .count();
        let Census {
            dead,
            live,
            unknown,
        } = count_workers(&self.collection);
        let families = &self.collection.families;
        let series: usize = families.iter().map(|family| family.series.len()).sum();
        let aside = files.len() - good - empty;
        let count = Count(files.len(), "file");
        writeln!(
            formatter,
            "{count}: {good} read, {empty} empty, {aside} damaged or set aside"
        )?;
        writeln!(
            formatter,
            "workers: {live} running, {dead} ended, {unknown} not known"
        )?;
        writeln!(
            formatter,
            "{} in {}",
            Count(series, "series"),
            Count(families.len(), "famil")
        )
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.len() {
            0 => writeln!(formatter, "nothing is wrong")?,
            count => writeln!(formatter, "{}, worst first:", Count(count, "finding"))?,
        }
        for finding in &self.findings {
            writeln!(formatter, "\n{finding}")?;
            if let Some(advice) = finding.advice() {
                writeln!(formatter, "  {advice}")?;
            }
        }
        writeln!(formatter)?;
        self.write_summary(formatter)
    }
}

impl Finding {
    fn rank(&self) -> u8 {
        match self {
            Finding::Directory(_) => 0,
            Finding::Refused { .. } => 1,
            Finding::Damaged { .. } => 2,
            Finding::Conflict(_) => 3,
            Finding::EarlierBoot(_) => 4,
            Finding::UserSpace(_) => 5,
        }
    }

    /// What to do; `None` where the finding says it itself.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Finding::Directory(_) => None,
            Finding::Refused { .. } => Some(
                "The worker's standard error says why. Most often the file system is full: make \
                 room. A label value over 65535 bytes is never stored.",
            ),
            Finding::Damaged { reason, .. } => Some(match reason {
                DamageReason::Foreign => {
                    "If another program put it there, move it away. If a worker did, that client \
                     is one that headcount does not read."
                }
                DamageReason::Hostile => "Move it away: workers write regular files.",
                DamageReason::TooLarge => {
                    "Look for what makes it so large: a label that holds a whole text, or a label \
                     with a value for each request."
                }
                DamageReason::TornTail => {
                    "A worker was met while it added a series, or killed there. What stands \
                     before is served. If it stays, remove the file once its worker has ended."
                }
                DamageReason::Truncated => {
                    "Look for what cuts files there: a full file system, a cleaning job, a copy \
                     under way. What was read of it before is served as long as headcount runs."
                }
                DamageReason::Unreadable => {
                    "Let headcount read it: run headcount as the workers' user, or give both one \
                     group and the directory mode 2770."
                }
                DamageReason::Version => "Update headcount: a newer writer made it.",
                _ => {
                    "`headcount inspect` shows what can be read of it, which is served. If \
                     headcount-writer made it, please report it with the file."
                }
            }),
            Finding::Conflict(Conflict::Name { .. }) => {
                Some("Rename one of them in the workers' code.")
            }
            Finding::Conflict(_) => Some(
                "Let all workers run one version of the code; files of older ones stay until \
                 they are removed.",
            ),
            Finding::EarlierBoot(_) => Some("Remove it: no process that wrote it is left."),
            Finding::UserSpace(_) => {
                Some("Use a directory on tmpfs, such as /dev/shm, or on a local disk.")
            }
        }
    }
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Directory(error) => Plain(error).fmt(formatter),
            Finding::Damaged {
                path,
                reason,
                detail,
            } => {
                write!(
                    formatter,
                    "{}\n  {}: {}",
                    Plain(path.display()),
                    reason.name(),
                    Plain(detail),
                )
            }
            Finding::Conflict(conflict) => Plain(conflict).fmt(formatter),
            Finding::Refused { path, series } => write!(
                formatter,
                "{}\n  {} in its worker's memory alone, as far as it says",
                Plain(path.display()),
                Count(usize::try_from(*series).unwrap_or(usize::MAX), "series"),
            ),
            Finding::EarlierBoot(path) => {
                write!(
                    formatter,
                    "{} was written before this machine last started",
                    Plain(path.display())
                )
            }
            Finding::UserSpace(path) => write!(
                formatter,
                "{} lies on FUSE, where what a worker writes may be seen late",
                Plain(path.display()),
            ),
        }
    }
}

/// A number and what it counts.
struct Count(usize, &'static str);

impl Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, what) = *self;
        let ending = match (what, count) {
            ("series", _) => "",
            ("famil", 1) => "y",
            ("famil", _) => "ies",
            (_, 1) => "",
            _ => "s",
        };
        write!(formatter, "{count} {what}{ending}")
    }
}
