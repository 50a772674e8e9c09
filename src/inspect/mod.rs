//! `headcount inspect`: what one file holds, as annotated text.
//!
//! Owns the choice between a store, which is shown as it lies in the file, and any other dialect,
//! which is shown as a collector understands it.

mod store;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use headcount_collect::collector::{FileContents, read_file};
use headcount_collect::exposition::{self, Format};
use headcount_collect::fold;
use headcount_collect::report::{Dialect, FileState};
use headcount_format::identity::BootId;
use headcount_format::layout::{EARLIER_LEDGER_NAME, LEDGER_NAME};

use crate::cli::InspectOptions;
use crate::findings::flag;
use crate::print::{Count, Grouped, Plain};
use crate::{complain, fail};

/// `headcount inspect`.
pub(crate) fn execute(options: InspectOptions) -> ExitCode {
    let path = &options.file;
    if is_ledger(path) {
        return inspect_ledger(path);
    }
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

/// `[ledger.name]`: whether a file has the name of a ledger, or the one that it gets with the next
/// boot.
fn is_ledger(path: &Path) -> bool {
    let is_named = |name: &str| path.file_name().is_some_and(|own| own == name);
    is_named(LEDGER_NAME) || is_named(EARLIER_LEDGER_NAME)
}

fn inspect_ledger(path: &Path) -> ExitCode {
    let cannot =
        |error: &dyn Display| fail(&format_args!("cannot inspect {}: {error}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return cannot(&error),
    };
    match store::describe(path).map(|text| print(&text)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            return fail(&format_args!("cannot write to standard output: {error}"));
        }
        Err(error) => return cannot(&error),
    }
    // Whichever boot it is of.
    match fold::read_back(&file, BootId::default()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(damage) => {
            complain(&format_args!("{}: {damage}", path.display()));
            ExitCode::FAILURE
        }
    }
}

/// What a file of a peer's holds: whose it is, how it fares, and its samples.
fn describe_peer(contents: &FileContents) -> io::Result<Vec<u8>> {
    let report = &contents.report;
    let mut text = Vec::new();
    match (report.dialect, &report.state) {
        (Some(dialect), _) => {
            writeln!(text, "dialect   {}", dialect.name())?;
            writeln!(text, "client    {}", report.client)?;
        }
        (None, FileState::Damaged(_)) => writeln!(text, "dialect   none that is read here")?,
        (None, _) => writeln!(text, "dialect   not known")?,
    }
    // What is damaged is told on standard error, with the reason.
    match &report.state {
        FileState::PassedOver(why) => writeln!(text, "state     passed over: {why}")?,
        FileState::Damaged(_) if report.dialect.is_none() => {}
        state => writeln!(text, "state     {}", state.name())?,
    }
    if report.dialect == Some(Dialect::DirectFileStore) {
        let guessed = "guessed, since the file does not say; a rule can (--rules.file)";
        writeln!(text, "types     {guessed}")?;
    }
    if let Some(worker) = &report.worker {
        writeln!(text, "worker    {}", Plain(&worker.id))?;
    }
    writeln!(text, "size      {} bytes", Grouped(report.bytes))?;
    writeln!(text, "entries   {}", Grouped(report.series as u64))?;
    for (&budget, &samples) in &report.left_out {
        let samples = Count(samples, "sample");
        writeln!(text, "left out  {samples} beyond {}", flag(budget))?;
    }
    if !contents.families.is_empty() {
        writeln!(text)?;
        let mut samples = Vec::new();
        exposition::encode(&contents.families, Format::Text, &mut samples);
        for line in String::from_utf8_lossy(&samples).lines() {
            writeln!(text, "{}", Plain(line))?;
        }
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
