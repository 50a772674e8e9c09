//! How the lives of workers were decided, counted for a person and for a metric.
//!
//! Owns which files have a worker to ask about, and the line that says it. Asks nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use headcount_collect::collector::Collection;
use headcount_collect::report::Method;

use crate::print::{Count, Grouped, Plain, Short};

/// How many files' workers were found live or dead by which method.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Methods {
    /// Every method, also one that decided nothing.
    counts: BTreeMap<Method, u64>,
    /// Of those by no method: how many, by the reason.
    doubts: BTreeMap<Arc<str>, u64>,
}

impl Methods {
    /// Of the files of one directory. A text file is no worker's ([life.text]), and neither is what
    /// is set aside.
    pub(crate) fn of(collection: &Collection, directory: &Path) -> Methods {
        let mut methods = Methods::none();
        let inside = collection.files.iter();
        let inside = inside.filter(|file| file.path.parent() == Some(directory));
        for file in inside.filter(|file| file.worker.is_some()) {
            *methods.counts.entry(file.verdict.method).or_default() += 1;
            if let Some(doubt) = &file.verdict.doubt {
                *methods.doubts.entry(Arc::clone(doubt)).or_default() += 1;
            }
        }
        methods
    }

    /// Of no file.
    pub(crate) fn none() -> Methods {
        Methods {
            counts: Method::ALL.map(|method| (method, 0)).into(),
            doubts: BTreeMap::new(),
        }
    }

    /// Adds those of another directory.
    pub(crate) fn add(&mut self, other: &Methods) {
        for (method, count) in &other.counts {
            *self.counts.entry(*method).or_default() += count;
        }
        for (doubt, count) in &other.doubts {
            *self.doubts.entry(Arc::clone(doubt)).or_default() += count;
        }
    }

    /// Whether there is no file.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.values().all(|&count| count == 0)
    }

    /// Each method and how many files it decided.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Method, u64)> {
        self.counts.iter().map(|(&method, &count)| (method, count))
    }
}

/// One line: `12 files by lock, 3 by lease, 1 not told (owned by uid 1000: ...)`.
impl fmt::Display for Methods {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (method, count) in self.counts().filter(|&(_, count)| count > 0) {
            if method != Method::None {
                parts.push((count, format!("by {}", method.name())));
            }
        }
        parts.sort_by_key(|&(count, _)| std::cmp::Reverse(count));
        let mut doubts: Vec<_> = self.doubts.iter().collect();
        doubts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let mut untold = self.counts.get(&Method::None).copied().unwrap_or_default();
        for (doubt, &count) in doubts.into_iter().take(REASONS) {
            untold -= count;
            let reason = Short(Plain(doubt), REASON);
            parts.push((count, format!("not told ({reason})")));
        }
        if untold > 0 {
            parts.push((untold, "not told for other reasons".to_owned()));
        }
        for (index, (count, how)) in parts.into_iter().enumerate() {
            match index {
                0 => write!(formatter, "{} {how}", Count(count, "file"))?,
                _ => write!(formatter, ", {} {how}", Grouped(count))?,
            }
        }
        Ok(())
    }
}

/// How many reasons are written out.
const REASONS: usize = 2;

/// How many characters of a reason are.
const REASON: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(counts: &[(Method, u64)], doubts: &[(&str, u64)]) -> Methods {
        let mut methods = Methods::none();
        methods.add(&Methods {
            counts: counts.iter().copied().collect(),
            doubts: doubts
                .iter()
                .map(|&(doubt, count)| (doubt.into(), count))
                .collect(),
        });
        methods
    }

    #[test]
    fn the_line_says_which_method_decides_and_why_one_does_not() {
        let counts = [(Method::Lock, 12), (Method::Lease, 3), (Method::None, 1)];
        let told = methods(&counts, &[("no luck: try again", 1)]).to_string();
        assert_eq!(
            told,
            "12 files by lock, 3 by lease, 1 not told (no luck: try again)"
        );
        assert_eq!(
            methods(&[(Method::Proc, 1)], &[]).to_string(),
            "1 file by proc"
        );
        assert!(Methods::none().is_empty());
    }

    #[test]
    fn ten_thousand_reasons_are_one_line_of_bounded_length() {
        let reasons: Vec<String> = (0..10_000)
            .map(|uid| format!("{uid}\n{}", "x".repeat(999)))
            .collect();
        let doubts: Vec<(&str, u64)> = reasons.iter().map(|reason| (&**reason, 1)).collect();
        let told = methods(&[(Method::None, 10_000)], &doubts).to_string();
        assert!(
            told.ends_with(", 9,998 not told for other reasons"),
            "{told}"
        );
        assert!(told.len() < 400 && !told.contains('\n'), "{told}");
    }
}
