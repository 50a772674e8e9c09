//! `headcount collect`: one exposition on standard output.
//!
//! Owns what is printed where: what the pool counts on standard output, what is wrong with it on
//! standard error.

use std::io::{self, Write};
use std::process::ExitCode;

use headcount_collect::exposition::{self, Format};
use headcount_collect::report::{FileState, LedgerState};

use crate::cli::{CollectFormat, CollectOptions};
use crate::directories::DirectoryError;
use crate::findings::flag;
use crate::fold::FoldFailure;
use crate::pool::LeftOut;
use crate::print::Count;
use crate::settings::Settings;
use crate::{complain, directories, fail, limits, pool};

/// `headcount collect`.
pub(crate) fn execute(options: CollectOptions) -> ExitCode {
    limits::raise_open_files();
    let directories = match directories::given(options.directories) {
        Ok(directories) => directories,
        Err(error) => return fail(&error),
    };
    for directory in &directories {
        match directories::examine(directory) {
            // It can be read, and once is often enough for somebody who looks.
            Err(error @ DirectoryError::Network { .. }) => complain(&error),
            Err(error) => return fail(&error),
            Ok(_) => {}
        }
    }
    let settings = match Settings::read(&options.settings, &directories) {
        Ok(settings) => settings,
        Err(error) => return fail(&error),
    };
    let budgets = settings.budgets;
    let collection = pool::collect_once(&directories, settings).collection;
    for directory in &collection.directories {
        if let Some(error) = &directory.error {
            return fail(&format_args!("{}: {error}", directory.path.display()));
        }
        // [ledger.version]
        if let LedgerState::Refused(damage) = &directory.ledger.state {
            let failure = FoldFailure::Refused(damage.clone());
            return fail(&format_args!("{}: {failure}", directory.path.display()));
        }
    }
    for file in &collection.files {
        let path = file.path.display();
        match &file.state {
            FileState::Damaged(damage) if file.series > 0 => complain(&format_args!(
                "{path} is damaged, and what could be read of it is served: {damage}"
            )),
            FileState::Damaged(damage) => complain(&format_args!("set aside {path}: {damage}")),
            FileState::EarlierBoot => complain(&format_args!(
                "set aside {path}: it was written before this machine last started"
            )),
            _ => {}
        }
    }
    for (budget, what, count) in LeftOut::of(&collection, &budgets).iter() {
        if count > 0 {
            let (count, flag) = (Count(count, what), flag(budget));
            complain(&format_args!("left out {count} beyond {flag}"));
        }
    }
    for conflict in &collection.conflicts {
        complain(conflict);
    }
    let format = match options.format {
        CollectFormat::Json => Format::Json,
        CollectFormat::Openmetrics => Format::OpenMetrics,
        CollectFormat::Text => Format::Text,
    };
    let mut bytes = Vec::new();
    exposition::encode(&collection.families, format, &mut bytes);
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads only the beginning, as head(1) does, has what it wants.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("cannot write to standard output: {error}")),
    }
}
