//! The dialects of prometheus_client in multiprocess mode, from 0.0.20 to 0.26.
//!
//! Owns the JSON of the keys that its `mmap_dict.py` (in old releases `core.py`) writes, and what
//! its file names say (`spec/dialects.md`, chapter 2).

use std::collections::BTreeMap;

use headcount_format::{MetricType, Mode};
use serde_json::value::RawValue;

use crate::dialect::entries::{Buckets, Client, FileName, KeyText, Layout, Meaning};
use crate::dialect::{damage, foreign};
use crate::model::Labels;
use crate::report::{Damage, DamageReason, Dialect, Worker};
use crate::rules::Rules;
use crate::table::{Bound, Part};

/// One of the four ways in which releases differ.
#[derive(Debug)]
struct Python {
    name: &'static str,
    value_bytes: usize,
    shape: Shape,
}

/// What a key is, as JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shape {
    /// `[python.key.arrays]`: family, sample, names, values.
    Arrays,
    /// `[python.key.object]`: family, sample, labels.
    Object,
    /// `[python.key]`: family, sample, labels, help.
    ObjectAndHelp,
}

static RELEASES: [Python; 4] = [
    Python {
        name: "prometheus_client 0.18 to 0.26",
        value_bytes: 16,
        shape: Shape::ObjectAndHelp,
    },
    Python {
        name: "prometheus_client 0.16 to 0.17",
        value_bytes: 8,
        shape: Shape::ObjectAndHelp,
    },
    Python {
        name: "prometheus_client 0.4 to 0.15",
        value_bytes: 8,
        shape: Shape::Object,
    },
    Python {
        name: "prometheus_client 0.0.20 to 0.3",
        value_bytes: 8,
        shape: Shape::Arrays,
    },
];

/// `[dialect.key]`: the releases that write such entries and such a key, if any do.
pub(super) fn client(layout: Layout, key: &[u8]) -> Option<&'static dyn Client> {
    let shape = shape(key)?;
    let found = RELEASES
        .iter()
        .find(|release| release.value_bytes == layout.value_bytes && release.shape == shape);
    found.map(|release| release as &dyn Client)
}

/// Tells by how each element begins. Nothing is built of them: any bytes may stand in a key, and as
/// values `[[],[]]` would take ten times as much memory as the file.
fn shape(key: &[u8]) -> Option<Shape> {
    type Three<'a> = (&'a RawValue, &'a RawValue, &'a RawValue);
    type Four<'a> = (&'a RawValue, &'a RawValue, &'a RawValue, &'a RawValue);
    let begins = |element: &RawValue| element.get().bytes().next();
    if let Ok((family, sample, third, fourth)) = serde_json::from_slice::<Four<'_>>(key) {
        return match [family, sample, third, fourth].map(begins) {
            [Some(b'"'), Some(b'"'), Some(b'{'), Some(b'"')] => Some(Shape::ObjectAndHelp),
            // [dialect.key]: the Ruby clients write no space behind a comma.
            [Some(b'"'), Some(b'"'), Some(b'['), Some(b'[')] if has_space(key) => {
                Some(Shape::Arrays)
            }
            _ => None,
        };
    }
    let (family, sample, labels) = serde_json::from_slice::<Three<'_>>(key).ok()?;
    let begin = [family, sample, labels].map(begins);
    (begin == [Some(b'"'), Some(b'"'), Some(b'{')]).then_some(Shape::Object)
}

/// Whether a space follows the first element, which is a text.
fn has_space(key: &[u8]) -> bool {
    let mut is_escaped = false;
    let is_end = |&(_, byte): &(usize, &u8)| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    let end = key.iter().enumerate().skip(2).find(is_end);
    end.is_some_and(|(end, _)| key[end + 1..].starts_with(b", "))
}

