//! Texts of metrics, read.
//!
//! Owns the reading of Prometheus's text format 0.0.4, whoever wrote it; `spec/text.md` says what
//! each line means. Must not know files, pools, or what becomes of the samples: bytes come in, and
//! a [`Document`] goes out, whatever the bytes are.

pub use headcount_format::MetricType;

pub use self::error::{Errors, ParseError, ParseErrorKind};

use self::assembly::Assembly;

mod assembly;
mod cursor;
mod error;
mod number;
mod text;

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// In the order in which they are first mentioned; no two have the same name.
    pub families: Vec<ParsedFamily>,
    /// What was wrong with it, line by line.
    pub errors: Errors,
    /// Whether the last line has no line feed: it may be half a line, and is neither taken nor an
    /// error.
    pub is_cut: bool,
}

/// All that a text says of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedFamily {
    /// The name as it is declared, so a counter's with its `_total`.
    pub name: Box<str>,
    /// `None` where no line declares it; [`MetricType::Unknown`] where one says `untyped`.
    pub metric_type: Option<MetricType>,
    /// Empty where no line gives one.
    pub help: Box<str>,
    /// In the order of their lines, and none where the text has only metadata.
    pub samples: Vec<ParsedSample>,
}

/// A line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedSample {
    /// The whole name, so `x_bucket` in the family `x`.
    pub name: Box<str>,
    /// Ordered by name, no name twice; a value may be empty.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Any float; NaN is one.
    pub value: f64,
    /// When the value was taken, in milliseconds since 1970; `None` where the line does not say.
    pub timestamp: Option<i64>,
    /// The line's number, from 1.
    pub line: usize,
}

/// Reads a text in format 0.0.4.
///
/// A line that is wrong costs itself alone, and is told in [`Document::errors`]. The time that it
/// takes grows with the bytes, whatever they are, and so does the memory: a few times the bytes of
/// a usual text, and less than 100 times where each line is as short as a line can be. So a caller
/// who does not trust the text limits its length.
///
/// # Example
///
/// ```
/// use headcount_collect::parser;
///
/// let document = parser::parse(b"# TYPE jobs_total counter\njobs_total{queue=\"mail\"} 3\nwhat?\n");
///
/// let family = &document.families[0];
/// assert_eq!(&*family.name, "jobs_total");
/// assert_eq!(family.samples[0].labels, [("queue".into(), "mail".into())]);
/// assert_eq!(family.samples[0].value, 3.0);
/// assert_eq!(document.errors.total, 1);
/// assert_eq!(document.errors.first[0].line, 3);
/// ```
pub fn parse(bytes: &[u8]) -> Document {
    let mut assembly = Assembly::default();
    let mut errors = Errors::default();
    let mut is_cut = false;
    for (number, line) in (1..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
        // [text.cut]
        let Some(line) = line.strip_suffix(b"\n") else {
            is_cut = true;
            break;
        };
        // [text.error]
        let taken = text::read(line).and_then(|line| assembly.take(number, line));
        if let Err(kind) = taken {
            // What is wrong with such a line is nothing that a person sees in it.
            let kind = match line.ends_with(b"\r") {
                true => ParseErrorKind::CarriageReturn,
                false => kind,
            };
            errors.add(ParseError { line: number, kind });
        }
    }
    Document {
        families: assembly.into_families(),
        errors,
        is_cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(document: &Document) -> Vec<&str> {
        let families = document.families.iter();
        families.map(|family| &*family.name).collect()
    }

    // [text.error]
    #[test]
    fn a_bad_line_costs_itself() {
        let document = parse(b"a 1\n\xff\nb{ 1\nc 1\n\0\n");
        assert_eq!(names(&document), ["a", "c"]);
        assert_eq!(document.families[1].samples[0].line, 4);
        let errors = document.errors.first.iter();
        let errors: Vec<_> = errors.map(|error| (error.line, error.kind)).collect();
        assert_eq!(
            errors,
            [
                (2, ParseErrorKind::NotUtf8),
                (3, ParseErrorKind::LabelName),
                (5, ParseErrorKind::ZeroByte),
            ]
        );
    }

    // [text.cut]
    #[test]
    fn the_last_line_is_not_taken_without_its_line_feed() {
        for (text, found, is_cut) in [
            ("", &[][..], false),
            ("\n", &[], false),
            ("a 1", &[], true),
            ("a 1\n", &["a"], false),
            ("a 1\nb 12", &["a"], true),
            ("a 1\nwrong{", &["a"], true),
            ("a 1\n# a comment", &["a"], true),
            ("a 1\n ", &["a"], true),
        ] {
            let document = parse(text.as_bytes());
            assert_eq!(names(&document), found, "{text:?}");
            assert_eq!(document.is_cut, is_cut, "{text:?}");
            assert_eq!(document.errors.total, 0, "{text:?}");
        }
    }
}
