//! `--worker.label slot`: the places of workers in their pool, which others take over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use headcount_format::layout::{LEDGER_NAME, SLOTS_NAME};
use rustix::process::Signal;

use super::death::{compact, kill, names, wait_for_state};
use crate::liveness::worker::{Client, at_work};
use crate::pool::actor::Actor;
use crate::pool::worker::{start, tell};
use crate::support::exposition::Exposition;
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, eventually, files};

const SLOT: &str = "--worker.label=slot";

// [life.place]
#[test]
fn however_many_workers_come_and_go_their_label_has_no_new_values() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &[SLOT, "--fold"]);
    let mut value = 0;
    let mut begin = |number: usize| {
        value += 1;
        // One of them is of another client.
        if number == 2 {
            let mut worker = at_work(Client::Python.command(pool.path(), &[]), value);
            tell(&mut worker, &format!("gauge all {value}"));
            tell(&mut worker, &format!("gauge liveall {value}"));
            return (worker, value);
        }
        let mut worker = start(pool.path(), "");
        tell(&mut worker, &format!("gauges {value}"));
        tell(&mut worker, "states running");
        (worker, value)
    };
    let mut workers: [(Actor, u32); 3] = std::array::from_fn(&mut begin);
    let of_all: BTreeSet<String> = ["0", "1", "2"].map(str::to_owned).into();
    let mut served = sidecar.metrics();
    for round in 0..24 {
        let number = round % 3;
        let before = places(&served, "level_liveall");
        let place = before[&workers[number].1].clone();
        workers[number].0.kill();
        workers[number] = begin(number);
        served = sidecar.metrics();
        let after = places(&served, "level_liveall");
        let living: BTreeSet<u32> = workers.iter().map(|(_, value)| *value).collect();
        assert_eq!(after.keys().copied().collect::<BTreeSet<_>>(), living);
        assert_eq!(after[&workers[number].1], place, "the one that is free");
        for name in ["level_liveall", "level_all"] {
            let values: BTreeSet<String> = places(&served, name).into_values().collect();
            assert_eq!(values, of_all, "{name} in round {round}");
        }
        for sample in served.samples.keys() {
            assert!(!sample.contains("pid=\""), "{sample}");
            let value = label(sample, "worker");
            assert!(value.is_none_or(|value| of_all.contains(value)), "{sample}");
        }
    }
}

// [life.place.file]
#[test]
fn a_sidecar_that_was_killed_leaves_the_workers_their_places() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &[SLOT]);
    let mut workers: Vec<Actor> = (1..=4).map(|value| worker(pool.path(), value)).collect();
    let before = places(&sidecar.metrics(), "level_liveall");
    assert_eq!(before.len(), 4);
    // The youngest gets the place of the one that ends, whichever that was.
    workers[0].kill();
    let place = &before[&1];
    workers[0] = worker(pool.path(), 5);
    let expected = places(&sidecar.metrics(), "level_liveall");
    assert_eq!(&expected[&5], place);
    let mut sidecar = sidecar;
    for _ in 0..3 {
        eventually("the places to be written down", || {
            let stores = names(pool.path()).into_iter();
            let mut stores =
                stores.filter_map(|name| Some(name.strip_suffix(".store")?.to_owned()));
            let text = std::fs::read_to_string(pool.join(SLOTS_NAME)).ok()?;
            let is_written = |id: String| text.lines().any(|line| line.ends_with(&id));
            (text.lines().count() == 5 && stores.all(is_written)).then_some(())
        });
        kill(sidecar);
        sidecar = Sidecar::serve_with(pool.path(), &[SLOT]);
        let served = sidecar.metrics();
        assert_eq!(places(&served, "level_liveall"), expected);
    }
    // One that dies while nobody looks has its place no more.
    kill(sidecar);
    workers[2].kill();
    workers[2] = worker(pool.path(), 6);
    let sidecar = Sidecar::serve_with(pool.path(), &[SLOT]);
    let served = places(&sidecar.metrics(), "level_liveall");
    assert_eq!(served[&6], expected[&3]);
    for value in [2, 4, 5] {
        assert_eq!(served[&value], expected[&value], "{value}");
    }
}

// [life.place.file]: one sidecar gives places, and all others go by that.
#[test]
fn a_sidecar_beside_another_gives_workers_the_same_places() {
    let pool = TempDir::new();
    let first = Sidecar::serve_with(pool.path(), &[SLOT]);
    let mut workers: Vec<Actor> = (1..=5).map(|value| worker(pool.path(), value)).collect();
    assert_eq!(places(&first.metrics(), "level_liveall").len(), 5);
    let second = Sidecar::serve_with(pool.path(), &[SLOT]);
    wait_for_state(&second, "elsewhere");
    // The second one sees all that changes at once, and could not tell in which order.
    second.process.signal(Signal::STOP);
    for (index, value) in (6..).enumerate().take(5) {
        workers[4 - index].kill();
        workers[4 - index] = worker(pool.path(), value);
        first.metrics();
    }
    let expected = places(&first.metrics(), "level_liveall");
    assert_eq!(expected.len(), 5);
    second.process.signal(Signal::CONT);
    eventually("both to tell the same", || {
        let told = places(&second.metrics(), "level_liveall");
        (told == expected).then_some(())
    });
    assert_eq!(places(&first.metrics(), "level_liveall"), expected);
}

