//! The vectors of the store: bytes made by another hand, and what `inspect` says of them.
//!
//! Owns how an annotated `.hex` file becomes a store. `spec/vectors/README.md` says where they come
//! from.
#![expect(
    clippy::unwrap_used,
    reason = "a vector that is not as described fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{TempDir, python, workspace};

const LEDGER: &str = "headcount.ledger";

const NAME: &str = "000102030405060708090a0b0c0d0e0f.store";

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(workspace().join("spec/vectors/store")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

pub(crate) fn assemble(hex: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in hex.lines() {
        let line = line.split('#').next().unwrap().trim();
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        if key == "size" {
            bytes.resize(value.trim().parse().unwrap(), 0);
            continue;
        }
        let digits = value.split_whitespace();
        let run: Vec<u8> = digits
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let offset: usize = key.trim().parse().unwrap();
        bytes[offset..offset + run.len()].copy_from_slice(&run);
    }
    bytes
}

/// What `inspect` prints, and what it complains about, without the path.
fn inspect(path: &Path) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_headcount"))
        .arg("inspect")
        .arg(path)
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    let prefix = format!("headcount: {}: ", path.display());
    let complaint = complaint
        .strip_prefix(&prefix)
        .unwrap_or(&complaint)
        .to_owned();
    assert_eq!(output.status.success(), complaint.is_empty());
    (String::from_utf8(output.stdout).unwrap(), complaint)
}

// [store.header] [store.header.magic] [store.header.version] [store.header.checksum]
// [store.catalog.first] [store.catalog.segment] [store.catalog.used] [store.record.segment]
// [store.record.labels] [store.record.family] [store.record.series] [store.record.block]
// [store.record.removal] [store.record.unknown] [store.block.unknown] [store.block.lane]
// [store.block.additive] [store.block.register] [store.block.stamped] [store.cells]
// [store.stamped] [store.block.ascending] [store.record.series.cells] [store.read.size]
// [store.record.folded] [ledger.level] [ledger.folded] [ledger.bare] [ledger.sums]
#[test]
fn every_vector_of_the_store_reads_as_its_page_says() {
    let directory = TempDir::new();
    let cases = cases();
    assert!(cases.len() >= 10, "only {} vectors are there", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        // [ledger.name]
        let is_ledger = name.contains("ledger");
        let file = if is_ledger { LEDGER } else { NAME };
        let store = directory.path().join(file);
        let hex = fs::read_to_string(case.join("file.hex")).unwrap();
        fs::write(&store, assemble(&hex)).unwrap();
        let (text, complaint) = inspect(&store);
        let expected = fs::read_to_string(case.join("inspect.txt")).unwrap();
        assert_eq!(text, expected, "{}", case.display());
        let is_bad = case
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("bad_");
        let damage = fs::read_to_string(case.join("damage.txt")).unwrap_or_default();
        assert_eq!(complaint, damage, "{}", case.display());
        assert_eq!(is_bad, !damage.is_empty(), "{}", case.display());
    }
}

#[test]
fn the_vectors_are_what_their_script_writes() {
    let copy = TempDir::new();
    let script = workspace().join("spec/vectors/store/make.py");
    fs::copy(&script, copy.path().join("make.py")).unwrap();
    let status = Command::new(python::interpreter())
        .arg(copy.path().join("make.py"))
        .status()
        .unwrap();
    assert!(status.success());
    for case in cases() {
        let made = copy.path().join(case.file_name().unwrap()).join("file.hex");
        let made = fs::read_to_string(made).unwrap();
        let kept = fs::read_to_string(case.join("file.hex")).unwrap();
        assert_eq!(made, kept, "{}: run {}", case.display(), script.display());
    }
}
