//! What a hostile worker can plant in a pool's directory, beside a good pool while it is served:
//! each is counted and named, and costs only itself.
//!
//! A name such as `../../etc/passwd` is no row here: a directory has no entry with a slash in it.
//! Devices and mounts need root; a test that may not make them fails and says so.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use headcount_format::identity::{BootId, Incarnation};
use headcount_format::layout::{HEADER_BYTES, Header, LockKind, Role, file_name};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};

use super::damage::assert_served;
use crate::support::files::{self, make_pipe, random_bytes, write};
use crate::support::processes::{Process, children};
use crate::support::prometheus::promtool_check_metrics;
use crate::support::python::{self, Corpus};
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually, workspace};

#[test]
fn a_symbolic_link_to_a_file_outside_is_not_followed() {
    let outside = Secret::new();
    costs_only_itself(COUNTER, Some("hostile"), |path| {
        symlink(&outside.file, path).unwrap();
    });
}

#[test]
fn a_symbolic_link_to_a_sibling_is_not_counted_twice() {
    costs_only_itself(COUNTER, Some("hostile"), |path| {
        symlink(a_counter_file(path), path).unwrap();
    });
}

#[test]
fn a_symbolic_link_to_nothing_costs_only_itself() {
    costs_only_itself("gauge_livesum_2.db", Some("hostile"), |path| {
        symlink("/nonexistent", path).unwrap();
    });
}

#[test]
fn a_magic_link_to_a_descriptor_is_not_followed() {
    costs_only_itself(COUNTER, Some("hostile"), |path| {
        symlink("/proc/self/fd/0", path).unwrap();
    });
}

#[test]
fn a_pipe_does_not_block() {
    for name in [STORE, COUNTER, "metric_a___1.bin", "a.prom"] {
        costs_only_itself(name, Some("hostile"), make_pipe);
    }
}

#[test]
fn a_file_under_a_lease_does_not_block() {
    let mut holder = None;
    costs_only_itself(COUNTER, Some("unreadable"), |path| {
        // The kernel breaks a lease after /proc/sys/fs/lease-break-time, which is 45 s.
        let mut command = Command::new(python::interpreter());
        command.arg("-c").arg(LEASE).arg(path);
        let process = Process::start(command);
        process
            .stdout
            .wait_for_line("the lease", |line| line == "held");
        holder = Some(process);
    });
}

#[test]
fn a_device_is_not_read() {
    costs_only_itself(COUNTER, Some("hostile"), |path| {
        let zero = makedev(1, 5);
        let made = mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, zero);
        made.expect("a device can be made by root alone: run the tests as root");
    });
}

#[test]
fn a_directory_costs_only_itself() {
    for name in [STORE, COUNTER] {
        costs_only_itself(name, Some("hostile"), |path| fs::create_dir(path).unwrap());
    }
}

#[test]
fn a_socket_costs_only_itself() {
    costs_only_itself(COUNTER, Some("hostile"), |path| {
        UnixListener::bind(path).unwrap();
    });
}

#[test]
fn a_second_name_of_another_workers_file_does_not_count_twice() {
    costs_only_itself(COUNTER, Some("hostile"), |path| {
        fs::hard_link(a_counter_file(path), path).unwrap();
    });
}

#[test]
fn a_sparse_file_of_a_tebibyte_is_not_read() {
    for name in ["histogram_3.db", "metric_a___1.bin", "a.prom"] {
        costs_only_itself(name, Some("too_large"), |path| {
            let mut file = File::create(path).unwrap();
            file.write_all(&i32::MAX.to_le_bytes()).unwrap();
            file.set_len(1 << 40).unwrap();
        });
    }
}

#[test]
fn a_store_that_does_not_end_with_a_page_costs_only_itself() {
    let incarnation = Incarnation([7; 16]);
    let header = Header {
        incarnation,
        boot: BootId::default(),
        started: 1,
        pid: 1,
        role: Role::Worker,
        lock: LockKind::Missing,
    };
    let real = fs::read(workspace().join("fuzz/seeds/store/every_type.store")).unwrap();
    let mut bytes = header.encode().to_vec();
    bytes.extend(&real[usize::try_from(HEADER_BYTES).unwrap()..]);
    bytes.push(0);
    costs_only_itself(&file_name(incarnation), Some("truncated"), |path| {
        write(path, &bytes);
    });
}

