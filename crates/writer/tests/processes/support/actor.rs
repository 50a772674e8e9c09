//! Processes that act a part: this very test program, started again, told over its standard input
//! what to do, and heard over its standard output.
//!
//! The root package's tests use this file, too.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, io, thread};

use rustix::process::{Pid, Signal, kill_process_group};

/// A process that acts a part. When dropped, it and all that it forked are killed.
#[derive(Debug)]
pub(crate) struct Actor {
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
    stderr: Option<Receiver<String>>,
}

/// The command that acts `part` through the test `entry`, which calls [`part`]. It sees no
/// directory of ours by accident.
pub(crate) fn program(entry: &str, part: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a running program has a path"));
    command
        .args([entry, "--exact", "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .env_remove("HEADCOUNT_DIR")
        .env_remove("PROMETHEUS_MULTIPROC_DIR");
    command
}

/// The part that this process is to act, if it is an actor.
pub(crate) fn part() -> Option<String> {
    env::var(PART).ok()
}

/// In an actor: what it is told, line by line, until it has heard all.
pub(crate) fn told() -> impl Iterator<Item = String> {
    io::stdin()
        .lines()
        .map(|line| line.expect("what is told is text"))
}

/// In an actor: says one line.
pub(crate) fn say(line: impl Display) {
    // In one piece, and past what captures a test's output. The test harness may have begun a line
    // of its own.
    let line = format!("\n{MARK}{line}\n");
    io::stdout()
        .write_all(line.as_bytes())
        .expect("somebody listens");
}

impl Actor {
    pub(crate) fn start(mut command: Command) -> Actor {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(answer) = line.strip_prefix(MARK) {
                    // Nobody may listen any more.
                    let _ = sender.send(answer.to_owned());
                }
            }
        });
        Actor {
            stdin: child.stdin.take(),
            stderr: child.stderr.take().map(captured),
            child,
            answers,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it one line, and waits for its answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.answer()
    }

    /// Tells it one line.
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it has not been finished");
        writeln!(stdin, "{line}").expect("it listens");
    }

    /// Waits for the next thing that it says.
    pub(crate) fn answer(&mut self) -> String {
        match self.answers.recv_timeout(WATCHDOG) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => panic!("waited in vain for an answer"),
            Err(RecvTimeoutError::Disconnected) => {
                self.kill_all();
                panic!("it ended without an answer:\n{}", self.stderr())
            }
        }
    }

    /// Kills it with SIGKILL, and returns once it is gone. What it forked goes on.
    pub(crate) fn kill(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        self.child.wait().expect("it is a child of ours");
    }

    /// Lets it come to its end, which must be a good one; returns what it said on standard error.
    pub(crate) fn finish(mut self) -> String {
        self.stdin = None;
        // Its standard output ends with it.
        loop {
            match self.answers.recv_timeout(WATCHDOG) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("waited in vain for its end"),
            }
        }
        let status = self.child.wait().expect("it is a child of ours");
        let stderr = self.stderr();
        assert!(status.success(), "{status}:\n{stderr}");
        stderr
    }

    fn kill_all(&mut self) {
        if let Some(group) = Pid::from_raw(self.pid().cast_signed()) {
            // An empty group is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    fn stderr(&mut self) -> String {
        let receiver = self.stderr.take().expect("it is asked for once");
        let captured = receiver.recv_timeout(WATCHDOG);
        captured.expect("standard error ends with the process")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn captured(mut stderr: ChildStderr) -> Receiver<String> {
    let (sender, captured) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    captured
}

/// Names the part.
const PART: &str = "HEADCOUNT_TEST_PART";

/// Tells what an actor says from what the test harness prints around it.
const MARK: &str = "= ";

/// Hangs are failures, slowness is not.
const WATCHDOG: Duration = Duration::from_secs(120);
