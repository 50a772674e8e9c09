//! Who there is: the workers of a pool, with their ages and sizes.
//!
//! Owns the few lines that name them, which stay few however large the pool is. Decides nothing
//! about who lives.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use headcount_collect::collector::Collection;
use headcount_collect::report::{FileReport, FileState, Liveness};

use crate::print::{Grouped, Plain, Short};

/// The workers of a pass, by what has become of them.
#[derive(Debug)]
pub(crate) struct Roster {
    /// In the order in which they are told, the youngest of each first.
    groups: Vec<(&'static str, Vec<Member>)>,
}

/// One worker, or of other clients one file that is set aside or folded.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Member {
    name: String,
    /// In nanoseconds since 1970; zero where nobody knows.
    started: u64,
    /// When it was folded; zero where it was not.
    folded: u64,
    bytes: u64,
}

impl Roster {
    /// Who wrote the files of `collection`, and whom its ledgers list.
    pub(crate) fn of(collection: &Collection) -> Roster {
        let mut workers: BTreeMap<(Option<&Path>, &str), (Liveness, Member)> = BTreeMap::new();
        let mut aside = Vec::new();
        for file in &collection.files {
            let Some(worker) = file.worker.as_ref().filter(|_| !is_aside(file)) else {
                aside.extend(is_aside(file).then(|| set_aside(file)));
                continue;
            };
            let started = match worker.started {
                0 => born(&file.path),
                started => started,
            };
            let key = (file.path.parent(), &*worker.id);
            let (liveness, member) = workers.entry(key).or_insert_with(|| {
                let member = Member {
                    name: short(&worker.pid),
                    started,
                    folded: 0,
                    bytes: 0,
                };
                (file.verdict.liveness, member)
            });
            // It runs if any of its files says so.
            if file.verdict.liveness == Liveness::Live {
                *liveness = Liveness::Live;
            }
            member.bytes += file.bytes;
            member.started = match (member.started, started) {
                (0, other) | (other, 0) => other,
                (one, other) => one.min(other),
            };
        }
        let of = |wanted| {
            let found = workers.values().filter(|(liveness, _)| *liveness == wanted);
            found.map(|(_, member)| member.clone()).collect()
        };
        let ledgers = collection.directories.iter().map(|each| &each.ledger);
        let folded = ledgers.flat_map(|ledger| ledger.folded.iter());
        let folded = folded.map(|folded| Member {
            name: short(&folded.name),
            started: folded.started,
            folded: folded.when,
            bytes: folded.bytes,
        });
        let mut groups = vec![
            ("running", of(Liveness::Live)),
            ("ended", of(Liveness::Dead)),
            ("not known", of(Liveness::Unknown)),
            ("set aside", aside),
            ("folded", folded.collect()),
        ];
        for (_, members) in &mut groups {
            members.sort_by(|one, other| {
                let age = |member: &Member| (member.folded, member.started);
                age(other)
                    .cmp(&age(one))
                    .then_with(|| one.name.cmp(&other.name))
            });
        }
        Roster { groups }
    }

    /// A line for each group, as of `now`, in nanoseconds since 1970.
    pub(crate) fn write(&self, now: u64, out: &mut impl fmt::Write) -> fmt::Result {
        let groups = self
            .groups
            .iter()
            .filter(|(_, members)| !members.is_empty());
        for (group, members) in groups {
            write!(out, "  {group}: ")?;
            for (index, member) in members.iter().take(NAMED).enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                write!(out, "{separator}{} (", member.name)?;
                if member.folded > 0 {
                    write!(out, "{} ago, ", Age::of(member.folded, now))?;
                } else if member.started > 0 {
                    write!(out, "{}, ", Age::of(member.started, now))?;
                }
                write!(out, "{})", Bytes(member.bytes))?;
            }
            match members.len().checked_sub(NAMED) {
                None | Some(0) => writeln!(out)?,
                Some(more) => writeln!(out, ", and {} more", Grouped(more as u64))?,
            }
        }
        Ok(())
    }
}

fn is_aside(file: &FileReport) -> bool {
    matches!(file.state, FileState::Damaged(_) | FileState::EarlierBoot)
}

fn set_aside(file: &FileReport) -> Member {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    Member {
        name: short(&name),
        started: born(&file.path),
        folded: 0,
        bytes: file.bytes,
    }
}

