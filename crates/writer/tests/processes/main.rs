//! What only real processes can show of a writer: forks, kills and full disks.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod crowded_disk;
mod directory;
mod fork;
mod fork_storm;
mod full_disk;
mod kill;
mod lean;
mod lock;
mod preload;
mod support;
mod threads;

/// Not a test by itself: what the others start as processes of their own. It does nothing unless
/// one of them gives it a part.
#[test]
fn an_actor_acts_the_part_that_it_is_given() {
    match support::actor::part().as_deref() {
        None => {}
        Some("clerk") => fork::clerk(),
        Some("family") => fork::family(),
        Some("outlived") => fork::outlived(),
        Some("old kernel") => fork::clerk_on_an_old_kernel(),
        Some("storm") => kill::storm(),
        Some("multitude") => fork_storm::multitude(),
        Some("preloaded") => preload::preloaded(),
        Some("daemon") => lock::daemon(),
        Some("holder") => lock::holder(),
        Some("tenant") => crowded_disk::tenant(),
        Some("limited") => full_disk::limited(),
        Some("stranger") => directory::stranger(),
        Some(other) => panic!("there is no part {other}"),
    }
}
