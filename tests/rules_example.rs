//! The worked example of `spec/rules.md`: its rules over its files, and what it says is served.
#![expect(
    clippy::unwrap_used,
    reason = "an example that is not as described fails the test"
)]

use std::fs;
use std::path::Path;

use crate::support::processes::run;
use crate::support::sidecar::headcount;
use crate::support::{TempDir, workspace};

// [rules.match] [rules.mode] [rules.type] [rules.help] [rules.buckets] [rules.drop] [rules.labels]
// [rules.rename-label] [rules.drop-label] [direct.buckets]
#[test]
fn the_example_of_the_specification_is_what_is_served() {
    let page = fs::read_to_string(workspace().join("spec/rules.md")).unwrap();
    let root = TempDir::new();
    let (web, mail) = (root.join("web"), root.join("mail"));
    fs::create_dir(&web).unwrap();
    fs::create_dir(&mail).unwrap();
    let depth = r#"["queue_depth", "queue_depth", {}, "Waiting."]"#;
    write(&web.join("gauge_all_7.db"), &json(&[(depth, 3.0)]));
    write(&web.join("gauge_all_8.db"), &json(&[(depth, 5.0)]));
    let requests = |path| {
        format!(
            r#"["http_requests", "http_requests_total", {{"code": "200", "path": "{path}"}}, "Requests."]"#
        )
    };
    let (a, b) = (requests("/a"), requests("/b"));
    let debug = r#"["debug_calls", "debug_calls_total", {}, "Calls."]"#;
    let counters = json(&[(&a, 4.0), (&b, 2.0), (debug, 9.0)]);
    write(&web.join("counter_7.db"), &counters);
    let seconds = query(&[("le=1&to=list", 2.0), ("le=sum&to=list", 1.5)]);
    write(&mail.join("metric_send_seconds___7.bin"), &seconds);
    let sent = query(&[("app=smtp", 2.0)]);
    write(&mail.join("metric_sent_total___7.bin"), &sent);

    let rules = block(&page, "```yaml\n")
        .replace("/run/web", &web.display().to_string())
        .replace("/run/mail", &mail.display().to_string());
    let path = root.join("rules.yaml");
    fs::write(&path, rules).unwrap();
    let mut command = headcount("collect");
    command.arg("--rules.file").args([&path, &web, &mail]);
    let finished = run(command);
    assert!(finished.status.success(), "{finished:?}");
    let expected = block(&page, "```\n# HELP");
    assert_eq!(finished.stdout, format!("# HELP{expected}"));
    assert_eq!(finished.stderr, "");
}

/// What follows `begin`, up to the end of its block.
fn block<'a>(page: &'a str, begin: &str) -> &'a str {
    let (_, rest) = page.split_once(begin).unwrap();
    rest.split_once("```").unwrap().0
}

/// Entries as prometheus_client 0.26 lays them out.
fn json(entries: &[(&str, f64)]) -> Vec<u8> {
    let entry = |&(key, value): &(&str, f64)| (key.len(), padded(key), value);
    file(entries.iter().map(entry))
}

/// Entries as Ruby's DirectFileStore 2.1 lays them out.
fn query(entries: &[(&str, f64)]) -> Vec<u8> {
    let entry = |&(key, value): &(&str, f64)| (padded(key).len(), padded(key), value);
    file(entries.iter().map(entry))
}

fn padded(key: &str) -> String {
    let spaces = 8 - (key.len() + 4) % 8;
    key.to_owned() + &" ".repeat(spaces)
}

fn file(entries: impl Iterator<Item = (usize, String, f64)>) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (length, key, value) in entries {
        bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(value.to_le_bytes());
        bytes.extend([0; 8]);
    }
    let used = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&used.to_le_bytes());
    bytes
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}
