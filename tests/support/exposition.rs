//! The text format, read just so far that two expositions can be compared sample for sample.

use std::collections::BTreeMap;

/// What an exposition holds. A sample's name and labels are kept as they are printed, since
/// that, too, is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposition {
    pub(crate) help: BTreeMap<String, String>,
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) samples: BTreeMap<String, String>,
}

impl Exposition {
    /// # Panics
    ///
    /// On a line that is no sample, HELP or TYPE, on one that occurs twice, and on a sample
    /// outside the block of its family.
    pub(crate) fn parse(text: &str) -> Exposition {
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line is cut off"
        );
        let mut exposition = Exposition::default();
        let mut family = String::new();
        for line in text.split_terminator('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap_or((help, ""));
                insert_once(&mut exposition.help, name, help);
            } else if let Some(metric_type) = line.strip_prefix("# TYPE ") {
                let (name, metric_type) = metric_type.split_once(' ').expect("a type has a name");
                insert_once(&mut exposition.types, name, metric_type);
                name.clone_into(&mut family);
            } else {
                assert!(
                    !line.starts_with('#') || line == "# EOF",
                    "odd line {line:?}"
                );
                if line == "# EOF" {
                    continue;
                }
                let (sample, value) = line.rsplit_once(' ').expect("a sample has a value");
                let suffix = name_of(sample).strip_prefix(family.as_str());
                assert!(
                    suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix)),
                    "{line:?}"
                );
                insert_once(&mut exposition.samples, sample, value);
            }
        }
        exposition
    }

    /// Drops the types and help of families that have no sample.
    pub(crate) fn forget_families_without_samples(&mut self) {
        let samples = &self.samples;
        let has_samples = |family: &String| {
            samples.keys().any(|sample| {
                let suffix = name_of(sample).strip_prefix(family.as_str());
                suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix))
            })
        };
        self.types.retain(|family, _| has_samples(family));
        self.help.retain(|family, _| has_samples(family));
    }

    /// The value of the sample that is printed so.
    pub(crate) fn value(&self, sample: &str) -> Option<f64> {
        self.samples.get(sample).map(|value| number(value))
    }

    /// The sum over all samples called `name` in whose labels every one of `labels` is printed.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.samples.iter().filter(|(sample, _)| {
            name_of(sample) == name && labels.iter().all(|label| sample.contains(label))
        });
        samples.map(|(_, value)| number(value)).sum()
    }
}

/// A value as it is printed.
pub(crate) fn number(value: &str) -> f64 {
    value
        .parse()
        .unwrap_or_else(|_| panic!("{value:?} is no number"))
}

/// The bits of a value, the same for every NaN.
pub(crate) fn bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

fn name_of(sample: &str) -> &str {
    sample.split_once('{').map_or(sample, |(name, _)| name)
}

fn insert_once(map: &mut BTreeMap<String, String>, key: &str, value: &str) {
    let previous = map.insert(key.to_owned(), value.to_owned());
    assert!(previous.is_none(), "{key} occurs twice");
}

/// What may follow a family's name in the name of a sample, in either text format.
const SUFFIXES: [&str; 6] = ["", "_bucket", "_count", "_created", "_sum", "_total"];
