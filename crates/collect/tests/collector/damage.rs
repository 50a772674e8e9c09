//! Files that are damaged, healed, replaced and deleted at random while a collector watches.
//!
//! Whatever happens, no counter falls, and who is not damaged is served exactly.

use std::collections::BTreeMap;
use std::fs;

use headcount_format::MetricType;
use headcount_format::record::Family;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::pool::{Pass, Pool};
use crate::python::{PythonFile, gauge, histogram};
use crate::store::{Writer, family};

/// What is done to one file before a pass.
#[derive(Clone, Debug)]
enum Deed {
    /// Its worker counts.
    Count(Index, u16),
    /// Its worker adds a series, if it is a Python client.
    Grow,
    /// One bit of the file turns.
    Flip(Index, u8),
    Truncate(Index),
    /// Other bytes take the place of the file.
    Replace(Vec<u8>),
    Delete,
    /// The file becomes what its worker has written, in place or by another file.
    Heal(bool),
}

/// One file, as its worker has it.
#[derive(Clone, Debug)]
struct Truth {
    name: String,
    /// The value of the label `worker`, far in bits from any other's.
    worker: String,
    bytes: Vec<u8>,
    /// Where the values of its counters stand.
    cells: Vec<usize>,
    is_python: bool,
    /// Whether anything but its worker has touched the file.
    is_damaged: bool,
}

impl Truth {
    fn python(worker: char) -> Truth {
        let worker = worker.to_string().repeat(8);
        let labels = format!(r#"{{"worker": "{worker}"}}"#);
        let file = PythonFile::new()
            .counter("jobs", &labels, 0.0)
            .counter("shared", "{}", 0.0);
        Truth {
            name: format!("counter_{worker}.db"),
            worker,
            cells: file.places.clone(),
            bytes: file.on_disk(),
            is_python: true,
            is_damaged: false,
        }
    }

    fn store(pool: &Pool, worker: char) -> Truth {
        let worker = worker.to_string().repeat(8);
        let mut writer = Writer::new(&pool.directory, 5);
        let jobs = writer.family(Family {
            label_names: vec!["worker".into()],
            ..family(MetricType::Counter, "jobs")
        });
        let shared = writer.family(family(MetricType::Counter, "shared"));
        let places = [
            writer.series(jobs, &[&worker], 0),
            writer.series(shared, &[], 0),
        ];
        let name = writer.file_name();
        // From here on it is bytes: a file that is mapped must not be truncated.
        drop(writer);
        Truth {
            bytes: fs::read(pool.directory.join(&name)).expect("it was just written"),
            name,
            worker,
            cells: places.map(|place| place.offset as usize).to_vec(),
            is_python: false,
            is_damaged: false,
        }
    }

    fn value(&self, cell: usize) -> f64 {
        let bytes = self.bytes[self.cells[cell]..].first_chunk();
        f64::from_le_bytes(*bytes.expect("a cell has eight bytes"))
    }

    fn jobs(&self) -> String {
        format!("jobs_total{{worker=\"{}\"}}", self.worker)
    }

    /// The worker's own deeds reach the file only as long as it is its worker's.
    fn publish(&self, pool: &Pool) {
        if !self.is_damaged {
            pool.directory.write(&self.name, &self.bytes);
        }
    }

    fn suffer(&mut self, deed: &Deed, pool: &Pool) {
        let path = pool.directory.join(&self.name);
        match deed {
            Deed::Count(cell, amount) => {
                let cell = cell.index(self.cells.len());
                let value = self.value(cell) + f64::from(*amount);
                let place = self.cells[cell];
                self.bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
                self.publish(pool);
            }
            Deed::Grow if self.is_python => {
                let used = u32::from_le_bytes(*self.bytes.first_chunk().expect("a header"));
                let mut file = PythonFile::new();
                file.bytes = self.bytes[..used as usize].to_vec();
                let labels = format!(
                    r#"{{"worker": "{}", "n": "{}"}}"#,
                    self.worker,
                    self.cells.len()
                );
                let file = file.counter("more", &labels, 1.0);
                self.cells.extend(&file.places);
                self.bytes = file.on_disk();
                self.publish(pool);
            }
            Deed::Grow => {}
            Deed::Flip(index, bit) => {
                let Ok(mut bytes) = fs::read(&path) else {
                    return;
                };
                if bytes.is_empty() {
                    return;
                }
                // Where something stands, most of the time.
                let written = bytes
                    .iter()
                    .rposition(|&byte| byte != 0)
                    .map_or(1, |at| at + 8);
                let at = index.index(written.min(bytes.len()));
                bytes[at] ^= 1 << (bit % 8);
                if self.is_plausible(&bytes) {
                    self.is_damaged = true;
                    pool.directory.write(&self.name, &bytes);
                }
            }
            Deed::Truncate(index) => {
                let Ok(metadata) = fs::metadata(&path) else {
                    return;
                };
                self.is_damaged = true;
                let length = index.index(metadata.len() as usize + 1);
                pool.directory.truncate(&self.name, length as u64);
            }
            Deed::Replace(bytes) => {
                self.is_damaged = true;
                pool.directory.replace(&self.name, bytes);
            }
            Deed::Delete => {
                self.is_damaged = true;
                let _ = fs::remove_file(path);
            }
            Deed::Heal(true) => pool.directory.write(&self.name, &self.bytes),
            Deed::Heal(false) => {
                // Another file, whose counts come on top.
                self.is_damaged = true;
                pool.directory.replace(&self.name, &self.bytes);
            }
        }
    }

    /// Whether no counter has become negative or NaN: a test of its own is about those.
    fn is_plausible(&self, bytes: &[u8]) -> bool {
        self.cells.iter().all(|&cell| {
            let value = bytes.get(cell..).and_then(|rest| rest.first_chunk());
            let value = value.map_or(0.0, |value| f64::from_le_bytes(*value));
            !value.is_nan() && value.is_sign_positive()
        })
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (any::<Index>(), any::<u16>()).prop_map(|(cell, amount)| Deed::Count(cell, amount)),
        2 => Just(Deed::Grow),
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, bit)| Deed::Flip(at, bit)),
        2 => any::<Index>().prop_map(Deed::Truncate),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Deed::Replace),
        1 => Just(Deed::Delete),
        3 => any::<bool>().prop_map(Deed::Heal),
    ]
}

