//! The dialect of Ruby's prometheus-client with its DirectFileStore.
//!
//! Owns the keys that `data_stores/direct_file_store.rb` writes and what its file names say
//! (`spec/dialects.md`, chapter 5). The file says nothing of type, help or aggregation: a rule does,
//! or a guess from the labels.

use std::collections::BTreeMap;

use headcount_format::{MetricType, Mode};

use crate::dialect::entries::{Buckets, Client, FileName, KeyText, Layout, Meaning};
use crate::dialect::{damage, foreign, python};
use crate::model::Labels;
use crate::report::{Damage, DamageReason, Dialect, Worker};
use crate::rules::Rules;
use crate::table::Part;

#[derive(Debug)]
struct Direct {
    name: &'static str,
    value_bytes: usize,
}

static TIMED: Direct = Direct {
    name: "prometheus-client (Ruby) 2.1 and later",
    value_bytes: 16,
};

static UNTIMED: Direct = Direct {
    name: "prometheus-client (Ruby) 0.10 to 2.0",
    value_bytes: 8,
};

/// The releases that write entries of this layout.
pub(super) fn client(layout: Layout) -> &'static dyn Client {
    match layout.value_bytes {
        16 => &TIMED,
        _ => &UNTIMED,
    }
}

impl Client for Direct {
    fn dialect(&self) -> Dialect {
        Dialect::DirectFileStore
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn layout(&self) -> Layout {
        Layout {
            value_bytes: self.value_bytes,
            key: KeyText::Query,
        }
    }

    fn buckets(&self) -> Buckets {
        Buckets::OwnAndTouched
    }

    fn worker(&self, name: &FileName) -> Result<Worker, Damage> {
        match name {
            FileName::Metric { pid, .. } => Ok(Worker {
                id: (**pid).into(),
                pid: (**pid).into(),
                started: 0,
            }),
            FileName::Typed { .. } => Err(foreign("this Ruby client gives no file this name")),
        }
    }

    fn meaning(&self, name: &FileName, key: &[u8], rules: &Rules) -> Result<Meaning, Damage> {
        let FileName::Metric { metric, pid } = name else {
            return Err(foreign("this Ruby client gives no file this name"));
        };
        let mut labels = parse(key)?;
        let has_own_pid = labels.get("pid").is_some_and(|label| label == pid);
        let stem = metric
            .strip_suffix("_total")
            .filter(|stem| !stem.is_empty());
        let ruled = rules.metric_type(metric);
        let guess = || guess(&labels, has_own_pid, stem.is_some());
        let metric_type = ruled.unwrap_or_else(guess);
        let mut mode = None;
        let part = match metric_type {
            MetricType::Histogram => match labels.remove("le").as_deref() {
                Some("sum") => Part::Sum,
                le => Part::Bucket(python::bound(le)?),
            },
            MetricType::Summary => match labels.remove("quantile").as_deref() {
                Some("count") => Part::Count,
                Some("sum") => Part::Sum,
                _ => {
                    let detail = "a value of a summary is neither its count nor its sum".to_owned();
                    return Err(damage(DamageReason::Malformed, detail));
                }
            },
            MetricType::Gauge => {
                // [direct.gauge]
                labels.remove("pid");
                mode = has_own_pid.then_some(Mode::All);
                Part::Whole
            }
            _ => Part::Whole,
        };
        let is_bare = metric_type == MetricType::Counter && stem.is_none();
        let family = match metric_type {
            MetricType::Counter => stem.unwrap_or(metric),
            _ => metric,
        };
        Ok(Meaning {
            family: family.into(),
            metric_type,
            is_bare,
            mode: mode.or((metric_type == MetricType::Gauge).then_some(Mode::Sum)),
            // [direct.help]
            help: Box::default(),
            labels: Labels::new(labels),
            part: Some(part),
        })
    }
}

/// `[direct.type]`: the type of a metric of which no rule tells one.
fn guess(labels: &BTreeMap<Box<str>, Box<str>>, has_own_pid: bool, is_total: bool) -> MetricType {
    let quantile = labels.get("quantile").map(|quantile| &**quantile);
    if labels.contains_key("le") {
        MetricType::Histogram
    } else if matches!(quantile, Some("count" | "sum")) {
        MetricType::Summary
    } else if has_own_pid {
        MetricType::Gauge
    } else if is_total {
        MetricType::Counter
    } else {
        MetricType::Unknown
    }
}

/// `[direct.key]`: labels as in the query of an address.
fn parse(key: &[u8]) -> Result<BTreeMap<Box<str>, Box<str>>, Damage> {
    let wrong = |what: &str| damage(DamageReason::Malformed, format!("its key {what}"));
    let mut labels = BTreeMap::new();
    for pair in key
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
    {
        let equals = pair.iter().position(|&byte| byte == b'=');
        let equals = equals.ok_or_else(|| wrong("has a label without a value"))?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let text =
            |escaped| unescape(escaped).ok_or_else(|| wrong("is not escaped as it should be"));
        labels.insert(text(name)?, text(value)?);
    }
    Ok(labels)
}

/// What `CGI.escape` has made of a text.
fn unescape(escaped: &[u8]) -> Option<Box<str>> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(16 * high + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    // [direct.key]
    #[test]
    fn a_key_is_the_query_of_an_address() {
        let labels = parse(b"alpha=a+b&zeta=z%22q%5C%0A%C3%A9&empty=").unwrap();
        let expected = [("alpha", "a b"), ("empty", ""), ("zeta", "z\"q\\\n\u{e9}")];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(labels, expected.into());
        assert!(parse(b"").unwrap().is_empty());
        for wrong in ["alpha", "a=%4", "a=%zz", "a=%ff"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    // [direct.type]
    #[test]
    fn a_type_is_guessed_from_the_labels_and_the_name() {
        let labels = |name: &str, value: &str| BTreeMap::from([(name.into(), value.into())]);
        let none = BTreeMap::new();
        for (labels, has_own_pid, is_total, expected) in [
            (labels("le", "1"), false, true, MetricType::Histogram),
            (labels("quantile", "sum"), false, false, MetricType::Summary),
            (labels("quantile", "0.5"), false, false, MetricType::Unknown),
            (labels("pid", "7"), true, false, MetricType::Gauge),
            (labels("pid", "7"), false, false, MetricType::Unknown),
            (none.clone(), false, true, MetricType::Counter),
            (none, false, false, MetricType::Unknown),
        ] {
            let guessed = guess(&labels, has_own_pid, is_total);
            assert_eq!(guessed, expected, "{labels:?}");
        }
    }
}
