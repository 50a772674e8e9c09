//! What must be escaped, and how.
//!
//! Owns the escapes of label values and help, and the legal spelling of names. Knows no samples.

use std::borrow::Cow;

/// Appends a label's value, or OpenMetrics help, which escapes the same.
pub(super) fn write_value(value: &str, out: &mut Vec<u8>) {
    // [exposition.label.value] [exposition.openmetrics.help]
    write(value, true, out);
}

/// Appends help as text 0.0.4 has it, where a double quote is nothing special.
pub(super) fn write_text_help(help: &str, out: &mut Vec<u8>) {
    // [exposition.text.help]
    write(help, false, out);
}

/// Help that Prometheus reads: a zero byte in it has the whole exposition refused.
pub(super) fn help(text: &str) -> Cow<'_, str> {
    // [exposition.text.help] [exposition.openmetrics.help]
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

fn write(text: &str, quotes: bool, out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || quotes && *byte == b'"';
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(if rest[at] == b'\n' { b'n' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// The spelling of a family's name that every reader takes.
pub(crate) fn metric_name(name: &str) -> Cow<'_, str> {
    // [exposition.name.family]
    legal(name, |c| c == ':')
}

/// The spelling of a label's name that every reader takes.
pub(crate) fn label_name(name: &str) -> Cow<'_, str> {
    // [exposition.name.label]
    let name = legal(name, |_| false);
    match name.strip_prefix("__") {
        // [exposition.name.reserved]
        Some(rest) => Cow::Owned(format!("_{}", rest.trim_start_matches('_'))),
        None => name,
    }
}

/// `name` with an underscore for each character that is illegal where it stands.
fn legal(name: &str, extra: impl Fn(char) -> bool) -> Cow<'_, str> {
    let allowed = |(at, c): (usize, char)| {
        c.is_ascii_alphabetic() || c == '_' || extra(c) || at > 0 && c.is_ascii_digit()
    };
    if name.is_empty() {
        // [exposition.name.empty]
        return Cow::Borrowed("_");
    }
    if name.chars().enumerate().all(&allowed) {
        return Cow::Borrowed(name);
    }
    let characters = name.chars().enumerate();
    Cow::Owned(
        characters
            .map(|(at, c)| if allowed((at, c)) { c } else { '_' })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, write: fn(&str, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    // [exposition.text.help] [exposition.openmetrics.help]
    //
    // Prometheus 2.42 takes a zero byte in a label's value, and fails the scrape for one in help.
    #[test]
    fn help_has_no_zero_byte() {
        assert_eq!(help("Jobs\0 done.\0"), "Jobs\u{fffd} done.\u{fffd}");
        assert!(matches!(help("Jobs done."), Cow::Borrowed(_)));
    }

    // [exposition.label.value] [exposition.openmetrics.help]
    #[test]
    fn a_label_value_escapes_backslash_line_feed_and_quote() {
        assert_eq!(
            written("a\\b\nc\"d\re\u{2028}", write_value),
            "a\\\\b\\nc\\\"d\re\u{2028}"
        );
        assert_eq!(written("\n\n", write_value), "\\n\\n");
        assert_eq!(written("", write_value), "");
    }

    // [exposition.text.help]
    #[test]
    fn text_help_leaves_the_quote_alone() {
        assert_eq!(written("a\\b\nc\"d", write_text_help), "a\\\\b\\nc\"d");
    }

    // [exposition.name.family] [exposition.name.empty]
    #[test]
    fn a_family_name_has_an_underscore_for_each_illegal_character() {
        for (name, expected) in [
            ("http:requests_1", "http:requests_1"),
            ("1bad", "_bad"),
            ("a.b-\u{e9}\u{1f600}", "a_b___"),
            ("a\n", "a_"),
            ("", "_"),
        ] {
            assert_eq!(metric_name(name), expected);
        }
    }

    // [exposition.name.label] [exposition.name.reserved]
    #[test]
    fn a_label_name_has_no_colon_and_does_not_begin_with_two_underscores() {
        for (name, expected) in [
            ("code", "code"),
            ("_code", "_code"),
            ("a:b", "a_b"),
            ("9", "_"),
            ("__name__", "_name__"),
            ("___", "_"),
            ("__9.a", "_9_a"),
            (":_a", "_a"),
        ] {
            assert_eq!(label_name(name), expected);
        }
    }
}
