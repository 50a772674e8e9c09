//! What a client accepts: which format, and whether compressed.
//!
//! Owns `Accept` and `Accept-Encoding`, by their q-values (RFC 9110, section 12.5). Scrapers differ
//! in order, weights and parameters and change them with every release, so nothing here compares
//! whole headers. Knows no other header, and nothing of what is sent.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};
use headcount_collect::exposition::Format;

/// The format that `headers` ask for. There is no refusal: who accepts nothing that we have gets
/// text, as from every exporter.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let value = joined(headers, ACCEPT);
    let ranges: Vec<Clause<'_>> = clauses(&value).collect();
    let text = best(&ranges, &TEXT);
    let openmetrics = best(&ranges, &OPENMETRICS);
    match (openmetrics, text) {
        (Some(openmetrics), Some(text)) if openmetrics.beats(&text) => Format::OpenMetrics,
        (Some(openmetrics), None) if openmetrics.quality > 0 => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// Whether `headers` prefer a body in gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let value = joined(headers, ACCEPT_ENCODING);
    let quality = |names: &[&str]| {
        let named = |clause: &Clause<'_>| names.iter().any(|name| clause.is(name));
        clauses(&value)
            .filter(named)
            .map(|clause| clause.quality)
            .max()
    };
    let any = quality(&["*"]);
    let gzip = quality(&["gzip", "x-gzip"]).or(any).unwrap_or(0);
    // Not to compress is always acceptable, but where it is not named it is preferred to nothing.
    let identity = quality(&["identity"]).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

/// One format as a media type. A range that names a version must name one of `versions`.
struct Offer {
    media_type: &'static str,
    versions: &'static [&'static str],
}

/// How well a range fits an offer. A range that names more decides, whatever its weight.
#[derive(Debug)]
struct Match {
    specificity: usize,
    /// Thousandths.
    quality: u16,
    position: usize,
}

impl Match {
    /// Weight decides; of equal weights the range that names more, then the one that stands first.
    fn beats(&self, other: &Match) -> bool {
        let by_name = self.specificity.cmp(&other.specificity);
        let by_position = other.position.cmp(&self.position);
        let order = self
            .quality
            .cmp(&other.quality)
            .then(by_name)
            .then(by_position);
        self.quality > 0 && order.is_gt()
    }
}

/// The most specific range that `offer` fits; of several such the one with the highest weight.
fn best(ranges: &[Clause<'_>], offer: &Offer) -> Option<Match> {
    let matches = ranges.iter().enumerate().filter_map(|(position, range)| {
        let specificity = specificity(range, offer)?;
        Some(Match {
            specificity,
            quality: range.quality,
            position,
        })
    });
    matches.reduce(|best, next| {
        let order = next
            .specificity
            .cmp(&best.specificity)
            .then(next.quality.cmp(&best.quality));
        if order.is_gt() { next } else { best }
    })
}

fn specificity(range: &Clause<'_>, offer: &Offer) -> Option<usize> {
    let (kind, _) = offer.media_type.split_once('/')?;
    if range.is("*/*") {
        return Some(0);
    }
    if let Some(wanted) = range.name.strip_suffix("/*") {
        return wanted.eq_ignore_ascii_case(kind).then_some(1);
    }
    if !range.is(offer.media_type) {
        return None;
    }
    match range.parameter("version") {
        Some(version) => offer.versions.contains(&version).then_some(3),
        None => Some(2),
    }
}

/// All values of a header that may come more than once.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// One element of a list: a name, its parameters, its weight.
#[derive(Debug)]
struct Clause<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    /// Thousandths; 0 means "not this".
    quality: u16,
}

impl Clause<'_> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self
            .parameters
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|&(_, value)| value)
    }
}

fn clauses(value: &str) -> impl Iterator<Item = Clause<'_>> {
    split(value, b',').filter_map(clause)
}

/// `None` for an empty element, and for one whose weight is no number: it says nothing.
fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = split(text, b';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let mut parameters: Vec<(&str, &str)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
        .collect();
    let weight = parameters
        .iter()
        .position(|(name, _)| name.eq_ignore_ascii_case("q"));
    let quality = match weight.map(|position| parameters.remove(position)) {
        Some((_, weight)) => {
            let weight: f64 = weight.parse().ok().filter(|weight| *weight >= 0.0)?;
            (weight.min(1.0) * 1000.0).round() as u16
        }
        None => 1000,
    };
    Some(Clause {
        name,
        parameters,
        quality,
    })
}

