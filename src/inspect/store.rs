//! A store as it lies in its file: header, blocks, families, series and cells.
//!
//! Owns the wording, which the vectors of `spec/vectors/store` hold as data: `spec/store.md` says
//! what each of these things is.

use std::fmt::Write;
use std::fs::File;
use std::path::Path;

use headcount_format::catalog::{Catalog, Cells, cells_of};
use headcount_format::layout::{LockKind, Role, block_kind};
use headcount_format::record::{Block, Family, FoldedFile, Label, Series};
use headcount_format::{CellBlock, MetricType, ReadError, StoreReader};

use crate::print::Plain;

/// The annotated text, as far as the file can be read.
pub(super) fn describe(path: &Path) -> Result<Vec<u8>, ReadError> {
    let file = File::open(path)?;
    let mut reader = StoreReader::open(&file)?;
    // What it could not read is told by whoever called; what it could is shown.
    let _outcome = reader.refresh(&file);
    let mut text = String::new();
    describe_reader(&reader, &mut text).expect("a string takes whatever is written to it");
    Ok(text.into_bytes())
}

fn describe_reader(reader: &StoreReader, out: &mut String) -> std::fmt::Result {
    let header = reader.header();
    let catalog = reader.catalog();
    writeln!(out, "store        version 1 (draft)")?;
    writeln!(out, "incarnation  {}", header.incarnation)?;
    writeln!(out, "boot         {}", header.boot)?;
    writeln!(out, "started      {}", seconds(header.started))?;
    writeln!(out, "pid          {}", header.pid)?;
    let role = match header.role {
        Role::Worker => "worker",
        Role::Ledger => "ledger",
    };
    writeln!(out, "role         {role}")?;
    let lock = match header.lock {
        LockKind::Description => "open file description",
        LockKind::Flock => "flock",
        LockKind::Missing => "none",
    };
    writeln!(out, "lock         {lock}")?;
    writeln!(out, "used         {} bytes of catalog", reader.used())?;
    writeln!(out, "refused      {} series", reader.refused())?;
    if let Some(root) = catalog.root() {
        writeln!(out, "root         {root}")?;
        let forgotten = match catalog.forgotten() {
            0 => "all that was folded".to_owned(),
            until => format!("what was folded after {}", seconds(until)),
        };
        writeln!(out, "lists        {forgotten}")?;
    }
    writeln!(out, "labels       {{{}}}", labels(catalog.labels()))?;
    for block in catalog.blocks() {
        describe_block(block, out)?;
    }
    for (number, family) in catalog.families().iter().enumerate() {
        writeln!(out)?;
        describe_family(number, family, out)?;
        for (index, series) in catalog.series().iter().enumerate() {
            if series.family as usize == number {
                describe_series(reader, family, index, series, out)?;
            }
        }
    }
    describe_folded(catalog, out)
}

/// `[ledger.folded]`: what a ledger lists.
fn describe_folded(catalog: &Catalog, out: &mut String) -> std::fmt::Result {
    let (stores, files) = (catalog.folded_stores(), catalog.folded_files());
    if !stores.is_empty() || !files.is_empty() {
        writeln!(out)?;
    }
    for store in stores {
        let (when, started) = (seconds(store.when), seconds(store.started));
        write!(
            out,
            "folded {when}: store {} of pid {}",
            store.incarnation, store.pid
        )?;
        writeln!(out, ", started {started}, {} bytes", store.bytes)?;
    }
    for file in files {
        let (when, born) = (seconds(file.when), seconds(file.born));
        let FoldedFile { inode, bytes, .. } = file;
        let name = Plain(&file.name);
        writeln!(
            out,
            "folded {when}: {name}, inode {inode}, born {born}, {bytes} bytes"
        )?;
    }
    Ok(())
}

fn describe_block(block: &Block, out: &mut String) -> std::fmt::Result {
    let last = block.offset + block.length - 1;
    let kind = match block.kind {
        block_kind::ADDITIVE => "additive cells".to_owned(),
        block_kind::REGISTER => "registers".to_owned(),
        block_kind::STAMPED => "stamped registers".to_owned(),
        other => format!("kind {other}, passed over,"),
    };
    write!(
        out,
        "block        bytes {} to {last}: {kind} ",
        block.offset
    )?;
    writeln!(out, "from {} on, lane {}", block.first, block.lane)
}

