//! Families at random: every type, with whatever help, labels and values a worker might think of.

use headcount_collect::model::{Bucket, Family, Labels, MetricType, Series, Value};
use proptest::prelude::*;
use proptest::sample::select;

/// Which names the families and their labels have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Names {
    /// Letters, digits and underscores.
    Plain,
    /// Colons too.
    Colons,
    /// Anything at all.
    Any,
}

/// A few families, none of whose names begins with another's, in any spelling.
pub(crate) fn families(names: Names) -> impl Strategy<Value = Vec<Family>> {
    prop::collection::vec(family(names), 0..6).prop_map(|mut families| {
        for (index, family) in families.iter_mut().enumerate() {
            let unit = if family.unit.is_empty() {
                ""
            } else {
                "_seconds"
            };
            family.name = format!("f{index}x{}{unit}", family.name).into();
        }
        families
    })
}

fn family(names: Names) -> impl Strategy<Value = Family> {
    let types = [
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::Info,
        MetricType::StateSet,
        MetricType::Summary,
        MetricType::Unknown,
    ];
    let unit = select(&["", "", "seconds"][..]);
    (family_name(names), text(), unit, select(types.to_vec())).prop_flat_map(
        move |(name, help, unit, metric_type)| {
            let series = series(names, metric_type);
            prop::collection::vec(series, 0..4).prop_map(move |series| Family {
                name: name.as_str().into(),
                help: help.as_str().into(),
                unit: unit.into(),
                metric_type,
                is_bare: false,
                series: distinct(series),
            })
        },
    )
}

fn family_name(names: Names) -> BoxedStrategy<String> {
    match names {
        Names::Plain => "[a-zA-Z][a-zA-Z0-9_]{0,8}".boxed(),
        Names::Colons => ":?[a-zA-Z][a-zA-Z0-9_:]{0,8}".boxed(),
        Names::Any => text().boxed(),
    }
}

fn label_name(names: Names) -> BoxedStrategy<String> {
    match names {
        Names::Plain | Names::Colons => "[a-zA-Z]_?[a-zA-Z0-9]{0,3}".boxed(),
        Names::Any => prop_oneof![
            text(),
            Just("__name__".to_owned()),
            "[a-b][_.:-][a-b]".prop_map(String::from),
        ]
        .boxed(),
    }
}

/// Text with more than its share of what must be escaped.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let nasty = select(
        &[
            '\\', '"', '\n', 'n', ' ', '{', '}', ',', '=', '#', '\r', '\u{2028}',
        ][..],
    );
    let character = prop_oneof![2 => nasty, 1 => any::<char>(), 1 => prop::char::range('a', 'z')];
    prop::collection::vec(character, 0..12).prop_map(|characters| characters.into_iter().collect())
}

fn series(names: Names, metric_type: MetricType) -> impl Strategy<Value = Series> {
    let pairs = prop::collection::vec((label_name(names), text()), 0..4);
    let created = prop::option::of(1e9..2e9f64);
    (pairs, value(metric_type), created).prop_map(|(pairs, value, created)| Series {
        labels: Labels::new(pairs.into_iter().map(|(k, v)| (k.into(), v.into()))).into(),
        value,
        created,
    })
}

/// Leaves one series of each set of labels, in their order.
fn distinct(mut series: Vec<Series>) -> Vec<Series> {
    series.sort_by(|left, right| left.labels.cmp(&right.labels));
    series.dedup_by(|left, right| left.labels == right.labels);
    series
}

fn value(metric_type: MetricType) -> BoxedStrategy<Value> {
    match metric_type {
        MetricType::Counter => total().prop_map(Value::Counter).boxed(),
        MetricType::Gauge => float().prop_map(Value::Gauge).boxed(),
        MetricType::Histogram => histogram().boxed(),
        MetricType::Info => Just(Value::Info).boxed(),
        MetricType::StateSet => state_set().boxed(),
        MetricType::Summary => (prop::option::of(count()), prop::option::of(total()))
            .prop_map(|(count, sum)| Value::Summary {
                count,
                sum,
                quantiles: Vec::new(),
            })
            .boxed(),
        _ => float().prop_map(Value::Unknown).boxed(),
    }
}

/// Any float, of which short ones are more likely than among all bit patterns.
pub(crate) fn float() -> impl Strategy<Value = f64> {
    let edges = [
        0.0,
        -0.0,
        1e6,
        1e16,
        -1e6,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
    ];
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (any::<i64>(), 0..16i32).prop_map(|(digits, down)| digits as f64 / 10f64.powi(down)),
        // Multiples of 2^-n, among which are those that lie midway between two decimals.
        (any::<i64>(), 0..64u32, 0..80i32)
            .prop_map(|(value, right, down)| (value >> right) as f64 / 2f64.powi(down)),
        (-2_000_000..2_000_000i32).prop_map(f64::from),
        (-2_000_000..2_000_000i32).prop_map(|value| f64::from(value) / 1000.0),
        select(edges.to_vec()),
    ]
}

/// Mostly what a counter may be.
fn total() -> impl Strategy<Value = f64> {
    prop_oneof![9 => float().prop_map(|v| if v.is_nan() { 1.0 } else { v.abs() }), 1 => float()]
}

fn count() -> impl Strategy<Value = f64> {
    prop_oneof![19 => (0..1u64 << 53).prop_map(|count| count as f64), 1 => float()]
}

fn histogram() -> impl Strategy<Value = Value> {
    let bound = prop_oneof![6 => 0.0..1e9, 2 => (0..20).prop_map(f64::from), 1 => -1e3..0.0];
    let bounds = prop::collection::vec(bound, 0..5);
    let parts = (
        bounds,
        prop::collection::vec(count(), 6),
        prop::option::of(total()),
    );
    parts.prop_map(|(mut bounds, mut counts, sum)| {
        bounds.push(f64::INFINITY);
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        counts.sort_by(f64::total_cmp);
        let buckets = bounds.into_iter().zip(counts);
        Value::Histogram {
            buckets: buckets
                .map(|(upper_bound, count)| Bucket { upper_bound, count })
                .collect(),
            sum,
        }
    })
}

fn state_set() -> impl Strategy<Value = Value> {
    let states = prop::collection::btree_map(text(), any::<bool>(), 1..4);
    states.prop_map(|states| Value::StateSet {
        states: states.keys().map(|state| state.as_str().into()).collect(),
        flags: states.values().copied().collect(),
    })
}
