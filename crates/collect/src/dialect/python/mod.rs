//! The dialect of prometheus_client 0.18 to 0.26 in multiprocess mode.
//!
//! Owns the bytes that `prometheus_client/mmap_dict.py` and the file names that
//! `prometheus_client/values.py` write (`spec/dialects.md`, chapter 2): a count of used bytes, and
//! behind it one entry for each sample: the length of a key, the key as JSON, spaces up to a
//! multiple of eight, a value and a time.

mod entry;
mod key;

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::SystemTime;

use headcount_format::{MetricType, Mode, PageBuffer};

use crate::dialect::{Outcome, Shared, foreign};
use crate::report::{Damage, DamageReason, FileState, Worker};
use crate::table::{Declaration, NO_SLOT, SeriesId, SlotId, Table};
use entry::{Found, HEADER_BYTES, OLD_VALUE_BYTES, VALUE_BYTES};
use key::Part;

/// Bytes of new entries that are read at first, and doubled as long as they hold entries: a file
/// that only claims to be large, and is a hole, is not read.
const WINDOW: usize = 1 << 20;

/// A file of one worker and one type, or one gauge mode.
#[derive(Debug)]
pub(crate) struct PythonReader {
    metric_type: MetricType,
    mode: Mode,
    worker: Worker,
    /// How many bytes have been parsed, the header among them.
    parsed: usize,
    entries: Vec<Kept>,
    /// Value and time of each entry in the last pass that succeeded.
    values: Vec<(f64, f64)>,
    /// Buckets of each histogram in this file.
    buckets: HashMap<SeriesId, usize>,
    /// What is wrong with the first entry that is left out.
    left_out: Option<Damage>,
    /// When the file was last changed by other means than its mapping, as far as its keys have been
    /// compared.
    modified: Option<SystemTime>,
}

#[derive(Debug)]
struct Kept {
    /// Where the value stands, in bytes from the start of the file.
    offset: usize,
    /// `None` for an entry that is left out.
    sample: Option<Arc<Sample>>,
    slot: SlotId,
}

/// What one key means: the same in every file of a type and mode.
#[derive(Debug)]
pub(crate) struct Sample {
    series: SeriesId,
    part: Part,
}

