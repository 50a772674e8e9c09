//! The families and series that the files of a pool declare, and a slot for each value.
//!
//! Owns what is one series and what is two (`spec/merge.md`, chapter 2), and the operation by which
//! the contributions to one slot become one value (chapter 3). Knows no files: a dialect declares
//! its series here once, keeps the slots that it is given, and tells their values at every pass.

mod slot;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use headcount_format::{MetricType, Mode};

use crate::exact::ExactSum;
use crate::model::Labels;
use slot::{LEVEL, Nature, Operation, Slot};

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
    by_key: HashMap<(Box<str>, MetricType), u32>,
    series: Vec<Series>,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    /// Grows with every change of what there is, values aside.
    pub(crate) revision: u64,
    /// Whether slots have been taken back since the readers last asked for theirs.
    pub(crate) is_stale: bool,
}

/// A family, as all its contributors together declare it.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: Arc<str>,
    pub(crate) metric_type: MetricType,
    pub(crate) helps: BTreeSet<Arc<str>>,
    pub(crate) units: BTreeSet<Arc<str>>,
    pub(crate) modes: BTreeSet<Rank>,
    /// Each list of states that a contributor declares.
    pub(crate) states: BTreeSet<Arc<[Box<str>]>>,
    /// Whether contributors have declared different buckets.
    pub(crate) buckets_differ: bool,
    /// Whether it has been served, and so keeps its names.
    pub(crate) is_served: bool,
    series: HashMap<Arc<Labels>, SeriesId>,
}

/// A mode, ordered by what prevails where workers do not agree.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Rank(u8, pub(crate) Mode);

/// One set of labels of a family.
#[derive(Debug)]
pub(crate) struct Series {
    family: u32,
    pub(crate) labels: Arc<Labels>,
    pub(crate) parts: Parts,
    /// The earliest creation, in nanoseconds since 1970, if every contributor has told one.
    created: Created,
}

#[derive(Clone, Copy, Debug, Default)]
enum Created {
    #[default]
    Unset,
    Earliest(u64),
    Untold,
}

/// The slots of a series.
#[derive(Debug)]
pub(crate) enum Parts {
    /// A gauge or a state set: one shared, or one for each worker by its pid. A state set has as
    /// many in a row as it has states.
    Gauge {
        shared: Option<Vec<SlotId>>,
        per_worker: BTreeMap<Arc<str>, PerWorker>,
    },
    Histogram {
        sum: Option<SlotId>,
        buckets: BTreeMap<Bound, SlotId>,
    },
    /// A counter, an unknown value, or an info.
    Single(SlotId),
    Summary {
        count: Option<SlotId>,
        sum: Option<SlotId>,
    },
}

/// The slots of one worker's own series.
#[derive(Debug)]
pub(crate) struct PerWorker {
    pub(crate) labels: Arc<Labels>,
    pub(crate) slots: Vec<SlotId>,
    /// How many files contribute.
    users: u32,
}

/// An upper bound, ordered as numbers are. Never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound(pub(crate) f64);

impl Eq for Bound {}

impl Ord for Bound {
    fn cmp(&self, other: &Bound) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Bound) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a contributor says of a family.
#[derive(Debug)]
pub(crate) struct Declaration<'a> {
    pub(crate) name: &'a str,
    pub(crate) metric_type: MetricType,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) mode: Mode,
    pub(crate) states: &'a [Box<str>],
}