fn describe_family(number: usize, family: &Family, out: &mut String) -> std::fmt::Result {
    write!(
        out,
        "family {number}: {} {}",
        family.metric_type,
        Plain(&family.name)
    )?;
    if matches!(family.metric_type, MetricType::Gauge | MetricType::StateSet) {
        write!(out, ", mode {}", family.mode)?;
    }
    if family.is_bare {
        out.push_str(", bare");
    }
    if !family.unit.is_empty() {
        write!(out, ", unit {}", Plain(&family.unit))?;
    }
    writeln!(out, ", help {:?}", family.help)?;
    if !family.states.is_empty() {
        writeln!(out, "    states {:?}", family.states)?;
    }
    Ok(())
}

fn describe_series(
    reader: &StoreReader,
    family: &Family,
    index: usize,
    series: &Series,
    out: &mut String,
) -> std::fmt::Result {
    let names = family.label_names.iter().cloned();
    let own: Vec<Label> = names.zip(series.label_values.iter().cloned()).collect();
    let all = [own, series.extra_labels.clone()].concat();
    write!(out, "  series {index}: {{{}}}", labels(&all))?;
    let mut levels = reader.catalog().levels().iter();
    if let Some(level) = levels.find(|level| level.series as usize == index) {
        let worker = match &*level.pid {
            "" => "of workers that died".to_owned(),
            pid => {
                let (pid, started) = (Plain(pid), seconds(level.started));
                format!("of the worker {pid}, which began {started} and died")
            }
        };
        write!(out, ", {worker} by {}", seconds(level.died))?;
    }
    write!(out, ", created {}", seconds(series.created))?;
    if reader.catalog().is_removed(index) {
        return writeln!(out, ", removed");
    }
    match cells_of(family) {
        Cells::None => writeln!(out),
        Cells::Additive(count) => {
            writeln!(out, ", cell {}", series.cell)?;
            let cells = additive(reader, u64::from(series.cell), count);
            for (name, value) in names_of(family).into_iter().zip(cells) {
                writeln!(out, "    {name} {value:?}")?;
            }
            Ok(())
        }
        Cells::Register => {
            writeln!(out, ", register {}", series.cell)?;
            let value = word(reader.registers(), u64::from(series.cell)).unwrap_or(0.0);
            writeln!(out, "    {}", level(family, value))
        }
        Cells::Stamped => {
            writeln!(out, ", stamped register {}", series.cell)?;
            match reader.stamped(series.cell) {
                Some((value, time)) => writeln!(out, "    {} at {time:?}", level(family, value)),
                None => writeln!(out, "    never set"),
            }
        }
    }
}

/// What each additive cell of a series is.
fn names_of(family: &Family) -> Vec<String> {
    match family.metric_type {
        MetricType::Histogram => {
            let bounds = family.bounds.iter().copied().chain([f64::INFINITY]);
            let buckets = bounds.map(|bound| format!("bucket {bound:?}:"));
            std::iter::once("sum:".to_owned()).chain(buckets).collect()
        }
        MetricType::Summary => vec!["sum:".to_owned(), "count:".to_owned()],
        _ => vec!["total:".to_owned()],
    }
}

fn level(family: &Family, value: f64) -> String {
    let state = family
        .states
        .iter()
        .enumerate()
        .find(|(index, _)| *index as f64 == value);
    match state {
        Some((_, state)) => format!("state: {state:?}"),
        None => format!("value: {value:?}"),
    }
}

/// The cells from `first` on, all lanes added.
fn additive(reader: &StoreReader, first: u64, count: u64) -> Vec<f64> {
    (first..first + count)
        .map(|cell| {
            let lanes = reader
                .additive()
                .filter_map(|block| word([block].into_iter(), cell));
            lanes.sum()
        })
        .collect()
}

fn word<'a>(mut blocks: impl Iterator<Item = CellBlock<'a>>, cell: u64) -> Option<f64> {
    blocks.find_map(|block| {
        let index = usize::try_from(cell.checked_sub(block.first)?).ok()?;
        Some(f64::from_bits(u64::from_le(*block.words.get(index)?)))
    })
}

fn labels(labels: &[Label]) -> String {
    let labels = labels
        .iter()
        .map(|(name, value)| format!("{}={value:?}", Plain(name)));
    labels.collect::<Vec<_>>().join(",")
}

/// Nanoseconds since 1970, in seconds.
fn seconds(nanoseconds: u64) -> String {
    match nanoseconds {
        0 => "unknown".to_owned(),
        _ => format!(
            "{}.{:09}",
            nanoseconds / 1_000_000_000,
            nanoseconds % 1_000_000_000
        ),
    }
}
