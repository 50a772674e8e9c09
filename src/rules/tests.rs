//! Rules files, good and bad, and the exact words for the bad ones.

use std::os::unix::fs::PermissionsExt;

use headcount_collect::model::{MetricType, Mode};
use headcount_collect::rules::WorkerLabel;
use headcount_collect::rules::{Pattern, Rule};
use rustix::process::geteuid;

use super::*;
use crate::scratch::Scratch;

fn read(text: &[u8], directories: &[&str]) -> Result<RulesFile, RulesError> {
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().join("rules.yaml");
    fs::write(&path, text).unwrap();
    let directories: Vec<PathBuf> = directories.iter().map(PathBuf::from).collect();
    RulesFile::read(&path, &directories)
}

/// What is said of `text`, from the name of the file on.
fn complaint(text: &str) -> String {
    let error = read(text.as_bytes(), SERVED).unwrap_err().to_string();
    let (_, rest) = error.split_once("/rules.yaml").expect("the file is named");
    rest.into()
}

#[test]
fn every_key_is_understood() {
    let text = "\
directories:
  - path: /var/run/web/
    labels: {app: web, tier: \"1\"}
rules:
  - match: http_*
    mode: livemax
    type: counter
    help: Requests answered.
    buckets: [-1, 0.5, 1, 1e3]
    rename_labels: {old: new, pid: worker}
    drop_labels: [user_id]
    worker_label: slot
  - match: \"*_debug\"
    drop: true
";
    let file = read(text.as_bytes(), SERVED).unwrap();
    let http = Rule {
        pattern: Pattern::new("http_*"),
        mode: Some(Mode::LiveMax),
        metric_type: Some(MetricType::Counter),
        help: Some("Requests answered.".into()),
        buckets: Some([-1.0, 0.5, 1.0, 1000.0].into()),
        drop: None,
        renamed_labels: vec![
            ("old".into(), "new".into()),
            ("pid".into(), "worker".into()),
        ],
        dropped_labels: vec!["user_id".into()],
        worker_label: Some(WorkerLabel::Slot),
    };
    let debug = Rule {
        pattern: Pattern::new("*_debug"),
        drop: Some(true),
        ..Rule::default()
    };
    assert_eq!(file.rules().rules, [http, debug]);
    let labels = file.labels(Path::new("/var/run/web"));
    assert_eq!(
        labels.iter().collect::<Vec<_>>(),
        [("app", "web"), ("tier", "1")]
    );
    assert!(file.labels(Path::new("/var/run/jobs")).is_empty());
}

#[test]
fn every_mode_and_type_has_its_usual_name() {
    for mode in Mode::ALL {
        let text = format!("rules: [{{match: a, mode: {mode}}}]");
        let file = read(text.as_bytes(), &[]).unwrap();
        assert_eq!(file.rules().rules[0].mode, Some(mode));
    }
    for name in ["counter", "gauge", "histogram", "summary", "unknown"] {
        let text = format!("rules: [{{match: a, type: {name}}}]");
        let file = read(text.as_bytes(), &[]).unwrap();
        let metric_type = file.rules().rules[0].metric_type;
        assert_eq!(metric_type.map(MetricType::name), Some(name));
    }
}

#[test]
fn a_file_that_says_nothing_is_no_rules() {
    for text in [
        "",
        "\n",
        "# later\n",
        "---\n",
        "---\n# later\n...\n",
        "rules:\n",
        "rules: []\n",
        "directories:\n#  - path: /var/run/web\nrules:\n#  - match: a\n",
        "{}",
        "\u{feff}",
    ] {
        let file =
            read(text.as_bytes(), SERVED).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(file.rules(), &Rules::default(), "{text:?}");
        assert!(file.labels.is_empty(), "{text:?}");
    }
}

#[test]
fn what_yaml_takes_for_text_is_text() {
    let text = "rules: [{match: a, help: no}, {match: y, help: !!str 5}, {match: b, help: \"\"}]";
    let file = read(text.as_bytes(), &[]).unwrap();
    let help: Vec<&str> = file
        .rules()
        .rules
        .iter()
        .filter_map(|rule| rule.help.as_deref())
        .collect();
    assert_eq!(help, ["no", "5", ""]);
}

#[test]
fn each_mistake_is_told_with_its_line_and_key() {
    let told = MISTAKES.iter().map(|(text, _)| (*text, complaint(text)));
    let expected = MISTAKES
        .iter()
        .map(|&(text, words)| (text, words.to_owned()));
    let wrong: Vec<_> = told
        .zip(expected)
        .filter(|(told, expected)| told != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_directory_is_named_once_however_it_is_written() {
    let scratch = Scratch::new().unwrap();
    let real = scratch.path().join("pool");
    let link = scratch.path().join("link");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let entry = |path: &Path| format!("  - {{path: {}, labels: {{a: b}}}}\n", path.display());
    let path = scratch.path().join("rules.yaml");
    fs::write(&path, format!("directories:\n{}", entry(&link))).unwrap();
    let file = RulesFile::read(&path, std::slice::from_ref(&real)).unwrap();
    assert_eq!(file.labels(&real).get("a"), Some("b"));

    fs::write(
        &path,
        format!("directories:\n{}{}", entry(&real), entry(&link)),
    )
    .unwrap();
    let error = RulesFile::read(&path, std::slice::from_ref(&real)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}:3:12: directories[1].path: {link:?} has an entry already; write all of its labels \
             there",
            path.display()
        )
    );
}

#[test]
fn run_has_no_directory_that_a_file_could_name() {
    let text = "directories: [{path: /pool, labels: {a: b}}]";
    let error = read(text.as_bytes(), &[]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "directories[0].path: \"/pool\" is not read: `headcount run` makes a directory of its \
             own; take directories out, or use `headcount serve`"
        ),
        "{error}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_to_do() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().join("rules.yaml");
    let told = |path: &Path| RulesFile::read(path, &[]).unwrap_err().to_string();
    let name = path.display();
    assert_eq!(
        told(&path),
        format!(
            "{name}: there is no such rules file; check the name, or leave --rules.file and \
             HEADCOUNT_RULES_FILE out"
        )
    );
    assert!(told(scratch.path()).contains("is a regular file"));
    assert!(told(Path::new("/dev/null")).contains("is a regular file"));

    fs::write(&path, b"rules:\n  - match: \xff\n").unwrap();
    assert_eq!(
        told(&path),
        format!("{name}:2: this line is not UTF-8; save the rules file in that encoding")
    );
    assert!(told(&path.join("below")).contains("cannot be read"));
    if !geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(told(&path).contains("permission denied"));
    }
}