#[test]
fn a_file_that_is_mounted_over_is_not_read() {
    let pool = Corpus::start("pool");
    let outside = Secret::new();
    let path = pool.directory.join(COUNTER);
    write(&path, b"");
    // In a mount namespace of the sidecar's own, so that nothing is left behind.
    let serve = headcount("serve");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount --bind \"$1\" \"$2\" || exit; shift 2; exec \"$@\"");
    command.arg("sh").arg(&outside.file).arg(&path);
    command.arg(serve.get_program()).args(serve.get_args());
    command.arg(ANY_PORT).arg(&pool.directory);
    let sidecar = Sidecar::start(command);
    assert_costs_only_itself(&sidecar, &pool, COUNTER, Some("hostile"));
}

// 60,000 swaps at least, and 100 scrapes: between two of them the name is good, or leads outside.
#[test]
fn a_link_that_is_swapped_in_never_shows_what_is_outside() {
    const SWAPS: u32 = 60_000;
    const SCRAPES: u32 = 100;
    let pool = Corpus::start("pool");
    let outside = Secret::new();
    let (name, link) = (pool.directory.join(COUNTER), pool.directory.join(".link"));
    write(&name, &file_of(&[r#"["good", "good_total", {}, ""]"#]));
    symlink(&outside.file, &link).unwrap();
    let sidecar = Sidecar::serve(&pool.directory);
    let (swaps, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                for _ in 0..2 {
                    renameat_with(CWD, &link, CWD, &name, RenameFlags::EXCHANGE).unwrap();
                }
                swaps.fetch_add(2, Ordering::Relaxed);
            }
        });
        // The thread ends also if an assertion here fails.
        let _end = OnDrop(|| is_over.store(true, Ordering::Release));
        let mut scrapes = 0;
        while scrapes < SCRAPES || swaps.load(Ordering::Relaxed) < SWAPS {
            let response = sidecar.get("/metrics");
            assert_eq!(response.status, 200);
            assert!(!response.text().contains("secret"));
            assert_served(&sidecar, &pool);
            scrapes += 1;
        }
    });
    // Swapped twice each time, so that the name is good at last.
    assert_eq!(sidecar.metrics().value("good_total"), Some(1.0));
}

// Read through a mapping, each page of a hole would become one of the tmpfs.
#[test]
fn a_hole_of_100_mib_takes_no_memory() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    let before = peak_kibibytes(&sidecar);
    let path = pool.directory.join(COUNTER);
    let bytes: i32 = 100 << 20;
    let mut file = File::create(&path).unwrap();
    file.write_all(&bytes.to_le_bytes()).unwrap();
    file.set_len(bytes.unsigned_abs().into()).unwrap();
    let blocks = file.metadata().unwrap().blocks();
    assert_costs_only_itself(&sidecar, &pool, COUNTER, Some("foreign"));
    assert_eq!(file.metadata().unwrap().blocks(), blocks);
    let grown = peak_kibibytes(&sidecar) - before;
    assert!(grown < 16 << 10, "{grown} KiB");
}

#[test]
fn a_hundred_thousand_files_take_bounded_memory() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve_with(&pool.directory, &["--budget.files=1000"]);
    assert_served(&sidecar, &pool);
    let before = peak_kibibytes(&sidecar);
    for number in 0..100_000 {
        // Behind the pool's names, in their order.
        File::create(pool.directory.join(format!("summary_z{number}.db"))).unwrap();
    }
    assert_served(&sidecar, &pool);
    let files = sidecar.self_metrics().sum("headcount_files", &[]);
    assert_eq!(files, 1000.0);
    let grown = peak_kibibytes(&sidecar) - before;
    assert!(grown < 32 << 10, "{grown} KiB");
}

#[test]
fn names_that_no_worker_gives_cost_only_themselves() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    let names: [&[u8]; 4] = [
        b"\xff\xfe.db",
        b"counter_\xff\xfe\n.db",
        b"a\nb 1\n.db",
        b"-rf.db",
    ];
    for name in names {
        let path = pool.directory.join(OsStr::from_bytes(name));
        fs::write(path, random_bytes(4096)).unwrap();
    }
    assert_served(&sidecar, &pool);
    let own = sidecar.self_metrics();
    let foreign = own.sum("headcount_bad_files", &["reason=\"foreign\""]);
    assert_eq!(foreign, 4.0, "{own:?}");
    assert_eq!(sidecar.get("/").status, 200);
    // A name makes no line of the log by itself.
    let log = sidecar.process.stderr.text();
    assert!(!log.lines().any(|line| line.starts_with("b 1")), "{log}");
}

