//! The terminal that `run` and its command share.
//!
//! Owns who of them is in the foreground. The command is, so that Ctrl-C and reads from the
//! terminal are its own; afterwards the terminal goes back to where it was.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_current_process_group, kill_process_group, waitid,
};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use tracing::debug;

use crate::cli::GiveTerminalOptions;
use crate::run::own_process;

/// Standard input is a terminal, and it was ours when the command started.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The group that had it.
    home: Pid,
}

/// `headcount give-terminal`, started by [`Terminal::take_back_from_the_ended`].
pub(crate) fn give(options: GiveTerminalOptions) -> ExitCode {
    let given = Pid::from_raw(options.to).map(|group| tcsetpgrp(io::stdin(), group));
    if matches!(given, Some(Ok(()))) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Terminal {
    /// The terminal, if this process is in its foreground.
    pub(super) fn in_foreground() -> Option<Terminal> {
        let home = own_process::group()?;
        let owned = io::stdin().is_terminal() && tcgetpgrp(io::stdin()) == Ok(home);
        owned.then_some(Terminal { home })
    }

    /// Puts the group of `child` in the foreground.
    pub(super) fn pass_to(&self, child: Pid) {
        if let Err(error) = tcsetpgrp(io::stdin(), child) {
            debug!(%error, "Kept the terminal.");
        }
        // It may have asked for the terminal before it had it, and been stopped for that.
        let _ = kill_process_group(child, Signal::CONT);
    }

    /// If `child` has ended, gives the terminal back to those who had it: a script that started us
    /// goes on reading from it.
    ///
    /// Who is in the background may not do that, short of ignoring SIGTTOU. Who joins the group
    /// that has the terminal may; and until its leader is reaped, a group can be joined.
    pub(super) fn take_back_from_the_ended(&self, child: Pid) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let has_ended = matches!(waitid(WaitId::Pid(child), options), Ok(Some(_)));
        if !has_ended || tcgetpgrp(io::stdin()) != Ok(child) {
            return;
        }
        let given = Command::new("/proc/self/exe")
            .args(["give-terminal", "--to", &self.home.as_raw_pid().to_string()])
            .process_group(child.as_raw_pid())
            .status();
        if !given.is_ok_and(|status| status.success()) {
            debug!("Could not give the terminal back.");
        }
    }

    /// Stops this process and the others of its group, as Ctrl-Z would have, had they been in the
    /// foreground; goes on, and lets `child` go on, when the shell says so.
    pub(super) fn stop_until_resumed(&self, child: Pid) {
        let _ = kill_current_process_group(Signal::TSTP);
        // The signal need not have arrived when the call returns.
        sleep(SETTLE);
        if tcgetpgrp(io::stdin()) == Ok(self.home) {
            self.pass_to(child);
        } else {
            let _ = kill_process_group(child, Signal::CONT);
        }
    }
}

/// Time for a signal to ourselves to arrive.
const SETTLE: Duration = Duration::from_millis(50);
