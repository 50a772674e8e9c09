//! One sidecar over three directories, of Python, Ruby and Rust, and a real Prometheus: it is up at
//! every scrape while files are created, damaged, healed and deleted in all three, and no total
//! falls.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pool::actor::Actor;
use crate::pool::worker;
use crate::support::prometheus::Prometheus;
use crate::support::python::script;
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually, files, workspace};

// [merge.directory.several] [merge.file.damage] [merge.file.kept] [merge.departed] [rules.labels]
#[test]
fn prometheus_finds_three_pools_up_whatever_becomes_of_their_files() {
    let place = TempDir::new();
    let mut applications = ["python", "ruby", "rust"].map(|name| Application::new(&place, name));
    let labels = applications.each_ref().map(|application| {
        let path = application.directory.display();
        format!(
            "  - path: {path}\n    labels: {{app: {}}}\n",
            application.name
        )
    });
    let rules = place.join("rules.yaml");
    fs::write(&rules, format!("directories:\n{}", labels.concat())).expect("it can be written");
    let mut command = headcount("serve");
    command.arg(ANY_PORT).arg("--rules.file").arg(&rules);
    command.args(
        applications
            .each_ref()
            .map(|application| &application.directory),
    );
    let sidecar = Sidecar::start(command);
    let prometheus = Prometheus::scraping_every("500ms", sidecar.address);

    // Two workers each, one of which ends: what it leaves is what is damaged, since no worker
    // survives that the file under its mapping is made shorter.
    for application in &mut applications {
        for _ in 0..2 {
            application.start_worker();
        }
        application.work(7);
    }
    await_totals(&sidecar, &applications);
    let mut left = Vec::new();
    for application in &mut applications {
        left.extend(application.end_worker());
    }
    // A store is folded once its worker has ended, and is nobody's to damage any more.
    left.retain(|path| path.extension().is_none_or(|suffix| suffix != "store"));
    assert!(left.len() >= 4, "{left:?}");
    let left: Vec<(PathBuf, Vec<u8>)> = left
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).expect("a file can be read")))
        .collect();

    for (round, damage) in DAMAGES.into_iter().enumerate() {
        for (path, bytes) in &left {
            damage(path, bytes);
        }
        for application in &mut applications {
            application.plant(round);
            application.work(3);
        }
        await_scrapes(&prometheus);
        await_totals(&sidecar, &applications);
        for (path, bytes) in &left {
            remove(path);
            heal(path, bytes);
        }
        for application in &mut applications {
            application.start_worker();
            application.work(2);
            application.end_worker();
        }
        await_scrapes(&prometheus);
        await_totals(&sidecar, &applications);
    }
    for (path, _) in &left {
        fs::remove_file(path).expect("it is there");
    }
    await_scrapes(&prometheus);
    await_totals(&sidecar, &applications);

    for application in &applications {
        let expected = f64::from(application.counted);
        let name = application.name;
        for sample in [
            format!("jobs_total{{app='{name}'}}"),
            format!("seconds_count{{app='{name}'}}"),
            format!("seconds_bucket{{app='{name}',le='+Inf'}}"),
        ] {
            eventually("Prometheus to see every job", || {
                (prometheus.single(&sample)? == expected).then_some(())
            });
        }
    }
    let scrapes = prometheus.single("count_over_time(up[1h])");
    assert!(scrapes.is_some_and(|scrapes| scrapes > 20.0), "{scrapes:?}");
    assert_eq!(prometheus.single("min_over_time(up[1h])"), Some(1.0));
    for (name, series) in [
        ("jobs_total", 3),
        ("seconds_count", 3),
        ("seconds_bucket", 3 * 4),
        ("own_jobs_total", 1),
        ("sizes_count", 1),
    ] {
        let resets = prometheus.query(&format!("resets({name}[1h])"));
        assert!(resets.len() >= series, "{name}: {resets:?}");
        for (labels, resets) in resets {
            assert_eq!(resets, 0.0, "{name}: {labels:?}");
            let app = labels.get("app").map(String::as_str);
            let is_known = |application: &Application| app == Some(application.name);
            assert!(applications.iter().any(is_known), "{name}: {labels:?}");
        }
    }
}

/// A pool of workers of one language.
struct Application {
    name: &'static str,
    directory: PathBuf,
    workers: Vec<Actor>,
    /// How many jobs all its workers have done.
    counted: u32,
}

impl Application {
    fn new(place: &TempDir, name: &'static str) -> Application {
        let directory = place.join(name);
        fs::create_dir(&directory).expect("a directory can be made");
        Application {
            name,
            directory,
            workers: Vec::new(),
            counted: 0,
        }
    }

