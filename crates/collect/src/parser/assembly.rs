//! Lines, put together into families.
//!
//! Owns what lines mean together: which family a sample belongs to, what its type asks of it, and
//! what may be said only once. Knows no bytes.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};

use crate::parser::text::{Line, Sample};
use crate::parser::{MetricType, ParseErrorKind, ParsedFamily, ParsedSample, number};

/// The families so far. A line that is refused leaves no trace in them.
#[derive(Debug, Default)]
pub(super) struct Assembly<'a> {
    families: Vec<ParsedFamily>,
    by_name: HashMap<&'a str, usize>,
    hashing: RandomState,
    seen: Seen,
}

impl<'a> Assembly<'a> {
    /// Adds what the line of this number says.
    pub(super) fn take(&mut self, number: usize, line: Line<'a>) -> Result<(), ParseErrorKind> {
        match line {
            Line::Help { name, help } => self.take_help(name, help),
            Line::Nothing => Ok(()),
            Line::Sample(sample) => self.take_sample(number, sample),
            Line::Type { name, metric_type } => self.take_type(name, metric_type),
        }
    }

    pub(super) fn into_families(self) -> Vec<ParsedFamily> {
        self.families
    }

    fn take_help(&mut self, name: &'a str, help: Box<str>) -> Result<(), ParseErrorKind> {
        let family = self.declared(name)?;
        // [text.help.twice]
        if !family.help.is_empty() {
            return Err(ParseErrorKind::HelpTwice);
        }
        family.help = help;
        Ok(())
    }

    fn take_type(&mut self, name: &'a str, metric_type: MetricType) -> Result<(), ParseErrorKind> {
        let family = self.declared(name)?;
        // [text.type.twice]
        if family.metric_type.is_some() {
            return Err(ParseErrorKind::TypeTwice);
        }
        // [text.type.late]
        if !family.samples.is_empty() {
            return Err(ParseErrorKind::TypeLate);
        }
        family.metric_type = Some(metric_type);
        Ok(())
    }

    fn take_sample(&mut self, line: usize, sample: Sample<'a>) -> Result<(), ParseErrorKind> {
        let owner = self.owner(sample.name);
        let place = match owner {
            Some(index) => {
                let family = &self.families[index];
                check(family, &sample)?;
                (index, family.samples.len())
            }
            None => (self.families.len(), 0),
        };
        let hash = self.hash(&sample);
        let is_same = |(family, at): Place| {
            let found = &self.families[family].samples[at];
            *found.name == *sample.name && with_value(&found.labels).eq(with_value(&sample.labels))
        };
        // [text.distinct]
        if !self.seen.insert(hash, place, is_same) {
            return Err(ParseErrorKind::SampleTwice);
        }
        let samples = &mut self.family(owner, sample.name).samples;
        if samples.is_empty() {
            // The first growth would make room for four, which most families never use.
            samples.reserve_exact(1);
        }
        samples.push(ParsedSample {
            name: sample.name.into(),
            labels: sample.labels,
            value: sample.value,
            timestamp: sample.timestamp,
            line,
        });
        Ok(())
    }

    /// The family of this very name, which may be new.
    fn declared(&mut self, name: &'a str) -> Result<&mut ParsedFamily, ParseErrorKind> {
        let owner = self.owner(name);
        // [text.family.part]
        if owner.is_some_and(|index| *self.families[index].name != *name) {
            return Err(ParseErrorKind::PartOfFamily);
        }
        Ok(self.family(owner, name))
    }

    /// The family whose sample or metadata `name` is.
    fn owner(&self, name: &str) -> Option<usize> {
        // [text.family]
        if let Some(&index) = self.by_name.get(name) {
            return Some(index);
        }
        PARTS.iter().find_map(|&(metric_type, suffix)| {
            let index = *self.by_name.get(name.strip_suffix(suffix)?)?;
            (self.families[index].metric_type == Some(metric_type)).then_some(index)
        })
    }

    /// The family at `index`, or else a new one.
    fn family(&mut self, index: Option<usize>, name: &'a str) -> &mut ParsedFamily {
        let index = index.unwrap_or_else(|| {
            let index = self.families.len();
            self.by_name.insert(name, index);
            self.families.push(ParsedFamily {
                name: name.into(),
                metric_type: None,
                help: "".into(),
                samples: Vec::new(),
            });
            index
        });
        &mut self.families[index]
    }

    fn hash(&self, sample: &Sample<'_>) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        sample.name.hash(&mut hasher);
        with_value(&sample.labels).for_each(|label| label.hash(&mut hasher));
        hasher.finish()
    }
}

/// What follows the name of a family of this type in the names of its samples.
const PARTS: [(MetricType, &str); 5] = [
    (MetricType::Summary, "_sum"),
    (MetricType::Summary, "_count"),
    (MetricType::Histogram, "_bucket"),
    (MetricType::Histogram, "_sum"),
    (MetricType::Histogram, "_count"),
];

