//! A metric with labels.
//!
//! Owns the way from label values to a series.

use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::core::{Core, FamilyCore};
use crate::describe::{Kind, OpaqueHandle};
use crate::error::LabelError;
use crate::series::{Handle, SeriesCore};
use crate::validate;

/// A metric with `N` labels: one metric for each set of their values.
///
/// ```
/// use headcount_writer::Registry;
///
/// let registry = Registry::private();
/// let requests = registry
///     .counter("requests", "Requests answered.")
///     .register_family(["method", "code"])?;
/// requests.with(["GET", "200"]).inc();
/// requests.with(["GET", "200"]).inc();
/// assert_eq!(requests.with(["GET", "200"]).get(), 2.0);
/// # Ok::<(), headcount_writer::RegisterError>(())
/// ```
pub struct Family<M, const N: usize> {
    core: Arc<Core>,
    family: Arc<FamilyCore>,
    makes: PhantomData<fn() -> M>,
}

/// The series of a family that this process has asked for.
#[derive(Debug, Default)]
pub(crate) struct Table {
    hasher: DefaultHashBuilder,
    series: HashTable<Arc<SeriesCore>>,
}

impl<M: Kind, const N: usize> Family<M, N> {
    pub(crate) fn new(core: Arc<Core>, family: Arc<FamilyCore>) -> Family<M, N> {
        Family {
            core,
            family,
            makes: PhantomData,
        }
    }

    /// The metric with these label values, in the order in which the names were registered.
    ///
    /// Keep what it returns where the same values come again and again: the metric then costs no
    /// look-up. A value over 65535 bytes is counted in memory alone, and told as
    /// [`Registry::trouble`](crate::Registry::trouble); [`Family::try_with`] refuses it.
    pub fn with(&self, label_values: [&str; N]) -> M {
        let core = Arc::clone(&self.core);
        let series = self.series(&label_values);
        M::from_handle(OpaqueHandle(Handle { core, series }))
    }

    /// As [`Family::with`], for label values that may be too long.
    ///
    /// # Errors
    ///
    /// [`LabelError::Value`] for a value over 65535 bytes.
    pub fn try_with(&self, label_values: [&str; N]) -> Result<M, LabelError> {
        let names = &self.family.description.label_names;
        for (name, value) in names.iter().zip(label_values) {
            validate::label_value(name, value)?;
        }
        Ok(self.with(label_values))
    }

    fn series(&self, label_values: &[&str; N]) -> Arc<SeriesCore> {
        let table = match self.family.table.get(&self.core.process) {
            Some(table) => table,
            None => {
                let _alone = self.core.lock();
                let table = self.family.table.make(&self.core.process);
                let mut known = table.write().unwrap_or_else(PoisonError::into_inner);
                if known.series.is_empty() {
                    for series in self.family.series.iter() {
                        known.insert(Arc::clone(series));
                    }
                }
                drop(known);
                table
            }
        };
        let known = table.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.find(label_values).cloned();
        drop(known);
        found.unwrap_or_else(|| self.add(table, label_values))
    }

    #[cold]
    fn add(&self, table: &RwLock<Table>, label_values: &[&str; N]) -> Arc<SeriesCore> {
        // The state first, as everywhere: it must not be waited for while the table is held.
        let mut state = self.core.lock();
        let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.find(label_values) {
            return Arc::clone(series);
        }
        let values = label_values.iter().map(|&value| value.into()).collect();
        let series = Arc::new(SeriesCore::new(Arc::clone(&self.family), values));
        table.insert(Arc::clone(&series));
        self.family.series.push(Arc::clone(&series));
        state.announce(&self.core, &series);
        series
    }
}

impl Table {
    fn find<const N: usize>(&self, label_values: &[&str; N]) -> Option<&Arc<SeriesCore>> {
        let hash = self.hasher.hash_one(&label_values[..]);
        self.series.find(hash, |series| {
            let values = series.label_values.iter().map(|value| &**value);
            values.eq(label_values.iter().copied())
        })
    }

    fn insert(&mut self, series: Arc<SeriesCore>) {
        let hasher = &self.hasher;
        let hash = |series: &Arc<SeriesCore>| {
            let values: Vec<&str> = series.label_values.iter().map(|value| &**value).collect();
            hasher.hash_one(&values[..])
        };
        let own = hash(&series);
        self.series.insert_unique(own, series, hash);
    }
}

impl<M, const N: usize> Clone for Family<M, N> {
    fn clone(&self) -> Family<M, N> {
        Family {
            core: Arc::clone(&self.core),
            family: Arc::clone(&self.family),
            makes: PhantomData,
        }
    }
}

impl<M, const N: usize> fmt::Debug for Family<M, N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.family.description.name;
        formatter
            .debug_struct("Family")
            .field("name", name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn label_values_that_only_look_alike_are_different_series() {
        let registry = Registry::private();
        let family = registry
            .counter("c", "C.")
            .register_family(["a", "b"])
            .unwrap();
        family.with(["ab", ""]).inc_by(2.0);
        family.with(["a", "b"]).inc_by(3.0);
        assert_eq!(family.with(["ab", ""]).get(), 2.0);
        assert_eq!(family.with(["a", "b"]).get(), 3.0);
        assert_eq!(family.with(["", "ab"]).get(), 0.0);
    }

    #[test]
    fn a_value_that_no_store_holds_is_refused_or_counted_in_memory() {
        let registry = Registry::open(std::env::temp_dir()).unwrap();
        let family = registry.counter("c", "C.").register_family(["a"]).unwrap();
        let long = "x".repeat(1 << 20);
        let told = family.try_with([&long]).unwrap_err().to_string();
        assert!(told.contains("1048576 bytes"), "{told}");
        family.with([&long]).inc();
        assert_eq!(family.with([&long]).get(), 1.0);
        assert!(registry.trouble().unwrap().contains("65535"));
    }
}
