//! What a key says.
//!
//! Owns the JSON of `prometheus_client/mmap_dict.py`: family, sample, labels and help. Knows no
//! positions.

use std::collections::BTreeMap;

use headcount_format::MetricType;
use headcount_format::layout::{MAX_LABELS, MAX_TEXT_BYTES};

use super::damage;
use crate::model::Labels;
use crate::report::{Damage, DamageReason};

/// What one key says.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) family: Box<str>,
    pub(super) help: Box<str>,
    pub(super) labels: Labels,
    pub(super) part: Part,
}

/// Which part of its series a sample is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Bucket(f64),
    Count,
    Ignored,
    Sum,
    Whole,
}

/// `[python.key]`: what a key says: family, sample, labels and help.
pub(super) fn parse(metric_type: MetricType, key: &[u8]) -> Result<Key, Damage> {
    type Parts = (Box<str>, Box<str>, BTreeMap<Box<str>, Box<str>>, Box<str>);
    let (family, sample, mut labels, help): Parts =
        serde_json::from_slice(key).map_err(|error| {
            // The other dialects of such files have other keys.
            let reason = match error.classify() {
                serde_json::error::Category::Data => DamageReason::Foreign,
                _ => DamageReason::Malformed,
            };
            damage(
                reason,
                format!("its key is not one of prometheus_client 0.18 to 0.26: {error}"),
            )
        })?;
    if labels.len() > MAX_LABELS {
        let detail = format!(
            "it has {} labels, and {MAX_LABELS} is the limit",
            labels.len()
        );
        return Err(damage(DamageReason::TooLarge, detail));
    }
    let texts = labels.iter().flat_map(|(name, value)| [name, value]);
    if let Some(long) = texts
        .chain([&family, &help])
        .find(|text| text.len() > MAX_TEXT_BYTES)
    {
        let detail = format!(
            "a text has {} bytes, and {MAX_TEXT_BYTES} is the limit",
            long.len()
        );
        return Err(damage(DamageReason::TooLarge, detail));
    }
    let Some(suffix) = sample.strip_prefix(&*family) else {
        return Err(misnamed(&sample, &family));
    };
    let part = match (metric_type, suffix) {
        (MetricType::Counter, "_total") | (MetricType::Gauge, "") => Part::Whole,
        (MetricType::Histogram, "_bucket") => Part::Bucket(bound(labels.remove("le").as_deref())?),
        (MetricType::Histogram | MetricType::Summary, "_sum") => Part::Sum,
        (MetricType::Summary, "_count") => Part::Count,
        // [merge.histogram.count]: it is what the buckets add up to.
        (MetricType::Histogram, "_count") => Part::Ignored,
        _ => return Err(misnamed(&sample, &family)),
    };
    // [merge.gauge.pid]
    if metric_type == MetricType::Gauge {
        labels.remove("pid");
    }
    Ok(Key {
        family,
        help,
        labels: Labels::new(labels),
        part,
    })
}

/// An upper bound, in the words that Python's `float` takes and its clients write.
fn bound(le: Option<&str>) -> Result<f64, Damage> {
    le.and_then(|le| le.trim().parse::<f64>().ok())
        .filter(|bound| !bound.is_nan())
        .ok_or_else(|| {
            let detail = match le {
                Some(le) => format!("the bound of a bucket is {le:?}, which is no number"),
                None => "a bucket has no label `le`".to_owned(),
            };
            damage(DamageReason::Malformed, detail)
        })
}

fn misnamed(sample: &str, family: &str) -> Damage {
    let detail = format!("the sample {sample:?} does not belong to the family {family:?}");
    damage(DamageReason::Malformed, detail)
}