/// Whether `family`, whose sample it is, may have it.
fn check(family: &ParsedFamily, sample: &Sample<'_>) -> Result<(), ParseErrorKind> {
    let is_bare = *family.name == *sample.name;
    match family.metric_type {
        // [text.histogram]
        Some(MetricType::Histogram) if is_bare => Err(ParseErrorKind::HistogramValue),
        Some(MetricType::Histogram) if sample.name.ends_with("_bucket") => {
            has_number(sample, "le").ok_or(ParseErrorKind::Bound)
        }
        // [text.summary]
        Some(MetricType::Summary) if is_bare => {
            has_number(sample, "quantile").ok_or(ParseErrorKind::Quantile)
        }
        _ => Ok(()),
    }
}

fn has_number(sample: &Sample<'_>, label: &str) -> Option<()> {
    let at = sample
        .labels
        .binary_search_by(|(name, _)| (**name).cmp(label));
    let number = number::value(&sample.labels[at.ok()?].1)?;
    (!number.is_nan()).then_some(())
}

/// The labels that count: one without a value is as good as none.
fn with_value(labels: &[(Box<str>, Box<str>)]) -> impl Iterator<Item = &(Box<str>, Box<str>)> {
    // [text.distinct]
    labels.iter().filter(|(_, value)| !value.is_empty())
}

/// A family's index and a sample's index in it.
type Place = (usize, usize);

/// Where the samples are, by hash.
#[derive(Debug, Default)]
struct Seen {
    places: HashMap<u64, Place>,
}

