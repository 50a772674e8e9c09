//! The rules file: refused at the start, read again at SIGHUP, and what it does to a real pool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::support::exposition::Exposition;
use crate::support::processes::run;
use crate::support::python::Corpus;
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually, files};

#[test]
fn a_bad_rules_file_lets_no_command_start() {
    let place = TempDir::new();
    let file = rules_file(&place, "rules:\n  - match: http_*\n    mode: maximum\n");
    let expected = format!(
        "headcount: {}:3:11: rules[0].mode: \"maximum\" is no multiprocess mode; write one of all, \
         liveall, livemax, livemin, livemostrecent, livesum, max, min, mostrecent, sum\n",
        file.display(),
    );
    for mut command in every_command(&place) {
        command.env("HEADCOUNT_RULES_FILE", &file);
        let finished = run(command);
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        assert_eq!(finished.stderr, expected);
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn a_missing_rules_file_lets_no_command_start() {
    let place = TempDir::new();
    let missing = place.join("missing.yaml");
    for mut command in every_command(&place) {
        command.env("HEADCOUNT_RULES_FILE", &missing);
        let finished = run(command);
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        let named = format!("{}: there is no such rules file", missing.display());
        assert!(finished.stderr.contains(&named), "{finished:?}");
    }
}

#[test]
fn a_variable_that_is_empty_counts_as_unset() {
    let place = TempDir::new();
    for mut command in every_command(&place) {
        for variable in VARIABLES {
            command.env(variable, "");
        }
        if command.get_args().any(|argument| argument == "serve") {
            let sidecar = Sidecar::start(command);
            assert_eq!(sidecar.get("/metrics").status, 200);
        } else {
            let finished = run(command);
            assert!(finished.status.success(), "{finished:?}");
        }
    }
    let mut help = headcount("serve");
    help.arg("--help");
    for variable in VARIABLES {
        help.env(variable, "");
    }
    let finished = run(help);
    for variable in VARIABLES {
        assert!(
            finished.stdout.contains(variable),
            "{variable}: {finished:?}"
        );
    }
}

#[test]
fn sighup_without_a_rules_file_ends_nothing_and_is_told() {
    let place = TempDir::new();
    let mut sidecar = Sidecar::serve(place.path());
    sidecar.process.signal(Signal::HUP);
    sidecar.process.wait_for_line("nothing to reload", |line| {
        line.contains("nothing to reload")
    });
    let own = sidecar.self_metrics();
    let about_rules = |sample: &&String| sample.starts_with("headcount_rules_");
    assert_eq!(own.samples.keys().find(about_rules), None);
    sidecar.process.signal(Signal::TERM);
    assert_eq!(sidecar.process.wait().status.code(), Some(0));
}

#[test]
fn a_reload_is_told_whether_it_succeeds_or_not() {
    let pool = Corpus::start("pool");
    let place = TempDir::new();
    let file = rules_file(&place, "# none yet\n");
    let sidecar = serve(&[&pool.directory], &file);
    let (successful, started) = reloads(&sidecar);
    assert!(successful);

    sidecar.process.signal(Signal::HUP);
    let reloaded = eventually("a reload", || {
        let (successful, last) = reloads(&sidecar);
        (successful && last > started).then_some(last)
    });

    fs::write(
        &file,
        "rules:\n  - match: http_*\n    type: counter\n    mood: max\n",
    )
    .unwrap();
    sidecar.process.signal(Signal::HUP);
    let last = eventually("the reload to fail", || {
        let (successful, last) = reloads(&sidecar);
        (!successful).then_some(last)
    });
    assert_eq!(
        last, reloaded,
        "it says when the rules that apply were read"
    );
    let place = format!("{}:4:5: rules[0].mood", file.display());
    let line = sidecar
        .process
        .wait_for_line("the mistake", |line| line.contains(&place));
    assert!(line.contains("level=error"), "{line}");
    assert!(sidecar.serves(&pool.exposition()));

    fs::remove_file(&file).unwrap();
    sidecar.process.signal(Signal::HUP);
    sidecar.process.wait_for_line("the missing file", |line| {
        line.contains("there is no such rules file")
    });
    assert!(!reloads(&sidecar).0);

    fs::write(&file, "rules: []\n").unwrap();
    sidecar.process.signal(Signal::HUP);
    eventually("the file to heal", || {
        let (successful, last) = reloads(&sidecar);
        (successful && last > reloaded).then_some(())
    });
    assert!(sidecar.serves(&pool.exposition()));
}

#[test]
fn scrapes_go_on_while_the_rules_are_read_again_and_again() {
    let pool = Corpus::start("pool");
    let place = TempDir::new();
    let file = rules_file(&place, "rules: []\n");
    let sidecar = serve(&[&pool.directory], &file);
    let wanted = pool.exposition();
    for _ in 0..50 {
        sidecar.process.signal(Signal::HUP);
        assert!(sidecar.serves(&wanted));
    }
}

#[test]
fn in_run_sighup_belongs_to_the_command_alone() {
    let place = TempDir::new();
    let file = rules_file(&place, "rules: []\n");
    let said = place.join("said");
    let script = format!(
        "trap 'echo heard > {0}.part; mv {0}.part {0}' HUP; while :; do sleep 0.05; done",
        said.display()
    );
    let mut command = headcount("run");
    command.arg(ANY_PORT).arg("--rules.file").arg(&file);
    command.args(["--", "sh", "-c", &script]);
    let mut sidecar = Sidecar::start(command);
    let before = reloads(&sidecar);
    fs::write(&file, "no rules").unwrap();
    // The command may not have set its trap yet when it is started, and would be ended then.
    eventually("the command to be ready", || {
        let status = fs::read_to_string(format!("/proc/{}/status", shell_of(&sidecar)?)).ok()?;
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))?;
        (u64::from_str_radix(caught.trim(), 16).ok()? & 1 == 1).then_some(())
    });
    sidecar.process.signal(Signal::HUP);
    eventually("the command to hear it", || said.exists().then_some(()));
    assert_eq!(reloads(&sidecar), before);
    end(&mut sidecar);
}

