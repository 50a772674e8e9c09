//! Reading a file of entries.
//!
//! Owns the order of a pass over one file: what is used, whether what was known still stands, what
//! is new, and the values. Knows nothing of what a key says.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::SystemTime;

use headcount_format::PageBuffer;

use super::client::{Client, Recognised, recognise};
use super::walk::{Found, HEADER_BYTES};
use super::{EntryFile, Kept, Known, Refused, Sample, placed};
use crate::dialect::{Left, Shared, Source, damage, foreign, lawful, size, unreadable};
use crate::intake::{Asking, Intake, LeftOut};
use crate::report::{Damage, DamageReason};
use crate::table::NO_SLOT;

/// Bytes of new entries that are read at first, and doubled as long as they hold entries: a file
/// that only claims to be large, and is a hole, is not read.
const WINDOW: usize = 1 << 20;

impl EntryFile {
    /// Reads the file; `false` where nothing has been written yet.
    pub(super) fn read(
        &mut self,
        file: &File,
        shared: &mut Shared,
        falls: &mut Vec<Left>,
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
        falls: &mut Vec<Left>,
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
        // [gitlab.publish]: some releases make a file shorter when they let go of it.
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
        // What made no sense may make some by now.
        self.is_unsettled |= self.senseless.is_some() && self.modified != modified;
        if std::mem::take(&mut self.is_unsettled) {
            self.settle(content, shared);
        }
        let mut outcome = Ok(self.parsed < used);
        while let Ok(true) = outcome {
            end = used.min((2 * end).max(self.parsed + WINDOW));
            content = read_exact(buffer, file, end)?;
            outcome = self.parse(content, end < used, shared);
        }
        self.modified = modified;
        // What has been parsed is read, whatever follows it.
        self.take_in(content, falls);
        // [dialect.undecided]
        outcome.map(|_| used > HEADER_BYTES || !self.entries.is_empty())
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
        content: &[u8],
        used: usize,
        modified: Option<SystemTime>,
        shared: &mut Shared,
        falls: &mut Vec<Left>,
    ) -> Result<(), Damage> {
        let Some(known) = &self.known else {
            return Ok(());
        };
        let layout = known.client.layout();
        let keys = &shared.keys.samples[known.space];
        let compares_keys = self.modified != modified;
        let mut position = HEADER_BYTES;
        let mut standing = 0;
        let mut first_gone = None;
        for kept in &self.entries {
            let stands = match compares_keys {
                false => layout.value_offset(content, position) == Some(kept.offset),
                true => match layout.find(content, position) {
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
            match stands {
                true => standing += 1,
                false => _ = first_gone.get_or_insert(position),
            }
            // Where the next one stood, whatever has become of this one.
            position = kept.offset + layout.value_bytes;
        }
        let Some(position) = first_gone else {
            return Ok(());
        };
        let is_sound = || match recognise(&self.name, content, used > content.len()) {
            Ok(Recognised::Client(client)) => {
                client
                    .layout()
                    .walk(content, used > content.len(), usize::MAX)
                    .is_whole
            }
            _ => false,
        };
        if 2 * standing < self.entries.len() && is_sound() {
            self.begin_anew(&mut shared.intake, falls);
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
    fn begin_anew(&mut self, intake: &mut Intake, falls: &mut Vec<Left>) {
        falls.extend(self.lasting());
        falls.extend(self.carried());
        self.release(intake);
        let EntryFile {
            name, directory, ..
        } = self;
        *self = EntryFile::new(name.clone(), *directory);
    }

    /// `[rules.reload]` `[python.left-out]`: lets in what other rules or budgets let in, and what has
    /// been put right.
    fn settle(&mut self, content: &[u8], shared: &mut Shared) {
        let Some(client) = self.known.as_ref().map(|known| known.client) else {
            return;
        };
        let layout = client.layout();
        let space = self.space(client, shared);
        // [rules.type]: what has no type of its own may be something else by now.
        let is_other = self
            .known
            .as_ref()
            .is_some_and(|known| known.space != space);
        if is_other {
            self.release(&mut shared.intake);
            if let Some(known) = &mut self.known {
                known.space = space;
            }
        }
        self.senseless = None;
        let mut position = HEADER_BYTES;
        for index in 0..self.entries.len() {
            let kept = &self.entries[index];
            let offset = kept.offset;
            let is_out = kept.sample.is_none() || kept.over.is_some();
            if (is_other || is_out)
                && let Found::Entry(found) = layout.find(content, position)
            {
                self.entries[index] = self.resolve(found.key, position, offset, shared);
            }
            position = offset + layout.value_bytes;
        }
        self.take_stock(&mut shared.intake);
    }

    /// Takes in the value of each entry.
    fn take_in(&mut self, content: &[u8], falls: &mut Vec<Left>) {
        let Some(known) = &self.known else {
            return;
        };
        let has_time = known.client.layout().value_bytes == 16;
        let has_ladders = self.has_ladders();
        if has_ladders {
            self.carried.resize(self.entries.len(), 0.0);
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let number = |offset: usize| {
                let bytes = content.get(offset..).and_then(<[u8]>::first_chunk);
                bytes.map_or(0.0, |bytes| f64::from_le_bytes(*bytes))
            };
            let sample = entry.sample.as_deref();
            let is_counting = sample.is_some_and(Sample::is_counting);
            let value = number(entry.offset);
            let value = if is_counting { lawful(value) } else { value };
            let time = if has_time {
                number(entry.offset + 8)
            } else {
                0.0
            };
            match self.values.get(index).copied() {
                Some(kept) => {
                    // [merge.counter.fall]
                    if is_counting && value < kept.0 {
                        if has_ladders && self.is_rung(index) {
                            self.carried[index] += kept.0;
                        } else {
                            falls.extend(super::left(entry, kept.0));
                        }
                    }
                    self.values[index] = (value, time);
                }
                None => self.values.push((value, time)),
            }
        }
    }

    /// `[python.walk]`: parses the entries that are new; `true` where the last of them goes on
    /// behind `content`, which is all that is used unless `is_cut`.
    fn parse(&mut self, content: &[u8], is_cut: bool, shared: &mut Shared) -> Result<bool, Damage> {
        if self.known.is_none() {
            match recognise(&self.name, content, is_cut)? {
                Recognised::Client(client) => {
                    let worker = client.worker(&self.name)?;
                    let space = self.space(client, shared);
                    self.known = Some(Known {
                        client,
                        worker,
                        space,
                    });
                }
                Recognised::Later if is_cut => return Ok(true),
                Recognised::Later => {
                    let detail = "it does not tell yet which client writes it";
                    return Err(damage(DamageReason::TornTail, detail.to_owned()));
                }
            }
        }
        let Some(layout) = self.known.as_ref().map(|known| known.client.layout()) else {
            return Ok(is_cut);
        };
        let is_new = self.parsed < content.len();
        let mut outcome = Ok(is_cut);
        while self.parsed < content.len() {
            let position = self.parsed;
            match layout.find(content, position) {
                Found::Entry(found) => {
                    let kept = self.resolve(found.key, position, found.value, shared);
                    self.entries.push(kept);
                    self.parsed = found.value + layout.value_bytes;
                }
                Found::Unfinished if is_cut => break,
                _ => {
                    let detail = format!(
                        "the entry at byte {position} does not parse yet; the {} before it are served",
                        self.entries.len()
                    );
                    outcome = Err(damage(DamageReason::TornTail, detail));
                    break;
                }
            }
        }
        if is_new {
            self.take_stock(&mut shared.intake);
        }
        outcome
    }

    /// Where what the keys of this file mean is kept.
    fn space(&self, client: &dyn Client, shared: &mut Shared) -> usize {
        let rules = shared.intake.generation();
        shared.keys.space(self.directory, client, &self.name, rules)
    }

    /// What a key means and where its value goes; each key of a pool is parsed once.
    fn resolve(&mut self, key: &[u8], position: usize, offset: usize, shared: &mut Shared) -> Kept {
        let mut kept = Kept {
            offset,
            sample: None,
            slot: NO_SLOT,
            over: None,
        };
        let Some(known) = &self.known else {
            return kept;
        };
        let (client, space) = (known.client, known.space);
        let sample = match shared.keys.samples[space].get(key) {
            Some(sample) => Ok(Arc::clone(sample)),
            None => Sample::of(client, &self.name, key, self.directory, &mut shared.intake).map(
                |sample| {
                    let sample = Arc::new(sample);
                    shared.keys.samples[space].insert(key.into(), Arc::clone(&sample));
                    sample
                },
            ),
        };
        match sample {
            Ok(sample) => {
                (kept.slot, kept.over) =
                    placed(self.place(&sample, &mut shared.intake, Asking::Anew));
                kept.sample = Some(sample);
            }
            Err(Refused::LeftOut(LeftOut::Budget(budget))) => kept.over = Some(budget),
            Err(Refused::LeftOut(LeftOut::Dropped)) => {}
            Err(Refused::Senseless(Damage { reason, detail })) => {
                let detail = format!("at byte {position}, {detail}");
                let first = damage(reason, detail);
                self.senseless.get_or_insert((first, 0)).1 += 1;
            }
        }
        kept
    }

    fn is_rung(&self, index: usize) -> bool {
        !self.is_plain(&self.entries[index])
    }
}

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
