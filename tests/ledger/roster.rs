//! `headcount check`: who runs, who has ended, and what has become of whose file.

use std::fs;
use std::time::{Duration, Instant};

use super::death::{compact, lives_and_dies, names};
use crate::liveness::worker::{Client, start as start_client};
use crate::pool::worker::{start, tell};
use crate::support::sidecar::check;
use crate::support::{TempDir, eventually, files};

#[test]
fn check_names_who_runs_has_ended_is_set_aside_and_folded_with_age_and_size() {
    let pool = TempDir::new();
    let begin = Instant::now();
    lives_and_dies(pool.path(), 1);
    assert!(compact(pool.path(), &[]).status.success());
    let mut running = start(pool.path(), "");
    tell(&mut running, "work 1");
    let store = names(pool.path());
    let store = store
        .into_iter()
        .find(|name| name.ends_with(".store"))
        .unwrap();
    // A copy is another's, and is set aside.
    let copy = pool.join("0123456789abcdef0123456789abcdef.store");
    fs::copy(pool.join(store), copy).unwrap();
    let mut ended = start_client(Client::Python, pool.path(), 1);
    ended.kill();
    let pids = [running.pid(), ended.pid()];

    // Until each age can be told in whole seconds.
    let text = eventually("everybody to be a second old", || {
        let text = check(pool.path()).stdout;
        let ages = ages(&text);
        let is_old = |age: &Duration| *age >= Duration::from_secs(1);
        (ages.len() == 4 && ages.iter().all(is_old)).then_some(text)
    });
    let age = begin.elapsed();
    for (group, name, size) in [
        ("running: ", pids[0].to_string(), "16 KiB"),
        // Both of its files, of 64 KiB each.
        ("ended: ", pids[1].to_string(), "128 KiB"),
        (
            "set aside: ",
            "0123456789abcdef0123456789abcdef.store".to_owned(),
            "16 KiB",
        ),
        ("folded: ", String::new(), "16 KiB"),
    ] {
        let line = line(&text, group).unwrap_or_else(|| panic!("{group} in {text}"));
        assert!(line.starts_with(&name), "{name} in {line}");
        assert!(line.ends_with(&format!(", {size})")), "{size} in {line}");
        let [told] = ages(&line)[..] else {
            panic!("one age in {line}")
        };
        assert!(
            Duration::from_secs(1) <= told && told <= age,
            "{told:?} of {age:?}"
        );
    }
    assert!(
        line(&text, "folded: ").unwrap().contains(" ago, "),
        "{text}"
    );
    assert!(
        text.contains("workers: 1 running, 1 ended, 0 not known\n"),
        "{text}"
    );
    let sizes = files::named(pool.path(), "counter_");
    assert_eq!(fs::metadata(&sizes[0]).unwrap().len(), 64 << 10);
}

/// What stands behind the name of a group.
fn line(text: &str, group: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim_start);
    lines.find_map(|line| line.strip_prefix(group).map(str::to_owned))
}

/// The ages in a line, none of them over a minute.
fn ages(line: &str) -> Vec<Duration> {
    let words = line.split(['(', ',', ' ']);
    let seconds = words.filter_map(|word| word.strip_suffix('s')?.parse().ok());
    seconds.map(Duration::from_secs).collect()
}
