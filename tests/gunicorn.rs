//! A FastAPI application under gunicorn, headcount beside it, and a real Prometheus: every request
//! that was answered is counted, through the death of workers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::support::exposition::Exposition;
use crate::support::http::{self, Connection};
use crate::support::processes::{Process, children, descendants, exists, kill, run};
use crate::support::prometheus::Prometheus;
use crate::support::python::interpreter;
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually, workspace};

#[test]
fn prometheus_sees_every_answered_request_while_workers_are_killed() {
    let directory = TempDir::new();
    let mut command = gunicorn();
    command.env("PROMETHEUS_MULTIPROC_DIR", directory.path());
    let gunicorn = Process::start(command);
    let application = listening(&gunicorn);
    let sidecar = Sidecar::serve(directory.path());
    let prometheus = Prometheus::scraping(sidecar.address);

    let mut answered = 0;
    for _ in 0..KILLS {
        answered += send(application);
        // The instrumentation counts a request after it has been answered. Only once all are
        // counted is the kill without effect on the number that is expected.
        eventually("the sidecar to count what was answered", || {
            (counted(&sidecar.metrics()) == f64::from(answered)).then_some(())
        });
        eventually("Prometheus to see it", || {
            (prometheus.single(&format!("sum({REQUESTS})"))? == f64::from(answered)).then_some(())
        });
        kill_a_worker_that_has_counted(&gunicorn, directory.path());
    }
    answered += send(application);
    eventually("Prometheus to see every answered request", || {
        (prometheus.single(&format!("sum({REQUESTS})"))? == f64::from(answered)).then_some(())
    });

    let resets = prometheus.query(&format!("resets({REQUESTS}[1h]) > 0"));
    assert!(resets.is_empty(), "{resets:?}");
    let history = prometheus.range("{job='pool',__name__=~'.+_(bucket|count|sum|total)'}");
    assert!(history.len() > 20, "{history:?}");
    for (labels, values) in history {
        assert!(values.is_sorted(), "{labels:?} fell: {values:?}");
    }
    let served = sidecar.metrics();
    let latencies = served.sum(
        "http_request_duration_seconds_count",
        &["handler=\"/orders/"],
    );
    assert_eq!(latencies, f64::from(answered));
    assert_eq!(served.value("orders_in_progress"), Some(0.0));
}

#[test]
fn run_serves_beside_gunicorn_and_leaves_nothing_behind() {
    let mut command = headcount("run");
    let gunicorn = gunicorn();
    command
        .arg(ANY_PORT)
        .arg("--")
        .arg(gunicorn.get_program())
        .args(gunicorn.get_args());
    command.current_dir(
        gunicorn
            .get_current_dir()
            .expect("gunicorn starts in the example"),
    );
    let mut sidecar = Sidecar::start(command);
    let application = listening(&sidecar.process);
    let answered = send(application);
    eventually("the sidecar to count what was answered", || {
        (counted(&sidecar.metrics()) == f64::from(answered)).then_some(())
    });

    let started = descendants(sidecar.process.pid());
    assert!(
        started.len() > WORKERS,
        "a master and {WORKERS} workers: {started:?}"
    );
    let directory = multiprocess_directory(started[0]);
    assert!(directory.is_dir(), "{}", directory.display());
    sidecar.process.signal(Signal::TERM);
    let status = sidecar.process.exit_status();
    assert_eq!(status.code(), Some(0), "{}", sidecar.process.stderr.text());
    let left: Vec<_> = started.into_iter().filter(|&pid| exists(pid)).collect();
    assert_eq!(left, [0; 0], "processes are left behind");
    assert!(
        !directory.exists(),
        "{} is left behind",
        directory.display()
    );
    assert!(
        http::get(application, "/orders/1", &[]).is_err(),
        "the application still answers"
    );
}

#[test]
fn run_passes_on_the_exit_code_of_its_command() {
    let mut command = headcount("run");
    command.args([ANY_PORT, "--", "sh", "-c", "exit 7"]);
    let finished = run(command);
    assert_eq!(finished.status.code(), Some(7), "{finished:?}");
}

