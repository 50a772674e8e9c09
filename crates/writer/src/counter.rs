//! The counter.

use crate::describe::{Kind, OpaqueHandle, sealed::FromHandle};
use crate::series::Handle;

/// A value that only grows.
///
/// ```
/// use headcount_writer::Registry;
///
/// let registry = Registry::private();
/// let errors = registry.counter("parse_errors", "Lines that did not parse.").register()?;
/// let outcome: Result<i32, _> = errors.count_errors(|| "7x".parse());
/// assert!(outcome.is_err());
/// assert_eq!(errors.get(), 1.0);
/// # Ok::<(), headcount_writer::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counter(Handle);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.add(0, 1.0);
    }

    /// Adds `amount`. What is negative or no number is ignored: a counter never falls.
    #[inline]
    pub fn inc_by(&self, amount: f64) {
        if amount >= 0.0 {
            self.0.add(0, amount);
        }
    }

    /// What this process has counted.
    pub fn get(&self) -> f64 {
        self.0.value(0)
    }

    /// Runs `work` and adds one if it returns an error.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn count_errors<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        work().inspect_err(|_| self.inc())
    }

    /// Runs `work` and adds one if it panics.
    ///
    /// # Panics
    ///
    /// When `work` does.
    pub fn count_panics<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Watch<'a>(Option<&'a Counter>);
        impl Drop for Watch<'_> {
            fn drop(&mut self) {
                if let Some(counter) = self.0 {
                    counter.inc();
                }
            }
        }
        let mut watch = Watch(Some(self));
        let outcome = work();
        watch.0 = None;
        outcome
    }
}

impl FromHandle for Counter {
    fn from_handle(handle: OpaqueHandle) -> Counter {
        Counter(handle.0)
    }
}

impl Kind for Counter {}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn a_counter_never_falls() {
        let counter = Registry::private().counter("c", "C.").register().unwrap();
        counter.inc_by(2.5);
        counter.inc_by(-1.0);
        counter.inc_by(f64::NAN);
        assert_eq!(counter.get(), 2.5);
    }

    #[test]
    fn a_panic_is_counted_and_success_is_not() {
        let counter = Registry::private().counter("c", "C.").register().unwrap();
        assert_eq!(counter.count_panics(|| 7), 7);
        let panics = std::panic::AssertUnwindSafe(|| counter.count_panics(|| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(counter.get(), 1.0);
    }
}
