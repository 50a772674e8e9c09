//! How one process publishes words that another reads: the two protocols of a store.
//!
//! Owns every ordering between a writer and its readers (`spec/store.md`, chapter 6), in terms of
//! words alone, so that loom can try them. Knows neither mappings nor files.
//!
//! A reader is a kernel that copies: nothing orders the words of one read, so whatever must come
//! first is read first, by a read of its own.

use crate::layout::{STAMPED_CELLS, USED_OFFSET};
use crate::sync::{AtomicU64, Ordering, fence};

/// The words of a store, as its writer sees them.
pub(crate) trait Words {
    /// The word at `offset` bytes from the start, a multiple of eight.
    fn word(&self, offset: u64) -> &AtomicU64;
}

/// The words of a store, as a reader sees them.
pub(crate) trait Source {
    /// Why a read failed.
    type Error;

    /// Copies the words from `offset` on, each whole, in no order.
    fn read(&self, offset: u64, words: &mut [u64]) -> Result<(), Self::Error>;
}

/// Words that a read takes at least: a cache line, which holds the word that counts the catalog.
const UNIT_WORDS: usize = 8;

/// `[store.publish.record]`: writes a record that no reader looks at yet.
pub(crate) fn write_record(words: &impl Words, offset: u64, record: &[u8]) {
    for (index, chunk) in (0..).zip(record.as_chunks::<8>().0) {
        // Relaxed: `publish` orders it.
        let word = u64::from_le_bytes(*chunk).to_le();
        words
            .word(offset + 8 * index)
            .store(word, Ordering::Relaxed);
    }
}

/// `[store.publish.used]`: makes the catalog's first `used` bytes part of the store.
pub(crate) fn publish(words: &impl Words, used: u64) {
    // SYNC POINT: catalog. Partner: the fence in `read_used`.
    words
        .word(USED_OFFSET)
        .store(used.to_le(), Ordering::Release);
}

/// `[store.read.used]`: how many bytes of the catalog may be read from now on.
pub(crate) fn read_used<S: Source>(source: &S) -> Result<(u64, u64), S::Error> {
    let mut unit = [0; UNIT_WORDS];
    source.read(USED_OFFSET, &mut unit)?;
    // SYNC POINT: catalog. Partner: the store in `publish`.
    fence(Ordering::Acquire);
    Ok((u64::from_le(unit[0]), u64::from_le(unit[1])))
}

/// `[store.publish.stamped]`: writes the slot that readers do not look at, then turns them to it.
///
/// `register` is the five cells of one stamped register, and `time` is in seconds since 1970. Only
/// one thread may do so at a time for one register.
///
/// # Panics
///
/// When `register` has fewer than five cells.
pub fn stamp(register: &[AtomicU64], value: f64, time: f64) {
    // Relaxed: only this process writes it, one thread at a time.
    let version = u64::from_le(register[0].load(Ordering::Relaxed));
    let next = version.wrapping_add(1);
    let slot = slot_index(next);
    // SYNC POINT: slot. A reader that sees any of the stores below also sees the version that
    // precedes them, and then takes the other slot. Partner: the second fence in `read_stamped`.
    fence(Ordering::Release);
    register[slot].store(value.to_bits().to_le(), Ordering::Relaxed);
    register[slot + 1].store(time.to_bits().to_le(), Ordering::Relaxed);
    // SYNC POINT: version. Partner: the first fence in `read_stamped`.
    register[0].store(next.to_le(), Ordering::Release);
}

/// The value and time of one stamped register in the process that writes it; `None` before it was
/// set. Only for a thread that keeps others from setting it meanwhile.
///
/// # Panics
///
/// When `register` has fewer than five cells.
pub fn stamped(register: &[AtomicU64]) -> Option<(f64, f64)> {
    let word = |index: usize| u64::from_le(register[index].load(Ordering::Relaxed));
    let version = word(0);
    let slot = slot_index(version);
    (version > 0).then(|| (f64::from_bits(word(slot)), f64::from_bits(word(slot + 1))))
}

/// `[store.read.stamped]`: reads the words of a run of stamped registers three times and says, for
/// each register, whether its value and time belong together.
///
/// `accept` is called with the register's index, value and time; not for one that was never set,
/// nor for one that was being set.
pub(crate) fn read_stamped<S: Source>(
    source: &S,
    offset: u64,
    buffers: [&mut [u64]; 3],
    mut accept: impl FnMut(usize, f64, f64),
) -> Result<(), S::Error> {
    let [before, slots, after] = buffers;
    source.read(offset, before)?;
    // SYNC POINT: version. Partner: the last store in `stamp`.
    fence(Ordering::Acquire);
    source.read(offset, slots)?;
    // SYNC POINT: slot. Partner: the fence in `stamp`.
    fence(Ordering::Acquire);
    source.read(offset, after)?;
    for index in 0..before.len() / STAMPED_CELLS as usize {
        let start = index * STAMPED_CELLS as usize;
        let version = u64::from_le(before[start]);
        if version == 0 || u64::from_le(after[start]) != version {
            continue;
        }
        let slot = start + slot_index(version);
        let value = f64::from_bits(u64::from_le(slots[slot]));
        let time = f64::from_bits(u64::from_le(slots[slot + 1]));
        accept(index, value, time);
    }
    Ok(())
}

