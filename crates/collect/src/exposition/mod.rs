//! Families, written out.
//!
//! Owns every text that goes out for a set of families; `spec/exposition.md` says what each must
//! be. Must not know HTTP, files, or how the families came to be: bytes go into a vector, and that
//! is all.

use crate::model::Family;

pub(crate) mod escape;
mod float;
mod json;
pub(crate) mod labels;
mod lines;
mod openmetrics;
mod text;

/// A text format.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Format {
    /// One JSON document, for programs that are no Prometheus.
    Json,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Text,
}

impl Format {
    /// What an HTTP response in this format has as its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Appends `families` to `out`, in their order.
///
/// The names of all samples must differ between families: see [exposition.input] in
/// `spec/exposition.md`.
///
/// # Example
///
/// ```
/// use headcount_collect::exposition::{self, Format};
/// use headcount_collect::model::{Family, MetricType, Series, Value};
///
/// let family = Family {
///     name: "jobs".into(),
///     help: "Jobs done.".into(),
///     unit: "".into(),
///     metric_type: MetricType::Counter,
///     is_bare: false,
///     series: vec![Series {
///         labels: Default::default(),
///         value: Value::Counter(3.0),
///         created: None,
///     }],
/// };
/// let mut out = Vec::new();
/// exposition::encode(&[family], Format::Text, &mut out);
/// assert_eq!(
///     out,
///     b"# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 3.0\n"
/// );
/// ```
pub fn encode(families: &[Family], format: Format, out: &mut Vec<u8>) {
    match format {
        Format::Json => json::encode(families, out),
        Format::OpenMetrics => openmetrics::encode(families, out),
        Format::Text => text::encode(families, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [exposition.text.content-type] [exposition.openmetrics.content-type]
    #[test]
    fn content_types_are_those_that_prometheus_asks_for() {
        for (format, expected) in [
            (Format::Json, "application/json"),
            (
                Format::OpenMetrics,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
            (Format::Text, "text/plain; version=0.0.4; charset=utf-8"),
        ] {
            assert_eq!(format.content_type(), expected);
        }
    }
}
