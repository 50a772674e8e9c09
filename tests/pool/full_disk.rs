//! A disk that fills up beneath a pool, as an operator sees it, and what becomes of it with room.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use headcount_writer::Registry;

use super::actor::{Actor, say, told};
use super::worker::actor;
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, eventually};

#[test]
fn workers_without_room_are_told_of_until_there_is_room_and_nothing_is_lost() {
    let disk = Disk::of_one_mebibyte();
    let ballast = disk.mounted.join("ballast");
    fs::write(&ballast, vec![1; BALLAST_BYTES]).unwrap();
    let pool = disk.mounted.join("pool");
    fs::create_dir(&pool).unwrap();
    let mut tenants: Vec<Actor> = (0..TENANTS)
        .map(|_| Actor::start(actor("tenant", &pool)))
        .collect();
    count(&mut tenants, "grow");
    let sidecar = Sidecar::serve(&pool);
    let degraded = || sidecar.metrics().value("headcount_degraded_workers");
    assert_eq!(degraded(), Some(0.0));

    while !count(&mut tenants, "grow").0 {}
    let (_, total) = count(&mut tenants, "count");
    let served = sidecar.metrics();
    assert_eq!(
        served.value("headcount_degraded_workers"),
        Some(TENANTS as f64)
    );
    let refused = served.value("headcount_refused_series").unwrap();
    assert!(refused >= TENANTS as f64, "{refused}");
    // What fitted is served, and what did not is all that is missing.
    let fitted = served.sum("jobs_total", &[]);
    assert!(fitted < total, "{fitted} of {total}");
    let found = served.samples.keys();
    let found = found.filter(|key| key.starts_with("jobs_total")).count() as f64;
    // All series have counted the same.
    assert_eq!(fitted, found * total / (found + refused));

    fs::remove_file(&ballast).unwrap();
    eventually("all to find room", || {
        count(&mut tenants, "count");
        (degraded() == Some(0.0)).then_some(())
    });
    let (_, total) = count(&mut tenants, "count");
    let served = sidecar.metrics();
    assert_eq!(served.value("headcount_refused_series"), Some(0.0));
    assert_eq!(served.sum("jobs_total", &[]), total);
    tenants.into_iter().for_each(|tenant| drop(tenant.finish()));
}

/// Tells each of them `line`; yields whether series of all of them wait, and what they have counted.
fn count(tenants: &mut [Actor], line: &str) -> (bool, f64) {
    let (mut all_wait, mut counted) = (true, 0.0);
    for tenant in tenants {
        let answer = tenant.ask(line);
        let (total, state) = answer.split_once(' ').unwrap();
        counted += total.parse::<f64>().unwrap();
        all_wait &= state == "waits";
    }
    (all_wait, counted)
}

/// Counts in more and more series, and answers with the total of all, and whether one waits.
pub(crate) fn tenant() {
    let registry = Registry::from_env().unwrap();
    let jobs = registry.counter("jobs", "Jobs by number and worker.");
    let jobs = jobs.register_family(["worker", "number"]).unwrap();
    let own = std::process::id().to_string();
    let mut counters = Vec::new();
    let mut rounds = 0_u32;
    for line in told() {
        if line == "grow" {
            for _ in 0..25 {
                let counter = jobs.with([&own, &counters.len().to_string()]);
                // As if it had been there from the start, so that all series are equal.
                counter.inc_by(f64::from(rounds));
                counters.push(counter);
            }
        }
        rounds += 1;
        for counter in &counters {
            counter.inc();
            assert_eq!(counter.get(), f64::from(rounds));
        }
        let total = f64::from(rounds) * counters.len() as f64;
        match registry.trouble() {
            Some(_) => say(format_args!("{total} waits")),
            None => say(format_args!("{total} fits")),
        }
    }
}

/// A small disk in memory, unmounted on drop.
struct Disk {
    mounted: PathBuf,
    _place: TempDir,
}

impl Disk {
    fn of_one_mebibyte() -> Disk {
        let place = TempDir::new();
        let mounted = place.join("mounted");
        fs::create_dir(&mounted).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
        let output = mount.arg(&mounted).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "failed to mount a tmpfs: {told}; run this test as root, as CI does, in a container \
             with CAP_SYS_ADMIN"
        );
        Disk {
            mounted,
            _place: place,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Detached, so that whoever still has a file there does not keep it.
        let mut unmount = Command::new("umount");
        let _ = unmount.arg("--lazy").arg(&self.mounted).status();
    }
}

const TENANTS: usize = 3;
const BALLAST_BYTES: usize = 640 << 10;
