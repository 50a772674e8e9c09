//! Child processes: started in a group of their own, listened to, and gone when dropped.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{WATCHDOG, eventually};

/// A running child. When dropped, it and all its descendants are killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    pub(crate) stdout: Arc<Capture>,
    pub(crate) stderr: Arc<Capture>,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` to its end.
pub(crate) fn run(command: Command) -> Finished {
    run_with_input(command, b"")
}

/// Runs `command` to its end, with `input` on its standard input.
pub(crate) fn run_with_input(command: Command, input: &[u8]) -> Finished {
    let mut process = Process::start(command);
    let mut stdin = process.child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // A child that ends early closes the pipe; what it makes of that shows in its status.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let finished = process.wait();
    feeder.join().expect("the feeder does not panic");
    finished
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Process {
        let name = format!("{command:?}");
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {name}: {error}"));
        let stdout = Capture::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Capture::of(child.stderr.take().expect("stderr is piped"));
        Process {
            child,
            name,
            stdout,
            stderr,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    /// Waits until it ends by itself, and leaves its descendants alone.
    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, || {
            self.child.try_wait().expect("a child can be waited for")
        })
    }

    /// Waits until it ends by itself. Standard input stays open meanwhile.
    pub(crate) fn wait(&mut self) -> Finished {
        let status = self.exit_status();
        // Descendants that outlive the child would keep the pipes open; they get no say.
        self.kill_all();
        Finished {
            status,
            stdout: self.stdout.wait(),
            stderr: self.stderr.wait(),
        }
    }

    /// Waits for a line on standard error.
    pub(crate) fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.wait_for_line(what, wanted)
    }

    /// Closes standard input and waits.
    pub(crate) fn finish(&mut self) -> Finished {
        self.child.stdin.take();
        self.wait()
    }

    fn kill_all(&self) {
        let descendants = descendants(self.pid());
        if let Some(group) = Pid::from_raw(self.pid().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        for pid in descendants {
            kill(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_all();
        let _ = self.child.wait();
        if thread::panicking() {
            let (stdout, stderr) = (self.stdout.tail(), self.stderr.tail());
            // The test's own output is the only place where the story of its failure can stand.
            #[expect(
                clippy::print_stderr,
                reason = "a failing test shows what its children said"
            )]
            {
                eprintln!(
                    "{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---",
                    self.name
                );
            }
        }
    }
}

/// What a child has said so far.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    state: Mutex<Captured>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    ended: bool,
}

impl Capture {
    fn of(mut source: impl Read + Send + 'static) -> Arc<Capture> {
        let capture = Arc::new(Capture::default());
        let writer = Arc::clone(&capture);
        thread::spawn(move || {
            let mut chunk = [0; 1 << 16];
            loop {
                let length = source.read(&mut chunk).unwrap_or(0);
                let mut captured = writer.lock();
                captured.bytes.extend_from_slice(&chunk[..length]);
                captured.ended = length == 0 || captured.bytes.len() > LIMIT_BYTES;
                writer.changed.notify_all();
                if captured.ended {
                    return;
                }
            }
        });
        capture
    }

    /// All of it so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// All of it, once the source has ended.
    fn wait(&self) -> String {
        let captured = self.lock();
        let (captured, timeout) = self
            .changed
            .wait_timeout_while(captured, WATCHDOG, |captured| !captured.ended)
            .expect("the reader does not panic");
        assert!(
            !timeout.timed_out(),
            "a pipe stayed open after its process had ended"
        );
        String::from_utf8_lossy(&captured.bytes).into_owned()
    }

    /// The first whole line that is `wanted`, said already or still to come.
    ///
    /// # Panics
    ///
    /// When the source ends, or the watchdog runs out, before there is one.
    pub(crate) fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + WATCHDOG;
        let mut seen = 0;
        let mut captured = self.lock();
        loop {
            while let Some(length) = captured.bytes[seen..]
                .iter()
                .position(|&byte| byte == b'\n')
            {
                let line = String::from_utf8_lossy(&captured.bytes[seen..seen + length]);
                if wanted(&line) {
                    return line.into_owned();
                }
                seen += length + 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if captured.ended || left.is_zero() {
                let said = String::from_utf8_lossy(&captured.bytes).into_owned();
                drop(captured);
                panic!("no line with {what} in:\n{said}");
            }
            captured = self
                .changed
                .wait_timeout(captured, left)
                .expect("no panic in the reader")
                .0;
        }
    }

    fn tail(&self) -> String {
        let text = self.text();
        let start = text.len().saturating_sub(8192);
        text.get(start..).unwrap_or(&text).to_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Captured> {
        self.state.lock().expect("the reader does not panic")
    }
}

/// The children of `pid`, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() {
        let children = children(found[next]);
        found.extend(children);
        next += 1;
    }
    found
}

/// The processes that `pid` has started and not yet waited for.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .map(str::parse)
                .collect::<Vec<_>>()
        })
        .map(|child| child.expect("the kernel lists pids"))
        .collect()
}

/// Whether there is such a process, other than as a zombie.
pub(crate) fn exists(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// Sends a signal; a process that is already gone is fine.
pub(crate) fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// More than any child of ours has to say.
const LIMIT_BYTES: usize = 256 << 20;
