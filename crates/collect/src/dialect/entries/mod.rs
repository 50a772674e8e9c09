//! The files of entries that Python's and Ruby's clients write.
//!
//! Owns what they have in common (`spec/dialects.md`, chapters 2 to 5): a count of used bytes, and
//! behind it one entry for each sample: a key, and a value at a place that stays. What a key says is
//! known in the room of each client.

mod client;
mod content;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use headcount_format::layout::MAX_TEXT_BYTES;
use headcount_format::{MetricType, Mode};

use crate::budget::Budget;
use crate::dialect::{Left, Outcome, Shared, Source, Tally, damage, foreign, ladder, size};
use crate::intake::{Asking, DirectoryId, Intake, LeftOut, OriginId, Owner};
use crate::report::{Damage, DamageReason, Dialect, FileState, Worker};
use crate::table::{Bound, Declaration, NO_SLOT, Part, SlotId, Table, is_gauge};
use walk::HEADER_BYTES;

pub(super) use client::{Buckets, Client, FileName, Meaning};
pub(super) use walk::{KeyText, Layout};

/// A file of one worker.
#[derive(Debug)]
pub(super) struct EntryFile {
    name: FileName,
    directory: DirectoryId,
    /// Who writes it; `None` as long as the content does not tell.
    known: Option<Known>,
    /// How many bytes have been parsed, the header among them.
    parsed: usize,
    entries: Vec<Kept>,
    /// Value and time of each entry in the last pass that succeeded.
    values: Vec<(f64, f64)>,
    /// What each cumulative bucket had counted before it began again; empty where there are none.
    carried: Vec<f64>,
    /// The buckets of each histogram, in ascending order, with the entry of each.
    buckets: HashMap<OriginId, Vec<(Bound, usize)>>,
    /// What is wrong with the first of the entries that say nothing, and how many they are.
    senseless: Option<(Damage, usize)>,
    left_out: BTreeMap<Budget, u64>,
    /// Whether what was left out may be let in now.
    is_unsettled: bool,
    /// When the file was last changed by other means than its mapping, as far as its keys have been
    /// compared.
    modified: Option<SystemTime>,
}

/// Who writes a file.
#[derive(Debug)]
struct Known {
    client: &'static dyn Client,
    worker: Worker,
    /// Where what its keys mean is kept.
    space: usize,
}

/// One entry.
#[derive(Debug)]
struct Kept {
    /// Where the value stands, in bytes from the start of the file.
    offset: usize,
    /// `None` for an entry that is left out.
    sample: Option<Arc<Sample>>,
    slot: SlotId,
    /// The budget that has no room for it, if that is why it is left out.
    over: Option<Budget>,
}

/// What one key means.
#[derive(Debug)]
struct Sample {
    origin: OriginId,
    metric_type: MetricType,
    /// `None` for a value that no one needs.
    part: Option<Part>,
}

/// The keys of all files, so that each is parsed once: most workers write the same ones.
#[derive(Debug, Default)]
pub(super) struct Keys {
    spaces: HashMap<Space, usize>,
    samples: Vec<HashMap<Box<[u8]>, Arc<Sample>>>,
}

/// What a key's meaning hangs on beside its text.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Space {
    directory: DirectoryId,
    client: &'static str,
    metric_type: Option<MetricType>,
    mode: Option<Mode>,
    /// Metric and pid, which tell more of a key there; empty where a file has many metrics.
    metric: (Box<str>, Box<str>),
    /// `[rules.type]`: which rules say what a key means that does not say it itself.
    rules: u64,
}

