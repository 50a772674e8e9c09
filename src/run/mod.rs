//! `headcount run`: a command in a fresh directory, and its metrics beside it.
//!
//! Owns the life of that command: what it finds in its environment, which signals reach it, and
//! what its end means. As process 1 of a container it is everybody's parent at last, so it reaps
//! whoever ends. Knows nothing of what the command counts.

mod child;
mod own_process;
pub(crate) mod terminal;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::cli::RunOptions;
use crate::run::child::{Child, SpawnError};
use crate::scratch::{Scratch, ScratchError};
use crate::serve::{Server, StartError};
use crate::settings::Settings;
use crate::signals::Termination;
use crate::{complain, fail, limits, runtime};

/// `headcount run`.
pub(crate) fn execute(options: RunOptions) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&StartError::System(error)),
    };
    let ended = runtime.block_on(run(options));
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(RunError::Spawn(error)) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
        Err(error) => fail(&error),
    }
}

/// Why the command did not run.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum RunError {
    /// There is no directory for its pool.
    Scratch(ScratchError),
    /// It did not start.
    Spawn(SpawnError),
    /// The server beside it did not start.
    Start(StartError),
}

async fn run(options: RunOptions) -> Result<u8, RunError> {
    // Signals are heard before there is anything to leave behind; the command gets them later.
    let mut passed_on = PassedOn::new()?;
    let mut ended = signal(SignalKind::child()).map_err(StartError::System)?;
    // The directory is made after that: no rules file can name it.
    let settings = Settings::read(&options.settings, &[]).map_err(StartError::Rules)?;
    let scratch = Scratch::new()?;
    // Whoever cannot be served is better not started: a port that is taken fails first.
    let fold = settings.fold(&options.fold);
    let directories = vec![scratch.path().into()];
    let server = Server::bind(&options.web, directories, settings, fold).await?;
    let command: &[OsString] = &options.command;
    let mut child = Child::spawn(command, scratch.path())?;
    // After the start: the command shall find the limits that it was given.
    limits::raise_open_files();
    let server = server.start();
    info!(pid = child.pid(), directory = %scratch.path().display(), "Started the command.");
    let code = loop {
        tokio::select! {
            _ = ended.recv() => {
                if let Some(code) = child.reap() {
                    break code;
                }
            }
            number = passed_on.next() => {
                if let Err(error) = child.signal(number) {
                    warn!(number, %error, "Could not pass a signal on to the command.");
                }
            }
        }
    };
    info!(code, "The command has ended.");
    drop(passed_on);
    let mut termination = Termination::new().map_err(StartError::System)?;
    server.finish(&mut termination).await;
    Ok(code)
}

/// The signals that are meant for the command.
#[derive(Debug)]
struct PassedOn(Vec<(i32, Signal)>);

impl PassedOn {
    /// Hears every signal that may be meant for the command, but for those that whoever started
    /// this process wants ignored, as nohup(1) does: the command inherits that.
    fn new() -> Result<PassedOn, StartError> {
        let kinds = PASSED_ON.map(|kind| (kind().as_raw_value(), kind()));
        let heard = kinds
            .into_iter()
            .filter(|(number, _)| !own_process::ignores(*number));
        let streams = heard.map(|(number, kind)| Ok((number, signal(kind)?)));
        Ok(PassedOn(
            streams
                .collect::<io::Result<_>>()
                .map_err(StartError::System)?,
        ))
    }

    /// The number of the next one.
    async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Scratch(error) => error.fmt(formatter),
            RunError::Spawn(error) => error.fmt(formatter),
            RunError::Start(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Scratch(error) => Some(error),
            RunError::Spawn(error) => Some(error),
            RunError::Start(error) => Some(error),
        }
    }
}

impl From<ScratchError> for RunError {
    fn from(error: ScratchError) -> RunError {
        RunError::Scratch(error)
    }
}

impl From<SpawnError> for RunError {
    fn from(error: SpawnError) -> RunError {
        RunError::Spawn(error)
    }
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> RunError {
        RunError::Start(error)
    }
}

/// All that people and orchestrators send to servers, and the size of the terminal.
const PASSED_ON: [fn() -> SignalKind; 7] = [
    SignalKind::hangup,
    SignalKind::interrupt,
    SignalKind::quit,
    SignalKind::terminate,
    SignalKind::user_defined1,
    SignalKind::user_defined2,
    SignalKind::window_change,
];
