//! The path of the metrics.
//!
//! Owns which paths can be chosen for it.

use std::fmt;
use std::str::FromStr;

/// A path that begins with a slash, ends without one, and is none of the server's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TelemetryPath(String);

/// Why a text is no such path.
#[derive(Debug)]
pub(crate) struct MalformedPath;

impl TelemetryPath {
    /// Where the pool's metrics are.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Where headcount's own are.
    pub(crate) fn own(&self) -> String {
        format!("{}/self", self.0)
    }
}

impl FromStr for TelemetryPath {
    type Err = MalformedPath;

    fn from_str(text: &str) -> Result<TelemetryPath, MalformedPath> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        let fits = text.len() > 1
            && text.starts_with('/')
            && !text.ends_with('/')
            && !text.starts_with("/-/")
            && text.bytes().all(plain);
        fits.then(|| TelemetryPath(text.into()))
            .ok_or(MalformedPath)
    }
}

impl fmt::Display for TelemetryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for MalformedPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "write a path such as /metrics: letters, digits, '-', '_', '.', '~' and '/', not \
             below /-/ and without a slash at its end",
        )
    }
}

impl std::error::Error for MalformedPath {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_plain_and_leaves_the_servers_own_alone() {
        for path in ["/metrics", "/a/b.c", "/~me"] {
            assert_eq!(path.parse::<TelemetryPath>().unwrap().as_str(), path);
        }
        for path in [
            "",
            "/",
            "metrics",
            "/metrics/",
            "/-/ready",
            "/{a}",
            "/a?b",
            "/a b",
        ] {
            assert!(path.parse::<TelemetryPath>().is_err(), "{path}");
        }
    }
}
