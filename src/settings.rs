//! What the flags of a command want of its collector, beside the directories.
//!
//! Owns that each command understands those flags alike, and how a size is written. Knows nothing of
//! what a rule or a budget does.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use headcount_collect::budget::Budgets;

use crate::cli::SettingsOptions;
use crate::rules::{RulesError, RulesFile};

/// Rules and budgets.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// `None` without `--rules.file`.
    pub(crate) rules: Option<RulesFile>,
    pub(crate) budgets: Budgets,
}

impl Settings {
    /// `[rules.start]`: what `options` say for `directories`; `run`, whose directory has no name
    /// yet, has none.
    ///
    /// # Errors
    ///
    /// When the rules file cannot be used.
    pub(crate) fn read(
        options: &SettingsOptions,
        directories: &[PathBuf],
    ) -> Result<Settings, RulesError> {
        let path = options.rules.file.as_deref();
        let rules = path
            .map(|path| RulesFile::read(path, directories))
            .transpose()?;
        let mut budgets = Budgets::default();
        budgets.files = options.budgets.files;
        budgets.file_bytes = options.budgets.file_bytes.0;
        budgets.series = options.budgets.series;
        budgets.family_series = options.budgets.family_series;
        budgets.labels = options.budgets.labels;
        budgets.label_bytes = usize::try_from(options.budgets.label_bytes.0).unwrap_or(usize::MAX);
        Ok(Settings { rules, budgets })
    }
}

/// A number of bytes, written with KiB, MiB or GiB behind it, or alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size(pub(crate) u64);

/// Why a text is no size.
#[derive(Debug)]
pub(crate) struct MalformedSize;

impl FromStr for Size {
    type Err = MalformedSize;

    fn from_str(text: &str) -> Result<Size, MalformedSize> {
        let suffixed = UNITS
            .iter()
            .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (digits, unit) = suffixed.unwrap_or((text, 1));
        // What a number may have in front elsewhere, such as a sign, is a mistake here.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(MalformedSize);
        }
        let number: u64 = digits.parse().map_err(|_| MalformedSize)?;
        number.checked_mul(unit).map(Size).ok_or(MalformedSize)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |bytes: u64| self.0 > 0 && self.0.is_multiple_of(bytes);
        match UNITS.iter().find(|(_, bytes)| whole(*bytes)) {
            Some((unit, bytes)) => write!(formatter, "{}{unit}", self.0 / bytes),
            None => self.0.fmt(formatter),
        }
    }
}

impl fmt::Display for MalformedSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("write a number of bytes, such as 65536 or 64KiB, 16MiB or 1GiB")
    }
}

impl std::error::Error for MalformedSize {}

/// The largest first.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_as_it_is_read() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("16KiB", 16 << 10),
            ("256MiB", 256 << 20),
            ("3GiB", 3 << 30),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size, Size(bytes));
            assert_eq!(size.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_number_of_bytes_is_refused() {
        for text in [
            "",
            "KiB",
            "-1",
            "+1",
            "1.5MiB",
            "1 MiB",
            "1MB",
            "16777216TiB",
            "99999999999GiB",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
