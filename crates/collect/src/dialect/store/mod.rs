//! The dialect of headcount's own stores.
//!
//! Owns which cell of a store goes to which slot. Knows no bytes: those are the business of
//! `headcount_format`.

mod ledger;
mod levels;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;

use headcount_format::catalog::{Catalog, Cells, cells_of};
use headcount_format::identity::BootId;
use headcount_format::layout::{Header, HeaderError, LockKind, Role, incarnation_of};
use headcount_format::record::Family;
use headcount_format::{CellBlock, MetricType, ReadError, StoreReader};

use crate::budget::Budget;
use crate::dialect::{Left, Outcome, Shared, Source, Tally, foreign, lawful};
use crate::intake::{Asking, DirectoryId, Intake, LeftOut, OriginId, Owner};
use crate::model::Labels;
use crate::report::{Damage, DamageReason, Dialect, FileState, Worker};
use crate::table::{Bound, Declaration, NO_SLOT, Part, SlotId, Table, is_gauge};
use levels::{Levels, level_slots};

/// A store of a pool.
#[derive(Debug)]
pub(crate) struct StoreFile {
    reader: StoreReader,
    worker: Worker,
    directory: DirectoryId,
    /// How many records of the catalog have been declared, families and series.
    families: Vec<Result<u32, LeftOut>>,
    series: Vec<Declared>,
    /// The slot of each additive cell, and whether it is the sum of observations, which may fall.
    additive: Vec<(SlotId, bool)>,
    registers: Vec<Levels>,
    stamped: Vec<Levels>,
    infos: Vec<(u32, SlotId)>,
    left_out: BTreeMap<Budget, u64>,
    /// Whether what was left out may be let in now.
    is_unsettled: bool,
    /// Whether the values are of a pass that succeeded.
    is_read: bool,
    /// Of a ledger: the pid and the place of the worker of each level, by the number of its series.
    owners: HashMap<u32, (Arc<str>, Option<u32>)>,
    /// Of a ledger: the number of each level, and as which of its contributors that tells.
    ranks: Vec<(usize, u32)>,
}

/// A series of the store, as the table knows it.
#[derive(Debug)]
struct Declared {
    /// `None` for one that has never been let in.
    origin: Option<OriginId>,
    /// Why it is left out, if it is.
    left_out: Option<LeftOut>,
    /// Whether it has slots for its worker that are to be given back.
    has_gauge: bool,
    is_removed: bool,
}

impl StoreFile {
    pub(super) fn open(
        name: &str,
        file: &File,
        directory: DirectoryId,
    ) -> Result<StoreFile, Damage> {
        let named = incarnation_of(name.as_bytes())
            .ok_or_else(|| foreign("its name is not 32 hexadecimal digits and `.store`"))?;
        let reader = StoreReader::open(file).map_err(damage)?;
        let header = reader.header();
        // [ledger.name]
        if header.role == Role::Ledger {
            return Err(foreign("it is a ledger under the name of a worker's store"));
        }
        // [merge.store.name]
        if header.incarnation != named {
            return Err(foreign(
                "it is the copy of another store, and would count twice",
            ));
        }
        Ok(StoreFile::new(reader, directory))
    }

    fn new(reader: StoreReader, directory: DirectoryId) -> StoreFile {
        let header = reader.header();
        let worker = Worker {
            id: header.incarnation.to_string().into(),
            pid: header.pid.to_string().into(),
            started: header.started,
        };
        StoreFile {
            reader,
            worker,
            directory,
            families: Vec::new(),
            series: Vec::new(),
            additive: Vec::new(),
            registers: Vec::new(),
            stamped: Vec::new(),
            infos: Vec::new(),
            left_out: BTreeMap::new(),
            is_unsettled: false,
            is_read: false,
            owners: HashMap::new(),
            ranks: Vec::new(),
        }
    }

