//! OpenMetrics 1.0.
//!
//! Owns what this stricter format allows, and what becomes of a family that is beyond it. Knows no
//! other format.
//!
//! A reader of OpenMetrics must reject an exposition as a whole if one sample in it is unlawful, so
//! that nothing unlawful may go out, whatever the workers counted.

use crate::exposition::lines::Lines;
use crate::exposition::{escape, labels};
use crate::model::{Bucket, Family, MetricType, Series, Value};

/// Appends `families` and the mark of the end.
pub(super) fn encode(families: &[Family], out: &mut Vec<u8>) {
    for family in families {
        let lines = Lines::new(family, out);
        let mut values = family.series.iter().map(|series| &series.value);
        if !family.is_bare && values.all(|value| is_lawful(family, value)) {
            encode_typed(family, lines);
        } else {
            encode_untyped(family, lines);
        }
    }
    // [exposition.openmetrics.eof]
    out.extend_from_slice(b"# EOF\n");
}

fn encode_typed(family: &Family, mut lines: Lines<'_>) {
    // [exposition.openmetrics.metadata]
    lines.help("", escape::write_value);
    lines.metadata("TYPE", "", family.metric_type.name());
    if has_unit(family, lines.name()) {
        lines.metadata("UNIT", "", &family.unit);
    }
    let counts = counts(family.metric_type);
    for series in &family.series {
        match &series.value {
            // [exposition.openmetrics.histogram-sum]
            Value::Histogram { buckets, sum } if sum.is_none() || is_negative(buckets) => {
                lines.buckets(&series.labels, buckets);
            }
            _ => lines.series(series),
        }
        // [exposition.openmetrics.created]
        if let Some(created) = series.created.filter(|_| counts) {
            lines.sample("_created", &series.labels, created);
        }
    }
}

/// Every sample that text 0.0.4 has, under its name, but without a claim to its type.
fn encode_untyped(family: &Family, mut lines: Lines<'_>) {
    // [exposition.openmetrics.unlawful]
    let suffixes = match family.is_bare {
        // [exposition.counter.bare]
        true => &[""],
        false => suffixes(family.metric_type),
    };
    for &suffix in suffixes {
        // Most summaries have no quantiles, which alone have the bare name.
        if suffix.is_empty() && !family.series.iter().any(has_bare_samples) {
            continue;
        }
        lines.only(suffix);
        lines.help(suffix, escape::write_value);
        lines.metadata("TYPE", suffix, MetricType::Unknown.name());
        family.series.iter().for_each(|series| lines.series(series));
    }
}

fn has_bare_samples(series: &Series) -> bool {
    match &series.value {
        Value::Summary { quantiles, .. } => !quantiles.is_empty(),
        _ => true,
    }
}

fn suffixes(metric_type: MetricType) -> &'static [&'static str] {
    match metric_type {
        MetricType::Counter => &["_total"],
        MetricType::Histogram => &["_bucket", "_sum", "_count"],
        MetricType::Info => &["_info"],
        MetricType::Summary => &["", "_count", "_sum"],
        _ => &[""],
    }
}

fn counts(metric_type: MetricType) -> bool {
    use MetricType::{Counter, Histogram, Summary};
    matches!(metric_type, Counter | Histogram | Summary)
}

/// Whether the unit may be declared.
fn has_unit(family: &Family, name: &str) -> bool {
    // [exposition.openmetrics.unit]
    let is_allowed = !matches!(family.metric_type, MetricType::Info | MetricType::StateSet);
    let base = name.strip_suffix(&*family.unit);
    is_allowed && !family.unit.is_empty() && base.is_some_and(|base| base.ends_with('_'))
}

/// Whether OpenMetrics 1.0 ("Metric Types") allows `value` for its type.
fn is_lawful(family: &Family, value: &Value) -> bool {
    match value {
        Value::Counter(value) => *value >= 0.0,
        Value::Histogram { buckets, sum } => {
            let is_sum_lawful = sum.is_none_or(|sum| sum >= 0.0) || is_negative(buckets);
            is_sum_lawful && are_lawful(buckets)
        }
        // The label that tells the state must have the family's very name.
        Value::StateSet { .. } => labels::keeps_its_name(&family.name),
        Value::Summary {
            count,
            sum,
            quantiles,
        } => {
            let are_lawful = quantiles.iter().all(|each| {
                (0.0..=1.0).contains(&each.quantile) && (each.value >= 0.0 || each.value.is_nan())
            });
            count.is_none_or(is_count) && sum.is_none_or(|sum| sum >= 0.0) && are_lawful
        }
        Value::Gauge(_) | Value::Info | Value::Unknown(_) => true,
    }
}

