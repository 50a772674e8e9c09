//! Any bytes as a text of metrics, parsed, and read by the collector as a text file.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use crate::entry::Bench;

#[expect(dead_code, reason = "each target runs one of the functions")]
#[path = "../../crates/collect/tests/collector/entry.rs"]
mod entry;
#[path = "../../crates/collect/tests/parser/entry.rs"]
mod parser;

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new("fuzz-text"));

fuzz_target!(|bytes: &[u8]| {
    parser::text(bytes);
    entry::text(&BENCH, bytes);
});
