//! A directory with a collector that watches it, and what a pass yields, as lines of text.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use headcount_collect::collector::{Collection, Collector};
use headcount_collect::exposition::{Format, encode};
use headcount_collect::report::{FileReport, FileState, Liveness};

/// A directory of its own, removed on drop; in memory where there is such a place.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        let shared_memory = Path::new("/dev/shm");
        match shared_memory.is_dir() {
            true => Directory::within(shared_memory),
            false => Directory::on_disk(),
        }
    }

    pub(crate) fn on_disk() -> Directory {
        Directory::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn within(parent: &Path) -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("headcount-collect-{}-{number}", process::id()));
        // An earlier run that was killed may have had the same pid.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made");
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes into the file that there is, or into a new one, as a worker does.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.join(name))
            .expect("a file can be opened");
        file.seek(SeekFrom::Start(0)).expect("a file has a start");
        file.write_all(bytes).expect("a file can be written");
    }

    /// Puts another file in the place of the one that there is.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) {
        let aside = self.join(".aside");
        fs::write(&aside, bytes).expect("a file can be written");
        fs::rename(&aside, self.join(name)).expect("a file can be renamed");
    }

    pub(crate) fn truncate(&self, name: &str, length: u64) {
        let file = File::options().write(true).open(self.join(name));
        let outcome = file.and_then(|file| file.set_len(length));
        outcome.expect("a file can be truncated");
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.join(name)).expect("a file can be removed");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A directory and the collector that watches it.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) directory: Directory,
    pub(crate) collector: Collector,
}

impl Pool {
    pub(crate) fn new() -> Pool {
        let directory = Directory::new();
        let collector = watch(&directory);
        Pool {
            directory,
            collector,
        }
    }

    pub(crate) fn with(files: &[(&str, Vec<u8>)]) -> Pool {
        let pool = Pool::new();
        for (name, bytes) in files {
            pool.directory.write(name, bytes);
        }
        pool
    }

    /// A pass in which nothing is known of who lives.
    pub(crate) fn pass(&mut self) -> Pass {
        Pass(self.collector.collect(|_| Liveness::Unknown))
    }

    /// A pass in which the worker of each file lives or not, by the file's name.
    pub(crate) fn pass_with(&mut self, liveness: impl Fn(&str) -> Liveness) -> Pass {
        let of = |path: &Path| {
            liveness(
                path.file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or(""),
            )
        };
        Pass(self.collector.collect(|file| of(file.path)))
    }
}

/// A collector that begins anew.
pub(crate) fn watch(directory: &Directory) -> Collector {
    let mut collector = Collector::new();
    collector.add_directory(directory.path());
    collector
}

/// One pass of a collector that begins anew.
pub(crate) fn collect_once(directory: &Directory) -> Pass {
    Pass(watch(directory).collect(|_| Liveness::Unknown))
}

/// What a pass has found.
#[derive(Debug)]
pub(crate) struct Pass(pub(crate) Collection);

impl Pass {
    pub(crate) fn encoded(&self, format: Format) -> String {
        let mut text = Vec::new();
        encode(&self.0.families, format, &mut text);
        String::from_utf8(text).expect("an exposition is UTF-8")
    }

    /// The samples of the text format, without what describes them.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = self.encoded(Format::Text);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(str::to_owned).collect()
    }

    /// Every sample by its name and labels.
    pub(crate) fn samples(&self) -> BTreeMap<String, f64> {
        let lines = self.lines();
        let sample = |line: &String| {
            let (sample, value) = line.rsplit_once(' ')?;
            Some((sample.to_owned(), value.parse().ok()?))
        };
        let samples: BTreeMap<_, _> = lines.iter().filter_map(sample).collect();
        assert_eq!(samples.len(), lines.len(), "{lines:?}");
        samples
    }

    pub(crate) fn value(&self, sample: &str) -> Option<f64> {
        self.samples().get(sample).copied()
    }

    pub(crate) fn file(&self, name: &str) -> &FileReport {
        let is_named = |file: &&FileReport| file.path.ends_with(name);
        let found = self.0.files.iter().find(is_named);
        found.unwrap_or_else(|| panic!("{name} is not in {:?}", self.0.files))
    }

    /// `good`, `empty`, `earlier_boot`, or the reason of the damage.
    pub(crate) fn state(&self, name: &str) -> &'static str {
        match &self.file(name).state {
            FileState::Damaged(damage) => damage.reason.name(),
            state => state.name(),
        }
    }

    pub(crate) fn conflicts(&self) -> Vec<String> {
        self.0.conflicts.iter().map(ToString::to_string).collect()
    }
}
