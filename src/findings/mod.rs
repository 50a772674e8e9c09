//! What is wrong with a pool, in groups that stay few however many files are bad.
//!
//! Owns what belongs together, and which group is the worst. The words of each group stand in
//! `wording`; who prints them, and where, is not known here.

mod wording;

use std::fmt::Display;
use std::path::Path;

use headcount_collect::budget::{Budget, Budgets};
use headcount_collect::collector::Collection;
use headcount_collect::report::{Conflict, DamageReason, FileReport, FileState, LedgerState};
use headcount_format::layout::LEDGER_NAME;

use crate::pool::Pass;
use crate::print::{Plain, Short};

pub(crate) use wording::flag;

/// One kind of trouble, and how much there is of it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// How many files, directories or disagreements it is about.
    pub(crate) count: u64,
    /// How many samples, series or files are missing because of it; zero where that is not known.
    pub(crate) missing: u64,
    /// How many of its files are served all the same, in part or as they last were.
    pub(crate) partly: u64,
    /// The first of them, at most [`FEW`].
    pub(crate) first: Vec<Item>,
}

/// One file, directory or disagreement. Both texts are one line each, of bounded length.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) detail: String,
}

/// What belongs into one group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Nothing of a directory is served.
    Directory,
    /// A ledger cannot be read, so that nothing of its directory is served.
    Ledger,
    /// A directory lies where counts arrive late or never.
    Network,
    /// Two workers write one file.
    Shared,
    /// A budget has no room for files, or for samples.
    LeftOut(Budget),
    /// A file is set aside.
    Damaged(DamageReason),
    /// A worker counts in memory alone.
    Refused,
    /// Workers do not agree.
    Conflict(ConflictKind),
    /// A file was written before the machine last started.
    EarlierBoot,
    /// A directory lies on FUSE.
    UserSpace,
    /// A file that is sound holds nothing that is merged.
    PassedOver,
}

/// About what workers do not agree.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum ConflictKind {
    Buckets,
    Help,
    Mode,
    Name,
    States,
    Times,
    Unit,
    Worker,
    /// One that this program does not know yet.
    Other,
}

impl ConflictKind {
    /// Those that are known, in the order of their names.
    pub(crate) const ALL: [ConflictKind; 8] = [
        ConflictKind::Buckets,
        ConflictKind::Help,
        ConflictKind::Mode,
        ConflictKind::Name,
        ConflictKind::States,
        ConflictKind::Times,
        ConflictKind::Unit,
        ConflictKind::Worker,
    ];

    pub(crate) fn of(conflict: &Conflict) -> ConflictKind {
        match conflict {
            Conflict::Buckets { .. } => ConflictKind::Buckets,
            Conflict::Help { .. } => ConflictKind::Help,
            Conflict::Mode { .. } => ConflictKind::Mode,
            Conflict::Name { .. } => ConflictKind::Name,
            Conflict::States { .. } => ConflictKind::States,
            Conflict::Times { .. } => ConflictKind::Times,
            Conflict::Unit { .. } => ConflictKind::Unit,
            Conflict::Worker { .. } => ConflictKind::Worker,
            _ => ConflictKind::Other,
        }
    }

    /// The word for it in labels and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ConflictKind::Buckets => "buckets",
            ConflictKind::Help => "help",
            ConflictKind::Mode => "mode",
            ConflictKind::Name => "name",
            ConflictKind::States => "states",
            ConflictKind::Times => "times",
            ConflictKind::Unit => "unit",
            ConflictKind::Worker => "worker",
            ConflictKind::Other => "other",
        }
    }
}

impl Kind {
    /// Whether something has to be done about it. What is passed over is as it should be.
    pub(crate) fn is_trouble(self) -> bool {
        self != Kind::PassedOver
    }

    /// What is not known to [`WORST_FIRST`] comes before the notes.
    fn rank(self) -> usize {
        let position = |kind: Kind| WORST_FIRST.iter().position(|&known| known == kind);
        let notes = position(Kind::EarlierBoot).unwrap_or(WORST_FIRST.len());
        position(self).unwrap_or(notes)
    }
}

/// First what loses counts now: of a whole directory, of whole files, of single series. Then what
/// stands still, or never held a count: something planted comes first there, since workers write
/// regular files, so that nothing of theirs is missing, but whoever can plant can falsify as well.
/// Then conflicts, of which the first three hide a family or a worker, and last what takes room.
const WORST_FIRST: [Kind; 30] = [
    Kind::Directory,
    Kind::Ledger,
    Kind::Network,
    Kind::Shared,
    Kind::LeftOut(Budget::Files),
    Kind::Damaged(DamageReason::Unreadable),
    Kind::Damaged(DamageReason::Version),
    Kind::LeftOut(Budget::FileBytes),
    Kind::Damaged(DamageReason::TooLarge),
    Kind::Damaged(DamageReason::Truncated),
    Kind::Damaged(DamageReason::Malformed),
    Kind::Refused,
    Kind::LeftOut(Budget::Series),
    Kind::LeftOut(Budget::FamilySeries),
    Kind::LeftOut(Budget::Labels),
    Kind::LeftOut(Budget::LabelBytes),
    Kind::Damaged(DamageReason::Hostile),
    Kind::Damaged(DamageReason::TornTail),
    Kind::Damaged(DamageReason::Foreign),
    Kind::Conflict(ConflictKind::Name),
    Kind::Conflict(ConflictKind::Times),
    Kind::Conflict(ConflictKind::Worker),
    Kind::Conflict(ConflictKind::Mode),
    Kind::Conflict(ConflictKind::States),
    Kind::Conflict(ConflictKind::Buckets),
    Kind::Conflict(ConflictKind::Unit),
    Kind::Conflict(ConflictKind::Help),
    Kind::EarlierBoot,
    Kind::UserSpace,
    Kind::PassedOver,
];

