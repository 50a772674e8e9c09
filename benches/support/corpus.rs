//! A corpus: the same values in the files of the real prometheus_client and in stores of our own.
//!
//! Owns who writes what and the peer's scraper. benches/corpus.py says what a corpus holds. Each of
//! our workers is a process of its own, which stays alive as the worker of a pool does: this very
//! program, started again with [`WORKER`] as its first argument.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs, io};

use headcount_writer::{Counter, Family, Gauge, Histogram, Mode, RegisterError, Registry, Summary};
use serde_json::Value;

use crate::support::Scratch;

/// What goes wrong before anything can be measured.
pub(crate) type Trouble = Box<dyn Error>;

/// The first argument of a process that is to be one of our workers.
pub(crate) const WORKER: &str = "--worker";

/// How many workers, and how many values each of them keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) workers: usize,
    pub(crate) values: usize,
}

/// Both sets of files, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// What prometheus_client has written.
    pub(crate) python: Scratch,
    /// What our workers have written, and hold open.
    pub(crate) stores: Scratch,
    _workers: Vec<Worker>,
}

impl Corpus {
    /// Puts both sets of files side by side, the peer's made once and kept for the next run.
    pub(crate) fn new(size: Size, python: &Path) -> Result<Corpus, Trouble> {
        let made = make(size, python)?;
        let corpus = Corpus {
            python: Scratch::new(),
            stores: Scratch::new(),
            _workers: Vec::new(),
        };
        for entry in fs::read_dir(made.join("python"))? {
            let entry = entry?;
            fs::copy(entry.path(), corpus.python.path().join(entry.file_name()))?;
        }
        let mut workers = Vec::new();
        for worker in 0..size.workers {
            let counted = made.join(format!("worker-{worker:03}.json"));
            workers.push(Worker::start(corpus.stores.path(), &counted)?);
        }
        Ok(Corpus {
            _workers: workers,
            ..corpus
        })
    }
}

/// The directory of the peer's files, which are made anew if corpus.py has changed.
fn make(size: Size, python: &Path) -> Result<PathBuf, Trouble> {
    let script = include_str!("../corpus.py");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().ok_or("the target directory has a parent")?;
    let Size { workers, values } = size;
    let made = target.join(format!("bench-corpus/{workers}x{values}"));
    let stamp = made.join("made-by.py");
    if fs::read_to_string(&stamp).is_ok_and(|made_by| made_by == script) {
        return Ok(made);
    }
    if made.exists() {
        fs::remove_dir_all(&made)?;
    }
    let status = Command::new(python)
        .arg(script_path())
        .arg("write")
        .arg(&made)
        .args([workers.to_string(), values.to_string()])
        .status()?;
    if !status.success() {
        return Err(format!("corpus.py ended with {status}").into());
    }
    // Last of all, so that a corpus that is not whole has none.
    fs::write(stamp, script)?;
    Ok(made)
}

/// The Python that has the peer.
pub(crate) fn interpreter() -> Result<PathBuf, Trouble> {
    let named = env::var_os("HEADCOUNT_PYTHON").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = named.unwrap_or_else(|| workspace.join("target/peers/bin/python"));
    if python.exists() {
        return Ok(python);
    }
    let python = python.display();
    let advice = "run tests/run, which installs it, or set HEADCOUNT_PYTHON";
    Err(format!("{python}, the Python with prometheus_client, is missing: {advice}").into())
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/corpus.py")
}

/// A process of ours that has counted, and lives until this is dropped.
#[derive(Debug)]
struct Worker(Child);

