//! The registries and metrics that the contests use, ours and the peers'.
//!
//! Owns how each is made. Knows nothing of timing.

use std::sync::OnceLock;

use headcount_writer::{Counter, Family, Registry};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use prometheus_client::encoding::EncodeLabelSet;

use crate::support::Scratch;

pub(crate) const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

const METHODS: [&str; 4] = ["DELETE", "GET", "POST", "PUT"];
const CODES: [&str; 4] = ["200", "404", "422", "500"];

/// Labels as `prometheus-client` has them in its examples.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(crate) struct Labels {
    pub(crate) method: &'static str,
    pub(crate) code: &'static str,
}

/// Labels as `prometheus-client` has them where values come at run time.
pub(crate) fn pairs(method: &str, code: &str) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![pair("method", method), pair("code", code)]
}

/// So that the series that is looked up is not the only one.
pub(crate) fn each_series(mut visit: impl FnMut(&'static str, &'static str)) {
    for method in METHODS {
        CODES.iter().for_each(|code| visit(method, code));
    }
}

/// A registry with a real store.
pub(crate) fn open(scratch: &Scratch) -> Registry {
    Registry::open(scratch.path()).expect("the directory was just made")
}

pub(crate) fn our_counter(scratch: &Scratch) -> Counter {
    let counter = open(scratch).counter("c", "C.").register();
    counter.expect("a valid name")
}

pub(crate) fn our_family(registry: &Registry) -> Family<Counter, 2> {
    let family = registry.counter("requests", "Requests answered.");
    let family = family.register_family(["method", "code"]);
    family.expect("valid names")
}

pub(crate) fn peer_counter() -> prometheus::Counter {
    prometheus::Counter::new("c", "C.").expect("a valid name")
}

pub(crate) fn peer_vector() -> prometheus::CounterVec {
    let options = prometheus::Opts::new("requests", "Requests answered.");
    prometheus::CounterVec::new(options, &["method", "code"]).expect("valid names")
}

pub(crate) fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new().set_buckets(&BOUNDS);
    builder.expect("at least one bound").build_recorder()
}

/// Makes the macros of `metrics` count for the rest of the process.
pub(crate) fn install_recorder() {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        let is_set = metrics::set_global_recorder(recorder).is_ok();
        assert!(is_set, "a recorder is installed nowhere else");
        handle
    });
}
