//! Workers that die, the files that they leave, and how a sidecar says that it fares with them.

use std::fs;
use std::path::{Path, PathBuf};

use headcount_format::layout::{HEADER_BYTES, Header, LEDGER_NAME};
use rustix::process::Signal;

use crate::pool::worker::{start, tell};
use crate::support::exposition::Exposition;
use crate::support::processes::{Finished, run};
use crate::support::sidecar::{Sidecar, headcount};
use crate::support::{eventually, files};

/// Lets a worker of headcount-writer count so many jobs, and kills it.
pub(super) fn lives_and_dies(directory: &Path, jobs: u32) {
    let mut worker = start(directory, "");
    tell(&mut worker, &format!("work {jobs}"));
    worker.kill();
}

/// A directory whose ledger holds so many jobs, and nothing else.
pub(super) fn fold_once(directory: &Path, jobs: u32) {
    lives_and_dies(directory, jobs);
    let finished = compact(directory, &[]);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(names(directory), [LEDGER_NAME]);
}

/// Runs `headcount compact`.
pub(super) fn compact(directory: &Path, flags: &[&str]) -> Finished {
    let mut command = headcount("compact");
    command.args(flags).arg(directory);
    run(command)
}

/// Waits until nothing but the ledger is left.
pub(super) fn wait_until_all_is_folded(directory: &Path) {
    eventually("all files of the dead to be folded", || {
        (names(directory) == [LEDGER_NAME]).then_some(())
    });
}

/// Kills a sidecar with SIGKILL; it is gone, and so are its locks.
pub(super) fn kill(mut sidecar: Sidecar) {
    sidecar.process.signal(Signal::KILL);
    sidecar.process.exit_status();
}

/// The jobs that a scrape tells of, whoever has done them.
pub(super) fn jobs(sidecar: &Sidecar) -> f64 {
    sidecar.metrics().sum("jobs_total", &[])
}

/// In which state folding is, of the only directory.
pub(super) fn fold_state(own: &Exposition) -> String {
    let holds = |sample: &&String| {
        sample.starts_with("headcount_fold_state{") && own.value(sample) == Some(1.0)
    };
    let states: Vec<&String> = own.samples.keys().filter(holds).collect();
    let [state] = states[..] else {
        panic!("folding is in one state: {states:?}")
    };
    let (_, state) = state.split_once("state=\"").expect("it has the label");
    state.trim_end_matches("\"}").to_owned()
}

pub(super) fn wait_for_state(sidecar: &Sidecar, state: &str) {
    eventually(&format!("folding to be in the state {state}"), || {
        (fold_state(&sidecar.self_metrics()) == state).then_some(())
    });
}

/// The names of what lies in a directory, in order.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let paths = files::named(directory, "").into_iter();
    let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into());
    paths
        .map(|path| name(path).expect("an entry has a name"))
        .collect()
}

/// Changes the header of a store.
pub(super) fn patch(path: &Path, change: impl FnOnce(&mut Header)) {
    let mut bytes = fs::read(path).expect("a store can be read");
    let header = bytes.first_chunk_mut::<{ HEADER_BYTES as usize }>();
    let header = header.expect("a store has a header");
    let mut decoded = Header::decode(header).expect("the header is good");
    change(&mut decoded);
    *header = decoded.encode();
    fs::write(path, bytes).expect("a store can be written");
}
