//! The families and series that the files of a pool declare, and a slot for each value.
//!
//! Owns what is one series and what is two (`spec/merge.md`, chapter 2), and the operation by which
//! the contributions to one slot become one value (chapter 3). Knows no files: a dialect declares
//! its series here once, keeps the slots that it is given, and tells their values at every pass.

mod family;
mod series;
mod slot;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use headcount_format::{MetricType, Mode};

use crate::budget::{Budget, Budgets};
use crate::exact::ExactSum;
use crate::model::Labels;
use crate::rules::{Rules, WorkerLabel};
use slot::{LEVEL, Nature, Operation, Slot};

pub(crate) use family::{Declaration, Family};
use series::PerWorker;
pub(crate) use series::{Bound, Part, Parts, Series};
pub(crate) use slot::Contributor;

/// Which slot a value goes to.
pub(crate) type SlotId = u32;

/// Which series, over all families.
pub(crate) type SeriesId = u32;

/// A value that goes nowhere: a cell that no series has, or an entry that is left out.
pub(crate) const NO_SLOT: SlotId = SlotId::MAX;

/// Everything that has been declared.
#[derive(Debug, Default)]
pub(crate) struct Table {
    families: Vec<Family>,
    by_key: HashMap<(Box<str>, MetricType, bool), u32>,
    series: Vec<Series>,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    /// What each pass begins with, if it is still right.
    base: Option<Vec<(SlotId, Slot)>>,
    /// How many series are served at most, over all families.
    admitted: usize,
    /// `[merge.budget.whole]`: whether a series had to be left out, so that no other comes in.
    is_full: bool,
    /// Grows with every change of what there is, values aside.
    pub(crate) revision: u64,
    /// Whether slots have been taken back since the readers last asked for theirs.
    pub(crate) is_stale: bool,
}

impl Table {
    /// The family of this name and type, with what this contributor says of it. `None` for a new one where there is no room for series any more.
    pub(crate) fn declare(&mut self, declaration: &Declaration<'_>, rules: &Rules) -> Option<u32> {
        let Declaration {
            name,
            metric_type,
            is_bare,
            ..
        } = *declaration;
        let key = (name.into(), metric_type, is_bare);
        let known = self.by_key.get(&key).copied();
        if known.is_none() && self.is_full {
            return None;
        }
        let family = known.unwrap_or_else(|| {
            let family = u32::try_from(self.families.len()).expect("fewer than 2^32 families");
            self.families.push(Family::new(declaration, rules));
            self.by_key.insert(key, family);
            family
        });
        let is_other = self.families[family as usize].take_in(declaration);
        if known.is_some() && is_other {
            self.take_back_slots(family);
        }
        Some(family)
    }

    /// The series of `family` with these labels, if there is one.
    pub(crate) fn find(&self, family: u32, labels: &Labels) -> Option<SeriesId> {
        let family = &self.families[family as usize];
        match labels.without_empty() {
            None => family.series.get(&**labels.rendered()).copied(),
            Some(bare) => family.series.get(&**bare.rendered()).copied(),
        }
    }

    /// The series of `family` with these labels.
    ///
    /// `[merge.labels.empty]`: a label without a value is one that is not there, so it does not make
    /// another series; `[merge.labels.escaped]`: nor does a name that is spelled alike when it is
    /// written. Of the ways to write it, the least is served.
    pub(crate) fn series(&mut self, family: u32, labels: Arc<Labels>) -> SeriesId {
        if let Some(series) = self.find(family, &labels) {
            let served = &mut self.series[series as usize].labels;
            if labels < *served {
                *served = labels;
                self.revision += 1;
            }
            return series;
        }
        self.revision += 1;
        let parts = match self.families[family as usize].metric_type {
            MetricType::Gauge | MetricType::StateSet => Parts::Gauge {
                shared: None,
                per_worker: BTreeMap::new(),
            },
            MetricType::Histogram => Parts::Histogram {
                sum: None,
                buckets: BTreeMap::new(),
            },
            MetricType::Summary => Parts::Summary {
                count: None,
                sum: None,
                quantiles: BTreeMap::new(),
            },
            MetricType::Counter => Parts::Single(self.slot(Operation::Add, Nature::Counting)),
            MetricType::Info => Parts::Single(self.slot(Operation::Max, LEVEL)),
            _ => Parts::Single(self.slot(Operation::Add, LEVEL)),
        };
        // Those of a gauge are counted as they come, for it may have one for each worker.
        self.admit(
            family,
            usize::from(!is_gauge(self.families[family as usize].metric_type)),
        );
        let series = SeriesId::try_from(self.series.len()).expect("fewer than 2^32 series");
        let bare = labels.without_empty();
        let identity = bare.as_ref().unwrap_or(&labels).rendered();
        let family_series = &mut self.families[family as usize].series;
        family_series.insert(Arc::clone(identity), series);
        self.series.push(Series::new(family, labels, parts));
        series
    }

