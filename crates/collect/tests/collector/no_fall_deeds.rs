//! What happens to a pool while a collector watches: the deeds of workers, operators and disks.
//!
//! Owns what can happen, and how often. What it does to whom is the business of `no_fall`.

use headcount_collect::budget::Budgets;
use headcount_collect::model::Mode;
use headcount_collect::rules::{Pattern, Rule, Rules};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::entries::direct;
use crate::no_fall_model::{Client, Kind, Worker};
use crate::python::PythonFile;

/// What is done to one worker or its file.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// It counts.
    Count(usize, u8),
    /// It adds a series.
    Grow,
    /// Its counters begin again where they stand.
    BeginAgain,
    /// One bit turns in the file, though none of a value.
    Flip(Index, u8),
    Truncate(Index),
    /// The file says that more of it is in use than there is.
    Exaggerate,
    /// Other bytes are written over the file.
    Scribble(Vec<u8>),
    /// Another worker's file is copied over it.
    Copy,
    /// Something else takes its name.
    Substitute(Thing),
    /// Nobody may read it.
    Lock,
    /// What the worker has written comes back, in place or in another file.
    Heal {
        by_rename: bool,
    },
    /// It gets another name in its directory.
    Rename,
    Leave,
    Return,
    Delete,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Thing {
    Directory,
    File,
    Link,
    Pipe,
}

/// What happens between two passes.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Budget(usize),
    Deed(Index, Deed),
    Join(Index, Kind),
    Rules(usize),
}

/// A file of the same name that another worker has written.
pub(crate) fn foreign(worker: &Worker) -> Vec<u8> {
    match worker.client {
        Client::Text => b"# TYPE foreign_total counter\nforeign_total 5\n".to_vec(),
        Client::Store => vec![0x89; 9000],
        Client::Direct2 | Client::Direct0 => direct(&[("strange=yes", 1.0), ("strange=no", 2.0)]),
        _ => PythonFile::new()
            .counter("foreign", "{}", 5.0)
            .counter("foreign", "{\"a\": \"b\"}", 6.0)
            .on_disk(),
    }
}

/// Rules for families of which the model knows nothing.
pub(crate) fn rules(number: usize) -> Rules {
    let rule = |pattern: &str| Rule {
        pattern: Pattern::new(pattern),
        ..Rule::default()
    };
    let rules = match number {
        0 => Vec::new(),
        1 => vec![Rule {
            mode: Some(Mode::Max),
            ..rule("level")
        }],
        2 => vec![Rule {
            renamed_labels: vec![("pid".into(), "process".into())],
            dropped_labels: vec!["a".into()],
            ..rule("level*")
        }],
        _ => vec![Rule {
            drop: Some(true),
            ..rule("level")
        }],
    };
    Rules { rules }
}

pub(crate) fn budgets(number: usize) -> Budgets {
    let mut budgets = Budgets::default();
    match number {
        0 => {}
        1 => budgets.file_bytes = 16,
        2 => budgets.family_series = 1,
        3 => budgets.series = 1,
        4 => budgets.files = 0,
        _ => budgets.labels = 1,
    }
    budgets
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<Index>;
    let thing = prop_oneof![
        Just(Thing::Directory),
        Just(Thing::File),
        Just(Thing::Link),
        Just(Thing::Pipe)
    ];
    prop_oneof![
        12 => (0..8_usize, any::<u8>()).prop_map(|(cell, amount)| Deed::Count(cell, amount)),
        3 => Just(Deed::Grow),
        3 => Just(Deed::BeginAgain),
        4 => (index(), any::<u8>()).prop_map(|(at, bit)| Deed::Flip(at, bit)),
        3 => index().prop_map(Deed::Truncate),
        1 => Just(Deed::Exaggerate),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Deed::Scribble),
        1 => Just(Deed::Copy),
        3 => thing.prop_map(Deed::Substitute),
        1 => Just(Deed::Lock),
        6 => any::<bool>().prop_map(|by_rename| Deed::Heal { by_rename }),
        2 => Just(Deed::Rename),
        3 => Just(Deed::Leave),
        5 => Just(Deed::Return),
        1 => Just(Deed::Delete),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![Just(Kind::Jobs), Just(Kind::Size), Just(Kind::Took)];
    prop_oneof![
        30 => (any::<Index>(), deed()).prop_map(|(file, deed)| Event::Deed(file, deed)),
        2 => (any::<Index>(), kind).prop_map(|(client, kind)| Event::Join(client, kind)),
        1 => (0..6_usize).prop_map(Event::Budget),
        1 => (0..4_usize).prop_map(Event::Rules),
    ]
}
