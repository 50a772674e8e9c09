//! What a machine does not let a test show.
//!
//! Owns that it is said, and where: `tests/run` prints it at its end. The root package's tests use
//! this file, too.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Says that `what` is not shown here, and why.
#[expect(clippy::print_stderr, reason = "a test says what it cannot show")]
pub(crate) fn tell(what: &str, why: &dyn Display) {
    let line = format!("not shown on this machine: {what}: {why}");
    eprintln!("{line}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("not-shown.txt");
    let written = File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{line}"));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
