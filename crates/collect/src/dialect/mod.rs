//! The file formats that a pool's workers write.
//!
//! Owns which name may belong to which dialect, and what every file does, whatever its dialect:
//! bring its series into the [`Intake`] and their values out of the file. The bytes of a dialect are
//! known in its own room and nowhere else.

mod direct;
mod entries;
mod gitlab;
mod ladder;
mod python;
mod store;
mod text;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use headcount_format::PageBuffer;
use headcount_format::identity::BootId;
use headcount_format::layout::LockKind;

use crate::budget::Budget;
use crate::intake::{DirectoryId, Intake, OriginId};
use crate::report::{Damage, DamageReason, Dialect, FileState, Worker};
use crate::table::{Contributor, Part, SlotId, Table};

pub(crate) use store::StoreFile;

/// `[dialect.suffix]`: whether a file of this name may belong to a pool.
pub(crate) fn is_candidate(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.starts_with(b".") && SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

const SUFFIXES: [&[u8]; 5] = [b".bin", b".db", b".folding", b".prom", b".store"];

/// `[fold.peer]`: the name that a file had before it got its folding name, or has.
pub(crate) fn own_name(name: &OsStr) -> &OsStr {
    let bytes = name.as_bytes();
    let stem = bytes.strip_suffix(b".folding");
    let own = stem.and_then(|stem| stem.rsplitn(2, |&byte| byte == b'.').nth(1));
    own.map_or(name, OsStr::from_bytes)
}

/// One file, and how far it has been read.
pub(crate) trait Source: fmt::Debug + Send {
    /// `None` as long as the content does not tell.
    fn dialect(&self) -> Option<Dialect>;

    /// Which releases of which client write like this; empty where the content does not tell.
    fn client(&self) -> &'static str;

    /// Whose the file is; `None` for a file that no worker writes.
    fn worker(&self) -> Option<&Worker>;

    /// How many series the file holds.
    fn series(&self) -> usize;

    /// How many samples are left out, by the budget that has no room for them.
    fn left_out(&self) -> &BTreeMap<Budget, u64>;

    /// Brings new series into the table and reads all values; those of the last pass stay where
    /// that fails.
    fn refresh(&mut self, file: &File, shared: &mut Shared) -> Outcome;

    /// Tells every value of the last pass that succeeded.
    fn tell(&self, tally: &mut Tally<'_>);

    /// The values that outlive the file.
    fn lasting(&self) -> Vec<Left>;

    /// Asks anew where each value goes, after a change of modes or rules.
    fn rebind(&mut self, intake: &mut Intake);

    /// Gives back what belongs to the file's worker alone.
    fn release(&mut self, intake: &mut Intake);

    /// What had been counted before it began again, as far as [`Source::lasting`] does not say so:
    /// the file itself tells nothing of it.
    fn carried(&self) -> Vec<Left> {
        Vec::new()
    }

    /// Whether it tells something to which only the living contribute.
    fn has_live_levels(&self, table: &Table) -> bool;

    /// Tells how many buckets each histogram has.
    fn note_buckets(&self, intake: &mut Intake);

    /// Has what no rule or budget let in considered anew at the next refresh.
    fn reconsider(&mut self) {}

    /// `[text.rewritten]`: whether its name, and not its inode, is what makes a file the same.
    fn goes_on_by_name(&self) -> bool {
        false
    }

    /// `[text.rewritten]`: takes in that the file is gone.
    fn sleep(&mut self, _intake: &mut Intake) {}

    /// `[text.rewritten]`: takes in that the file goes on under this name.
    fn wake(&mut self, _name: &OsStr) {}

    /// Which store it is; `None` for a file that does not say.
    fn incarnation(&self) -> Option<&Arc<str>> {
        None
    }

    /// How many series have found no room in the file.
    fn refused(&self) -> u64 {
        0
    }

    /// How its worker holds it.
    fn lock(&self) -> LockKind {
        LockKind::Missing
    }

    /// `[merge.store.boot]`: whether it was written before the machine last started.
    fn is_of_other_boot(&self, _boot: BootId) -> bool {
        false
    }
}

/// What all files of a collector share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) intake: Intake,
    keys: entries::Keys,
    buffer: PageBuffer,
}

/// What one pass over one file has to say beside the values.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) state: FileState,
    /// Whether all that it says has been read, but for what makes no sense.
    pub(crate) is_whole: bool,
    /// Its size.
    pub(crate) bytes: u64,
    /// What counted lower than in the pass before, and how much it had counted then.
    pub(crate) falls: Vec<Left>,
}