impl Seen {
    /// Notes a place, unless there is one with the same sample.
    fn insert(&mut self, hash: u64, place: Place, is_same: impl Fn(Place) -> bool) -> bool {
        let mut hash = hash;
        loop {
            match self.places.entry(hash) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                    return true;
                }
                Entry::Occupied(entry) if is_same(*entry.get()) => return false,
                // The hashes are keyed, so that no text can bring this about at will.
                Entry::Occupied(_) => hash = hash.wrapping_add(1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse;

    /// Each family as its name, its type's name and the lines of its samples.
    fn families(text: &str) -> Vec<(String, &'static str, Vec<usize>)> {
        let family = |family: &ParsedFamily| {
            let lines = family.samples.iter().map(|sample| sample.line).collect();
            let metric_type = family.metric_type.map_or("", MetricType::name);
            (family.name.to_string(), metric_type, lines)
        };
        parse(text.as_bytes()).families.iter().map(family).collect()
    }

    fn errors(text: &str) -> Vec<(usize, ParseErrorKind)> {
        let errors = parse(text.as_bytes()).errors;
        assert_eq!(errors.first.len(), errors.total, "{errors:?}");
        let errors = errors.first.iter();
        errors.map(|error| (error.line, error.kind)).collect()
    }

    fn owned(
        expected: &[(&str, &'static str, &[usize])],
    ) -> Vec<(String, &'static str, Vec<usize>)> {
        let expected = expected.iter();
        expected
            .map(|&(name, metric_type, lines)| (name.to_owned(), metric_type, lines.to_vec()))
            .collect()
    }

    // [text.family] [text.histogram] [text.summary]
    #[test]
    fn the_parts_of_histograms_and_summaries_belong_to_them() {
        let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\nh_created 1\n\
                    # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_count 1\ns_sum 1\ns_bucket 1\n\
                    # TYPE c counter\nc 1\nc_sum 1\nc_total 1\nh_bucket{le=\"+Inf\"} 1\n_sum 1\n";
        assert_eq!(errors(text), []);
        assert_eq!(
            families(text),
            owned(&[
                ("h", "histogram", &[2, 3, 4, 15]),
                ("h_created", "", &[5]),
                ("s", "summary", &[7, 8, 9]),
                ("s_bucket", "", &[10]),
                ("c", "counter", &[12]),
                ("c_sum", "", &[13]),
                ("c_total", "", &[14]),
                ("_sum", "", &[16]),
            ])
        );
    }

    // [text.family] [text.family.part]
    #[test]
    fn whoever_has_a_name_first_keeps_it() {
        let text = "h_sum 1\n# TYPE h histogram\nh_sum{a=\"1\"} 1\nh_count 1\n# TYPE h_count gauge\n\
                    # HELP h_count Counts.\n# TYPE h_bucket gauge\n# TYPE h_total counter\n";
        assert_eq!(
            families(text),
            owned(&[
                ("h_sum", "", &[1, 3]),
                ("h", "histogram", &[4]),
                ("h_total", "counter", &[]),
            ])
        );
        assert_eq!(
            errors(text),
            [5, 6, 7].map(|line| (line, ParseErrorKind::PartOfFamily))
        );
    }

    // [text.family]
    #[test]
    fn families_are_in_the_order_of_their_first_mention() {
        assert_eq!(
            families("# HELP b B.\n# TYPE a gauge\nb 1\nc 1\na 1\nb{l=\"1\"} 1\n# TYPE z gauge\n"),
            owned(&[
                ("b", "", &[3, 6]),
                ("a", "gauge", &[5]),
                ("c", "", &[4]),
                ("z", "gauge", &[])
            ])
        );
    }

    // [text.help.twice] [text.type.twice] [text.type.late]
    #[test]
    fn of_two_declarations_the_first_stands() {
        let text = "# HELP x One.\n# HELP x Two.\n# TYPE x gauge\n# TYPE x counter\n# TYPE x gauge\n\
                    x 1\n# HELP y\n# HELP y Late.\ny 1\n# TYPE y counter\n# HELP y Later.\n\
                    # TYPE z nothing\n# TYPE z untyped\n";
        assert_eq!(
            errors(text),
            [
                (2, ParseErrorKind::HelpTwice),
                (4, ParseErrorKind::TypeTwice),
                (5, ParseErrorKind::TypeTwice),
                (10, ParseErrorKind::TypeLate),
                (11, ParseErrorKind::HelpTwice),
                (12, ParseErrorKind::Type),
            ]
        );
        assert_eq!(
            families(text),
            owned(&[("x", "gauge", &[6]), ("y", "", &[9]), ("z", "unknown", &[])])
        );
        let help: Vec<_> = parse(text.as_bytes()).families;
        let help: Vec<_> = help.iter().map(|family| &*family.help).collect();
        assert_eq!(help, ["One.", "Late.", ""]);
    }

    // [text.histogram] [text.summary]
    #[test]
    fn a_sample_has_the_label_that_its_type_asks_for() {
        for (metric_type, line, expected) in [
            ("histogram", "x 1", Some(ParseErrorKind::HistogramValue)),
            (
                "histogram",
                "x{le=\"1\"} 1",
                Some(ParseErrorKind::HistogramValue),
            ),
            ("histogram", "x_bucket 1", Some(ParseErrorKind::Bound)),
            (
                "histogram",
                "x_bucket{a=\"1\"} 1",
                Some(ParseErrorKind::Bound),
            ),
            (
                "histogram",
                "x_bucket{le=\"\"} 1",
                Some(ParseErrorKind::Bound),
            ),
            (
                "histogram",
                "x_bucket{le=\"one\"} 1",
                Some(ParseErrorKind::Bound),
            ),
            (
                "histogram",
                "x_bucket{le=\"NaN\"} 1",
                Some(ParseErrorKind::Bound),
            ),
            (
                "histogram",
                "x_bucket{le=\" 1\"} 1",
                Some(ParseErrorKind::Bound),
            ),
            ("histogram", "x_bucket{a=\"b\",le=\"-1e3\",z=\"\"} 1", None),
            ("histogram", "x_bucket{le=\"inf\"} 1", None),
            ("histogram", "x_sum{le=\"one\"} 1", None),
            ("summary", "x 1", Some(ParseErrorKind::Quantile)),
            (
                "summary",
                "x{quantile=\"half\"} 1",
                Some(ParseErrorKind::Quantile),
            ),
            (
                "summary",
                "x{quantile=\"nan\"} 1",
                Some(ParseErrorKind::Quantile),
            ),
            ("summary", "x{quantile=\"0.99\"} NaN", None),
            ("summary", "x_sum 1", None),
            ("gauge", "x{le=\"one\",quantile=\"half\"} 1", None),
            ("gauge", "x_bucket 1", None),
        ] {
            let text = format!("# TYPE x {metric_type}\n{line}\n");
            let expected: Vec<_> = expected.map(|kind| (2, kind)).into_iter().collect();
            assert_eq!(errors(&text), expected, "{text}");
        }
    }

    // [text.distinct]
    #[test]
    fn of_two_samples_with_the_same_labels_the_first_stands() {
        let text = "x 1\nx{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 2 7\nx{a=\"1\"} 1\nx 1\nx{c=\"\"} 1\n\
                    y{a=\"\"} 1\ny 1\nx{a=\"1b\"} 1\nx{a=\"2\",b=\"1\"} 1\n";
        assert_eq!(
            errors(text),
            [3, 5, 6, 8].map(|line| (line, ParseErrorKind::SampleTwice))
        );
        assert_eq!(
            families(text),
            owned(&[("x", "", &[1, 2, 4, 9, 10]), ("y", "", &[7])])
        );
    }

    // [text.error]
    #[test]
    fn a_refused_line_leaves_no_trace() {
        let text = "x_bucket{le=\"1\"} 1 soon\n# TYPE x histogram\nx_bucket{le=\"no\"} 1\n\
                    x_bucket{le=\"1\"} 2\n# TYPE y gorge\n# TYPE z gauge gauge\nz 1 1 1\n# TYPE z counter\n";
        assert_eq!(errors(text).len(), 5);
        assert_eq!(
            families(text),
            owned(&[("x", "histogram", &[4]), ("z", "counter", &[])])
        );
    }

    // [text.distinct]
    #[test]
    fn samples_whose_hashes_are_the_same_are_told_apart() {
        let mut seen = Seen::default();
        let mut insert = |place, is_same: fn(Place) -> bool| seen.insert(u64::MAX, place, is_same);
        assert!(insert((0, 0), |_| false));
        assert!(insert((0, 1), |_| false));
        assert!(insert((0, 2), |_| false));
        assert!(!insert((9, 9), |place| place == (0, 2)));
        assert!(insert((9, 9), |_| false));
    }
}
