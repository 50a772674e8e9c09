//! What the keys of a rules file mean.
//!
//! Owns the grammar, and that everything in a file is either understood or refused. Knows YAML only
//! as a tree.

use std::fs;
use std::path::{Path, PathBuf};

use headcount_collect::model::{Labels, MetricType, Mode};
use headcount_collect::rules::{Pattern, Rule, Rules, WorkerLabel};
use serde_saphyr::Spanned;

use crate::rules::error::{Complaint, Fault, Place};
use crate::rules::yaml::{Node, Value};

/// What a whole file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) rules: Rules,
    /// For each directory that is named, as it is served.
    pub(super) labels: Vec<(PathBuf, Labels)>,
}

/// `[rules.strict]`: reads `document` as rules, and as labels of `served` directories.
pub(super) fn understand(document: &Node, served: &[PathBuf]) -> Result<Contents, Complaint> {
    let root = At {
        key: String::new(),
        node: document,
    };
    let mut contents = Contents::default();
    for (key, name, entry) in root.map("a map with directories and rules")? {
        match name {
            "directories" => contents.labels = directories(&entry, served)?,
            "rules" => {
                let rules = entry.list_or_nothing("a list of rules")?;
                contents.rules.rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
            }
            _ => return Err(key.unknown(&["directories", "rules"])),
        }
    }
    Ok(contents)
}

fn directories(at: &At<'_>, served: &[PathBuf]) -> Result<Vec<(PathBuf, Labels)>, Complaint> {
    let mut named: Vec<(PathBuf, Labels)> = Vec::new();
    for entry in at.list_or_nothing("a list of directories")? {
        let mut directory = None;
        let mut labels = None;
        for (key, name, value) in entry.map("a map with path and labels")? {
            match name {
                "labels" => labels = Some(constant_labels(&value)?),
                "path" => {
                    let path = value.text()?;
                    let Some(found) = find(Path::new(path), served) else {
                        let (path, served) = (path.into(), served.to_vec());
                        return Err(value.fails(Fault::NotServed { path, served }));
                    };
                    if named.iter().any(|(known, _)| known == found) {
                        return Err(value.fails(Fault::ServedTwice { path: path.into() }));
                    }
                    directory = Some(found.clone());
                }
                _ => return Err(key.unknown(&["path", "labels"])),
            }
        }
        let directory = entry.required(directory, "path", "path: /var/run/web")?;
        let labels = entry.required(labels, "labels", "labels: {app: web}")?;
        named.push((directory, labels));
    }
    Ok(named)
}

/// The directory among `served` that `path` leads to.
fn find<'a>(path: &Path, served: &'a [PathBuf]) -> Option<&'a PathBuf> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let wanted = real(path);
    served
        .iter()
        .find(|directory| real(directory.as_path()) == wanted)
}

fn constant_labels(at: &At<'_>) -> Result<Labels, Complaint> {
    let mut pairs: Vec<Pair> = Vec::new();
    for (key, name, value) in at.map("a map of labels, such as {app: web}")? {
        new_label_name(&key, name)?;
        pairs.push((name.into(), value.text_that_is_not_empty()?.into()));
    }
    if pairs.is_empty() {
        return Err(at.fails(Fault::NoLabels));
    }
    Ok(Labels::new(pairs))
}

