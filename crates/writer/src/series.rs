//! One series: its immutable identity, and the way to its cells.
//!
//! Owns the fast path of every update: a check that the cells are this process's, and then the
//! update itself. What is slow is [`crate::state`]'s business.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use headcount_format::catalog::{Cells, cells_of};
use headcount_format::layout::STAMPED_CELLS;
use headcount_format::record::Family;
use headcount_format::{Binding, stamp, stamped};

use crate::core::{Core, FamilyCore, now};

/// What tells a series apart, and where its cells are.
#[derive(Debug)]
pub(crate) struct SeriesCore {
    /// Tells the series of this process apart.
    pub(crate) id: u64,
    pub(crate) family: Arc<FamilyCore>,
    pub(crate) label_values: Vec<Box<str>>,
    pub(crate) binding: Binding,
    /// A label value is too long for any store.
    pub(crate) unstorable: bool,
}

impl SeriesCore {
    pub(crate) fn new(family: Arc<FamilyCore>, label_values: Vec<Box<str>>) -> SeriesCore {
        let unstorable = label_values
            .iter()
            .any(|value| crate::validate::label_value("", value).is_err());
        SeriesCore {
            id: next_id(),
            binding: Binding::new(cell_count(&family.description)),
            family,
            label_values,
            unstorable,
        }
    }

    pub(crate) fn cell_count(&self) -> usize {
        cell_count(&self.family.description)
    }
}

/// An id that no other family or series of this process has.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn cell_count(family: &Family) -> usize {
    match cells_of(family) {
        Cells::None => 0,
        Cells::Additive(count) => usize::try_from(count).expect("bounds fit into memory"),
        Cells::Register => 1,
        Cells::Stamped => STAMPED_CELLS as usize,
    }
}

/// What every metric handle is made of.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
    pub(crate) series: Arc<SeriesCore>,
}

impl Handle {
    /// Runs `update` on the cells, which are this process's own.
    #[inline]
    pub(crate) fn update(&self, update: impl FnOnce(&[AtomicU64])) {
        match self.series.binding.cells(&self.core.process) {
            Some(cells) => update(cells),
            None => self.update_slowly(update),
        }
    }

    /// Runs `update` while no other thread updates the series in this way.
    pub(crate) fn update_alone(&self, update: impl FnOnce(&[AtomicU64])) {
        self.update_slowly(update);
    }

    #[cold]
    fn update_slowly(&self, update: impl FnOnce(&[AtomicU64])) {
        let mut state = self.core.lock();
        // Another thread may have been faster, or the update is one that must be alone.
        if let Some(cells) = self.series.binding.cells(&self.core.process) {
            return update(cells);
        }
        match state.locate(&self.core, &self.series) {
            Some(waiting) => update(waiting.cells(0, self.series.cell_count())),
            None => {
                let cells = self.series.binding.cells(&self.core.process);
                update(cells.expect("what does not wait has just been bound"));
            }
        }
    }

    /// What the cells hold, without making any: `None` in a process that has not counted yet.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&[AtomicU64]) -> R) -> Option<R> {
        match self.series.binding.cells(&self.core.process) {
            Some(cells) => Some(read(cells)),
            None => self.read_alone(read),
        }
    }

    /// [`Handle::read`], while no other thread updates the series in the slow way.
    fn read_alone<R>(&self, read: impl FnOnce(&[AtomicU64]) -> R) -> Option<R> {
        let state = self.core.lock();
        // Another thread may have found room for it meanwhile.
        if let Some(cells) = self.series.binding.cells(&self.core.process) {
            return Some(read(cells));
        }
        let waiting = state.waiting(&self.series)?;
        Some(read(waiting.cells(0, self.series.cell_count())))
    }

    /// Adds to one cell.
    #[inline]
    pub(crate) fn add(&self, cell: usize, amount: f64) {
        self.update(|cells| add(&cells[cell], amount));
    }

    /// What one cell holds; zero in a process that has not counted yet.
    pub(crate) fn value(&self, cell: usize) -> f64 {
        self.read(|cells| load(&cells[cell])).unwrap_or(0.0)
    }

    /// Sets a register, or a stamped one with the time of now.
    #[inline]
    pub(crate) fn set(&self, value: f64) {
        if self.series.family.description.mode.is_most_recent() {
            self.update_alone(|cells| stamp(cells, value, now() as f64 / 1e9));
        } else {
            self.update(|cells| cells[0].store(value.to_bits().to_le(), Ordering::Relaxed));
        }
    }

    /// Adds to a register, or to a stamped one with the time of now.
    #[inline]
    pub(crate) fn change(&self, amount: f64) {
        if self.series.family.description.mode.is_most_recent() {
            self.update_alone(|cells| {
                let (value, _) = stamped(cells).unwrap_or_default();
                stamp(cells, value + amount, now() as f64 / 1e9);
            });
        } else {
            self.add(0, amount);
        }
    }

    /// What a register holds, stamped or not.
    pub(crate) fn get(&self) -> f64 {
        if self.series.family.description.mode.is_most_recent() {
            self.read_alone(|cells| stamped(cells).unwrap_or_default().0)
                .unwrap_or(0.0)
        } else {
            self.value(0)
        }
    }
}

/// `[store.cells.update]`: adds in one atomic step, whatever other threads do.
#[inline]
pub(crate) fn add(cell: &AtomicU64, amount: f64) {
    // Relaxed: a cell stands for itself.
    let mut old = cell.load(Ordering::Relaxed);
    loop {
        let new = (f64::from_bits(u64::from_le(old)) + amount)
            .to_bits()
            .to_le();
        match cell.compare_exchange_weak(old, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(newer) => old = newer,
        }
    }
}

pub(crate) fn load(cell: &AtomicU64) -> f64 {
    f64::from_bits(u64::from_le(cell.load(Ordering::Relaxed)))
}