impl Worker {
    fn start(directory: &Path, counted: &Path) -> Result<Worker, Trouble> {
        let child = Command::new(env::current_exe()?)
            .arg(WORKER)
            .args([directory, counted])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut worker = Worker(child);
        let mut ready = [0];
        let stdout = worker.0.stdout.as_mut().ok_or("it was piped")?;
        stdout.read_exact(&mut ready)?;
        Ok(worker)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The life of one worker: counts what the file says, and then waits for the end of its input.
pub(crate) fn work(directory: &str, counted: &str) -> Result<(), Trouble> {
    let registry = Registry::open(directory)?;
    let counted: Value = serde_json::from_slice(&fs::read(counted)?)?;
    let families = list(&counted["families"]);
    let families: Vec<Metric> = families
        .iter()
        .map(|family| Metric::register(&registry, family))
        .collect::<Result<_, _>>()?;
    for series in list(&counted["series"]) {
        let number = series[0].as_u64().ok_or("a series has a family")?;
        let labels: Vec<&str> = list(&series[1]).iter().map(text).collect();
        let values = list(&series[2]).iter().filter_map(Value::as_f64);
        families[usize::try_from(number)?].count(&labels, values);
    }
    if let Some(trouble) = registry.trouble() {
        return Err(trouble.into());
    }
    let mut stdout = io::stdout();
    stdout.write_all(b".")?;
    stdout.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A family of one of the shapes that corpus.py has.
enum Metric {
    Counter(Family<Counter, 3>),
    Gauge(Family<Gauge, 2>),
    Histogram(Family<Histogram, 2>),
    Summary(Family<Summary, 2>),
}

impl Metric {
    fn register(registry: &Registry, family: &Value) -> Result<Metric, RegisterError> {
        let (name, help) = (text(&family["name"]), text(&family["help"]));
        let labels: Vec<&str> = list(&family["labels"]).iter().map(text).collect();
        Ok(match text(&family["type"]) {
            "counter" => Metric::Counter(
                registry
                    .counter(name, help)
                    .register_family(array(&labels))?,
            ),
            "gauge" => {
                let mode: Mode = text(&family["mode"]).parse().expect("a mode of the peer's");
                let gauge = registry.gauge(name, help).mode(mode);
                Metric::Gauge(gauge.register_family(array(&labels))?)
            }
            "histogram" => Metric::Histogram(
                registry
                    .histogram(name, help)
                    .register_family(array(&labels))?,
            ),
            _ => Metric::Summary(
                registry
                    .summary(name, help)
                    .register_family(array(&labels))?,
            ),
        })
    }

    fn count(&self, labels: &[&str], values: impl Iterator<Item = f64>) {
        match self {
            Metric::Counter(family) => {
                let counter = family.with(array(labels));
                values.for_each(|value| counter.inc_by(value));
            }
            Metric::Gauge(family) => {
                let gauge = family.with(array(labels));
                values.for_each(|value| gauge.set(value));
            }
            Metric::Histogram(family) => {
                let histogram = family.with(array(labels));
                values.for_each(|value| histogram.observe(value));
            }
            Metric::Summary(family) => {
                let summary = family.with(array(labels));
                values.for_each(|value| summary.observe(value));
            }
        }
    }
}

fn array<'a, const N: usize>(labels: &[&'a str]) -> [&'a str; N] {
    labels.try_into().expect("as many labels as corpus.py says")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A process of the peer's that scrapes when it is asked to.
#[derive(Debug)]
pub(crate) struct PeerScraper {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What one scrape of the peer's took and yielded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerScrape {
    pub(crate) cpu_seconds: f64,
    pub(crate) samples: usize,
}

impl PeerScraper {
    pub(crate) fn start(python: &Path, directory: &Path) -> Result<PeerScraper, Trouble> {
        let mut process = Command::new(python)
            .arg(script_path())
            .arg("scrape")
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = process.stdin.take();
        let answers = process.stdout.take().ok_or("it was piped")?;
        Ok(PeerScraper {
            process,
            requests,
            answers: BufReader::new(answers),
        })
    }

    pub(crate) fn scrape(&mut self) -> Result<PeerScrape, Trouble> {
        let requests = self.requests.as_mut().ok_or("it was piped")?;
        requests.write_all(b"\n")?;
        requests.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        let samples = answer["samples"].as_u64().ok_or("a count of samples")?;
        Ok(PeerScrape {
            cpu_seconds: answer["seconds"].as_f64().ok_or("a time")?,
            samples: usize::try_from(samples)?,
        })
    }
}

impl Drop for PeerScraper {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.process.wait();
    }
}
