//! What an operator wants otherwise than the workers say (`spec/rules.md`).
//!
//! Owns which rule applies to which family. Knows no file in which rules are written, and no
//! series: what a rule does to one is the business of whoever takes it in.

use std::sync::Arc;

use crate::model::{MetricType, Mode};

/// Rules, of which the first that says something prevails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// In the order in which they prevail.
    pub rules: Vec<Rule>,
}

/// What is wanted of the families that a pattern matches. What is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Which families.
    pub pattern: Pattern,
    /// `[rules.mode]`: how gauges and state sets are merged, whatever their workers say.
    pub mode: Option<Mode>,
    /// `[rules.type]`: the type, for a dialect that has none.
    pub metric_type: Option<MetricType>,
    /// `[rules.help]`: the help text, whatever the workers say.
    pub help: Option<Arc<str>>,
    /// `[rules.buckets]`: upper bounds without `+Inf`, ascending and finite, for a dialect that
    /// stores only the buckets that were used.
    pub buckets: Option<Arc<[f64]>>,
    /// `[rules.drop]`: whether the family is left out; `Some(false)` keeps it from a rule that
    /// follows.
    pub drop: Option<bool>,
    /// `[rules.rename-label]`: labels to rename, each once: the name that they have, and the one
    /// that they get.
    pub renamed_labels: Vec<(Box<str>, Box<str>)>,
    /// `[rules.drop-label]`: labels to drop.
    pub dropped_labels: Vec<Box<str>>,
    /// `[rules.worker-label]`: what tells workers apart, where each has a series of its own.
    pub worker_label: Option<WorkerLabel>,
}

/// What tells workers apart, where each has a series of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WorkerLabel {
    /// The label `pid`: the worker's pid, or the identifier in the name of its file.
    #[default]
    Pid,
    /// The label `worker`: its place in the pool, which the next worker takes over
    /// (`[life.place]`).
    Slot,
}

impl WorkerLabel {
    /// All of them, in the order of their names.
    pub const ALL: [WorkerLabel; 2] = [WorkerLabel::Pid, WorkerLabel::Slot];

    /// The word for it in rules and flags.
    pub fn name(self) -> &'static str {
        match self {
            WorkerLabel::Pid => "pid",
            WorkerLabel::Slot => "slot",
        }
    }

    /// The name of the label.
    pub fn label(self) -> &'static str {
        match self {
            WorkerLabel::Pid => "pid",
            WorkerLabel::Slot => "worker",
        }
    }
}

/// `[rules.match]`: a name, in which `*` stands for any run of characters and `?` for any one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pattern(Box<str>);

/// What all rules together want of one family.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) mode: Option<Mode>,
    pub(crate) help: Option<Arc<str>>,
    pub(crate) buckets: Option<Arc<[f64]>>,
    worker_label: Option<WorkerLabel>,
    drop: Option<bool>,
    /// For each label that a rule names: its new name, or `None` where it is dropped.
    labels: Vec<(Box<str>, Option<Box<str>>)>,
}

impl Rules {
    /// `[rules.first]`: what is wanted of the family with this name, whose samples have this suffix
    /// where it is not all of theirs: `_total` or `_info`.
    pub(crate) fn of(&self, name: &str, suffix: &str) -> Wanted {
        let mut wanted = Wanted::default();
        let with_suffix = [name, suffix].concat();
        let matches =
            |rule: &&Rule| rule.pattern.matches(name) || rule.pattern.matches(&with_suffix);
        for rule in self.rules.iter().filter(matches) {
            wanted.mode = wanted.mode.or(rule.mode);
            wanted.help = wanted.help.or_else(|| rule.help.clone());
            wanted.buckets = wanted.buckets.or_else(|| rule.buckets.clone());
            wanted.drop = wanted.drop.or(rule.drop);
            wanted.worker_label = wanted.worker_label.or(rule.worker_label);
            let dropped = rule.dropped_labels.iter().map(|name| (name, None));
            let renamed = rule
                .renamed_labels
                .iter()
                .map(|(old, new)| (old, Some(new)));
            for (label, outcome) in dropped.chain(renamed) {
                if wanted.labels.iter().all(|(known, _)| known != label) {
                    wanted.labels.push((label.clone(), outcome.cloned()));
                }
            }
        }
        wanted
    }

    /// `[rules.type]`: the type of a metric of this name, whose dialect has none. A rule for
    /// `jobs` makes a counter of `jobs_total`, and nothing else.
    pub(crate) fn metric_type(&self, name: &str) -> Option<MetricType> {
        let stem = name.strip_suffix("_total").unwrap_or(name);
        self.rules.iter().find_map(|rule| {
            let wanted = rule.metric_type?;
            let is_stem = wanted == MetricType::Counter && rule.pattern.matches(stem);
            (is_stem || rule.pattern.matches(name)).then_some(wanted)
        })
    }
}

impl Wanted {
    pub(crate) fn is_dropped(&self) -> bool {
        self.drop == Some(true)
    }

    /// `[rules.worker-label]`: what tells workers apart.
    pub(crate) fn worker_label(&self) -> WorkerLabel {
        self.worker_label.unwrap_or_default()
    }

    /// Whether labels stay as they are.
    pub(crate) fn keeps_labels(&self) -> bool {
        self.labels.is_empty()
    }

    /// Which of the labels that rules name this is, in their order.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|(known, _)| **known == *name)
    }

    /// What becomes of a label: its name from now on, or `None` where it is dropped.
    pub(crate) fn label<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self.labels.iter().find(|(known, _)| **known == *name) {
            Some((_, outcome)) => outcome.as_deref(),
            None => Some(name),
        }
    }
}

impl Pattern {
    /// A pattern; every text is one.
    pub fn new(pattern: &str) -> Pattern {
        Pattern(pattern.into())
    }

    /// Whether the pattern matches all of `name`.
    pub(crate) fn matches(&self, name: &str) -> bool {
        glob(self.0.as_bytes(), name.as_bytes())
    }
}

/// Whether `text` is what `pattern` describes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    // Where the last `*` stands, and how much of the text it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[here] => {
                at += 1;
                here += character(text, here, byte);
            }
            _ => {
                let Some((position, taken)) = star else {
                    return false;
                };
                star = Some((position, taken + 1));
                (at, here) = (position + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// How many bytes of the text one byte of the pattern stands for: `?` is a whole character.
fn character(text: &[u8], here: usize, byte: u8) -> usize {
    let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    match byte {
        b'?' => 1 + text[here + 1..].iter().take_while(is_rest).count(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [rules.match]
    #[test]
    fn a_pattern_describes_the_whole_name() {
        for (pattern, name, expected) in [
            ("jobs", "jobs", true),
            ("jobs", "jobs_", false),
            ("*", "", true),
            ("*", "jobs", true),
            ("j*s", "jobs", true),
            ("j*s", "jobst", false),
            ("*_total", "jobs_total", true),
            ("*a*b", "xaxbxab", true),
            ("*a*b", "xaxbxabc", false),
            ("j?bs", "jobs", true),
            ("j?bs", "j\u{e9}bs", true),
            ("j?bs", "jbs", false),
            ("", "", true),
            ("?", "", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