fn are_lawful(buckets: &[Bucket]) -> bool {
    let ascend = buckets.is_sorted_by(|left, right| {
        left.upper_bound < right.upper_bound && left.count <= right.count
    });
    let ends = buckets
        .last()
        .is_some_and(|last| last.upper_bound == f64::INFINITY);
    ascend && ends && buckets.iter().all(|bucket| is_count(bucket.count))
}

fn is_count(value: f64) -> bool {
    value >= 0.0 && value.fract() == 0.0
}

fn is_negative(buckets: &[Bucket]) -> bool {
    buckets.iter().any(|bucket| bucket.upper_bound < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openmetrics(name: &str, metric_type: MetricType, values: &[Value]) -> String {
        let series = values.iter().map(|value| Series {
            labels: Default::default(),
            value: value.clone(),
            created: Some(1.5e9),
        });
        let family = Family {
            name: name.into(),
            help: "\"\\\n".into(),
            unit: "seconds".into(),
            metric_type,
            is_bare: false,
            series: series.collect(),
        };
        let mut out = Vec::new();
        encode(&[family], &mut out);
        let out = String::from_utf8(out).unwrap();
        out.strip_suffix("# EOF\n").unwrap().to_owned()
    }

    fn histogram(buckets: &[(f64, f64)], sum: Option<f64>) -> Value {
        let bucket = |&(upper_bound, count): &(f64, f64)| Bucket { upper_bound, count };
        Value::Histogram {
            buckets: buckets.iter().map(bucket).collect(),
            sum,
        }
    }

    fn is_typed(metric_type: MetricType, value: Value) -> bool {
        let out = openmetrics("n", metric_type, &[value]);
        let declared = format!("# TYPE n {metric_type}\n");
        assert!(
            out.contains(&declared) != out.contains(" unknown\n"),
            "{out}"
        );
        out.contains(&declared)
    }

    // [exposition.openmetrics.eof]
    #[test]
    fn no_families_are_an_end_alone() {
        assert_eq!(openmetrics("n", MetricType::Gauge, &[]).lines().count(), 2);
        let mut out = Vec::new();
        encode(&[], &mut out);
        assert_eq!(out, b"# EOF\n");
    }

    // [exposition.openmetrics.metadata] [exposition.openmetrics.help]
    // [exposition.openmetrics.unit] [exposition.openmetrics.created]
    #[test]
    fn a_counter_is_declared_without_its_total() {
        assert_eq!(
            openmetrics("c_seconds", MetricType::Counter, &[Value::Counter(2.0)]),
            "# HELP c_seconds \\\"\\\\\\n\n\
             # TYPE c_seconds counter\n\
             # UNIT c_seconds seconds\n\
             c_seconds_total 2.0\n\
             c_seconds_created 1.5e+09\n"
        );
    }

    // [exposition.openmetrics.unit]
    #[test]
    fn a_unit_is_declared_only_where_it_may_be() {
        let declares =
            |name, metric_type, value| openmetrics(name, metric_type, &[value]).contains("# UNIT");
        assert!(declares("n_seconds", MetricType::Gauge, Value::Gauge(1.0)));
        assert!(!declares("seconds", MetricType::Gauge, Value::Gauge(1.0)));
        assert!(!declares("nseconds", MetricType::Gauge, Value::Gauge(1.0)));
        assert!(!declares("n_second", MetricType::Gauge, Value::Gauge(1.0)));
        assert!(!declares("n_seconds", MetricType::Info, Value::Info));
    }

    // [exposition.openmetrics.histogram-sum] [exposition.openmetrics.created]
    #[test]
    fn a_histogram_with_a_negative_bound_has_neither_sum_nor_count() {
        let negative = histogram(&[(-1.0, 1.0), (f64::INFINITY, 2.0)], Some(-3.0));
        assert_eq!(
            openmetrics("h", MetricType::Histogram, &[negative]),
            "# HELP h \\\"\\\\\\n\n\
             # TYPE h histogram\n\
             h_bucket{le=\"-1.0\"} 1.0\n\
             h_bucket{le=\"+Inf\"} 2.0\n\
             h_created 1.5e+09\n"
        );
        let without = histogram(&[(f64::INFINITY, 2.0)], None);
        assert!(!openmetrics("h", MetricType::Histogram, &[without]).contains("h_count"));
    }

    // [exposition.openmetrics.unlawful]
    #[test]
    fn a_family_with_one_unlawful_value_has_all_its_samples_and_no_type() {
        let values = [
            histogram(&[(f64::INFINITY, 2.0)], Some(-3.0)),
            histogram(&[(f64::INFINITY, 4.0)], Some(5.0)),
        ];
        assert_eq!(
            openmetrics("h_seconds", MetricType::Histogram, &values),
            "# HELP h_seconds_bucket \\\"\\\\\\n\n\
             # TYPE h_seconds_bucket unknown\n\
             h_seconds_bucket{le=\"+Inf\"} 2.0\n\
             h_seconds_bucket{le=\"+Inf\"} 4.0\n\
             # HELP h_seconds_sum \\\"\\\\\\n\n\
             # TYPE h_seconds_sum unknown\n\
             h_seconds_sum -3.0\n\
             h_seconds_sum 5.0\n\
             # HELP h_seconds_count \\\"\\\\\\n\n\
             # TYPE h_seconds_count unknown\n\
             h_seconds_count 2.0\n\
             h_seconds_count 4.0\n"
        );
    }

    // [exposition.openmetrics.unlawful]
    #[test]
    fn counters_sums_and_counts_are_numbers_and_not_negative() {
        let nan = f64::NAN;
        let inf = f64::INFINITY;
        for (value, lawful) in [
            (0.0, true),
            (-0.0, true),
            (inf, true),
            (nan, false),
            (-1.0, false),
        ] {
            assert_eq!(
                is_typed(MetricType::Counter, Value::Counter(value)),
                lawful,
                "{value}"
            );
            let sum = histogram(&[(inf, 1.0)], Some(value));
            assert_eq!(is_typed(MetricType::Histogram, sum), lawful, "{value}");
            let sum = Value::Summary {
                count: None,
                sum: Some(value),
                quantiles: Vec::new(),
            };
            assert_eq!(is_typed(MetricType::Summary, sum), lawful, "{value}");
        }
        for (value, lawful) in [
            (3.0, true),
            (0.5, false),
            (inf, false),
            (nan, false),
            (-1.0, false),
        ] {
            let count = histogram(&[(inf, value)], None);
            assert_eq!(is_typed(MetricType::Histogram, count), lawful, "{value}");
            let count = Value::Summary {
                count: Some(value),
                sum: None,
                quantiles: Vec::new(),
            };
            assert_eq!(is_typed(MetricType::Summary, count), lawful, "{value}");
        }
    }

    // [exposition.openmetrics.unlawful]
    #[test]
    fn buckets_ascend_to_infinity() {
        let inf = f64::INFINITY;
        for buckets in [
            &[][..],
            &[(1.0, 1.0)],
            &[(1.0, 2.0), (inf, 1.0)],
            &[(1.0, 1.0), (1.0, 1.0), (inf, 1.0)],
            &[(f64::NAN, 1.0), (inf, 1.0)],
        ] {
            assert!(
                !is_typed(MetricType::Histogram, histogram(buckets, None)),
                "{buckets:?}"
            );
        }
    }

    // [exposition.openmetrics.unlawful]
    #[test]
    fn a_state_set_whose_name_no_label_can_have_is_untyped() {
        let value = || Value::StateSet {
            states: ["up".into()].into(),
            flags: [true].into(),
        };
        assert_eq!(
            openmetrics("a:b", MetricType::StateSet, &[value()]),
            "# HELP a:b \\\"\\\\\\n\n# TYPE a:b unknown\na:b{a_b=\"up\"} 1.0\n"
        );
        assert!(is_typed(MetricType::StateSet, value()));
    }
}
