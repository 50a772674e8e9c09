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
    /// Who told `value`, where that matters.
    by: Contributor,
    is_contested: bool,
}

/// Who contributes: one file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Contributor {
    /// Its number in the pass.
    pub(crate) number: u32,
    /// Whether its worker is known to be dead.
    pub(crate) is_dead: bool,
    /// Since when, in nanoseconds since 1970; zero where that is not known.
    pub(crate) died: u64,
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
    /// What one contributor alone says; of two, none.
    Only,
    /// Of two workers with one pid, the younger's; what one worker has in several is added up.
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
            by: Contributor::default(),
            is_contested: false,
        }
    }

    pub(super) fn nature(&self) -> Nature {
        self.nature
    }

    /// Forgets the value of the last pass.
    pub(super) fn clear(&mut self) {
        self.is_set = false;
        self.is_contested = false;
        if self.operation == Operation::Add {
            self.sum = ExactSum::new();
        }
    }

    /// Whether anything has contributed in this pass.
    pub(super) fn is_set(&self) -> bool {
        self.is_set
    }

    /// Whether it belongs to one worker.
    pub(super) fn is_own(&self) -> bool {
        self.operation == Operation::Youngest
    }

    /// The exact sum, where values are added.
    pub(super) fn sum(&self) -> Option<&ExactSum> {
        (self.is_set && self.operation == Operation::Add).then_some(&self.sum)
    }

    /// The time of the value, in seconds since 1970, where that matters.
    pub(super) fn stamp(&self) -> f64 {
        self.stamp
    }

    /// Adds what contributors that are gone have left.
    pub(super) fn add(&mut self, departed: &ExactSum) {
        self.is_set = true;
        self.sum.merge(departed);
    }

    /// The value, if anything has contributed.
    pub(super) fn value(&self) -> Option<f64> {
        self.is_set
            .then(|| match self.operation {
                Operation::Add => self.sum.value(),
                _ => self.value,
            })
            .filter(|_| self.operation != Operation::Only || !self.is_contested)
    }

    /// Whether more than one has told a value that only one can have.
    pub(super) fn is_contested(&self) -> bool {
        self.is_contested
    }

    #[inline]
    pub(super) fn contribute(&mut self, value: f64, stamp: f64, by: Contributor) {
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
            Operation::Only | Operation::Youngest => self.claim(value, by),
        }
        self.is_set = true;
    }

    /// `[merge.gauge.youngest]`: any that lives goes before the dead, the last that died before the
    /// others, and else the one who tells later is the younger; `[rules.drop-label]`: what one
    /// contributor tells of what was several series is added up.
    fn claim(&mut self, value: f64, by: Contributor) {
        let is_one = self.is_set && self.by.number == by.number;
        if is_one && self.operation == Operation::Youngest {
            self.value += value;
            return;
        }
        let is_older = by.is_dead && (!self.by.is_dead || by.died < self.by.died);
        if self.is_set && is_older {
            return;
        }
        // A dead worker's name is free for the next.
        let is_past = self.operation == Operation::Youngest && (self.by.is_dead || by.is_dead);
        self.is_contested |= self.is_set && !is_past;
        self.value = value;
        self.by = by;
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
