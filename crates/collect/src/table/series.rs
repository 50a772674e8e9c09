//! One series of a family, and the slots of its values.
//!
//! Owns which parts a series has. Knows no values.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use headcount_format::MetricType;

use super::SlotId;
use crate::model::Labels;

/// One set of labels of a family.
#[derive(Debug)]
pub(crate) struct Series {
    family: u32,
    pub(crate) labels: Arc<Labels>,
    pub(crate) parts: Parts,
    /// The earliest creation, in nanoseconds since 1970, if every contributor has told one.
    created: Created,
}

#[derive(Clone, Copy, Debug)]
enum Created {
    Unset,
    Earliest(u64),
    Untold,
}

/// The slots of a series.
#[derive(Debug)]
pub(crate) enum Parts {
    /// A gauge or a state set: one shared, or one for each worker by what tells it apart. A state set has as
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
        quantiles: BTreeMap<Bound, SlotId>,
    },
}

/// Which value of a series.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Part {
    /// What was above the bound before it and at most this one.
    Bucket(Bound),
    Count,
    Quantile(Bound),
    Sum,
    /// The only one that a counter, a gauge, an unknown value or an info has.
    Whole,
}

/// The slots of one worker's own series.
#[derive(Debug)]
pub(crate) struct PerWorker {
    pub(crate) labels: Arc<Labels>,
    pub(crate) slots: Vec<SlotId>,
    /// How many files contribute.
    pub(super) users: u32,
}

/// A number that tells buckets or quantiles apart, ordered as numbers are. Never NaN, and -0 is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound(f64);

impl Part {
    /// Whether a value below the last one means that its contributor began again.
    pub(crate) fn is_counting(self, metric_type: MetricType) -> bool {
        match self {
            Part::Bucket(_) | Part::Count => true,
            Part::Whole => metric_type == MetricType::Counter,
            Part::Quantile(_) | Part::Sum => false,
        }
    }

    /// `[merge.departed]`: whether the value outlives its contributor.
    pub(crate) fn is_lasting(self, metric_type: MetricType) -> bool {
        self.is_counting(metric_type) || self == Part::Sum
    }

    /// The bound of a bucket.
    pub(crate) fn bound(&self) -> Option<Bound> {
        match *self {
            Part::Bucket(bound) => Some(bound),
            _ => None,
        }
    }
}

impl Series {
    pub(super) fn new(family: u32, labels: Arc<Labels>, parts: Parts) -> Series {
        Series {
            family,
            labels,
            parts,
            created: Created::Unset,
        }
    }

    pub(crate) fn family(&self) -> u32 {
        self.family
    }

    /// `[merge.created]`: takes in when one contributor's share was created, in nanoseconds since
    /// 1970; zero where it does not tell.
    pub(super) fn created(&mut self, created: u64) {
        self.created = match (self.created, created) {
            (Created::Untold, _) | (_, 0) => Created::Untold,
            (Created::Unset, created) => Created::Earliest(created),
            (Created::Earliest(earliest), created) => Created::Earliest(earliest.min(created)),
        };
    }

    pub(super) fn forget_creation(&mut self) {
        self.created = Created::Unset;
    }

    /// When it was created, in nanoseconds since 1970; zero where not every contributor tells.
    pub(crate) fn created_nanoseconds(&self) -> u64 {
        match self.created {
            Created::Earliest(nanoseconds) => nanoseconds,
            Created::Unset | Created::Untold => 0,
        }
    }

    pub(crate) fn created_seconds(&self) -> Option<f64> {
        match self.created {
            Created::Earliest(nanoseconds) => Some(nanoseconds as f64 / 1e9),
            Created::Unset | Created::Untold => None,
        }
    }
}

impl Bound {
    /// The infinite bound, which every histogram has.
    pub(crate) const INFINITE: Bound = Bound(f64::INFINITY);

    /// `None` for NaN, which bounds nothing.
    pub(crate) fn new(bound: f64) -> Option<Bound> {
        // So that the bounds -0 and 0 are one.
        (!bound.is_nan()).then_some(Bound(bound + 0.0))
    }

    pub(crate) fn value(self) -> f64 {
        self.0
    }
}

impl Eq for Bound {}

impl Hash for Bound {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Bound) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Bound) -> bool {
        self.cmp(other).is_eq()
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Bound) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
