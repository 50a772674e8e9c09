//! What a family is: its type and, for a gauge or a state set, its multiprocess mode.
//!
//! Owns the two words that every floor uses for them. Knows nothing of bytes: how a store writes
//! them is [`crate::record`]'s business.

use std::fmt;
use std::str::FromStr;

/// The type of a metric family, in the terms of OpenMetrics 1.0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum MetricType {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Observations, counted by bucket.
    Histogram,
    /// Labels that describe the worker; the value is always 1.
    Info,
    /// One of a fixed list of states, exactly one of which holds.
    StateSet,
    /// Observations, counted and summed.
    Summary,
    /// A value of which nothing is known.
    Unknown,
}

impl MetricType {
    /// The name that OpenMetrics 1.0 gives the type.
    pub fn name(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
            MetricType::Summary => "summary",
            MetricType::Unknown => "unknown",
        }
    }

    /// What follows the family's name in the names of its samples, in any exposition; and nothing,
    /// for the name itself. Two families must not have one of these names between them.
    pub fn sample_suffixes(self) -> &'static [&'static str] {
        match self {
            MetricType::Counter => &["", "_total", "_created"],
            MetricType::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
            MetricType::Summary => &["", "_count", "_sum", "_created"],
            MetricType::Info => &["", "_info"],
            MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[""],
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How the values of one gauge in many workers become one: client_python's ten multiprocess modes.
///
/// The `Live` modes count living workers only; the others keep the value of a worker that died.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// One series for each worker, told apart by the label `pid`. The default, as in client_python.
    #[default]
    All,
    /// [`Mode::All`], living workers only.
    LiveAll,
    /// The greatest value.
    Max,
    /// [`Mode::Max`], living workers only.
    LiveMax,
    /// The smallest value.
    Min,
    /// [`Mode::Min`], living workers only.
    LiveMin,
    /// The value that was set last.
    MostRecent,
    /// [`Mode::MostRecent`], living workers only.
    LiveMostRecent,
    /// The sum of all values.
    Sum,
    /// [`Mode::Sum`], living workers only.
    LiveSum,
}

impl Mode {
    /// Every mode, in the order of their names.
    pub const ALL: [Mode; 10] = [
        Mode::All,
        Mode::LiveAll,
        Mode::LiveMax,
        Mode::LiveMin,
        Mode::LiveMostRecent,
        Mode::LiveSum,
        Mode::Max,
        Mode::Min,
        Mode::MostRecent,
        Mode::Sum,
    ];

    /// The name that client_python gives the mode.
    pub fn name(self) -> &'static str {
        match self {
            Mode::All => "all",
            Mode::LiveAll => "liveall",
            Mode::Max => "max",
            Mode::LiveMax => "livemax",
            Mode::Min => "min",
            Mode::LiveMin => "livemin",
            Mode::MostRecent => "mostrecent",
            Mode::LiveMostRecent => "livemostrecent",
            Mode::Sum => "sum",
            Mode::LiveSum => "livesum",
        }
    }

    /// Whether a dead worker's value is left out.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Mode::LiveAll | Mode::LiveMax | Mode::LiveMin | Mode::LiveMostRecent | Mode::LiveSum
        )
    }

    /// Whether each worker keeps a series of its own, told apart by the label `pid`.
    pub fn is_per_worker(self) -> bool {
        matches!(self, Mode::All | Mode::LiveAll)
    }

    /// Whether a value is compared by the time at which it was set.
    pub fn is_most_recent(self) -> bool {
        matches!(self, Mode::MostRecent | Mode::LiveMostRecent)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names none of the ten multiprocess modes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownMode;

impl fmt::Display for UnknownMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a multiprocess mode")
    }
}

impl std::error::Error for UnknownMode {}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Mode, UnknownMode> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.name() == name)
            .ok_or(UnknownMode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_found_by_its_name() {
        for mode in Mode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert_eq!("average".parse::<Mode>(), Err(UnknownMode));
    }

    #[test]
    fn live_modes_are_those_whose_name_says_so() {
        for mode in Mode::ALL {
            assert_eq!(mode.is_live(), mode.name().starts_with("live"), "{mode}");
        }
    }
}
