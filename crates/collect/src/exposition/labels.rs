//! Label sets, as text 0.0.4 and OpenMetrics share them.
//!
//! Owns the order, spelling and distinctness of the labels within a sample. Knows no values but
//! those of labels.

use std::borrow::Cow;
use std::iter;

use crate::exposition::escape;
use crate::model::Labels;

/// `a="1",b="2"`: the pairs, which are ordered by name, without braces.
pub(crate) fn render(pairs: &[(Box<str>, Box<str>)]) -> Box<[u8]> {
    let mut out = Vec::new();
    write(pairs.iter().map(known), &mut out);
    out.into_boxed_slice()
}

/// A label set of which one value differs from sample to sample.
#[derive(Debug, Default)]
pub(super) struct Varying {
    text: Vec<u8>,
    gap: usize,
}

impl Varying {
    /// Takes `labels` with a label `name` in its sorted place; one of that name is replaced.
    pub(super) fn set(&mut self, labels: &Labels, name: &str) {
        // [exposition.label.inserted]
        let pairs = labels.pairs();
        let at = pairs.partition_point(|pair| *pair.0 < *name);
        let replaced = pairs.get(at).is_some_and(|pair| *pair.0 == *name);
        let before = pairs[..at].iter().map(known);
        let after = pairs[at + usize::from(replaced)..].iter().map(known);
        self.text.clear();
        self.gap = write(before.chain([(name, None)]).chain(after), &mut self.text);
    }

    /// What precedes and what follows the value.
    pub(super) fn around(&self) -> (&[u8], &[u8]) {
        self.text.split_at(self.gap)
    }
}

/// Whether a label of this name is written under it.
pub(super) fn keeps_its_name(name: &str) -> bool {
    escape::label_name(name) == name
}

fn known(pair: &(Box<str>, Box<str>)) -> (&str, Option<&str>) {
    (&pair.0, Some(&pair.1))
}

/// Returns where the value belongs that is `None`.
fn write<'a>(
    pairs: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
    out: &mut Vec<u8>,
) -> usize {
    let mut renamed = Renamed::new(pairs.clone().map(|(name, _)| name));
    let mut gap = 0;
    for (index, (name, value)) in pairs.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(renamed.spelling(name).as_bytes());
        out.extend_from_slice(b"=\"");
        match value {
            Some(value) => escape::write_value(value, out),
            None => gap = out.len(),
        }
        out.push(b'"');
    }
    gap
}

/// Keeps names that are spelled alike apart.
///
/// A sample with two labels of one name makes Prometheus reject the whole scrape, so that of names
/// whose legal spelling is the same, all but one get a number at their end.
struct Renamed<'a> {
    /// Spellings in use; those of legal names only where an illegal one could meet them.
    taken: Vec<Cow<'a, str>>,
}

impl<'a> Renamed<'a> {
    fn new(names: impl Iterator<Item = &'a str> + Clone) -> Renamed<'a> {
        let taken = if names.clone().all(keeps_its_name) {
            Vec::new()
        } else {
            names
                .filter(|name| keeps_its_name(name))
                .map(Cow::Borrowed)
                .collect()
        };
        Renamed { taken }
    }

    fn spelling(&mut self, name: &'a str) -> Cow<'a, str> {
        let spelling = escape::label_name(name);
        if spelling == name {
            return spelling;
        }
        // [exposition.label.distinct]
        let numbered = (2..).map(|number| Cow::Owned(format!("{spelling}{number}")));
        let mut candidates = iter::once(spelling.clone()).chain(numbered);
        let found = candidates.find(|candidate| !self.taken.contains(candidate));
        let spelling = found.unwrap_or(spelling);
        self.taken.push(spelling.clone());
        spelling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(
            pairs
                .iter()
                .map(|&(name, value)| (name.into(), value.into())),
        )
    }

    fn rendered(pairs: &[(&str, &str)]) -> String {
        String::from_utf8(labels(pairs).rendered().to_vec()).unwrap()
    }

    fn varying(pairs: &[(&str, &str)], name: &str) -> String {
        let mut varying = Varying::default();
        varying.set(&labels(&[("left", "over")]), "x");
        varying.set(&labels(pairs), name);
        let (before, after) = varying.around();
        String::from_utf8([before, b"?", after].concat()).unwrap()
    }

    // [exposition.label.order] [exposition.label.value]
    #[test]
    fn labels_are_in_the_order_of_their_names() {
        assert_eq!(rendered(&[]), "");
        assert_eq!(rendered(&[("b", "x\"y"), ("a", "")]), r#"a="",b="x\"y""#);
    }

    // [exposition.label.distinct]
    #[test]
    fn labels_that_are_spelled_alike_stay_apart() {
        assert_eq!(
            rendered(&[("a.b", "1"), ("a_b", "2")]),
            r#"a_b2="1",a_b="2""#
        );
        assert_eq!(
            rendered(&[("a.b", "1"), ("a-b", "2"), ("a_b2", "3")]),
            r#"a_b="2",a_b3="1",a_b2="3""#
        );
        assert_eq!(
            rendered(&[("__name__", "1"), ("_name__", "2")]),
            r#"_name__2="1",_name__="2""#
        );
    }

    // [exposition.label.inserted]
    #[test]
    fn a_label_that_varies_stands_in_its_sorted_place() {
        assert_eq!(varying(&[], "le"), r#"le="?""#);
        assert_eq!(
            varying(&[("a", "1"), ("z", "2")], "le"),
            r#"a="1",le="?",z="2""#
        );
        assert_eq!(varying(&[("z", "2")], "le"), r#"le="?",z="2""#);
        assert_eq!(varying(&[("a", "1")], "le"), r#"a="1",le="?""#);
    }

    // [exposition.label.inserted]
    #[test]
    fn a_label_that_varies_replaces_the_one_of_its_name() {
        assert_eq!(varying(&[("le", "7"), ("z", "2")], "le"), r#"le="?",z="2""#);
    }
}
