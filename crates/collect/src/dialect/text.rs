//! Text files: the Prometheus text format, written by anybody.
//!
//! Owns what such a file is worth beside the files of workers (`spec/dialects.md`, chapter 6): it is
//! written anew as a whole, under the same name. The format itself is known to
//! [`parser`](crate::parser).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use headcount_format::MetricType;

use crate::budget::Budget;
use crate::dialect::{Left, Outcome, Shared, Source, Tally};
use crate::dialect::{damage, ladder, lawful, size, unreadable};
use crate::intake::{Asking, DirectoryId, Intake, LeftOut, OriginId, Owner};
use crate::model::Labels;
use crate::parser::{self, Document, ParsedFamily, ParsedSample};
use crate::report::{Damage, DamageReason, Dialect, FileState, Worker};
use crate::rules::Rules;
use crate::table::{Bound, Declaration, NO_SLOT, Part, SlotId, Table, is_gauge};

/// A text file, and what the files that had its name before have left.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// `[text.source]`: its name without the suffix, where a mode tells workers apart.
    stem: Arc<str>,
    directory: DirectoryId,
    /// What was read last.
    content: Vec<u8>,
    /// Whether `content` is to be parsed although it has not changed.
    is_unsettled: bool,
    /// How often it has been parsed.
    readings: u64,
    cells: Vec<Cell>,
    by_key: HashMap<(OriginId, Part), usize>,
    /// The buckets of each histogram, in ascending order, with the cell of each.
    ladders: BTreeMap<OriginId, Vec<(Bound, usize)>>,
    left_out: BTreeMap<Budget, u64>,
    /// How `content` reads.
    state: FileState,
}

/// One value.
#[derive(Debug)]
struct Cell {
    origin: OriginId,
    part: Part,
    metric_type: MetricType,
    slot: SlotId,
    /// The budget that has no room for it, if that is why it has no slot.
    over: Option<Budget>,
    value: f64,
    /// In seconds since 1970; `None` where `written` stands for it.
    time: Option<f64>,
    /// When the file was written in which it was found last, in seconds since 1970.
    written: f64,
    /// In which reading it was found last.
    reading: u64,
    /// `[text.rewritten]`: what a cumulative bucket had counted before it began again.
    carried: f64,
}

/// A sample, as far as it can be taken in.
struct Reading {
    part: Part,
    labels: Vec<(Box<str>, Box<str>)>,
    value: f64,
    time: Option<f64>,
    line: usize,
}

impl TextFile {
    pub(super) fn new(stem: &str, directory: DirectoryId) -> TextFile {
        TextFile {
            stem: stem.into(),
            directory,
            content: Vec::new(),
            is_unsettled: false,
            readings: 0,
            cells: Vec::new(),
            by_key: HashMap::new(),
            ladders: BTreeMap::new(),
            left_out: BTreeMap::new(),
            state: FileState::Empty,
        }
    }

    fn read(
        &mut self,
        file: &File,
        shared: &mut Shared,
        falls: &mut Vec<Left>,
    ) -> Result<FileState, Damage> {
        let bytes = size(file)?;
        // [text.limit]
        if bytes > LARGEST_BYTES {
            let detail =
                format!("it has {bytes} bytes, and {LARGEST_BYTES} is the limit of a text");
            return Err(damage(DamageReason::TooLarge, detail));
        }
        let metadata = file.metadata().map_err(unreadable)?;
        let content = shared.buffer.read(file, 0, bytes).map_err(unreadable)?;
        // [text.empty]
        if content.is_empty() {
            return Ok(FileState::Empty);
        }
        let since = metadata.modified().ok();
        let since = since.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written = since.map_or(0.0, |since| since.as_secs_f64());
        let is_same = self.content == content;
        if is_same && !self.is_unsettled {
            let last = self.readings;
            for cell in self.cells.iter_mut().filter(|cell| cell.reading == last) {
                cell.written = written;
            }
            return Ok(self.state.clone());
        }
        let is_reload = std::mem::take(&mut self.is_unsettled) && is_same;
        content.clone_into(&mut self.content);
        let document = parser::parse(content);
        let mut fault = fault(&document);
        if let Some(line) = self.take_in(&document, written, &mut shared.intake, falls) {
            // [text.part-twice]
            let detail = format!("line {line} says what another line says, and is left out");
            fault.get_or_insert(damage(DamageReason::Malformed, detail));
        }
        let last = self.readings;
        if is_reload {
            // [rules.type]: what the same text was by other rules it is no more.
            self.forget(|cell| cell.reading + 1 == last, &mut shared.intake);
        }
        if fault.is_none() {
            // [text.unfinished] [text.bad-line]: what cannot be read may be what was there before.
            let is_over = |cell: &Cell| cell.reading != last && !cell.is_lasting();
            self.forget(is_over, &mut shared.intake);
        }
        self.note_buckets(&mut shared.intake);
        self.state = fault.map_or(FileState::Good, FileState::Damaged);
        Ok(self.state.clone())
    }

