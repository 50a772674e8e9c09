//! The store: the file in which one worker of a pool keeps its metrics.
//!
//! A worker writes a store through [`Store`]; a collector reads it through [`StoreReader`], while
//! it is written, from another process and even another container. Both follow `spec/store.md`,
//! clause by clause; what stands in brackets in this crate, like `[store.used]`, is a clause.
//!
//! This is the lowest floor of headcount: it knows what cells, series and families are, and nothing
//! of how they are counted, merged or exposed. All of the project's unsafe code is here, in the
//! modules `mapping`, `page`, `fork`, `lock`, `lease` and `stderr`.
//!
//! Off Linux there are no stores; cells in private memory, bindings and the model are there, so
//! that a worker's code compiles and counts everywhere.

pub mod catalog;
pub mod identity;
pub mod layout;
mod metric;
mod publication;
pub mod record;
mod sync;

#[cfg(not(loom))]
mod fork;
#[cfg(all(not(loom), target_os = "linux"))]
pub mod lease;
#[cfg(all(not(loom), target_os = "linux"))]
mod ledger;
#[cfg(all(not(loom), target_os = "linux"))]
pub mod lock;
#[cfg(not(loom))]
mod mapping;
#[cfg(not(loom))]
mod page;
#[cfg(all(not(loom), target_os = "linux"))]
mod pages;
#[cfg(all(not(loom), target_os = "linux"))]
mod reader;
#[cfg(not(loom))]
mod stderr;
#[cfg(all(not(loom), target_os = "linux"))]
mod store;

#[cfg(not(loom))]
pub use crate::{
    fork::{Binding, Kept, PerProcess, PushList},
    mapping::CellMemory,
    stderr::tell,
};
#[cfg(all(not(loom), target_os = "linux"))]
pub use crate::{
    ledger::{LedgerError, LedgerImage, LedgerValue},
    pages::{PageBuffer, READ_UNIT},
    reader::{CellBlock, ReadError, StoreReader},
    store::{NewStore, Place, Store, StoreError},
};
pub use crate::{
    metric::{MetricType, Mode, UnknownMode},
    publication::{stamp, stamped},
};
