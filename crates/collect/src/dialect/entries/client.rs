//! What tells one client's files from another's.
//!
//! Owns the trait that each dialect of such files implements in its own room, and the recognition of
//! a dialect from content. Knows no client's bytes.

use std::cmp::Ordering;
use std::fmt;

use headcount_format::{MetricType, Mode};

use super::walk::{Entry, Found, HEADER_BYTES, KeyText, Layout, Walk};
use crate::dialect::{direct, foreign, gitlab, python};
use crate::model::Labels;
use crate::report::{Damage, Dialect, Worker};
use crate::rules::Rules;
use crate::table::Part;

/// How one client, in some of its releases, writes a file of entries.
pub(in crate::dialect) trait Client: fmt::Debug + Send + Sync {
    fn dialect(&self) -> Dialect;

    /// Which releases of which client.
    fn name(&self) -> &'static str;

    fn layout(&self) -> Layout;

    /// What the buckets of a histogram hold.
    fn buckets(&self) -> Buckets;

    /// Whose the file is.
    ///
    /// # Errors
    ///
    /// [`Damage`] where this client gives no file such a name.
    fn worker(&self, name: &FileName) -> Result<Worker, Damage>;

    /// What a key says of its value.
    ///
    /// # Errors
    ///
    /// [`Damage`] where it says nothing that can be served.
    fn meaning(&self, name: &FileName, key: &[u8], rules: &Rules) -> Result<Meaning, Damage>;
}

/// What the buckets of a histogram hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::dialect) enum Buckets {
    /// All that is at most the bound.
    Cumulative,
    /// What is above the bound before, and at most this one.
    Own,
    /// The same, and those in which nothing is are not there.
    OwnAndTouched,
}

/// What a file's name says.
#[derive(Clone, Debug)]
pub(in crate::dialect) enum FileName {
    /// The file has one metric of one worker.
    Metric { metric: Box<str>, pid: Box<str> },
    /// The file has all metrics of one type, or gauges of one mode, of one worker.
    Typed {
        metric_type: MetricType,
        mode: Mode,
        ident: Box<str>,
    },
}

/// What a key says of its value.
#[derive(Debug)]
pub(in crate::dialect) struct Meaning {
    pub(in crate::dialect) family: Box<str>,
    pub(in crate::dialect) metric_type: MetricType,
    /// `[merge.counter.bare]`: whether it is a counter whose sample lacks `_total`.
    pub(in crate::dialect) is_bare: bool,
    pub(in crate::dialect) mode: Option<Mode>,
    pub(in crate::dialect) help: Box<str>,
    pub(in crate::dialect) labels: Labels,
    /// `None` for a value that no one needs.
    pub(in crate::dialect) part: Option<Part>,
}

/// What the content of a file tells of its dialect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recognised {
    Client(&'static dyn Client),
    /// More of the file is needed to tell.
    Later,
}

/// `[dialect.walk]` `[dialect.key]`: which client wrote the file; `is_cut` where it goes on behind
/// `content`.
///
/// # Errors
///
/// [`Damage`] for what no client writes.
pub(super) fn recognise(
    name: &FileName,
    content: &[u8],
    is_cut: bool,
) -> Result<Recognised, Damage> {
    let key = match name {
        FileName::Metric { .. } => KeyText::Query,
        FileName::Typed { .. } => KeyText::Json,
    };
    let layout = |value_bytes| Layout { value_bytes, key };
    let walks = |most| {
        let walk = |value_bytes| layout(value_bytes).walk(content, is_cut, most);
        (walk(16), walk(8))
    };
    let (mut timed, mut untimed) = walks(TELLING);
    // Where one of them goes on and the other has ended, how far it goes is of no account.
    let is_open = |walk: Walk| walk.is_whole || walk.entries == TELLING;
    if is_open(timed) && is_open(untimed) {
        (timed, untimed) = walks(usize::MAX);
    }
    if timed.entries.max(untimed.entries) == 0 {
        let is_open = is_cut && matches!(layout(8).find(content, HEADER_BYTES), Found::Unfinished);
        return match is_open {
            true => Ok(Recognised::Later),
            false => Err(foreign("it holds no entry that any known client writes")),
        };
    }
    let furthest = |walk: Walk| (walk.is_whole, walk.entries);
    let first = match layout(8).find(content, HEADER_BYTES) {
        Found::Entry(first) => first,
        _ => return Ok(Recognised::Later),
    };
    let layout = match furthest(timed).cmp(&furthest(untimed)) {
        Ordering::Greater => layout(16),
        Ordering::Less => layout(8),
        Ordering::Equal => match by_first_entry(name, content, first) {
            Some(value_bytes) => layout(value_bytes),
            None => return Ok(Recognised::Later),
        },
    };
    if let FileName::Metric { .. } = name {
        return Ok(Recognised::Client(direct::client(layout)));
    }
    let known = python::client(layout, first.key).or_else(|| gitlab::client(layout, first.key));
    let unknown = || foreign("its first key is not one of prometheus_client or of a Ruby client");
    known.map(Recognised::Client).ok_or_else(unknown)
}

/// Entries that tell one layout from another in nearly every file.
const TELLING: usize = 4;

/// `[dialect.undecided]`: the bytes of a value, of a file of which nothing can be walked behind its
/// first entry: a key that only one layout has tells it, and else what would be the time.
fn by_first_entry(name: &FileName, content: &[u8], first: Entry<'_>) -> Option<usize> {
    let &FileName::Typed { mode, .. } = name else {
        return None;
    };
    let layout = |value_bytes| Layout {
        value_bytes,
        key: KeyText::Json,
    };
    if python::client(layout(16), first.key).is_none() {
        return Some(8);
    }
    let time = content.get(first.value + 8..first.value + 16)?;
    // Where no time is told, the length of a next key would stand there, which is not zero.
    let is_time = mode.is_most_recent() || time.iter().all(|&byte| byte == 0);
    Some(if is_time { 16 } else { 8 })
}
