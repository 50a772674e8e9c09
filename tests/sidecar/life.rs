//! How `serve` starts, what it does while its directory changes, and how it ends.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use rustix::process::{Signal, geteuid};

use crate::support::exposition::Exposition;
use crate::support::files::{self, set_mode};
use crate::support::http::{self, Connection};
use crate::support::processes::{Process, run};
use crate::support::python::Corpus;
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually};

#[test]
fn a_port_in_use_is_named_together_with_the_flag_that_changes_it() {
    let directory = TempDir::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = headcount("serve");
    command
        .arg(format!("--web.listen-address={address}"))
        .arg(directory.path());
    let finished = run(command);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(finished.stderr.contains(&address), "{finished:?}");
    assert!(
        finished.stderr.contains("--web.listen-address"),
        "{finished:?}"
    );
}

#[test]
fn without_a_directory_serve_says_which_variables_it_looked_at() {
    let mut command = headcount("serve");
    command.arg(ANY_PORT);
    let finished = run(command);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    for variable in ["HEADCOUNT_DIR", "PROMETHEUS_MULTIPROC_DIR"] {
        assert!(finished.stderr.contains(variable), "{finished:?}");
    }
}

#[test]
fn the_directory_comes_from_the_environment_that_the_workers_have() {
    let pool = Corpus::start("pool");
    for variable in [
        "HEADCOUNT_DIR",
        "PROMETHEUS_MULTIPROC_DIR",
        "prometheus_multiproc_dir",
    ] {
        let mut command = headcount("serve");
        command.arg(ANY_PORT).env(variable, &pool.directory);
        let sidecar = Sidecar::start(command);
        assert!(sidecar.serves(&pool.exposition()), "{variable}");
    }
}

#[test]
fn a_directory_that_appears_later_is_picked_up() {
    let parent = TempDir::new();
    let directory = parent.join("later");
    let sidecar = Sidecar::serve(&directory);
    let named = directory.display().to_string();
    let line = sidecar
        .process
        .wait_for_line("the directory", |line| line.contains(&named));
    assert!(line.contains("does not exist"), "{line}");
    fs::create_dir(&directory).unwrap();
    let pool = Corpus::start_in(&directory, "pool", 0);
    eventually("the new directory to be served", || {
        sidecar.serves(&pool.exposition()).then_some(())
    });
    assert_eq!(sidecar.get("/-/ready").status, 200);
}

#[test]
fn a_replaced_directory_is_another_pool() {
    let parent = TempDir::new();
    let directory = parent.join("pool");
    fs::create_dir(&directory).unwrap();
    let old = Corpus::start_in(&directory, "pool", 0);
    let sidecar = Sidecar::serve(&directory);
    assert!(sidecar.serves(&old.exposition()));
    fs::rename(&directory, parent.join("old")).unwrap();
    fs::create_dir(&directory).unwrap();
    let new = Corpus::start_in(&directory, "preload", 0);
    eventually("the new pool to be served", || {
        sidecar.serves(&new.exposition()).then_some(())
    });
    let served = sidecar.metrics();
    for sample in old.exposition().samples.keys() {
        assert!(
            !served.samples.contains_key(sample),
            "{sample} belongs to the old pool"
        );
    }
}

#[test]
fn workers_that_come_later_are_picked_up_at_the_next_scrape() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    assert_eq!(sidecar.get("/metrics").status, 200);
    let pool = Corpus::start_in(directory.path(), "types", 0);
    eventually("the workers to be served", || {
        sidecar.serves(&pool.exposition()).then_some(())
    });
}

#[test]
fn a_directory_without_permission_is_named_and_check_could_not_look() {
    let (_program, stranger) = stranger();
    let directory = TempDir::on_disk();
    let closed = directory.join("closed");
    fs::create_dir(&closed).unwrap();
    set_mode(directory.path(), 0o755);
    set_mode(&closed, if geteuid().is_root() { 0o700 } else { 0o000 });
    let named = closed.display().to_string();

    let mut serve = stranger("serve");
    serve.arg(ANY_PORT).arg(&closed);
    let mut serve = Process::start(serve);
    let line = serve.wait_for_line("the directory", |line| line.contains(&named));
    assert!(
        line.contains("ermission") || line.contains("allowed"),
        "{line}"
    );
    if serve.is_running() {
        serve.signal(Signal::TERM);
    }
    serve.wait();

    let mut check = stranger("check");
    check.arg(&closed);
    let finished = run(check);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(
        format!("{}{}", finished.stdout, finished.stderr).contains(&named),
        "{finished:?}"
    );
}

