//! `headcount compact`: folds once, and ends.
//!
//! Owns how often it looks, and what it says. Knows not how a file is folded.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use headcount_collect::collector::Collector;
use headcount_format::identity::BootId;

use crate::cli::CompactOptions;
use crate::directories::{self, DirectoryError};
use crate::fold::{self, FoldFailure, FoldOptions, Folder, Round};
use crate::pool::Proofs;
use crate::print::{Count, Plain};
use crate::{FAILURE, complain, fail, limits};

/// `headcount compact`.
pub(crate) fn execute(options: CompactOptions) -> ExitCode {
    limits::raise_open_files();
    let directories = match directories::given(options.directories) {
        Ok(directories) => directories,
        Err(error) => return fail(&error),
    };
    let fold = FoldOptions {
        peers: options.fold.fold,
        time_to_live: options.life.gauge_ttl.0,
    };
    let mut code = ExitCode::SUCCESS;
    for directory in &directories {
        let path = Plain(directory.display());
        match compact(directory, fold) {
            Ok(round) => {
                if round.trouble.is_some() {
                    code = ExitCode::from(FAILURE);
                }
                if let Err(error) = writeln!(io::stdout(), "{path}: {}", told(&round))
                    && error.kind() != io::ErrorKind::BrokenPipe
                {
                    return fail(&format_args!("cannot write to standard output: {error}"));
                }
            }
            // Somebody has done what was asked for.
            Err(Failure::Elsewhere { left: 0 }) => {
                complain(&format_args!("{path}: {}", FoldFailure::NotOurs));
            }
            Err(failure) => {
                match failure {
                    Failure::Directory(error) => complain(&error),
                    Failure::Elsewhere { left } => complain(&format_args!(
                        "{path}: {}; it has left {} of dead workers, which it may fold later, or \
                         not at all for want of --fold",
                        FoldFailure::NotOurs,
                        Count(left as u64, "file")
                    )),
                    Failure::Fold(error) => complain(&format_args!("{path}: {error}")),
                }
                code = ExitCode::from(FAILURE);
            }
        }
    }
    code
}

/// Why a directory was not compacted.
enum Failure {
    Directory(DirectoryError),
    /// Another process folds there, and has left so many files that were to be folded.
    Elsewhere {
        left: usize,
    },
    Fold(FoldFailure),
}

/// Rounds, until there is nothing left to fold.
fn compact(directory: &Path, options: FoldOptions) -> Result<Round, Failure> {
    directories::examine(directory).map_err(Failure::Directory)?;
    let mut collector = Collector::new();
    collector.set_boot(BootId::current());
    collector.set_descriptors(limits::descriptors_for_files());
    collector.add_directory(directory);
    // [life.hint]: what is dead is read once, however many rounds there are.
    collector.expect_hints();
    let mut folder = Folder::new(directory.to_owned(), options);
    let mut all = Round::default();
    let patience = Instant::now() + PATIENCE;
    loop {
        let mut proofs = Proofs::default();
        collector.set_now(fold::now());
        collector.attend(|file| proofs.verdict(file));
        let dead = collector.dead();
        let round = match folder.round(&dead) {
            Err(FoldFailure::NotOurs) => {
                let left = folder.count(&dead);
                if left == 0 || patience < Instant::now() {
                    return Err(Failure::Elsewhere { left });
                }
                sleep(fold::ASIDE);
                continue;
            }
            Err(FoldFailure::Denied { .. }) if folder.count(&dead) == 0 => return Ok(all),
            outcome => outcome.map_err(Failure::Fold)?,
        };
        all.files += round.files;
        all.bytes += round.bytes;
        all.trouble = all.trouble.or(round.trouble);
        match round {
            Round { pending: 0, .. } => return Ok(all),
            // What has been set aside is folded only after that.
            Round { files: 0, .. } => sleep(fold::ASIDE),
            _ => {}
        }
    }
}

fn told(round: &Round) -> String {
    let trouble = round.trouble.as_ref();
    let trouble = trouble.map_or_else(String::new, |trouble| format!("; {trouble}"));
    match round.files {
        0 => format!("nothing to fold{trouble}"),
        files => {
            let (files, bytes) = (Count(files as u64, "file"), Count(round.bytes, "byte"));
            format!("folded {files} of dead workers, {bytes}, into headcount.ledger{trouble}")
        }
    }
}

/// For how long whoever folds there may take to fold what there is.
const PATIENCE: Duration = Duration::from_secs(5);
