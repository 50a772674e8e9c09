//! The catalog: what the records of a store add up to.
//!
//! Owns the rules by which one record may follow another (`spec/store.md`, chapters 4 and 5), so
//! that whoever holds a [`Catalog`] need check nothing again. Knows nothing of files or values.

use std::fmt;

use crate::identity::Incarnation;
use crate::layout::{
    CELLS_PER_PAGE, FIRST_SEGMENT_END, MAX_STORE_BYTES, PAGE_BYTES, STAMPED_CELLS, block_kind,
};
use crate::metric::MetricType;
use crate::record::{
    Block, Family, FoldedFile, FoldedStore, Label, Level, Record, RecordError, Root, Series,
};

/// The families, series and blocks of a store.
#[derive(Clone, Debug)]
pub struct Catalog {
    labels: Vec<Label>,
    families: Vec<Family>,
    series: Vec<Series>,
    removed: Vec<bool>,
    blocks: Vec<Block>,
    levels: Vec<Level>,
    folded_stores: Vec<FoldedStore>,
    folded_files: Vec<FoldedFile>,
    root: Option<Root>,
    /// Where the last segment or block ends; the next begins here or later.
    end: u64,
    additive_cells: u64,
    registers: u64,
    stamped_registers: u64,
}

/// Why a record cannot follow those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CatalogError {
    /// Its bytes are wrong.
    Record(RecordError),
    /// It contradicts what came before it.
    Contradiction(&'static str),
}

impl fmt::Display for CatalogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogError::Record(error) => error.fmt(formatter),
            CatalogError::Contradiction(what) => formatter.write_str(what),
        }
    }
}

impl std::error::Error for CatalogError {}

impl From<RecordError> for CatalogError {
    fn from(error: RecordError) -> CatalogError {
        CatalogError::Record(error)
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            labels: Vec::new(),
            families: Vec::new(),
            series: Vec::new(),
            removed: Vec::new(),
            blocks: Vec::new(),
            levels: Vec::new(),
            folded_stores: Vec::new(),
            folded_files: Vec::new(),
            root: None,
            end: FIRST_SEGMENT_END,
            additive_cells: 0,
            registers: 0,
            stamped_registers: 0,
        }
    }
}

impl Catalog {
    /// The labels of every series of the store.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The families, in the order of their numbers.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// The series, in the order of their numbers, the removed ones among them.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Whether the series of this number has been removed.
    pub fn is_removed(&self, series: usize) -> bool {
        self.removed.get(series).copied().unwrap_or(false)
    }

    /// The blocks, in the order of their offsets, unknown kinds among them.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// `[ledger.level]`: whose the series of a ledger are that are no totals.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// `[ledger.folded]`: the stores that a ledger holds.
    pub fn folded_stores(&self) -> &[FoldedStore] {
        &self.folded_stores
    }

    /// `[ledger.folded]`: the files of other clients that a ledger holds.
    pub fn folded_files(&self) -> &[FoldedFile] {
        &self.folded_files
    }

    /// `[ledger.root]`: the first generation of a ledger, if it says which.
    pub fn root(&self) -> Option<Incarnation> {
        Some(self.root?.first)
    }

    /// `[ledger.forget]`: when the last file was folded that a ledger does not list any more, in
    /// nanoseconds since 1970; zero where it lists all.
    pub fn forgotten(&self) -> u64 {
        self.root.map_or(0, |root| root.forgotten)
    }

    /// How many additive cells the shared lane has.
    pub fn additive_cells(&self) -> u64 {
        self.additive_cells
    }

