//! Texts of metrics, read back: our own, random ones and hostile ones.

mod entry;
#[expect(dead_code, reason = "each test has names of its own")]
#[path = "../families/mod.rs"]
mod families;
mod hostile;
mod round_trip;