fn rule(at: &At<'_>) -> Result<Rule, Complaint> {
    let mut pattern = None;
    let mut rule = Rule::default();
    let mut dropped: Vec<(At<'_>, &str)> = Vec::new();
    for (key, name, value) in at.map("a map with match and what is wanted")? {
        match name {
            "buckets" => rule.buckets = Some(buckets(&value)?.into()),
            "drop" => rule.drop = Some(value.flag()?),
            "drop_labels" => dropped = dropped_labels(&value)?,
            "help" => rule.help = Some(value.text()?.into()),
            "match" => pattern = Some(Pattern::new(value.text_that_is_not_empty()?)),
            "mode" => rule.mode = Some(mode(&value)?),
            "rename_labels" => rule.renamed_labels = renamed_labels(&value)?,
            "type" => rule.metric_type = Some(metric_type(&value)?),
            "worker_label" => rule.worker_label = Some(worker_label(&value)?),
            _ => return Err(key.unknown(&RULE_KEYS)),
        }
    }
    for (at, name) in dropped {
        if rule.renamed_labels.iter().any(|(old, _)| **old == *name) {
            let name = name.into();
            return Err(at.fails(Fault::RenamedAndDropped { name }));
        }
        rule.dropped_labels.push(name.into());
    }
    let pattern = at.required(pattern, "match", "match: http_*")?;
    if rule == Rule::default() {
        return Err(at.fails(Fault::EmptyRule));
    }
    rule.pattern = pattern;
    Ok(rule)
}

fn mode(at: &At<'_>) -> Result<Mode, Complaint> {
    let word = at.text()?;
    let mut modes = Mode::ALL.into_iter();
    modes.find(|mode| mode.name() == word).ok_or_else(|| {
        let known = Mode::ALL.map(Mode::name).to_vec();
        at.unknown_word(word, "multiprocess mode", known)
    })
}

fn worker_label(at: &At<'_>) -> Result<WorkerLabel, Complaint> {
    let word = at.text()?;
    let mut labels = WorkerLabel::ALL.into_iter();
    labels.find(|label| label.name() == word).ok_or_else(|| {
        let known = WorkerLabel::ALL.map(WorkerLabel::name).to_vec();
        at.unknown_word(word, "label of workers", known)
    })
}

fn metric_type(at: &At<'_>) -> Result<MetricType, Complaint> {
    let word = at.text()?;
    let mut types = TYPES.into_iter();
    types.find(|known| known.name() == word).ok_or_else(|| {
        let known = TYPES.map(MetricType::name).to_vec();
        at.unknown_word(word, "metric type", known)
    })
}

fn buckets(at: &At<'_>) -> Result<Vec<f64>, Complaint> {
    let mut bounds: Vec<f64> = Vec::new();
    for item in at.list("a list of numbers, such as [0.1, 1, 10]")? {
        let bound = match &item.node.value {
            Value::Number(bound) => *bound,
            // What YAML calls .inf, and everybody else by one of these names.
            Value::Text(text) if INFINITE.contains(&&**text) => f64::INFINITY,
            _ => return Err(item.is_no("a number")),
        };
        if !bound.is_finite() {
            return Err(item.fails(Fault::NotFinite));
        }
        if let Some(&before) = bounds.last().filter(|&&before| before >= bound) {
            let after = bound;
            return Err(item.fails(Fault::NotAscending { before, after }));
        }
        bounds.push(bound);
    }
    if bounds.is_empty() {
        return Err(at.fails(Fault::NoBuckets));
    }
    Ok(bounds)
}

fn dropped_labels<'a>(at: &At<'a>) -> Result<Vec<(At<'a>, &'a str)>, Complaint> {
    let mut dropped: Vec<(At<'a>, &'a str)> = Vec::new();
    for item in at.list("a list of label names, such as [user_id]")? {
        let name = item.text()?;
        label_name(&item, name)?;
        if dropped.iter().any(|(_, known)| *known == name) {
            return Err(item.fails(Fault::Twice { name: name.into() }));
        }
        dropped.push((item, name));
    }
    Ok(dropped)
}

fn renamed_labels(at: &At<'_>) -> Result<Vec<Pair>, Complaint> {
    let mut renamed: Vec<Pair> = Vec::new();
    for (key, old, value) in at.map("a map of label names, such as {old: new}")? {
        label_name(&key, old)?;
        let new = value.text()?;
        new_label_name(&value, new)?;
        if renamed.iter().any(|(_, known)| **known == *new) {
            return Err(value.fails(Fault::RenamedToOne { name: new.into() }));
        }
        renamed.push((old.into(), new.into()));
    }
    Ok(renamed)
}

/// A name that labels get here.
fn new_label_name(at: &impl Fails, name: &str) -> Result<(), Complaint> {
    label_name(at, name)?;
    if RESERVED.contains(&name) || name.starts_with("__") {
        return Err(at.fails(Fault::LabelReserved { name: name.into() }));
    }
    Ok(())
}

fn label_name(at: &impl Fails, name: &str) -> Result<(), Complaint> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit());
    if starts_well && name.bytes().all(is_part) {
        return Ok(());
    }
    Err(at.fails(Fault::LabelName { name: name.into() }))
}

