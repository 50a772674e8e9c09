//! The processes of the demo's pool.
//!
//! Owns that there are as many as there should be, that one is killed on demand, and that none
//! outlives the demo: each holds one end of a pipe and ends when the other end is gone, even where
//! the demo itself is killed with kill -9.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::directories::VARIABLES;

/// A number of places, each of which is held by a process or waits for its next one.
#[derive(Debug)]
pub(super) struct Workers {
    directory: PathBuf,
    places: Vec<Place>,
    /// The place whose process is killed next.
    next: usize,
}

#[derive(Debug)]
enum Place {
    Held {
        process: Child,
        /// Whether it was killed by us, and so is about to end.
        is_killed: bool,
    },
    Vacant {
        since: Instant,
    },
}

/// What happened to one worker.
#[derive(Debug)]
pub(super) enum Change {
    /// It was killed here.
    Killed { place: usize, pid: u32 },
    /// It ended for a reason of its own.
    Ended { place: usize, pid: u32 },
    /// Another one has taken its place.
    Replaced { place: usize, pid: u32 },
}

impl Workers {
    /// Starts `count` workers that write to `directory`.
    ///
    /// # Errors
    ///
    /// When a process cannot be started.
    pub(super) fn start(directory: &Path, count: usize) -> io::Result<Workers> {
        let mut workers = Workers {
            directory: directory.into(),
            places: Vec::with_capacity(count),
            next: 0,
        };
        for place in 0..count {
            let process = workers.spawn(place)?;
            workers.places.push(Place::Held {
                process,
                is_killed: false,
            });
        }
        Ok(workers)
    }

    /// Kills one worker, another one each time.
    pub(super) fn kill_next(&mut self) {
        if let Some(Place::Held { process, is_killed }) = self.places.get_mut(self.next) {
            // It fails only where the worker has ended already.
            *is_killed = process.kill().is_ok();
        }
        self.next = (self.next + 1) % self.places.len();
    }

    /// Learns who has ended, and fills each place that has been vacant for a while: long enough
    /// for a scrape to see that somebody is missing.
    ///
    /// # Errors
    ///
    /// When a process cannot be started.
    pub(super) fn replace_the_dead(&mut self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for place in 0..self.places.len() {
            match &mut self.places[place] {
                Place::Held { process, is_killed } => {
                    if process.try_wait()?.is_some() {
                        let pid = process.id();
                        changes.push(if *is_killed {
                            Change::Killed { place, pid }
                        } else {
                            Change::Ended { place, pid }
                        });
                        self.places[place] = Place::Vacant {
                            since: Instant::now(),
                        };
                    }
                }
                Place::Vacant { since } => {
                    if since.elapsed() >= VACANCY {
                        let process = self.spawn(place)?;
                        changes.push(Change::Replaced {
                            place,
                            pid: process.id(),
                        });
                        self.places[place] = Place::Held {
                            process,
                            is_killed: false,
                        };
                    }
                }
            }
        }
        Ok(changes)
    }

    fn spawn(&self, place: usize) -> io::Result<Child> {
        // Its file may have been replaced by a new build; then it has no path any more.
        let program = std::env::current_exe().ok().filter(|path| path.exists());
        Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()))
            .arg0("headcount")
            .args(["demo-worker", "--slot", &place.to_string()])
            .env(VARIABLES[0], &self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // Ctrl-C is for the demo, which ends its workers in order.
            .process_group(0)
            .spawn()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let places = self.places.drain(..);
        let mut processes: Vec<Child> = places
            .filter_map(|place| match place {
                Place::Held { process, .. } => Some(process),
                Place::Vacant { .. } => None,
            })
            .collect();
        for process in &mut processes {
            drop(process.stdin.take());
        }
        let deadline = Instant::now() + PATIENCE;
        for mut process in processes {
            while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
                sleep(Duration::from_millis(5));
            }
            // Both fail, or do nothing, where it has ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Change::Killed { place, pid } => format!("worker {place} (pid {pid}) was killed"),
            Change::Ended { place, pid } => format!("worker {place} (pid {pid}) has ended"),
            Change::Replaced { place, pid } => format!("worker {place} is back, as pid {pid}"),
        };
        formatter.pad(&text)
    }
}

/// How long a place stays vacant.
const VACANCY: Duration = Duration::from_secs(2);

/// How long the end waits for all workers together before it kills them.
const PATIENCE: Duration = Duration::from_secs(2);