    /// Takes in what a text says that was `written` then; yields the first line that says what
    /// another says.
    fn take_in(
        &mut self,
        document: &Document,
        written: f64,
        intake: &mut Intake,
        falls: &mut Vec<Left>,
    ) -> Option<usize> {
        self.readings += 1;
        self.left_out.clear();
        let mut twice = None;
        // Metadata alone says nothing of a value.
        let families = document.families.iter();
        for family in families.filter(|family| !family.samples.is_empty()) {
            let found = self.take_in_family(family, written, intake, falls);
            twice = twice.or(found);
        }
        // Says anew where each bucket is.
        self.forget(|_| false, intake);
        twice
    }

    fn take_in_family(
        &mut self,
        family: &ParsedFamily,
        written: f64,
        intake: &mut Intake,
        falls: &mut Vec<Left>,
    ) -> Option<usize> {
        let metric_type = metric_type(family, intake.rules());
        let stem = family.name.strip_suffix("_total");
        let stem = stem.filter(|stem| !stem.is_empty());
        let is_counter = metric_type == MetricType::Counter;
        let declared = intake.family(&Declaration {
            name: stem.filter(|_| is_counter).unwrap_or(&family.name),
            metric_type,
            is_bare: is_counter && stem.is_none(),
            help: &family.help,
            unit: "",
            mode: None,
            states: &[],
        });
        let mut twice = None;
        for reading in readings(metric_type, &family.samples) {
            let labels = Labels::new(reading.labels.iter().cloned());
            let origin = declared.and_then(|family| intake.origin(family, self.directory, labels));
            match origin {
                Ok(origin) => {
                    let index = self.cell(origin, metric_type, reading.part);
                    if self.cells[index].reading == self.readings {
                        twice = twice.or(Some(reading.line));
                        continue;
                    }
                    let cell = &mut self.cells[index];
                    falls.extend(cell.take_in(&reading, written, self.readings));
                    if cell.slot == NO_SLOT {
                        cell.place(&self.stem, intake, Asking::Anew);
                    }
                    if let Some(budget) = cell.over {
                        self.leave_out(LeftOut::Budget(budget));
                    }
                }
                Err(left_out) => self.leave_out(left_out),
            }
        }
        twice
    }

    fn leave_out(&mut self, left_out: LeftOut) {
        if let LeftOut::Budget(budget) = left_out {
            *self.left_out.entry(budget).or_default() += 1;
        }
    }

    /// The cell of a part of a series; a new one has never been read.
    fn cell(&mut self, origin: OriginId, metric_type: MetricType, part: Part) -> usize {
        let cells = &mut self.cells;
        *self.by_key.entry((origin, part)).or_insert_with(|| {
            cells.push(Cell::new(origin, metric_type, part));
            cells.len() - 1
        })
    }

    /// Takes out cells, and says anew where each bucket is.
    fn forget(&mut self, is_over: impl Fn(&Cell) -> bool, intake: &mut Intake) {
        for cell in self.cells.iter().filter(|cell| is_over(cell)) {
            cell.release(&self.stem, intake);
        }
        self.cells.retain(|cell| !is_over(cell));
        let keys = self.cells.iter().map(|cell| (cell.origin, cell.part));
        self.by_key = keys.zip(0..).collect();
        self.ladders.clear();
        for (index, cell) in self.cells.iter().enumerate() {
            if let Part::Bucket(bound) = cell.part {
                let ladder = self.ladders.entry(cell.origin).or_default();
                ladder.push((bound, index));
            }
        }
        for ladder in self.ladders.values_mut() {
            ladder.sort_unstable();
        }
    }

    /// `[text.cumulative]`: what each bucket has by itself, where each has counted what `total` says.
    fn rungs(&self, total: impl Fn(&Cell) -> f64 + Copy) -> impl Iterator<Item = (&Cell, f64)> {
        self.ladders.values().flat_map(move |ladder| {
            let cells = ladder.iter().map(|&(_, index)| &self.cells[index]);
            let totals = cells.clone().map(total);
            cells.zip(ladder::own_counts(totals))
        })
    }

