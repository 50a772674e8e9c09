//! The sidecar stopped at each step of a fold.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use headcount_collect::collector::Collector;
use headcount_collect::model::Value;
use headcount_collect::report::Liveness;
use rustix::process::Signal;

use super::{await_fold, names};
use crate::pool::actor::Actor;
use crate::pool::worker;
use crate::support::exposition::Exposition;
use crate::support::processes::{Finished, Process, run};
use crate::support::random::{Random, seed};
use crate::support::sidecar::{ANY_PORT, Sidecar, collect, headcount};
use crate::support::{TempDir, files, python, workspace};

/// The steps, in their order.
const STEPS: [&str; 9] = [
    "lock",
    "clean",
    "set-aside",
    "read",
    "write",
    "sync",
    "publish",
    "settle",
    "delete",
];

// [fold.order] [ledger.folded] [ledger.whole]
#[test]
fn a_fold_that_stops_after_any_step_loses_nothing_and_leaves_nothing() {
    for step in STEPS {
        let pool = Graveyard::dig(3);
        let mut onlooker = pool.onlooker();
        pool.assert_whole(&mut onlooker, step);
        let stopped = pool.compact_until(step);
        assert!(ended_at_once(&stopped), "{step}: {stopped:?}");
        pool.assert_whole(&mut onlooker, step);
        // A second stop at the same step, in what the first has left.
        let stopped = pool.compact_until(step);
        // What is done is not done again, so that a step may not come any more.
        assert!(
            ended_at_once(&stopped) || stopped.status.success(),
            "{step}: {stopped:?}"
        );
        pool.assert_whole(&mut onlooker, step);
        let finished = pool.compact();
        assert!(finished.status.success(), "{step}: {finished:?}");
        pool.assert_whole(&mut onlooker, step);
        assert_eq!(names(pool.path()), ["headcount.ledger"], "{step}");
        let hidden = files::named(pool.path(), ".");
        assert!(hidden.is_empty(), "{step}: {hidden:?}");
    }
}

// [fold.order]
#[test]
fn folds_that_stop_after_steps_in_any_order_lose_nothing() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut pool = Graveyard::dig(1);
    let mut onlooker = pool.onlooker();
    for _ in 0..25 {
        pool.bury(random.below(3));
        let step = STEPS[random.below(STEPS.len() as u64) as usize];
        pool.compact_until(step);
        pool.assert_whole(&mut onlooker, &format!("seed {seed}, {step}"));
    }
    pool.compact();
    pool.assert_whole(&mut onlooker, &format!("seed {seed}"));
    assert_eq!(names(pool.path()), ["headcount.ledger"], "seed {seed}");
}

// [fold.order]: as above, by the sidecar that serves meanwhile.
#[test]
fn a_sidecar_that_stops_after_any_step_goes_on_after_its_restart() {
    for step in STEPS {
        let pool = Graveyard::dig(2);
        let mut onlooker = pool.onlooker();
        let mut command = headcount("serve");
        command.args([ANY_PORT, "--fold"]).arg(pool.path());
        command.env("HEADCOUNT_ABORT_AFTER", step);
        let stopped = Process::start(command).exit_status();
        assert_eq!(stopped.signal(), Some(Signal::ABORT.as_raw()), "{step}");
        pool.assert_whole(&mut onlooker, step);
        let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
        pool.assert_served(&sidecar.metrics(), step);
        await_fold(pool.path());
        pool.assert_served(&sidecar.metrics(), step);
        pool.assert_whole(&mut onlooker, step);
    }
}

