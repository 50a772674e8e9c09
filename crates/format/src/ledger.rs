//! A ledger, as its folder makes it: put together in memory, and written whole.
//!
//! Owns where blocks, lanes and records of a ledger come to lie (`spec/ledger.md`, chapter 1).
//! Knows neither what is folded nor how a file gets its name.

use std::fmt;
use std::io;

use crate::catalog::{Cells, cells_of};
use crate::identity::{BootId, Incarnation};
use crate::layout::{
    CATALOG_OFFSET, CELLS_PER_PAGE, FIRST_SEGMENT_END, Header, LockKind, MAX_STORE_BYTES,
    PAGE_BYTES, Role, USED_OFFSET, block_kind,
};
use crate::record::{Block, Family, FoldedFile, FoldedStore, Level, Record, Root, Series};

/// Bytes of the record that says where the catalog goes on: each segment keeps room for it.
const SEGMENT_RECORD_BYTES: u64 = 24;

/// A ledger that is being put together.
#[derive(Debug)]
pub struct LedgerImage {
    header: Header,
    root: Root,
    families: Vec<Family>,
    series: u32,
    /// Behind the blocks, in their order.
    records: Vec<Vec<u8>>,
    /// By lane, and there by cell.
    lanes: Vec<Vec<f64>>,
    registers: Vec<f64>,
    /// Value and time.
    stamped: Vec<(f64, f64)>,
}

/// The values of a series of a ledger.
#[derive(Clone, Copy, Debug)]
pub enum LedgerValue<'a> {
    /// It has none: an info.
    Labels,
    /// One register.
    Register(f64),
    /// A value, and the time at which it was set, in seconds since 1970.
    Stamped(f64, f64),
    /// Of each additive cell the numbers that add up to it.
    Totals(&'a [Vec<f64>]),
}

/// Why there is no such ledger.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerError {
    /// It would be larger than any store.
    TooLarge {
        /// Bytes that it would have.
        bytes: u64,
    },
}

impl fmt::Display for LedgerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerError::TooLarge { bytes } => write!(
                formatter,
                "the ledger would have {bytes} bytes, and no store has more than \
                 {MAX_STORE_BYTES}: have the workers use fewer series"
            ),
        }
    }
}

impl std::error::Error for LedgerError {}

impl LedgerImage {
    /// An empty ledger of this boot, written at `when`, in nanoseconds since 1970, that follows on
    /// the first generation `root`; `None` for a first one.
    ///
    /// # Errors
    ///
    /// When the operating system has no random bytes for its incarnation.
    pub fn new(boot: BootId, when: u64, root: Option<Incarnation>) -> io::Result<LedgerImage> {
        let header = Header {
            incarnation: Incarnation::random()?,
            boot,
            started: when,
            pid: std::process::id(),
            role: Role::Ledger,
            // Nobody writes it once it has its name.
            lock: LockKind::Missing,
        };
        Ok(LedgerImage {
            root: Root {
                first: root.unwrap_or(header.incarnation),
                forgotten: 0,
            },
            header,
            families: Vec::new(),
            series: 0,
            records: Vec::new(),
            lanes: vec![Vec::new()],
            registers: Vec::new(),
            stamped: Vec::new(),
        })
    }

    /// Adds a family, and yields its number.
    pub fn add_family(&mut self, family: Family) -> u32 {
        self.records.push(Record::Family(family.clone()).encode());
        self.families.push(family);
        self.families.len() as u32 - 1
    }

