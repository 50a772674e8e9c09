//! What only real processes can show: the sidecar beside real peers, scraped by a real Prometheus.
//!
//! `tests/run` installs the peers. A peer that is missing fails its test; none is skipped.

mod dialects;
mod gunicorn;
mod ledger;
mod life;
mod liveness;
mod parity;
mod pool;
mod repo;
mod rules_example;
mod sidecar;
mod support;
mod three_directories;
mod vectors;