// What follows is what rules do, each to a pool of the real prometheus_client.

#[test]
fn a_gauge_of_each_worker_becomes_one_by_a_rule() {
    let pool = Corpus::start("types");
    let text = "rules: [{match: level_all, mode: max}, {match: level_liveall, mode: livemin}]";
    let served = served(&[&pool.directory], text);
    // Worker n sets (n - 1) * 2.5, and the third goes on to -0.25.
    assert_eq!(served.value("level_all"), Some(5.0));
    assert_eq!(served.value("level_liveall"), Some(-2.5));
    assert_eq!(named(&served, "level_all").len(), 1, "no label pid is left");
    // A family that no rule matches is as it was: one series for each of the four workers.
    assert_eq!(named(&served, "level_all_by_shard").len(), 8);
}

#[test]
fn the_first_rule_that_says_something_prevails() {
    let pool = Corpus::start("types");
    let text = "rules: [{match: level_all, mode: max}, {match: 'level_*', mode: min, help: One.}]";
    let served = served(&[&pool.directory], text);
    assert_eq!(served.value("level_all"), Some(5.0));
    assert_eq!(served.value("level_sum"), Some(-2.5));
    assert_eq!(served.help["level_all"], "One.");
    assert_eq!(served.help["level_sum"], "One.");
}

