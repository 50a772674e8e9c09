//! The dialect of headcount's own stores.
//!
//! Owns which cell of a store goes to which slot. Knows no bytes: those are the business of
//! `headcount_format`.

use std::fs::File;
use std::sync::Arc;

use headcount_format::catalog::{Cells, cells_of};
use headcount_format::identity::BootId;
use headcount_format::layout::{HeaderError, LockKind, Role, incarnation_of};
use headcount_format::record::Family;
use headcount_format::{CellBlock, MetricType, ReadError, StoreReader};

use crate::dialect::{Outcome, foreign};
use crate::model::Labels;
use crate::report::{Damage, DamageReason, FileState, Worker};
use crate::table::{Declaration, NO_SLOT, SeriesId, SlotId, Table};

/// A store of a pool.
#[derive(Debug)]
pub(crate) struct StoreFile {
    reader: StoreReader,
    worker: Worker,
    /// How many records of the catalog have been declared, families and series.
    families: Vec<u32>,
    series: Vec<Declared>,
    /// The slot of each additive cell, and whether it is the sum of observations, which may fall.
    additive: Vec<(SlotId, bool)>,
    registers: Vec<Levels>,
    stamped: Vec<Levels>,
    infos: Vec<(u32, SlotId)>,
    /// Whether the values are of a pass that succeeded.
    is_read: bool,
}

/// A series of the store, as the table knows it.
#[derive(Debug)]
struct Declared {
    series: SeriesId,
    is_gauge: bool,
    is_removed: bool,
}

/// Where the value of a register goes.
#[derive(Clone, Debug, Default)]
enum Levels {
    #[default]
    Nowhere,
    /// As it is.
    Value(SlotId),
    /// It is the number of a state: to each of them goes whether it holds.
    States(Box<[SlotId]>),
}

