//! Any bytes as files of GitLab's prometheus-client-mmap, read by the collector.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

use crate::entry::Bench;

#[expect(dead_code, reason = "each target runs one of the functions")]
#[path = "../../crates/collect/tests/collector/entry.rs"]
mod entry;

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new("fuzz-gitlab"));

fuzz_target!(|bytes: &[u8]| entry::gitlab(&BENCH, bytes));