impl EntryFile {
    /// `[python.name]` `[gitlab.name]`: a file of all metrics of one type, by its name without the
    /// suffix.
    pub(super) fn open_typed(stem: &str, directory: DirectoryId) -> Result<EntryFile, Damage> {
        let unknown = || foreign("its name begins with no metric type that a client writes");
        let (prefix, rest) = stem.split_once('_').ok_or_else(unknown)?;
        let (metric_type, mode, ident) = match prefix {
            "counter" => (MetricType::Counter, Mode::All, rest),
            "gauge" => {
                let (mode, ident) = rest.split_once('_').ok_or_else(unknown)?;
                let mode = mode
                    .parse()
                    .map_err(|_| foreign("its name holds no multiprocess mode of a gauge"))?;
                (MetricType::Gauge, mode, ident)
            }
            "histogram" => (MetricType::Histogram, Mode::All, rest),
            "summary" => (MetricType::Summary, Mode::All, rest),
            _ => return Err(unknown()),
        };
        let ident = ident.into();
        let name = FileName::Typed {
            metric_type,
            mode,
            ident,
        };
        Ok(EntryFile::new(name, directory))
    }

    /// `[direct.name]`: a file of one metric, by its name without the suffix.
    pub(super) fn open_metric(stem: &str, directory: DirectoryId) -> Result<EntryFile, Damage> {
        let parts = stem.strip_prefix("metric_");
        let parts = parts.and_then(|rest| rest.rsplit_once("___"));
        let parts = parts.filter(|(metric, pid)| !metric.is_empty() && !pid.is_empty());
        let (metric, pid) = parts.ok_or_else(|| {
            foreign("its name is not `metric_`, a metric's name, three underscores and a pid")
        })?;
        let (metric, pid) = (metric.into(), pid.into());
        Ok(EntryFile::new(FileName::Metric { metric, pid }, directory))
    }

    fn new(name: FileName, directory: DirectoryId) -> EntryFile {
        EntryFile {
            name,
            directory,
            known: None,
            parsed: HEADER_BYTES,
            entries: Vec::new(),
            values: Vec::new(),
            carried: Vec::new(),
            buckets: HashMap::new(),
            senseless: None,
            left_out: BTreeMap::new(),
            is_unsettled: false,
            modified: None,
        }
    }

    /// The slot of a sample in this file.
    fn place(
        &mut self,
        sample: &Sample,
        intake: &mut Intake,
        asking: Asking,
    ) -> Result<SlotId, LeftOut> {
        let Some(part) = sample.part else {
            return Ok(NO_SLOT);
        };
        if is_gauge(sample.metric_type) {
            let known = self.known.as_ref().ok_or(LeftOut::Dropped)?;
            let owner = Owner::Worker(self.directory, &known.worker);
            return Ok(intake.gauge(sample.origin, owner, &[], asking)?[0]);
        }
        if matches!(part, Part::Sum | Part::Whole) {
            intake.created(sample.origin, 0);
        }
        Ok(intake.part(sample.origin, part))
    }

    /// Takes note of what has changed among the entries.
    fn take_stock(&mut self, intake: &mut Intake) {
        let has_all = self.has_all_buckets();
        self.buckets.clear();
        self.left_out.clear();
        for (index, kept) in self.entries.iter().enumerate() {
            if let Some(budget) = kept.over {
                *self.left_out.entry(budget).or_default() += 1;
            }
            if let Some(sample) = &kept.sample
                && let Some(Part::Bucket(bound)) = sample.part
            {
                let buckets = self.buckets.entry(sample.origin).or_default();
                buckets.push((bound, index));
            }
        }
        for (&origin, buckets) in &mut self.buckets {
            buckets.sort_unstable();
            // [direct.buckets]
            let bounds = intake.wanted(origin).buckets.clone();
            let bounds = bounds.iter().flat_map(|bounds| bounds.iter());
            let missing = bounds.filter(|_| !has_all);
            for bound in missing.filter_map(|&bound| Bound::new(bound)) {
                intake.part(origin, Part::Bucket(bound));
            }
        }
        self.note_buckets(intake);
    }

