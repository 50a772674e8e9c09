//! The vectors of the dialects: what other clients write, and what they make of it themselves.
//!
//! Owns how the vectors of a dialect become a directory of files, and the comparison of its text
//! with ours. `spec/vectors/dialects/README.md` says where they come from.
#![expect(
    clippy::unwrap_used,
    reason = "a vector that is not as described fails the test"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use crate::support::processes::run;
use crate::support::sidecar::{collect, headcount};
use crate::support::{TempDir, python, workspace};
use crate::vectors::assemble;

/// A directory with the files of a dialect, each as long as its producer made it, and open for
/// writing: their workers live, as far as anybody can tell.
fn assemble_dialect(name: &str) -> (TempDir, Vec<File>) {
    let directory = TempDir::new();
    let mut writers = Vec::new();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let bytes = assemble(&fs::read_to_string(&path).unwrap());
            // The rest of a file is a hole, as its producer left it.
            let used = bytes.iter().rposition(|&byte| byte != 0);
            let mut file = File::create(directory.join(path.file_stem().unwrap())).unwrap();
            file.write_all(&bytes[..used.map_or(0, |last| last + 1)])
                .unwrap();
            file.set_len(bytes.len().try_into().unwrap()).unwrap();
            writers.push(file);
        }
    }
    (directory, writers)
}

/// What the producer's own reader makes of the files of a dialect.
pub(crate) fn expected(name: &str) -> String {
    fs::read_to_string(folder(name).join("expected.txt")).unwrap()
}

/// In what the samples of two texts differ; empty if in nothing.
pub(crate) fn differences(expected: &str, actual: &str) -> String {
    let texts = TempDir::new();
    let mut command = python::script("dialects/compare.py");
    for (name, text) in [("expected", expected), ("actual", actual)] {
        fs::write(texts.join(name), text).unwrap();
        command.arg(texts.join(name));
    }
    let finished = run(command);
    assert_eq!(
        finished.status.success(),
        finished.stdout.is_empty() && finished.stderr.is_empty(),
        "{finished:?}"
    );
    finished.stdout + &finished.stderr
}

#[test]
fn the_vectors_are_what_their_producers_write() {
    let mut command = python::script("dialects/make.py");
    command.arg("--check");
    let finished = run(command);
    assert!(
        finished.status.success(),
        "{}; run tests/peers/dialects/make.py --write and read what changed",
        finished.stderr
    );
}

// [python.entry] [python.key] [python.key.object] [python.key.arrays] [python.bare] [gitlab.entry]
// [gitlab.key] [gitlab.name] [gitlab.sample] [gitlab.cumulative] [merge.histogram.mixed]
#[test]
fn every_dialect_merges_as_its_own_reader_merges_it() {
    let mut names = dialects();
    names.retain(|name| !name.starts_with("direct-file-store"));
    assert_eq!(names.len(), 11, "{names:?}");
    for name in names {
        let (directory, _writers) = assemble_dialect(&name);
        let ours = collect(directory.path(), "text");
        assert_eq!(differences(&expected(&name), &ours), "", "{name}");
        let (ours, theirs) = (types(&ours), expected(&name));
        // A family without a sample is declared there and not here: [merge.family.empty].
        let known: Vec<_> = types(&theirs);
        let others: Vec<_> = ours
            .iter()
            .filter(|family| !known.contains(family))
            .collect();
        assert!(others.is_empty() && !ours.is_empty(), "{name}: {others:?}");
    }
}

// [direct.name] [direct.entry] [direct.key] [direct.type] [direct.gauge] [direct.time] [rules.type]
// [rules.mode]
#[test]
fn a_direct_file_store_merges_as_the_ruby_client_merges_it_once_rules_say_what_it_is() {
    for name in ["direct-file-store-0.10", "direct-file-store-3.0"] {
        let (directory, _writers) = assemble_dialect(name);
        let rules = TempDir::new();
        let path = rules.join("rules.yaml");
        fs::write(&path, AGGREGATIONS).unwrap();
        let mut command = headcount("collect");
        command.arg("--rules.file").arg(&path).arg(directory.path());
        let finished = run(command);
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(differences(&expected(name), &finished.stdout), "", "{name}");
        let types = types(&finished.stdout);
        for (family, metric_type) in [
            ("events", "counter"),
            ("jobs_total", "counter"),
            ("level_all", "gauge"),
            ("level_max", "gauge"),
            ("size_bytes", "histogram"),
            ("parse_seconds", "summary"),
        ] {
            assert!(types.contains(&(family, metric_type)), "{types:?}");
        }
    }
}

/// What the metrics of the vectors are, which their files do not say.
const AGGREGATIONS: &str = r#"
rules:
  - {match: events, type: counter}
  - {match: "*level_max", type: gauge, mode: max}
  - {match: "*level_min", type: gauge, mode: min}
  - {match: "*level_sum", type: gauge, mode: sum}
  - {match: "*level_most_recent", type: gauge, mode: mostrecent}
"#;

#[test]
fn a_difference_is_told() {
    let text = "# HELP c Any.\nc{le=\"1.0\",b=\"\",a=\"\\u0041\\\"\"} 1\nd 2\n";
    let same = "d 2.0\nc{a=\"A\\\"\", le=\"1\"} 1e0\n";
    assert_eq!(differences(text, same), "");
    let other = differences(text, "c{a=\"A\\\"\",le=\"1\"} 3\ne 2\n");
    let lines: Vec<&str> = other.lines().collect();
    assert_eq!(lines.len(), 3, "{other}");
    assert!(lines[0].ends_with("expected 1.0, got 3.0"), "{other}");
    assert_eq!(lines[1..], ["missing: d{} 2.0", "added: e{} 2.0"]);
}

/// The dialects of which there are vectors.
fn dialects() -> Vec<String> {
    let entries = fs::read_dir(folder("")).unwrap();
    let folders = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a text declares, in the order of the names.
fn types(text: &str) -> Vec<(&str, &str)> {
    let declared = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut types: Vec<_> = declared.collect();
    types.sort_unstable();
    types
}

fn folder(name: &str) -> PathBuf {
    workspace().join("spec/vectors/dialects").join(name)
}