impl Table {
    /// The family of this name and type, with what this contributor says of it.
    pub(crate) fn declare(&mut self, declaration: &Declaration<'_>) -> u32 {
        let key = (declaration.name.into(), declaration.metric_type);
        let family = match self.by_key.get(&key) {
            Some(&family) => family,
            None => {
                let family = u32::try_from(self.families.len()).expect("fewer than 2^32 families");
                self.families.push(Family {
                    name: declaration.name.into(),
                    metric_type: declaration.metric_type,
                    helps: BTreeSet::new(),
                    units: BTreeSet::new(),
                    modes: BTreeSet::new(),
                    states: BTreeSet::new(),
                    buckets_differ: false,
                    is_served: false,
                    series: HashMap::new(),
                });
                self.by_key.insert(key, family);
                family
            }
        };
        let entry = &mut self.families[family as usize];
        insert(&mut entry.helps, declaration.help);
        insert(&mut entry.units, declaration.unit);
        let before = (entry.mode(), entry.states.len());
        if declaration.metric_type == MetricType::StateSet {
            entry.states.insert(declaration.states.into());
        }
        entry.modes.insert(Rank::of(declaration.mode));
        if before.0.is_some() && before != (entry.mode(), entry.states.len()) {
            self.take_back_slots(family);
        }
        family
    }

