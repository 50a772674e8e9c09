//! The dialect of GitLab's prometheus-client-mmap, and of Vinted's fork of it.
//!
//! Owns the JSON of the keys that its `mmaped_value.rb` writes, and what its file names say
//! (`spec/dialects.md`, chapter 3).

use std::collections::BTreeMap;

use headcount_format::Mode;
use serde_json::value::RawValue;

use crate::dialect::entries::{Buckets, Client, FileName, KeyText, Layout, Meaning};
use crate::dialect::{damage, foreign, python};
use crate::report::{Damage, DamageReason, Dialect, Worker};
use crate::rules::Rules;

#[derive(Debug)]
struct GitLab;

static GITLAB: GitLab = GitLab;

/// `[gitlab.entry]`: bytes of a value, which has no time.
const VALUE_BYTES: usize = 8;

/// `[dialect.key]`: the client, if it writes such entries and such a key.
pub(super) fn client(layout: Layout, key: &[u8]) -> Option<&'static dyn Client> {
    let is_key = layout.value_bytes == VALUE_BYTES && parse(key).is_ok();
    is_key.then_some(&GITLAB)
}

impl Client for GitLab {
    fn dialect(&self) -> Dialect {
        Dialect::GitLab
    }

    fn name(&self) -> &'static str {
        "prometheus-client-mmap 0.16 to 1.x"
    }

    fn layout(&self) -> Layout {
        Layout {
            value_bytes: VALUE_BYTES,
            key: KeyText::Json,
        }
    }

    fn buckets(&self) -> Buckets {
        Buckets::Cumulative
    }

    /// `[gitlab.reuse]`: two files of one identifier are of two workers, the old and the new.
    fn worker(&self, name: &FileName) -> Result<Worker, Damage> {
        match name {
            FileName::Typed { mode, .. } if !MODES.contains(mode) => Err(foreign(
                "its name holds no multiprocess mode of this Ruby client",
            )),
            FileName::Typed { ident, .. } => Ok(Worker {
                id: (**ident).into(),
                pid: pid(ident).into(),
                started: 0,
            }),
            FileName::Metric { .. } => Err(foreign("this Ruby client gives no file this name")),
        }
    }

    fn meaning(&self, name: &FileName, key: &[u8], _rules: &Rules) -> Result<Meaning, Damage> {
        let &FileName::Typed {
            metric_type, mode, ..
        } = name
        else {
            return Err(foreign("this Ruby client gives no file this name"));
        };
        let wrong = |error: serde_json::Error| {
            let detail = format!("its key is not one of {}: {error}", self.name());
            damage(DamageReason::Malformed, detail)
        };
        let (family, sample, names, values) = parse(key).map_err(wrong)?;
        if names.len() != values.len() {
            let detail = "its key has not as many label names as values".to_owned();
            return Err(damage(DamageReason::Malformed, detail));
        }
        let values = values
            .into_iter()
            .map(|value| text(value).map_err(wrong))
            .collect::<Result<Vec<_>, _>>()?;
        let labels: BTreeMap<_, _> = names.into_iter().zip(values).collect();
        python::typed(metric_type, mode, &family, &sample, labels, Box::default())
    }
}

type Key<'a> = (Box<str>, Box<str>, Vec<Box<str>>, Vec<&'a RawValue>);

/// `[gitlab.key]`: family, sample, names and values of labels.
fn parse(key: &[u8]) -> Result<Key<'_>, serde_json::Error> {
    serde_json::from_slice(key)
}

/// `[gitlab.key]`: the value of a label, which need not be a text: a number or a flag is as it is
/// spelled.
fn text(value: &RawValue) -> Result<Box<str>, serde_json::Error> {
    match value.get() {
        "null" => Ok(Box::default()),
        // An array or an object is no text, and says so when it is read as one.
        text if text.starts_with(['"', '[', '{']) => serde_json::from_str(text),
        spelled => Ok(spelled.into()),
    }
}

/// `[gitlab.name]`: the identifier without the number of the file, which its reader takes from the
/// end of every part.
fn pid(ident: &str) -> String {
    let parts = ident.split('_').map(|part| match part.rsplit_once('-') {
        Some((stem, digits)) if is_number(digits) => stem,
        _ => part,
    });
    parts.collect::<Vec<_>>().join("_")
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `[gitlab.name]`; counters and the like have the default one.
const MODES: [Mode; 5] = [
    Mode::All,
    Mode::LiveAll,
    Mode::LiveSum,
    Mode::Max,
    Mode::Min,
];

#[cfg(test)]
mod tests {
    use super::*;

    // [gitlab.key]
    #[test]
    fn the_value_of_a_label_is_a_text_or_as_it_is_spelled() {
        let key = br#"["f","f",["a","b"],["\u00e9\"",1.50,1e400,true,null,["x"],{}]]"#;
        let (_, _, _, values) = parse(key).unwrap();
        let texts: Vec<_> = values.into_iter().map(|value| text(value).ok()).collect();
        let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
        let expected = ["\u{e9}\"", "1.50", "1e400", "true", ""];
        assert_eq!(texts[..5], expected.map(Some));
        assert_eq!(texts[5..], [None, None]);
    }

    // [gitlab.name]
    #[test]
    fn the_number_of_a_file_is_not_the_workers() {
        for (ident, expected) in [
            ("1234-0", "1234"),
            ("worker_id_0-0", "worker_id_0"),
            ("host-12_9-0", "host_9"),
            ("puma_master-1", "puma_master"),
            ("a-b", "a-b"),
            ("a-", "a-"),
        ] {
            assert_eq!(pid(ident), expected);
        }
    }
}
