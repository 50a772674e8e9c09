//! The program under test: started on a port of its own choice, and asked.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::exposition::Exposition;
use super::http::{self, Response};
use super::processes::{Finished, Process, run};

/// A running `headcount serve` or `headcount run`.
#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Sidecar {
    /// Starts `headcount serve` for one directory.
    pub(crate) fn serve(directory: &Path) -> Sidecar {
        Sidecar::serve_with(directory, &[])
    }

    pub(crate) fn serve_with(directory: &Path, flags: &[&str]) -> Sidecar {
        let mut command = headcount("serve");
        command.arg(ANY_PORT).args(flags).arg(directory);
        Sidecar::start(command)
    }

    /// Starts `command` and learns from its log where it listens.
    pub(crate) fn start(command: Command) -> Sidecar {
        let process = Process::start(command);
        let line = process.wait_for_line("Listening.", |line| {
            line.contains("Listening.") && line.contains("127.0.0.1:")
        });
        let (_, address) = line
            .split_once("127.0.0.1:")
            .expect("the line names the address");
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let port: u16 = port.parse().expect("the address ends in a port");
        Sidecar {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.get_with(target, &[])
    }

    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        http::get(self.address, target, headers)
            .unwrap_or_else(|error| panic!("failed to get {target}: {error}"))
    }

    /// The pool's metrics; a scrape that is not answered with 200 fails the test.
    pub(crate) fn metrics(&self) -> Exposition {
        self.exposition("/metrics")
    }

    /// The sidecar's own metrics.
    pub(crate) fn self_metrics(&self) -> Exposition {
        self.exposition("/metrics/self")
    }

    /// Whether a scrape holds each of `wanted`, with its exact value, whatever else it holds.
    pub(crate) fn serves(&self, wanted: &Exposition) -> bool {
        let response = self.get("/metrics");
        if response.status != 200 {
            return false;
        }
        let served = Exposition::parse(&response.text());
        wanted
            .samples
            .iter()
            .all(|(sample, value)| served.samples.get(sample) == Some(value))
    }

    fn exposition(&self, target: &str) -> Exposition {
        let response = self.get(target);
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        Exposition::parse(&response.text())
    }
}

/// A command of the program under test, which sees no directory of ours by accident.
pub(crate) fn headcount(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcount"));
    command
        .env_remove("HEADCOUNT_DIR")
        .env_remove("PROMETHEUS_MULTIPROC_DIR")
        .env_remove("prometheus_multiproc_dir")
        .arg(subcommand);
    command
}

/// Runs `headcount collect` and returns what it prints.
pub(crate) fn collect(directory: &Path, format: &str) -> String {
    let mut command = headcount("collect");
    command.arg(directory).args(["--format", format]);
    let finished = run(command);
    assert!(finished.status.success(), "{finished:?}");
    finished.stdout
}

/// Runs `headcount check`.
pub(crate) fn check(directory: &Path) -> Finished {
    let mut command = headcount("check");
    command.arg(directory);
    run(command)
}

/// Lets the system choose a port.
pub(crate) const ANY_PORT: &str = "--web.listen-address=127.0.0.1:0";
