//! Any bytes as files of a DirectFileStore, read by the collector.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use crate::entry::Bench;

#[expect(dead_code, reason = "each target runs one of the functions")]
#[path = "../../crates/collect/tests/collector/entry.rs"]
mod entry;

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new("fuzz-direct"));

fuzz_target!(|bytes: &[u8]| entry::direct(&BENCH, bytes));
