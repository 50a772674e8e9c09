//! Signals that ask the sidecar to end.
//!
//! Owns which those are. What `run` passes on to its command is not its business.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct Termination {
    interrupt: Signal,
    terminate: Signal,
}

impl Termination {
    /// From now on neither signal ends the process by itself.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub(crate) fn new() -> io::Result<Termination> {
        Ok(Termination {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The number of the next signal that came since the last call.
    pub(crate) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

/// The exit code of a process that `signal` ended, as shells give it.
pub(crate) fn exit_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}
