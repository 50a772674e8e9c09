//! What one process keeps behind the lock: its store, and what the store has no room for.
//!
//! Owns the slow path: a series' first update in a process, and everything that waits for room
//! (`[store.grow.refused]`).
//! A forked child begins with a new one.

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use headcount_format::record::Label;
use headcount_format::{CellMemory, tell};
#[cfg(target_os = "linux")]
use headcount_format::{
    NewStore, Place, Store, StoreError, layout::Role, record::Series, stamp, stamped,
};

use crate::core::Core;
#[cfg(target_os = "linux")]
use crate::core::{FamilyCore, now};
use crate::series::SeriesCore;

/// How long a full disk is left alone before it is tried again.
#[cfg(target_os = "linux")]
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct State {
    #[cfg(target_os = "linux")]
    store: Option<Store>,
    /// The number that the store gave each family, by the family's id.
    #[cfg(target_os = "linux")]
    families: HashMap<u64, u32>,
    /// Series with labels that were asked for before there was a store; those without are known to
    /// the registry.
    early: Vec<Arc<SeriesCore>>,
    /// Series that found no room, by their ids: they count here until they do.
    waiting: HashMap<u64, Waiting>,
    infos: HashMap<u64, InfoEntry>,
    /// Series that no store could hold.
    unstorable: u64,
    #[cfg(target_os = "linux")]
    tried: Option<Instant>,
    trouble: Option<String>,
    told: bool,
}

#[derive(Debug)]
struct Waiting {
    series: Arc<SeriesCore>,
    memory: Arc<CellMemory>,
}

