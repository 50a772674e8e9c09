//! A guard that observes how long it lived.

use std::fmt;
use std::time::{Duration, Instant};

/// What takes a number of seconds.
pub(crate) trait Observe {
    fn observe_seconds(&self, seconds: f64);
}

/// Tells its metric, when it is dropped, how many seconds it lived.
///
/// ```
/// use headcount_writer::Registry;
///
/// let registry = Registry::private();
/// let seconds = registry.histogram("work_seconds", "Time to work.").register()?;
/// {
///     let _timer = seconds.start_timer();
///     // ... the work ...
/// }
/// seconds.start_timer().discard();
/// assert_eq!(seconds.count(), 1.0);
/// # Ok::<(), headcount_writer::RegisterError>(())
/// ```
#[must_use = "a timer that is dropped at once measures nothing"]
pub struct Timer<'a> {
    metric: Option<&'a (dyn Observe + Sync)>,
    start: Instant,
}

impl<'a> Timer<'a> {
    pub(crate) fn start(metric: &'a (dyn Observe + Sync)) -> Timer<'a> {
        Timer {
            metric: Some(metric),
            start: Instant::now(),
        }
    }

    /// Tells the metric now, and returns what it was told.
    pub fn stop(mut self) -> Duration {
        let elapsed = self.start.elapsed();
        if let Some(metric) = self.metric.take() {
            metric.observe_seconds(elapsed.as_secs_f64());
        }
        elapsed
    }

    /// Tells the metric nothing.
    pub fn discard(mut self) {
        self.metric = None;
    }
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        if let Some(metric) = self.metric {
            metric.observe_seconds(self.start.elapsed().as_secs_f64());
        }
    }
}

impl fmt::Debug for Timer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Timer")
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}