    /// Adds a series, whose `cell` is set here, and yields its number.
    ///
    /// # Panics
    ///
    /// When there is no such family, or `value` is not of its type.
    pub fn add_series(&mut self, mut series: Series, value: LedgerValue<'_>) -> u32 {
        let family = &self.families[series.family as usize];
        let cell = match (cells_of(family), value) {
            (Cells::None, LedgerValue::Labels) => 0,
            (Cells::Additive(count), LedgerValue::Totals(cells)) => {
                assert_eq!(count, cells.len() as u64, "as many totals as cells");
                self.add_cells(cells)
            }
            (Cells::Register, LedgerValue::Register(value)) => {
                self.registers.push(value);
                self.registers.len() - 1
            }
            (Cells::Stamped, LedgerValue::Stamped(value, time)) => {
                self.stamped.push((value, time));
                self.stamped.len() - 1
            }
            (cells, value) => panic!("{value:?} is no value of {cells:?}"),
        };
        // What is too much for a number of 32 bits is too large for a store long before.
        series.cell = cell as u32;
        self.records.push(Record::Series(series).encode());
        self.series += 1;
        self.series - 1
    }

    /// `[ledger.level]`: says whose the value of a series is.
    pub fn add_level(&mut self, level: Level) {
        self.records.push(Record::Level(level).encode());
    }

    /// `[ledger.folded]`: lists what the ledger holds, but for what was folded up to `forgotten`, in
    /// nanoseconds since 1970, and has been forgotten since; zero where nothing has.
    pub fn set_folded(&mut self, stores: Vec<FoldedStore>, files: Vec<FoldedFile>, forgotten: u64) {
        self.root.forgotten = forgotten;
        if !stores.is_empty() {
            self.records.push(Record::FoldedStores(stores).encode());
        }
        if !files.is_empty() {
            self.records.push(Record::FoldedFiles(files).encode());
        }
    }

    /// `[store.cells.page]`: the cells of a series do not cross from one page to the next if one
    /// would hold them.
    fn add_cells(&mut self, cells: &[Vec<f64>]) -> usize {
        let page = CELLS_PER_PAGE as usize;
        let mut first = self.lanes[0].len();
        if first % page + cells.len() > page {
            first = first.next_multiple_of(page);
        }
        self.lanes[0].resize(first + cells.len(), 0.0);
        for (cell, parts) in (first..).zip(cells) {
            for (lane, &part) in parts.iter().enumerate() {
                if self.lanes.len() <= lane {
                    self.lanes.push(Vec::new());
                }
                let lane = &mut self.lanes[lane];
                if lane.len() <= cell {
                    lane.resize(cell + 1, 0.0);
                }
                lane[cell] = part;
            }
        }
        first
    }

    /// The bytes of the ledger.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let blocks = self.blocks();
        let end = |(block, _): &(Block, Vec<u64>)| block.offset + block.length;
        let mut end = blocks.last().map_or(FIRST_SEGMENT_END, end);
        let block_records = blocks
            .iter()
            .map(|(block, _)| Record::Block(*block).encode());
        let records = block_records.chain([Record::Root(self.root).encode()]);
        let records: Vec<Vec<u8>> = records.chain(self.records.iter().cloned()).collect();

        // [store.catalog.segment]
        let mut catalog = CATALOG_OFFSET;
        let fits = |record: &&Vec<u8>| {
            let fits = catalog + record.len() as u64 + SEGMENT_RECORD_BYTES <= FIRST_SEGMENT_END;
            catalog += record.len() as u64;
            fits
        };
        let (first, rest) = records.split_at(records.iter().take_while(fits).count());
        let mut first = first.concat();
        let rest = rest.concat();
        let second = end;
        if !rest.is_empty() {
            let length = (rest.len() as u64 + SEGMENT_RECORD_BYTES).next_multiple_of(PAGE_BYTES);
            let offset = second;
            first.extend(Record::Segment { offset, length }.encode());
            end += length;
        }
        if end > MAX_STORE_BYTES {
            return Err(LedgerError::TooLarge { bytes: end });
        }

