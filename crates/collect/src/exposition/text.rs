//! Prometheus's text format 0.0.4.
//!
//! Owns the names and types under which this older format declares a family. Knows no values.

use crate::exposition::escape;
use crate::exposition::lines::Lines;
use crate::model::{Family, MetricType};

/// Appends `families`, as `generate_latest` of client_python 0.26.0 (exposition.py) writes them.
pub(super) fn encode(families: &[Family], out: &mut Vec<u8>) {
    for family in families {
        let (suffix, type_name) = match family.is_bare {
            // [exposition.counter.bare]
            true => ("", family.metric_type.name()),
            false => declaration(family.metric_type),
        };
        let mut lines = Lines::new(family, out);
        // [exposition.text.metadata]
        lines.help(suffix, escape::write_text_help);
        lines.metadata("TYPE", suffix, type_name);
        family.series.iter().for_each(|series| lines.series(series));
    }
}

/// What the declared name has at its end, and the declared type.
fn declaration(metric_type: MetricType) -> (&'static str, &'static str) {
    match metric_type {
        // [exposition.text.counter]
        MetricType::Counter => ("_total", "counter"),
        // [exposition.text.info]
        MetricType::Info => ("_info", "gauge"),
        // [exposition.text.stateset]
        MetricType::StateSet => ("", "gauge"),
        // [exposition.text.unknown]
        MetricType::Unknown => ("", "untyped"),
        other => ("", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bucket, Labels, Series, Value};

    fn text(name: &str, metric_type: MetricType, value: Value) -> String {
        let family = Family {
            name: name.into(),
            help: "Says \"so\"\\\n.".into(),
            unit: "seconds".into(),
            metric_type,
            is_bare: false,
            series: vec![Series {
                labels: Labels::new([("a".into(), "1".into()), ("z".into(), "2".into())]).into(),
                value,
                created: Some(1.5),
            }],
        };
        let mut out = Vec::new();
        encode(&[family], &mut out);
        String::from_utf8(out).unwrap()
    }

    // [exposition.text.counter] [exposition.text.metadata] [exposition.text.help]
    // [exposition.text.created]
    #[test]
    fn a_counter_is_declared_with_its_total() {
        assert_eq!(
            text("c", MetricType::Counter, Value::Counter(2.0)),
            "# HELP c_total Says \"so\"\\\\\\n.\n\
             # TYPE c_total counter\n\
             c_total{a=\"1\",z=\"2\"} 2.0\n"
        );
    }

    // [exposition.text.info]
    #[test]
    fn an_info_is_a_gauge_of_one() {
        assert_eq!(
            text("i.i", MetricType::Info, Value::Info),
            "# HELP i_i_info Says \"so\"\\\\\\n.\n\
             # TYPE i_i_info gauge\n\
             i_i_info{a=\"1\",z=\"2\"} 1.0\n"
        );
    }

    // [exposition.text.stateset] [exposition.label.inserted]
    #[test]
    fn a_state_set_is_a_gauge_with_a_sample_for_each_state() {
        let value = Value::StateSet {
            states: ["up".into(), "\"".into()].into(),
            flags: [true, false].into(),
        };
        assert_eq!(
            text("s", MetricType::StateSet, value),
            "# HELP s Says \"so\"\\\\\\n.\n\
             # TYPE s gauge\n\
             s{a=\"1\",s=\"up\",z=\"2\"} 1.0\n\
             s{a=\"1\",s=\"\\\"\",z=\"2\"} 0.0\n"
        );
    }

    // [exposition.text.histogram] [exposition.label.inserted] [exposition.text.created]
    #[test]
    fn a_histogram_has_its_buckets_then_its_sum_and_its_count() {
        let bucket = |upper_bound, count| Bucket { upper_bound, count };
        let value = Value::Histogram {
            buckets: vec![
                bucket(-0.5, 1.0),
                bucket(1e6, 1.0),
                bucket(f64::INFINITY, 4.0),
            ],
            sum: Some(-3.5),
        };
        assert_eq!(
            text("h", MetricType::Histogram, value),
            "# HELP h Says \"so\"\\\\\\n.\n\
             # TYPE h histogram\n\
             h_bucket{a=\"1\",le=\"-0.5\",z=\"2\"} 1.0\n\
             h_bucket{a=\"1\",le=\"1e+06\",z=\"2\"} 1.0\n\
             h_bucket{a=\"1\",le=\"+Inf\",z=\"2\"} 4.0\n\
             h_sum{a=\"1\",z=\"2\"} -3.5\n\
             h_count{a=\"1\",z=\"2\"} 4.0\n"
        );
    }

    // [exposition.text.summary] [exposition.text.unknown]
    #[test]
    fn a_summary_has_what_is_known_of_it_and_unknown_is_untyped() {
        let value = Value::Summary {
            count: Some(4.0),
            sum: None,
            quantiles: Vec::new(),
        };
        assert_eq!(
            text("s", MetricType::Summary, value),
            "# HELP s Says \"so\"\\\\\\n.\n# TYPE s summary\ns_count{a=\"1\",z=\"2\"} 4.0\n"
        );
        assert_eq!(
            text("u", MetricType::Unknown, Value::Unknown(f64::NAN)),
            "# HELP u Says \"so\"\\\\\\n.\n# TYPE u untyped\nu{a=\"1\",z=\"2\"} NaN\n"
        );
    }
}