    fn start_worker(&mut self) {
        let directory = &self.directory;
        let worker = match self.name {
            "python" => {
                let mut command = script("counting.py");
                command.env("PROMETHEUS_MULTIPROC_DIR", directory);
                Actor::start(command)
            }
            "ruby" => {
                let mut command = Command::new("ruby");
                command.arg(workspace().join("tests/peers/counting.rb"));
                command.env("prometheus_multiproc_dir", directory);
                Actor::start(command)
            }
            _ => worker::start(directory, ""),
        };
        self.workers.push(worker);
    }

    /// Has each worker do so many jobs.
    fn work(&mut self, jobs: u32) {
        for worker in &mut self.workers {
            worker::tell(worker, &format!("work {jobs}"));
            self.counted += jobs;
        }
    }

    /// Kills the worker that was started last; yields the files that it leaves behind and nobody
    /// else has open.
    fn end_worker(&mut self) -> Vec<PathBuf> {
        let before = self.open_files();
        drop(self.workers.pop());
        let after = self.open_files();
        before
            .into_iter()
            .filter(|path| !after.contains(path))
            .collect()
    }

    /// The files that living workers have mapped.
    fn open_files(&self) -> Vec<PathBuf> {
        let maps = self.workers.iter().map(|worker| {
            let path = format!("/proc/{}/maps", worker.pid());
            fs::read_to_string(path).expect("our child can be read")
        });
        let maps: String = maps.collect();
        let mut all = files::named(&self.directory, "");
        all.retain(|path| maps.contains(&*path.to_string_lossy()));
        all
    }

    /// Puts something into the directory that no worker writes.
    fn plant(&self, round: usize) {
        let at = |name: &str| self.directory.join(name);
        match round {
            0 => files::write(&at("counter_666.db"), &files::random_bytes(5000)),
            1 => files::make_pipe(&at("histogram_667.db")),
            2 => symlink("/etc/passwd", at("text.prom")).expect("a link can be made"),
            3 => files::write(&at("metric_c___7.bin"), &[0; 3]),
            4 => fs::create_dir(at("gauge_all_1.db")).expect("a directory can be made"),
            _ => files::write(&at(&format!("{:032x}.store", round)), b"no store"),
        }
    }
}

/// In how many ways what a dead worker has left is damaged, one after the other.
const DAMAGES: [fn(&Path, &[u8]); 6] = [
    |path, bytes| write_over(path, &bytes[..bytes.len() / 2]),
    |path, bytes| write_over(path, &files::random_bytes(bytes.len())),
    |path, _| write_over(path, b""),
    |path, _| {
        remove(path);
        files::make_pipe(path);
    },
    |path, bytes| {
        let mut bytes = bytes.to_vec();
        bytes[..4].copy_from_slice(&0x0fff_fff0_u32.to_le_bytes());
        write_over(path, &bytes);
    },
    |path, _| {
        remove(path);
        fs::create_dir(path).expect("a directory can be made");
    },
];

/// Other bytes for the same file.
fn write_over(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}

/// Makes room for a file that heals; one that is there in some way stays the same file, aside.
fn remove(path: &Path) {
    let metadata = fs::symlink_metadata(path).expect("something is there");
    if metadata.is_file() {
        fs::rename(path, aside(path)).expect("a file can be renamed");
    } else if metadata.is_dir() {
        fs::remove_dir(path).expect("it is empty");
    } else {
        fs::remove_file(path).expect("it is there");
    }
}

/// Brings back the file that was there first, with what it had.
fn heal(path: &Path, bytes: &[u8]) {
    fs::rename(aside(path), path).expect("a file can be renamed");
    write_over(path, bytes);
}

/// A name beside it at which nobody looks.
fn aside(path: &Path) -> PathBuf {
    let name = path
        .file_name()
        .expect("a file has a name")
        .to_string_lossy();
    path.with_file_name(format!(".{name}"))
}

fn await_totals(sidecar: &Sidecar, applications: &[Application]) {
    eventually("the sidecar to serve every job", || {
        let served = sidecar.metrics();
        let is_served = |application: &Application| {
            let sample = format!("jobs_total{{app=\"{}\"}}", application.name);
            served.value(&sample) == Some(f64::from(application.counted))
        };
        applications.iter().all(is_served).then_some(())
    });
}

/// Waits until Prometheus has looked twice more.
fn await_scrapes(prometheus: &Prometheus) {
    let scrapes = || prometheus.single("count_over_time(up[1h])");
    let before = scrapes().unwrap_or(0.0);
    eventually("two more scrapes", || {
        (scrapes()? >= before + 2.0).then_some(())
    });
}