fn short(name: &str) -> String {
    Short(Plain(name), NAME).to_string()
}

/// When a file was made, which tells when its worker began; zero where that is not known.
fn born(path: &Path) -> u64 {
    let metadata = std::fs::symlink_metadata(path).ok();
    let born = metadata.and_then(|metadata| metadata.created().ok());
    let since = born.and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}

/// How long ago something was, in its two largest units.
struct Age(Duration);

impl Age {
    fn of(then: u64, now: u64) -> Age {
        Age(Duration::from_nanos(now.saturating_sub(then)))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
        let first = units.iter().position(|(_, unit)| seconds >= *unit);
        let first = first.unwrap_or(units.len() - 1);
        let (name, unit) = units[first];
        write!(formatter, "{}{name}", seconds / unit)?;
        match units.get(first + 1) {
            Some((name, smaller)) if seconds % unit >= *smaller => {
                write!(formatter, "{}{name}", seconds % unit / smaller)
            }
            _ => Ok(()),
        }
    }
}

/// A size in the largest unit that tells it well.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 10 << 20 => write!(formatter, "{} MiB", Grouped(bytes >> 20)),
            bytes if bytes >= 1 << 10 => write!(formatter, "{} KiB", Grouped(bytes >> 10)),
            bytes => write!(formatter, "{bytes} B"),
        }
    }
}

/// How many of a group are named.
const NAMED: usize = 5;

/// How many characters of a name are shown.
const NAME: usize = 40;

#[cfg(test)]
mod tests {
    use headcount_collect::collector::DirectoryReport;
    use headcount_collect::report::{
        Damage, DamageReason, Dialect, FoldedReport, LedgerReport, Worker,
    };

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn file(pid: &str, started: u64, liveness: Liveness, bytes: u64) -> FileReport {
        FileReport {
            path: Path::new("/pool").join(format!("{pid}-{bytes}.store")),
            dialect: Some(Dialect::Store),
            state: FileState::Good,
            worker: Some(Worker {
                id: pid.into(),
                pid: pid.into(),
                started: started * SECOND,
            }),
            verdict: liveness.into(),
            bytes,
            series: 1,
            refused: 0,
            client: "headcount-writer",
            left_out: BTreeMap::new(),
        }
    }

    fn told(files: Vec<FileReport>, folded: Vec<FoldedReport>) -> String {
        let ledger = LedgerReport {
            folded: folded.into(),
            ..LedgerReport::default()
        };
        let collection = Collection {
            families: Vec::new(),
            files,
            conflicts: Vec::new(),
            directories: vec![DirectoryReport {
                path: "/pool".into(),
                error: None,
                replaced: 0,
                files_left_out: 0,
                ledger,
            }],
        };
        let mut text = String::new();
        let now = 100_000 * SECOND;
        Roster::of(&collection).write(now, &mut text).unwrap();
        text
    }

    #[test]
    fn workers_are_named_by_what_has_become_of_them_with_age_and_size() {
        let mut damaged = file("9", 0, Liveness::Dead, 100);
        damaged.state = FileState::Damaged(Damage {
            reason: DamageReason::Truncated,
            detail: "cut".into(),
        });
        let folded = FoldedReport {
            name: "6".into(),
            started: SECOND,
            when: 99_880 * SECOND,
            bytes: 16 << 10,
        };
        let files = vec![
            file("7", 92_740, Liveness::Live, 65_536),
            file("7", 92_740, Liveness::Dead, 1_024),
            file("8", 99_995, Liveness::Dead, 20 << 20),
            damaged,
        ];
        assert_eq!(
            told(files, vec![folded]),
            "  running: 7 (2h1m, 65 KiB)\n  ended: 8 (5s, 20 MiB)\n  \
             set aside: 9-100.store (100 B)\n  folded: 6 (2m ago, 16 KiB)\n"
        );
    }

    #[test]
    fn of_many_workers_the_youngest_are_named() {
        let files =
            (0..1000).map(|number| file(&number.to_string(), number + 1, Liveness::Live, 1));
        let text = told(files.collect(), Vec::new());
        assert!(
            text.starts_with("  running: 999 (1d3h, 1 B), 998 ("),
            "{text}"
        );
        assert!(text.ends_with(", and 995 more\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