    /// Takes in when one contributor's share of the series was created, in nanoseconds since 1970;
    /// zero where it does not tell.
    pub(crate) fn created(&mut self, series: SeriesId, created: u64) {
        self.series[series as usize].created(created);
    }

    /// How many buckets a histogram has, over all contributors.
    pub(crate) fn bucket_count(&self, series: SeriesId) -> usize {
        match &self.series[series as usize].parts {
            Parts::Histogram { buckets, .. } => buckets.len(),
            _ => 0,
        }
    }

    /// Whether any histogram was found to have different buckets; says of all that they have not.
    pub(crate) fn forget_bucket_conflicts(&mut self) -> bool {
        let mut any = false;
        for family in &mut self.families {
            any |= std::mem::take(&mut family.buckets_differ);
        }
        any
    }

    /// `[merge.conflict.buckets]`: says that contributors to the series have different buckets.
    pub(crate) fn set_buckets_differ(&mut self, series: SeriesId) {
        let family = self.series[series as usize].family();
        self.families[family as usize].buckets_differ = true;
    }

    /// The slot of a part of a series that is no gauge; none where its type has no such part.
    pub(crate) fn part(&mut self, series: SeriesId, part: Part) -> SlotId {
        let parts = &mut self.series[series as usize].parts;
        let (operation, nature) = match part {
            Part::Bucket(_) | Part::Count => (Operation::Add, Nature::Counting),
            Part::Quantile(_) => (Operation::Only, LEVEL),
            Part::Sum => (Operation::Add, Nature::Summing),
            Part::Whole => {
                return match parts {
                    Parts::Single(slot) => *slot,
                    _ => NO_SLOT,
                };
            }
        };
        match find(parts, part) {
            Some(Some(slot)) => return slot,
            Some(None) => {}
            None => return NO_SLOT,
        }
        let slot = self.slot(operation, nature);
        match (&mut self.series[series as usize].parts, part) {
            (Parts::Histogram { buckets, .. }, Part::Bucket(bound)) => {
                buckets.insert(bound, slot);
            }
            (Parts::Summary { quantiles, .. }, Part::Quantile(bound)) => {
                quantiles.insert(bound, slot);
            }
            (Parts::Summary { count, .. }, _) if part == Part::Count => *count = Some(slot),
            (Parts::Histogram { sum, .. } | Parts::Summary { sum, .. }, _) => *sum = Some(slot),
            _ => {}
        }
        slot
    }

    /// Whether a gauge would have a series more if the worker that `own` tells apart had a value in
    /// it.
    pub(crate) fn is_new_row(&self, series: SeriesId, own: &Arc<str>) -> bool {
        let entry = &self.series[series as usize];
        let is_per_worker = self.families[entry.family() as usize]
            .mode()
            .is_per_worker();
        match &entry.parts {
            Parts::Gauge { per_worker, .. } if is_per_worker => !per_worker.contains_key(own),
            Parts::Gauge { shared, .. } => shared.is_none(),
            _ => false,
        }
    }

    /// The slots of a gauge or a state set for the worker that this label and `own` tell apart: its
    /// own or shared ones, as the family's mode has it. A state set has one for each of `states`, a
    /// gauge one.
    pub(crate) fn gauge(
        &mut self,
        series: SeriesId,
        label: WorkerLabel,
        own: &Arc<str>,
        states: &[Box<str>],
    ) -> Vec<SlotId> {
        let is_new = self.is_new_row(series, own);
        let family = self.series[series as usize].family();
        let union = self.families[family as usize].all_states();
        let mode = self.families[family as usize].mode();
        let wanted = union.len().max(1);
        self.admit(family, usize::from(is_new));
        let (operation, is_live) = (Operation::of(mode), mode.is_live());
        let nature = Nature::Level { is_live };
        let mut slots = self.gauge_slots(series, own, mode);
        while slots.len() < wanted {
            slots.push(self.slot(operation, nature));
        }
        let series = &mut self.series[series as usize];
        if let Parts::Gauge { shared, per_worker } = &mut series.parts {
            if mode.is_per_worker() {
                let entry = per_worker
                    .entry(Arc::clone(own))
                    .or_insert_with(|| PerWorker {
                        labels: Arc::new(series.labels.with(label.label(), own)),
                        slots: Vec::new(),
                        users: 0,
                    });
                entry.users += 1;
                entry.slots.clone_from(&slots);
            } else {
                *shared = Some(slots.clone());
            }
        }
        let place = |state| union.iter().position(|known| known == state);
        match states.is_empty() {
            true => slots,
            false => states
                .iter()
                .filter_map(place)
                .map(|place| slots[place])
                .collect(),
        }
    }