#[test]
fn the_largest_file_is_one_mebibyte() {
    let largest = vec![b'#'; 1 << 20];
    assert!(read(&largest, &[]).is_ok());
    let larger = vec![b'#'; (1 << 20) + 1];
    let error = read(&larger, &[]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "a rules file has 1 MiB at most; check the name, or write patterns in place of single \
             names"
        ),
        "{error}"
    );
}

#[test]
fn a_hostile_file_is_refused_before_it_takes_room() {
    let laughs = "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n\
                  c: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nrules: [*c, *c, *c]\n";
    let deep_flow = "[".repeat(1 << 19);
    let deep_block = "- ".repeat(1 << 19);
    let deep_map = "{a: ".repeat(1 << 17);
    let documents = "---\n{}\n".repeat(1 << 16);
    let nodes = format!("rules: [{}]", "a,".repeat(1 << 19));
    let long_word = format!(
        "rules: [{{match: a, mode: {}}}]",
        "x".repeat((1 << 20) - 50)
    );
    let long_key = format!("{}: 1", "k".repeat((1 << 20) - 3));
    for text in [
        laughs,
        &deep_flow,
        &deep_block,
        &deep_map,
        &documents,
        &nodes,
        &long_key,
        &long_word,
    ] {
        let error = read(text.as_bytes(), &[]).unwrap_err().to_string();
        assert!(error.len() < 1000, "{error}");
        assert!(error.contains("rules.yaml:"), "{error}");
    }
}

#[test]
fn what_a_file_says_cannot_move_the_cursor() {
    let error = complaint("rules: [{match: a, mode: \"\\e[31m\\n\"}]");
    assert!(!error.contains(char::is_control), "{error:?}");
    let error = complaint("\"\\e[31m\": 1");
    assert!(
        !crate::print::Plain(error)
            .to_string()
            .contains(char::is_control)
    );
}

const SERVED: &[&str] = &["/var/run/web", "/var/run/jobs"];

