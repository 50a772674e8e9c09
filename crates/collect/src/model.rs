//! What a merge yields: families, series and their values.
//!
//! Owns the model that every exposition encodes and every embedder reads. Knows neither where the
//! values came from nor how they are written out.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use headcount_format::{MetricType, Mode};

use crate::exposition::{escape, labels};

/// All that is exposed under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name as OpenMetrics 1.0 gives it: a counter's without `_total`, an info's without
    /// `_info`.
    pub name: Arc<str>,
    /// What the family counts, in a sentence; empty where no worker says.
    pub help: Arc<str>,
    /// The unit, which the name then ends with; empty where there is none.
    pub unit: Arc<str>,
    /// The type, which every value in `series` agrees with.
    pub metric_type: MetricType,
    /// `[merge.counter.bare]`: whether it is a counter whose samples have the family's own name, as
    /// those of old and of Ruby clients, without `_total`.
    pub is_bare: bool,
    /// Ordered by labels; no two have the same.
    pub series: Vec<Series>,
}

impl Family {
    /// Every name that the family and its samples have in any exposition, as it is written there.
    /// Two families that are served together have none of them in common.
    pub fn sample_names(&self) -> impl Iterator<Item = String> + use<> {
        let name = escape::metric_name(&self.name).into_owned();
        let all = self.metric_type.sample_suffixes();
        let suffixes = match self.is_bare {
            true => &all[..1],
            false => all,
        };
        suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
    }
}

/// One set of labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What tells the series apart from the others of its family.
    pub labels: Arc<Labels>,
    /// The merged value.
    pub value: Value,
    /// When the value began to count, in seconds since 1970; `None` where a contributor does not
    /// say, and for types that do not count.
    pub created: Option<f64>,
}

/// A merged value, by type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// The total of a counter.
    Counter(f64),
    /// The value of a gauge.
    Gauge(f64),
    /// Cumulative buckets in ascending order, the last of which is `+Inf` and so is the count.
    Histogram {
        /// At least one.
        buckets: Vec<Bucket>,
        /// The sum of all observations; `None` where no contributor has one.
        sum: Option<f64>,
    },
    /// Labels only.
    Info,
    /// One flag for each state.
    StateSet {
        /// The states' names, in the order in which the worker declares them.
        states: Arc<[Box<str>]>,
        /// Whether each of `states` holds.
        flags: Box<[bool]>,
    },
    /// Count, sum and quantiles of observations.
    Summary {
        /// How many there were; `None` where no contributor says.
        count: Option<f64>,
        /// What they add up to; `None` where no contributor says.
        sum: Option<f64>,
        /// In ascending order; only such as one contributor alone tells, since quantiles cannot be
        /// merged.
        quantiles: Vec<Quantile>,
    },
    /// A value of which nothing is known.
    Unknown(f64),
}

/// How many observations were at most `upper_bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The inclusive bound; `+Inf` in the last bucket.
    pub upper_bound: f64,
    /// Cumulative.
    pub count: f64,
}

/// The value that a share of the observations did not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// Which share, usually from 0 to 1.
    pub quantile: f64,
    /// The value; NaN where there were no observations.
    pub value: f64,
}

/// Names and values, ordered by name, no name twice.
///
/// Made once for a series and shared by every pass that follows.
#[derive(Clone, Default)]
pub struct Labels {
    pairs: Box<[(Box<str>, Box<str>)]>,
    /// A function of `pairs`: what every scrape writes, made once.
    rendered: Arc<[u8]>,
}

impl Labels {
    /// Orders `pairs` by name; of two with one name the last stays.
    pub fn new(pairs: impl IntoIterator<Item = (Box<str>, Box<str>)>) -> Labels {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.reverse();
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        pairs.dedup_by(|later, earlier| later.0 == earlier.0);
        Labels {
            rendered: labels::render(&pairs).into(),
            pairs: pairs.into_boxed_slice(),
        }
    }

    /// The pairs, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of the label `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .pairs
            .binary_search_by(|pair| (*pair.0).cmp(name))
            .ok()?;
        Some(&self.pairs[found].1)
    }

    /// The same labels with `name` set to `value`.
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let pairs = self.pairs.iter().cloned();
        Labels::new(pairs.chain([(name.into(), value.into())]))
    }

    /// The same labels without those that have no value; `None` where each has one.
    pub(crate) fn without_empty(&self) -> Option<Labels> {
        let has_value = |pair: &&(Box<str>, Box<str>)| !pair.1.is_empty();
        if self.pairs().iter().all(|pair| has_value(&pair)) {
            return None;
        }
        Some(Labels::new(self.pairs().iter().filter(has_value).cloned()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pairs, ordered by name.
    pub(crate) fn pairs(&self) -> &[(Box<str>, Box<str>)] {
        &self.pairs
    }

    /// The pairs as the text formats write them, without braces.
    pub(crate) fn rendered(&self) -> &Arc<[u8]> {
        &self.rendered
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pairs.hash(state);
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Labels) -> Ordering {
        self.pairs.cmp(&other.pairs)
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Labels) -> bool {
        self.pairs == other.pairs
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(
            pairs
                .iter()
                .map(|&(name, value)| (name.into(), value.into())),
        )
    }

    #[test]
    fn labels_are_ordered_by_name_and_the_last_of_one_name_stays() {
        let labels = labels(&[("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
    }

    #[test]
    fn a_label_that_is_set_replaces_the_one_of_its_name() {
        let with = labels(&[("pid", "user"), ("z", "1")]).with("pid", "7");
        assert_eq!(with, labels(&[("pid", "7"), ("z", "1")]));
    }
}
