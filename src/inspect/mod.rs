//! `headcount inspect`: what one file holds, as annotated text.
//!
//! Owns the choice between a store, which is shown as it lies in the file, and any other dialect,
//! which is shown as a collector understands it.

mod store;

use std::io::{self, Write};
use std::process::ExitCode;

use headcount_collect::collector::{FileContents, read_file};
use headcount_collect::exposition::{self, Format};
use headcount_collect::report::{Dialect, FileState};

use crate::cli::InspectOptions;
use crate::print::{Grouped, Plain};
use crate::{complain, fail};

/// `headcount inspect`.
pub(crate) fn execute(options: InspectOptions) -> ExitCode {
    let path = &options.file;
    let contents = match read_file(path) {
        Ok(contents) => contents,
        Err(_) => {
            return fail(&format_args!(
                "cannot inspect {}: no such file",
                path.display()
            ));
        }
    };
    let written = match contents.report.dialect {
        Some(Dialect::Store) => match store::describe(path) {
            Ok(text) => print(&text),
            Err(error) => return fail(&format_args!("cannot inspect {}: {error}", path.display())),
        },
        _ => describe_peer(&contents).and_then(|text| print(&text)),
    };
    if let Err(error) = written {
        return fail(&format_args!("cannot write to standard output: {error}"));
    }
    match &contents.report.state {
        FileState::Damaged(damage) => {
            complain(&format_args!("{}: {damage}", path.display()));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// What a file of a peer's holds: whose it is, and its samples.
fn describe_peer(contents: &FileContents) -> io::Result<Vec<u8>> {
    let report = &contents.report;
    let mut text = Vec::new();
    let dialect = match report.dialect {
        Some(Dialect::Python) => "prometheus_client 0.18 to 0.26",
        _ => "none that is read here",
    };
    writeln!(text, "dialect   {dialect}")?;
    if let Some(worker) = &report.worker {
        writeln!(text, "worker    {}", Plain(&worker.id))?;
    }
    writeln!(text, "size      {} bytes", Grouped(report.bytes))?;
    writeln!(text, "entries   {}", Grouped(report.series as u64))?;
    if !contents.families.is_empty() {
        writeln!(text)?;
        exposition::encode(&contents.families, Format::Text, &mut text);
    }
    Ok(text)
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
