//! The gauge.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::describe::{Kind, OpaqueHandle, sealed::FromHandle};
use crate::series::Handle;
use crate::timer::{Observe, Timer};

/// A value that goes up and down.
///
/// How the values of many workers become one is its [`Mode`](crate::Mode).
#[derive(Clone, Debug)]
pub struct Gauge(Handle);

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Sets the value to the seconds since 1970.
    pub fn set_to_current_time(&self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.set(since.map_or(0.0, |since| since.as_secs_f64()));
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.change(1.0);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.0.change(-1.0);
    }

    /// Adds `amount`.
    #[inline]
    pub fn inc_by(&self, amount: f64) {
        self.0.change(amount);
    }

    /// Takes `amount` away.
    #[inline]
    pub fn dec_by(&self, amount: f64) {
        self.0.change(-amount);
    }

    /// What this process has set.
    pub fn get(&self) -> f64 {
        self.0.get()
    }

    /// Adds one until the guard is dropped.
    pub fn track_in_progress(&self) -> InProgress<'_> {
        self.inc();
        InProgress(self)
    }

    /// Sets the value to the seconds that the guard lived.
    pub fn start_timer(&self) -> Timer<'_> {
        Timer::start(self)
    }

    /// Runs `work` and sets the value to the seconds that it took.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let _timer = self.start_timer();
        work()
    }
}

impl Observe for Gauge {
    fn observe_seconds(&self, seconds: f64) {
        self.set(seconds);
    }
}

impl FromHandle for Gauge {
    fn from_handle(handle: OpaqueHandle) -> Gauge {
        Gauge(handle.0)
    }
}

impl Kind for Gauge {}

/// Takes one from its gauge when it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is never in progress"]
pub struct InProgress<'a>(&'a Gauge);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use crate::{Mode, Registry};

    #[test]
    fn every_mode_sets_changes_and_reads_alike() {
        for mode in Mode::ALL {
            let gauge = Registry::private()
                .gauge("g", "G.")
                .mode(mode)
                .register()
                .unwrap();
            assert_eq!(gauge.get(), 0.0);
            gauge.inc();
            gauge.inc_by(4.0);
            gauge.dec_by(2.0);
            assert_eq!(gauge.get(), 3.0, "{mode}");
            gauge.set(-7.5);
            gauge.dec();
            assert_eq!(gauge.get(), -8.5, "{mode}");
        }
    }

    #[test]
    fn what_is_in_progress_counts_until_it_ends() {
        let gauge = Registry::private().gauge("g", "G.").register().unwrap();
        let first = gauge.track_in_progress();
        let second = gauge.track_in_progress();
        assert_eq!(gauge.get(), 2.0);
        drop(first);
        assert_eq!(gauge.get(), 1.0);
        drop(second);
        assert_eq!(gauge.get(), 0.0);
    }
}
