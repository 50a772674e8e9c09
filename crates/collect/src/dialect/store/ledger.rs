//! The ledger of a directory, which is a store.
//!
//! Owns what is read of it beside its totals: whose its levels are (`spec/ledger.md`, chapter 1).

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use headcount_format::StoreReader;
use headcount_format::catalog::{Cells, cells_of};
use headcount_format::identity::BootId;
use headcount_format::layout::Role;
use headcount_format::record::Level;

use super::{StoreFile, damage};
use crate::dialect::{Tally, foreign};
use crate::intake::{DirectoryId, Intake};
use crate::report::Damage;

impl StoreFile {
    /// What lies under the name of a ledger, with all that it holds taken in; `None` for one of
    /// another boot.
    pub(crate) fn open_ledger(
        file: &File,
        directory: DirectoryId,
        boot: BootId,
        intake: &mut Intake,
    ) -> Result<Option<StoreFile>, Damage> {
        let mut reader = StoreReader::open(file).map_err(damage)?;
        if reader.header().role != Role::Ledger {
            return Err(foreign("it is a worker's store under the name of a ledger"));
        }
        // [ledger.boot]
        if reader.header().boot.differs_from(boot) {
            return Ok(None);
        }
        reader.refresh(file).map_err(damage)?;
        let mut ledger = StoreFile::new(reader, directory);
        let levels = ledger.reader.catalog().levels();
        ledger.owners = levels.iter().map(owner).collect();
        ledger.ranks = ranks(levels);
        ledger.is_read = true;
        ledger.declare(intake);
        Ok(Some(ledger))
    }

    /// How many numbers of contributors a ledger takes: one for each whose levels it has, and one for
    /// its totals.
    pub(crate) fn contributors(&self) -> u32 {
        self.ranks.last().map_or(1, |(_, rank)| rank + 1)
    }

    /// `[ledger.level]`: tells the levels of a ledger whose workers died in this time, each worker as
    /// a contributor of its own, the last that died last (`[merge.gauge.youngest]`).
    pub(crate) fn tell_levels_of(&self, died: &Range<u64>, tally: &mut Tally<'_>) {
        let catalog = self.reader.catalog();
        let first = tally.by.number;
        for &(index, rank) in &self.ranks {
            let level = &catalog.levels()[index];
            tally.by.number = first + rank;
            tally.by.died = level.died;
            let record = &catalog.series()[level.series as usize];
            let family = &catalog.families()[record.family as usize];
            let cell = record.cell as usize;
            if !died.contains(&level.died) {
                continue;
            }
            match cells_of(family) {
                Cells::Additive(_) => {}
                Cells::None => {
                    let info = self
                        .infos
                        .iter()
                        .find(|(number, _)| *number == level.series);
                    if let Some(&(_, slot)) = info {
                        tally.add(slot, 1.0, 0.0);
                    }
                }
                Cells::Register => {
                    let value = self.register(cell);
                    if let Some((levels, value)) = self.registers.get(cell).zip(value) {
                        levels.tell(value, 0.0, tally);
                    }
                }
                Cells::Stamped => {
                    let set = self.reader.stamped(record.cell);
                    if let Some((levels, (value, time))) = self.stamped.get(cell).zip(set) {
                        levels.tell(value, time, tally);
                    }
                }
            }
        }
    }

    fn register(&self, cell: usize) -> Option<f64> {
        self.reader.registers().find_map(|block| {
            let index = cell.checked_sub(usize::try_from(block.first).ok()?)?;
            Some(f64::from_bits(u64::from_le(*block.words.get(index)?)))
        })
    }
}

/// The numbers of the levels in the order in which their workers died, and as which contributor each
/// tells; zero is who tells totals.
fn ranks(levels: &[Level]) -> Vec<(usize, u32)> {
    let whose = |index: &usize| {
        let Level {
            started,
            died,
            pid,
            place,
            ..
        } = &levels[*index];
        (*died, *started, pid, *place)
    };
    let mut order: Vec<usize> = (0..levels.len()).collect();
    order.sort_by(|one, other| whose(one).cmp(&whose(other)));
    let mut rank = 0;
    let mut before = None;
    let ranked = order.into_iter().map(|index| {
        let whose = whose(&index);
        rank += u32::from(before.replace(whose) != Some(whose));
        (index, rank)
    });
    ranked.collect()
}

/// The worker of a level, by the number of its series.
fn owner(level: &Level) -> (u32, (Arc<str>, Option<u32>)) {
    (level.series, ((*level.pid).into(), level.place))
}