#[test]
fn a_family_is_dropped_by_a_rule_and_no_other() {
    let pool = Corpus::start("pool");
    // One by its own name, one by that of its samples.
    for pattern in ["jobs", "jobs_total", "jobs*", "job?"] {
        let text = format!("rules: [{{match: '{pattern}', drop: true}}]");
        let served = served(&[&pool.directory], &text);
        let mut wanted = pool.exposition();
        wanted
            .samples
            .retain(|sample, _| !sample.starts_with("jobs_total"));
        for (sample, value) in &wanted.samples {
            assert_eq!(
                served.samples.get(sample),
                Some(value),
                "{pattern}: {sample}"
            );
        }
        assert!(named(&served, "jobs_total").is_empty(), "{pattern}");
        assert!(!served.types.contains_key("jobs_total"), "{pattern}");
    }
}

#[test]
fn a_label_is_renamed_by_a_rule() {
    let pool = Corpus::start("pool");
    let text = "rules: [{match: 'job*', rename_labels: {queue: topic}}]";
    let served = served(&[&pool.directory], text);
    assert_eq!(served.value("jobs_total{topic=\"mail\"}"), Some(6.0));
    assert_eq!(served.value("jobs_total{topic=\"video\"}"), Some(30.0));
    assert_eq!(
        served.value("job_seconds_count{topic=\"mail\"}"),
        Some(12.0)
    );
    assert!(
        served
            .samples
            .keys()
            .all(|sample| !sample.contains("queue="))
    );
}

#[test]
fn what_remains_is_merged_when_a_rule_drops_a_label() {
    let pool = Corpus::start("pool");
    let text = "rules: [{match: jobs_total, drop_labels: [queue]}]";
    let served = served(&[&pool.directory], text);
    assert_eq!(named(&served, "jobs_total"), ["jobs_total"]);
    assert_eq!(served.value("jobs_total"), Some(36.0));
    assert_eq!(
        served.value("job_seconds_count{queue=\"mail\"}"),
        Some(12.0)
    );
}

#[test]
fn the_help_of_a_rule_stands_in_place_of_the_workers() {
    let pool = Corpus::start("pool");
    let text = "rules: [{match: jobs, help: Mails and videos.}]";
    let served = served(&[&pool.directory], text);
    assert_eq!(served.help["jobs_total"], "Mails and videos.");
    assert_eq!(served.help["backlog"], pool.exposition().help["backlog"]);
}

#[test]
fn every_series_of_a_directory_gets_its_labels() {
    let place = TempDir::new();
    let [web, jobs] = ["web", "jobs"].map(|name| place.join(name));
    for directory in [&web, &jobs] {
        fs::create_dir(directory).unwrap();
    }
    let _web = Corpus::start_in(&web, "pool", 0);
    let _jobs = Corpus::start_in(&jobs, "pool", 0);
    let text = format!(
        "directories:\n  - path: {}\n    labels: {{app: web}}\n  - path: {}\n    labels: {{app: \
         jobs, tier: \"2\"}}\n",
        web.display(),
        jobs.display(),
    );
    let served = served(&[&web, &jobs], &text);
    assert_eq!(
        served.value("jobs_total{app=\"web\",queue=\"mail\"}"),
        Some(6.0)
    );
    assert_eq!(
        served.value("jobs_total{app=\"jobs\",queue=\"mail\",tier=\"2\"}"),
        Some(6.0)
    );
    assert_eq!(served.value("backlog{app=\"web\"}"), Some(14.0));
    assert_eq!(served.value("jobs_total{queue=\"mail\"}"), None);

    // What headcount says of itself is none of a directory's series.
    assert_eq!(served.value("headcount_rules_reload_successful"), Some(1.0));
}

#[test]
fn a_directory_without_an_entry_keeps_its_series_as_they_are() {
    let place = TempDir::new();
    let [web, jobs] = ["web", "jobs"].map(|name| place.join(name));
    for directory in [&web, &jobs] {
        fs::create_dir(directory).unwrap();
    }
    let _web = Corpus::start_in(&web, "pool", 0);
    let _jobs = Corpus::start_in(&jobs, "pool", 0);
    let text = format!(
        "directories: [{{path: {}, labels: {{app: jobs}}}}]",
        jobs.display()
    );
    let served = served(&[&web, &jobs], &text);
    assert_eq!(served.value("jobs_total{queue=\"mail\"}"), Some(6.0));
    assert_eq!(
        served.value("jobs_total{app=\"jobs\",queue=\"mail\"}"),
        Some(6.0)
    );
}