impl PythonReader {
    /// `[python.name]`: what the file's name says, as far as a file of this dialect has it.
    pub(crate) fn open(name: &str) -> Result<PythonReader, Damage> {
        let stem = name.strip_suffix(".db").unwrap_or(name);
        let unknown = || foreign("its name begins with no metric type of prometheus_client");
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
        Ok(PythonReader {
            metric_type,
            mode,
            worker: Worker {
                id: ident.into(),
                pid: ident.into(),
                started: 0,
            },
            parsed: HEADER_BYTES,
            entries: Vec::new(),
            values: Vec::new(),
            buckets: HashMap::new(),
            left_out: None,
            modified: None,
        })
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(crate) fn series(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn refresh(&mut self, file: &File, shared: &mut Shared) -> Outcome {
        let mut falls = Vec::new();
        let state = match self.read(file, shared, &mut falls) {
            Ok(true) => match self.left_out.clone() {
                Some(damage) => FileState::Damaged(damage),
                None => FileState::Good,
            },
            Ok(false) => FileState::Empty,
            Err(damage) => FileState::Damaged(damage),
        };
        Outcome {
            state,
            bytes: size(file).unwrap_or(0),
            falls,
        }
    }

    pub(crate) fn values(&self, tell: &mut impl FnMut(SlotId, f64, f64)) {
        for (entry, &(value, time)) in self.entries.iter().zip(&self.values) {
            tell(entry.slot, value, time);
        }
    }

    pub(crate) fn rebind(&mut self, table: &mut Table) {
        self.buckets.clear();
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            let sample = entry.sample.as_deref();
            entry.slot = sample.map_or(NO_SLOT, |sample| self.place(sample, table));
        }
        self.entries = entries;
        self.note_buckets(table);
    }

    pub(crate) fn release(&mut self, table: &mut Table) {
        if self.metric_type == MetricType::Gauge {
            for sample in self
                .entries
                .iter()
                .filter_map(|entry| entry.sample.as_deref())
            {
                table.release(sample.series, &self.worker.pid);
            }
        }
    }

    /// Reads the file; `false` where nothing has been written yet.
    fn read(
        &mut self,
        file: &File,
        shared: &mut Shared,
        falls: &mut Vec<(SlotId, f64)>,
    ) -> Result<bool, Damage> {
        let bytes = size(file)?;
        if bytes == 0 {
            return self.emptied("it has been truncated to nothing");
        }
        if bytes < HEADER_BYTES as u64 {
            let detail = format!("it has {bytes} bytes, fewer than its header");
            return Err(damage(DamageReason::Truncated, detail));
        }
        // Large enough for any file, and shared by all of them.
        let mut buffer = std::mem::take(&mut shared.buffer);
        let outcome = self.read_into(&mut buffer, file, shared, falls);
        shared.buffer = buffer;
        outcome
    }

    fn read_into(
        &mut self,
        buffer: &mut PageBuffer,
        file: &File,
        shared: &mut Shared,
        falls: &mut Vec<(SlotId, f64)>,
    ) -> Result<bool, Damage> {
        let used = read_exact(buffer, file, HEADER_BYTES)?.first_chunk();
        let used = used.map_or(0, |used| i32::from_le_bytes(*used));
        // The entries are read after the count, which a worker raises after it has written them:
        // nothing orders the bytes of one read. A worker's own store has no fence, so on a machine
        // that reorders stores the last entries may still be missing, and are tried again.
        fence(Ordering::Acquire);
        if used == 0 {
            return self.emptied("it says that it holds nothing any more");
        }
        let used = usize::try_from(used)
            .ok()
            .filter(|&used| used >= HEADER_BYTES)
            .ok_or_else(|| foreign("it does not begin with a count of used bytes"))?;
        // Asked after the count: a file only grows before its count does.
        let bytes = size(file)?;
        if used as u64 > bytes {
            let detail = format!("it has {bytes} bytes, and says that {used} are in use");
            let reason = match self.entries.is_empty() && used as u64 > bytes + WINDOW as u64 {
                true => DamageReason::Foreign,
                false => DamageReason::Truncated,
            };
            return Err(damage(reason, detail));
        }
        let modified = file
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        let mut end = used.min(self.parsed);
        let mut content = read_exact(buffer, file, end)?;
        self.compare(content, used, modified, shared, falls)?;
        let mut outcome = Ok(self.parsed < used);
        while let Ok(true) = outcome {
            end = used.min((2 * end).max(self.parsed + WINDOW));
            content = read_exact(buffer, file, end)?;
            outcome = self.parse(content, end < used, shared);
        }
        self.modified = modified;
        // What has been parsed is read, whatever follows it.
        self.take_in(content, shared, falls);
        outcome.map(|_| true)
    }

    fn emptied(&self, what: &str) -> Result<bool, Damage> {
        match self.entries.is_empty() {
            true => Ok(false),
            false => Err(damage(DamageReason::Truncated, what.to_owned())),
        }
    }

    /// `[python.overwritten]`: makes sure that the entries stand where they stood. Keys are compared
    /// only if the file was changed by other means than its mapping, which leaves no trace.
    ///
    /// A file of whose entries fewer than half are left, and which is sound, is another one.
    fn compare(
        &mut self,
        known: &[u8],
        used: usize,
        modified: Option<SystemTime>,
        shared: &mut Shared,
        falls: &mut Vec<(SlotId, f64)>,
    ) -> Result<(), Damage> {
        let keys = shared.python_keys.get(&(self.metric_type, self.mode));
        let keys = keys.filter(|_| self.modified != modified);
        let mut position = HEADER_BYTES;
        let mut standing = 0;
        for kept in &self.entries {
            let stands = match keys {
                None => entry::value_offset(known, position) == Some(kept.offset),
                Some(keys) => match entry::find(known, position, VALUE_BYTES) {
                    Found::Entry(found) => {
                        let key = keys.get(found.key);
                        let same = |sample: &Arc<Sample>| {
                            key.is_some_and(|known| Arc::ptr_eq(known, sample))
                        };
                        found.value == kept.offset && kept.sample.as_ref().is_none_or(same)
                    }
                    _ => false,
                },
            };
            if !stands {
                break;
            }
            position = kept.offset + VALUE_BYTES;
            standing += 1;
        }
        if standing == self.entries.len() {
            return Ok(());
        }
        if 2 * standing < self.entries.len() && entry::walk(known, VALUE_BYTES, used > known.len())
        {
            self.begin_anew(&shared.table, falls);
            self.release(&mut shared.table);
            self.entries.clear();
            return Ok(());
        }
        let detail = format!(
            "it had {} entries, and the one at byte {position} is gone; what they said is kept",
            self.entries.len()
        );
        let reason = match used < self.parsed {
            true => DamageReason::Truncated,
            false => DamageReason::Malformed,
        };
        Err(damage(reason, detail))
    }

    /// Leaves what another file has counted under this name.
    fn begin_anew(&mut self, table: &Table, falls: &mut Vec<(SlotId, f64)>) {
        let kept = self.entries.iter().zip(&self.values);
        let lasting = kept.filter(|(entry, _)| table.is_lasting(entry.slot));
        falls.extend(lasting.map(|(entry, value)| (entry.slot, value.0)));
        self.values.clear();
        self.buckets.clear();
        self.left_out = None;
        self.parsed = HEADER_BYTES;
    }

    fn take_in(&mut self, content: &[u8], shared: &Shared, falls: &mut Vec<(SlotId, f64)>) {
        for (index, entry) in self.entries.iter().enumerate() {
            let number = |offset: usize| {
                let bytes = content.get(offset..).and_then(<[u8]>::first_chunk);
                bytes.map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
            };
            let (mut value, time) = (number(entry.offset), number(entry.offset + 8));
            match self.values.get_mut(index) {
                Some(kept) => {
                    // [merge.counter.fall]
                    let has_fallen = value < kept.0 || (value.is_nan() && !kept.0.is_nan());
                    if has_fallen && shared.table.is_monotone(entry.slot) {
                        falls.push((entry.slot, kept.0));
                        // What no counter is adds nothing to what it was.
                        value = value.max(0.0);
                    }
                    *kept = (value, time);
                }
                None => self.values.push((value, time)),
            }
        }
    }

    /// `[python.walk]`: parses the entries that are new; `true` where the last of them goes on
    /// behind `content`, which is all that is used unless `is_cut`.
    fn parse(&mut self, content: &[u8], is_cut: bool, shared: &mut Shared) -> Result<bool, Damage> {
        let is_new = self.parsed < content.len();
        let mut outcome = Ok(is_cut);
        while self.parsed < content.len() {
            let position = self.parsed;
            let found = match entry::find(content, position, VALUE_BYTES) {
                Found::Entry(found) => found,
                Found::Unfinished if is_cut => break,
                _ => {
                    outcome = Err(self.stuck(content, is_cut));
                    break;
                }
            };
            let (sample, slot) = match self.resolve(found.key, shared) {
                Ok((sample, slot)) => (Some(sample), slot),
                Err(wrong) if self.entries.is_empty() && wrong.reason == DamageReason::Foreign => {
                    return Err(wrong);
                }
                Err(Damage { reason, detail }) => {
                    let detail = format!("the entry at byte {position} is left out: {detail}");
                    self.left_out.get_or_insert(damage(reason, detail));
                    (None, NO_SLOT)
                }
            };
            let offset = found.value;
            self.entries.push(Kept {
                offset,
                sample,
                slot,
            });
            self.parsed = offset + VALUE_BYTES;
        }
        if is_new {
            self.note_buckets(&mut shared.table);
        }
        outcome
    }

    /// What a key means and where its value goes; each key of a pool is parsed once.
    fn resolve(
        &mut self,
        raw: &[u8],
        shared: &mut Shared,
    ) -> Result<(Arc<Sample>, SlotId), Damage> {
        let keys = shared
            .python_keys
            .entry((self.metric_type, self.mode))
            .or_default();
        let sample = match keys.get(raw) {
            Some(sample) => Arc::clone(sample),
            None => {
                let key = key::parse(self.metric_type, raw)?;
                let family = shared.table.declare(&Declaration {
                    name: &key.family,
                    metric_type: self.metric_type,
                    help: &key.help,
                    unit: "",
                    mode: self.mode,
                    states: &[],
                });
                let sample = Arc::new(Sample {
                    series: shared.table.series(family, key.labels),
                    part: key.part,
                });
                keys.insert(raw.into(), Arc::clone(&sample));
                sample
            }
        };
        let slot = self.place(&sample, &mut shared.table);
        Ok((sample, slot))
    }

    /// Why no entry begins where the last one ends.
    fn stuck(&mut self, content: &[u8], is_cut: bool) -> Damage {
        // [dialect.foreign]
        if self.values.is_empty() && entry::walk(content, OLD_VALUE_BYTES, is_cut) {
            self.entries.clear();
            self.parsed = HEADER_BYTES;
            return foreign(
                "it is written by prometheus_client before 0.18 or by a Ruby client, which this \
                 release does not read",
            );
        }
        if self.entries.is_empty() {
            return foreign("it holds no entry that prometheus_client writes");
        }
        let detail = format!(
            "the entry at byte {} does not parse yet; the {} before it are served",
            self.parsed,
            self.entries.len()
        );
        damage(DamageReason::TornTail, detail)
    }

    /// The slot of a sample in this file.
    fn place(&mut self, sample: &Sample, table: &mut Table) -> SlotId {
        let series = sample.series;
        match sample.part {
            Part::Ignored => NO_SLOT,
            Part::Whole if self.metric_type == MetricType::Gauge => {
                table.gauge(series, &self.worker.pid, &[])[0]
            }
            Part::Whole => {
                table.created(series, 0);
                table.single(series)
            }
            Part::Sum => {
                table.created(series, 0);
                table.sum(series)
            }
            Part::Count => table.count(series),
            Part::Bucket(bound) => {
                *self.buckets.entry(series).or_default() += 1;
                table.bucket(series, bound)
            }
        }
    }

    fn note_buckets(&self, table: &mut Table) {
        for (&series, &count) in &self.buckets {
            // A histogram whose first observation is being made has not all of its buckets yet.
            if table.bucket_count(series) != count {
                table.set_buckets_differ(series);
            }
        }
    }
}

/// The keys of a pool, by type and mode: every worker writes the same ones.
pub(crate) type Keys = HashMap<(MetricType, Mode), HashMap<Box<[u8]>, Arc<Sample>>>;

/// All of the first `bytes` bytes.
fn read_exact<'a>(
    buffer: &'a mut PageBuffer,
    file: &File,
    bytes: usize,
) -> Result<&'a [u8], Damage> {
    let content = buffer.read(file, 0, bytes as u64).map_err(unreadable)?;
    if content.len() < bytes {
        let detail = format!("it ended after {} of {bytes} bytes in use", content.len());
        return Err(damage(DamageReason::Truncated, detail));
    }
    Ok(content)
}

fn size(file: &File) -> Result<u64, Damage> {
    Ok(file.metadata().map_err(unreadable)?.len())
}

fn unreadable(error: std::io::Error) -> Damage {
    damage(
        DamageReason::Unreadable,
        format!("failed to read it: {error}"),
    )
}

fn damage(reason: DamageReason, detail: String) -> Damage {
    Damage { reason, detail }
}
