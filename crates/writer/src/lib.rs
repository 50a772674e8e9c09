//! Counters, gauges and histograms for the workers of a pool.
//!
//! Each worker counts into a store of its own: a file, mapped into memory, in a directory that the
//! pool shares. The sidecar `headcount` merges the stores and serves them as one exposition. An
//! update is a few instructions on memory; nothing is sent, nothing is locked, and a worker that is
//! killed loses nothing that it counted.
//!
//! ```
//! use headcount_writer::{Buckets, Registry};
//!
//! let registry = Registry::private();
//! let requests = registry
//!     .counter("http_requests", "Requests answered.")
//!     .register_family(["method", "code"])?;
//! let seconds = registry
//!     .histogram("http_request_seconds", "Time to answer a request.")
//!     .buckets(Buckets::exponential(0.001, 2.0, 14)?)
//!     .register()?;
//!
//! let answered = requests.with(["GET", "200"]);
//! seconds.time(|| answered.inc());
//!
//! assert_eq!(requests.with(["GET", "200"]).get(), 1.0);
//! assert_eq!(seconds.count(), 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A worker of a real pool opens its registry with [`Registry::from_env`], which finds the
//! directory that `headcount run` has made.
//!
//! # Forks
//!
//! Open the registry, register metrics and even count before a fork: a child finds every handle
//! usable, starts from zero in a store of its own at its first update, and never touches its
//! parent's. This holds for `fork`, and for a raw `clone` as far as the child may allocate memory,
//! which the C library promises for `fork` alone. (gVisor's kernel tells nobody of a raw `clone`:
//! a child that is made so must not count there.) A guard (a timer, something in progress) that is
//! alive at the fork ends in both processes, so it is better not alive then. Counting inside a
//! signal handler is not supported.
//!
//! A process that closes every descriptor it finds, as one that becomes a daemon does, should do so
//! before its first update: the store's descriptor proves that its writer lives. Without it the
//! store can no longer grow, and on an overlay, which is what a container's own file system is, the
//! worker is taken for dead.
//!
//! # A full disk
//!
//! A worker is never killed, blocked or refused because a disk is too full for its store. What finds
//! no room counts in this process's memory, and moves into the store at the next update of
//! something that waits, a second after the last try at the earliest, once there is room. It is
//! told: once on standard error, by [`Registry::trouble`], and by the sidecar's
//! `headcount_degraded_workers`. (Where the memory of a container is the disk, a limit of that memory
//! is another matter: the kernel then ends a worker without asking.)
//!
//! # Off Linux
//!
//! Everything compiles and counts in private memory, readable in process. A forked child goes on
//! with its parent's counts.

#![forbid(unsafe_code)]

mod buckets;
mod core;
mod counter;
mod describe;
mod error;
mod family;
mod gauge;
mod histogram;
mod info;
mod registry;
mod series;
mod state;
mod state_set;
mod summary;
mod timer;
mod validate;

pub use headcount_format::Mode;

pub use crate::{
    buckets::{Buckets, BucketsError},
    counter::Counter,
    describe::{Describe, Kind},
    error::{LabelError, OpenError, RegisterError},
    family::Family,
    gauge::{Gauge, InProgress},
    histogram::Histogram,
    info::Info,
    registry::{Registry, RegistryBuilder},
    state_set::StateSet,
    summary::Summary,
    timer::Timer,
};
