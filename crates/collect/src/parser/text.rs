//! One line of text 0.0.4.
//!
//! Owns the grammar of a line. Knows no other line: what two of them mean together is
//! [`crate::parser::assembly`]'s business.
//!
//! Where the format's description leaves room, expfmt of prometheus/common (text_parse.go, commit
//! 076fba3) decides, since textfiles are written for node_exporter, which reads them with it.

use crate::parser::cursor::{self, Cursor};
use crate::parser::{MetricType, ParseErrorKind, number};

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// `# HELP name help`, where the help is not empty.
    Help { name: &'a str, help: Box<str> },
    /// Blanks, or a comment.
    Nothing,
    /// `name{labels} value timestamp`.
    Sample(Sample<'a>),
    /// `# TYPE name type`.
    Type {
        name: &'a str,
        metric_type: MetricType,
    },
}

/// A line with a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    /// Ordered by name, no name twice.
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) timestamp: Option<i64>,
}

type Labels = Vec<(Box<str>, Box<str>)>;

/// Reads a line, which has no line feed.
pub(super) fn read(line: &[u8]) -> Result<Line<'_>, ParseErrorKind> {
    // [text.bytes]
    let line = str::from_utf8(line).map_err(|_| ParseErrorKind::NotUtf8)?;
    if line.contains('\0') {
        return Err(ParseErrorKind::ZeroByte);
    }
    // [text.line]
    let mut cursor = Cursor::new(line);
    cursor.skip_blanks();
    if cursor.is_at_end() {
        Ok(Line::Nothing)
    } else if cursor.eat('#') {
        comment(cursor)
    } else {
        sample(cursor).map(Line::Sample)
    }
}

/// What stands behind the `#`.
fn comment(mut cursor: Cursor<'_>) -> Result<Line<'_>, ParseErrorKind> {
    // [text.comment]
    cursor.skip_blanks();
    let keyword = cursor.word();
    cursor.skip_blanks();
    if !matches!(keyword, "HELP" | "TYPE") || cursor.is_at_end() {
        return Ok(Line::Nothing);
    }
    let name = cursor.metric_name().ok_or(ParseErrorKind::Name)?;
    if !cursor.skip_blanks() && !cursor.is_at_end() {
        return Err(ParseErrorKind::Name);
    }
    if keyword == "TYPE" {
        let metric_type = metric_type(cursor.rest()).ok_or(ParseErrorKind::Type)?;
        return Ok(Line::Type { name, metric_type });
    }
    // [text.help]
    let help = cursor::unescape(cursor.rest())?;
    Ok(if help.is_empty() {
        Line::Nothing
    } else {
        Line::Help { name, help }
    })
}

fn metric_type(word: &str) -> Option<MetricType> {
    // [text.type]
    let types = [
        ("counter", MetricType::Counter),
        ("gauge", MetricType::Gauge),
        ("histogram", MetricType::Histogram),
        ("summary", MetricType::Summary),
        ("untyped", MetricType::Unknown),
    ];
    let word = word.trim_end_matches(cursor::is_blank);
    let mut types = types.into_iter();
    let found = types.find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, metric_type)| metric_type)
}

fn sample(mut cursor: Cursor<'_>) -> Result<Sample<'_>, ParseErrorKind> {
    // [text.sample]
    let name = cursor.metric_name().ok_or(ParseErrorKind::Name)?;
    let is_apart = cursor.skip_blanks();
    let labels = if cursor.eat('{') {
        labels(&mut cursor)?
    } else if is_apart || cursor.is_at_end() {
        Vec::new()
    } else {
        return Err(ParseErrorKind::Name);
    };
    cursor.skip_blanks();
    let value = number::value(cursor.word()).ok_or(ParseErrorKind::Value)?;
    cursor.skip_blanks();
    let timestamp = match cursor.word() {
        "" => None,
        word => Some(number::timestamp(word).ok_or(ParseErrorKind::Timestamp)?),
    };
    cursor.skip_blanks();
    if !cursor.is_at_end() {
        return Err(ParseErrorKind::Trailing);
    }
    Ok(Sample {
        name,
        labels,
        value,
        timestamp,
    })
}

/// What stands behind the `{`, up to the `}`.
fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, ParseErrorKind> {
    // [text.label]
    let mut labels = Vec::new();
    loop {
        cursor.skip_blanks();
        if cursor.eat('}') {
            break;
        }
        labels.push(label(cursor)?);
        cursor.skip_blanks();
        if !cursor.eat(',') {
            if cursor.eat('}') {
                break;
            }
            return Err(ParseErrorKind::Labels);
        }
    }
    // [text.label.twice]
    labels.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(ParseErrorKind::LabelTwice);
    }
    // A vector begins with room for four, and most samples have one or two.
    labels.shrink_to_fit();
    Ok(labels)
}