#[derive(Debug)]
struct InfoEntry {
    series: Arc<SeriesCore>,
    pairs: Vec<Label>,
    /// The number of its series in the store, if it is there.
    #[cfg(target_os = "linux")]
    number: Option<u32>,
    /// The numbers of the series that it replaces, until they are removed.
    #[cfg(target_os = "linux")]
    replaces: Vec<u32>,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            #[cfg(target_os = "linux")]
            store: None,
            #[cfg(target_os = "linux")]
            families: HashMap::new(),
            early: Vec::new(),
            waiting: HashMap::new(),
            infos: HashMap::new(),
            unstorable: 0,
            #[cfg(target_os = "linux")]
            tried: None,
            trouble: None,
            told: false,
        }
    }

    /// Why series wait for room, if any do.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref().filter(|_| self.refused() > 0)
    }

    /// How many series are not in the store, and an info is one.
    fn refused(&self) -> u64 {
        #[cfg(target_os = "linux")]
        let infos = self.infos.values().filter(|info| info.number.is_none());
        #[cfg(not(target_os = "linux"))]
        let infos = std::iter::empty::<()>();
        (self.waiting.len() + infos.count()) as u64 + self.unstorable
    }

    /// The memory of a series that waits for room.
    pub(crate) fn waiting(&self, series: &SeriesCore) -> Option<Arc<CellMemory>> {
        let waiting = self.waiting.get(&series.id)?;
        Some(Arc::clone(&waiting.memory))
    }

    pub(crate) fn info(&self, series: &SeriesCore) -> Option<Vec<Label>> {
        Some(self.infos.get(&series.id)?.pairs.clone())
    }

    /// Binds the series to where it counts in this process from now on; or yields the memory in
    /// which it waits for room, and then it comes here again.
    pub(crate) fn locate(
        &mut self,
        core: &Core,
        series: &Arc<SeriesCore>,
    ) -> Option<Arc<CellMemory>> {
        if core.directory.is_none() || series.unstorable {
            self.keep_in_memory(core, series);
            return None;
        }
        #[cfg(target_os = "linux")]
        if self.place_or_wait(core, series) {
            return None;
        }
        Some(self.wait(series))
    }

    /// The memory in which the series waits from now on.
    fn wait(&mut self, series: &Arc<SeriesCore>) -> Arc<CellMemory> {
        let waiting = self.waiting.entry(series.id).or_insert_with(|| {
            let memory = Arc::new(CellMemory::private(series.cell_count()));
            #[cfg(target_os = "linux")]
            begin(series, memory.cells(0, series.cell_count()));
            Waiting {
                series: Arc::clone(series),
                memory,
            }
        });
        Arc::clone(&waiting.memory)
    }

    /// Makes the series part of the store if there is one, and else part of the next.
    pub(crate) fn announce(&mut self, core: &Core, series: &Arc<SeriesCore>) {
        #[cfg(target_os = "linux")]
        if self.store.is_some() && !series.unstorable && series.cell_count() > 0 {
            self.locate(core, series);
            return;
        }
        let is_lone = series.label_values.is_empty();
        if core.directory.is_some() && !is_lone {
            self.early.push(Arc::clone(series));
        }
    }

    /// Has an info tell `pairs` from now on.
    pub(crate) fn set_info(&mut self, core: &Core, series: &Arc<SeriesCore>, pairs: Vec<Label>) {
        let is_known = self.infos.contains_key(&series.id);
        let entry = self.infos.entry(series.id).or_insert_with(|| InfoEntry {
            series: Arc::clone(series),
            pairs: Vec::new(),
            #[cfg(target_os = "linux")]
            number: None,
            #[cfg(target_os = "linux")]
            replaces: Vec::new(),
        });
        // The log of a store only grows, so what says nothing new is not written.
        if entry.pairs == pairs && is_known {
            return;
        }
        entry.pairs = pairs;
        #[cfg(target_os = "linux")]
        {
            entry.replaces.extend(entry.number.take());
            if core.directory.is_some() {
                self.place_infos(core);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _unused = core;
    }

    fn keep_in_memory(&mut self, core: &Core, series: &Arc<SeriesCore>) {
        let memory = Arc::new(CellMemory::private(series.cell_count()));
        series.binding.bind(&core.process, &memory, 0);
        if series.unstorable && core.directory.is_some() {
            self.unstorable += 1;
            let name = &series.family.description.name;
            self.tell(format!("a label value of {name} has more than 65535 bytes"));
        }
    }

    /// Says once, since a library has no log of its own and silence would cost data.
    fn tell(&mut self, trouble: String) {
        #[cfg(target_os = "linux")]
        if let Some(store) = &self.store {
            store.set_refused(self.refused());
        }
        if !std::mem::replace(&mut self.told, true) {
            tell(&format!(
                "headcount: {trouble}; what finds no room in the store is counted in memory, where \
                 the sidecar does not see it\n"
            ));
        }
        self.trouble = Some(trouble);
    }
}

#[cfg(target_os = "linux")]
impl State {
    /// Binds the series to its place in the store; `false` as long as there is no room.
    fn place_or_wait(&mut self, core: &Core, series: &Arc<SeriesCore>) -> bool {
        let is_due = self.tried.is_none_or(|tried| tried.elapsed() >= PATIENCE);
        if !is_due && (self.store.is_none() || self.waiting.contains_key(&series.id)) {
            return false;
        }
        let outcome = self.open(core).and_then(|()| {
            // What finds no room still keeps none from what is smaller.
            let others = if is_due {
                self.place_waiting(core)
            } else {
                Ok(())
            };
            if let Err(error) = others {
                self.tried = Some(Instant::now());
                self.tell(error.to_string());
            }
            // The series may have been among those that either of them has placed.
            match series.binding.cells(&core.process) {
                Some(_) => Ok(()),
                None => self.place(core, series),
            }
        });
        if let Err(error) = &outcome {
            self.tried = Some(Instant::now());
            // It waits from now on, so it counts among those refused.
            self.wait(series);
            self.tell(error.to_string());
        }
        outcome.is_ok()
    }

    /// Makes the store if there is none, with every series that was registered without labels. One
    /// that finds no room in it waits for it, at zero.
    fn open(&mut self, core: &Core) -> Result<(), StoreError> {
        let Some(directory) = core.directory.as_deref().filter(|_| self.store.is_none()) else {
            return Ok(());
        };
        let new = NewStore {
            directory,
            labels: &core.labels,
            started: now(),
            role: Role::Worker,
        };
        self.store = Some(Store::create(&new, &core.process)?);
        let lone = core
            .registered
            .iter()
            .filter_map(|registered| registered.lone.clone());
        let mut early: Vec<_> = lone.collect();
        early.reverse();
        early.append(&mut self.early);
        let mut trouble = None;
        for series in &early {
            let is_bound = series.binding.cells(&core.process).is_some();
            if !is_bound
                && !series.unstorable
                && series.cell_count() > 0
                && let Err(error) = self.place(core, series)
            {
                self.wait(series);
                trouble = Some(error.to_string());
            }
        }
        if let Some(trouble) = trouble {
            self.tried = Some(Instant::now());
            self.tell(trouble);
        }
        self.place_infos(core);
        let refused = self.refused();
        if let Some(store) = &self.store {
            store.set_refused(refused);
        }
        Ok(())
    }

    /// Puts a series into the store, with what it has counted in memory, and binds it.
    fn place(&mut self, core: &Core, series: &Arc<SeriesCore>) -> Result<(), StoreError> {
        let place = self.add_series(&series.family, series, &[])?;
        let store = self.store.as_ref().expect("a series was just added to it");
        let memory = Arc::clone(store.memory());
        let cells = memory.cells(place.offset, series.cell_count());
        match self.waiting.remove(&series.id) {
            Some(waiting) => {
                let counted = waiting.memory.cells(0, series.cell_count());
                move_cells(series, counted, cells);
                store.set_refused(self.refused());
            }
            None => begin(series, cells),
        }
        series.binding.bind(&core.process, &memory, place.offset);
        Ok(())
    }

    /// Puts every series that waits into the store, for there may be room again.
    fn place_waiting(&mut self, core: &Core) -> Result<(), StoreError> {
        let waiting = self
            .waiting
            .values()
            .map(|waiting| Arc::clone(&waiting.series));
        let waiting: Vec<_> = waiting.collect();
        for series in &waiting {
            self.place(core, series)?;
        }
        self.place_infos(core);
        Ok(())
    }

    fn place_infos(&mut self, core: &Core) {
        if let Err(error) = self.try_place_infos(core) {
            self.tried = Some(Instant::now());
            self.tell(error.to_string());
        }
    }

    fn try_place_infos(&mut self, core: &Core) -> Result<(), StoreError> {
        if self.infos.is_empty() {
            return Ok(());
        }
        self.open(core)?;
        let mut ids: Vec<u64> = self.infos.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let entry = &self.infos[&id];
            let (series, pairs) = (Arc::clone(&entry.series), entry.pairs.clone());
            if entry.number.is_none() {
                let number = self.add_series(&series.family, &series, &pairs)?.series;
                if let Some(entry) = self.infos.get_mut(&id) {
                    entry.number = Some(number);
                }
            }
            // The new one first: killed in between, both stand, and never none.
            while let Some(&replaced) = self.infos[&id].replaces.last() {
                let store = self.store.as_mut();
                store.map_or(Ok(()), |store| store.remove_series(replaced))?;
                if let Some(entry) = self.infos.get_mut(&id) {
                    entry.replaces.pop();
                }
            }
        }
        let refused = self.refused();
        if let Some(store) = &self.store {
            store.set_refused(refused);
        }
        Ok(())
    }

    fn add_series(
        &mut self,
        family: &FamilyCore,
        series: &SeriesCore,
        extra_labels: &[Label],
    ) -> Result<Place, StoreError> {
        let store = self
            .store
            .as_mut()
            .expect("opened before anything is added");
        let number = match self.families.get(&family.id) {
            Some(&number) => number,
            None => {
                let number = store.add_family(&family.description)?;
                self.families.insert(family.id, number);
                number
            }
        };
        let record = Series {
            family: number,
            cell: 0,
            created: now(),
            label_values: series.label_values.clone(),
            extra_labels: extra_labels.to_vec(),
        };
        store.add_series(record, &family.description)
    }
}

/// Writes what a series has counted in memory into cells that readers see already: a stamped value
/// as every stamped value, and the last cell first, so that a sum comes after its counts.
#[cfg(target_os = "linux")]
fn move_cells(series: &SeriesCore, counted: &[AtomicU64], cells: &[AtomicU64]) {
    if series.family.description.mode.is_most_recent() {
        if let Some((value, time)) = stamped(counted) {
            stamp(cells, value, time);
        }
        return;
    }
    for (cell, counted) in cells.iter().zip(counted).rev() {
        cell.store(counted.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// `[store.state-set.first]`: a stamped state set is in its first state from the start, and says
/// when that was; all other cells begin at zero, which is their first value.
#[cfg(target_os = "linux")]
fn begin(series: &SeriesCore, cells: &[AtomicU64]) {
    let description = &series.family.description;
    let is_state_set = description.metric_type == headcount_format::MetricType::StateSet;
    if is_state_set && description.mode.is_most_recent() {
        stamp(cells, 0.0, now() as f64 / 1e9);
    }
}
