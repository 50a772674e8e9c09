//! What the flags of a command want of its collector, beside the directories.
//!
//! Owns that each command understands those flags alike, and how a size is written. Knows nothing of
//! what a rule or a budget does.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use headcount_collect::budget::Budgets;
use headcount_collect::collector::TIME_TO_LIVE;
use headcount_collect::rules::WorkerLabel;

use crate::cli::{FoldFlags, SettingsOptions};
use crate::fold::FoldOptions;
use crate::rules::{RulesError, RulesFile};

/// Rules and budgets.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `None` without `--rules.file`.
    pub(crate) rules: Option<RulesFile>,
    pub(crate) budgets: Budgets,
    /// `[merge.dead.ttl]`
    pub(crate) time_to_live: Duration,
    /// `[rules.worker-label]`: where no rule says otherwise.
    pub(crate) worker_label: WorkerLabel,
}

impl Settings {
    /// What is folded where these are the settings.
    pub(crate) fn fold(&self, options: &FoldFlags) -> FoldOptions {
        FoldOptions {
            peers: options.fold,
            time_to_live: self.time_to_live,
        }
    }

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
        let time_to_live = options.life.gauge_ttl.0;
        Ok(Settings {
            rules,
            budgets,
            time_to_live,
            worker_label: options.worker.label.into(),
        })
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            rules: None,
            budgets: Budgets::default(),
            time_to_live: TIME_TO_LIVE,
            worker_label: WorkerLabel::default(),
        }
    }
}

/// A length of time, written as Prometheus does: a number and ms, s, m, h or d, or several of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span(pub(crate) Duration);

/// Why a text is no length of time.
#[derive(Debug)]
pub(crate) struct MalformedSpan;

impl FromStr for Span {
    type Err = MalformedSpan;

    fn from_str(text: &str) -> Result<Span, MalformedSpan> {
        let (mut rest, mut total) = (text, Duration::ZERO);
        while !rest.is_empty() && rest != "0" {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at(digits);
            let unit = SPANS
                .iter()
                .find_map(|(unit, milliseconds)| Some((after.strip_prefix(unit)?, *milliseconds)));
            let (after, milliseconds) = unit.ok_or(MalformedSpan)?;
            let number: u64 = number.parse().map_err(|_| MalformedSpan)?;
            let milliseconds = number.checked_mul(milliseconds).ok_or(MalformedSpan)?;
            let part = Duration::from_millis(milliseconds);
            total = total.checked_add(part).ok_or(MalformedSpan)?;
            rest = after;
        }
        match text.is_empty() {
            true => Err(MalformedSpan),
            false => Ok(Span(total)),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let whole = |unit: u64| milliseconds > 0 && milliseconds.is_multiple_of(unit.into());
        let longest = SPANS.iter().rev().find(|(_, unit)| whole(*unit));
        match longest {
            Some((unit, length)) => {
                write!(formatter, "{}{unit}", milliseconds / u128::from(*length))
            }
            None => formatter.write_str("0s"),
        }
    }
}

impl fmt::Display for MalformedSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("write a length of time, such as 90s, 15m, 1h or 7d, or 0s for none")
    }
}

impl std::error::Error for MalformedSpan {}

/// In milliseconds, the shortest first; none begins as one before it does.
const SPANS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

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
    fn a_span_is_written_as_it_is_read() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("5ms", 5),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, Span(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(span.to_string(), text);
        }
        let both: Span = "1h30m".parse().unwrap();
        assert_eq!(both, Span(Duration::from_secs(5400)));
        assert_eq!("0".parse::<Span>().unwrap(), Span(Duration::ZERO));
        for text in [
            "",
            "1",
            "h",
            "-1s",
            "1.5h",
            "1 h",
            "1y",
            "99999999999999999d",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

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