fn label(cursor: &mut Cursor<'_>) -> Result<(Box<str>, Box<str>), ParseErrorKind> {
    let name = cursor.label_name().ok_or(ParseErrorKind::LabelName)?;
    // [text.label.reserved]
    if name == "__name__" {
        return Err(ParseErrorKind::ReservedLabel);
    }
    cursor.skip_blanks();
    if !cursor.eat('=') {
        return Err(ParseErrorKind::Labels);
    }
    cursor.skip_blanks();
    if !cursor.eat('"') {
        return Err(ParseErrorKind::Labels);
    }
    Ok((name.into(), cursor.quoted()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(line: &str) -> Result<Line<'_>, ParseErrorKind> {
        read(line.as_bytes())
    }

    fn error(line: &str) -> ParseErrorKind {
        read_text(line).expect_err(line)
    }

    /// The sample as name, labels, value and timestamp.
    fn sample_of(line: &str) -> (&str, Vec<(String, String)>, f64, Option<i64>) {
        let Ok(Line::Sample(sample)) = read_text(line) else {
            panic!("{line}: {:?}", read_text(line));
        };
        let labels = sample.labels.into_iter();
        let labels = labels.map(|(name, value)| (name.into(), value.into()));
        (
            sample.name,
            labels.collect(),
            sample.value,
            sample.timestamp,
        )
    }

    // [text.sample] [text.blank]
    #[test]
    fn a_sample_is_a_name_labels_a_value_and_perhaps_a_timestamp() {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (line, name, labels, value, timestamp) in [
            ("x 1", "x", vec![], 1.0, None),
            ("\t x\t 1 \t", "x", vec![], 1.0, None),
            (
                "a:b_1 -2.5 1395066363000",
                "a:b_1",
                vec![],
                -2.5,
                Some(1_395_066_363_000),
            ),
            ("x +Inf\t-5 ", "x", vec![], f64::INFINITY, Some(-5)),
            ("x{} 1", "x", vec![], 1.0, None),
            ("x{ } 1", "x", vec![], 1.0, None),
            ("x{a=\"1\"} 2", "x", vec![label("a", "1")], 2.0, None),
            ("x{a=\"1\",} 2", "x", vec![label("a", "1")], 2.0, None),
            ("x{a=\"\"}2", "x", vec![label("a", "")], 2.0, None),
            (
                " x {\tb = \"}\" ,a=\"\\\"\\\\\\n, #\" , } 2 3",
                "x",
                vec![label("a", "\"\\\n, #"), label("b", "}")],
                2.0,
                Some(3),
            ),
            (
                "x{__a=\"\u{e9}\r\"} 2",
                "x",
                vec![label("__a", "\u{e9}\r")],
                2.0,
                None,
            ),
            ("HELP 1", "HELP", vec![], 1.0, None),
        ] {
            assert_eq!(sample_of(line), (name, labels, value, timestamp));
        }
    }

    // [text.name] [text.sample] [text.label] [text.label.twice] [text.label.reserved]
    // [text.value] [text.timestamp] [text.escape] [text.blank]
    #[test]
    fn a_sample_that_is_malformed_says_where() {
        for (line, expected) in [
            ("1x 1", ParseErrorKind::Name),
            ("{a=\"1\"} 1", ParseErrorKind::Name),
            ("\"x\" 1", ParseErrorKind::Name),
            ("\u{feff}x 1", ParseErrorKind::Name),
            ("\r", ParseErrorKind::Name),
            ("x-y 1", ParseErrorKind::Name),
            ("x+1", ParseErrorKind::Name),
            ("x\u{a0}1", ParseErrorKind::Name),
            ("x", ParseErrorKind::Value),
            ("x ", ParseErrorKind::Value),
            ("x{}", ParseErrorKind::Value),
            ("x y", ParseErrorKind::Value),
            ("x 1\r", ParseErrorKind::Value),
            ("x 1 1\r", ParseErrorKind::Timestamp),
            ("x 1 1.5", ParseErrorKind::Timestamp),
            ("x 1 # {a=\"1\"} 1", ParseErrorKind::Timestamp),
            ("x 1 1 1", ParseErrorKind::Trailing),
            ("x{", ParseErrorKind::LabelName),
            ("x{,} 1", ParseErrorKind::LabelName),
            ("x{,a=\"1\"} 1", ParseErrorKind::LabelName),
            ("x{a=\"1\",,} 1", ParseErrorKind::LabelName),
            ("x{1=\"1\"} 1", ParseErrorKind::LabelName),
            ("x{\"a\"=\"1\"} 1", ParseErrorKind::LabelName),
            ("x{a:b=\"1\"} 1", ParseErrorKind::Labels),
            ("x{a} 1", ParseErrorKind::Labels),
            ("x{a=1} 1", ParseErrorKind::Labels),
            ("x{a=\"1} 1", ParseErrorKind::Labels),
            ("x{a=\"1\" b=\"2\"} 1", ParseErrorKind::Labels),
            ("x{a=\"1\"", ParseErrorKind::Labels),
            ("x{a=\"\\t\"} 1", ParseErrorKind::Escape),
            ("x{a=\"1\",b=\"2\",a=\"3\"} 1", ParseErrorKind::LabelTwice),
            ("x{a=\"1\",a=\"1\"} 1", ParseErrorKind::LabelTwice),
            ("x{__name__=\"y\"} 1", ParseErrorKind::ReservedLabel),
        ] {
            assert_eq!(error(line), expected, "{line:?}");
        }
    }

    // [text.line] [text.comment]
    #[test]
    fn comments_and_blanks_say_nothing() {
        for line in [
            "",
            " \t",
            "#",
            "# ",
            "##",
            "# EOF",
            "# a comment",
            "#a",
            "# help x y",
            "# HELPx y",
            "## TYPE x counter",
            "# UNIT x seconds",
            "# HELP",
            "# TYPE ",
            "# HELP x",
            "# HELP x \t",
            "# \r",
        ] {
            assert_eq!(read_text(line), Ok(Line::Nothing), "{line:?}");
        }
    }

    // [text.help] [text.escape] [text.blank]
    #[test]
    fn help_is_all_behind_the_name() {
        for (line, name, help) in [
            ("# HELP x Says so.", "x", "Says so."),
            (" #\tHELP\t a:b \t Says  so. ", "a:b", "Says  so. "),
            ("#HELP x y", "x", "y"),
            ("# HELP x a\\\\b\\nc\\\"d\"e", "x", "a\\b\nc\"d\"e"),
            ("# HELP x \\n", "x", "\n"),
            ("# HELP x y\r", "x", "y\r"),
        ] {
            let help = help.into();
            assert_eq!(read_text(line), Ok(Line::Help { name, help }), "{line:?}");
        }
        assert_eq!(error("# HELP x C:\\temp"), ParseErrorKind::Escape);
        assert_eq!(error("# HELP 1 y"), ParseErrorKind::Name);
        assert_eq!(error("# HELP x-y z"), ParseErrorKind::Name);
        assert_eq!(error("# HELP x\r"), ParseErrorKind::Name);
    }

    // [text.type] [text.blank]
    #[test]
    fn a_type_is_one_of_five_words() {
        for (line, metric_type) in [
            ("# TYPE x counter", MetricType::Counter),
            ("#\tTYPE x  gauge \t", MetricType::Gauge),
            ("# TYPE x histogram", MetricType::Histogram),
            ("# TYPE x Summary", MetricType::Summary),
            ("# TYPE x UNTYPED", MetricType::Unknown),
        ] {
            let name = "x";
            let expected = Line::Type { name, metric_type };
            assert_eq!(read_text(line), Ok(expected), "{line}");
        }
        for line in [
            "# TYPE x",
            "# TYPE x ",
            "# TYPE x counter\r",
            "# TYPE x counter gauge",
            "# TYPE x unknown",
            "# TYPE x info",
            "# TYPE x gauge_histogram",
            "# TYPE is what says so",
        ] {
            assert_eq!(error(line), ParseErrorKind::Type, "{line:?}");
        }
        assert_eq!(error("# TYPE 1 counter"), ParseErrorKind::Name);
    }

    // [text.bytes]
    #[test]
    fn a_line_is_utf8_without_zeros() {
        for (line, expected) in [
            (&b"x{a=\"\xff\"} 1"[..], ParseErrorKind::NotUtf8),
            (b"# \xc3", ParseErrorKind::NotUtf8),
            (b"x 1\0", ParseErrorKind::ZeroByte),
            (b"# a\0", ParseErrorKind::ZeroByte),
            (b"x{a=\"\0\"} 1", ParseErrorKind::ZeroByte),
            (b"\0\0\0\0", ParseErrorKind::ZeroByte),
        ] {
            assert_eq!(read(line), Err(expected), "{line:?}");
        }
    }
}
