//! A sidecar of another user than the workers: what it may still know, what it says of the rest, and
//! that nothing is dropped that is not known to be dead.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use rustix::process::geteuid;

use super::worker::{Client, arguments, jobs, known_by, level, new_files, start, wait_for_release};
use crate::support::exposition::Exposition;
use crate::support::processes::run;
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, files};

// [life.unknown] [merge.live.unknown]
#[test]
fn a_sidecar_of_another_user_knows_the_stores_tells_of_the_rest_and_drops_nothing_wrongly() {
    let stranger = Stranger::new(&[]);
    let left = stranger.sees_the_workers_killed();
    // The lock needs no more than reading.
    assert_eq!(
        left.level,
        [15.0, 7.0],
        "all that is not known to be dead counts"
    );
    let census = ["live", "dead", "unknown"].map(|state| left.workers(state));
    assert_eq!(census, [0.0, 1.0, 3.0]);
    let methods = ["lock", "lease", "proc", "none"].map(|method| known_by(&left.own, method));
    assert_eq!(methods, [1.0, 0.0, 0.0, 6.0]);
    let uid = fs::metadata(stranger.pool.path()).unwrap().uid();
    let line = format!(
        "liveness: 1 file by lock, 6 not told (owned by uid {uid}: run headcount as that \
         user, or give it CAP_LEASE)\n"
    );
    assert!(left.check.contains(&line), "{}", left.check);
    assert!(
        left.check.starts_with("nothing is wrong\n"),
        "{}",
        left.check
    );
    assert!(left.check.lines().count() < 24, "{}", left.check);
}

// [life.unknown]: what is advised helps.
#[test]
fn a_sidecar_of_another_user_with_cap_lease_knows_all() {
    let stranger = Stranger::new(&["--inh-caps=+lease", "--ambient-caps=+lease"]);
    let left = stranger.sees_the_workers_killed();
    assert_eq!(left.level, [15.0, 0.0]);
    assert_eq!(left.workers("dead"), 4.0);
    let line = "liveness: 6 files by lease, 1 by lock\n";
    assert!(left.check.contains(line), "{}", left.check);
}

// [life.proc]
#[test]
fn a_sidecar_that_may_look_at_processes_finds_the_living_and_takes_nobody_else_for_dead() {
    let stranger = Stranger::new(&[
        "--inh-caps=+sys_ptrace,+dac_read_search",
        "--ambient-caps=+sys_ptrace,+dac_read_search",
    ]);
    let before = stranger.before_they_are_killed();
    let methods = ["lock", "proc", "none"].map(|method| known_by(&before, method));
    assert_eq!(methods, [1.0, 6.0, 0.0]);
    let left = stranger.sees_the_workers_killed();
    assert_eq!(left.level, [15.0, 7.0]);
    let methods = ["lock", "proc", "none"].map(|method| known_by(&left.own, method));
    assert_eq!(methods, [1.0, 0.0, 6.0]);
}

/// A pool of one worker of every client, and a headcount of another user.
struct Stranger {
    pool: TempDir,
    rules: TempDir,
    program: TempDir,
    capabilities: Vec<String>,
}

/// What it says when all workers are killed.
struct Left {
    /// The sum of the live gauge before and after.
    level: [f64; 2],
    own: Exposition,
    check: String,
}

impl Left {
    fn workers(&self, state: &str) -> f64 {
        let state = format!("state=\"{state}\"");
        self.own.sum("headcount_workers", &[&state])
    }
}

impl Stranger {
    fn new(capabilities: &[&str]) -> Stranger {
        assert!(
            geteuid().is_root(),
            "this test needs another user: run it as root, as CI does"
        );
        let program = TempDir::on_disk();
        // Where anybody may execute it.
        files::set_mode(program.path(), 0o755);
        let copy = program.join("headcount");
        fs::copy(env!("CARGO_BIN_EXE_headcount"), &copy).expect("the program can be copied");
        files::set_mode(&copy, 0o755);
        Stranger {
            pool: TempDir::new(),
            rules: TempDir::new(),
            program,
            capabilities: capabilities.iter().map(ToString::to_string).collect(),
        }
    }

    fn command(&self, subcommand: &str, arguments: Vec<OsString>) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--clear-groups"])
            .args(&self.capabilities)
            .arg(self.program.join("headcount"))
            .env_remove("HEADCOUNT_DIR")
            .env_remove("PROMETHEUS_MULTIPROC_DIR")
            .current_dir("/")
            .arg(subcommand)
            .args(arguments);
        command
    }

    fn serve(&self) -> Sidecar {
        let arguments = arguments(self.pool.path(), &self.rules);
        Sidecar::start(self.command("serve", arguments))
    }

    /// What it says of itself while the workers run.
    fn before_they_are_killed(&self) -> Exposition {
        let workers = Client::ALL.map(|client| start(client, self.pool.path(), 0));
        self.make_readable();
        let own = self.serve().self_metrics();
        drop(workers);
        for file in files::named(self.pool.path(), "") {
            fs::remove_file(file).expect("a file can be deleted");
        }
        own
    }

    fn sees_the_workers_killed(&self) -> Left {
        let workers = Client::ALL.into_iter().zip([1, 2, 4, 8]);
        let mut workers: Vec<_> = workers
            .map(|(client, level)| start(client, self.pool.path(), level))
            .collect();
        self.make_readable();
        let sidecar = self.serve();
        let before = sidecar.metrics();
        for worker in &mut workers {
            worker.kill();
        }
        wait_for_release(&new_files(self.pool.path(), &[]));
        let after = sidecar.metrics();
        assert_eq!([jobs(&before), jobs(&after)], [4.0, 4.0]);
        let mut arguments = arguments(self.pool.path(), &self.rules);
        // All but the port.
        let check = self.command("check", arguments.split_off(1));
        Left {
            level: [level(&before), level(&after)],
            own: sidecar.self_metrics(),
            check: run(check).stdout,
        }
    }

    /// As a group that both containers are in would make it.
    fn make_readable(&self) {
        files::set_mode(self.pool.path(), 0o755);
        for file in files::named(self.pool.path(), "") {
            files::set_mode(&file, 0o644);
        }
    }
}
