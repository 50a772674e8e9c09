//! Python and what it runs: the corpora of the real prometheus_client, and its strict parser.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::exposition::Exposition;
use super::processes::{Process, run_with_input};
use super::{TempDir, workspace};

/// A directory that living workers of the real client have written.
#[derive(Debug)]
pub(crate) struct Corpus {
    process: Process,
    pub(crate) directory: PathBuf,
    /// What the client's own merge yields; `None` where it cannot read the directory.
    pub(crate) text: Option<String>,
    /// The samples that are sums over files, and what they should be.
    pub(crate) sums: BTreeMap<String, Sum>,
    _own: Option<TempDir>,
}

/// A sum over files, computed apart from any merge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    /// Rounded once.
    pub(crate) value: f64,
    /// By how much a sum that is rounded at each step may be off.
    pub(crate) bound: f64,
}

impl Corpus {
    /// Lets the workers of a corpus write into a directory of their own.
    pub(crate) fn start(name: &str) -> Corpus {
        Corpus::start_seeded(name, 0)
    }

    pub(crate) fn start_seeded(name: &str, seed: u32) -> Corpus {
        let directory = TempDir::new();
        let mut corpus = Corpus::start_in(directory.path(), name, seed);
        corpus._own = Some(directory);
        corpus
    }

    pub(crate) fn start_in(directory: &Path, name: &str, seed: u32) -> Corpus {
        let mut command = script("corpus.py");
        command.arg(directory).args([name, &seed.to_string()]);
        let process = Process::start(command);
        let line = process
            .stdout
            .wait_for_line("a corpus", |line| line.starts_with('{'));
        let mut answer: Value = serde_json::from_str(&line).expect("corpus.py prints JSON");
        let text = match answer["text"].take() {
            Value::String(text) => Some(text),
            _ => None,
        };
        let sums = answer["sums"].as_object().expect("sums are an object");
        let sums = sums
            .iter()
            .map(|(sample, sum)| (sample.clone(), Sum::parse(sum)))
            .collect();
        Corpus {
            process,
            directory: directory.to_owned(),
            text,
            sums,
            _own: None,
        }
    }

    /// What the client's own merge yields.
    pub(crate) fn exposition(&self) -> Exposition {
        Exposition::parse(self.text.as_deref().expect("the peer can read this corpus"))
    }

    /// Lets the workers end in order; their files stay.
    pub(crate) fn end_workers(&mut self) {
        let finished = self.process.finish();
        assert!(finished.status.success(), "{}", finished.stderr);
    }
}

impl Sum {
    fn parse(sum: &Value) -> Sum {
        let value = f64::from_bits(sum["bits"].as_u64().expect("bits are an integer"));
        let terms = sum["terms"].as_f64().expect("terms are a number");
        let magnitude = sum["magnitude"].as_f64().expect("a magnitude is a number");
        Sum {
            value,
            bound: terms * f64::EPSILON * magnitude,
        }
    }
}

/// What the strict OpenMetrics parser of prometheus_client made of a text.
#[derive(Debug)]
pub(crate) struct OpenMetrics {
    pub(crate) samples: BTreeMap<String, f64>,
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) help: BTreeMap<String, String>,
}

/// Parses OpenMetrics strictly.
///
/// # Panics
///
/// With the parser's own words when it refuses the text.
pub(crate) fn parse_openmetrics(text: &str) -> OpenMetrics {
    let finished = run_with_input(script("openmetrics.py"), text.as_bytes());
    assert!(finished.status.success(), "{}\n{text}", finished.stderr);
    let answer: Value = serde_json::from_str(&finished.stdout).expect("openmetrics.py prints JSON");
    let object = |name: &str| {
        answer[name]
            .as_object()
            .expect("an object")
            .clone()
            .into_iter()
    };
    let string = |value: Value| value.as_str().expect("a string").to_owned();
    let number = |value: Value| f64::from_bits(value.as_u64().expect("bits are an integer"));
    OpenMetrics {
        samples: object("samples")
            .map(|(key, value)| (key, number(value)))
            .collect(),
        types: object("types")
            .map(|(key, value)| (key, string(value)))
            .collect(),
        help: object("help")
            .map(|(key, value)| (key, string(value)))
            .collect(),
    }
}

/// A command that runs one of the programs in `tests/peers`.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new(interpreter());
    command
        .arg("-B")
        .arg(workspace().join("tests/peers").join(name));
    command
}

/// The Python that has the peers installed.
pub(crate) fn interpreter() -> PathBuf {
    let python = match env::var_os("HEADCOUNT_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => workspace().join("target/peers/bin/python"),
    };
    assert!(
        python.exists(),
        "no Python with the peers at {}; run tests/run once, which installs them, or set \
         HEADCOUNT_PYTHON to a Python that has tests/peers/requirements.txt",
        python.display(),
    );
    python
}