    /// Takes in the next record.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] for a record that no writer puts here; the catalog is then as before.
    pub fn apply(&mut self, record: Record) -> Result<(), CatalogError> {
        match record {
            Record::Block(block) => self.add_block(block),
            Record::Family(family) => {
                self.families.push(family);
                Ok(())
            }
            Record::FoldedFiles(files) => {
                self.folded_files.extend(files);
                Ok(())
            }
            Record::FoldedStores(stores) => {
                self.folded_stores.extend(stores);
                Ok(())
            }
            Record::Level(level) if (level.series as usize) < self.series.len() => {
                self.levels.push(level);
                Ok(())
            }
            Record::Level(_) => Err(CatalogError::Contradiction(
                "a level is of a series that never was",
            )),
            Record::Labels(labels) if self.labels.is_empty() && self.series.is_empty() => {
                self.labels = labels;
                Ok(())
            }
            Record::Labels(_) => Err(CatalogError::Contradiction(
                "the labels of all series come twice, or after a series",
            )),
            Record::Removal { series } => {
                let removed = usize::try_from(series)
                    .ok()
                    .and_then(|series| self.removed.get_mut(series))
                    .ok_or(CatalogError::Contradiction("a removed series never was"))?;
                *removed = true;
                Ok(())
            }
            // Every segment has room for the record that names the next.
            Record::Root(root) => {
                self.root = Some(root);
                Ok(())
            }
            Record::Segment { length, .. } if length < 24 || !length.is_multiple_of(8) => {
                Err(CatalogError::Contradiction("a segment is too short"))
            }
            Record::Segment { offset, length } => self.claim(offset, length),
            Record::Series(series) => self.add_series(series),
            // [store.version.add]
            Record::Unknown(_) => Ok(()),
        }
    }

    fn add_series(&mut self, series: Series) -> Result<(), CatalogError> {
        let family = usize::try_from(series.family)
            .ok()
            .and_then(|family| self.families.get(family))
            .ok_or(CatalogError::Contradiction("a series has no family"))?;
        if series.label_values.len() != family.label_names.len() {
            return Err(CatalogError::Contradiction(
                "a series has more or fewer label values than its family has names",
            ));
        }
        let (cells, there) = match cells_of(family) {
            Cells::None => (0, 0),
            Cells::Additive(count) => (count, self.additive_cells),
            Cells::Register => (1, self.registers),
            Cells::Stamped => (1, self.stamped_registers),
        };
        if cells > 0 && u64::from(series.cell) + cells > there {
            return Err(CatalogError::Contradiction(
                "the cells of a series lie in no block",
            ));
        }
        self.series.push(series);
        self.removed.push(false);
        Ok(())
    }

    /// `[store.block.first]`: cells are numbered on and on, without a gap.
    fn add_block(&mut self, block: Block) -> Result<(), CatalogError> {
        let misplaced = CatalogError::Contradiction("a block leaves a gap between its cells");
        let cells = block.length / 8;
        let (next, added) = match (block.kind, block.lane) {
            (block_kind::ADDITIVE, 0) => (&mut self.additive_cells, cells),
            (block_kind::REGISTER, _) => (&mut self.registers, cells),
            (block_kind::STAMPED, _) => (&mut self.stamped_registers, cells / STAMPED_CELLS),
            (block_kind::ADDITIVE, _) => {
                let inside = block
                    .first
                    .checked_add(cells)
                    .is_some_and(|end| end <= self.additive_cells);
                if !inside || !block.first.is_multiple_of(CELLS_PER_PAGE) {
                    return Err(CatalogError::Contradiction(
                        "a lane has cells that the shared lane has not",
                    ));
                }
                return self.claim_block(block);
            }
            _ => return self.claim_block(block),
        };
        if block.first != *next {
            return Err(misplaced);
        }
        let grown = *next + added;
        self.claim_block(block)?;
        match block.kind {
            block_kind::ADDITIVE => self.additive_cells = grown,
            block_kind::REGISTER => self.registers = grown,
            _ => self.stamped_registers = grown,
        }
        Ok(())
    }

    /// `[store.block.pages]`: whole pages.
    fn claim_block(&mut self, block: Block) -> Result<(), CatalogError> {
        if !block.offset.is_multiple_of(PAGE_BYTES)
            || !block.length.is_multiple_of(PAGE_BYTES)
            || block.length == 0
        {
            return Err(CatalogError::Contradiction("a block is not of whole pages"));
        }
        self.claim(block.offset, block.length)?;
        self.blocks.push(block);
        Ok(())
    }

    /// `[store.block.ascending]`: since no two overlap, all of them together are no larger than the
    /// file, whatever it says.
    fn claim(&mut self, offset: u64, length: u64) -> Result<(), CatalogError> {
        let end = offset
            .checked_add(length)
            .filter(|&end| end <= MAX_STORE_BYTES)
            .ok_or(CatalogError::Contradiction("a block lies past the limit"))?;
        if offset < self.end || !offset.is_multiple_of(8) {
            return Err(CatalogError::Contradiction("two blocks overlap"));
        }
        self.end = end;
        Ok(())
    }
}

