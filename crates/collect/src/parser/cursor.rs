//! Where the reading of a line stands.
//!
//! Owns the tokens: blanks, names, words and quoted text. Knows no line as a whole.

use crate::parser::ParseErrorKind;

/// What is left of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Cursor<'a> {
        Cursor { rest: line }
    }

    /// All that is left.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Goes past spaces and tabs, and says whether there was one.
    pub(super) fn skip_blanks(&mut self) -> bool {
        // [text.blank]
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(is_blank);
        self.rest.len() < before
    }

    /// Goes past `wanted` if it is next.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// All that precedes the next blank, or the end of the line.
    pub(super) fn word(&mut self) -> &'a str {
        self.take(self.rest.find(is_blank).unwrap_or(self.rest.len()))
    }

    /// A metric's name.
    pub(super) fn metric_name(&mut self) -> Option<&'a str> {
        // [text.name]
        self.name(|byte| byte == b':')
    }

    /// A label's name.
    pub(super) fn label_name(&mut self) -> Option<&'a str> {
        // [text.label]
        self.name(|_| false)
    }

    /// Text up to its closing quote, behind the opening one.
    pub(super) fn quoted(&mut self) -> Result<Box<str>, ParseErrorKind> {
        let mut end = 0;
        let mut is_escaped = false;
        for byte in self.rest.bytes() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => break,
                _ => {}
            }
            end += 1;
        }
        let text = self.take(end);
        if self.eat('"') {
            unescape(text)
        } else {
            Err(ParseErrorKind::Labels)
        }
    }

    fn name(&mut self, extra: impl Fn(u8) -> bool) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || extra(byte);
        let end = bytes.iter().position(|&byte| !is_legal(byte));
        let begins = bytes.first().is_some_and(|byte| !byte.is_ascii_digit());
        let name = self.take(end.unwrap_or(bytes.len()));
        (begins && !name.is_empty()).then_some(name)
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// `text` with its escapes resolved; help and label values have the same.
pub(super) fn unescape(text: &str) -> Result<Box<str>, ParseErrorKind> {
    // [text.escape]
    if !text.contains('\\') {
        return Ok(text.into());
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(escaped @ ('\\' | '"')) => escaped,
                _ => return Err(ParseErrorKind::Escape),
            },
            plain => plain,
        });
    }
    Ok(out.into_boxed_str())
}

pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    // [text.name] [text.label]
    #[test]
    fn a_name_ends_where_it_would_be_illegal() {
        for (text, metric, label) in [
            ("a1_:b c", Some("a1_:b"), Some("a1_")),
            (":a", Some(":a"), None),
            ("_", Some("_"), Some("_")),
            ("A-b", Some("A"), Some("A")),
            ("a\u{e9}", Some("a"), Some("a")),
            ("1a", None, None),
            ("\u{e9}", None, None),
            (" a", None, None),
            ("", None, None),
        ] {
            assert_eq!(Cursor::new(text).metric_name(), metric, "{text}");
            assert_eq!(Cursor::new(text).label_name(), label, "{text}");
        }
    }

    // [text.escape]
    #[test]
    fn quoted_text_ends_at_the_first_quote_that_is_not_escaped() {
        for (line, expected, rest) in [
            ("\"x", "", "x"),
            ("a}, =#\t\"", "a}, =#\t", ""),
            (r#"a\"b"c"d"#, "a\"b", "c\"d"),
            (r#"\\"c"#, "\\", "c"),
            (r#"\\\"c""#, "\\\"c", ""),
            (r#"\n\\n""#, "\n\\n", ""),
            ("\u{1f600}\\n\u{e9}\"", "\u{1f600}\n\u{e9}", ""),
        ] {
            let mut cursor = Cursor::new(line);
            assert_eq!(cursor.quoted().as_deref(), Ok(expected), "{line}");
            assert_eq!(cursor.rest(), rest, "{line}");
        }
    }

    // [text.escape] [text.label]
    #[test]
    fn quoted_text_that_is_open_or_escapes_what_it_may_not_is_an_error() {
        for (line, expected) in [
            ("", ParseErrorKind::Labels),
            ("a", ParseErrorKind::Labels),
            (r#"a\""#, ParseErrorKind::Labels),
            (r#"a\"#, ParseErrorKind::Labels),
            (r#"a\t""#, ParseErrorKind::Escape),
            (r#"\N""#, ParseErrorKind::Escape),
            ("\\\u{e9}\"", ParseErrorKind::Escape),
        ] {
            assert_eq!(Cursor::new(line).quoted(), Err(expected), "{line}");
        }
        assert_eq!(unescape("a\\"), Err(ParseErrorKind::Escape));
    }
}