/// `[merge.counter.fall]`: what a counting value is worth: a negative number, or none at all, counts
/// nothing.
fn lawful(value: f64) -> f64 {
    value.max(0.0)
}

/// A value that stays although nobody tells it any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) origin: OriginId,
    pub(crate) part: Part,
    pub(crate) value: f64,
}

/// Takes the values of one file.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) table: &'a mut Table,
    pub(crate) by: Contributor,
    pub(crate) share: Share,
}

/// Which of a file's values are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Share {
    All,
    /// All but levels of which each worker has its own.
    AllButOwn,
    /// Levels: what is neither counted nor summed.
    Levels,
    /// What is counted or summed.
    Totals,
}

impl Tally<'_> {
    /// `stamp` is the time of a most recent value, and zero where there is none.
    #[inline]
    pub(crate) fn add(&mut self, slot: SlotId, value: f64, stamp: f64) {
        if self.share == Share::All || self.takes(slot) {
            self.table.contribute(slot, value, stamp, self.by);
        }
    }

    fn takes(&self, slot: SlotId) -> bool {
        match self.share {
            Share::All => true,
            Share::AllButOwn => !self.table.is_own(slot),
            Share::Levels => self.table.is_level(slot),
            Share::Totals => !self.table.is_level(slot),
        }
    }
}

/// What a name is to be opened as.
#[derive(Debug)]
pub(crate) enum Opened {
    /// To be read.
    Source(Box<dyn Source>),
    /// Of a kind that holds nothing that is merged.
    PassedOver(&'static str),
}

/// `[merge.file.dialect]`: what reads the file, as far as its name tells.
///
/// # Errors
///
/// [`Damage`] for what is in no dialect that is read here.
pub(crate) fn open(name: &OsStr, file: &File, directory: DirectoryId) -> Result<Opened, Damage> {
    let Some(text) = own_name(name).to_str() else {
        return Err(foreign("its name is not UTF-8, which no worker writes"));
    };
    let (stem, suffix) = text.rsplit_once('.').unwrap_or((text, ""));
    let source: Box<dyn Source> = match suffix {
        "store" => Box::new(store::StoreFile::open(text, file, directory)?),
        "prom" => Box::new(text::TextFile::new(stem, directory)),
        // [vinted.exemplar]
        "db" if stem.starts_with("exemplar_") => return Ok(Opened::PassedOver(EXEMPLARS)),
        "db" => Box::new(entries::EntryFile::open_typed(stem, directory)?),
        _ => Box::new(entries::EntryFile::open_metric(stem, directory)?),
    };
    Ok(Opened::Source(source))
}

const EXEMPLARS: &str = "it holds exemplars of Vinted's prometheus-client-mmap, which are not read";

fn foreign(detail: &str) -> Damage {
    damage(DamageReason::Foreign, detail.to_owned())
}

fn damage(reason: DamageReason, detail: String) -> Damage {
    Damage { reason, detail }
}

fn unreadable(error: std::io::Error) -> Damage {
    let detail = format!("failed to read it: {error}");
    damage(DamageReason::Unreadable, detail)
}

fn size(file: &File) -> Result<u64, Damage> {
    Ok(file.metadata().map_err(unreadable)?.len())
}
