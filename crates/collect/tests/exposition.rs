//! What is written can be read back, whatever the families are.

mod families;

use std::collections::BTreeMap;

use families::Names;
use headcount_collect::exposition::{Format, encode};
use headcount_collect::model::{Family, MetricType, Value};
use proptest::prelude::*;

/// A sample: its name, its labels, and the bits of its value.
type Sample = (String, BTreeMap<String, String>, u64);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // [exposition.label.value] [exposition.text.help] [exposition.text.metadata]
    #[test]
    fn text_reads_back(families in families::families(Names::Colons)) {
        let (metadata, samples) = parse(&encoded(&families, Format::Text), false);
        let help: Vec<_> = metadata.iter().filter(|line| line.0 == "HELP").collect();
        prop_assert_eq!(help.len(), families.len());
        for (found, family) in help.into_iter().zip(&families) {
            prop_assert_eq!(&found.2, &read_back(&family.help));
        }
        prop_assert_eq!(samples, families.iter().flat_map(expected).collect::<Vec<_>>());
    }

    // [exposition.openmetrics.help] [exposition.openmetrics.unlawful]
    #[test]
    fn openmetrics_reads_back(families in families::families(Names::Plain)) {
        let (metadata, samples) = parse(&encoded(&families, Format::OpenMetrics), true);
        for (keyword, name, text) in &metadata {
            let family = families.iter().find(|family| name.starts_with(&*family.name));
            let family = family.expect("no name is the beginning of another");
            match keyword.as_str() {
                "HELP" => prop_assert_eq!(text, &read_back(&family.help)),
                "UNIT" => prop_assert_eq!(text, &*family.unit),
                _ => prop_assert!(text == "unknown" || text == family.metric_type.name()),
            }
        }
        // What OpenMetrics may leave out is a histogram's sum and count, and nothing else.
        let optional = |sample: &Sample| sample.0.ends_with("_sum") || sample.0.ends_with("_count");
        let sorted = |samples: Vec<Sample>| {
            let mut samples: Vec<_> = samples
                .into_iter()
                .filter(|sample| !sample.0.ends_with("_created"))
                .collect();
            samples.sort();
            samples
        };
        let found = sorted(samples);
        let all = sorted(families.iter().flat_map(expected).collect());
        prop_assert!(found.iter().all(|sample| all.contains(sample)));
        prop_assert!(all.iter().all(|sample| optional(sample) || found.contains(sample)));
    }

    // [exposition.name.label] [exposition.name.family] [exposition.label.distinct]
    #[test]
    fn every_name_is_legal_and_no_sample_has_a_label_twice(
        families in families::families(Names::Any),
    ) {
        for format in [Format::Text, Format::OpenMetrics] {
            // The parser takes nothing else.
            parse(&encoded(&families, format), format == Format::OpenMetrics);
        }
    }

    // [exposition.json.document]
    #[test]
    fn json_is_one_line_of_json(families in families::families(Names::Any)) {
        let json = encoded(&families, Format::Json);
        prop_assert_eq!(json.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        prop_assert_eq!(read["families"].as_array().map(Vec::len), Some(families.len()));
    }
}

fn encoded(families: &[Family], format: Format) -> String {
    let mut out = Vec::new();
    encode(families, format, &mut out);
    String::from_utf8(out).expect("families are text")
}

/// The samples of text 0.0.4, straight from the model.
fn expected(family: &Family) -> Vec<Sample> {
    let mut samples = Vec::new();
    for series in &family.series {
        let labels: BTreeMap<_, _> = series
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut sample = |suffix: &str, extra: Option<(&str, String)>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(extra.map(|(name, value)| (name.replace(':', "_"), value)));
            let bits = if value.is_nan() { f64::NAN } else { value }.to_bits();
            samples.push((format!("{}{suffix}", family.name), labels, bits));
        };
        match &series.value {
            Value::Counter(value) => sample("_total", None, *value),
            Value::Gauge(value) | Value::Unknown(value) => sample("", None, *value),
            Value::Histogram { buckets, sum } => {
                for bucket in buckets {
                    let le = if bucket.upper_bound == f64::INFINITY {
                        "+Inf".to_owned()
                    } else {
                        python_style(bucket.upper_bound)
                    };
                    sample("_bucket", Some(("le", le)), bucket.count);
                }
                sum.iter().for_each(|&sum| sample("_sum", None, sum));
                sample("_count", None, buckets[buckets.len() - 1].count);
            }
            Value::Info => sample("_info", None, 1.0),
            Value::StateSet { states, flags } => {
                for (state, &flag) in states.iter().zip(flags) {
                    let label = Some((&*family.name, state.to_string()));
                    sample("", label, f64::from(u8::from(flag)));
                }
            }
            Value::Summary { count, sum, .. } => {
                count
                    .iter()
                    .for_each(|&count| sample("_count", None, count));
                sum.iter().for_each(|&sum| sample("_sum", None, sum));
            }
            other => panic!("{other:?} is new"),
        }
    }
    samples
}