/// A label and its value, or its name and the one that it gets.
type Pair = (Box<str>, Box<str>);

/// A node and the way to it.
struct At<'a> {
    key: String,
    node: &'a Node,
}

/// The place of a key, and the way to what it stands for.
struct Key {
    key: String,
    place: Place,
}

/// What a fault may be found at.
trait Fails {
    fn fails(&self, fault: Fault) -> Complaint;
}

impl Fails for At<'_> {
    fn fails(&self, fault: Fault) -> Complaint {
        Complaint {
            place: Some(self.node.referenced.into()),
            key: self.key.clone(),
            fault,
        }
    }
}

impl Fails for Key {
    fn fails(&self, fault: Fault) -> Complaint {
        Complaint {
            place: Some(self.place),
            key: self.key.clone(),
            fault,
        }
    }
}

impl Key {
    fn unknown(&self, known: &'static [&'static str]) -> Complaint {
        self.fails(Fault::UnknownKey { known })
    }
}

impl<'a> At<'a> {
    fn map(&self, wanted: &'static str) -> Result<Vec<(Key, &'a str, At<'a>)>, Complaint> {
        let Value::Map(entries) = &self.node.value else {
            return Err(self.is_no(wanted));
        };
        let entry = |(name, node): &'a (Spanned<String>, Node)| {
            let separator = if self.key.is_empty() { "" } else { "." };
            let key = format!("{}{separator}{}", self.key, name.value);
            let at = At {
                key: key.clone(),
                node,
            };
            let place = name.referenced.into();
            (Key { key, place }, name.value.as_str(), at)
        };
        Ok(entries.iter().map(entry).collect())
    }

    fn list(&self, wanted: &'static str) -> Result<Vec<At<'a>>, Complaint> {
        let Value::List(nodes) = &self.node.value else {
            return Err(self.is_no(wanted));
        };
        let items = nodes.iter().enumerate().map(|(index, node)| At {
            key: format!("{}[{index}]", self.key),
            node,
        });
        Ok(items.collect())
    }

    /// A list whose items may all be commented out.
    fn list_or_nothing(&self, wanted: &'static str) -> Result<Vec<At<'a>>, Complaint> {
        match self.node.value {
            Value::Nothing => Ok(Vec::new()),
            _ => self.list(wanted),
        }
    }

    fn text(&self) -> Result<&'a str, Complaint> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.is_no("text")),
        }
    }

    fn text_that_is_not_empty(&self) -> Result<&'a str, Complaint> {
        match self.text()? {
            "" => Err(self.fails(Fault::NoText)),
            text => Ok(text),
        }
    }

    fn flag(&self) -> Result<bool, Complaint> {
        match self.node.value {
            Value::Flag(flag) => Ok(flag),
            _ => Err(self.is_no("true or false")),
        }
    }

    fn required<T>(
        &self,
        value: Option<T>,
        key: &'static str,
        example: &'static str,
    ) -> Result<T, Complaint> {
        value.ok_or_else(|| self.fails(Fault::Missing { key, example }))
    }

    fn is_no(&self, wanted: &'static str) -> Complaint {
        let found = self.node.value.kind();
        self.fails(Fault::WrongType { wanted, found })
    }

    fn unknown_word(&self, word: &str, what: &'static str, known: Vec<&'static str>) -> Complaint {
        let word = word.into();
        self.fails(Fault::UnknownWord { word, what, known })
    }
}

const RULE_KEYS: [&str; 9] = [
    "match",
    "mode",
    "type",
    "help",
    "buckets",
    "drop",
    "rename_labels",
    "drop_labels",
    "worker_label",
];

/// The types that a file without types can hold.
const TYPES: [MetricType; 5] = [
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::Summary,
    MetricType::Unknown,
];

/// `[rules.reserved]`: labels that a merge, a histogram or a summary gives.
const RESERVED: [&str; 3] = ["le", "pid", "quantile"];

/// How the bound of the last bucket is written elsewhere.
const INFINITE: [&str; 6] = ["+Inf", "Inf", "inf", "+inf", "Infinity", "infinity"];
