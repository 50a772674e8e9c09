//! The sidecar: one set of Prometheus metrics for a whole pool of worker processes.
//!
//! Owns what surrounds the merge: the command line, logs, signals, child processes, HTTP, and the
//! watch over the pool's directories. Must not know how a store or a peer's file is laid out, how
//! values are merged, nor how an exposition is written: those are `headcount-format`'s and
//! `headcount-collect`'s. To read a pool from a program of your own, use `headcount-collect`.

mod check;
mod cli;
mod collect;
mod compact;
mod demo;
mod directories;
mod filesystem;
mod findings;
mod fold;
mod inspect;
mod limits;
mod logs;
mod pool;
mod print;
mod roster;
mod rules;
mod run;
mod scratch;
mod serve;
mod settings;
mod signals;
mod watch;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use cli::{Arguments, Command, LogLevel};

/// The whole program: reads the command line, does what it says, and tells how it went.
///
/// The code is 0 for success, 1 where `check` has findings, 2 where something could not be done
/// and a message on standard error says why; `run` passes on the code of its command.
pub fn main() -> ExitCode {
    let Arguments { logs, command } = Arguments::read();
    let quiet = !matches!(command, Command::Run(_) | Command::Serve(_));
    let usual = if quiet {
        LogLevel::Warn
    } else {
        LogLevel::Info
    };
    logs::start(logs.level.unwrap_or(usual), logs.format);
    match command {
        Command::Check(options) => check::execute(options),
        Command::Collect(options) => collect::execute(options),
        Command::Compact(options) => compact::execute(options),
        Command::Demo(options) => demo::execute(options),
        Command::DemoWorker(options) => demo::worker::execute(options),
        Command::GiveTerminal(options) => run::terminal::give(options),
        Command::Inspect(options) => inspect::execute(options),
        Command::Run(options) => run::execute(options),
        Command::Serve(options) => serve::execute(options),
    }
}

/// Could not be done, or could not look.
const FAILURE: u8 = 2;

/// Tells the person at the terminal what went wrong, and yields the exit code for it.
fn fail(error: &dyn Display) -> ExitCode {
    complain(error);
    ExitCode::from(FAILURE)
}

/// One line on standard error; there is nobody to tell where that fails.
fn complain(message: &dyn Display) {
    let _ = writeln!(io::stderr(), "headcount: {}", print::Plain(message));
}

/// What every long-running command runs on. Two threads: a merge is done on others.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
