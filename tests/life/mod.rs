//! Life and death of workers: killed at any moment, beside a sidecar that is killed as well.
//!
//! What is expected is what the workers acknowledged, through pipes, after they had counted it.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod churn;
mod crash;
mod storm;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::pool::actor::{self, program};
use crate::support::WATCHDOG;
use crate::support::sidecar::check;

/// Not a test by itself: what the others start as processes of their own. It does nothing unless
/// one of them gives it a part.
#[test]
fn an_actor_acts_the_part_that_it_is_given() {
    match actor::part().as_deref() {
        None => {}
        Some("breeder") => storm::breeder(),
        Some("crowd") => churn::crowd(),
        Some(other) => panic!("there is no part {other}"),
    }
}

/// The command that starts an actor with a pool's directory in its environment.
fn part(part: &str, directory: &Path) -> Command {
    let mut command = program("life::an_actor_acts_the_part_that_it_is_given", part);
    command.env("HEADCOUNT_DIR", directory);
    command
}

/// Waits until all that is left of a pool is in its ledger.
fn await_fold(directory: &Path) {
    let deadline = Instant::now() + WATCHDOG;
    while names(directory) != ["headcount.ledger"] {
        let left = names(directory);
        assert!(
            Instant::now() < deadline,
            "not folded: {left:?}\n{}",
            check(directory).stdout
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The files of a directory that is polled, without those that are being made.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
