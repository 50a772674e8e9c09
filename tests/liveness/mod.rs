//! Who lives, as the kernel proves it of the workers of every client: started, killed with SIGKILL,
//! and gone from the live gauges at the first scrape after that, with nobody to tell.
//!
//! Mounts, namespaces and other users need root; a test that may not make them fails and says so.

mod namespaces;
mod places;
mod strangers;
mod successors;
pub(crate) mod worker;
