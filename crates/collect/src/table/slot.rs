//! Where contributions become one value.
//!
//! Owns the operations (`spec/merge.md`, chapter 3). Knows neither families nor files.

use headcount_format::Mode;

use crate::exact::ExactSum;

/// Where contributions become one value.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    operation: Operation,
    nature: Nature,
    /// Whether anything has contributed in this pass.
    is_set: bool,
    sum: ExactSum,
    value: f64,
    /// The time of `value`.
    stamp: f64,
}

/// What becomes of a contribution when its contributor is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// It stays, and never falls: a counter, a bucket, a count.
    Counting,
    /// It goes, and with `is_live` already when the worker dies: a gauge, an info.
    Level { is_live: bool },
    /// It stays, and may fall: the sum of observations.
    Summing,
}

/// How contributions become one value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    Add,
    Max,
    Min,
    MostRecent,
    /// Of two workers with one pid, the younger's.
    Youngest,
}

/// What lasts as long as its contributor, dead or alive.
pub(super) const LEVEL: Nature = Nature::Level { is_live: false };

impl Operation {
    pub(super) fn of(mode: Mode) -> Operation {
        match mode {
            Mode::All | Mode::LiveAll => Operation::Youngest,
            Mode::Max | Mode::LiveMax => Operation::Max,
            Mode::Min | Mode::LiveMin => Operation::Min,
            Mode::MostRecent | Mode::LiveMostRecent => Operation::MostRecent,
            Mode::Sum | Mode::LiveSum => Operation::Add,
        }
    }
}

impl Slot {
    pub(super) fn new(operation: Operation, nature: Nature) -> Slot {
        Slot {
            operation,
            nature,
            is_set: false,
            sum: ExactSum::new(),
            value: 0.0,
            stamp: 0.0,
        }
    }

    pub(super) fn nature(&self) -> Nature {
        self.nature
    }

    /// Forgets the value of the last pass.
    pub(super) fn clear(&mut self) {
        self.is_set = false;
        if self.operation == Operation::Add {
            self.sum = ExactSum::new();
        }
    }

    /// Adds what contributors that are gone have left.
    pub(super) fn add(&mut self, departed: &ExactSum) {
        self.is_set = true;
        self.sum.merge(departed);
    }

    /// The value, if anything has contributed.
    pub(super) fn value(&self) -> Option<f64> {
        self.is_set.then(|| match self.operation {
            Operation::Add => self.sum.value(),
            _ => self.value,
        })
    }

    #[inline]
    pub(super) fn contribute(&mut self, value: f64, stamp: f64) {
        match self.operation {
            Operation::Add => self.sum.add(value),
            Operation::Max => self.keep(value, 0.0, |old, _| above(value, old)),
            Operation::Min => self.keep(value, 0.0, |old, _| above(-value, -old)),
            // [merge.gauge.mostrecent]: what was never set is not exposed.
            Operation::MostRecent if stamp > 0.0 => {
                self.keep(value, stamp, |old, old_stamp| {
                    stamp > old_stamp || (stamp == old_stamp && above(value, old))
                });
            }
            Operation::MostRecent => return,
            Operation::Youngest => self.keep(value, 0.0, |_, _| true),
        }
        self.is_set = true;
    }

    fn keep(&mut self, value: f64, stamp: f64, prevails: impl Fn(f64, f64) -> bool) {
        if !self.is_set || prevails(self.value, self.stamp) {
            self.value = value;
            self.stamp = stamp;
        }
    }
}

/// `[merge.gauge.nan]`: whether `value` prevails as the greater: any number over no number.
fn above(value: f64, old: f64) -> bool {
    value > old || (old.is_nan() && !value.is_nan())
}