/// Splits at `separator`, but not inside a quoted string.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let end = text.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == separator && !quoted
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

const OPENMETRICS: Offer = Offer {
    media_type: "application/openmetrics-text",
    versions: &["1.0.0", "0.0.1"],
};

const TEXT: Offer = Offer {
    media_type: "text/plain",
    versions: &["0.0.4"],
};

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| HeaderValue::from_str(value).unwrap());
        values.map(|value| (name.clone(), value)).collect()
    }

    fn format_for(accept: &str) -> Format {
        format(&headers(ACCEPT, &[accept]))
    }

    /// What the servers and tools of the field send, word for word.
    #[test]
    fn real_clients_get_what_they_prefer() {
        for (client, accept, expected) in [
            (
                "Prometheus 2.42",
                "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "Prometheus 2.42 with native histograms",
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                 encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "Prometheus 2.53",
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            (
                "Prometheus 3.14",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            (
                "Prometheus 3 with text first",
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 text/plain;version=0.0.4;q=0.5,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2",
                Format::Text,
            ),
            (
                "VictoriaMetrics",
                "text/plain;version=0.0.4;q=1,*/*;q=0.1",
                Format::Text,
            ),
            ("curl", "*/*", Format::Text),
            (
                "a browser",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
                Format::Text,
            ),
        ] {
            assert_eq!(format_for(accept), expected, "{client}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn weights_decide_and_zero_refuses() {
        for (accept, expected) in [
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=0.0.1",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            (
                "application/openmetrics-text;version=2.0.0,*/*;q=0.1",
                Format::Text,
            ),
            ("application/*", Format::OpenMetrics),
            ("application/*,text/*", Format::OpenMetrics),
            ("text/*,application/*", Format::Text),
            (
                "text/*;q=0.5,application/openmetrics-text;q=0.4",
                Format::Text,
            ),
            (
                "application/openmetrics-text;q=0.5,text/plain;q=0.6",
                Format::Text,
            ),
            (
                "application/openmetrics-text,text/plain",
                Format::OpenMetrics,
            ),
            ("text/plain,application/openmetrics-text", Format::Text),
            ("application/openmetrics-text;q=0,*/*", Format::Text),
            ("text/plain;q=0,*/*", Format::OpenMetrics),
            (
                "text/plain;q=0.0,application/openmetrics-text;q=0.001",
                Format::OpenMetrics,
            ),
            (
                "text/plain;version=0.0.4;q=0,application/openmetrics-text",
                Format::OpenMetrics,
            ),
            ("*/*;q=0", Format::Text),
            ("image/png", Format::Text),
            (
                "application/openmetrics-text;q=x,text/plain;q=0.1",
                Format::Text,
            ),
            ("application/openmetrics-text;q=-1", Format::Text),
            (
                "application/openmetrics-text;note=\"a,b;q=0\"",
                Format::OpenMetrics,
            ),
            (",;,;q=1,", Format::Text),
            ("", Format::Text),
        ] {
            assert_eq!(format_for(accept), expected, "{accept}");
        }
    }

    #[test]
    fn a_header_may_come_more_than_once() {
        let accept = ["text/plain;q=0.5", "application/openmetrics-text;q=0.6"];
        assert_eq!(format(&headers(ACCEPT, &accept)), Format::OpenMetrics);
    }

    #[test]
    fn gzip_is_sent_to_who_prefers_it() {
        for (accept, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("deflate, gzip, br, zstd", true),
            ("*", true),
            ("gzip;q=0.5", true),
            ("gzip;q=0.5, identity;q=0.4", true),
            ("identity;q=0, gzip", true),
            ("br, *;q=0.1", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("gzip;q=0.5, identity", false),
            ("br", false),
            ("", false),
        ] {
            let headers = headers(ACCEPT_ENCODING, &[accept]);
            assert_eq!(accepts_gzip(&headers), expected, "{accept}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
