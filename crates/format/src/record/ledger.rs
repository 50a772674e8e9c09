//! The records that stand in ledgers alone.
//!
//! Owns how they are written and read (`spec/store.md`, chapter 3; what they mean is said in
//! `spec/ledger.md`).

use super::RecordError;
use super::bytes::{Decoder, Encoder};
use crate::identity::Incarnation;

/// A store that a ledger holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FoldedStore {
    /// Which one.
    pub incarnation: Incarnation,
    /// When it was folded, in nanoseconds since 1970.
    pub when: u64,
    /// When it was made, in nanoseconds since 1970; to be shown.
    pub started: u64,
    /// Its worker's pid; to be shown.
    pub pid: u32,
    /// How many bytes it had; to be shown.
    pub bytes: u32,
}

/// A file of another client that a ledger holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoldedFile {
    /// Its inode number, which another file may have by now.
    pub inode: u64,
    /// When it was born, in nanoseconds since 1970.
    pub born: u64,
    /// When it was folded, in nanoseconds since 1970.
    pub when: u64,
    /// How many bytes it had; to be shown.
    pub bytes: u64,
    /// Which name it had; to be shown.
    pub name: Box<str>,
}

/// Whose the value of a series of a ledger is that is no total.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level {
    /// The number of the series.
    pub series: u32,
    /// When the last of its workers died, in nanoseconds since 1970.
    pub died: u64,
    /// When its worker began, in nanoseconds since 1970; zero where it is the value of several, or
    /// that is not known.
    pub started: u64,
    /// Its worker's place in the pool, if it had one.
    pub place: Option<u32>,
    /// What told its worker apart; empty where it is the value of several.
    pub pid: Box<str>,
}

/// Where a ledger comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Root {
    /// Its first generation.
    pub first: Incarnation,
    /// `[ledger.forget]`: when the last file was folded that is not listed any more, in nanoseconds
    /// since 1970; zero where all are.
    pub forgotten: u64,
}

impl Root {
    pub(super) fn encode(self, out: &mut Encoder) {
        out.bytes(&self.first.0);
        out.u64(self.forgotten);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Root, RecordError> {
        Ok(Root {
            first: Incarnation(from.take("incarnation")?),
            forgotten: from.u64("time of what is forgotten")?,
        })
    }
}

impl Level {
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.u32(self.series);
        out.u32(self.place.map_or(0, |place| place + 1));
        out.u64(self.died);
        out.u64(self.started);
        out.text(&self.pid);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Level, RecordError> {
        let series = from.u32("series number")?;
        let place = from.u32("place")?;
        Ok(Level {
            series,
            place: place.checked_sub(1),
            died: from.u64("time of death")?,
            started: from.u64("start")?,
            pid: from.text("pid")?,
        })
    }
}

pub(super) fn encode_files(files: &[FoldedFile], out: &mut Encoder) {
    out.list(files.len());
    for file in files {
        for word in [file.inode, file.born, file.when, file.bytes] {
            out.u64(word);
        }
        out.text(&file.name);
    }
}

pub(super) fn decode_files(from: &mut Decoder<'_>) -> Result<Vec<FoldedFile>, RecordError> {
    let count = from.list("count of files")?;
    let file = |_| {
        Ok(FoldedFile {
            inode: from.u64("inode number")?,
            born: from.u64("time of birth")?,
            when: from.u64("time of the fold")?,
            bytes: from.u64("size")?,
            name: from.text("file name")?,
        })
    };
    (0..count).map(file).collect()
}

pub(super) fn encode_stores(stores: &[FoldedStore], out: &mut Encoder) {
    out.list(stores.len());
    for store in stores {
        out.bytes(&store.incarnation.0);
        out.u64(store.when);
        out.u64(store.started);
        out.u32(store.pid);
        out.u32(store.bytes);
    }
}

pub(super) fn decode_stores(from: &mut Decoder<'_>) -> Result<Vec<FoldedStore>, RecordError> {
    let count = from.list("count of stores")?;
    let store = |_| {
        Ok(FoldedStore {
            incarnation: Incarnation(from.take("incarnation")?),
            when: from.u64("time of the fold")?,
            started: from.u64("start")?,
            pid: from.u32("pid")?,
            bytes: from.u32("size")?,
        })
    };
    (0..count).map(store).collect()
}
