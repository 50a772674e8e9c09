//! The file formats that a pool's workers write.
//!
//! Owns which name may belong to which dialect, and what every dialect does: bring the series of
//! one file into the [`Table`] and their values out of the file. The bytes of a dialect are known
//! in its own room and nowhere else.

mod python;
mod store;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use headcount_format::PageBuffer;

use crate::report::{Damage, DamageReason, Dialect, FileState, Worker};
use crate::table::{SlotId, Table};

/// Whether a file of this name may belong to a pool.
pub(crate) fn is_candidate(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.starts_with(b".") && (name.ends_with(b".store") || name.ends_with(b".db"))
}

/// One file, and how far it has been read.
#[derive(Debug)]
pub(crate) enum Reader {
    Python(python::PythonReader),
    Store(Box<store::StoreFile>),
}

/// What all readers of a pool share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) table: Table,
    python_keys: python::Keys,
    buffer: PageBuffer,
}

/// What one pass over one file has to say beside the values.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) state: FileState,
    pub(crate) bytes: u64,
    /// What counted lower than in the pass before, and how much it had counted then.
    pub(crate) falls: Vec<(SlotId, f64)>,
}

impl Reader {
    /// `[merge.file.dialect]`: a reader for the file, by its name and content.
    ///
    /// # Errors
    ///
    /// [`Damage`] for what is in no dialect that is read here.
    pub(crate) fn open(name: &OsStr, file: &File) -> Result<Reader, Damage> {
        let is_store = name.as_bytes().ends_with(b".store");
        let Some(text) = name.to_str() else {
            return Err(foreign("its name is not UTF-8, which no worker writes"));
        };
        if is_store {
            store::StoreFile::open(text, file).map(|store| Reader::Store(Box::new(store)))
        } else {
            python::PythonReader::open(text).map(Reader::Python)
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Reader::Python(_) => Dialect::Python,
            Reader::Store(_) => Dialect::Store,
        }
    }

    pub(crate) fn worker(&self) -> &Worker {
        match self {
            Reader::Python(python) => python.worker(),
            Reader::Store(store) => store.worker(),
        }
    }

    /// Whose the file is; `None` for a file that no worker writes.
    pub(crate) fn worker_of_pool(&self) -> Option<&Worker> {
        match self {
            Reader::Store(store) if store.is_ledger() => None,
            reader => Some(reader.worker()),
        }
    }

    /// Which store it is; `None` for a file that does not say.
    pub(crate) fn incarnation(&self) -> Option<&Arc<str>> {
        match self {
            Reader::Python(_) => None,
            Reader::Store(store) => Some(&store.worker().id),
        }
    }

    /// How many series have found no room in the file.
    pub(crate) fn refused(&self) -> u64 {
        match self {
            Reader::Python(_) => 0,
            Reader::Store(store) => store.refused(),
        }
    }

    /// How many series the file holds.
    pub(crate) fn series(&self) -> usize {
        match self {
            Reader::Python(python) => python.series(),
            Reader::Store(store) => store.series(),
        }
    }

    /// Brings new series into the table and reads all values; those of the last pass stay where
    /// that fails.
    pub(crate) fn refresh(&mut self, file: &File, shared: &mut Shared) -> Outcome {
        match self {
            Reader::Python(python) => python.refresh(file, shared),
            Reader::Store(store) => store.refresh(file, &mut shared.table),
        }
    }

    /// Tells every value of the last pass that succeeded.
    pub(crate) fn values(&self, tell: &mut impl FnMut(SlotId, f64, f64)) {
        match self {
            Reader::Python(python) => python.values(tell),
            Reader::Store(store) => store.values(tell),
        }
    }

    /// Asks the table anew where each value goes, after a change of modes.
    pub(crate) fn rebind(&mut self, table: &mut Table) {
        match self {
            Reader::Python(python) => python.rebind(table),
            Reader::Store(store) => store.rebind(table),
        }
    }

    /// Gives back what belongs to the file's worker alone.
    pub(crate) fn release(&mut self, table: &mut Table) {
        match self {
            Reader::Python(python) => python.release(table),
            Reader::Store(store) => store.release(table),
        }
    }
}

fn foreign(detail: &str) -> Damage {
    Damage {
        reason: DamageReason::Foreign,
        detail: detail.to_owned(),
    }
}
