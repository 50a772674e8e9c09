//! Thousands of files, one in ten of which is bad: everything else is served, and `check` tells it
//! on one screen.
#![expect(
    clippy::unwrap_used,
    reason = "a pool that cannot be filled fails the test"
)]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use rustix::process::{Signal, geteuid};

use super::life::stranger;
use crate::support::exposition::Exposition;
use crate::support::files::{make_pipe, set_mode, write};
use crate::support::processes::run;
use crate::support::sidecar::{ANY_PORT, Sidecar};
use crate::support::{TempDir, http};

#[test]
fn five_thousand_files_of_which_one_in_ten_is_bad_are_served_and_explained_on_one_screen() {
    let (_program, stranger) = stranger();
    // Where somebody else may look, and where a file may have a second name elsewhere.
    let (pool, elsewhere) = (TempDir::on_disk(), TempDir::on_disk());
    let expected = fill(pool.path(), elsewhere.path());
    let mut serve = stranger("serve");
    serve.args([ANY_PORT, BUDGET]).arg(pool.path());
    let mut sidecar = Sidecar::start(serve);

    let address = sidecar.address;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let response = http::get(address, "/metrics", &[]).unwrap();
                    assert_eq!(response.status, 200);
                    let served = Exposition::parse(&response.text());
                    assert_eq!(served.value("jobs_total"), Some(expected.jobs));
                    assert_eq!(served.value("torn_total"), Some(expected.torn));
                }
            });
        }
    });

    let own = sidecar.self_metrics();
    for (reason, count) in WORST_FIRST.iter().zip(&expected.bad) {
        let label = format!("reason=\"{reason}\"");
        let counted = own.sum("headcount_bad_files", &[&label]);
        assert_eq!(counted, f64::from(*count), "{reason}");
    }
    let empty = own.sum("headcount_files", &["state=\"empty\""]);
    assert_eq!(empty, f64::from(expected.empty));
    let over = own.sum("headcount_left_out_files", &["budget=\"file_bytes\""]);
    assert_eq!(over, f64::from(expected.bad[1]));
    let page = sidecar.get("/").text();
    assert!(page.len() < 20_000, "{} bytes", page.len());

    let mut check = stranger("check");
    let found = run({
        check.arg(BUDGET).arg(pool.path());
        check
    });
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(found.stdout.lines().count() <= 40, "{}", found.stdout);
    let places = WORST_FIRST
        .iter()
        .zip(&expected.bad)
        .map(|(reason, count)| {
            let heading = format!("\n{reason}: {count} files");
            let place = found.stdout.find(&heading);
            place.unwrap_or_else(|| panic!("no {heading:?} in {}", found.stdout))
        });
    let places: Vec<usize> = places.collect();
    assert!(places.is_sorted(), "{}", found.stdout);
    assert!(page_names_all(&page), "{page}");

    sidecar.process.signal(Signal::TERM);
    let log = sidecar.process.wait().stderr;
    for reason in WORST_FIRST {
        let told = log
            .lines()
            .filter(|line| line.contains("path=") && line.contains(&format!("reason={reason} ")));
        let count = told.count();
        assert_eq!(count, 10, "lines of the log about {reason}");
    }
}

fn page_names_all(page: &str) -> bool {
    let mut reasons = WORST_FIRST.iter();
    reasons.all(|reason| page.contains(&format!(">{reason}</span>")))
}

/// What is to be found in the pool.
struct Expected {
    /// The sum of the good files.
    jobs: f64,
    /// The sum of what stands before the torn tails.
    torn: f64,
    empty: u32,
    /// How many files are bad, by reason as in [`WORST_FIRST`].
    bad: [u32; 6],
}

/// Fills a directory with files of workers that no process has, every tenth of them bad.
fn fill(directory: &Path, elsewhere: &Path) -> Expected {
    set_mode(directory, 0o755);
    let (mut jobs, mut torn, mut empty, mut bad) = (0.0, 0.0, 0, [0; 6]);
    for number in 0..FILES {
        let path = directory.join(format!("counter_{}.db", 10_000_000 + number));
        let value = f64::from(number) + 0.25;
        let good = counter("jobs", value);
        if !number.is_multiple_of(10) {
            jobs += value;
            write(&path, &good);
            set_mode(&path, 0o644);
            continue;
        }
        let kind = number / 10 % 7;
        match kind.checked_sub(1) {
            Some(reason) => bad[reason as usize] += 1,
            None => empty += 1,
        }
        match kind {
            0 => write(&path, b""),
            1 => write(&path, &good),
            2 => {
                let file = File::create(&path).unwrap();
                file.set_len(128 << 10).unwrap();
            }
            3 => write(&path, &good[..7]),
            4 => plant(&path, number / 70, elsewhere),
            5 => {
                torn += value;
                write(&path, &with_torn_tail(counter("torn", value)));
            }
            _ => write(&path, &[0x89, b'P', b'N', b'G'].repeat(64)),
        }
        let is_regular = fs::symlink_metadata(&path).unwrap().is_file();
        match (kind, geteuid().is_root()) {
            // Root may read everything, so that it is somebody else who looks.
            (1, true) => set_mode(&path, 0o600),
            (1, false) => set_mode(&path, 0o000),
            _ if is_regular => set_mode(&path, 0o644),
            _ => {}
        }
    }
    Expected {
        jobs,
        torn,
        empty,
        bad,
    }
}

/// Something that no worker writes, each time of another kind.
fn plant(path: &Path, number: u32, elsewhere: &Path) {
    match number % 4 {
        0 => symlink("counter_10000001.db", path).unwrap(),
        1 => {
            make_pipe(path);
            set_mode(path, 0o644);
        }
        2 => fs::create_dir(path).unwrap(),
        _ => {
            let original = elsewhere.join(number.to_string());
            write(&original, &counter("jobs", 1.0));
            fs::hard_link(&original, path).unwrap();
        }
    }
}

/// A file of prometheus_client 0.18 to 0.26 with one counter, without the zeros behind it.
fn counter(name: &str, value: f64) -> Vec<u8> {
    let key = format!(r#"["{name}", "{name}_total", {{}}, "Things."]"#);
    let mut bytes = vec![0; 8];
    bytes.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.push(b' ');
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    bytes.extend(value.to_le_bytes());
    bytes.extend(0.0_f64.to_le_bytes());
    with_used(bytes)
}

/// The same, with the beginning of an entry that is longer than the rest of the file.
fn with_torn_tail(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(400_u32.to_le_bytes());
    bytes.extend([b'x'; 20]);
    with_used(bytes)
}

fn with_used(mut bytes: Vec<u8>) -> Vec<u8> {
    let used = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_le_bytes());
    bytes
}

const FILES: u32 = 5000;

const BUDGET: &str = "--budget.file-bytes=64KiB";

/// The reasons of the bad files, as `check` orders them.
const WORST_FIRST: [&str; 6] = [
    "unreadable",
    "too_large",
    "truncated",
    "hostile",
    "torn_tail",
    "foreign",
];