    /// The series of `family` with these labels.
    ///
    /// `[merge.labels.empty]`: a label without a value is one that is not there, so it does not make
    /// another series; of the ways to write it, the least is served.
    pub(crate) fn series(&mut self, family: u32, labels: Labels) -> SeriesId {
        let bare = labels.without_empty();
        let identity = bare.as_ref().unwrap_or(&labels);
        if let Some(&series) = self.families[family as usize].series.get(identity) {
            let served = &mut self.series[series as usize].labels;
            if labels < **served {
                *served = Arc::new(labels);
                self.revision += 1;
            }
            return series;
        }
        self.revision += 1;
        let labels = Arc::new(labels);
        let identity = bare.map_or_else(|| Arc::clone(&labels), Arc::new);
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
            },
            MetricType::Counter => Parts::Single(self.slot(Operation::Add, Nature::Counting)),
            MetricType::Info => Parts::Single(self.slot(Operation::Max, LEVEL)),
            _ => Parts::Single(self.slot(Operation::Add, LEVEL)),
        };
        let series = SeriesId::try_from(self.series.len()).expect("fewer than 2^32 series");
        self.series.push(Series {
            family,
            labels,
            parts,
            created: Created::Unset,
        });
        self.families[family as usize]
            .series
            .insert(identity, series);
        series
    }

    /// `[merge.created]`: takes in when one contributor's share of the series was created, in
    /// nanoseconds since 1970; zero where it does not tell.
    pub(crate) fn created(&mut self, series: SeriesId, created: u64) {
        let entry = &mut self.series[series as usize].created;
        *entry = match (*entry, created) {
            (Created::Untold, _) | (_, 0) => Created::Untold,
            (Created::Unset, created) => Created::Earliest(created),
            (Created::Earliest(earliest), created) => Created::Earliest(earliest.min(created)),
        };
    }

    /// The slot of a counter, an unknown value or an info.
    pub(crate) fn single(&self, series: SeriesId) -> SlotId {
        match self.series[series as usize].parts {
            Parts::Single(slot) => slot,
            _ => NO_SLOT,
        }
    }

    /// The slot of a histogram's bucket with this upper bound, which is not NaN.
    pub(crate) fn bucket(&mut self, series: SeriesId, bound: f64) -> SlotId {
        // So that the bounds -0 and 0 are one.
        let bound = Bound(bound + 0.0);
        if let Parts::Histogram { buckets, .. } = &self.series[series as usize].parts
            && let Some(&slot) = buckets.get(&bound)
        {
            return slot;
        }
        let slot = self.slot(Operation::Add, Nature::Counting);
        if let Parts::Histogram { buckets, .. } = &mut self.series[series as usize].parts {
            buckets.insert(bound, slot);
        }
        slot
    }

    /// How many buckets a histogram has, over all contributors.
    pub(crate) fn bucket_count(&self, series: SeriesId) -> usize {
        match &self.series[series as usize].parts {
            Parts::Histogram { buckets, .. } => buckets.len(),
            _ => 0,
        }
    }

    /// `[merge.conflict.buckets]`: says that contributors to the series have different buckets.
    pub(crate) fn set_buckets_differ(&mut self, series: SeriesId) {
        let family = self.series[series as usize].family;
        self.families[family as usize].buckets_differ = true;
    }

    /// The slot of the sum of a histogram or a summary.
    pub(crate) fn sum(&mut self, series: SeriesId) -> SlotId {
        self.part(series, Nature::Summing, |parts| match parts {
            Parts::Histogram { sum, .. } | Parts::Summary { sum, .. } => Some(sum),
            _ => None,
        })
    }

    /// The slot of the count of a summary.
    pub(crate) fn count(&mut self, series: SeriesId) -> SlotId {
        self.part(series, Nature::Counting, |parts| match parts {
            Parts::Summary { count, .. } => Some(count),
            _ => None,
        })
    }

    fn part(
        &mut self,
        series: SeriesId,
        nature: Nature,
        select: impl Fn(&mut Parts) -> Option<&mut Option<SlotId>>,
    ) -> SlotId {
        match select(&mut self.series[series as usize].parts) {
            Some(Some(slot)) => return *slot,
            Some(None) => {}
            None => return NO_SLOT,
        }
        let slot = self.slot(Operation::Add, nature);
        if let Some(part) = select(&mut self.series[series as usize].parts) {
            *part = Some(slot);
        }
        slot
    }

    /// The slots of a gauge or a state set for the worker with this pid: its own or shared ones, as
    /// the family's mode has it. A state set has one for each of `states`, a gauge one.
    pub(crate) fn gauge(
        &mut self,
        series: SeriesId,
        pid: &Arc<str>,
        states: &[Box<str>],
    ) -> Vec<SlotId> {
        let family = self.series[series as usize].family;
        let union = self.families[family as usize].all_states();
        let mode = self.families[family as usize].mode().unwrap_or_default();
        let wanted = union.len().max(1);
        let (operation, is_live) = (Operation::of(mode), mode.is_live());
        let nature = Nature::Level { is_live };
        let mut slots = self.gauge_slots(series, pid, mode);
        while slots.len() < wanted {
            slots.push(self.slot(operation, nature));
        }
        let series = &mut self.series[series as usize];
        if let Parts::Gauge { shared, per_worker } = &mut series.parts {
            if mode.is_per_worker() {
                let entry = per_worker
                    .entry(Arc::clone(pid))
                    .or_insert_with(|| PerWorker {
                        labels: Arc::new(series.labels.with("pid", pid)),
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

    fn gauge_slots(&self, series: SeriesId, pid: &Arc<str>, mode: Mode) -> Vec<SlotId> {
        let Parts::Gauge { shared, per_worker } = &self.series[series as usize].parts else {
            return Vec::new();
        };
        if mode.is_per_worker() {
            per_worker
                .get(pid)
                .map(|entry| entry.slots.clone())
                .unwrap_or_default()
        } else {
            shared.clone().unwrap_or_default()
        }
    }

    /// Gives back one file's use of the slots that [`Table::gauge`] has handed out for `pid`.
    pub(crate) fn release(&mut self, series: SeriesId, pid: &Arc<str>) {
        let Parts::Gauge { per_worker, .. } = &mut self.series[series as usize].parts else {
            return;
        };
        let Some(entry) = per_worker.get_mut(pid) else {
            return;
        };
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0
            && let Some(entry) = per_worker.remove(pid)
        {
            self.revision += 1;
            self.free.extend(entry.slots);
        }
    }

    /// `[merge.directory.replaced]`: makes every series forget when it was created, before all
    /// readers declare it anew.
    pub(crate) fn forget_creation(&mut self) {
        self.is_stale = true;
        for series in &mut self.series {
            series.created = Created::Unset;
        }
    }

    /// Makes every series forget who has slots of its own, before all readers ask anew.
    pub(crate) fn forget_slots(&mut self) {
        self.is_stale = false;
        self.revision += 1;
        for series in &mut self.series {
            if let Parts::Gauge { shared, per_worker } = &mut series.parts {
                self.free.extend(shared.take().into_iter().flatten());
                let own = std::mem::take(per_worker);
                self.free
                    .extend(own.into_values().flat_map(|entry| entry.slots));
            }
        }
    }

    /// Forgets the values of the last pass.
    pub(crate) fn begin_pass(&mut self) {
        self.slots.iter_mut().for_each(Slot::clear);
    }

    /// Adds one contribution; `stamp` is the time of a most recent value. The younger of two
    /// workers contributes later.
    pub(crate) fn contribute(&mut self, slot: SlotId, value: f64, stamp: f64, is_dead: bool) {
        let Some(slot) = self.slots.get_mut(slot as usize) else {
            return;
        };
        if is_dead && slot.nature() == (Nature::Level { is_live: true }) {
            return;
        }
        slot.contribute(value, stamp);
    }

    /// Adds what contributors that are gone have left.
    pub(crate) fn add_departed(&mut self, slot: SlotId, departed: &ExactSum) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.add(departed);
        }
    }

    /// Whether the slot's contributions outlive their contributor.
    pub(crate) fn is_lasting(&self, slot: SlotId) -> bool {
        let slot = self.slots.get(slot as usize);
        slot.is_some_and(|slot| !matches!(slot.nature(), Nature::Level { .. }))
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

    /// Has the gauges of a family whose mode or states have changed get new slots. Who holds old
    /// ones asks anew before the next value is told.
    fn take_back_slots(&mut self, family: u32) {
        self.is_stale = true;
        for &series in self.families[family as usize].series.values() {
            if let Parts::Gauge { shared, per_worker } = &mut self.series[series as usize].parts {
                let own = std::mem::take(per_worker);
                self.free
                    .extend(own.into_values().flat_map(|entry| entry.slots));
                self.free.extend(shared.take().into_iter().flatten());
            }
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

impl Family {
    /// `[merge.conflict.mode]`: the mode that all contributors are merged by.
    pub(crate) fn mode(&self) -> Option<Mode> {
        self.modes.first().map(|rank| rank.1)
    }

    /// `[merge.state-set.states]`: the states that all contributors have together: as declared
    /// where all agree, and else in order.
    pub(crate) fn all_states(&self) -> Arc<[Box<str>]> {
        let mut lists = self.states.iter();
        match (lists.next(), lists.next()) {
            (None, _) => Arc::new([]),
            (Some(only), None) => Arc::clone(only),
            _ => {
                let all: BTreeSet<&Box<str>> =
                    self.states.iter().flat_map(|list| &**list).collect();
                all.into_iter().cloned().collect()
            }
        }
    }
}

impl Series {
    pub(crate) fn family(&self) -> u32 {
        self.family
    }

    pub(crate) fn created_seconds(&self) -> Option<f64> {
        match self.created {
            Created::Earliest(nanoseconds) => Some(nanoseconds as f64 / 1e9),
            Created::Unset | Created::Untold => None,
        }
    }
}

impl Rank {
    /// What tells more prevails over what tells less, so that one worker of an older release does
    /// not undo a choice.
    fn of(mode: Mode) -> Rank {
        let rank = match mode {
            Mode::Sum => 0,
            Mode::LiveSum => 1,
            Mode::Max => 2,
            Mode::LiveMax => 3,
            Mode::Min => 4,
            Mode::LiveMin => 5,
            Mode::MostRecent => 6,
            Mode::LiveMostRecent => 7,
            Mode::LiveAll => 8,
            Mode::All => 9,
        };
        Rank(rank, mode)
    }
}

fn insert(texts: &mut BTreeSet<Arc<str>>, text: &str) {
    if !text.is_empty() && !texts.contains(text) {
        texts.insert(text.into());
    }
}