/// The bound as a gauge's value is printed, which other tests hold against client_python.
fn python_style(value: f64) -> String {
    let family = Family {
        is_bare: false,
        name: "g".into(),
        help: "".into(),
        unit: "".into(),
        metric_type: MetricType::Gauge,
        series: vec![headcount_collect::model::Series {
            labels: Default::default(),
            value: Value::Gauge(value),
            created: None,
        }],
    };
    let text = encoded(&[family], Format::Text);
    text.trim_end()
        .rsplit(' ')
        .next()
        .expect("a line has a value")
        .to_owned()
}

/// The metadata as keyword, name and text, and the samples. Panics at the least fault.
fn parse(text: &str, openmetrics: bool) -> (Vec<(String, String, String)>, Vec<Sample>) {
    let mut metadata = Vec::new();
    let mut samples = Vec::new();
    let mut text = text;
    if openmetrics {
        text = text.strip_suffix("# EOF\n").expect("the end is marked");
    }
    for line in text.split_terminator('\n') {
        let Some(rest) = line.strip_prefix("# ") else {
            samples.push(parse_sample(line));
            continue;
        };
        let mut parts = rest.splitn(3, ' ');
        let mut part = || parts.next().expect("three parts");
        let (keyword, name, text) = (part(), part(), part());
        assert!(["HELP", "TYPE", "UNIT"].contains(&keyword), "{line}");
        assert_legal(name, true);
        let text = match (keyword, openmetrics) {
            ("HELP", true) => unescape(text, "\"\\n"),
            ("HELP", false) => unescape(text, "\\n"),
            _ => text.to_owned(),
        };
        metadata.push((keyword.to_owned(), name.to_owned(), text));
    }
    (metadata, samples)
}

fn parse_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a name ends");
    let (name, mut rest) = line.split_at(end);
    assert_legal(name, true);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (name, quoted) = rest.split_once("=\"").expect("a label has a value");
            assert_legal(name, false);
            let end = closing_quote(quoted);
            let value = unescape(&quoted[..end], "\"\\n");
            assert!(
                labels.insert(name.to_owned(), value).is_none(),
                "twice {name} in {line}"
            );
            let (separator, after) = quoted[end + 1..].split_at(1);
            rest = after;
            match separator {
                "," => {}
                "}" => break,
                _ => panic!("{separator:?} in {line}"),
            }
        }
    }
    let value = rest
        .strip_prefix(' ')
        .expect("a space stands before the value");
    let value: f64 = value.parse().expect("the value is a number");
    (
        name.to_owned(),
        labels,
        if value.is_nan() { f64::NAN } else { value }.to_bits(),
    )
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let is_quote = |c| {
        let found = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        found
    };
    text.find(is_quote).expect("a value is closed")
}

fn unescape(text: &str, escapable: &str) -> String {
    let mut characters = text.chars();
    let mut out = String::new();
    while let Some(c) = characters.next() {
        assert!(
            c == '\\' || c == 'n' || !escapable.contains(c),
            "{c:?} bare in {text}"
        );
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escaped = characters.next().expect("an escape has two characters");
        assert!(escapable.contains(escaped), "{escaped:?} escaped in {text}");
        out.push(if escaped == 'n' { '\n' } else { escaped });
    }
    out
}

fn assert_legal(name: &str, is_metric: bool) {
    let legal = |(at, c): (usize, char)| {
        c.is_ascii_alphabetic()
            || c == '_'
            || (is_metric && c == ':')
            || (at > 0 && c.is_ascii_digit())
    };
    assert!(
        !name.is_empty() && name.chars().enumerate().all(legal),
        "name {name:?}"
    );
    assert!(is_metric || !name.starts_with("__"), "label {name:?}");
}

/// Help as it comes back: Prometheus takes no zero byte in it.
fn read_back(help: &str) -> String {
    help.replace('\0', "\u{fffd}")
}