    fn plain(&self) -> impl Iterator<Item = (&Cell, f64)> {
        let is_plain = |cell: &&Cell| !matches!(cell.part, Part::Bucket(_));
        let plain = self.cells.iter().filter(is_plain);
        plain.map(|cell| (cell, cell.value))
    }
}

impl Source for TextFile {
    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Text)
    }

    fn client(&self) -> &'static str {
        "Prometheus text format 0.0.4"
    }

    fn worker(&self) -> Option<&Worker> {
        None
    }

    fn series(&self) -> usize {
        self.cells.len()
    }

    fn left_out(&self) -> &BTreeMap<Budget, u64> {
        &self.left_out
    }

    fn refresh(&mut self, file: &File, shared: &mut Shared) -> Outcome {
        let mut falls = Vec::new();
        let read = self.read(file, shared, &mut falls);
        let state = read.unwrap_or_else(FileState::Damaged);
        Outcome {
            is_whole: matches!(state, FileState::Good),
            state,
            bytes: size(file).unwrap_or(0),
            falls,
        }
    }

    fn tell(&self, tally: &mut Tally<'_>) {
        for (cell, value) in self.plain().chain(self.rungs(Cell::total)) {
            tally.add(cell.slot, value, cell.time.unwrap_or(cell.written));
        }
    }

    fn lasting(&self) -> Vec<Left> {
        let all = self.plain().chain(self.rungs(|cell| cell.value));
        let lasting = all.filter(|(cell, _)| cell.is_lasting());
        lasting.map(|(cell, value)| cell.left(value)).collect()
    }

    fn carried(&self) -> Vec<Left> {
        let all = self.rungs(Cell::total);
        let own = self.rungs(|cell| cell.value);
        let more = all
            .zip(own)
            .map(|((cell, all), (_, own))| (cell, all - own));
        // Of two that are infinite, there is no more in the one than in the other.
        let more = more.filter(|(_, more)| *more != 0.0 && !more.is_nan());
        more.map(|(cell, more)| cell.left(more)).collect()
    }

    fn has_live_levels(&self, _table: &Table) -> bool {
        false
    }

    fn rebind(&mut self, intake: &mut Intake) {
        for cell in self.cells.iter_mut().filter(|cell| cell.over.is_none()) {
            cell.place(&self.stem, intake, Asking::Again);
        }
    }

    fn release(&mut self, intake: &mut Intake) {
        for cell in &self.cells {
            cell.release(&self.stem, intake);
        }
    }

    fn note_buckets(&self, intake: &mut Intake) {
        for (&origin, ladder) in &self.ladders {
            intake.note_buckets(origin, ladder.len());
        }
    }

    fn reconsider(&mut self) {
        self.is_unsettled = true;
    }

    fn goes_on_by_name(&self) -> bool {
        true
    }

    fn sleep(&mut self, intake: &mut Intake) {
        self.content.clear();
        self.forget(|cell| !cell.is_lasting(), intake);
    }

    fn wake(&mut self, name: &OsStr) {
        let stem = Path::new(name).file_stem().unwrap_or(name);
        self.stem = stem.to_string_lossy().into();
    }
}

impl Cell {
    fn new(origin: OriginId, metric_type: MetricType, part: Part) -> Cell {
        Cell {
            origin,
            part,
            metric_type,
            slot: NO_SLOT,
            over: None,
            value: 0.0,
            time: None,
            written: 0.0,
            reading: 0,
            carried: 0.0,
        }
    }

    /// Takes what a line says; yields what the cell had counted where it has begun again.
    fn take_in(&mut self, said: &Reading, written: f64, reading: u64) -> Option<Left> {
        let is_counting = self.part.is_counting(self.metric_type);
        let value = if is_counting {
            lawful(said.value)
        } else {
            said.value
        };
        // [merge.counter.fall]
        let is_fall = is_counting && value < self.value;
        let fallen = match self.part {
            Part::Bucket(_) if is_fall => {
                self.carried += self.value;
                None
            }
            _ => is_fall.then(|| self.left(self.value)),
        };
        (self.value, self.time, self.written) = (value, said.time, written);
        self.reading = reading;
        fallen
    }

    /// What a bucket has counted, in the file and before it began again.
    fn total(&self) -> f64 {
        self.carried + self.value
    }

