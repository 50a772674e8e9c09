//! What the budgets leave out of a pass.
//!
//! Owns the sums over all files and directories. Says nothing of them.

use std::collections::BTreeMap;

use headcount_collect::budget::{Budget, Budgets};
use headcount_collect::collector::Collection;

use crate::findings::is_over_file_bytes;

/// How much is left out by each budget; a budget leaves out either files or samples, and stands with
/// zero where it leaves out none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LeftOut {
    pub(crate) files: BTreeMap<Budget, u64>,
    pub(crate) samples: BTreeMap<Budget, u64>,
}

impl LeftOut {
    /// What is missing in `collection`, which was read with these budgets.
    pub(crate) fn of(collection: &Collection, budgets: &Budgets) -> LeftOut {
        let mut left_out = LeftOut::default();
        for budget in Budget::ALL {
            match budget {
                Budget::Files | Budget::FileBytes => left_out.files.insert(budget, 0),
                _ => left_out.samples.insert(budget, 0),
            };
        }
        let directories = collection.directories.iter();
        let beyond: u64 = directories.map(|each| each.files_left_out).sum();
        left_out.files.insert(Budget::Files, beyond);
        for file in &collection.files {
            if is_over_file_bytes(file, budgets) {
                *left_out.files.entry(Budget::FileBytes).or_default() += 1;
            }
            for (&budget, &samples) in &file.left_out {
                *left_out.samples.entry(budget).or_default() += samples;
            }
        }
        left_out
    }

    /// Every budget, what it leaves out, and how many of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Budget, &'static str, u64)> {
        let files = self
            .files
            .iter()
            .map(|(&budget, &count)| (budget, "file", count));
        let samples = self
            .samples
            .iter()
            .map(|(&budget, &count)| (budget, "sample", count));
        files.chain(samples)
    }
}