    /// Whether buckets in which nothing is are there, too.
    fn has_all_buckets(&self) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.client.buckets() != Buckets::OwnAndTouched)
    }

    fn has_ladders(&self) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.client.buckets() == Buckets::Cumulative)
    }

    /// What the entry with this index tells, where it is no cumulative bucket.
    fn is_plain(&self, kept: &Kept) -> bool {
        let sample = kept.sample.as_ref();
        let is_bucket =
            || sample.is_some_and(|sample| matches!(sample.part, Some(Part::Bucket(_))));
        !(self.has_ladders() && is_bucket())
    }

    /// `[gitlab.cumulative]`: what each cumulative bucket has by itself, with its entry, where each
    /// has counted what `total` says of the entry with this index.
    fn rungs(&self, total: impl Fn(usize) -> f64 + Copy) -> impl Iterator<Item = (&Kept, f64)> {
        let ladders = self.buckets.values().filter(|_| self.has_ladders());
        ladders.flat_map(move |buckets| {
            let read = buckets
                .iter()
                .filter(|(_, index)| *index < self.values.len());
            let indices = read.map(|(_, index)| *index);
            let totals = indices.clone().map(total);
            let entries = indices.map(|index| &self.entries[index]);
            entries.zip(ladder::own_counts(totals))
        })
    }

    /// What an entry has counted, in the file and before it began again.
    fn total(&self, index: usize) -> f64 {
        self.carried[index] + self.values[index].0
    }
}

impl Source for EntryFile {
    fn dialect(&self) -> Option<Dialect> {
        self.known.as_ref().map(|known| known.client.dialect())
    }

    fn client(&self) -> &'static str {
        self.known.as_ref().map_or("", |known| known.client.name())
    }

    fn worker(&self) -> Option<&Worker> {
        self.known.as_ref().map(|known| &known.worker)
    }

    fn series(&self) -> usize {
        self.entries.len()
    }

    fn left_out(&self) -> &BTreeMap<Budget, u64> {
        &self.left_out
    }

    fn refresh(&mut self, file: &File, shared: &mut Shared) -> Outcome {
        let mut falls = Vec::new();
        let read = self.read(file, shared, &mut falls);
        let is_whole = matches!(read, Ok(true));
        let state = match read {
            Ok(true) => match self.senseless.clone() {
                Some((Damage { reason, detail }, count)) => {
                    let detail = match count {
                        1 => format!("one entry is left out: {detail}"),
                        _ => format!("{count} entries are left out; the first: {detail}"),
                    };
                    FileState::Damaged(damage(reason, detail))
                }
                None => FileState::Good,
            },
            Ok(false) => FileState::Empty,
            Err(damage) => FileState::Damaged(damage),
        };
        Outcome {
            state,
            is_whole,
            bytes: size(file).unwrap_or(0),
            falls,
        }
    }

    fn tell(&self, tally: &mut Tally<'_>) {
        let has_ladders = self.has_ladders();
        for (entry, &(value, time)) in self.entries.iter().zip(&self.values) {
            if !has_ladders || self.is_plain(entry) {
                tally.add(entry.slot, value, time);
            }
        }
        for (entry, count) in self.rungs(|index| self.total(index)) {
            tally.add(entry.slot, count, 0.0);
        }
    }

    fn lasting(&self) -> Vec<Left> {
        let values = self.values.iter().map(|value| value.0);
        let plain = self
            .entries
            .iter()
            .zip(values)
            .filter(|(entry, _)| self.is_plain(entry));
        let all = plain.chain(self.rungs(|index| self.values[index].0));
        all.filter_map(|(entry, value)| left(entry, value))
            .collect()
    }

    fn carried(&self) -> Vec<Left> {
        let all = self.rungs(|index| self.total(index));
        let own = self.rungs(|index| self.values[index].0);
        let more = all
            .zip(own)
            .map(|((entry, all), (_, own))| (entry, all - own));
        // Of two that are infinite, there is no more in the one than in the other.
        let more = more.filter(|(_, more)| *more != 0.0 && !more.is_nan());
        more.filter_map(|(entry, more)| left(entry, more)).collect()
    }

    fn has_live_levels(&self, table: &Table) -> bool {
        let may_have = match self.name {
            FileName::Metric { .. } => true,
            FileName::Typed { metric_type, .. } => is_gauge(metric_type),
        };
        may_have && self.entries.iter().any(|entry| table.is_live(entry.slot))
    }

    fn rebind(&mut self, intake: &mut Intake) {
        let mut entries = std::mem::take(&mut self.entries);
        for entry in entries.iter_mut().filter(|entry| entry.over.is_none()) {
            if let Some(sample) = entry.sample.clone() {
                let place = self.place(&sample, intake, Asking::Again);
                (entry.slot, entry.over) = placed(place);
            }
        }
        self.entries = entries;
        self.take_stock(intake);
    }

    fn release(&mut self, intake: &mut Intake) {
        let Some(known) = &self.known else {
            return;
        };
        // What has no slot has nothing to give back.
        for kept in self.entries.iter().filter(|kept| kept.slot != NO_SLOT) {
            let sample = kept.sample.as_deref();
            if let Some(sample) = sample.filter(|sample| is_gauge(sample.metric_type)) {
                intake.release(sample.origin, Owner::Worker(self.directory, &known.worker));
            }
        }
    }

    fn note_buckets(&self, intake: &mut Intake) {
        if self.has_all_buckets() {
            for (&origin, buckets) in &self.buckets {
                intake.note_buckets(origin, buckets.len());
            }
        }
    }

    fn reconsider(&mut self) {
        self.is_unsettled = true;
    }
}

