//! Numbers, as the readers of text 0.0.4 take them.
//!
//! Owns what is a value and what is a timestamp. Knows no lines.

/// The float that `text` is, with nothing around it.
///
/// Takes what `parseFloat` of prometheus/common (expfmt/text_parse.go) takes, which is Go's
/// `ParseFloat` without underscores and without hexadecimal digits. Rust's own parser takes the
/// same but for the two things below.
pub(super) fn value(text: &str) -> Option<f64> {
    // [text.value]
    let value: f64 = text.parse().ok()?;
    if value.is_nan() {
        // Go has no sign here.
        return text.eq_ignore_ascii_case("nan").then_some(f64::NAN);
    }
    // What rounds to infinity is out of range there.
    let is_spelled_out = || !text.bytes().any(|byte| byte.is_ascii_digit());
    (value.is_finite() || is_spelled_out()).then_some(value)
}

/// The milliseconds since 1970 that `text` is.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    // [text.timestamp]
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // [text.value]
    #[test]
    fn a_value_is_what_go_reads() {
        for (text, expected) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-1.5", -1.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("007", 7.0),
            ("1.5e+09", 1.5e9),
            ("1E-3", 1e-3),
            ("1e-999", 0.0),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
            ("9007199254740993", 9007199254740992.0),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-iNF", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        assert_eq!(value("-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        for text in ["NaN", "nan", "NAN"] {
            assert_eq!(value(text).map(f64::to_bits), Some(f64::NAN.to_bits()));
        }
    }

    // [text.value]
    #[test]
    fn a_value_is_nothing_else() {
        for text in [
            "", ".", "-", "e5", "1e", "1e+", "0x10", "0x1p4", "1p4", "1_000", "1,5", "+NaN",
            "-nan", "1e999", "-1e999", "infinit", "nano", "true", "1f", " 1", "1 ", "\u{661}",
            "--1", "1.2.3",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    // [text.timestamp]
    #[test]
    fn a_timestamp_is_an_integer_of_64_bits() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1395066363000", Some(1_395_066_363_000)),
            ("-1", Some(-1)),
            ("+1", Some(1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1.0", None),
            ("1e3", None),
            ("1_0", None),
            ("", None),
            ("-", None),
            ("NaN", None),
        ] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }
}