#[test]
fn a_reload_changes_names_and_keeps_totals() {
    let pool = Corpus::start("pool");
    let place = TempDir::new();
    let file = rules_file(&place, "rules: []\n");
    let sidecar = serve(&[&pool.directory], &file);
    assert_eq!(
        sidecar.metrics().value("jobs_total{queue=\"video\"}"),
        Some(30.0)
    );
    // A worker that is gone has left its counts in the totals, and they stay there.
    fs::remove_file(&files::named(&pool.directory, "counter_")[0]).unwrap();
    assert_eq!(
        sidecar.metrics().value("jobs_total{queue=\"video\"}"),
        Some(30.0)
    );
    for (text, sample, total) in [
        (
            "rules: [{match: jobs, rename_labels: {queue: topic}}]",
            "jobs_total{topic=\"video\"}",
            30.0,
        ),
        (
            "rules: [{match: jobs, drop_labels: [queue]}]",
            "jobs_total",
            36.0,
        ),
        ("rules: []", "jobs_total{queue=\"video\"}", 30.0),
    ] {
        reload(&sidecar, &file, text);
        let served = sidecar.metrics();
        assert_eq!(served.value(sample), Some(total), "{text}");
        assert_eq!(served.sum("jobs_total", &[]), 36.0, "{text}");
    }
}

#[test]
fn a_family_that_is_dropped_for_a_while_comes_back_with_its_total() {
    let pool = Corpus::start("pool");
    let place = TempDir::new();
    let file = rules_file(&place, "rules: [{match: jobs, drop: true}]");
    let sidecar = serve(&[&pool.directory], &file);
    assert!(named(&sidecar.metrics(), "jobs_total").is_empty());
    reload(&sidecar, &file, "");
    assert!(sidecar.serves(&pool.exposition()));
    reload(&sidecar, &file, "rules: [{match: jobs, drop: true}]");
    assert!(named(&sidecar.metrics(), "jobs_total").is_empty());
}

#[test]
fn a_bad_file_leaves_the_rules_that_apply() {
    let pool = Corpus::start("pool");
    let place = TempDir::new();
    let file = rules_file(&place, "rules: [{match: jobs, help: Before.}]");
    let sidecar = serve(&[&pool.directory], &file);
    assert_eq!(sidecar.metrics().help["jobs_total"], "Before.");
    // The first rule is good: nothing of it applies.
    fs::write(&file, "rules: [{match: jobs, help: After.}, {match: jobs}]").unwrap();
    sidecar.process.signal(Signal::HUP);
    eventually("the reload to fail", || {
        (!reloads(&sidecar).0).then_some(())
    });
    assert_eq!(sidecar.metrics().help["jobs_total"], "Before.");
    reload(&sidecar, &file, "rules: [{match: jobs, help: After.}]");
    assert_eq!(sidecar.metrics().help["jobs_total"], "After.");
}

#[test]
fn rules_apply_to_collect_and_to_run_too() {
    let pool = Corpus::start("pool");
    let place = TempDir::new();
    let file = rules_file(&place, "rules: [{match: jobs, help: By rule.}]");
    let mut collect = headcount("collect");
    collect.arg(&pool.directory).arg("--rules.file").arg(&file);
    let finished = run(collect);
    assert!(finished.status.success(), "{finished:?}");
    let served = Exposition::parse(&finished.stdout);
    assert_eq!(served.help["jobs_total"], "By rule.");

    let copy = format!(
        "cp {}/*.db \"$HEADCOUNT_DIR\"; exec sleep 600",
        pool.directory.display()
    );
    let mut command = headcount("run");
    command.arg(ANY_PORT).arg("--rules.file").arg(&file);
    command.args(["--", "sh", "-c", &copy]);
    let mut sidecar = Sidecar::start(command);
    eventually("the pool of the command", || {
        let served = sidecar.metrics();
        (served.help.get("jobs_total")? == "By rule.").then_some(())
    });
    end(&mut sidecar);
}