/// Up to how many of a kind are named each with its own detail.
pub(crate) const FEW: usize = 5;

/// How many of more than [`FEW`] are named.
const EXAMPLES: usize = 3;

/// The longest name and detail that are shown whole, in characters.
const NAME: usize = 100;
const DETAIL: usize = 300;

impl Finding {
    fn new(kind: Kind) -> Finding {
        Finding {
            kind,
            count: 0,
            missing: 0,
            partly: 0,
            first: Vec::new(),
        }
    }

    fn add(&mut self, name: impl Display, detail: impl Display) {
        self.count += 1;
        if self.first.len() < FEW {
            self.first.push(Item {
                name: Short(Plain(name), NAME).to_string(),
                detail: Short(Plain(detail), DETAIL).to_string(),
            });
        }
    }

    /// Whether each is to be shown with its own detail.
    pub(crate) fn is_few(&self) -> bool {
        self.count == self.first.len() as u64
    }

    /// The names that stand for all; a family may be in conflict more than once.
    pub(crate) fn examples(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.first.iter().map(|item| &*item.name).collect();
        names.dedup();
        names.truncate(EXAMPLES);
        names
    }
}

/// The findings of a pass, the worst first.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// What a pass has to tell.
    pub(crate) fn of_pass(pass: &Pass) -> Findings {
        let mut findings = Findings::of(&pass.collection, &pass.budgets);
        for path in &pass.shared {
            let detail = "two live processes of one pid write it";
            findings.add(Kind::Shared, path.display(), detail);
        }
        findings
    }

    /// What `collection` has to tell, which was read with these budgets.
    pub(crate) fn of(collection: &Collection, budgets: &Budgets) -> Findings {
        let mut findings = Findings::default();
        let directories = &collection.directories;
        for directory in directories {
            if let Some(error) = &directory.error {
                let path = directory.path.display();
                let detail = format_args!("{path} cannot be read: {error}");
                findings.add(Kind::Directory, directory.path.display(), detail);
            }
            match &directory.ledger.state {
                LedgerState::Refused(damage) => {
                    let path = directory.path.join(LEDGER_NAME);
                    findings.add(Kind::Ledger, path.display(), damage);
                }
                LedgerState::EarlierBoot => {
                    let path = directory.path.join(LEDGER_NAME);
                    let detail = "it was written before this machine last started";
                    findings.add(Kind::EarlierBoot, path.display(), detail);
                }
                _ => {}
            }
            if directory.files_left_out > 0 {
                let kind = Kind::LeftOut(Budget::Files);
                let detail = wording::counted(directory.files_left_out, "file");
                let finding = findings.add(kind, directory.path.display(), detail);
                finding.missing += directory.files_left_out;
            }
        }
        for file in &collection.files {
            // One directory need not be said with each file.
            let path: &Path = match directories.len() {
                1 => file.path.file_name().map_or(&*file.path, Path::new),
                _ => &file.path,
            };
            findings.add_file(path, file, budgets);
        }
        for conflict in &collection.conflicts {
            let kind = Kind::Conflict(ConflictKind::of(conflict));
            findings.add(kind, wording::family(conflict), conflict);
        }
        findings
    }

    fn add_file(&mut self, path: &Path, file: &FileReport, budgets: &Budgets) {
        let name = path.display();
        match &file.state {
            FileState::Damaged(damage) => {
                let kind = match is_over_file_bytes(file, budgets) {
                    true => Kind::LeftOut(Budget::FileBytes),
                    false => Kind::Damaged(damage.reason),
                };
                let finding = self.add(kind, name, &damage.detail);
                finding.partly += u64::from(file.series > 0);
            }
            FileState::EarlierBoot => {
                let detail = "it was written before this machine last started";
                self.add(Kind::EarlierBoot, name, detail);
            }
            FileState::PassedOver(why) => {
                self.add(Kind::PassedOver, name, why);
            }
            _ => {}
        }
        if file.refused > 0 {
            let series = wording::counted(file.refused, "series");
            let finding = self.add(Kind::Refused, path.display(), series);
            finding.missing += file.refused;
        }
        for (&budget, &samples) in file.left_out.iter().filter(|(_, samples)| **samples > 0) {
            let detail = wording::counted(samples, "sample");
            let finding = self.add(Kind::LeftOut(budget), path.display(), detail);
            finding.missing += samples;
        }
    }

    /// Counts one more of this kind.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        name: impl Display,
        detail: impl Display,
    ) -> &mut Finding {
        let known = self.0.iter().position(|finding| finding.kind == kind);
        let index = known.unwrap_or_else(|| {
            // Of one rank, in the order in which they come.
            let later = |finding: &Finding| finding.kind.rank() <= kind.rank();
            let index = self.0.partition_point(later);
            self.0.insert(index, Finding::new(kind));
            index
        });
        let finding = &mut self.0[index];
        finding.add(name, detail);
        finding
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }
}

/// Whether the file is set aside for its size, and not for what is in it.
pub(crate) fn is_over_file_bytes(file: &FileReport, budgets: &Budgets) -> bool {
    let is_too_large = matches!(
        &file.state,
        FileState::Damaged(damage) if damage.reason == DamageReason::TooLarge
    );
    is_too_large && file.bytes > budgets.file_bytes
}

#[cfg(test)]
mod tests;