impl Client for Python {
    fn dialect(&self) -> Dialect {
        Dialect::Python
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn layout(&self) -> Layout {
        Layout {
            value_bytes: self.value_bytes,
            key: KeyText::Json,
        }
    }

    fn buckets(&self) -> Buckets {
        Buckets::Own
    }

    fn worker(&self, name: &FileName) -> Result<Worker, Damage> {
        match name {
            FileName::Typed { ident, .. } => Ok(Worker {
                id: (**ident).into(),
                pid: (**ident).into(),
                started: 0,
            }),
            FileName::Metric { .. } => Err(foreign("prometheus_client gives no file this name")),
        }
    }

    fn meaning(&self, name: &FileName, key: &[u8], _rules: &Rules) -> Result<Meaning, Damage> {
        let &FileName::Typed {
            metric_type, mode, ..
        } = name
        else {
            return Err(foreign("prometheus_client gives no file this name"));
        };
        let Key {
            family,
            sample,
            labels,
            help,
        } = self.parse(key)?;
        // [python.sample]: since 0.4 every counter has its suffix.
        if metric_type == MetricType::Counter && sample == family && self.shape != Shape::Arrays {
            return Err(misnamed(&sample, &family));
        }
        typed(metric_type, mode, &family, &sample, labels, help)
    }
}

/// What one key says.
struct Key {
    family: Box<str>,
    sample: Box<str>,
    labels: BTreeMap<Box<str>, Box<str>>,
    help: Box<str>,
}

impl Python {
    /// `[python.key]`.
    fn parse(&self, key: &[u8]) -> Result<Key, Damage> {
        type Object = BTreeMap<Box<str>, Box<str>>;
        let wrong = |error: serde_json::Error| {
            let detail = format!("its key is not one of {}: {error}", self.name);
            damage(DamageReason::Malformed, detail)
        };
        let (family, sample, labels, help): (Box<str>, Box<str>, Object, Box<str>) =
            match self.shape {
                Shape::Arrays => {
                    type Arrays = (Box<str>, Box<str>, Vec<Box<str>>, Vec<Box<str>>);
                    let (family, sample, names, values): Arrays =
                        serde_json::from_slice(key).map_err(wrong)?;
                    if names.len() != values.len() {
                        let detail = "its key has not as many label names as values";
                        return Err(damage(DamageReason::Malformed, detail.to_owned()));
                    }
                    let labels = names.into_iter().zip(values).collect();
                    (family, sample, labels, Box::default())
                }
                Shape::Object => {
                    let (family, sample, labels) = serde_json::from_slice(key).map_err(wrong)?;
                    (family, sample, labels, Box::default())
                }
                Shape::ObjectAndHelp => serde_json::from_slice(key).map_err(wrong)?,
            };
        Ok(Key {
            family,
            sample,
            labels,
            help,
        })
    }
}

/// `[python.sample]` `[gitlab.sample]`: what a sample of a file of this type and mode is.
pub(super) fn typed(
    metric_type: MetricType,
    mode: Mode,
    family: &str,
    sample: &str,
    mut labels: BTreeMap<Box<str>, Box<str>>,
    help: Box<str>,
) -> Result<Meaning, Damage> {
    let Some(suffix) = sample.strip_prefix(family) else {
        return Err(misnamed(sample, family));
    };
    let mut name = family;
    let mut is_bare = false;
    let part = match (metric_type, suffix) {
        (MetricType::Counter, "_total") | (MetricType::Gauge, "") => Some(Part::Whole),
        (MetricType::Counter, "") => {
            // [python.bare]
            let stem = family
                .strip_suffix("_total")
                .filter(|stem| !stem.is_empty());
            is_bare = stem.is_none();
            name = stem.unwrap_or(family);
            Some(Part::Whole)
        }
        (MetricType::Histogram, "_bucket") => {
            Some(Part::Bucket(bound(labels.remove("le").as_deref())?))
        }
        (MetricType::Histogram | MetricType::Summary, "_sum") => Some(Part::Sum),
        (MetricType::Summary, "_count") => Some(Part::Count),
        // [merge.histogram.count]: it is what the buckets add up to.
        (MetricType::Histogram, "_count") => None,
        _ => return Err(misnamed(sample, family)),
    };
    // [merge.gauge.pid]
    if metric_type == MetricType::Gauge {
        labels.remove("pid");
    }
    Ok(Meaning {
        family: name.into(),
        metric_type,
        is_bare,
        mode: (metric_type == MetricType::Gauge).then_some(mode),
        help,
        labels: Labels::new(labels),
        part,
    })
}

fn misnamed(sample: &str, family: &str) -> Damage {
    let detail = format!("the sample {sample:?} does not belong to the family {family:?}");
    damage(DamageReason::Malformed, detail)
}

/// `[python.bound]`: an upper bound, in the words that the clients write.
pub(super) fn bound(le: Option<&str>) -> Result<Bound, Damage> {
    let number = le.and_then(|le| le.trim().parse::<f64>().ok());
    number.and_then(Bound::new).ok_or_else(|| {
        let detail = match le {
            Some(le) => format!("the bound of a bucket is {le:?}, which is no number"),
            None => "a bucket has no label `le`".to_owned(),
        };
        damage(DamageReason::Malformed, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // [dialect.key]
    #[test]
    fn the_shape_of_a_key_tells_the_releases_apart() {
        for (key, expected) in [
            (
                r#"["c", "c_total", {"l": "x"}, "Help."]"#,
                Some(Shape::ObjectAndHelp),
            ),
            (r#"["c", "c_total", {"l": "x"}]"#, Some(Shape::Object)),
            (r#"["c", "c", ["l"], ["x"]]"#, Some(Shape::Arrays)),
            (r#"["c\"", "c\"", [], []]"#, Some(Shape::Arrays)),
            (r#"["c","c",["l"],["x"]]"#, None),
            (r#"["c, ","c, ",[],[]]"#, None),
            (r#"["c\\","c\\",[],[]]"#, None),
            (r#"["c", "c", {}, {}]"#, None),
            (r#"["c", "c", [], "Help."]"#, None),
            (r#"["c", 1, {}]"#, None),
            (r#"["c", "c"]"#, None),
            (r#"["c", "c_total", {}, "Help.", []]"#, None),
            (r#"{"c": "c"}"#, None),
            (
                r#" [ "c" , "c_total" , {"l": [1]} , "Help." ] "#,
                Some(Shape::ObjectAndHelp),
            ),
            (r#"["c", "c""#, None),
        ] {
            assert_eq!(shape(key.as_bytes()), expected, "{key}");
        }
    }
}