#[test]
fn a_file_without_permission_costs_only_itself() {
    let (_program, stranger) = stranger();
    let directory = TempDir::on_disk();
    let pool = Corpus::start_in(directory.path(), "pool", 0);
    for file in files::named(directory.path(), "") {
        set_mode(&file, 0o644);
    }
    set_mode(directory.path(), 0o755);
    let closed = directory.join("counter_1.db");
    fs::write(&closed, b"").unwrap();
    set_mode(&closed, if geteuid().is_root() { 0o600 } else { 0o000 });
    let mut serve = stranger("serve");
    serve.arg(ANY_PORT).arg(directory.path());
    let sidecar = Sidecar::start(serve);
    assert!(sidecar.serves(&pool.exposition()));
    let own = sidecar.self_metrics();
    assert_eq!(
        own.sum("headcount_bad_files", &["reason=\"unreadable\""]),
        1.0,
        "{own:?}"
    );
}

#[test]
fn sigterm_finishes_the_scrape_in_flight() {
    ends_after_the_scrape_in_flight(Signal::TERM);
}

#[test]
fn sigint_finishes_the_scrape_in_flight() {
    ends_after_the_scrape_in_flight(Signal::INT);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let directory = TempDir::new();
    let mut sidecar = Sidecar::serve(directory.path());
    let mut idle = Connection::open(sidecar.address).unwrap();
    assert_eq!(idle.request("GET", "/metrics", &[]).unwrap().status, 200);
    sidecar.process.signal(Signal::TERM);
    let finished = sidecar.process.wait();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
}

#[test]
fn half_a_request_does_not_hold_up_the_end() {
    let directory = TempDir::new();
    let mut sidecar = Sidecar::serve(directory.path());
    let mut half = TcpStream::connect(sidecar.address).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n")
        .unwrap();
    // Answered later than the half has come.
    assert_eq!(sidecar.get("/-/healthy").status, 200);
    sidecar.process.signal(Signal::TERM);
    let finished = sidecar.process.wait();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(!finished.stderr.contains("unanswered"), "{finished:?}");
}

#[test]
fn clients_that_say_nothing_cost_no_scrape_for_long() {
    let directory = TempDir::new();
    let mut command = Command::new("prlimit");
    command
        .args([
            "--nofile=64:64",
            env!("CARGO_BIN_EXE_headcount"),
            "serve",
            ANY_PORT,
        ])
        .arg(directory.path());
    let sidecar = Sidecar::start(command);
    let clients = (0..20).map(|_| TcpStream::connect(sidecar.address).unwrap());
    let mut clients: Vec<TcpStream> = clients.collect();
    for client in &mut clients {
        client.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    }
    // More clients than places: a scrape waits until the first of them are sent away.
    let answer = eventually("an answer", || {
        http::get(sidecar.address, "/metrics", &[]).ok()
    });
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("headcount_directories_up"));
    drop(clients);
}

fn ends_after_the_scrape_in_flight(signal: Signal) {
    // Far more than the kernel buffers between two sockets, so that the answer stays in flight
    // until it is read.
    let crowd = Corpus::start("crowd");
    let lines = (0..LINES).map(|number| format!("queue_length{{queue=\"{number}\"}} 1\n"));
    let text = format!("# TYPE queue_length gauge\n{}", lines.collect::<String>());
    fs::write(crowd.directory.join("queues.prom"), text).expect("a file can be written");
    let budget = ["--budget.family-series=300000"];
    let mut sidecar = Sidecar::serve_with(&crowd.directory, &budget);
    let mut scrape = Connection::open(sidecar.address).expect("it listens");
    scrape
        .send("GET", "/metrics", &[])
        .expect("a request can be sent");
    let mut response = scrape.read_head().expect("the scrape is answered");
    assert_eq!(response.status, 200);

    sidecar.process.signal(signal);
    eventually("the listener to close", || {
        http::get(sidecar.address, "/", &[]).err()
    });
    assert!(
        sidecar.process.is_running(),
        "it ended with a scrape in flight"
    );
    scrape
        .read_body("GET", &mut response)
        .expect("the answer is whole");
    let served = Exposition::parse(&response.text());
    assert_eq!(
        served
            .samples
            .keys()
            .filter(|name| name.starts_with("queue_length{"))
            .count(),
        LINES
    );
    assert_eq!(served.value("jobs_total{queue=\"mail\"}"), Some(3.0));
    let finished = sidecar.process.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

/// Samples of an answer that stays in flight.
const LINES: usize = 200_000;

/// Commands of the program that run as somebody who may not read what we closed: as nobody if we
/// are root, whom no mode stops. The program is copied to where anybody may execute it.
pub(crate) fn stranger() -> (TempDir, impl Fn(&str) -> Command) {
    let place = TempDir::on_disk();
    set_mode(place.path(), 0o755);
    let program = place.join("headcount");
    fs::copy(env!("CARGO_BIN_EXE_headcount"), &program).expect("the program can be copied");
    set_mode(&program, 0o755);
    let stranger = move |subcommand: &str| {
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=65534", "--clear-groups"])
                .arg(&program);
            command
        } else {
            Command::new(&program)
        };
        command
            .env_remove("HEADCOUNT_DIR")
            .env_remove("PROMETHEUS_MULTIPROC_DIR");
        command.arg(subcommand).current_dir("/");
        command
    };
    (place, stranger)
}