/// A file, and what is said of it after its name.
const MISTAKES: &[(&str, &str)] = &[
    (
        "- match: a\n",
        ":1:1: this is a list, and must be a map with directories and rules",
    ),
    (
        "rule:\n  - match: a\n",
        ":1:1: rule: there is no such key; here may stand directories, rules",
    ),
    (
        "rules:\n  - match: a\n    drop: true\n  - match: b\n    drop: true\n  - match: c\n    \
         mode: maximum\n",
        ":7:11: rules[2].mode: \"maximum\" is no multiprocess mode; write one of all, liveall, \
         livemax, livemin, livemostrecent, livesum, max, min, mostrecent, sum",
    ),
    (
        "rules:\n  - match: a\n    worker_label: place\n",
        ":3:19: rules[0].worker_label: \"place\" is no label of workers; write one of pid, slot",
    ),
    (
        "rules:\n  - match: a\n    modus: max\n",
        ":3:5: rules[0].modus: there is no such key; here may stand match, mode, type, help, \
         buckets, drop, rename_labels, drop_labels, worker_label",
    ),
    (
        "rules:\n  - match: a\n    mode: max\n    mode: min\n",
        ":4:5: mode: the key stands twice in one place; keep one of the two",
    ),
    (
        "rules: []\nrules: []\n",
        ":2:1: rules: the key stands twice in one place; keep one of the two",
    ),
    (
        "rules:\n  match: a\n",
        ":2:3: rules: this is a map, and must be a list of rules",
    ),
    (
        "rules:\n  - http_*\n",
        ":2:5: rules[0]: this is text, and must be a map with match and what is wanted",
    ),
    (
        "rules:\n  - mode: max\n",
        ":2:5: rules[0]: match is missing; add it, as in match: http_*",
    ),
    (
        "rules:\n  - match:\n    mode: max\n",
        ":2:10: rules[0].match: this is empty, and must be text",
    ),
    (
        "rules:\n  - match: ''\n    mode: max\n",
        ":2:12: rules[0].match: the text is empty; write something, or take it out",
    ),
    (
        "rules:\n  - match: 5\n    mode: max\n",
        ":2:12: rules[0].match: this is a number, and must be text; put it in quotes",
    ),
    (
        "rules:\n  - match: *_total\n    drop: true\n",
        ":2:12: what begins with * or & is an alias or an anchor in YAML, and a rules file has \
         neither; write it in quotes, as in \"*_total\", where it is text",
    ),
    (
        "rules:\n  - match: a\n",
        ":2:5: rules[0]: the rule wants nothing of the families that it matches; add mode, type, \
         help, buckets, drop, rename_labels, drop_labels or worker_label, or take the rule out",
    ),
    (
        "rules: [{match: a, rename_labels: {}, drop_labels: []}]",
        ":1:9: rules[0]: the rule wants nothing of the families that it matches; add mode, type, \
         help, buckets, drop, rename_labels, drop_labels or worker_label, or take the rule out",
    ),
    (
        "rules: [{match: a, type: info}]",
        ":1:26: rules[0].type: \"info\" is no metric type; write one of counter, gauge, histogram, \
         summary, unknown",
    ),
    (
        "rules: [{match: a, help: 3.5}]",
        ":1:26: rules[0].help: this is a number, and must be text; put it in quotes",
    ),
    (
        "rules: [{match: a, help: true}]",
        ":1:26: rules[0].help: this is true or false, and must be text; put it in quotes",
    ),
    (
        "rules: [{match: a, help: [b]}]",
        ":1:26: rules[0].help: this is a list, and must be text",
    ),
    (
        "rules: [{match: a, drop: yes}]",
        ":1:26: rules[0].drop: this is text, and must be true or false",
    ),
    (
        "rules: [{match: a, buckets: 1}]",
        ":1:29: rules[0].buckets: this is a number, and must be a list of numbers, such as [0.1, \
         1, 10]",
    ),
    (
        "rules: [{match: a, buckets: []}]",
        ":1:29: rules[0].buckets: the list is empty; name one upper bound at least, or take it out",
    ),
    (
        "rules: [{match: a, buckets: [1, '2']}]",
        ":1:33: rules[0].buckets[1]: this is text, and must be a number",
    ),
    (
        "rules:\n  - match: a\n    buckets:\n      - 1\n      - 10\n      - 5.5\n",
        ":6:9: rules[0].buckets[2]: 5.5 follows 10; write the bounds in ascending order, each once",
    ),
    (
        "rules: [{match: a, buckets: [1, 1]}]",
        ":1:33: rules[0].buckets[1]: 1 follows 1; write the bounds in ascending order, each once",
    ),
    (
        "rules: [{match: a, buckets: [1, +Inf]}]",
        ":1:33: rules[0].buckets[1]: a bound is a finite number; leave +Inf out, which every \
         histogram has",
    ),
    (
        "rules: [{match: a, buckets: [1, .inf]}]",
        ":1:33: rules[0].buckets[1]: a bound is a finite number; leave +Inf out, which every \
         histogram has",
    ),
    (
        "rules: [{match: a, buckets: [.nan]}]",
        ":1:30: rules[0].buckets[0]: a bound is a finite number; leave +Inf out, which every \
         histogram has",
    ),
    (
        "rules: [{match: a, drop_labels: user_id}]",
        ":1:33: rules[0].drop_labels: this is text, and must be a list of label names, such as \
         [user_id]",
    ),
    (
        "rules: [{match: a, drop_labels: [user-id]}]",
        ":1:34: rules[0].drop_labels[0]: \"user-id\" is no label name; use letters, digits and _, \
         with no digit in front",
    ),
    (
        "rules: [{match: a, drop_labels: [b, b]}]",
        ":1:37: rules[0].drop_labels[1]: \"b\" stands twice; keep one",
    ),
    (
        "rules: [{match: a, rename_labels: [b]}]",
        ":1:35: rules[0].rename_labels: this is a list, and must be a map of label names, such as \
         {old: new}",
    ),
    (
        "rules: [{match: a, rename_labels: {1b: c}}]",
        ":1:36: rules[0].rename_labels.1b: \"1b\" is no label name; use letters, digits and _, \
         with no digit in front",
    ),
    (
        "rules: [{match: a, rename_labels: {b: ''}}]",
        ":1:39: rules[0].rename_labels.b: \"\" is no label name; use letters, digits and _, with \
         no digit in front",
    ),
    (
        "rules: [{match: a, rename_labels: {b: le}}]",
        ":1:39: rules[0].rename_labels.b: \"le\" cannot be given; le, quantile, pid and names that \
         begin with __ have a meaning of their own, so choose another",
    ),
    (
        "rules: [{match: a, rename_labels: {b: x, c: x}}]",
        ":1:45: rules[0].rename_labels.c: two labels would be called \"x\"; give each a name of \
         its own",
    ),
    (
        "rules: [{match: a, drop_labels: [b], rename_labels: {b: c}}]",
        ":1:34: rules[0].drop_labels[0]: \"b\" is dropped here and renamed in rename_labels; keep \
         one of the two",
    ),
    (
        "directories: [{labels: {a: b}}]",
        ":1:15: directories[0]: path is missing; add it, as in path: /var/run/web",
    ),
    (
        "directories: [{path: /var/run/web}]",
        ":1:15: directories[0]: labels is missing; add it, as in labels: {app: web}",
    ),
    (
        "directories: [{path: /var/run/web, labels: {}}]",
        ":1:44: directories[0].labels: there is no label; add one, as in {app: web}, or take the \
         entry out",
    ),
    (
        "directories: [{path: /var/run/web, label: {a: b}}]",
        ":1:36: directories[0].label: there is no such key; here may stand path, labels",
    ),
    (
        "directories:\n  - path: /var/run/other\n    labels: {a: b}\n",
        ":2:11: directories[0].path: \"/var/run/other\" is not among the directories that are read \
         (/var/run/web, /var/run/jobs); name it on the command line too, or take the entry out",
    ),
    (
        "directories:\n  - {path: /var/run/web, labels: {a: b}}\n  - {path: /var/run/web/, labels: \
         {a: b}}\n",
        ":3:12: directories[1].path: \"/var/run/web/\" has an entry already; write all of its \
         labels there",
    ),
    (
        "directories: [{path: /var/run/web, labels: {a: 1}}]",
        ":1:48: directories[0].labels.a: this is a number, and must be text; put it in quotes",
    ),
    (
        "directories: [{path: /var/run/web, labels: {a: ''}}]",
        ":1:48: directories[0].labels.a: the text is empty; write something, or take it out",
    ),
    (
        "directories: [{path: /var/run/web, labels: {pid: '1'}}]",
        ":1:45: directories[0].labels.pid: \"pid\" cannot be given; le, quantile, pid and names \
         that begin with __ have a meaning of their own, so choose another",
    ),
    (
        "directories: [{path: /var/run/web, labels: {__a: b}}]",
        ":1:45: directories[0].labels.__a: \"__a\" cannot be given; le, quantile, pid and names \
         that begin with __ have a meaning of their own, so choose another",
    ),
    (
        "rules: [{match: a, help: &text b}]",
        ":1:32: what begins with * or & is an alias or an anchor in YAML, and a rules file has \
         neither; write it in quotes, as in \"*_total\", where it is text",
    ),
    (
        "rules: [{match: a, <<: {drop: true}}]",
        ":1:20: rules[0].<<: there is no such key; here may stand match, mode, type, help, \
         buckets, drop, rename_labels, drop_labels, worker_label",
    ),
    (
        "rules: []\n---\nrules: []\n",
        ":2:1: a second YAML document begins; write one, without --- between its parts",
    ),
];
