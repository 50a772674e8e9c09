//! What all contributors together declare of one family.
//!
//! Owns what prevails where they do not agree (`spec/merge.md`, chapter 4). Knows no values.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use headcount_format::{MetricType, Mode};

use super::SeriesId;
use crate::rules::{Rules, Wanted};

/// What a contributor says of a family.
#[derive(Debug)]
pub(crate) struct Declaration<'a> {
    pub(crate) name: &'a str,
    pub(crate) metric_type: MetricType,
    /// `[merge.counter.bare]`: whether it is a counter whose samples lack `_total`.
    pub(crate) is_bare: bool,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
    /// `None` for who has no say in it.
    pub(crate) mode: Option<Mode>,
    pub(crate) states: &'a [Box<str>],
}

/// A family, as all its contributors together declare it.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: Arc<str>,
    pub(crate) metric_type: MetricType,
    pub(crate) is_bare: bool,
    pub(crate) helps: BTreeSet<Arc<str>>,
    pub(crate) units: BTreeSet<Arc<str>>,
    pub(crate) modes: BTreeSet<Rank>,
    /// Each list of states that a contributor declares.
    pub(crate) states: BTreeSet<Arc<[Box<str>]>>,
    /// Whether contributors have declared different buckets.
    pub(crate) buckets_differ: bool,
    /// Whether it has been served, and so keeps its names.
    pub(crate) is_served: bool,
    /// What the operator wants otherwise.
    pub(crate) wanted: Wanted,
    /// By the labels as they are written, those without a value aside.
    pub(super) series: HashMap<Arc<[u8]>, SeriesId>,
    /// How many series are served at most: one for each in `series`, or for each worker in each.
    pub(super) admitted: usize,
    /// `[merge.budget.whole]`: whether a series had to be left out, so that no other comes in.
    pub(super) is_full: bool,
}

/// A mode, ordered by what prevails where workers do not agree.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Rank(u8, pub(crate) Mode);

impl Family {
    pub(super) fn new(declaration: &Declaration<'_>, rules: &Rules) -> Family {
        let suffix = suffix(declaration.metric_type, declaration.is_bare);
        Family {
            name: declaration.name.into(),
            metric_type: declaration.metric_type,
            is_bare: declaration.is_bare,
            helps: BTreeSet::new(),
            units: BTreeSet::new(),
            modes: BTreeSet::new(),
            states: BTreeSet::new(),
            buckets_differ: false,
            is_served: false,
            wanted: rules.of(declaration.name, suffix),
            series: HashMap::new(),
            admitted: 0,
            is_full: false,
        }
    }

    /// Takes in what a contributor says; whether gauges are merged otherwise than before.
    pub(super) fn take_in(&mut self, declaration: &Declaration<'_>) -> bool {
        let before = (self.mode(), self.states.len());
        insert(&mut self.helps, declaration.help);
        insert(&mut self.units, declaration.unit);
        self.modes.extend(declaration.mode.map(Rank::of));
        if declaration.metric_type == MetricType::StateSet {
            self.states.insert(declaration.states.into());
        }
        before != (self.mode(), self.states.len())
    }

    /// `[merge.conflict.mode]`: the mode that all contributors are merged by. `[rules.mode]`: a
    /// rule's goes before theirs. `[text.source]`: where nobody has a say, the youngest value is
    /// the right one.
    pub(crate) fn mode(&self) -> Mode {
        let declared = || self.modes.first().map(|rank| rank.1);
        let mode = self.wanted.mode.or_else(declared);
        mode.unwrap_or(Mode::MostRecent)
    }

    /// What the operator wants of the family.
    pub(super) fn heed(&mut self, rules: &Rules) {
        self.wanted = rules.of(&self.name, suffix(self.metric_type, self.is_bare));
    }

    /// `[merge.conflict.help]` `[rules.help]` `[python.no-help]`: the help text that is served.
    pub(crate) fn help(&self) -> Arc<str> {
        let declared = || self.helps.first().cloned();
        let help = self.wanted.help.clone().or_else(declared);
        help.unwrap_or_default()
    }

    /// `[merge.state-set.states]`: the states that all contributors have together: as declared
    /// where all agree, and else in order.
    pub(crate) fn all_states(&self) -> Arc<[Box<str>]> {
        let mut lists = self.states.iter();
        match (lists.next(), lists.next()) {
            (None, _) => Arc::new([]),
            (Some(only), None) => Arc::clone(only),
            _ => {
                let all: BTreeSet<&Box<str>> =
                    self.states.iter().flat_map(|list| &**list).collect();
                all.into_iter().cloned().collect()
            }
        }
    }
}

impl Rank {
    /// What tells more prevails over what tells less, so that one worker of an older release does
    /// not undo a choice.
    fn of(mode: Mode) -> Rank {
        let rank = match mode {
            Mode::Sum => 0,
            Mode::LiveSum => 1,
            Mode::Max => 2,
            Mode::LiveMax => 3,
            Mode::Min => 4,
            Mode::LiveMin => 5,
            Mode::MostRecent => 6,
            Mode::LiveMostRecent => 7,
            Mode::LiveAll => 8,
            Mode::All => 9,
        };
        Rank(rank, mode)
    }
}

fn insert(texts: &mut BTreeSet<Arc<str>>, text: &str) {
    if !text.is_empty() && !texts.contains(text) {
        texts.insert(text.into());
        // A text that is another each time is not told for ever; the least stay.
        if texts.len() > TEXTS {
            texts.pop_last();
        }
    }
}

/// How many help texts or units of a family are remembered.
const TEXTS: usize = 8;

/// `[rules.match]`: what all samples of a family have behind its name.
fn suffix(metric_type: MetricType, is_bare: bool) -> &'static str {
    match metric_type {
        MetricType::Counter if !is_bare => "_total",
        MetricType::Info => "_info",
        _ => "",
    }
}
