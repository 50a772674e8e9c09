//! What can be wrong with a line.
//!
//! Owns the words for it. Holds nothing of the text itself, so that a hostile one is not repeated
//! in a log.

use std::error::Error;
use std::fmt;

/// What was wrong with a text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Errors {
    /// Those of the lowest lines, in order; at most [`Errors::KEPT`].
    pub first: Vec<ParseError>,
    /// How many lines were wrong, those in `first` included.
    pub total: usize,
}

impl Errors {
    /// How many errors are kept in full. A text that is wrong throughout has as many as lines.
    pub const KEPT: usize = 8;

    /// Whether every line could be taken.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn add(&mut self, error: ParseError) {
        self.total += 1;
        if self.first.len() < Errors::KEPT {
            self.first.push(error);
        }
    }
}

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it; where it is more than one thing, the leftmost.
    pub kind: ParseErrorKind,
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.kind)
    }
}

impl Error for ParseError {}

/// The ways in which a line can be wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A bucket whose label `le` is missing or no number.
    Bound,
    /// The line ends with a carriage return, which belongs to no line here.
    CarriageReturn,
    /// A second `# HELP` for one name.
    HelpTwice,
    /// A backslash before a character that is not escaped with one.
    Escape,
    /// A histogram's sample without a suffix.
    HistogramValue,
    /// A label without a name, or with an illegal one.
    LabelName,
    /// One label name twice in one sample.
    LabelTwice,
    /// Labels that are not `name="value"` with commas between them and a brace at the end.
    Labels,
    /// A line that begins with no name, or with an illegal one.
    Name,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Metadata under the name of a sample of a histogram or summary.
    PartOfFamily,
    /// A summary's sample without a suffix, whose label `quantile` is missing or no number.
    Quantile,
    /// The label name `__name__`.
    ReservedLabel,
    /// One name with the same labels twice.
    SampleTwice,
    /// A timestamp that is no integer, or beyond 64 bits.
    Timestamp,
    /// Something behind the timestamp.
    Trailing,
    /// A word that is no type.
    Type,
    /// A `# TYPE` behind a sample of its family.
    TypeLate,
    /// A second `# TYPE` for one name.
    TypeTwice,
    /// No value, or one that is no number.
    Value,
    /// A byte of value zero.
    ZeroByte,
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ParseErrorKind::Bound => "a bucket needs a label le that is a number",
            ParseErrorKind::CarriageReturn => {
                "it ends with a carriage return; write lines that end with a line feed alone"
            }
            ParseErrorKind::HelpTwice => "a second HELP for this name",
            ParseErrorKind::Escape => "a backslash escapes nothing",
            ParseErrorKind::HistogramValue => "a histogram has no sample of its bare name",
            ParseErrorKind::LabelName => "a label needs a legal name",
            ParseErrorKind::LabelTwice => "the same label twice",
            ParseErrorKind::Labels => "the labels are malformed",
            ParseErrorKind::Name => "a metric needs a legal name",
            ParseErrorKind::NotUtf8 => "not UTF-8",
            ParseErrorKind::PartOfFamily => "the name is a part of a histogram or summary",
            ParseErrorKind::Quantile => "a quantile needs a label quantile that is a number",
            ParseErrorKind::ReservedLabel => "no label may be called __name__",
            ParseErrorKind::SampleTwice => "the same sample a second time",
            ParseErrorKind::Timestamp => "the timestamp is no integer",
            ParseErrorKind::Trailing => "something stands behind the timestamp",
            ParseErrorKind::Type => "not a metric type",
            ParseErrorKind::TypeLate => "a TYPE behind samples of its family",
            ParseErrorKind::TypeTwice => "a second TYPE for this name",
            ParseErrorKind::Value => "the value is no number",
            ParseErrorKind::ZeroByte => "a zero byte",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [text.error]
    #[test]
    fn the_first_errors_are_kept_and_all_are_counted() {
        let mut errors = Errors::default();
        assert!(errors.is_empty());
        for line in 1..=100 {
            let kind = ParseErrorKind::Value;
            errors.add(ParseError { line, kind });
        }
        let lines: Vec<_> = errors.first.iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(errors.total, 100);
        assert!(!errors.is_empty());
        assert_eq!(
            errors.first[2].to_string(),
            "line 3: the value is no number"
        );
    }
}