        let mut bytes = vec![0; end as usize];
        let mut put = |offset: u64, part: &[u8]| {
            bytes[offset as usize..][..part.len()].copy_from_slice(part);
        };
        put(0, &self.header.encode());
        let used = (first.len() + rest.len()) as u64;
        put(USED_OFFSET, &used.to_le_bytes());
        put(CATALOG_OFFSET, &first);
        put(second, &rest);
        for (block, words) in &blocks {
            let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            put(block.offset, &words);
        }
        Ok(bytes)
    }

    /// The blocks, and the words that they begin with. A lane has one, from the page of its first
    /// part that is not zero to that of its last.
    fn blocks(&self) -> Vec<(Block, Vec<u64>)> {
        let bits = |values: &[f64]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        let mut all = Vec::new();
        for (lane, cells) in (0..).zip(&self.lanes) {
            let touched = |cell: &f64| *cell != 0.0;
            let first = match (lane, cells.iter().position(touched)) {
                (0, _) => 0,
                (_, None) => continue,
                (_, Some(cell)) => cell - cell % CELLS_PER_PAGE as usize,
            };
            all.push((block_kind::ADDITIVE, lane, first, bits(&cells[first..])));
        }
        all.push((block_kind::REGISTER, 0, 0, bits(&self.registers)));
        // [store.stamped]: the slot of version 1 is the second.
        let register = |&(value, time): &(f64, f64)| [1, 0, 0, value.to_bits(), time.to_bits()];
        let stamped = self.stamped.iter().flat_map(register);
        all.push((block_kind::STAMPED, 0, 0, stamped.collect()));
        let mut offset = FIRST_SEGMENT_END;
        let mut blocks = Vec::new();
        for (kind, lane, first, words) in all {
            if words.is_empty() {
                continue;
            }
            let length = (8 * words.len() as u64).next_multiple_of(PAGE_BYTES);
            let first = first as u64;
            let block = Block {
                kind,
                lane,
                offset,
                length,
                first,
            };
            blocks.push((block, words));
            offset += length;
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::metric::{MetricType, Mode};

    /// Made by another hand, from the specification.
    fn vector() -> Vec<u8> {
        let path = "../../spec/vectors/store/ledger_of_totals_levels_and_lists/file.hex";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let mut bytes = Vec::new();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            if key == "size" {
                bytes.resize(value.trim().parse().unwrap(), 0);
                continue;
            }
            let offset: usize = key.trim().parse().unwrap();
            for (byte, digits) in bytes[offset..].iter_mut().zip(value.split_whitespace()) {
                *byte = u8::from_str_radix(digits, 16).unwrap();
            }
        }
        bytes
    }

    fn family(metric_type: MetricType, name: &str, help: &str) -> Family {
        Family {
            metric_type,
            mode: Mode::All,
            name: name.into(),
            help: help.into(),
            unit: "".into(),
            label_names: Vec::new(),
            bounds: Vec::new(),
            states: Vec::new(),
            is_bare: false,
        }
    }

    fn series(family: u32, created: u64, values: &[&str]) -> Series {
        Series {
            family,
            cell: 0,
            created,
            label_values: values.iter().map(|&value| value.into()).collect(),
            extra_labels: Vec::new(),
        }
    }

    // [ledger.sums] [ledger.bare] [ledger.level] [ledger.folded] [store.record.folded]
    #[test]
    fn a_ledger_is_written_as_its_vector() {
        let created = 1_700_000_001_000_000_000;
        let died = 1_700_000_900_000_000_000;
        let root = Incarnation(std::array::from_fn(|index| 32 + index as u8));
        let mut image = LedgerImage::new(BootId([0; 16]), 0, Some(root)).unwrap();
        image.header = Header {
            incarnation: Incarnation(std::array::from_fn(|index| index as u8)),
            boot: BootId(std::array::from_fn(|index| 0xa0 + index as u8)),
            started: 1_700_000_000_123_456_789,
            pid: 4711,
            role: Role::Ledger,
            lock: LockKind::Missing,
        };
        let mut requests = family(MetricType::Counter, "requests", "Requests answered.");
        requests.label_names = vec!["method".into()];
        let requests = image.add_family(requests);
        let total = [vec![1e16, 1.0]];
        image.add_series(
            series(requests, created, &["GET"]),
            LedgerValue::Totals(&total),
        );
        let mut jobs = family(MetricType::Counter, "jobs", "");
        jobs.is_bare = true;
        let jobs = image.add_family(jobs);
        image.add_series(series(jobs, 0, &[]), LedgerValue::Totals(&[vec![3.0, 0.0]]));
        let mut seconds = family(MetricType::Histogram, "seconds", "Time.");
        seconds.unit = "seconds".into();
        seconds.bounds = vec![0.5];
        let seconds = image.add_family(seconds);
        let cells = [vec![0.25, 0.0], vec![2.0], vec![1.0]];
        image.add_series(series(seconds, created, &[]), LedgerValue::Totals(&cells));
        let level = image.add_family(family(MetricType::Gauge, "level", ""));
        let of = |number, started: u64, pid: &str| Level {
            series: number,
            died,
            started,
            place: None,
            pid: pid.into(),
        };
        let number = image.add_series(series(level, 0, &[]), LedgerValue::Register(5.0));
        image.add_level(of(number, created, "4711"));
        let mut best = family(MetricType::Gauge, "best", "");
        best.mode = Mode::MostRecent;
        let best = image.add_family(best);
        let stamped = LedgerValue::Stamped(2.5, 1_700_000_003.0);
        let number = image.add_series(series(best, 0, &[]), stamped);
        image.add_level(of(number, 0, ""));
        let mut build = family(MetricType::Info, "build", "");
        build.label_names = vec!["version".into()];
        let build = image.add_family(build);
        let number = image.add_series(series(build, 0, &["1.2"]), LedgerValue::Labels);
        image.add_level(of(number, 0, ""));
        let store = FoldedStore {
            incarnation: Incarnation(std::array::from_fn(|index| 16 + index as u8)),
            when: died,
            started: created,
            pid: 4711,
            bytes: 16384,
        };
        let file = FoldedFile {
            inode: 7,
            born: created,
            when: died,
            bytes: 65536,
            name: "counter_4711.db".into(),
        };
        image.set_folded(vec![store], vec![file], died - 1);
        let (written, expected) = (image.encode().unwrap(), vector());
        assert_eq!(written.len(), expected.len());
        let differs = (0..written.len()).find(|&at| written[at] != expected[at]);
        assert_eq!(differs, None, "the first byte that differs");
    }

    // [store.catalog.segment] [store.cells.page]
    #[test]
    fn a_catalog_that_is_too_long_for_the_first_segment_goes_on_behind_the_blocks() {
        let mut image = LedgerImage::new(BootId::default(), 0, None).unwrap();
        let mut requests = family(MetricType::Histogram, "requests", "");
        requests.label_names = vec!["path".into()];
        requests.bounds = (0..298).map(f64::from).collect();
        let requests = image.add_family(requests);
        for number in 0..400 {
            let cells: Vec<Vec<f64>> = (0..300).map(|cell| vec![f64::from(cell), 0.5]).collect();
            let series = series(requests, 0, &[&format!("/{number}")]);
            image.add_series(series, LedgerValue::Totals(&cells));
        }
        let path = std::env::temp_dir().join(format!("headcount-ledger-{}", std::process::id()));
        std::fs::write(&path, image.encode().unwrap()).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let mut reader = crate::StoreReader::open(&file).unwrap();
        reader.refresh(&file).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(reader.catalog().series().len(), 400);
        // Of 300 cells one fits a page of 512.
        let cells: Vec<u32> = reader
            .catalog()
            .series()
            .iter()
            .map(|series| series.cell)
            .collect();
        assert!(cells.iter().all(|cell| cell % 512 == 0), "{cells:?}");
        let sum: f64 = reader
            .additive()
            .flat_map(|block| block.words)
            .map(|word| f64::from_bits(u64::from_le(*word)))
            .sum();
        assert_eq!(sum, 400.0 * (300.0 * 299.0 / 2.0 + 150.0));
    }
}
