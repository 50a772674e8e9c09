//! The answer to a scrape.
//!
//! Owns its status, headers and body: what is merged, in the format that was negotiated, compressed
//! where that pays. Must not know how either format is written.

use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use headcount_collect::exposition::{self, Format};
use headcount_collect::model::Family;
use tracing::error;

use crate::pool::Pass;
use crate::serve::{Site, negotiate};

/// The pool's metrics, and headcount's own where no name clashes.
pub(super) async fn pool(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    // [ledger.version]: a missed scrape is no reset, and a total without the dead would be one.
    let all = |pass: Pass| (!pass.lacks_ledger).then(|| pass.all_families());
    answer(&site, &headers, all).await
}

/// headcount's own metrics.
pub(super) async fn own(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site, &headers, |pass| Some(pass.own_families())).await
}

async fn answer(
    site: &Site,
    headers: &HeaderMap,
    choose: fn(Pass) -> Option<Vec<Family>>,
) -> Response {
    let format = negotiate::format(headers);
    let may_compress = negotiate::accepts_gzip(headers);
    match site
        .pool
        .scrape(move |pass| {
            let families = choose(pass);
            families.map(|families| Text::of(&families, format, may_compress))
        })
        .await
    {
        Ok(Some(text)) => text.into_response(),
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, LEDGER_REFUSED).into_response(),
        Err(error) => {
            error!(%error, "A scrape failed; this is a fault in headcount, please report it.");
            let text = "The merge failed; the log of headcount says why.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// A body, finished: its length is known before its first byte is sent.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    format: Format,
    is_compressed: bool,
}

impl Text {
    fn of(families: &[Family], format: Format, may_compress: bool) -> Text {
        let mut bytes = Vec::new();
        exposition::encode(families, format, &mut bytes);
        let compressed = (may_compress && bytes.len() >= WORTH_COMPRESSING).then(|| gzip(&bytes));
        let is_compressed = compressed.is_some();
        Text {
            bytes: compressed.unwrap_or(bytes),
            format,
            is_compressed,
        }
    }
}

impl IntoResponse for Text {
    fn into_response(self) -> Response {
        let length = HeaderValue::from(self.bytes.len());
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(self.format.content_type()),
        );
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if self.is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// At the fastest level: names and labels repeat so much that every level finds them.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    // A vector takes every byte.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("a vector never fails to take bytes")
}

const LEDGER_REFUSED: &str = "\
The ledger of a directory cannot be read, so that the totals would lack what dead workers counted.
The log of headcount and `headcount check DIR` say why, and what to do.
";

/// Bytes; below that a body fits into one packet anyway.
const WORTH_COMPRESSING: usize = 1024;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use headcount_collect::model::MetricType;

    use super::*;

    fn family(help: &str) -> Family {
        Family {
            name: "a".into(),
            help: help.into(),
            unit: "".into(),
            metric_type: MetricType::Gauge,
            is_bare: false,
            series: Vec::new(),
        }
    }

    #[test]
    fn a_large_body_is_compressed_and_a_small_one_is_not() {
        let large = [family(&"x".repeat(2000))];
        let plain = Text::of(&large, Format::Text, false);
        let compressed = Text::of(&large, Format::Text, true);
        assert!(!plain.is_compressed && compressed.is_compressed);
        let mut unpacked = Vec::new();
        GzDecoder::new(&*compressed.bytes)
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain.bytes);
        assert!(!Text::of(&[family("x")], Format::Text, true).is_compressed);
    }

    #[test]
    fn the_headers_tell_the_body_exactly() {
        let text = Text::of(&[family(&"x".repeat(2000))], Format::OpenMetrics, true);
        let length = text.bytes.len().to_string();
        let response = text.into_response();
        let header = |name| {
            response
                .headers()
                .get(name)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(header(CONTENT_LENGTH), length);
        assert_eq!(header(CONTENT_ENCODING), "gzip");
        assert_eq!(header(VARY), "Accept, Accept-Encoding");
        assert_eq!(header(CONTENT_TYPE), Format::OpenMetrics.content_type());
    }
}
