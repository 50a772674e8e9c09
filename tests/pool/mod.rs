//! A pool of Rust workers, the sidecar beside it, and what a scraper gets to see.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

#[path = "../../crates/writer/tests/processes/support/actor.rs"]
pub(crate) mod actor;
mod counting;
mod created;
mod full_disk;
mod growth;
mod modes;
mod namespaces;
#[path = "../../crates/writer/tests/processes/support/raw.rs"]
pub(crate) mod raw;
pub(crate) mod worker;

/// Not a test by itself: what the others start as processes of their own. It does nothing unless
/// one of them gives it a part.
#[test]
fn an_actor_acts_the_part_that_it_is_given() {
    match actor::part().as_deref() {
        None => {}
        Some("grower") => growth::grower(),
        Some("tenant") => full_disk::tenant(),
        Some("supervisor") => counting::supervisor(),
        Some("worker") => worker::worker(),
        Some(other) => panic!("there is no part {other}"),
    }
}
