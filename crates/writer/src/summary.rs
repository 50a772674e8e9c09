//! The summary.

use crate::describe::{Kind, OpaqueHandle, sealed::FromHandle};
use crate::series::{Handle, add};
use crate::timer::{Observe, Timer};

/// Observations, counted and summed.
#[derive(Clone, Debug)]
pub struct Summary(Handle);

impl Summary {
    /// Counts `value`. What is no number is no observation, and is ignored.
    #[inline]
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.0.update(|cells| {
            // [store.cells.summary]: cell 0 is the sum, and comes last.
            add(&cells[1], 1.0);
            add(&cells[0], value);
        });
    }

    /// How many observations this process has made.
    pub fn count(&self) -> f64 {
        self.0.value(1)
    }

    /// What the observations of this process add up to.
    pub fn sum(&self) -> f64 {
        self.0.value(0)
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

impl Observe for Summary {
    fn observe_seconds(&self, seconds: f64) {
        self.observe(seconds);
    }
}

impl FromHandle for Summary {
    fn from_handle(handle: OpaqueHandle) -> Summary {
        Summary(handle.0)
    }
}

impl Kind for Summary {}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn observations_are_counted_and_summed() {
        let summary = Registry::private().summary("s", "S.").register().unwrap();
        summary.observe(0.5);
        summary.observe(-2.0);
        summary.observe(f64::NAN);
        assert_eq!((summary.count(), summary.sum()), (2.0, -1.5));
    }
}
