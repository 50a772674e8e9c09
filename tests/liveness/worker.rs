//! Workers of every client that do what they are told, in series of the same names, and a sidecar
//! that is asked about them.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use headcount_format::lease::{Lease, probe};

use crate::pool::actor::Actor;
use crate::pool::worker;
use crate::support::exposition::Exposition;
use crate::support::files;
use crate::support::sidecar::{ANY_PORT, headcount};
use crate::support::{TempDir, eventually, python, workspace};

/// Whose client a worker has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    /// Ruby's prometheus-client, its DirectFileStore; a look-alike.
    Direct,
    /// GitLab's prometheus-client-mmap.
    GitLab,
    /// Python's prometheus_client.
    Python,
    /// headcount-writer.
    Store,
}

impl Client {
    pub(crate) const ALL: [Client; 4] = [
        Client::Direct,
        Client::GitLab,
        Client::Python,
        Client::Store,
    ];

    /// The command that starts a worker, of an identifier that is its pid unless one is given.
    pub(crate) fn command(self, directory: &Path, identifier: &[&str]) -> Command {
        let living = |name: &str| workspace().join("tests/peers/living").join(name);
        let mut command = match self {
            Client::Store => worker::command(directory),
            Client::Python => {
                let mut command = Command::new(python::interpreter());
                command.arg("-B").arg(living("python.py"));
                command
            }
            Client::GitLab | Client::Direct => Command::new("ruby"),
        };
        match self {
            Client::Direct => command.arg(living("direct.rb")).arg(directory),
            Client::GitLab => command.arg(living("gitlab.rb")),
            Client::Python | Client::Store => &mut command,
        };
        command
            .args(identifier)
            .env("PROMETHEUS_MULTIPROC_DIR", directory)
            .env("prometheus_multiproc_dir", directory);
        command
    }

    /// How the sidecar knows whether its workers run.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Client::Store => "lock",
            Client::Direct | Client::GitLab | Client::Python => "lease",
        }
    }
}

/// A worker that has `level` in the gauge and has counted one job.
pub(crate) fn start(client: Client, directory: &Path, level: u32) -> Actor {
    at_work(client.command(directory, &[]), level)
}

/// The same, of what is or becomes a worker.
pub(crate) fn at_work(command: Command, level: u32) -> Actor {
    let mut worker = worker::start_as(command, "");
    worker::tell(&mut worker, &format!("gauge livesum {level}"));
    worker::tell(&mut worker, "work 1");
    worker
}

/// `command`, started by `program` with these arguments.
pub(crate) fn started_by(program: &str, arguments: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(program);
    outer
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// `headcount serve` of a directory, by rules that say what the metrics of a DirectFileStore are.
pub(crate) fn serve(directory: &Path, rules: &TempDir) -> Command {
    let mut command = headcount("serve");
    command.args(arguments(directory, rules));
    command
}

/// The arguments of [`serve`].
pub(crate) fn arguments(directory: &Path, rules: &TempDir) -> Vec<OsString> {
    let path = rules.join("rules.yaml");
    files::write(&path, RULES.as_bytes());
    files::set_mode(rules.path(), 0o755);
    let flag = OsString::from("--rules.file");
    vec![ANY_PORT.into(), flag, path.into(), directory.into()]
}

/// The sum of the gauge over the workers that live.
pub(crate) fn level(served: &Exposition) -> f64 {
    served.sum("level_livesum", &[])
}

/// The jobs that all workers have counted, the dead too.
pub(crate) fn jobs(served: &Exposition) -> f64 {
    served.sum("jobs_total", &[])
}

/// How many files' workers are known by `method`.
pub(crate) fn known_by(own: &Exposition, method: &str) -> f64 {
    own.sum(
        "headcount_liveness_files",
        &[&format!("method=\"{method}\"")],
    )
}

/// The files of `directory` that nobody else has, of one worker if they were listed around its
/// start.
pub(crate) fn new_files(directory: &Path, before: &[PathBuf]) -> Vec<PathBuf> {
    let mut now = files::named(directory, "");
    now.retain(|path| !before.contains(path));
    now
}

/// Waits until the kernel has let go of these files, which may be a moment after their worker has
/// ended: whoever reads its entry of the process table keeps its memory.
pub(crate) fn wait_for_release(files: &[PathBuf]) {
    assert!(!files.is_empty(), "a worker has files");
    for path in files {
        let file = File::open(path).expect("the file is still there");
        eventually("the kernel to let go of a file", || {
            matches!(probe(&file), Lease::Free).then_some(())
        });
    }
}

/// A DirectFileStore does not say of what type a metric is.
const RULES: &str = "
rules:
  - {match: level_livesum, type: gauge, mode: livesum}
";
