//! The histogram.

use crate::describe::{Kind, OpaqueHandle, sealed::FromHandle};
use crate::series::{Handle, add, load};
use crate::timer::{Observe, Timer};

/// Up to this many bounds are counted through; more are searched.
const COUNTED_BOUNDS: usize = 32;

/// Observations, counted by bucket and summed.
#[derive(Clone, Debug)]
pub struct Histogram(Handle);

impl Histogram {
    /// Counts `value`. What is no number is no observation, and is ignored: it would make the sum
    /// of the whole pool no number for ever. (Two infinities of different sign do so, too.)
    #[inline]
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = bucket(&self.0.series.family.description.bounds, value);
        self.0.update(|cells| {
            // [store.cells.histogram]: cell 0 is the sum, and comes last.
            add(&cells[1 + bucket], 1.0);
            add(&cells[0], value);
        });
    }

    /// How many observations this process has made.
    pub fn count(&self) -> f64 {
        let count = self.0.read(|cells| cells[1..].iter().map(load).sum());
        count.unwrap_or(0.0)
    }

    /// What the observations of this process add up to.
    pub fn sum(&self) -> f64 {
        self.0.value(0)
    }

    /// The upper bounds and, for each, how many observations of this process were at most that;
    /// `+Inf` comes last.
    pub fn buckets(&self) -> Vec<(f64, f64)> {
        let bounds = &self.0.series.family.description.bounds;
        let counts = self
            .0
            .read(|cells| cells[1..].iter().map(load).collect::<Vec<_>>());
        let counts = counts.unwrap_or_else(|| vec![0.0; bounds.len() + 1]);
        let mut count = 0.0;
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = bounds.zip(counts).map(|(bound, bucket)| {
            count += bucket;
            (bound, count)
        });
        cumulative.collect()
    }

    /// Observes the seconds that the guard lived.
    pub fn start_timer(&self) -> Timer<'_> {
        Timer::start(self)
    }

    /// Runs `work` and observes the seconds that it took.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let _timer = self.start_timer();
        work()
    }
}

/// The bucket of `value`: the first whose bound is not below it.
#[inline]
fn bucket(bounds: &[f64], value: f64) -> usize {
    if bounds.len() <= COUNTED_BOUNDS {
        // No branch depends on the value.
        bounds.iter().map(|&bound| usize::from(bound < value)).sum()
    } else {
        bounds.partition_point(|&bound| bound < value)
    }
}

impl Observe for Histogram {
    fn observe_seconds(&self, seconds: f64) {
        self.observe(seconds);
    }
}

impl FromHandle for Histogram {
    fn from_handle(handle: OpaqueHandle) -> Histogram {
        Histogram(handle.0)
    }
}

impl Kind for Histogram {}

#[cfg(test)]
mod tests {
    use crate::{Buckets, Registry};

    #[test]
    fn an_observation_falls_into_the_first_bucket_that_is_not_below_it() {
        for count in [3, 100] {
            let buckets = Buckets::linear(1.0, 1.0, count).unwrap();
            let registry = Registry::private();
            let histogram = registry
                .histogram("h", "H.")
                .buckets(buckets)
                .register()
                .unwrap();
            for value in [-1.0, 1.0, 1.5, 2.0, f64::INFINITY, f64::NAN] {
                histogram.observe(value);
            }
            let cumulative: Vec<f64> = histogram.buckets().iter().map(|bucket| bucket.1).collect();
            assert_eq!(cumulative[..3], [2.0, 4.0, 4.0]);
            assert_eq!(cumulative.len(), count + 1);
            assert_eq!(histogram.count(), 5.0);
            assert_eq!(histogram.sum(), f64::INFINITY);
        }
    }
}