/// No counter is below what it was, nor gone.
fn assert_no_fall(pass: &Pass, before: &mut BTreeMap<String, f64>) {
    let now = pass.samples();
    for (sample, old) in before.iter() {
        let new = now.get(sample);
        assert!(
            new.is_some_and(|new| new >= old),
            "{sample}: {old:?}, then {new:?}"
        );
    }
    before.extend(
        now.into_iter()
            .filter(|(sample, _)| sample.contains("_total")),
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // [merge.file.damage] [merge.file.kept] [merge.counter.fall] [merge.departed]
    #[test]
    fn no_counter_falls_and_who_is_not_damaged_is_exact(
        deeds in prop::collection::vec((0..4usize, deed(), any::<bool>()), 1..40),
        descriptors in prop_oneof![Just(128), Just(1)],
    ) {
        let mut pool = Pool::new();
        pool.collector.set_descriptors(descriptors);
        pool.directory.write("gauge_all_1.db", &gauge("level", 1.0, 0.0));
        pool.directory.write("histogram_1.db", &histogram("h", 1.0, &[("+Inf", 1.0)]));
        let mut files = vec![
            Truth::python('A'),
            Truth::python('J'),
            Truth::store(&pool, 'a'),
            Truth::store(&pool, 'v'),
        ];
        for file in &files {
            file.publish(&pool);
        }
        let mut before = BTreeMap::new();
        assert_no_fall(&pool.pass(), &mut before);
        for (file, deed, looks) in deeds {
            files[file].suffer(&deed, &pool);
            if !looks {
                continue;
            }
            let pass = pool.pass();
            assert_no_fall(&pass, &mut before);
            for file in files.iter().filter(|file| !file.is_damaged) {
                prop_assert_eq!(pass.value(&file.jobs()), Some(file.value(0)));
                prop_assert_eq!(pass.state(&file.name), "good");
            }
            prop_assert_eq!(pass.value("level{pid=\"1\"}"), Some(1.0));
            prop_assert_eq!(pass.value("h_count"), Some(1.0));
            if files.iter().all(|file| !file.is_damaged) {
                let shared = files.iter().map(|file| file.value(1)).sum();
                prop_assert_eq!(pass.value("shared_total"), Some(shared));
            }
        }
    }
}
