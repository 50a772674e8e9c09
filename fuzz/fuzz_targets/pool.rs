//! Any bytes as several files of all dialects, read by the collector.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use crate::entry::Bench;

#[expect(dead_code, reason = "each target runs one of the functions")]
#[path = "../../crates/collect/tests/collector/entry.rs"]
mod entry;

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new("fuzz-pool"));

fuzz_target!(|bytes: &[u8]| entry::pool(&BENCH, bytes));
