//! What workers declare, on its way into the table.
//!
//! Owns what the operator makes of it: the rules, the constant labels of a directory
//! (`spec/rules.md`) and the budgets (`spec/merge.md`, chapter 6). Remembers each series as it was
//! declared, so that other rules can make another series of it. Knows no files and no values.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use headcount_format::MetricType;

use crate::budget::{Budget, Budgets};
use crate::exposition::escape;
use crate::model::Labels;
use crate::places::Places;
use crate::report::Worker;
use crate::rules::{Rules, Wanted, WorkerLabel};
use crate::table::{Declaration, NO_SLOT, Part, SeriesId, SlotId, Table};

/// A series as the workers of one directory declare it.
pub(crate) type OriginId = u32;

/// A directory, by its number in the order of adding.
pub(crate) type DirectoryId = u32;

/// The table, and what decides what comes into it.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    pub(crate) table: Table,
    rules: Rules,
    /// How often the rules have been set.
    generation: u64,
    budgets: Budgets,
    pub(crate) places: Places,
    /// Whether each worker is told apart by what identifies it, whatever label will tell it apart.
    pub(crate) tells_workers: bool,
    /// Whether the worker of the file that is being read is dead.
    pub(crate) reads_dead: bool,
    /// `[rules.labels]`, by directory.
    constant: Vec<Arc<Labels>>,
    origins: Vec<Origin>,
    by_key: HashMap<(u32, DirectoryId, Arc<Labels>), OriginId>,
}

#[derive(Debug)]
struct Origin {
    family: u32,
    directory: DirectoryId,
    /// As they were declared.
    labels: Arc<Labels>,
    /// `None` where a rule drops it.
    series: Option<SeriesId>,
}

/// Whose a gauge is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// A file's that no worker writes, by its name.
    File(&'a Arc<str>),
    /// A worker's whose file has been folded: its pid, and its place if it had one. The pid is empty
    /// for several workers together.
    Folded(&'a Arc<str>, Option<u32>),
    /// A worker's that has a file in this directory.
    Worker(DirectoryId, &'a Worker),
}

/// Whether who asks for the slots of a gauge has had such before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asking {
    /// `[merge.budget.whole]`: yes; what is admitted stays.
    Again,
    Anew,
}

/// Why a series does not come into the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LeftOut {
    /// It is over a budget.
    Budget(Budget),
    /// A rule drops it.
    Dropped,
}

impl Intake {
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Grows whenever other rules are set.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Sets the budgets for what comes from now on.
    pub(crate) fn set_budgets(&mut self, budgets: Budgets) {
        self.budgets = budgets;
    }

    /// `[rules.reload]`: has every series be as `rules` and the constant labels want it. Slots that
    /// were handed out before are void.
    pub(crate) fn set_rules(&mut self, rules: Rules, constant: Vec<Arc<Labels>>) {
        self.generation += u64::from(rules != self.rules);
        self.rules = rules;
        self.constant = constant;
        self.table.forget_series(&self.rules);
        for origin in 0..self.origins.len() {
            let Origin {
                family,
                directory,
                ref labels,
                ..
            } = self.origins[origin];
            let wanted = &self.table.families()[family as usize].wanted;
            let is_dropped = wanted.is_dropped();
            // What is admitted stays, whatever the budgets say now.
            let served = (!is_dropped).then(|| self.served_labels(family, directory, labels));
            let series = served.map(|served| self.table.series(family, served));
            self.origins[origin].series = series;
        }
    }

    /// The family of this name and type, with what this contributor says of it.
    ///
    /// # Errors
    ///
    /// When no budget has room for any series of a new family: then not even its name is kept.
    pub(crate) fn family(&mut self, declaration: &Declaration<'_>) -> Result<u32, LeftOut> {
        let family = self.table.declare(declaration, &self.rules);
        family.ok_or(LeftOut::Budget(Budget::Series))
    }