impl StoreFile {
    pub(crate) fn open(name: &str, file: &File) -> Result<StoreFile, Damage> {
        let named = incarnation_of(name.as_bytes())
            .ok_or_else(|| foreign("its name is not 32 hexadecimal digits and `.store`"))?;
        let reader = StoreReader::open(file).map_err(damage)?;
        let header = reader.header();
        // [merge.store.name]
        if header.incarnation != named {
            return Err(foreign(
                "it is the copy of another store, and would count twice",
            ));
        }
        let worker = Worker {
            id: named.to_string().into(),
            pid: header.pid.to_string().into(),
            started: header.started,
        };
        Ok(StoreFile {
            reader,
            worker,
            families: Vec::new(),
            series: Vec::new(),
            additive: Vec::new(),
            registers: Vec::new(),
            stamped: Vec::new(),
            infos: Vec::new(),
            is_read: false,
        })
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(crate) fn lock(&self) -> LockKind {
        self.reader.header().lock
    }

    pub(crate) fn is_ledger(&self) -> bool {
        self.reader.header().role == Role::Ledger
    }

    /// `[merge.store.boot]`: whether the store was written before the machine last started.
    pub(crate) fn is_of_other_boot(&self, boot: BootId) -> bool {
        self.reader.header().boot.differs_from(boot)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.reader.refused()
    }

    pub(crate) fn series(&self) -> usize {
        self.series
            .iter()
            .filter(|series| !series.is_removed)
            .count()
    }

    pub(crate) fn refresh(&mut self, file: &File, table: &mut Table) -> Outcome {
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let outcome = self.reader.refresh(file);
        self.is_read |= outcome.is_ok();
        self.declare(table);
        let state = match outcome {
            Ok(()) if self.series.is_empty() => FileState::Empty,
            Ok(()) => FileState::Good,
            Err(error) => FileState::Damaged(damage(error)),
        };
        let falls = match state {
            FileState::Good => self.falls(table),
            _ => Vec::new(),
        };
        Outcome {
            state,
            bytes,
            falls,
        }
    }

    pub(crate) fn values(&self, tell: &mut impl FnMut(SlotId, f64, f64)) {
        if !self.is_read {
            return;
        }
        for block in self.reader.additive() {
            for (&(slot, is_sum), value) in cells(&self.additive, &block) {
                tell(slot, if is_sum { value } else { lawful(value) }, 0.0);
            }
        }
        for block in self.reader.registers() {
            for (levels, value) in cells(&self.registers, &block) {
                tell_levels(levels, value, 0.0, tell);
            }
        }
        for (register, levels) in (0..).zip(&self.stamped) {
            if let Some((value, time)) = self.reader.stamped(register) {
                tell_levels(levels, value, time, tell);
            }
        }
        for &(_, slot) in &self.infos {
            tell(slot, 1.0, 0.0);
        }
    }

    pub(crate) fn rebind(&mut self, table: &mut Table) {
        self.families.clear();
        self.series.clear();
        self.infos.clear();
        self.declare(table);
    }

    pub(crate) fn release(&mut self, table: &mut Table) {
        for declared in self.series.iter().filter(|declared| declared.is_gauge) {
            table.release(declared.series, &self.worker.pid);
        }
    }

    /// Declares what the catalog has gained.
    fn declare(&mut self, table: &mut Table) {
        let families = &self.reader.catalog().families()[self.families.len()..];
        for family in families {
            self.families.push(table.declare(&Declaration {
                name: &family.name,
                metric_type: family.metric_type,
                help: &family.help,
                unit: &family.unit,
                mode: family.mode,
                states: &family.states,
            }));
        }
        for number in self.series.len()..self.reader.catalog().series().len() {
            let declared = self.declare_series(number, table);
            self.series.push(declared);
        }
        for number in 0..self.series.len() {
            if self.reader.catalog().is_removed(number) && !self.series[number].is_removed {
                self.remove(number, table);
            }
        }
    }

    fn declare_series(&mut self, number: usize, table: &mut Table) -> Declared {
        let catalog = self.reader.catalog();
        let record = &catalog.series()[number];
        let family = &catalog.families()[record.family as usize];
        let names = family.label_names.iter().cloned();
        let own = names.zip(record.label_values.iter().cloned());
        let labels = catalog.labels().iter().cloned().chain(own);
        let labels = Labels::new(labels.chain(record.extra_labels.iter().cloned()));
        let series = table.series(self.families[record.family as usize], labels);
        if has_creation(family.metric_type) {
            table.created(series, record.created);
        }
        let cell = record.cell as usize;
        match cells_of(family) {
            Cells::None => {
                let number = u32::try_from(number).expect("a series number is a u32 in the file");
                self.infos.push((number, table.single(series)));
            }
            Cells::Additive(_) => {
                let slots = additive_slots(family, series, table);
                set(
                    &mut self.additive,
                    cell,
                    slots.into_iter(),
                    (NO_SLOT, false),
                );
            }
            Cells::Register => {
                let levels = level_slots(family, series, &self.worker.pid, table);
                set(
                    &mut self.registers,
                    cell,
                    [levels].into_iter(),
                    Levels::default(),
                );
            }
            Cells::Stamped => {
                let levels = level_slots(family, series, &self.worker.pid, table);
                set(
                    &mut self.stamped,
                    cell,
                    [levels].into_iter(),
                    Levels::default(),
                );
            }
        }
        if family.metric_type == MetricType::Histogram
            && table.bucket_count(series) != family.bounds.len() + 1
        {
            table.set_buckets_differ(series);
        }
        Declared {
            series,
            is_gauge: matches!(family.metric_type, MetricType::Gauge | MetricType::StateSet),
            is_removed: false,
        }
    }

    fn remove(&mut self, number: usize, table: &mut Table) {
        let catalog = self.reader.catalog();
        let record = &catalog.series()[number];
        let family = &catalog.families()[record.family as usize];
        let cell = record.cell as usize;
        match cells_of(family) {
            Cells::None => self.infos.retain(|&(info, _)| info as usize != number),
            Cells::Additive(count) => {
                let end = cell + usize::try_from(count).expect("cells of a catalog in memory");
                self.additive[cell..end].fill((NO_SLOT, false));
            }
            Cells::Register => self.registers[cell] = Levels::default(),
            Cells::Stamped => self.stamped[cell] = Levels::default(),
        }
        let declared = &mut self.series[number];
        declared.is_removed = true;
        if std::mem::take(&mut declared.is_gauge) {
            table.release(declared.series, &self.worker.pid);
        }
    }

    /// `[merge.counter.fall]`: a counter that reads lower than in the pass before.
    fn falls(&self, table: &Table) -> Vec<(SlotId, f64)> {
        let mut falls = Vec::new();
        for block in self.reader.additive() {
            let now = cells(&self.additive, &block);
            for ((&(slot, _), value), before) in now.zip(block.before) {
                let before = lawful(f64::from_bits(u64::from_le(*before)));
                if table.is_monotone(slot) && lawful(value) < before {
                    falls.push((slot, before));
                }
            }
        }
        falls
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

fn tell_levels(levels: &Levels, value: f64, time: f64, tell: &mut impl FnMut(SlotId, f64, f64)) {
    match levels {
        Levels::Nowhere => {}
        Levels::Value(slot) => tell(*slot, value, time),
        Levels::States(slots) => {
            for (state, &slot) in slots.iter().enumerate() {
                tell(slot, if value == state as f64 { 1.0 } else { 0.0 }, time);
            }
        }
    }
}

fn additive_slots(family: &Family, series: SeriesId, table: &mut Table) -> Vec<(SlotId, bool)> {
    match family.metric_type {
        MetricType::Histogram => {
            let bounds = family.bounds.iter().copied().chain([f64::INFINITY]);
            let mut slots = vec![(table.sum(series), true)];
            slots.extend(bounds.map(|bound| (table.bucket(series, bound), false)));
            slots
        }
        MetricType::Summary => vec![(table.sum(series), true), (table.count(series), false)],
        _ => vec![(table.single(series), false)],
    }
}

/// `[merge.counter.fall]`: what a counting cell of a store is worth: no writer leaves a negative
/// number there, nor no number at all.
fn lawful(value: f64) -> f64 {
    value.max(0.0)
}

fn level_slots(family: &Family, series: SeriesId, pid: &Arc<str>, table: &mut Table) -> Levels {
    match family.metric_type {
        MetricType::StateSet => Levels::States(table.gauge(series, pid, &family.states).into()),
        MetricType::Gauge => Levels::Value(table.gauge(series, pid, &[])[0]),
        _ => Levels::Value(table.single(series)),
    }
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
