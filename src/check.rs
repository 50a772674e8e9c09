//! `headcount check`: what is wrong in a directory, worst first, on one screen.
//!
//! Owns how findings are printed and what the exit code is. What is a finding, and what to do about
//! it, is told by those who look.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use headcount_collect::budget::Budget;
use headcount_collect::collector::Collection;
use headcount_collect::report::FileState;

use crate::cli::CheckOptions;
use crate::directories::{self, DirectoryError};
use crate::filesystem::FileSystem;
use crate::findings::{FEW, Finding, Findings, Kind};
use crate::pool::{self, Census, Methods, count_workers};
use crate::print::{Count, Grouped, Plain};
use crate::roster::Roster;
use crate::settings::Settings;
use crate::{FAILURE, fail, fold, limits};

/// `headcount check`.
pub(crate) fn execute(options: CheckOptions) -> ExitCode {
    limits::raise_open_files();
    let directories = match directories::given(options.directories) {
        Ok(directories) => directories,
        Err(error) => return fail(&error),
    };
    let settings = match Settings::read(&options.settings, &directories) {
        Ok(settings) => settings,
        Err(error) => return fail(&error),
    };
    let report = Report::of(directories, settings);
    if let Err(error) = write!(io::stdout(), "{report}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return fail(&format_args!("cannot write to standard output: {error}"));
    }
    match (report.could_look, report.troubles().next().is_none()) {
        (false, _) => ExitCode::from(FAILURE),
        (true, false) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
    }
}

/// What there is to say.
#[derive(Debug)]
struct Report {
    findings: Findings,
    /// Of the directories that could be looked at.
    collection: Collection,
    /// Whether those are all.
    could_look: bool,
}

impl Report {
    fn of(directories: Vec<PathBuf>, settings: Settings) -> Report {
        let mut unread = Vec::new();
        let mut readable = Vec::new();
        for path in directories {
            let looked = directories::examine(&path);
            // What lies on a network can be read; whether what is read is right is another question.
            if matches!(&looked, Ok(_) | Err(DirectoryError::Network { .. })) {
                readable.push(path.clone());
            }
            match looked {
                Err(error @ DirectoryError::Network { .. }) => {
                    unread.push((Kind::Network, path, error.to_string()));
                }
                Err(error) => unread.push((Kind::Directory, path, error.to_string())),
                Ok(FileSystem::UserSpace) => {
                    let slow = "lies on FUSE, where what a worker writes may be seen late";
                    let detail = format!("{} {slow}", path.display());
                    unread.push((Kind::UserSpace, path, detail));
                }
                Ok(_) => {}
            }
        }
        let pass = pool::collect_once(&readable, settings);
        let mut findings = Findings::of_pass(&pass);
        let collection = pass.collection;
        for (kind, path, detail) in unread {
            findings.add(kind, path.display(), detail);
        }
        let could_look = findings.iter().all(|each| each.kind != Kind::Directory);
        Report {
            findings,
            collection,
            could_look,
        }
    }

    /// Those about which something has to be done.
    fn troubles(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|each| each.kind.is_trouble())
    }

    fn write_headline(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.troubles().count();
        let count = Count(self.troubles().map(|each| each.count).sum(), "finding");
        match kinds {
            0 => writeln!(formatter, "nothing is wrong"),
            1 => writeln!(formatter, "{count}:"),
            _ => writeln!(formatter, "{count} of {kinds} kinds, worst first:"),
        }
    }

    fn write_summary(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = &self.collection.files;
        let states = census(files.iter().map(|file| state(&file.state)));
        write!(formatter, "{}{states}", Count(files.len() as u64, "file"))?;
        let read = files.iter().filter(|file| file.series > 0);
        let clients = census(read.map(|file| match file.client {
            "" => "a client that is not known",
            client => client,
        }));
        if !clients.is_empty() {
            write!(formatter, "\nread{clients}")?;
        }
        let Census {
            dead,
            live,
            unknown,
        } = count_workers(&self.collection);
        let families = &self.collection.families;
        let series: usize = families.iter().map(|family| family.series.len()).sum();
        write!(
            formatter,
            "\nworkers: {} running, {} ended, {} not known\n",
            Grouped(live as u64),
            Grouped(dead as u64),
            Grouped(unknown as u64),
        )?;
        Roster::of(&self.collection).write(fold::now(), formatter)?;
        self.write_methods(formatter)?;
        writeln!(
            formatter,
            "{} in {}",
            Count(series as u64, "series"),
            Count(families.len() as u64, "famil")
        )
    }

    /// A line for each of few directories: how it is known who runs.
    fn write_methods(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directories = &self.collection.directories;
        let methods = directories.iter().map(|directory| {
            let methods = Methods::of(&self.collection, &directory.path);
            (directory.path.display(), methods)
        });
        let mut methods = methods.filter(|(_, methods)| !methods.is_empty());
        for (path, methods) in methods.by_ref().take(FEW) {
            match directories.len() {
                1 => writeln!(formatter, "liveness: {methods}")?,
                _ => writeln!(formatter, "liveness in {}: {methods}", Plain(path))?,
            }
        }
        let mut others = Methods::none();
        for (_, methods) in methods {
            others.add(&methods);
        }
        match others.is_empty() {
            true => Ok(()),
            false => writeln!(formatter, "liveness in the others: {others}"),
        }
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(formatter)?;
        writeln!(formatter)?;
        let mut is_any = false;
        for finding in self.findings.iter() {
            write_finding(finding, formatter)?;
            is_any = true;
        }
        let is_cut = |finding: &Finding| !finding.is_few() && is_named_by_collect(finding.kind);
        if self.findings.iter().any(is_cut) {
            writeln!(formatter, "Each by name: headcount collect DIR > /dev/null")?;
        }
        if is_any {
            writeln!(formatter)?;
        }
        self.write_summary(formatter)
    }
}

