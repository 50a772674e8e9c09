//! What our encoder writes is read back as it was.

use std::collections::{BTreeMap, BTreeSet};

use headcount_collect::exposition::{Format, encode};
use headcount_collect::model::{Family, Labels, MetricType, Value};
use headcount_collect::parser::{ParsedFamily, ParsedSample, parse};
use proptest::prelude::*;

use crate::families::{self, Names};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // [text.family] [text.escape] [text.value] [text.help] [text.type] [text.histogram]
    // [text.summary]
    #[test]
    fn families_read_back(families in families::families(Names::Colons)) {
        let families: Vec<_> = families.into_iter().map(tidy).collect();
        let mut text = Vec::new();
        encode(&families, Format::Text, &mut text);
        let document = parse(&text);
        prop_assert!(document.errors.is_empty(), "{:?}", document.errors);
        prop_assert!(!document.is_cut);
        prop_assert_eq!(document.families.len(), families.len());
        for (found, family) in document.families.iter().zip(&families) {
            let (name, metric_type) = declaration(family);
            prop_assert_eq!(&*found.name, name);
            prop_assert_eq!(found.metric_type, Some(metric_type));
            // Blanks at its beginning are blanks before it.
            prop_assert_eq!(&*found.help, family.help.trim_start_matches([' ', '\t']));
            prop_assert!(found.samples.iter().all(|sample| sample.timestamp.is_none()));
            prop_assert_eq!(found_samples(found), expected_samples(family));
        }
    }
}

/// A name, labels, and the bits of a value; the label `le` of a bucket as the bits of its bound.
type Sample = (String, BTreeMap<String, String>, u64);

/// The family, without what a merge does not yield: text with zero bytes, series that are the same
/// but for empty labels, and buckets that are the same but for a label `le` of their series.
fn tidy(mut family: Family) -> Family {
    let tidy = |text: &str| text.replace('\0', "\u{1}");
    family.help = tidy(&family.help).into();
    let mut seen = BTreeSet::new();
    family.series.retain_mut(|series| {
        let labels = series.labels.iter();
        let labels = labels.filter(|(name, value)| !value.is_empty() && *name != "le");
        let labels = Labels::new(labels.map(|(name, value)| (name.into(), tidy(value).into())));
        series.labels = labels.clone().into();
        if let Value::StateSet { states, .. } = &mut series.value {
            *states = states.iter().map(|state| tidy(state).into()).collect();
        }
        seen.insert(labels)
    });
    family
}

/// The name and the type that text 0.0.4 declares.
fn declaration(family: &Family) -> (String, MetricType) {
    let (suffix, metric_type) = match family.metric_type {
        MetricType::Counter => ("_total", MetricType::Counter),
        MetricType::Info => ("_info", MetricType::Gauge),
        MetricType::StateSet => ("", MetricType::Gauge),
        other => ("", other),
    };
    (format!("{}{suffix}", family.name), metric_type)
}

fn found_samples(family: &ParsedFamily) -> Vec<Sample> {
    let sample = |sample: &ParsedSample| {
        let labels = sample.labels.iter().map(|(name, value)| {
            let is_bound = family.metric_type == Some(MetricType::Histogram) && &**name == "le";
            let value = match is_bound {
                true => bound(value.parse().expect("a bound is a number")),
                false => value.to_string(),
            };
            (name.to_string(), value)
        });
        (
            sample.name.to_string(),
            labels.collect(),
            bits(sample.value),
        )
    };
    family.samples.iter().map(sample).collect()
}

fn expected_samples(family: &Family) -> Vec<Sample> {
    let mut samples = Vec::new();
    for series in &family.series {
        let labels = series.labels.iter();
        let labels: BTreeMap<_, _> = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut sample = |suffix: &str, extra: Option<(String, String)>, value: f64| {
            let mut labels = labels.clone();
            labels.extend(extra);
            samples.push((format!("{}{suffix}", family.name), labels, bits(value)));
        };
        match &series.value {
            Value::Counter(value) => sample("_total", None, *value),
            Value::Gauge(value) | Value::Unknown(value) => sample("", None, *value),
            Value::Histogram { buckets, sum } => {
                for bucket in buckets {
                    let label = ("le".to_owned(), bound(bucket.upper_bound));
                    sample("_bucket", Some(label), bucket.count);
                }
                sum.iter().for_each(|&sum| sample("_sum", None, sum));
                let last = buckets.last().expect("a histogram has a bucket");
                sample("_count", None, last.count);
            }
            Value::Info => sample("_info", None, 1.0),
            Value::StateSet { states, flags } => {
                for (state, &flag) in states.iter().zip(flags) {
                    let label = (family.name.replace(':', "_"), state.to_string());
                    sample("", Some(label), f64::from(u8::from(flag)));
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

/// All bits but those of NaN, of which the text has one.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN } else { value }.to_bits()
}

fn bound(value: f64) -> String {
    format!("bound {:x}", bits(value))
}