/// Which cells a series of a family has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cells {
    /// None: the labels say it all.
    None,
    /// So many additive cells in a row.
    Additive(u64),
    /// One register.
    Register,
    /// One stamped register.
    Stamped,
}

/// `[store.cells]`: which cells a series of `family` has.
pub fn cells_of(family: &Family) -> Cells {
    match family.metric_type {
        MetricType::Counter => Cells::Additive(1),
        // The sum, one bucket for each bound, and the bucket above the last.
        MetricType::Histogram => Cells::Additive(family.bounds.len() as u64 + 2),
        // The sum and the count.
        MetricType::Summary => Cells::Additive(2),
        MetricType::Info => Cells::None,
        MetricType::Gauge | MetricType::StateSet if family.mode.is_most_recent() => Cells::Stamped,
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => Cells::Register,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Mode;

    fn family(metric_type: MetricType) -> Record {
        Record::Family(Family {
            metric_type,
            mode: Mode::All,
            name: "f".into(),
            help: "".into(),
            unit: "".into(),
            label_names: vec!["a".into()],
            bounds: Vec::new(),
            states: Vec::new(),
            is_bare: false,
        })
    }

    fn series(cell: u32, label_values: &[&str]) -> Record {
        Record::Series(Series {
            family: 0,
            cell,
            created: 0,
            label_values: label_values.iter().map(|&value| value.into()).collect(),
            extra_labels: Vec::new(),
        })
    }

    fn block(kind: u32, lane: u32, page: u64, first: u64) -> Record {
        Record::Block(Block {
            kind,
            lane,
            offset: page * PAGE_BYTES,
            length: PAGE_BYTES,
            first,
        })
    }

    fn contradiction(outcome: Result<(), CatalogError>) -> &'static str {
        match outcome {
            Err(CatalogError::Contradiction(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    // [store.record.series.cells]
    #[test]
    fn a_series_outside_every_block_is_refused() {
        let mut catalog = Catalog::default();
        catalog.apply(family(MetricType::Counter)).unwrap();
        let outcome = catalog.apply(series(0, &["x"]));
        assert_eq!(
            contradiction(outcome),
            "the cells of a series lie in no block"
        );
        catalog.apply(block(block_kind::ADDITIVE, 0, 2, 0)).unwrap();
        catalog.apply(series(511, &["x"])).unwrap();
        assert!(catalog.apply(series(512, &["x"])).is_err());
        assert!(catalog.apply(series(0, &[])).is_err());
    }

    // [store.block.ascending]
    #[test]
    fn blocks_that_overlap_are_refused() {
        let mut catalog = Catalog::default();
        catalog.apply(block(block_kind::ADDITIVE, 0, 3, 0)).unwrap();
        let outcome = catalog.apply(block(block_kind::REGISTER, 0, 3, 0));
        assert_eq!(contradiction(outcome), "two blocks overlap");
        catalog.apply(block(block_kind::REGISTER, 0, 4, 0)).unwrap();
        let past = Record::Segment {
            offset: MAX_STORE_BYTES,
            length: 64,
        };
        assert_eq!(
            contradiction(catalog.apply(past)),
            "a block lies past the limit"
        );
    }

    // [store.block.lane]
    #[test]
    fn a_lane_has_no_cell_that_the_shared_lane_has_not() {
        let mut catalog = Catalog::default();
        catalog.apply(block(block_kind::ADDITIVE, 0, 2, 0)).unwrap();
        catalog.apply(block(block_kind::ADDITIVE, 1, 3, 0)).unwrap();
        assert!(
            catalog
                .apply(block(block_kind::ADDITIVE, 1, 4, 512))
                .is_err()
        );
        assert!(catalog.apply(block(block_kind::ADDITIVE, 2, 4, 8)).is_err());
    }

    // [store.block.unknown]
    #[test]
    fn an_unknown_block_is_kept_and_changes_nothing() {
        let mut catalog = Catalog::default();
        catalog.apply(block(99, 0, 2, 5)).unwrap();
        assert_eq!(catalog.blocks().len(), 1);
        assert_eq!(catalog.additive_cells(), 0);
    }
}