/// Lets `run` end and remove its directory.
fn end(sidecar: &mut Sidecar) {
    sidecar.process.signal(Signal::TERM);
    let finished = sidecar.process.wait();
    assert_eq!(finished.status.code(), Some(143), "{finished:?}");
}

/// What one scrape of `directories` holds under the rules in `text`.
fn served(directories: &[&Path], text: &str) -> Exposition {
    let place = TempDir::new();
    serve(directories, &rules_file(&place, text)).metrics()
}

fn serve(directories: &[&Path], rules: &Path) -> Sidecar {
    let mut command = headcount("serve");
    command.arg(ANY_PORT).arg("--rules.file").arg(rules);
    command.args(directories);
    Sidecar::start(command)
}

fn rules_file(place: &TempDir, text: &str) -> PathBuf {
    let path = place.join("rules.yaml");
    fs::write(&path, text).expect("a file can be written");
    path
}

/// Has `sidecar` obey `text`, and waits until it does.
fn reload(sidecar: &Sidecar, file: &Path, text: &str) {
    let (_, before) = reloads(sidecar);
    fs::write(file, text).expect("a file can be written");
    sidecar.process.signal(Signal::HUP);
    eventually("a reload", || {
        let (successful, last) = reloads(sidecar);
        (successful && last > before).then_some(())
    });
}

/// Whether the last reload succeeded, and when one did.
fn reloads(sidecar: &Sidecar) -> (bool, f64) {
    let own = sidecar.self_metrics();
    let successful = own.value("headcount_rules_reload_successful");
    let last = own.value("headcount_rules_last_reload_success_timestamp_seconds");
    (
        successful.expect("it is told") == 1.0,
        last.expect("it is told"),
    )
}

/// The samples called `name`, as they are printed.
fn named<'a>(exposition: &'a Exposition, name: &str) -> Vec<&'a str> {
    let samples = exposition.samples.keys().map(String::as_str);
    let is_named = |sample: &&str| sample.split('{').next() == Some(name);
    samples.filter(is_named).collect()
}

/// The process that `run` has started.
fn shell_of(sidecar: &Sidecar) -> Option<u32> {
    let children = crate::support::processes::children(sidecar.process.pid());
    children.into_iter().next()
}

/// One of each command that takes rules, over an empty directory.
fn every_command(place: &TempDir) -> Vec<Command> {
    let directory = place.join("pool");
    fs::create_dir_all(&directory).expect("a directory can be made");
    let over = |name: &str, flags: &[&str]| {
        let mut command = headcount(name);
        command.args(flags).arg(&directory);
        command
    };
    let mut run = headcount("run");
    run.args([ANY_PORT, "--", "true"]);
    vec![
        over("serve", &[ANY_PORT]),
        over("collect", &[]),
        over("check", &[]),
        run,
    ]
}

/// Every variable that stands for a flag of `serve`.
const VARIABLES: [&str; 11] = [
    "HEADCOUNT_BUDGET_FAMILY_SERIES",
    "HEADCOUNT_BUDGET_FILES",
    "HEADCOUNT_BUDGET_FILE_BYTES",
    "HEADCOUNT_BUDGET_LABELS",
    "HEADCOUNT_BUDGET_LABEL_BYTES",
    "HEADCOUNT_BUDGET_SERIES",
    "HEADCOUNT_LOG_FORMAT",
    "HEADCOUNT_LOG_LEVEL",
    "HEADCOUNT_RULES_FILE",
    "HEADCOUNT_WEB_LISTEN_ADDRESS",
    "HEADCOUNT_WEB_TELEMETRY_PATH",
];