    fn gauge_slots(&self, series: SeriesId, own: &Arc<str>, mode: Mode) -> Vec<SlotId> {
        let Parts::Gauge { shared, per_worker } = &self.series[series as usize].parts else {
            return Vec::new();
        };
        if mode.is_per_worker() {
            per_worker
                .get(own)
                .map(|entry| entry.slots.clone())
                .unwrap_or_default()
        } else {
            shared.clone().unwrap_or_default()
        }
    }

    /// Gives back one file's use of the slots that [`Table::gauge`] has handed out for `own`.
    pub(crate) fn release(&mut self, series: SeriesId, own: &Arc<str>) {
        let Parts::Gauge { per_worker, .. } = &mut self.series[series as usize].parts else {
            return;
        };
        let Some(entry) = per_worker.get_mut(own) else {
            return;
        };
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0
            && let Some(entry) = per_worker.remove(own)
        {
            self.revision += 1;
            self.base = None;
            self.free.extend(entry.slots);
            let family = self.series[series as usize].family();
            self.families[family as usize].admitted -= 1;
            self.admitted -= 1;
        }
    }

    /// `[merge.directory.replaced]`: makes every series forget when it was created, before all
    /// readers declare it anew.
    pub(crate) fn forget_creation(&mut self) {
        self.is_stale = true;
        self.series.iter_mut().for_each(Series::forget_creation);
    }

    /// Makes every series forget who has slots of its own, before all readers ask anew.
    pub(crate) fn forget_slots(&mut self) {
        self.is_stale = false;
        self.revision += 1;
        for series in 0..self.series.len() {
            self.take_back(series);
        }
    }

    /// `[rules.reload]`: makes every family forget its series, as other rules are to make others of
    /// them; what workers have declared, and which names were served, stays. Who holds a slot or a
    /// series asks anew.
    pub(crate) fn forget_series(&mut self, rules: &Rules) {
        self.series.clear();
        self.slots.clear();
        self.free.clear();
        self.base = None;
        self.revision += 1;
        self.admitted = 0;
        self.is_full = false;
        for family in &mut self.families {
            family.heed(rules);
            family.series.clear();
            family.admitted = 0;
            family.is_full = false;
            family.buckets_differ = false;
        }
    }

    /// `[merge.budget.whole]`: looks whether `family` has room for one series more. If it has none
    /// it never has again, so that no series comes in of which a part was left out before; but a
    /// series that belongs to one worker is whole by itself.
    ///
    /// # Errors
    ///
    /// Which budget is used up.
    pub(crate) fn has_room(&mut self, family: u32, budgets: &Budgets) -> Result<(), Budget> {
        let entry = &mut self.families[family as usize];
        let is_own = is_gauge(entry.metric_type) && entry.mode().is_per_worker();
        let is_family_full = entry.admitted >= budgets.family_series;
        let is_full = self.admitted >= budgets.series;
        if !is_own {
            entry.is_full |= is_family_full;
            self.is_full |= !entry.is_full && is_full;
        }
        match (
            is_family_full || (!is_own && entry.is_full),
            is_full || (!is_own && self.is_full),
        ) {
            (true, _) => Err(Budget::FamilySeries),
            (false, true) => Err(Budget::Series),
            (false, false) => Ok(()),
        }
    }

    fn admit(&mut self, family: u32, rows: usize) {
        self.families[family as usize].admitted += rows;
        self.admitted += rows;
    }

    /// Forgets the values of the last pass, but for those that are there to stay.
    pub(crate) fn begin_pass(&mut self) {
        self.slots.iter_mut().for_each(Slot::clear);
        for (slot, value) in self.base.iter().flatten() {
            self.slots[*slot as usize].clone_from(value);
        }
    }

    /// `[merge.rest]`: has every pass begin with what has been told since this one began.
    pub(crate) fn keep_base(&mut self) {
        let slots = (0..).zip(&self.slots);
        let set = slots.filter(|(_, slot)| slot.is_set());
        self.base = Some(set.map(|(number, slot)| (number, slot.clone())).collect());
    }

    /// Has every pass begin with nothing.
    pub(crate) fn forget_base(&mut self) {
        self.base = None;
    }

    /// Whether what passes begin with still goes where it did.
    pub(crate) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Adds one contribution; `stamp` is the time of a most recent value. The younger of two
    /// workers contributes later.
    pub(crate) fn contribute(&mut self, slot: SlotId, value: f64, stamp: f64, by: Contributor) {
        let Some(slot) = self.slots.get_mut(slot as usize) else {
            return;
        };
        if by.is_dead && slot.nature() == (Nature::Level { is_live: true }) {
            return;
        }
        slot.contribute(value, stamp, by);
    }