    /// What the catalog says.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.reader.catalog()
    }

    pub(crate) fn header(&self) -> &Header {
        self.reader.header()
    }

    fn is_ledger(&self) -> bool {
        self.reader.header().role == Role::Ledger
    }

    /// Whose a series is.
    fn owner(&self, number: usize) -> Owner<'_> {
        let folded = || self.owners.get(&u32::try_from(number).ok()?);
        match folded() {
            Some((pid, place)) => Owner::Folded(pid, *place),
            None => Owner::Worker(self.directory, &self.worker),
        }
    }

    /// `[merge.counter.fall]`: what the cell of a total is worth. A part of a sum in a ledger may be
    /// negative.
    fn worth(&self, is_sum: bool, value: f64) -> f64 {
        match is_sum || self.is_ledger() {
            true => value,
            false => lawful(value),
        }
    }

    /// Declares what the catalog has gained.
    fn declare(&mut self, intake: &mut Intake) {
        let families = &self.reader.catalog().families()[self.families.len()..];
        for family in families {
            self.families.push(intake.family(&declaration(family)));
        }
        for number in self.series.len()..self.reader.backed_series() {
            let declared = self.declare_series(number, intake);
            self.series.push(declared);
        }
        for number in 0..self.series.len() {
            if self.reader.catalog().is_removed(number) && !self.series[number].is_removed {
                self.remove(number, intake);
            }
        }
    }

    fn declare_series(&mut self, number: usize, intake: &mut Intake) -> Declared {
        let mut declared = Declared {
            origin: None,
            left_out: None,
            has_gauge: false,
            is_removed: false,
        };
        let catalog = self.reader.catalog();
        let record = &catalog.series()[number];
        let names = catalog.families()[record.family as usize]
            .label_names
            .iter();
        let own = names.cloned().zip(record.label_values.iter().cloned());
        let labels = catalog.labels().iter().cloned().chain(own);
        let labels = Labels::new(labels.chain(record.extra_labels.iter().cloned()));
        let family = self.families[record.family as usize];
        let origin = family.and_then(|family| intake.origin(family, self.directory, labels));
        let placed = match origin {
            Ok(origin) => {
                declared.origin = Some(origin);
                self.place(number, origin, intake, Asking::Anew)
            }
            Err(left_out) => Err(left_out),
        };
        let metric_type = self.family(number).metric_type;
        declared.has_gauge = placed.is_ok() && is_gauge(metric_type);
        declared.left_out = placed.err();
        if let Some(LeftOut::Budget(budget)) = declared.left_out {
            *self.left_out.entry(budget).or_default() += 1;
        }
        declared
    }

    /// `[rules.reload]`: lets in what other rules or budgets let in.
    pub(crate) fn settle(&mut self, intake: &mut Intake) {
        let families = self.reader.catalog().families();
        for (known, family) in self.families.iter_mut().zip(families) {
            if known.is_err() {
                *known = intake.family(&declaration(family));
            }
        }
        self.left_out.clear();
        for number in 0..self.series.len() {
            let declared = &self.series[number];
            if declared.left_out.is_some() && !declared.is_removed {
                self.series[number] = self.declare_series(number, intake);
            }
        }
    }

    fn family(&self, number: usize) -> &Family {
        let catalog = self.reader.catalog();
        &catalog.families()[catalog.series()[number].family as usize]
    }

    /// Says where the values of a series go.
    fn place(
        &mut self,
        number: usize,
        origin: OriginId,
        intake: &mut Intake,
        asking: Asking,
    ) -> Result<(), LeftOut> {
        let catalog = self.reader.catalog();
        let record = &catalog.series()[number];
        let family = &catalog.families()[record.family as usize];
        let cell = record.cell as usize;
        if has_creation(family.metric_type) {
            intake.created(origin, record.created);
        }
        match cells_of(family) {
            Cells::None => {
                let number = u32::try_from(number).expect("a series number is a u32 in the file");
                self.infos.push((number, intake.part(origin, Part::Whole)));
            }
            Cells::Additive(_) => {
                let slots =
                    parts(family).map(|part| (intake.part(origin, part), part == Part::Sum));
                let slots: Vec<_> = slots.collect();
                set(
                    &mut self.additive,
                    cell,
                    slots.into_iter(),
                    (NO_SLOT, false),
                );
            }
            Cells::Register => {
                let levels = level_slots(family, origin, self.owner(number), intake, asking)?;
                set(
                    &mut self.registers,
                    cell,
                    [levels].into_iter(),
                    Levels::default(),
                );
            }
            Cells::Stamped => {
                let levels = level_slots(family, origin, self.owner(number), intake, asking)?;
                set(
                    &mut self.stamped,
                    cell,
                    [levels].into_iter(),
                    Levels::default(),
                );
            }
        }
        if family.metric_type == MetricType::Histogram {
            intake.note_buckets(origin, family.bounds.len() + 1);
        }
        Ok(())
    }

    fn remove(&mut self, number: usize, intake: &mut Intake) {
        let catalog = self.reader.catalog();
        let record = &catalog.series()[number];
        let family = &catalog.families()[record.family as usize];
        let cell = record.cell as usize;
        match cells_of(family) {
            Cells::None => self.infos.retain(|&(info, _)| info as usize != number),
            Cells::Additive(count) => {
                let end = cell + usize::try_from(count).expect("cells of a catalog in memory");
                // What was left out has no cells here.
                if let Some(cells) = self.additive.get_mut(cell..end) {
                    cells.fill((NO_SLOT, false));
                }
            }
            Cells::Register => clear(&mut self.registers, cell),
            Cells::Stamped => clear(&mut self.stamped, cell),
        }
        let declared = &mut self.series[number];
        declared.is_removed = true;
        let had_gauge = std::mem::take(&mut declared.has_gauge);
        if let Some(origin) = declared.origin.filter(|_| had_gauge) {
            intake.release(origin, self.owner(number));
        }
    }

    /// Every additive cell of a series that is neither left out nor removed: its number, and what it
    /// holds.
    fn additive_cells(&self) -> impl Iterator<Item = (u64, (OriginId, Part))> {
        let records = self.reader.catalog().series().iter().enumerate();
        let declared = records.zip(&self.series);
        let counted = declared.filter(|(_, declared)| !declared.is_removed);
        let counted = counted.filter_map(|((number, record), declared)| {
            let family = self.family(number);
            // Additive cells are those of what counts, and so lasts.
            let is_additive = matches!(cells_of(family), Cells::Additive(_));
            is_additive.then_some((u64::from(record.cell), family, declared.origin?))
        });
        counted.flat_map(|(first, family, origin)| {
            (first..).zip(parts(family).map(move |part| (origin, part)))
        })
    }

    /// `[merge.counter.fall]`: a counter that reads lower than in the pass before.
    fn falls(&self, table: &Table) -> Vec<Left> {
        let mut fallen = Vec::new();
        for block in self.reader.additive() {
            let now = cells(&self.additive, &block);
            for (cell, ((&(slot, _), value), before)) in (block.first..).zip(now.zip(block.before))
            {
                let before = lawful(f64::from_bits(u64::from_le(*before)));
                if table.is_monotone(slot) && lawful(value) < before {
                    fallen.push((cell, before));
                }
            }
        }
        self.left(fallen)
    }

    /// What is left of cells, by their numbers; each lane has its own share of a cell.
    fn left(&self, values: Vec<(u64, f64)>) -> Vec<Left> {
        if values.is_empty() {
            return Vec::new();
        }
        let meanings: HashMap<u64, (OriginId, Part)> = self.additive_cells().collect();
        let left = values.into_iter().filter_map(|(cell, value)| {
            let &(origin, part) = meanings.get(&cell)?;
            Some(Left {
                origin,
                part,
                value,
            })
        });
        left.collect()
    }
}