    fn is_lasting(&self) -> bool {
        self.part.is_lasting(self.metric_type)
    }

    fn place(&mut self, stem: &Arc<str>, intake: &mut Intake, asking: Asking) {
        let slot = match is_gauge(self.metric_type) {
            true => intake
                .gauge(self.origin, Owner::File(stem), &[], asking)
                .map(|slots| slots[0]),
            false => {
                // [merge.created]: a text does not say when.
                intake.created(self.origin, 0);
                Ok(intake.part(self.origin, self.part))
            }
        };
        self.slot = slot.unwrap_or(NO_SLOT);
        self.over = match slot {
            Err(LeftOut::Budget(budget)) => Some(budget),
            _ => None,
        };
    }

    fn release(&self, stem: &Arc<str>, intake: &mut Intake) {
        if is_gauge(self.metric_type) && self.slot != NO_SLOT {
            intake.release(self.origin, Owner::File(stem));
        }
    }

    fn left(&self, value: f64) -> Left {
        Left {
            origin: self.origin,
            part: self.part,
            value,
        }
    }
}

/// `[text.limit]`: bytes; what is parsed takes several times as many.
const LARGEST_BYTES: u64 = 8 << 20;

/// `[rules.type]`: the type of a family; a rule's where the text has none.
fn metric_type(family: &ParsedFamily, rules: &Rules) -> MetricType {
    // A family of several samples cannot be told from its samples.
    let simple = |of: &MetricType| matches!(of, MetricType::Counter | MetricType::Gauge);
    let ruled = || rules.metric_type(&family.name).filter(simple);
    family
        .metric_type
        .or_else(ruled)
        .unwrap_or(MetricType::Unknown)
}

/// The samples of a family, each as a part of its series.
fn readings(metric_type: MetricType, samples: &[ParsedSample]) -> Vec<Reading> {
    let mut readings: Vec<Reading> = Vec::with_capacity(samples.len());
    let mut counts: Vec<Reading> = Vec::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        let (part, is_count) = match metric_type {
            MetricType::Histogram if sample.name.ends_with("_bucket") => {
                let bound = take_number(&mut labels, "le");
                (bound.map(Part::Bucket), false)
            }
            MetricType::Histogram if sample.name.ends_with("_count") => {
                (Some(Part::Bucket(Bound::INFINITE)), true)
            }
            MetricType::Summary if sample.name.ends_with("_count") => (Some(Part::Count), false),
            MetricType::Histogram | MetricType::Summary if sample.name.ends_with("_sum") => {
                (Some(Part::Sum), false)
            }
            MetricType::Summary => {
                let quantile = take_number(&mut labels, "quantile");
                (quantile.map(Part::Quantile), false)
            }
            _ => (Some(Part::Whole), false),
        };
        let Some(part) = part else {
            continue;
        };
        // A label without a value is one that is not there: [merge.labels.empty].
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        let reading = Reading {
            part,
            labels,
            line: sample.line,
            value: sample.value,
            time: sample
                .timestamp
                .map(|milliseconds| milliseconds as f64 / 1e3),
        };
        match is_count {
            true => counts.push(reading),
            false => readings.push(reading),
        }
    }
    // [merge.histogram.inf]: a count is the last bucket, where the text has none.
    let is_last = |reading: &&Reading| reading.part == Part::Bucket(Bound::INFINITE);
    let lasts = readings.iter().filter(is_last);
    let complete: HashSet<_> = lasts.map(|last| last.labels.clone()).collect();
    counts.retain(|count| !complete.contains(&count.labels));
    readings.append(&mut counts);
    readings
}

fn take_number(labels: &mut Vec<(Box<str>, Box<str>)>, name: &str) -> Option<Bound> {
    let position = labels.iter().position(|(known, _)| **known == *name)?;
    let (_, text) = labels.swap_remove(position);
    text.trim().parse().ok().and_then(Bound::new)
}

/// What is wrong with a text, for a person.
fn fault(document: &Document) -> Option<Damage> {
    // [text.bad-line]
    if let Some(first) = document.errors.first.first() {
        let detail = match document.errors.total {
            1 => format!("one line is left out: {first}"),
            total => format!("{total} lines are left out; the first: {first}"),
        };
        return Some(damage(DamageReason::Malformed, detail));
    }
    // [text.unfinished]
    document.is_cut.then(|| {
        let detail = "its last line does not end, so it may be half-written".to_owned();
        damage(DamageReason::TornTail, detail)
    })
}