impl Keys {
    /// The space of the keys of a file.
    fn space(
        &mut self,
        directory: DirectoryId,
        client: &dyn Client,
        name: &FileName,
        rules: u64,
    ) -> usize {
        let client = client.name();
        let space = match name {
            FileName::Metric { metric, pid } => Space {
                directory,
                client,
                metric_type: None,
                mode: None,
                metric: (metric.clone(), pid.clone()),
                rules,
            },
            FileName::Typed {
                metric_type, mode, ..
            } => Space {
                directory,
                client,
                metric_type: Some(*metric_type),
                mode: Some(*mode),
                metric: Default::default(),
                rules: 0,
            },
        };
        let samples = &mut self.samples;
        *self.spaces.entry(space).or_insert_with(|| {
            samples.push(HashMap::new());
            samples.len() - 1
        })
    }
}

impl Sample {
    fn is_counting(&self) -> bool {
        self.part
            .is_some_and(|part| part.is_counting(self.metric_type))
    }

    /// `[python.key]` `[gitlab.key]` `[direct.key]`: what a key means, as a series of the table.
    fn of(
        client: &dyn Client,
        name: &FileName,
        key: &[u8],
        directory: DirectoryId,
        intake: &mut Intake,
    ) -> Result<Sample, Refused> {
        let meaning = client
            .meaning(name, key, intake.rules())
            .map_err(Refused::Senseless)?;
        // [python.limit]
        let texts = [&meaning.family, &meaning.help];
        if let Some(long) = texts.into_iter().find(|text| text.len() > MAX_TEXT_BYTES) {
            let bytes = long.len();
            let detail = format!("a text has {bytes} bytes, and {MAX_TEXT_BYTES} is the limit");
            return Err(Refused::Senseless(damage(DamageReason::TooLarge, detail)));
        }
        let family = intake.family(&Declaration {
            name: &meaning.family,
            metric_type: meaning.metric_type,
            is_bare: meaning.is_bare,
            help: &meaning.help,
            unit: "",
            mode: meaning.mode,
            states: &[],
        });
        let origin = family.and_then(|family| intake.origin(family, directory, meaning.labels));
        Ok(Sample {
            origin: origin.map_err(Refused::LeftOut)?,
            metric_type: meaning.metric_type,
            part: meaning.part,
        })
    }
}

/// Why a key has no sample.
#[derive(Debug)]
enum Refused {
    LeftOut(LeftOut),
    Senseless(Damage),
}

/// Where a value goes, and the budget that has no room for it.
fn placed(place: Result<SlotId, LeftOut>) -> (SlotId, Option<Budget>) {
    match place {
        Ok(slot) => (slot, None),
        Err(LeftOut::Budget(budget)) => (NO_SLOT, Some(budget)),
        Err(LeftOut::Dropped) => (NO_SLOT, None),
    }
}

/// What an entry leaves, if that lasts.
fn left(entry: &Kept, value: f64) -> Option<Left> {
    let sample = entry.sample.as_ref()?;
    let part = sample.part?;
    part.is_lasting(sample.metric_type).then_some(Left {
        origin: sample.origin,
        part,
        value,
    })
}
