//! Families as one JSON document.
//!
//! Owns the shape that `spec/exposition.md` gives it. Knows no Prometheus format: names are as the
//! workers chose them, and nothing is left out.

use serde::{Serialize, Serializer};

use crate::exposition::float;
use crate::model::{Bucket, Family, Labels, Quantile, Series, Value};

/// Appends `families` and a line feed.
pub(super) fn encode(families: &[Family], out: &mut Vec<u8>) {
    // [exposition.json.document]
    let document = Document {
        families: families.iter().map(FamilyObject::new).collect(),
    };
    serde_json::to_writer(&mut *out, &document)
        .expect("a vector takes every byte, and every key is a string");
    out.push(b'\n');
}

#[derive(Serialize)]
struct Document<'a> {
    families: Vec<FamilyObject<'a>>,
}

#[derive(Serialize)]
struct FamilyObject<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    metric_type: &'static str,
    /// Only where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bare: bool,
    unit: &'a str,
    help: &'a str,
    series: Vec<SeriesObject<'a>>,
}

impl FamilyObject<'_> {
    fn new(family: &Family) -> FamilyObject<'_> {
        FamilyObject {
            name: &family.name,
            metric_type: family.metric_type.name(),
            bare: family.is_bare,
            unit: &family.unit,
            help: &family.help,
            series: family.series.iter().map(SeriesObject::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct SeriesObject<'a> {
    #[serde(serialize_with = "write_labels")]
    labels: &'a Labels,
    #[serde(flatten)]
    value: ValueFields<'a>,
    created: Option<Number>,
}

impl SeriesObject<'_> {
    fn new(series: &Series) -> SeriesObject<'_> {
        SeriesObject {
            labels: &series.labels,
            value: ValueFields::new(&series.value),
            created: series.created.map(Number),
        }
    }
}

/// What is left of a series beside its labels.
#[derive(Serialize)]
#[serde(untagged)]
enum ValueFields<'a> {
    Histogram {
        buckets: Vec<BucketObject>,
        sum: Option<Number>,
    },
    Info {},
    Single {
        value: Number,
    },
    StateSet {
        states: States<'a>,
    },
    Summary {
        count: Option<Number>,
        sum: Option<Number>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        quantiles: Vec<QuantileObject>,
    },
}

impl ValueFields<'_> {
    fn new(value: &Value) -> ValueFields<'_> {
        match value {
            Value::Counter(value) | Value::Gauge(value) | Value::Unknown(value) => {
                ValueFields::Single {
                    value: Number(*value),
                }
            }
            Value::Histogram { buckets, sum } => ValueFields::Histogram {
                buckets: buckets.iter().map(BucketObject::new).collect(),
                sum: sum.map(Number),
            },
            Value::Info => ValueFields::Info {},
            Value::StateSet { states, flags } => ValueFields::StateSet {
                states: States { states, flags },
            },
            Value::Summary {
                count,
                sum,
                quantiles,
            } => ValueFields::Summary {
                count: count.map(Number),
                sum: sum.map(Number),
                quantiles: quantiles.iter().map(QuantileObject::new).collect(),
            },
        }
    }
}

#[derive(Serialize)]
struct BucketObject {
    le: Number,
    count: Number,
}

impl BucketObject {
    fn new(bucket: &Bucket) -> BucketObject {
        BucketObject {
            le: Number(bucket.upper_bound),
            count: Number(bucket.count),
        }
    }
}

#[derive(Serialize)]
struct QuantileObject {
    quantile: Number,
    value: Number,
}

impl QuantileObject {
    fn new(quantile: &Quantile) -> QuantileObject {
        QuantileObject {
            quantile: Number(quantile.quantile),
            value: Number(quantile.value),
        }
    }
}

struct States<'a> {
    states: &'a [Box<str>],
    flags: &'a [bool],
}

impl Serialize for States<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.states.iter().zip(self.flags))
    }
}

/// JSON has no word for a float that is not finite, so that its name stands for it.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // [exposition.json.number]
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(float::special_name(self.0))
        }
    }
}

fn write_labels<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MetricType;

    fn json(metric_type: MetricType, value: Value, created: Option<f64>) -> String {
        let labels = Labels::new([("a.b".into(), "\"\n".into())]);
        let family = Family {
            name: "n".into(),
            help: "h".into(),
            unit: "".into(),
            metric_type,
            is_bare: false,
            series: vec![Series {
                labels: labels.into(),
                value,
                created,
            }],
        };
        let mut out = Vec::new();
        encode(&[family], &mut out);
        let out = String::from_utf8(out).unwrap();
        let series = out.split_once(r#""series":[{"#).unwrap().1;
        series.strip_suffix("}]}]}\n").unwrap().to_owned()
    }

    // [exposition.json.document] [exposition.json.family]
    #[test]
    fn no_families_are_an_empty_list() {
        let mut out = Vec::new();
        encode(&[], &mut out);
        assert_eq!(out, b"{\"families\":[]}\n");
    }

    // [exposition.json.series] [exposition.json.number]
    #[test]
    fn a_single_value_stands_beside_the_labels() {
        assert_eq!(
            json(MetricType::Gauge, Value::Gauge(1.5), None),
            r#""labels":{"a.b":"\"\n"},"value":1.5,"created":null"#
        );
        assert_eq!(
            json(MetricType::Counter, Value::Counter(f64::NAN), Some(7.0)),
            r#""labels":{"a.b":"\"\n"},"value":"NaN","created":7.0"#
        );
    }

    // [exposition.json.series] [exposition.json.number]
    #[test]
    fn every_type_has_its_own_fields() {
        let bucket = |upper_bound, count| Bucket { upper_bound, count };
        let histogram = Value::Histogram {
            buckets: vec![bucket(f64::NEG_INFINITY, 1.0), bucket(f64::INFINITY, 2.0)],
            sum: None,
        };
        assert_eq!(
            json(MetricType::Histogram, histogram, None),
            "\"labels\":{\"a.b\":\"\\\"\\n\"},\
             \"buckets\":[{\"le\":\"-Inf\",\"count\":1.0},{\"le\":\"+Inf\",\"count\":2.0}],\
             \"sum\":null,\"created\":null"
        );
        let states = Value::StateSet {
            states: ["z".into(), "a".into()].into(),
            flags: [true, false].into(),
        };
        assert_eq!(
            json(MetricType::StateSet, states, None),
            r#""labels":{"a.b":"\"\n"},"states":{"z":true,"a":false},"created":null"#
        );
        let summary = Value::Summary {
            count: Some(2.0),
            sum: Some(0.5),
            quantiles: Vec::new(),
        };
        assert_eq!(
            json(MetricType::Summary, summary, None),
            r#""labels":{"a.b":"\"\n"},"count":2.0,"sum":0.5,"created":null"#
        );
        assert_eq!(
            json(MetricType::Info, Value::Info, None),
            r#""labels":{"a.b":"\"\n"},"created":null"#
        );
    }
}