/// `[store.stamped]`: in which word of a register the slot of `version` begins.
fn slot_index(version: u64) -> usize {
    if version.is_multiple_of(2) { 1 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) struct Memory(pub(super) Vec<AtomicU64>);

    impl Memory {
        pub(super) fn new(words: usize) -> Memory {
            Memory((0..words).map(|_| AtomicU64::new(0)).collect())
        }
    }

    impl Words for Memory {
        fn word(&self, offset: u64) -> &AtomicU64 {
            &self.0[(offset / 8) as usize]
        }
    }

    impl Source for Memory {
        type Error = std::convert::Infallible;

        fn read(&self, offset: u64, words: &mut [u64]) -> Result<(), Self::Error> {
            for (index, word) in words.iter_mut().enumerate() {
                let at = (offset / 8) as usize + index;
                // The fields that a test does not model read as zero.
                *word = self
                    .0
                    .get(at)
                    .map_or(0, |word| word.load(Ordering::Relaxed));
            }
            Ok(())
        }
    }

    // [store.publish.stamped]
    #[cfg(not(loom))]
    #[test]
    fn a_stamped_register_reads_as_it_was_set_last() {
        let memory = Memory::new(10);
        for set in 0..5 {
            let time = f64::from(set) + 0.5;
            stamp(&memory.0[5..], f64::from(set), time);
            assert_eq!(stamped(&memory.0[5..]), Some((f64::from(set), time)));
            let mut seen = Vec::new();
            let (mut before, mut slots, mut after) = ([0; 10], [0; 10], [0; 10]);
            let buffers = [&mut before[..], &mut slots[..], &mut after[..]];
            read_stamped(&memory, 0, buffers, |index, value, time| {
                seen.push((index, value, time))
            })
            .unwrap();
            assert_eq!(seen, [(1, f64::from(set), time)]);
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;

    use loom::sync::Arc;
    use loom::thread;

    use super::tests::Memory;
    use super::*;

    /// The catalog of the model begins right behind the cache line of the word that counts it.
    const CATALOG: u64 = USED_OFFSET + 64;

    /// Tries `writer` beside `reader`.
    ///
    /// Both are threads that main waits for: so the writer is scheduled first, and the reader then
    /// meets every mixture of old and new words that the orderings allow. One preemption is enough
    /// on top of that.
    fn model(words: usize, writer: fn(&Memory), reader: fn(&Memory)) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(1);
        builder.check(move || {
            let memory = Arc::new(Memory::new(words));
            let threads = [writer, reader].map(|role| {
                let memory = Arc::clone(&memory);
                thread::spawn(move || role(&memory))
            });
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    /// A reader of one stamped register that loads the words which count and no others: the version,
    /// the slots, the version. Each word more would multiply the mixtures to try.
    struct Phases<'a> {
        memory: &'a Memory,
        phase: Cell<usize>,
    }

    impl Source for Phases<'_> {
        type Error = std::convert::Infallible;

        fn read(&self, _offset: u64, words: &mut [u64]) -> Result<(), Self::Error> {
            let counts = match self.phase.replace(self.phase.get() + 1) {
                1 => 1..5,
                _ => 0..1,
            };
            for index in counts {
                words[index] = self.memory.0[index].load(Ordering::Relaxed);
            }
            Ok(())
        }
    }

    /// What a test needs to have seen at least once, so that it does not pass by seeing nothing.
    static SEEN: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];

    // [store.publish.record] [store.publish.used] [store.read.used]
    #[test]
    fn loom_a_published_record_is_whole() {
        model(
            18,
            |memory| {
                for record in 0..2_u64 {
                    let word = record + 1;
                    write_record(memory, CATALOG + 8 * record, &word.to_le_bytes());
                    publish(memory, 8 * (record + 1));
                }
            },
            |memory| {
                let Ok((used, _refused)) = read_used(memory);
                for record in 0..used / 8 {
                    let mut words = [0; 1];
                    memory.read(CATALOG + 8 * record, &mut words).unwrap();
                    assert_eq!(u64::from_le(words[0]), record + 1);
                    SEEN[0].store(true, Relaxed);
                }
            },
        );
        assert!(SEEN[0].load(Relaxed));
    }

    // [store.publish.stamped] [store.read.stamped]
    #[test]
    fn loom_a_stamped_value_keeps_its_time() {
        model(
            5,
            |memory| {
                for set in 1..4 {
                    stamp(&memory.0, f64::from(set), f64::from(set) * 10.0);
                }
            },
            |memory| {
                let (mut before, mut slots, mut after) = ([0; 5], [0; 5], [0; 5]);
                let buffers = [&mut before[..], &mut slots[..], &mut after[..]];
                let phases = Phases {
                    memory,
                    phase: Cell::new(0),
                };
                read_stamped(&phases, 0, buffers, |_, value, time| {
                    assert_eq!(time, value * 10.0);
                    SEEN[1].store(true, Relaxed);
                })
                .unwrap();
            },
        );
        assert!(SEEN[1].load(Relaxed));
    }
}
