//! The rules file of a pool: how it is applied, and how the last reading went.
//!
//! Owns the state that the metrics tell. Knows neither when it is read again nor what it says.

use std::path::PathBuf;
use std::time::SystemTime;

use headcount_collect::collector::Collector;
use headcount_collect::rules::{Pattern, Rule, Rules, WorkerLabel};

use crate::rules::RulesFile;

/// How reading the rules file went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ruling {
    /// Whether what lay there the last time applies.
    pub(crate) is_current: bool,
    /// When the rules that apply were read.
    pub(crate) since: SystemTime,
}

impl Ruling {
    /// Has `collector` obey `file`, in whole, from its next pass on. `directories` are the
    /// collector's, in its order.
    pub(super) fn apply(
        file: &RulesFile,
        directories: &[PathBuf],
        worker_label: WorkerLabel,
        collector: &mut Collector,
    ) -> Ruling {
        collector.set_rules(complete(file.rules().clone(), worker_label));
        for (index, directory) in directories.iter().enumerate() {
            // One that is named no more has none from now on.
            collector.set_directory_labels(index, file.labels(directory));
        }
        Ruling {
            is_current: true,
            since: SystemTime::now(),
        }
    }
}

/// `[rules.worker-label]`: the rules, and behind all of them what the flag says of every family.
pub(super) fn complete(mut rules: Rules, worker_label: WorkerLabel) -> Rules {
    if worker_label != WorkerLabel::default() {
        rules.rules.push(Rule {
            pattern: Pattern::new("*"),
            worker_label: Some(worker_label),
            ..Rule::default()
        });
    }
    rules
}