impl Source for StoreFile {
    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Store)
    }

    fn client(&self) -> &'static str {
        "headcount-writer"
    }

    fn worker(&self) -> Option<&Worker> {
        (!self.is_ledger()).then_some(&self.worker)
    }

    fn series(&self) -> usize {
        self.series
            .iter()
            .filter(|series| !series.is_removed)
            .count()
    }

    fn left_out(&self) -> &BTreeMap<Budget, u64> {
        &self.left_out
    }

    fn refresh(&mut self, file: &File, shared: &mut Shared) -> Outcome {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let outcome = self.reader.refresh(file);
        self.is_read |= outcome.is_ok();
        if std::mem::take(&mut self.is_unsettled) {
            self.settle(&mut shared.intake);
        }
        self.declare(&mut shared.intake);
        let state = match outcome {
            Ok(()) if self.series.is_empty() => FileState::Empty,
            Ok(()) => FileState::Good,
            Err(error) => FileState::Damaged(damage(error)),
        };
        let falls = match state {
            FileState::Good => self.falls(&shared.intake.table),
            _ => Vec::new(),
        };
        Outcome {
            is_whole: matches!(state, FileState::Good),
            state,
            bytes,
            falls,
        }
    }

    fn tell(&self, tally: &mut Tally<'_>) {
        if !self.is_read {
            return;
        }
        for block in self.reader.additive() {
            for (&(slot, is_sum), value) in cells(&self.additive, &block) {
                tally.add(slot, self.worth(is_sum, value), 0.0);
            }
        }
        for block in self.reader.registers() {
            for (levels, value) in cells(&self.registers, &block) {
                levels.tell(value, 0.0, tally);
            }
        }
        for (register, levels) in (0..).zip(&self.stamped) {
            if let Some((value, time)) = self.reader.stamped(register) {
                levels.tell(value, time, tally);
            }
        }
        for &(_, slot) in &self.infos {
            tally.add(slot, 1.0, 0.0);
        }
    }

    fn lasting(&self) -> Vec<Left> {
        if !self.is_read {
            return Vec::new();
        }
        let mut values = Vec::new();
        for block in self.reader.additive() {
            for (cell, (&(_, is_sum), value)) in (block.first..).zip(cells(&self.additive, &block))
            {
                values.push((cell, self.worth(is_sum, value)));
            }
        }
        self.left(values)
    }

    fn has_live_levels(&self, table: &Table) -> bool {
        let mut levels = self.registers.iter().chain(&self.stamped);
        levels.any(|levels| levels.are_live(table))
    }

    fn rebind(&mut self, intake: &mut Intake) {
        self.infos.clear();
        for number in 0..self.series.len() {
            let declared = &self.series[number];
            let is_in =
                !declared.is_removed && !matches!(declared.left_out, Some(LeftOut::Budget(_)));
            if let Some(origin) = declared.origin.filter(|_| is_in) {
                let placed = self.place(number, origin, intake, Asking::Again);
                let is_gauge = is_gauge(self.family(number).metric_type);
                self.series[number].has_gauge = placed.is_ok() && is_gauge;
                self.series[number].left_out = placed.err();
            }
        }
    }

    fn note_buckets(&self, intake: &mut Intake) {
        for (number, declared) in self.series.iter().enumerate() {
            let family = self.family(number);
            if let Some(origin) = declared.origin.filter(|_| !declared.is_removed)
                && family.metric_type == MetricType::Histogram
            {
                intake.note_buckets(origin, family.bounds.len() + 1);
            }
        }
    }

    fn reconsider(&mut self) {
        self.is_unsettled = true;
    }

    fn release(&mut self, intake: &mut Intake) {
        for (number, declared) in self.series.iter().enumerate() {
            if let Some(origin) = declared.origin.filter(|_| declared.has_gauge) {
                intake.release(origin, self.owner(number));
            }
        }
    }

    fn incarnation(&self) -> Option<&Arc<str>> {
        Some(&self.worker.id)
    }

    fn refused(&self) -> u64 {
        self.reader.refused()
    }

    fn lock(&self) -> LockKind {
        self.reader.header().lock
    }

    fn is_of_other_boot(&self, boot: BootId) -> bool {
        self.reader.header().boot.differs_from(boot)
    }
}

