//! What becomes of what dead workers have counted: the ledger, as the kernel, real clients and a
//! real Prometheus see it.
//!
//! Mounts, namespaces and other users need root; a test that may not make them fails and says so.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod death;
mod denied;
mod folders;
mod modes;
mod peers;
mod places;
mod refused;
mod restarts;
mod roster;
mod shared;
