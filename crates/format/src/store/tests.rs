use super::*;
use crate::metric::{MetricType, Mode};
use crate::reader::StoreReader;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("headcount-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn create(directory: &Directory) -> Store {
    let process = PerProcess::new().unwrap();
    process.get_or_init(|| ());
    let new = NewStore {
        directory: &directory.0,
        labels: &[("service".into(), "api".into())],
        started: 5,
        role: Role::Worker,
    };
    Store::create(&new, &process).unwrap()
}

fn family(metric_type: MetricType, bounds: &[f64]) -> Family {
    Family {
        metric_type,
        mode: Mode::All,
        name: "f".into(),
        help: "Help.".into(),
        unit: "".into(),
        label_names: vec!["l".into()],
        bounds: bounds.to_vec(),
        states: Vec::new(),
        is_bare: false,
    }
}

fn series(family: u32, value: &str) -> Series {
    Series {
        family,
        cell: 0,
        created: 9,
        label_values: vec![value.into()],
        extra_labels: Vec::new(),
    }
}

/// The additive cells by number, all lanes added.
fn additive(reader: &StoreReader) -> Vec<f64> {
    let mut cells = vec![0.0; reader.catalog().additive_cells() as usize];
    for block in reader.additive() {
        for (cell, word) in cells[block.first as usize..].iter_mut().zip(block.words) {
            *cell += f64::from_bits(u64::from_le(*word));
        }
    }
    cells
}

// [store.read] [store.catalog.segment]
#[test]
fn a_store_that_grows_is_read_to_its_end_at_every_step() {
    let directory = Directory::new("grows");
    let mut store = create(&directory);
    let file = File::open(store.path()).unwrap();
    let mut reader = StoreReader::open(&file).unwrap();
    assert_eq!(reader.header(), store.header());
    let counter = family(MetricType::Counter, &[]);
    let histogram = family(MetricType::Histogram, &[0.5, 1.0]);
    assert_eq!(store.add_family(&counter).unwrap(), 0);
    assert_eq!(store.add_family(&histogram).unwrap(), 1);
    for number in 0..3000 {
        let which = number % 2;
        let family = if which == 0 { &counter } else { &histogram };
        let place = store
            .add_series(series(which, &number.to_string()), family)
            .unwrap();
        assert_eq!(place.series, number);
        let cell = &store.memory().cells(place.offset, 1)[0];
        cell.store(f64::from(number).to_bits().to_le(), Ordering::Relaxed);
        if number % 100 == 99 {
            reader.refresh(&file).unwrap();
            assert_eq!(reader.catalog().series().len(), number as usize + 1);
        }
    }
    reader.refresh(&file).unwrap();
    let cells = additive(&reader);
    for (number, series) in reader.catalog().series().iter().enumerate() {
        assert_eq!(&*series.label_values[0], number.to_string());
        assert_eq!(cells[series.cell as usize], number as f64);
    }
    assert_eq!(&*reader.catalog().labels()[0].1, "api");
}

// [store.cells.page]
#[test]
fn no_series_crosses_a_page_that_could_hold_it() {
    let directory = Directory::new("pages");
    let mut store = create(&directory);
    let wide: Vec<f64> = (0..600).map(f64::from).collect();
    for (number, bounds) in [&wide[..100], &wide[..200], &wide, &wide[..300]]
        .iter()
        .enumerate()
    {
        let family = family(MetricType::Histogram, bounds);
        store.add_family(&family).unwrap();
        for _ in 0..7 {
            store
                .add_series(series(number as u32, "x"), &family)
                .unwrap();
        }
    }
    let file = File::open(store.path()).unwrap();
    let mut reader = StoreReader::open(&file).unwrap();
    reader.refresh(&file).unwrap();
    for series in reader.catalog().series() {
        let count = reader.catalog().families()[series.family as usize]
            .bounds
            .len() as u64
            + 2;
        let start = u64::from(series.cell) % CELLS_PER_PAGE;
        assert!(
            start + count <= CELLS_PER_PAGE || start == 0,
            "{start} {count}"
        );
    }
}

// [store.stamped] [store.record.removal] [store.refused]
#[test]
fn stamps_removals_and_refusals_reach_the_reader() {
    let directory = Directory::new("stamps");
    let mut store = create(&directory);
    let mut gauge = family(MetricType::Gauge, &[]);
    gauge.mode = Mode::MostRecent;
    store.add_family(&gauge).unwrap();
    let file = File::open(store.path()).unwrap();
    let mut reader = StoreReader::open(&file).unwrap();
    for number in 0..250 {
        let place = store.add_series(series(0, "x"), &gauge).unwrap();
        let register = store.memory().cells(place.offset, STAMPED_CELLS as usize);
        if number % 2 == 0 {
            publication::stamp(register, f64::from(number), 2.0);
        }
    }
    store.remove_series(4).unwrap();
    store.set_refused(3);
    reader.refresh(&file).unwrap();
    for (number, series) in reader.catalog().series().iter().enumerate() {
        let expected = (number % 2 == 0).then_some((number as f64, 2.0));
        assert_eq!(reader.stamped(series.cell), expected);
        assert_eq!(reader.catalog().is_removed(number), number == 4);
    }
    assert_eq!(reader.refused(), 3);
}

// [store.lock]
#[test]
fn a_store_is_held_from_its_first_day_to_its_last() {
    let directory = Directory::new("held");
    let store = create(&directory);
    let file = File::open(store.path()).unwrap();
    assert_eq!(store.lock(), LockKind::Description);
    assert_eq!(lock::probe(&file, store.lock()), lock::Probe::Held);
    drop(store);
    assert_eq!(lock::probe(&file, LockKind::Description), lock::Probe::Free);
}

// [store.read.size]
#[test]
fn a_truncated_store_keeps_the_values_of_the_last_pass() {
    let directory = Directory::new("truncated");
    let mut store = create(&directory);
    let counter = family(MetricType::Counter, &[]);
    store.add_family(&counter).unwrap();
    let place = store.add_series(series(0, "x"), &counter).unwrap();
    store.memory().cells(place.offset, 1)[0].store(7.0_f64.to_bits().to_le(), Ordering::Relaxed);
    let file = File::open(store.path()).unwrap();
    let mut reader = StoreReader::open(&file).unwrap();
    reader.refresh(&file).unwrap();
    let path = store.path().to_owned();
    drop(store);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(5000)
        .unwrap();
    assert!(reader.refresh(&file).is_err());
    assert_eq!(additive(&reader)[0], 7.0);
}

// [store.block.ascending] [store.catalog.segment]: where the record of a block is the one that needs
// a new segment, the segment must lie before the block, or no reader gets past it.
#[test]
fn a_store_of_any_record_size_is_read_to_its_end() {
    let directory = Directory::new("sizes");
    for size in 0..200 {
        let mut store = create(&directory);
        let bounds: Vec<f64> = (0..12 + size % 5).map(|bound| bound as f64).collect();
        let histogram = family(MetricType::Histogram, &bounds);
        store.add_family(&histogram).unwrap();
        for _ in 0..300 {
            let series = series(0, &"x".repeat(size));
            store.add_series(series, &histogram).unwrap();
        }
        let file = File::open(store.path()).unwrap();
        let mut reader = StoreReader::open(&file).unwrap();
        reader
            .refresh(&file)
            .unwrap_or_else(|error| panic!("labels of {size} bytes: {error}"));
        assert_eq!(reader.catalog().series().len(), 300);
    }
}