/// The cells of a block with what the file keeps for each, by number.
fn cells<'a, T>(
    kept: &'a [T],
    block: &CellBlock<'a>,
) -> impl Iterator<Item = (&'a T, f64)> + use<'a, T> {
    let first = usize::try_from(block.first).unwrap_or(usize::MAX);
    let kept = kept.get(first..).unwrap_or(&[]);
    let values = block
        .words
        .iter()
        .map(|&word| f64::from_bits(u64::from_le(word)));
    kept.iter().zip(values)
}

fn declaration(family: &Family) -> Declaration<'_> {
    Declaration {
        name: &family.name,
        metric_type: family.metric_type,
        is_bare: family.is_bare,
        help: &family.help,
        unit: &family.unit,
        mode: Some(family.mode),
        states: &family.states,
    }
}

/// What the additive cells of a series hold, in their order.
fn parts(family: &Family) -> impl Iterator<Item = Part> {
    let bounds = match family.metric_type {
        MetricType::Histogram => &family.bounds[..],
        _ => &[],
    };
    let (first, last) = match family.metric_type {
        MetricType::Histogram => (Part::Sum, Some(Part::Bucket(Bound::INFINITE))),
        MetricType::Summary => (Part::Sum, Some(Part::Count)),
        _ => (Part::Whole, None),
    };
    let bounds = bounds.iter().filter_map(|&bound| Bound::new(bound));
    [first]
        .into_iter()
        .chain(bounds.map(Part::Bucket))
        .chain(last)
}

fn has_creation(metric_type: MetricType) -> bool {
    matches!(
        metric_type,
        MetricType::Counter | MetricType::Histogram | MetricType::Summary
    )
}

fn set<T: Clone>(
    all: &mut Vec<T>,
    first: usize,
    values: impl ExactSizeIterator<Item = T>,
    none: T,
) {
    let end = first + values.len();
    if all.len() < end {
        all.resize(end, none);
    }
    all.splice(first..end, values);
}

fn clear(levels: &mut [Levels], cell: usize) {
    if let Some(levels) = levels.get_mut(cell) {
        *levels = Levels::Nowhere;
    }
}

fn damage(error: ReadError) -> Damage {
    let reason = match &error {
        ReadError::Catalog { .. } => DamageReason::Malformed,
        ReadError::Header(HeaderError::Version(_)) => DamageReason::Version,
        ReadError::Header(HeaderError::Magic) => DamageReason::Foreign,
        ReadError::Header(_) => DamageReason::Malformed,
        ReadError::TooLarge { .. } => DamageReason::TooLarge,
        ReadError::Truncated { .. } => DamageReason::Truncated,
        _ => DamageReason::Unreadable,
    };
    Damage {
        reason,
        detail: error.to_string(),
    }
}