    /// `[merge.worker.twice]`: whether two workers that may both live have claimed a slot that one
    /// of them can have.
    pub(crate) fn is_contested(&self, slot: SlotId) -> bool {
        self.slots[slot as usize].is_contested()
    }

    /// Adds what contributors that are gone have left.
    pub(crate) fn add_departed(&mut self, slot: SlotId, departed: &ExactSum) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.add(departed);
        }
    }

    /// Whether what goes to a slot is a level, which goes when its contributor does.
    pub(crate) fn is_level(&self, slot: SlotId) -> bool {
        let slot = self.slots.get(slot as usize);
        slot.is_some_and(|slot| matches!(slot.nature(), Nature::Level { .. }))
    }

    /// Whether only the living contribute to a slot.
    pub(crate) fn is_live(&self, slot: SlotId) -> bool {
        let slot = self.slots.get(slot as usize);
        slot.is_some_and(|slot| slot.nature() == Nature::Level { is_live: true })
    }

    /// Whether a slot belongs to one worker.
    pub(crate) fn is_own(&self, slot: SlotId) -> bool {
        self.slots.get(slot as usize).is_some_and(Slot::is_own)
    }

    /// Whether a value below the last one means that its contributor began again.
    pub(crate) fn is_monotone(&self, slot: SlotId) -> bool {
        let slot = self.slots.get(slot as usize);
        slot.is_some_and(|slot| slot.nature() == Nature::Counting)
    }

    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    pub(crate) fn set_served(&mut self, family: u32) {
        self.families[family as usize].is_served = true;
    }

    /// Every series of a family, in no order.
    pub(crate) fn series_of(&self, family: u32) -> impl Iterator<Item = SeriesId> {
        self.families[family as usize].series.values().copied()
    }

    pub(crate) fn entry(&self, series: SeriesId) -> &Series {
        &self.series[series as usize]
    }

    /// The value of a slot, if anything has contributed.
    pub(crate) fn value(&self, slot: SlotId) -> Option<f64> {
        self.slots[slot as usize].value()
    }

    /// What the value of a slot is added up to, unrounded, if anything has contributed and it is a
    /// sum.
    pub(crate) fn sum(&self, slot: SlotId) -> Option<&ExactSum> {
        self.slots[slot as usize].sum()
    }

    /// When the value of a slot was set, in seconds since 1970, where that matters.
    pub(crate) fn stamp(&self, slot: SlotId) -> f64 {
        self.slots[slot as usize].stamp()
    }

    /// Has the gauges of a family whose mode or states have changed get new slots. Who holds old
    /// ones asks anew before the next value is told.
    fn take_back_slots(&mut self, family: u32) {
        self.is_stale = true;
        let series: Vec<SeriesId> = self.series_of(family).collect();
        for series in series {
            self.take_back(series as usize);
        }
    }

    fn take_back(&mut self, series: usize) {
        self.base = None;
        let series = &mut self.series[series];
        let family = series.family();
        if let Parts::Gauge { shared, per_worker } = &mut series.parts {
            let rows = per_worker.len() + usize::from(shared.is_some());
            self.families[family as usize].admitted -= rows;
            self.admitted -= rows;
            let own = std::mem::take(per_worker);
            self.free
                .extend(own.into_values().flat_map(|entry| entry.slots));
            self.free.extend(shared.take().into_iter().flatten());
        }
    }

    fn slot(&mut self, operation: Operation, nature: Nature) -> SlotId {
        self.revision += 1;
        let slot = Slot::new(operation, nature);
        if !self.is_stale
            && let Some(free) = self.free.pop()
        {
            self.slots[free as usize] = slot;
            return free;
        }
        self.slots.push(slot);
        SlotId::try_from(self.slots.len() - 1).expect("fewer than 2^32 values")
    }
}

/// The slot of a part, if it has one yet; `None` where a series has no such part.
fn find(parts: &Parts, part: Part) -> Option<Option<SlotId>> {
    match (parts, part) {
        (Parts::Histogram { buckets, .. }, Part::Bucket(bound)) => {
            Some(buckets.get(&bound).copied())
        }
        (Parts::Summary { quantiles, .. }, Part::Quantile(bound)) => {
            Some(quantiles.get(&bound).copied())
        }
        (Parts::Histogram { sum, .. } | Parts::Summary { sum, .. }, Part::Sum) => Some(*sum),
        (Parts::Summary { count, .. }, Part::Count) => Some(*count),
        _ => None,
    }
}

pub(crate) fn is_gauge(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Gauge | MetricType::StateSet)
}
