//! The same families through client_python: its formatter, its encoders and its strict parser.
//!
//! Needs a Python that has prometheus_client 0.26.0: the one that `HEADCOUNT_PYTHON` names, or the
//! one that `tests/run` puts under `target/peers`.

mod families;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use families::Names;
use headcount_collect::exposition::{Format, encode};
use headcount_collect::model::{Family, Labels, MetricType, Series, Value};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

// [exposition.float.digits] [exposition.float.tie] [exposition.float.exponent]
// [exposition.float.special]
#[test]
fn floats_are_those_of_client_python() {
    let mut floats = sampled(&families::float(), 40_000);
    let powers = (-330..310).flat_map(|exponent| {
        let power: f64 = format!("1e{exponent}").parse().unwrap();
        [power, power.next_up(), power.next_down(), -power]
    });
    floats.extend(powers);
    floats.extend((-1074..1024).map(|exponent| 2f64.powi(exponent)));
    floats.extend((0..64).flat_map(|bits| {
        let edge = (1u128 << bits) as f64;
        [edge - 1.0, edge + 1.0, -edge - 1.0, edge + 0.5]
    }));
    let gauges = Family {
        name: "g".into(),
        help: "".into(),
        unit: "".into(),
        metric_type: MetricType::Gauge,
        series: floats.iter().map(|&value| gauge(value)).collect(),
    };
    let mut text = Vec::new();
    encode(&[gauges], Format::Text, &mut text);
    let text = String::from_utf8(text).unwrap();
    let printed: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("g "))
        .collect();
    assert_eq!(printed.len(), floats.len());
    let pairs = floats.iter().zip(printed);
    let input: String = pairs
        .map(|(value, text)| format!("{:016x} {text}\n", value.to_bits()))
        .collect();
    python("floats", input.as_bytes());
}

// [exposition.openmetrics.metadata] [exposition.openmetrics.unit] [exposition.openmetrics.samples]
// [exposition.openmetrics.histogram-sum] [exposition.openmetrics.unlawful]
#[test]
fn openmetrics_is_what_client_python_writes_and_its_strict_parser_reads() {
    python(
        "openmetrics",
        &cases(Names::Plain, Format::OpenMetrics, 600),
    );
}

// [exposition.name.family] [exposition.name.label] [exposition.name.reserved]
// [exposition.label.distinct] [exposition.openmetrics.unlawful]
#[test]
fn the_strict_parser_takes_openmetrics_with_any_names() {
    python("strict", &cases(Names::Any, Format::OpenMetrics, 600));
}

// [exposition.text.metadata] [exposition.text.counter] [exposition.text.info]
// [exposition.text.stateset] [exposition.text.unknown] [exposition.label.order]
#[test]
fn text_is_what_client_python_writes() {
    python("text", &cases(Names::Colons, Format::Text, 600));
}

/// On each line, the families as JSON and what we write for them, as a JSON string.
fn cases(names: Names, format: Format, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for families in sampled(&families::families(names), count) {
        encode(&families, Format::Json, &mut out);
        let mut written = Vec::new();
        encode(&families, format, &mut written);
        let written = String::from_utf8(written).expect("families are text");
        serde_json::to_writer(&mut out, &written).expect("a vector takes every byte");
        out.push(b'\n');
    }
    out
}

fn sampled<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    let sample = |_| {
        strategy
            .new_tree(&mut runner)
            .expect("it always has a value")
            .current()
    };
    (0..count).map(sample).collect()
}

fn gauge(value: f64) -> Series {
    Series {
        labels: Labels::default().into(),
        value: Value::Gauge(value),
        created: None,
    }
}

/// Hands `input` to `peer.py`, which says on standard error what it finds wrong.
fn python(check: &str, input: &[u8]) {
    let mut child = Command::new(interpreter())
        .args(["-c", include_str!("peer.py"), check])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A peer that dies early says why on standard error.
    let sent = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && sent.is_ok(),
        "client_python disagrees:\n{complaint}"
    );
}

fn interpreter() -> PathBuf {
    if let Some(python) = std::env::var_os("HEADCOUNT_PYTHON") {
        return python.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/peers/bin/python");
    assert!(
        python.exists(),
        "no Python with prometheus_client: run tests/run, or set HEADCOUNT_PYTHON"
    );
    python
}