// [life.place.file] [ledger.level]: whoever folds.
#[test]
fn compact_folds_the_dead_of_every_client_with_their_places() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &[SLOT]);
    let mut workers: Vec<Actor> = (1..=3).map(|value| worker(pool.path(), value)).collect();
    let mut python = at_work(Client::Python.command(pool.path(), &[]), 4);
    tell(&mut python, "gauge all 4");
    workers.push(python);
    let expected = places(&sidecar.metrics(), "level_all");
    assert_eq!(expected.len(), 4);
    eventually("the places to be written down", || {
        let text = std::fs::read_to_string(pool.join(SLOTS_NAME)).ok()?;
        (text.lines().count() == 5).then_some(())
    });
    kill(sidecar);
    workers.iter_mut().for_each(Actor::kill);
    let finished = compact(pool.path(), &["--fold"]);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(names(pool.path()), [LEDGER_NAME, SLOTS_NAME]);
    let sidecar = Sidecar::serve_with(pool.path(), &[SLOT]);
    assert_eq!(places(&sidecar.metrics(), "level_all"), expected);
}

// [life.place]: in its directory.
#[test]
fn each_directory_has_places_of_its_own() {
    let (web, mail, rules) = (TempDir::new(), TempDir::new(), TempDir::new());
    let file = rules.join("rules.yaml");
    let (first, second) = (web.path().display(), mail.path().display());
    let text = format!(
        "directories:\n  - {{path: {first}, labels: {{app: web}}}}\n  \
         - {{path: {second}, labels: {{app: mail}}}}\n"
    );
    files::write(&file, text.as_bytes());
    let flags = format!("--rules.file={}", file.display());
    let flags = [SLOT, &flags, mail.path().to_str().unwrap()];
    let sidecar = Sidecar::serve_with(web.path(), &flags);
    let mut workers = Vec::new();
    for (value, pool) in (1..).zip([&web, &mail, &web, &mail]) {
        workers.push(worker(pool.path(), value));
        sidecar.metrics();
    }
    let series = |served: &Exposition| -> BTreeMap<String, f64> {
        let names = served
            .samples
            .keys()
            .filter(|name| name.starts_with("level_liveall"));
        names
            .map(|name| (name.clone(), served.value(name).unwrap()))
            .collect()
    };
    let expected = |values: [f64; 4]| -> BTreeMap<String, f64> {
        let of = [("web", 0), ("mail", 0), ("web", 1), ("mail", 1)];
        let name = |(app, place)| format!("level_liveall{{app=\"{app}\",worker=\"{place}\"}}");
        of.map(name).into_iter().zip(values).collect()
    };
    assert_eq!(series(&sidecar.metrics()), expected([1.0, 2.0, 3.0, 4.0]));
    workers[1].kill();
    workers.push(worker(mail.path(), 5));
    assert_eq!(series(&sidecar.metrics()), expected([1.0, 5.0, 3.0, 4.0]));
}

// [rules.worker-label]
#[test]
fn a_rule_gives_places_to_one_family_alone() {
    let (pool, rules) = (TempDir::new(), TempDir::new());
    let file = rules.join("rules.yaml");
    files::write(
        &file,
        b"rules:\n  - {match: level_all, worker_label: slot}\n",
    );
    let flag = format!("--rules.file={}", file.display());
    let sidecar = Sidecar::serve_with(pool.path(), &[&flag]);
    for value in 1..=4 {
        let mut worker = worker(pool.path(), value);
        let served = sidecar.metrics();
        let value = Some(f64::from(value));
        assert_eq!(served.value("level_all{worker=\"0\"}"), value);
        let of_pid = format!("level_liveall{{pid=\"{}\"}}", worker.pid());
        assert_eq!(served.value(&of_pid), value);
        worker.kill();
    }
    let served = sidecar.metrics();
    let is_level = |name: &&String| name.starts_with("level_all") || name.contains("liveall");
    let levels: Vec<_> = served.samples.keys().filter(is_level).collect();
    assert_eq!(levels, ["level_all{worker=\"0\"}"]);
}

/// Starts a worker that has a value in every gauge.
fn worker(directory: &Path, value: u32) -> Actor {
    let mut worker = start(directory, "");
    tell(&mut worker, &format!("gauges {value}"));
    worker
}

/// The place of the worker that has each value.
fn places(served: &Exposition, name: &str) -> BTreeMap<u32, String> {
    let samples = served.samples.iter();
    let samples = samples.filter(|(sample, _)| sample.starts_with(&format!("{name}{{")));
    samples
        .map(|(sample, value)| {
            let place = label(sample, "worker").unwrap_or_else(|| panic!("{sample}"));
            let value: f64 = value.parse().expect("a value is a number");
            (value as u32, place.to_owned())
        })
        .collect()
}

fn label<'a>(sample: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = sample.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0)
}