/// A paragraph: of few each with its detail, of many the first names and one detail.
fn write_finding(finding: &Finding, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(formatter, "{}: {}", finding.title(), finding.extent())?;
    if finding.is_few() {
        writeln!(formatter)?;
        for item in &finding.first {
            match finding.details_name() {
                true => writeln!(formatter, "  {}", item.detail)?,
                false => writeln!(formatter, "  {}: {}", item.name, item.detail)?,
            }
        }
    } else {
        let examples = finding.examples();
        writeln!(formatter, ", such as {}", examples.join(", "))?;
        if let Some(first) = finding.first.first() {
            writeln!(formatter, "  the first: {}", first.detail)?;
        }
    }
    match finding.advice() {
        "" => Ok(()),
        advice => writeln!(formatter, "  {advice}"),
    }
}

/// Whether `headcount collect` tells each of them on standard error.
fn is_named_by_collect(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Damaged(_) | Kind::LeftOut(Budget::FileBytes) | Kind::EarlierBoot | Kind::Conflict(_)
    )
}

fn state(state: &FileState) -> &'static str {
    match state {
        FileState::Good => "good",
        FileState::Empty => "empty",
        FileState::EarlierBoot => "of an earlier boot",
        FileState::PassedOver(_) => "passed over",
        _ => "damaged",
    }
}

/// How often each word is there, the most frequent first: `: 3 good, 1 empty`.
fn census<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let words = counts
        .iter()
        .map(|(word, count)| format!("{} {word}", Grouped(*count)));
    match counts.is_empty() {
        true => String::new(),
        false => format!(": {}", words.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use headcount_collect::collector::DirectoryReport;
    use headcount_collect::report::{DamageReason, FileReport, Liveness, Method, Verdict, Worker};

    use super::*;

    fn report(add: impl FnOnce(&mut Findings)) -> String {
        let mut findings = Findings::default();
        add(&mut findings);
        let collection = Collection {
            families: Vec::new(),
            files: Vec::new(),
            conflicts: Vec::new(),
            directories: Vec::new(),
        };
        let report = Report {
            findings,
            collection,
            could_look: true,
        };
        report.to_string()
    }

    #[test]
    fn few_files_are_named_with_their_details_and_many_by_the_first() {
        let few = report(|findings| {
            findings.add(Kind::Damaged(DamageReason::Version), "a.store", "version 9");
        });
        let paragraph = "1 finding:\n\nversion: 1 file\n  a.store: version 9\n  Update headcount";
        assert!(few.starts_with(paragraph), "{few}");

        let many = report(|findings| {
            for number in 0..6 {
                let (name, detail) = (format!("{number}.store"), format!("version 1{number}"));
                findings.add(Kind::Damaged(DamageReason::Version), name, detail);
            }
        });
        let paragraph = "6 findings:\n\nversion: 6 files, such as 0.store, 1.store, 2.store\n  \
                         the first: version 10\n  Update headcount";
        assert!(many.starts_with(paragraph), "{many}");
        assert!(many.contains("headcount collect DIR"));
    }

    #[test]
    fn ten_thousand_bad_files_of_every_reason_fit_one_screen() {
        let text = report(|findings| {
            for reason in DamageReason::ALL {
                for number in 0..10_000 {
                    findings.add(Kind::Damaged(reason), number, "detail");
                }
            }
        });
        assert!(
            text.starts_with("80,000 findings of 8 kinds, worst first:"),
            "{text}"
        );
        assert!(text.lines().count() <= 31, "{text}");
    }

    #[test]
    fn what_is_passed_over_is_told_and_is_no_finding() {
        let text = report(|findings| {
            findings.add(Kind::PassedOver, "exemplar_1.db", "it holds exemplars");
        });
        let note = "nothing is wrong\n\npassed_over: 1 file\n  exemplar_1.db: it holds exemplars\n";
        assert!(text.starts_with(note), "{text}");
    }

    // [life.unknown]
    #[test]
    fn how_it_is_known_who_runs_is_a_line_for_each_of_few_directories_and_one_for_the_rest() {
        let path = |number: u32| PathBuf::from(format!("/pool/{number}"));
        let directories = (0..300).map(|number| DirectoryReport {
            path: path(number),
            error: None,
            replaced: 0,
            files_left_out: 0,
            ledger: Default::default(),
        });
        let files = (0..300).map(|number| FileReport {
            path: path(number).join("counter_1.db"),
            dialect: None,
            state: FileState::Good,
            worker: Some(Worker {
                id: "1".into(),
                pid: "1".into(),
                started: 0,
            }),
            verdict: match number {
                0 => Verdict::by(Method::Lease, Liveness::Live),
                _ => Verdict::unknown("no luck: try again"),
            },
            bytes: 4096,
            series: 1,
            refused: 0,
            client: "",
            left_out: BTreeMap::new(),
        });
        let report = Report {
            findings: Findings::default(),
            collection: Collection {
                families: Vec::new(),
                files: files.collect(),
                conflicts: Vec::new(),
                directories: directories.collect(),
            },
            could_look: true,
        };
        let text = report.to_string();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("liveness"))
            .collect();
        assert_eq!(lines[0], "liveness in /pool/0: 1 file by lease");
        let untold = "1 file not told (no luck: try again)";
        assert_eq!(lines[1], format!("liveness in /pool/1: {untold}"));
        let rest = "liveness in the others: 295 files not told (no luck: try again)";
        assert_eq!((lines.len(), lines[5]), (6, rest), "{text}");
    }
}