    /// The series of `family` that a worker of `directory` declares with these labels.
    ///
    /// # Errors
    ///
    /// When a rule drops it, or a budget has no room for it: then for every worker.
    pub(crate) fn origin(
        &mut self,
        family: u32,
        directory: DirectoryId,
        labels: Labels,
    ) -> Result<OriginId, LeftOut> {
        let labels = Arc::new(labels);
        let key = (family, directory, labels);
        if let Some(&origin) = self.by_key.get(&key) {
            return Ok(origin);
        }
        let entry = &self.table.families()[family as usize];
        if entry.wanted.is_dropped() {
            return Err(LeftOut::Dropped);
        }
        let served = self.served_labels(family, directory, &key.2);
        self.check(&served).map_err(LeftOut::Budget)?;
        if self.table.find(family, &served).is_none() {
            let room = self.table.has_room(family, &self.budgets);
            room.map_err(LeftOut::Budget)?;
        }
        let series = Some(self.table.series(family, served));
        let origin = OriginId::try_from(self.origins.len()).expect("fewer than 2^32 series");
        self.origins.push(Origin {
            family,
            directory,
            labels: Arc::clone(&key.2),
            series,
        });
        self.by_key.insert(key, origin);
        Ok(origin)
    }

    /// The slot of a part of a series that is no gauge.
    pub(crate) fn part(&mut self, origin: OriginId, part: Part) -> SlotId {
        match self.series(origin) {
            Some(series) => self.table.part(series, part),
            None => NO_SLOT,
        }
    }

    /// The slots of a gauge or a state set of `owner`; a state set has one for each of `states`, a
    /// gauge one.
    ///
    /// # Errors
    ///
    /// When a budget has no room for it.
    pub(crate) fn gauge(
        &mut self,
        origin: OriginId,
        owner: Owner<'_>,
        states: &[Box<str>],
        asking: Asking,
    ) -> Result<Vec<SlotId>, LeftOut> {
        let label = self.wanted(origin).worker_label();
        let own = self.own(label, owner);
        // [ledger.level] [life.place]: who cannot be told apart has no series of its own.
        if own.is_empty() && self.is_per_worker(origin) {
            return Err(LeftOut::Dropped);
        }
        let Some(series) = self.series(origin) else {
            return Err(LeftOut::Dropped);
        };
        let family = self.origins[origin as usize].family;
        if asking == Asking::Anew && self.table.is_new_row(series, &own) {
            let room = self.table.has_room(family, &self.budgets);
            room.map_err(LeftOut::Budget)?;
        }
        Ok(self.table.gauge(series, label, &own, states))
    }

    /// Gives back one use of the slots that [`Intake::gauge`] has handed out for `owner`.
    pub(crate) fn release(&mut self, origin: OriginId, owner: Owner<'_>) {
        let own = match (owner, self.wanted(origin).worker_label()) {
            // Who has no place gets none for that.
            (Owner::Worker(directory, worker), WorkerLabel::Slot) => {
                let place = self.places.find(directory, &worker.id);
                place.map_or_else(Arc::default, |place| place.to_string().into())
            }
            (owner, label) => self.own(label, owner),
        };
        if let Some(series) = self.series(origin) {
            self.table.release(series, &own);
        }
    }

    /// What tells `owner` apart under this label; empty for who cannot be told apart.
    fn own(&mut self, label: WorkerLabel, owner: Owner<'_>) -> Arc<str> {
        match (owner, label) {
            (Owner::Folded(pid, place), _) if self.tells_workers => folded_worker(pid, place),
            (Owner::Worker(_, worker), _) if self.tells_workers => Arc::clone(&worker.id),
            (Owner::File(name), _) => Arc::clone(name),
            (Owner::Folded(pid, _), WorkerLabel::Pid) => Arc::clone(pid),
            (Owner::Folded(_, place), WorkerLabel::Slot) => {
                place.map_or_else(Arc::default, |place| place.to_string().into())
            }
            (Owner::Worker(_, worker), WorkerLabel::Pid) => Arc::clone(&worker.pid),
            (Owner::Worker(directory, worker), WorkerLabel::Slot) => {
                // [life.place]: who was dead before it was met never held one.
                let place = match self.reads_dead {
                    true => self.places.find(directory, &worker.id),
                    false => Some(self.places.of(directory, &worker.id)),
                };
                place.map_or_else(Arc::default, |place| place.to_string().into())
            }
        }
    }

    /// Takes in when one contributor's share of the series was created, in nanoseconds since 1970;
    /// zero where it does not tell.
    pub(crate) fn created(&mut self, origin: OriginId, created: u64) {
        if let Some(series) = self.series(origin) {
            self.table.created(series, created);
        }
    }

