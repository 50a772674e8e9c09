//! The same families through client_python: its formatter, its encoders, its strict parser and the
//! lax one.
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
use headcount_collect::parser::{ParsedFamily, ParsedSample, parse};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;

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
        is_bare: false,
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

// [text.sample] [text.label] [text.escape] [text.value] [text.timestamp] [text.help] [text.type]
// [text.family] [text.blank] [text.comment]
#[test]
fn text_is_read_as_client_python_reads_it() {
    // Zero bytes, and series that an empty label tells apart, are errors of ours on purpose.
    let ours_alone = |text: &String| text.contains('\0') || text.contains("=\"\"");
    let random = sampled(&families::families(Names::Colons), 400);
    let random = random.iter().map(|families| {
        let mut text = Vec::new();
        encode(families, Format::Text, &mut text);
        String::from_utf8(text).expect("families are text")
    });
    let documents = AGREED.iter().map(|&text| (text.to_owned(), true));
    // Of help it takes off the blanks of every language.
    let documents = documents.chain(
        random
            .filter(|text| !ours_alone(text))
            .map(|text| (text, false)),
    );
    let mut out = String::new();
    for (text, has_plain_help) in documents {
        let document = parse(text.as_bytes());
        assert!(
            document.errors.is_empty(),
            "{text:?}: {:?}",
            document.errors
        );
        assert!(!document.is_cut, "{text:?}");
        let families: Vec<_> = document.families.iter().map(family_json).collect();
        let case = json!({"text": text, "families": families, "has_plain_help": has_plain_help});
        out.push_str(&format!("{case}\n"));
    }
    python("parser", out.as_bytes());
}

// [text.error] [text.bytes] [text.cut] [text.distinct] [text.histogram] [text.type.late]
#[test]
fn text_is_read_otherwise_only_on_purpose() {
    let mut out = String::new();
    for &(text, wrong, theirs) in DIFFERENT {
        let document = parse(text.as_bytes());
        let lines: Vec<_> = document
            .errors
            .first
            .iter()
            .map(|error| error.line)
            .collect();
        assert_eq!(lines, wrong, "{text:?}");
        // The numbers of their values may be ones that JSON lacks.
        let text = json!(text);
        out.push_str(&format!("{{\"text\": {text}, \"theirs\": {theirs}}}\n"));
    }
    python("differences", out.as_bytes());
}

/// Texts without a fault, which are read alike.
const AGREED: &[&str] = &[
    "",
    "\n",
    include_str!("../../../fuzz/seeds/text/every_type.prom"),
    "x 1\n\n \t\n\tx{a=\"1\"}\t2 \n",
    "x{} 1\nx { a = \"1\" , b\t=\t\"2\" , } 2 -5\nx{a=\"2\"}3\n",
    "x{a=\"\\\\\\\"\\n\"} 1\nx{a=\"\\\\n} # ,=\"} 1\nx{a=\"\u{e9}\u{1f600}\\\\\"} 1\n",
    "a 1\nb +1.5\nc -.5\nd 1.\ne 1e-3\nf 1E5\ng inf\nh -Inf\ni NaN\nj infinity\nk 007\n",
    "l 5e-324\nm 1.7976931348623157e308\nn 9007199254740993\no 1e-999\np 0.1\nq -0.0\n",
    "# HELP x Says \"so\":\\\\ \\n.\n# TYPE x untyped\nx 1\n# HELP y\n# TYPE y gauge\ny 1\n",
    "# TYPE a counter\na 1\n# HELP b_total B.\n# TYPE b_total counter\nb_total 1\n",
    "#\n# \n# EOF\n# comment\n#comment\n# UNIT x seconds\n# HELP\nx 1 1395066363000\n",
    ":a:b 1\n_ 2\n__x{_y=\"1\",_=\"2\"} 3\n",
];

