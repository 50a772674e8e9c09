//! What people read on a terminal.
//!
//! Owns how numbers are grouped and what they count is named, that no name of a file, which may hold
//! anything, moves the cursor, and that no text fills the screen.

use std::fmt::{self, Write};

/// A number in groups of three digits.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.char_indices() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                formatter.write_char(',')?;
            }
            formatter.write_char(digit)?;
        }
        Ok(())
    }
}

/// A text in one line: control characters are written out.
pub(crate) struct Plain<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Plain<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.to_string().chars() {
            if letter.is_control() {
                write!(formatter, "{}", letter.escape_default())?;
            } else {
                formatter.write_char(letter)?;
            }
        }
        Ok(())
    }
}

/// A text of at most so many characters: what is longer ends in three dots.
pub(crate) struct Short<T>(pub(crate) T, pub(crate) usize);

impl<T: fmt::Display> fmt::Display for Short<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.char_indices().nth(self.1) {
            None => formatter.write_str(&text),
            Some(_) => {
                let kept = text.chars().take(self.1.saturating_sub(3));
                write!(formatter, "{}...", kept.collect::<String>())
            }
        }
    }
}

/// A number and what it counts: the singular, or `famil` and `director`, which end in a y.
#[derive(Clone, Copy)]
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, what) = *self;
        let ending = match (what, count) {
            ("series", _) => "",
            ("famil" | "director", 1) => "y",
            ("famil" | "director", _) => "ies",
            (_, 1) => "",
            _ => "s",
        };
        write!(formatter, "{} {what}{ending}", Grouped(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_line() {
        assert_eq!(
            Plain("a\nb\u{1b}[31m\u{9b}c").to_string(),
            "a\\nb\\u{1b}[31m\\u{9b}c"
        );
        assert_eq!(
            Plain("/pool/caf\u{e9} \\n").to_string(),
            "/pool/caf\u{e9} \\n"
        );
    }

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!(Short("caf\u{e9}", 4).to_string(), "caf\u{e9}");
        assert_eq!(Short("caf\u{e9}s are", 7).to_string(), "caf\u{e9}...");
    }

    #[test]
    fn one_is_not_many() {
        let counts = [(1, "file"), (2000, "file"), (1, "director"), (0, "famil")];
        let words = counts.map(|(count, what)| Count(count, what).to_string());
        assert_eq!(
            words,
            ["1 file", "2,000 files", "1 directory", "0 families"]
        );
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }
}