// [fold.lock]
#[test]
fn of_two_that_fold_one_directory_the_second_says_so_and_serves_the_same() {
    let pool = Graveyard::dig(1);
    let mut first = Sidecar::serve_with(pool.path(), &["--fold"]);
    await_fold(pool.path());
    let second = Sidecar::serve_with(pool.path(), &["--fold"]);
    let state = |sidecar: &Sidecar, state: &str| {
        let own = sidecar.self_metrics();
        own.sum("headcount_fold_state", &[&format!("state=\"{state}\"")])
    };
    second
        .process
        .wait_for_line("who folds", |line| line.contains("another headcount folds"));
    assert_eq!(
        (state(&first, "folds"), state(&second, "elsewhere")),
        (1.0, 1.0)
    );
    let compacted = pool.compact();
    assert!(compacted.status.success(), "{compacted:?}");
    assert!(
        compacted.stderr.contains("another headcount folds"),
        "{compacted:?}"
    );
    for sidecar in [&first, &second] {
        pool.assert_served(&sidecar.metrics(), "beside each other");
    }
    // The second takes over as soon as there is something to do.
    first.process.signal(Signal::KILL);
    first.process.exit_status();
    let mut pool = pool;
    pool.bury(2);
    await_fold(pool.path());
    pool.assert_served(&second.metrics(), "after the first has ended");
    assert_eq!(state(&second, "folds"), 1.0);
}

/// A pool of dead workers, and what they had counted.
struct Graveyard {
    directory: TempDir,
    rust: u64,
    python: u64,
}

impl Graveyard {
    fn dig(workers: u64) -> Graveyard {
        let mut graveyard = Graveyard {
            directory: TempDir::new(),
            rust: 0,
            python: 0,
        };
        graveyard.bury(workers);
        graveyard
    }

    /// As many more workers of either language, each killed after some jobs.
    fn bury(&mut self, workers: u64) {
        for worker in 0..workers {
            let jobs = 3 + worker;
            let mut rust = worker::start(self.path(), "");
            worker::tell(&mut rust, &format!("work {jobs}"));
            rust.kill();
            self.rust += jobs;
            let mut command = Command::new(python::interpreter());
            command.arg(workspace().join("tests/peers/counting.py"));
            command.env("PROMETHEUS_MULTIPROC_DIR", self.path());
            let mut python = Actor::start(command);
            assert_eq!(python.ask(&format!("work {jobs}")), "done");
            python.kill();
            self.python += jobs;
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn compact(&self) -> Finished {
        run(self.compaction())
    }

    fn compact_until(&self, step: &str) -> Finished {
        let mut command = self.compaction();
        command.env("HEADCOUNT_ABORT_AFTER", step);
        run(command)
    }

    fn compaction(&self) -> Command {
        let mut command = headcount("compact");
        command.arg("--fold").arg(self.path());
        command
    }

    /// A reader that goes on through all of it.
    fn onlooker(&self) -> Collector {
        let mut collector = Collector::new();
        collector.add_directory(self.path());
        collector
    }

    /// Sees the same through a reader that begins, and through one that goes on.
    fn assert_whole(&self, onlooker: &mut Collector, when: &str) {
        let collected = Exposition::parse(&collect(self.path(), "text"));
        self.assert_served(&collected, when);
        let collection = onlooker.collect(|_| Liveness::Dead);
        let family = collection
            .families
            .iter()
            .find(|family| &*family.name == "jobs");
        let family = family.unwrap_or_else(|| panic!("{when}: no jobs"));
        let total = self.rust + self.python;
        assert_eq!(
            family.series[0].value,
            Value::Counter(total as f64),
            "{when}"
        );
    }

    fn assert_served(&self, served: &Exposition, when: &str) {
        let total = (self.rust + self.python) as f64;
        assert_eq!(served.value("jobs_total"), Some(total), "{when}");
        assert_eq!(
            served.value("own_jobs_total"),
            Some(self.rust as f64),
            "{when}"
        );
        assert_eq!(served.value("seconds_count"), Some(total), "{when}");
        assert_eq!(served.value("seconds_sum"), Some(0.5 * total), "{when}");
        assert_eq!(
            served.value("sizes_sum"),
            Some(100.0 * self.rust as f64),
            "{when}"
        );
    }
}

fn ended_at_once(finished: &Finished) -> bool {
    finished.status.signal() == Some(Signal::ABORT.as_raw())
}
