//! Stores of workers that live in this process.

use std::sync::atomic::Ordering;

use headcount_format::layout::Role;
use headcount_format::record::{Family, Series};
use headcount_format::{MetricType, Mode, NewStore, PerProcess, Place, Store, stamp};

use crate::pool::Directory;

/// A store that is open for writing, and what keeps it so.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) store: Store,
    families: Vec<Family>,
    _process: PerProcess<()>,
}

impl Writer {
    /// A store whose worker began so many seconds after 1970.
    pub(crate) fn new(directory: &Directory, started: u64) -> Writer {
        let process = PerProcess::new().expect("there is a page");
        process.get_or_init(|| ());
        let new = NewStore {
            directory: directory.path(),
            labels: &[],
            started: started * 1_000_000_000,
            role: Role::Worker,
        };
        Writer {
            store: Store::create(&new, &process).expect("a store can be made"),
            families: Vec::new(),
            _process: process,
        }
    }

    pub(crate) fn family(&mut self, family: Family) -> u32 {
        let number = self.store.add_family(&family).expect("there is room");
        self.families.push(family);
        number
    }

    /// A series of the family of this number; `created` in nanoseconds since 1970.
    pub(crate) fn series(&mut self, family: u32, values: &[&str], created: u64) -> Place {
        let series = Series {
            family,
            cell: 0,
            created,
            label_values: values.iter().map(|&value| value.into()).collect(),
            extra_labels: Vec::new(),
        };
        let family = &self.families[family as usize];
        let place = self.store.add_series(series, family);
        place.expect("there is room")
    }

    /// Sets the cells of a series, from its first.
    pub(crate) fn set(&self, place: Place, values: &[f64]) {
        let cells = self.store.memory().cells(place.offset, values.len());
        for (cell, value) in cells.iter().zip(values) {
            cell.store(value.to_bits().to_le(), Ordering::Relaxed);
        }
    }

    /// Sets the stamped register of a series.
    pub(crate) fn stamp(&self, place: Place, value: f64, time: f64) {
        stamp(self.store.memory().cells(place.offset, 5), value, time);
    }

    pub(crate) fn file_name(&self) -> String {
        let name = self.store.path().file_name().and_then(|name| name.to_str());
        name.expect("a store has a name in ASCII").to_owned()
    }
}

pub(crate) fn family(metric_type: MetricType, name: &str) -> Family {
    Family {
        metric_type,
        mode: Mode::All,
        name: name.into(),
        help: "Help.".into(),
        unit: "".into(),
        label_names: Vec::new(),
        bounds: Vec::new(),
        states: Vec::new(),
        is_bare: false,
    }
}

pub(crate) fn state_set(mode: Mode, name: &str, states: &[&str]) -> Family {
    Family {
        mode,
        states: states.iter().map(|&state| state.into()).collect(),
        ..family(MetricType::StateSet, name)
    }
}