    /// `[merge.conflict.buckets]`: takes in that one contributor to a histogram has so many buckets.
    pub(crate) fn note_buckets(&mut self, origin: OriginId, count: usize) {
        if let Some(series) = self.series(origin)
            && self.table.bucket_count(series) != count
        {
            self.table.set_buckets_differ(series);
        }
    }

    /// What the operator wants of the family of a series.
    pub(crate) fn wanted(&self, origin: OriginId) -> &Wanted {
        let family = self.origins[origin as usize].family;
        &self.table.families()[family as usize].wanted
    }

    /// Whether each worker has its own series of a gauge.
    fn is_per_worker(&self, origin: OriginId) -> bool {
        let family = self.origins[origin as usize].family;
        self.table.families()[family as usize]
            .mode()
            .is_per_worker()
    }

    fn series(&self, origin: OriginId) -> Option<SeriesId> {
        self.origins[origin as usize].series
    }

    /// The labels under which a series is served: after the rules, without those that a sample of
    /// its type has by itself, and with those of its directory.
    fn served_labels(
        &self,
        family: u32,
        directory: DirectoryId,
        declared: &Arc<Labels>,
    ) -> Arc<Labels> {
        let family = &self.table.families()[family as usize];
        let wanted = &family.wanted;
        let constant = self.constant.get(directory as usize);
        let constant = constant.filter(|constant| !constant.is_empty());
        let is_reserved = |name: &str| match family.metric_type {
            // [merge.labels.reserved]
            MetricType::Histogram => name == "le",
            MetricType::Summary => name == "quantile",
            MetricType::StateSet => name == &*family.name,
            _ => false,
        };
        let is_kept = wanted.keeps_labels() && !declared.iter().any(|(name, _)| is_reserved(name));
        if is_kept && constant.is_none() {
            return Arc::clone(declared);
        }
        let (kept, mut renamed): (Vec<_>, Vec<_>) = declared
            .iter()
            .filter_map(|(name, value)| Some((wanted.label(name)?, value, name)))
            .filter(|(name, _, _)| !is_reserved(name))
            .partition(|(name, _, declared)| name == declared);
        // [rules.rename-label]: what is renamed replaces what has the name, and of several the one
        // that the first rule renames stays; labels keep the last of one name.
        renamed.sort_by_key(|&(_, _, declared)| Reverse(wanted.position(declared)));
        let own = kept.into_iter().chain(renamed);
        let own = own.map(|(name, value, _)| (Box::from(name), Box::from(value)));
        match constant {
            None => Arc::new(Labels::new(own)),
            Some(constant) => {
                let free = constant.iter().filter(|(name, _)| !is_reserved(name));
                let free = free.map(|(name, value)| (name.into(), value.into()));
                Arc::new(with_constant(Labels::new(own), &Labels::new(free)))
            }
        }
    }

    /// `[merge.budget.labels]`: whether a series may have these labels.
    fn check(&self, labels: &Labels) -> Result<(), Budget> {
        if labels.iter().count() > self.budgets.labels {
            return Err(Budget::Labels);
        }
        let bytes: usize = labels
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        match bytes > self.budgets.label_bytes {
            true => Err(Budget::LabelBytes),
            false => Ok(()),
        }
    }
}

/// What identifies a worker of which a ledger says no more than its pid and its place; empty for
/// several workers together.
pub(crate) fn folded_worker(pid: &str, place: Option<u32>) -> Arc<str> {
    match pid {
        "" => Arc::default(),
        pid => format!("{pid} in {place:?}").into(),
    }
}

/// `[rules.labels]`: the labels of a worker and those of its directory, before which the worker's
/// of one name give way, as they do before a target's in Prometheus.
fn with_constant(own: Labels, constant: &Labels) -> Labels {
    let spelling = |name: &str| escape::label_name(name).into_owned();
    let names: Vec<String> = own
        .iter()
        .chain(constant.iter())
        .map(|(name, _)| spelling(name))
        .collect();
    let own = own.iter().map(|(name, value)| {
        let mut name = name.to_owned();
        if constant.iter().any(|(taken, _)| taken == spelling(&name)) {
            while names.contains(&spelling(&name)) {
                name.insert_str(0, "exported_");
            }
        }
        (name.into_boxed_str(), Box::from(value))
    });
    let own: Vec<_> = own.collect();
    let constant = constant
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    Labels::new(own.into_iter().chain(constant))
}