#[test]
fn what_a_worker_says_makes_no_sample_by_itself() {
    const INJECTED: &str = r#"\"} 1\nfake_total 42"#;
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    let keys = [
        format!(r#"["value", "value_total", {{"l": "{INJECTED}"}}, "Any."]"#),
        format!(r#"["label", "label_total", {{"{INJECTED}": "x"}}, "Any."]"#),
        format!(r#"["name{INJECTED}", "name{INJECTED}_total", {{}}, "Any."]"#),
        format!(r#"["help", "help_total", {{}}, "Any.{INJECTED}\u0000"]"#),
    ];
    let bytes = file_of(&keys.each_ref().map(String::as_str));
    write(&pool.directory.join(COUNTER), &bytes);
    assert_served(&sidecar, &pool);
    for accept in ["text/plain", "application/openmetrics-text; version=1.0.0"] {
        let response = sidecar.get_with("/metrics", &[("Accept", accept)]);
        assert_eq!(response.status, 200);
        let text = response.text();
        assert!(!text.lines().any(|line| line.starts_with("fake")), "{text}");
    }
    let text = sidecar.get("/metrics").text();
    let verdict = promtool_check_metrics(&text).status.code();
    assert!(matches!(verdict, Some(0 | 3)), "{text}");
    let served = sidecar.metrics();
    assert_eq!(served.value("help_total"), Some(1.0));
    let value = r#"value_total{l="\"} 1\nfake_total 42"}"#;
    assert_eq!(served.value(value), Some(1.0), "{text}");
}

/// Plants something under `name` beside a pool that is being served.
fn costs_only_itself(name: &str, reason: Option<&str>, plant: impl FnOnce(&Path)) {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    plant(&pool.directory.join(name));
    assert_costs_only_itself(&sidecar, &pool, name, reason);
}

/// The pool is served to the last bit, the damage is counted under `reason` alone, and the log names
/// it once.
fn assert_costs_only_itself(sidecar: &Sidecar, pool: &Corpus, name: &str, reason: Option<&str>) {
    for _ in 0..3 {
        assert_served(sidecar, pool);
    }
    let served = sidecar.get("/metrics").text();
    assert!(!served.contains("secret"), "{served}");
    let own = sidecar.self_metrics();
    assert_eq!(own.sum("headcount_bad_files", &[]), 1.0, "{own:?}");
    if let Some(reason) = reason {
        let reason = format!("reason=\"{reason}\"");
        let counted = own.sum("headcount_bad_files", &[&reason]);
        assert_eq!(counted, 1.0, "{reason} in {own:?}");
    }
    let named = || {
        let log = sidecar.process.stderr.text();
        let is_about = |line: &&str| line.contains(name) && line.contains("level=warn");
        log.lines().filter(is_about).count()
    };
    eventually("a line about the file", || (named() > 0).then_some(()));
    assert_eq!(named(), 1);
}

/// A file outside of any pool, which a sidecar could read and must not.
#[derive(Debug)]
struct Secret {
    file: PathBuf,
    _directory: TempDir,
}

impl Secret {
    fn new() -> Secret {
        let directory = TempDir::new();
        let file = directory.join("outside");
        write(&file, &file_of(&[r#"["secret", "secret_total", {}, ""]"#]));
        Secret {
            file,
            _directory: directory,
        }
    }
}

/// Does something when it goes out of scope, however that happens.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A counter file of prometheus_client with these keys, each of which counts one.
fn file_of(keys: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for key in keys {
        bytes.extend(
            u32::try_from(key.len())
                .expect("a key is short")
                .to_le_bytes(),
        );
        bytes.extend(key.bytes());
        bytes.push(b' ');
        let padded = bytes.len().next_multiple_of(8);
        bytes.resize(padded, b' ');
        bytes.extend(1.0_f64.to_le_bytes());
        bytes.extend([0; 8]);
    }
    let used = u32::try_from(bytes.len()).expect("a file is short");
    bytes[..4].copy_from_slice(&used.to_le_bytes());
    bytes
}

/// The counter file of the worker with the lowest pid, in the directory of `path`.
fn a_counter_file(path: &Path) -> PathBuf {
    let directory = path.parent().expect("an entry has a directory");
    files::named(directory, "counter_").swap_remove(0)
}

/// The most memory that the sidecar has ever had in use.
fn peak_kibibytes(sidecar: &Sidecar) -> u64 {
    let pid = sidecar.process.pid();
    assert!(children(pid).is_empty(), "the sidecar is that process");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the sidecar runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse().ok())
        .expect("VmHWM is a number")
}

/// Holds a lease for writing, and does not give it up when the kernel asks.
const LEASE: &str = "
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
time.sleep(600)
";

/// Names behind those of the pool's workers.
const COUNTER: &str = "counter_planted.db";
const STORE: &str = "0123456789abcdef0123456789abcdef.store";
