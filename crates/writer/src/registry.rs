//! The registry: where a worker's metrics are registered and where they go.
//!
//! Owns how a registry is opened and which names it has given away.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headcount_format::record::Label;
use headcount_format::{MetricType, PerProcess, PushList, tell};

use crate::core::Core;
use crate::counter::Counter;
use crate::describe::Describe;
use crate::error::OpenError;
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::info::Info;
use crate::state_set::StateSet;
use crate::summary::Summary;
use crate::validate;

/// The variables that name the directory, the first that is set and not empty.
const VARIABLES: [&str; 2] = ["HEADCOUNT_DIR", "PROMETHEUS_MULTIPROC_DIR"];

/// The metrics of one worker. Clones share everything.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) core: Arc<Core>,
}

/// How a registry is to be opened.
#[derive(Clone, Debug, Default)]
pub struct RegistryBuilder {
    labels: Vec<Label>,
}

impl Registry {
    /// A registry whose store lies in the directory that the environment names: `HEADCOUNT_DIR`, or
    /// else `PROMETHEUS_MULTIPROC_DIR`.
    ///
    /// Where neither is set it counts in private memory, readable in process, and says so once on
    /// standard error.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the directory that is named is not there.
    pub fn from_env() -> Result<Registry, OpenError> {
        Registry::builder().from_env()
    }

    /// A registry whose store lies in `directory`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the directory is not there.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Registry, OpenError> {
        Registry::builder().open(directory)
    }

    /// A registry that counts in private memory alone, for tests and for workers without a pool.
    ///
    /// # Panics
    ///
    /// When the operating system has no memory to give.
    pub fn private() -> Registry {
        let registry = Registry::builder().build(None);
        registry.expect("a page of memory and no label is all that it takes")
    }

    /// A registry with labels that all its series have.
    ///
    /// ```
    /// use headcount_writer::Registry;
    ///
    /// let directory = std::env::temp_dir();
    /// let registry = Registry::builder().label("service", "api").open(directory)?;
    /// # Ok::<(), headcount_writer::OpenError>(())
    /// ```
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Describes a counter, which only grows.
    ///
    /// The name may end in `_total` or not; its sample always does.
    pub fn counter(&self, name: &str, help: &str) -> Describe<'_, Counter> {
        Describe::new(self, MetricType::Counter, name, help)
    }

    /// Describes a gauge, which goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> Describe<'_, Gauge> {
        Describe::new(self, MetricType::Gauge, name, help)
    }

    /// Describes a histogram, with client_python's default buckets unless others are given.
    pub fn histogram(&self, name: &str, help: &str) -> Describe<'_, Histogram> {
        Describe::new(self, MetricType::Histogram, name, help)
    }

    /// Describes an info: labels that tell what the worker is.
    ///
    /// The name may end in `_info` or not; its sample always does.
    pub fn info(&self, name: &str, help: &str) -> Describe<'_, Info> {
        Describe::new(self, MetricType::Info, name, help)
    }

    /// Describes a state set: one of several states, the first of which holds at the start.
    pub fn state_set<'a>(
        &self,
        name: &str,
        help: &str,
        states: impl IntoIterator<Item = &'a str>,
    ) -> Describe<'_, StateSet> {
        let states = states.into_iter().map(Into::into).collect();
        Describe::new(self, MetricType::StateSet, name, help).states(states)
    }

    /// Describes a summary: the count and the sum of what is observed.
    pub fn summary(&self, name: &str, help: &str) -> Describe<'_, Summary> {
        Describe::new(self, MetricType::Summary, name, help)
    }

    /// Why some of what this process counts is not in its store, if that is so: a full disk above
    /// all. It is kept in memory, and moves there
    /// at the next update of something that waits once there is room.
    pub fn trouble(&self) -> Option<String> {
        self.core.lock().trouble().map(str::to_owned)
    }

    /// The directory in which the store lies, or will lie from the first update on; `None` for a
    /// registry that counts in private memory.
    pub fn directory(&self) -> Option<&std::path::Path> {
        self.core.directory.as_deref()
    }
}

impl RegistryBuilder {
    /// Gives every series the label `name`.
    pub fn label(mut self, name: &str, value: &str) -> RegistryBuilder {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// As [`Registry::from_env`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the directory that is named is not there, or a label is not valid.
    pub fn from_env(self) -> Result<Registry, OpenError> {
        let named = VARIABLES.iter().filter_map(std::env::var_os);
        match named.into_iter().find(|directory| !directory.is_empty()) {
            Some(directory) => self.open(directory),
            None => {
                static SAID: AtomicBool = AtomicBool::new(false);
                if !SAID.swap(true, Ordering::Relaxed) {
                    tell(
                        "headcount: neither HEADCOUNT_DIR nor PROMETHEUS_MULTIPROC_DIR is set, so \
                         metrics are counted in this process's memory alone\n",
                    );
                }
                self.build(None)
            }
        }
    }

    /// As [`Registry::open`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the directory is not there, or a label is not valid.
    pub fn open(self, directory: impl Into<PathBuf>) -> Result<Registry, OpenError> {
        let path = directory.into();
        let found = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(std::io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        };
        match found {
            // Absolute, so that a worker may change its working directory.
            Ok(()) => self.build(Some(std::path::absolute(&path).unwrap_or(path))),
            Err(source) => Err(OpenError::Directory { path, source }),
        }
    }

    fn build(self, directory: Option<PathBuf>) -> Result<Registry, OpenError> {
        validate::labels(&self.labels).map_err(OpenError::Label)?;
        let core = Core {
            process: PerProcess::new().map_err(OpenError::Memory)?,
            directory: directory.filter(|_| cfg!(target_os = "linux")),
            labels: self.labels,
            registered: PushList::new(),
        };
        Ok(Registry {
            core: Arc::new(core),
        })
    }
}
