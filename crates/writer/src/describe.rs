//! What a metric is, before it is registered.
//!
//! Owns registration: a description is checked, compared with those before it, and becomes a metric
//! or a family of metrics.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use headcount_format::record::Family as Description;
use headcount_format::{Kept, MetricType, Mode, PushList};

use crate::buckets::Buckets;
use crate::core::{FamilyCore, Registered};
use crate::error::RegisterError;
use crate::family::Family;
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::registry::Registry;
use crate::series::{Handle, SeriesCore, next_id};
use crate::state_set::StateSet;
use crate::validate;

/// A kind of metric: counter, gauge, histogram, info, state set or summary.
pub trait Kind: Sized + sealed::FromHandle {}

pub(crate) mod sealed {
    /// What only this crate's metrics can do.
    pub trait FromHandle {
        #[doc(hidden)]
        fn from_handle(handle: super::OpaqueHandle) -> Self;
    }
}

/// What a metric is made from; of use to this crate alone.
#[doc(hidden)]
#[derive(Debug)]
pub struct OpaqueHandle(pub(crate) Handle);

/// A metric that is being described.
#[must_use = "a description does nothing until it is registered"]
pub struct Describe<'a, M> {
    registry: &'a Registry,
    description: Description,
    makes: PhantomData<fn() -> M>,
}

impl<'a, M: Kind> Describe<'a, M> {
    pub(crate) fn new(
        registry: &'a Registry,
        metric_type: MetricType,
        name: &str,
        help: &str,
    ) -> Describe<'a, M> {
        let bounds = match metric_type {
            MetricType::Histogram => Buckets::default().into_bounds(),
            _ => Vec::new(),
        };
        let description = Description {
            metric_type,
            mode: Mode::default(),
            name: name.into(),
            help: help.into(),
            unit: "".into(),
            label_names: Vec::new(),
            bounds,
            states: Vec::new(),
            is_bare: false,
        };
        Describe {
            registry,
            description,
            makes: PhantomData,
        }
    }

    /// Sets the unit, like `seconds` or `bytes`; the name is made to end with it.
    pub fn unit(mut self, unit: &str) -> Self {
        self.description.unit = unit.into();
        self
    }

    /// Registers a metric without labels.
    ///
    /// The same description again yields the same metric.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] for a name, label or help text that Prometheus would not take, and for a
    /// name that another metric has.
    pub fn register(self) -> Result<M, RegisterError> {
        let core = &self.registry.core;
        let family = self.registry.register(self.description)?;
        let lone = core.registered.iter().find_map(|registered| {
            let is_it = Arc::ptr_eq(&registered.family, &family);
            registered.lone.clone().filter(|_| is_it)
        });
        let series = lone.expect("a metric without labels has one series");
        let core = Arc::clone(core);
        Ok(M::from_handle(OpaqueHandle(Handle { core, series })))
    }

    /// Registers a metric with labels, one for each series.
    ///
    /// The same description again yields the same family.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] as for [`Describe::register`].
    pub fn register_family<const N: usize>(
        mut self,
        label_names: [&str; N],
    ) -> Result<Family<M, N>, RegisterError> {
        const {
            assert!(
                N > 0,
                "a metric without labels is registered with `register`"
            )
        };
        self.description.label_names = label_names.into_iter().map(Into::into).collect();
        let family = self.registry.register(self.description)?;
        Ok(Family::new(Arc::clone(&self.registry.core), family))
    }

    pub(crate) fn states(mut self, states: Vec<Box<str>>) -> Self {
        self.description.states = states;
        self
    }
}

impl Describe<'_, Histogram> {
    /// Sets the buckets.
    pub fn buckets(mut self, buckets: Buckets) -> Self {
        self.description.bounds = buckets.into_bounds();
        self
    }
}

impl Describe<'_, Gauge> {
    /// Sets how the values of many workers become one; [`Mode::All`] unless it is set.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.description.mode = mode;
        self
    }
}

impl Describe<'_, StateSet> {
    /// Sets how the states of many workers become one; [`Mode::All`] unless it is set. Under
    /// [`Mode::Max`] a state holds if any worker is in it, under [`Mode::Min`] if all are.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.description.mode = mode;
        self
    }
}

impl<M> fmt::Debug for Describe<'_, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.description.fmt(formatter)
    }
}

impl Registry {
    /// Finds the family of an equal description, or adds it.
    fn register(&self, mut description: Description) -> Result<Arc<FamilyCore>, RegisterError> {
        validate::family(&mut description, &self.core.labels)?;
        let names = validate::sample_names(&description);
        // Held to the end, so that of two threads one finds what the other has registered.
        let mut state = self.core.lock();
        for registered in self.core.registered.iter() {
            let other = &registered.family.description;
            if *other == description {
                return Ok(Arc::clone(&registered.family));
            }
            if validate::sample_names(other)
                .iter()
                .any(|name| names.contains(name))
            {
                return Err(clash(&description, other));
            }
        }
        let family = Arc::new(FamilyCore {
            id: next_id(),
            description,
            table: Kept::new(),
            series: PushList::new(),
        });
        let is_lone = family.description.label_names.is_empty();
        let lone = is_lone.then(|| Arc::new(SeriesCore::new(Arc::clone(&family), Vec::new())));
        self.core.registered.push(Registered {
            family: Arc::clone(&family),
            lone: lone.clone(),
        });
        if let Some(series) = lone {
            state.announce(&self.core, &series);
        }
        Ok(family)
    }
}

fn clash(description: &Description, other: &Description) -> RegisterError {
    let what = if other.name != description.name {
        "names of samples"
    } else if other.metric_type != description.metric_type {
        "type"
    } else if other.label_names != description.label_names {
        "labels"
    } else if other.mode != description.mode {
        "multiprocess mode"
    } else if other.bounds != description.bounds {
        "buckets"
    } else if other.states != description.states {
        "states"
    } else if other.unit != description.unit {
        "unit"
    } else {
        "help text"
    };
    RegisterError::Clash {
        name: description.name.to_string(),
        other: other.name.to_string(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_description_yields_the_same_metric() {
        let registry = Registry::private();
        registry.counter("c", "C.").register().unwrap().inc();
        assert_eq!(
            registry.counter("c_total", "C.").register().unwrap().get(),
            1.0
        );
    }

    #[test]
    fn a_name_that_is_taken_is_told_with_what_differs() {
        let registry = Registry::private();
        registry.counter("c", "C.").register().unwrap();
        let told = |outcome: Result<_, RegisterError>| outcome.unwrap_err().to_string();
        let gauge = told(registry.gauge("c", "C.").register().map(|_| ()));
        assert!(gauge.contains("in its type"), "{gauge}");
        let sample = told(registry.gauge("c_total", "C.").register().map(|_| ()));
        assert!(sample.contains("names of samples"), "{sample}");
        let help = told(registry.counter("c", "Other.").register().map(|_| ()));
        assert!(help.contains("help text"), "{help}");
        let labels = told(
            registry
                .counter("c", "C.")
                .register_family(["a"])
                .map(|_| ()),
        );
        assert!(labels.contains("labels"), "{labels}");
    }
}