/// Texts that are read otherwise: the lines that are errors here, and the samples that
/// client_python finds, as JSON; `null` where it refuses the text.
const DIFFERENT: &[(&str, &[usize], &str)] = &[
    // One line costs the whole text there.
    ("x\ny 1\n", &[1], "null"),
    ("x 0x10\ny 1\n", &[1], "null"),
    ("x{a=1} 1\ny 1\n", &[1], "null"),
    ("x{a=\"1\",a=\"2\"} 1\n", &[1], "null"),
    ("x{__name__=\"y\"} 1\n", &[1], "null"),
    ("# TYPE x gorge\nx 1\n", &[1], "null"),
    // What is wrong is not looked at there.
    ("x 1\nx 2\n", &[2], "[[\"x\",{},1],[\"x\",{},2]]"),
    (
        "x 1\nx{a=\"\"} 2\n",
        &[2],
        "[[\"x\",{},1],[\"x\",{\"a\":\"\"},2]]",
    ),
    ("x 1 2 3\n", &[1], "[[\"x\",{},1]]"),
    ("x 1 1.5\n", &[1], "[[\"x\",{},1]]"),
    ("x{,a=\"1\"} 1\n", &[1], "[[\"x\",{\"a\":\"1\"},1]]"),
    ("x{a=\"\\t\"} 1\n", &[1], "[[\"x\",{\"a\":\"\\\\t\"},1]]"),
    ("# HELP x C:\\temp\nx 1\n", &[1], "[[\"x\",{},1]]"),
    ("x 1\n# TYPE x gauge\n", &[2], "[[\"x\",{},1]]"),
    (
        "# TYPE x gauge\n# TYPE x gauge\nx 1\n",
        &[2],
        "[[\"x\",{},1]]",
    ),
    ("# TYPE x info\nx 1\n", &[1], "[[\"x\",{},1]]"),
    ("# TYPE h histogram\nh 1\n", &[2], "[[\"h\",{},1]]"),
    (
        "# TYPE h histogram\nh_bucket 1\n",
        &[2],
        "[[\"h_bucket\",{},1]]",
    ),
    ("# TYPE s summary\ns 1\n", &[2], "[[\"s\",{},1]]"),
    (
        "# TYPE h histogram\n# TYPE h_sum gauge\nh_sum 1\n",
        &[2],
        "[[\"h_sum\",{},1]]",
    ),
    // Python's floats are not Go's.
    ("x 1e999\n", &[1], "[[\"x\",{},Infinity]]"),
    ("x -nan\n", &[1], "[[\"x\",{},NaN]]"),
    ("x \u{661}\n", &[1], "[[\"x\",{},1]]"),
    // Nor are its blanks, its lines and its characters.
    ("x 1\r\n", &[1], "[[\"x\",{},1]]"),
    ("x{a=\"\0\"} 1\n", &[1], "[[\"x\",{\"a\":\"\\u0000\"},1]]"),
    ("x 1\ny 2", &[], "[[\"x\",{},1],[\"y\",{},2]]"),
    // Names in braces are of a later format.
    ("{__name__=\"y\"} 1\n", &[1], "[[\"y\",{},1]]"),
    // A keyword needs a blank before it there, a type is in lower case, and no label begins so.
    ("#TYPE h histogram\nh 1\n", &[2], "[[\"h\",{},1]]"),
    ("# TYPE x GAUGE\nx 1\n", &[], "null"),
    ("x{__y=\"1\"} 1\n", &[], "null"),
    ("## TYPE x gorge\nx 1\n", &[], "null"),
    // A family ends there where another begins, so that the counter of this sample is lost.
    (
        "# TYPE a counter\n# TYPE b gauge\na 1\n",
        &[],
        "[[\"a\",{},1]]",
    ),
];

fn family_json(family: &ParsedFamily) -> serde_json::Value {
    let sample = |sample: &ParsedSample| {
        let labels: serde_json::Map<_, _> = sample
            .labels
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect();
        let bits = format!("{:016x}", sample.value.to_bits());
        json!([sample.name, labels, bits, sample.timestamp])
    };
    json!({
        "name": family.name,
        "type": family.metric_type.unwrap_or(MetricType::Unknown).name(),
        "help": family.help,
        "samples": family.samples.iter().map(sample).collect::<Vec<_>>(),
    })
}

/// On each line, the families as JSON and what we write for them, as a JSON string.
fn cases(names: Names, format: Format, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for mut families in sampled(&families::families(names), count) {
        // Prometheus takes no zero byte in help, which client_python writes as it is.
        for family in &mut families {
            family.help = family.help.replace('\0', "\u{fffd}").into();
        }
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
