//! What stays of files that are gone.
//!
//! Owns the counts that nobody tells any more (`[merge.departed]`), and the memory of whose they
//! were, so that a file that returns does not count twice. Knows no files.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::tracked::Tracked;
use crate::dialect::Left;
use crate::directory::FileIdentity;
use crate::exact::ExactSum;
use crate::intake::{Intake, OriginId};
use crate::table::{Bound, Part, SlotId, Table};

/// The counts of one directory that nobody tells any more.
#[derive(Debug, Default)]
pub(super) struct Departed {
    sums: HashMap<(OriginId, Part), (SlotId, ExactSum)>,
    /// The last files that went, the oldest first.
    gone: VecDeque<Gone>,
    /// How many values they have left.
    remembered: usize,
    /// Whether the sums have changed since somebody asked.
    is_changed: bool,
}

/// What a file that is gone has left in the totals, in case it returns.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) identity: Option<FileIdentity>,
    /// Of a store, which says itself which one it is.
    pub(super) incarnation: Option<Arc<str>>,
    pub(super) left: Vec<Left>,
    /// What the file does not tell any more, and will not when it returns.
    pub(super) carried: Vec<Left>,
    /// Whether the file is back, and not enough of it can be read yet.
    pub(super) stands_in: bool,
}

/// How many files that are gone are remembered at least and at most, and in between as long as they
/// have left no more values than that: a tool that moves files away and back may move all of a
/// pool's.
const FEWEST: usize = 64;
const MOST: usize = 8192;
const VALUES: usize = 1 << 18;

impl Departed {
    /// Takes in what is told no more.
    pub(super) fn add(&mut self, left: impl IntoIterator<Item = Left>, intake: &mut Intake) {
        for Left {
            origin,
            part,
            value,
        } in left
        {
            self.is_changed = true;
            let sum = self.sums.entry((origin, part)).or_insert_with(|| {
                let slot = intake.part(origin, part);
                (slot, ExactSum::new())
            });
            sum.1.add(value);
        }
    }

    /// Takes in what a file has left that is gone.
    pub(super) fn bury(&mut self, gone: Gone, intake: &mut Intake) {
        self.add(gone.left.iter().chain(&gone.carried).copied(), intake);
        self.remembered += gone.left.len();
        self.gone.push_back(gone);
        while self.gone.len() > MOST || (self.gone.len() > FEWEST && self.remembered > VALUES) {
            // What stands for a file that is back, and cannot be read yet, is the last to go.
            let first = self.gone.iter().position(|gone| !gone.stands_in);
            self.forget(first.unwrap_or(0));
        }
    }

    /// Whether the sums have changed since this was asked last.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// `[ledger.switch]`: takes out what those files have left that another tells now.
    pub(super) fn take_back(&mut self, is_told: impl Fn(&Gone) -> bool, intake: &mut Intake) {
        let mut index = 0;
        while let Some(gone) = self.gone.get(index) {
            if !is_told(gone) {
                index += 1;
            } else if let Some(gone) = self.forget(index) {
                self.subtract(gone.left, intake);
            }
        }
    }

    /// What is infinite or no number stays so, whatever is taken from it.
    fn subtract(&mut self, left: impl IntoIterator<Item = Left>, intake: &mut Intake) {
        let finite = left.into_iter().filter(|left| left.value.is_finite());
        let taken = finite.map(|left| Left {
            value: -left.value,
            ..left
        });
        self.add(taken, intake);
    }

    fn forget(&mut self, index: usize) -> Option<Gone> {
        let gone = self.gone.remove(index)?;
        self.remembered -= gone.left.len();
        Some(gone)
    }

    /// `[merge.file.returned]`: has a file that may have come back tell again what it has left, once
    /// it can; `is_told` where another file tells it. Whether a file that rests has been withheld.
    pub(super) fn welcome(
        &mut self,
        tracked: &mut Tracked,
        is_told: bool,
        intake: &mut Intake,
    ) -> bool {
        if !tracked.is_new {
            return false;
        }
        tracked.is_withheld = is_told || self.give_back(tracked, intake);
        tracked.is_new = tracked.is_withheld || !tracked.is_whole;
        tracked.is_withheld && std::mem::take(&mut tracked.rests)
    }

    /// `[merge.file.returned]`: gives back what a file has left that tells it itself again; whether
    /// it still stands for the file, of which not enough can be read yet.
    ///
    /// What the file tells less of than it has left has begun again in between
    /// (`[merge.counter.fall]`), and stays.
    fn give_back(&mut self, file: &Tracked, intake: &mut Intake) -> bool {
        let Some(source) = &file.source else {
            return false;
        };
        let is_it = |gone: &Gone| {
            (file.identity.is_some() && gone.identity == file.identity)
                || (source.incarnation().is_some()
                    && gone.incarnation.as_ref() == source.incarnation())
        };
        let Some(index) = self.gone.iter().position(is_it) else {
            return false;
        };
        let told = by_origin(&source.lasting());
        let left = by_origin(&self.gone[index].left);
        let is_told = |origin: &OriginId, part: &Part| {
            told.get(origin)
                .is_some_and(|parts| parts.contains_key(part))
        };
        let is_whole = file.is_whole
            || left
                .iter()
                .all(|(origin, parts)| parts.keys().all(|part| is_told(origin, part)));
        if !is_whole {
            self.gone[index].stands_in = true;
            return true;
        }
        let goes_on = |origin: &OriginId| {
            let told = told.get(origin);
            told.is_some_and(|told| !has_fallen(&left[origin], told))
        };
        if let Some(gone) = self.forget(index) {
            let again = gone.left.into_iter().filter(|left| goes_on(&left.origin));
            let again: Vec<Left> = again.collect();
            self.subtract(again, intake);
        }
        false
    }

    /// `[rules.reload]`: asks anew where each sum goes.
    pub(super) fn rebind(&mut self, intake: &mut Intake) {
        for (&(origin, part), (slot, _)) in &mut self.sums {
            *slot = intake.part(origin, part);
        }
    }

    /// Adds everything to the totals.
    pub(super) fn contribute(&self, table: &mut Table) {
        for (slot, sum) in self.sums.values() {
            table.add_departed(*slot, sum);
        }
    }
}

/// The parts of each series, added up.
fn by_origin(all: &[Left]) -> HashMap<OriginId, HashMap<Part, f64>> {
    let mut origins: HashMap<OriginId, HashMap<Part, f64>> = HashMap::new();
    for left in all {
        let parts = origins.entry(left.origin).or_default();
        *parts.entry(left.part).or_default() += left.value;
    }
    origins
}

/// Whether a part that only grows is less than it was. Of a bucket that is so if fewer observations
/// are at most its bound: where cumulative ones are stored, what one has by itself may move down.
fn has_fallen(before: &HashMap<Part, f64>, now: &HashMap<Part, f64>) -> bool {
    let (mut below, mut below_now) = (0.0, 0.0);
    let mut bounds: Vec<Bound> = before.keys().filter_map(Part::bound).collect();
    bounds.sort_unstable();
    let is_less = |bound: Bound| {
        let share = |parts: &HashMap<Part, f64>| {
            let share = parts.get(&Part::Bucket(bound));
            share.copied().unwrap_or(0.0)
        };
        below += share(before);
        below_now += share(now);
        below_now < below
    };
    let is_single = |part: &Part| matches!(part, Part::Count | Part::Whole);
    let mut singles = before.iter().filter(|(part, _)| is_single(part));
    singles.any(|(part, value)| now.get(part).is_none_or(|now| now < value))
        || bounds.into_iter().any(is_less)
}
