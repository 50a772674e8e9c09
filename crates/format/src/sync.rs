//! Atomics, so that loom can stand in for the standard ones.
//!
//! Owns nothing but the choice. Every module of this crate that publishes or reads shared words
//! takes its atomics from here.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
