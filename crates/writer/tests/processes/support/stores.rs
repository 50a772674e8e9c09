//! The stores of a directory, read as the sidecar reads them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use headcount_format::catalog::{Cells, cells_of};
use headcount_format::layout::{Header, incarnation_of};
use headcount_format::lock::{self, Probe};
use headcount_format::{CellBlock, StoreReader};

/// What a store holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) header: Header,
    pub(crate) refused: u64,
    /// The cells of each series by its name and label values, like `jobs/mail`. A stamped register
    /// has one, or none if it was never set.
    pub(crate) series: BTreeMap<String, Vec<f64>>,
}

impl Contents {
    /// # Panics
    ///
    /// When the store is damaged, or has a series twice.
    pub(crate) fn read(path: &Path) -> Contents {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = StoreReader::open(&file).expect("it begins as a store does");
        reader.refresh(&file).expect("it is whole");
        let catalog = reader.catalog();
        let mut series = BTreeMap::new();
        for (number, record) in catalog.series().iter().enumerate() {
            if catalog.is_removed(number) {
                continue;
            }
            let family = &catalog.families()[record.family as usize];
            let name = [&family.name].into_iter().chain(&record.label_values);
            let name = name.map(|part| &**part).collect::<Vec<_>>().join("/");
            let extra = record.extra_labels.iter();
            let extra = extra.map(|(label, value)| format!("/{label}={value}"));
            let name = extra.fold(name, |name, label| name + &label);
            let cell = u64::from(record.cell);
            let cells = match cells_of(family) {
                Cells::None => Vec::new(),
                Cells::Additive(count) => (cell..cell + count)
                    .map(|cell| value(reader.additive(), cell))
                    .collect(),
                Cells::Register => vec![value(reader.registers(), cell)],
                Cells::Stamped => reader
                    .stamped(record.cell)
                    .map(|(value, _)| value)
                    .into_iter()
                    .collect(),
            };
            let twin = series.insert(name.clone(), cells);
            assert!(twin.is_none(), "{name} is in the store twice");
        }
        Contents {
            header: *reader.header(),
            refused: reader.refused(),
            series,
        }
    }

    /// The only cell of a series.
    pub(crate) fn value(&self, series: &str) -> f64 {
        match self.series.get(series).map(|cells| &cells[..]) {
            Some([cell]) => *cell,
            other => panic!("{series} has {other:?} in {self:?}"),
        }
    }
}

/// Every store of a directory, by its name.
///
/// # Panics
///
/// When there is anything but stores.
pub(crate) fn paths(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory can be listed");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    for path in &paths {
        let name = path.file_name().expect("an entry has a name");
        let incarnation = incarnation_of(name.as_encoded_bytes());
        assert!(incarnation.is_some(), "{} is no store", path.display());
    }
    paths.sort();
    paths
}

/// The only store of a directory.
pub(crate) fn only(directory: &Path) -> PathBuf {
    let [path] = &paths(directory)[..] else {
        panic!("not one store: {:?}", paths(directory))
    };
    path.clone()
}

/// What each store of a directory holds.
pub(crate) fn read_all(directory: &Path) -> Vec<Contents> {
    paths(directory)
        .iter()
        .map(|path| Contents::read(path))
        .collect()
}

/// Whether somebody holds the store.
pub(crate) fn probe(path: &Path) -> Probe {
    let file = File::open(path).expect("the store can be opened");
    lock::probe(&file, Contents::read(path).header.lock)
}

fn value<'a>(mut blocks: impl Iterator<Item = CellBlock<'a>>, cell: u64) -> f64 {
    let found = blocks.find_map(|block| {
        let index = usize::try_from(cell.checked_sub(block.first)?).ok()?;
        block.words.get(index).copied()
    });
    f64::from_bits(u64::from_le(found.expect("a series has its cells")))
}
