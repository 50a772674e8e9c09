//! The state set.

use crate::describe::{Kind, OpaqueHandle, sealed::FromHandle};
use crate::series::Handle;

/// One of several states, known as Enum in client_python.
///
/// ```
/// use headcount_writer::Registry;
///
/// let registry = Registry::private();
/// let states = ["starting", "running", "stopped"];
/// let task = registry.state_set("task_state", "What the task does.", states).register()?;
/// assert_eq!(task.get(), "starting");
/// assert!(task.set("running"));
/// assert!(!task.set("flying"));
/// assert_eq!(task.get(), "running");
/// # Ok::<(), headcount_writer::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateSet(Handle);

impl StateSet {
    /// Enters `state`. Returns whether there is such a state; if not, nothing changes.
    pub fn set(&self, state: &str) -> bool {
        let states = &self.0.series.family.description.states;
        let found = states.iter().position(|known| **known == *state);
        if let Some(index) = found {
            // One word, so that no reader ever sees two states, or none.
            self.0.set(index as f64);
        }
        found.is_some()
    }

    /// The state in which this process is.
    pub fn get(&self) -> &str {
        let states = &self.0.series.family.description.states;
        // A value that `set` has stored, so a small whole number.
        &states[self.0.get() as usize]
    }
}

impl FromHandle for StateSet {
    fn from_handle(handle: OpaqueHandle) -> StateSet {
        StateSet(handle.0)
    }
}

impl Kind for StateSet {}
