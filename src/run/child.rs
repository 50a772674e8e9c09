//! The command that `run` runs, as a process.
//!
//! Owns how it starts, and how its end is learned of. Its process is never waited for through the
//! standard library: as process 1 every process that ends here is ours to reap, and the one that
//! matters is among them.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tracing::debug;

use crate::directories::VARIABLES;
use crate::run::terminal::Terminal;
use crate::signals;

/// A command that runs.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    /// Where the person sits, if the command has the terminal to itself.
    terminal: Option<Terminal>,
}

/// Why a command did not start.
#[derive(Debug)]
pub(crate) struct SpawnError {
    command: OsString,
    error: io::Error,
}

impl Child {
    /// Starts `command` with the variables that name `directory`, in a process group of its own, to
    /// which it passes the terminal where this process has it.
    ///
    /// # Errors
    ///
    /// When there is no such command, or it cannot be executed.
    pub(super) fn spawn(command: &[OsString], directory: &Path) -> Result<Child, SpawnError> {
        let (program, arguments) = command.split_first().ok_or_else(|| SpawnError {
            command: OsString::new(),
            error: io::ErrorKind::NotFound.into(),
        })?;
        let terminal = Terminal::in_foreground();
        let spawned = Command::new(program)
            .args(arguments)
            .envs(VARIABLES.map(|name| (name, directory)))
            // prometheus_client before 0.10 knows no other.
            .env("prometheus_multiproc_dir", directory)
            .process_group(0)
            .spawn();
        let pid = spawned
            .and_then(|child| {
                i32::try_from(child.id())
                    .ok()
                    .and_then(Pid::from_raw)
                    .ok_or_else(|| io::Error::other("the kernel gave a number that is no process"))
            })
            .map_err(|error| SpawnError {
                command: program.clone(),
                error,
            })?;
        if let Some(terminal) = &terminal {
            terminal.pass_to(pid);
        }
        Ok(Child { pid, terminal })
    }

    /// Its number.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// When it has ended, or runs as a user that we may not signal.
    pub(super) fn signal(&self, number: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(number);
        let signal = signal.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        Ok(rustix::process::kill_process(self.pid, signal)?)
    }

    /// Reaps every process that has ended. Yields the exit code of the command once it is among
    /// them, and after that must not be called again.
    pub(super) fn reap(&mut self) -> Option<u8> {
        if let Some(terminal) = &self.terminal {
            // Before the command is reaped, for its group ends with it.
            terminal.take_back_from_the_ended(self.pid);
        }
        let mut code = None;
        // An error means that nobody is left to wait for.
        while let Ok(Some((pid, status))) =
            rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED)
        {
            if pid != self.pid {
                debug!(
                    pid = pid.as_raw_pid(),
                    "Reaped a process that nobody waited for."
                );
            } else if status.stopped() {
                self.stop_with(status);
            } else {
                code = Some(exit_code(status));
            }
        }
        code
    }

    /// Ctrl-Z stopped the command alone; the shell waits for this process.
    fn stop_with(&self, status: WaitStatus) {
        if let Some(terminal) = &self.terminal
            && status.stopping_signal() == Some(Signal::TSTP.as_raw())
        {
            terminal.stop_until_resumed(self.pid);
        }
    }
}

impl SpawnError {
    /// What shells give: 127 for a command that is not there, 126 for one that cannot be executed.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.error.kind() == io::ErrorKind::NotFound {
            127
        } else {
            126
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command.to_string_lossy();
        write!(formatter, "cannot start {command:?}: ")?;
        match self.error.kind() {
            io::ErrorKind::NotFound => write!(
                formatter,
                "there is no such command in PATH, or the interpreter in its first line is \
                 missing; check the name, or give the whole path",
            ),
            io::ErrorKind::PermissionDenied => {
                write!(
                    formatter,
                    "it is not executable by this user; chmod +x makes it so"
                )
            }
            _ => write!(
                formatter,
                "{}; a script needs a first line such as #!/bin/sh, a program must be built for \
                 this machine",
                self.error,
            ),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        // The kernel keeps eight bits.
        (Some(code), _) => code as u8,
        (None, Some(signal)) => signals::exit_code(signal),
        (None, None) => u8::MAX,
    }
}