/// gunicorn with the example, on a port that the system chooses.
fn gunicorn() -> Command {
    let mut command = Command::new(interpreter());
    command
        .args([
            "-B",
            "-m",
            "gunicorn",
            "--no-control-socket",
            "--workers",
            &WORKERS.to_string(),
        ])
        .args([
            "--worker-class",
            "uvicorn_worker.UvicornWorker",
            "--bind",
            "127.0.0.1:0",
        ])
        .arg("app:app")
        .current_dir(workspace().join("examples/fastapi"))
        .env_remove("HEADCOUNT_DIR");
    command
}

/// Where gunicorn, started by `process` or by its child, listens with all workers booted.
fn listening(process: &Process) -> SocketAddr {
    let line = process.wait_for_line("gunicorn's address", |line| line.contains("Listening at: "));
    let address = line
        .split("Listening at: http://")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let address = address.and_then(|address| address.parse().ok());
    eventually("all workers to boot", || {
        (booted(process) >= WORKERS).then_some(())
    });
    address.unwrap_or_else(|| panic!("no address in {line:?}"))
}

/// Sends requests over several connections, so that several workers answer; returns how many
/// were answered, which is all.
fn send(application: SocketAddr) -> u32 {
    let mut answered = 0;
    for connection in 0..CONNECTIONS {
        let mut connection = Connection::open(application)
            .unwrap_or_else(|error| panic!("failed to open connection {connection}: {error}"));
        for request in 0..REQUESTS_PER_CONNECTION {
            let target = format!("/orders/{request}");
            let response = connection
                .request("GET", &target, &[])
                .expect("a request is answered");
            assert_eq!(response.status, 200, "{}", response.text());
            answered += 1;
        }
    }
    answered
}

/// Kills a worker that has a share in the total, and waits until another has taken its place.
fn kill_a_worker_that_has_counted(gunicorn: &Process, directory: &Path) {
    let workers = children(gunicorn.pid());
    let victim = workers
        .iter()
        .find(|pid| directory.join(format!("counter_{pid}.db")).exists());
    let victim = *victim.unwrap_or_else(|| panic!("none of {workers:?} has counted"));
    let before = booted(gunicorn);
    kill(victim, Signal::KILL);
    eventually("gunicorn to replace the worker", || {
        let replaced = !children(gunicorn.pid()).contains(&victim);
        (replaced && booted(gunicorn) > before).then_some(())
    });
    assert!(
        directory.join(format!("counter_{victim}.db")).exists(),
        "its file has gone"
    );
}

/// How many workers have been ready so far.
fn booted(gunicorn: &Process) -> usize {
    gunicorn
        .stderr
        .text()
        .matches("Application startup complete")
        .count()
}

fn counted(exposition: &Exposition) -> f64 {
    exposition.sum(
        "http_requests_total",
        &["handler=\"/orders/{number}\"", "status=\"2xx\""],
    )
}

/// The directory that `run` gave to its command.
fn multiprocess_directory(pid: u32) -> PathBuf {
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("our child can be read");
    let environment = String::from_utf8_lossy(&environment);
    let value = |name: &str| {
        environment
            .split('\0')
            .find_map(|pair| pair.strip_prefix(name))
    };
    let directory = value("PROMETHEUS_MULTIPROC_DIR=").expect("run sets the variable");
    assert_eq!(value("prometheus_multiproc_dir="), Some(directory));
    assert_eq!(
        value("HEADCOUNT_DIR="),
        Some(directory),
        "both variables name one directory"
    );
    PathBuf::from(directory)
}

const WORKERS: usize = 4;
const KILLS: usize = 3;
const CONNECTIONS: u32 = 12;
const REQUESTS_PER_CONNECTION: u32 = 15;

const REQUESTS: &str = "http_requests_total{handler='/orders/{number}',status='2xx'}";
