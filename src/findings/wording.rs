//! What is said of each kind of finding, and what to do about it.
//!
//! Owns the words that a terminal and the page for people have in common.

use headcount_collect::budget::Budget;
use headcount_collect::report::{Conflict, DamageReason};

use super::{ConflictKind, Finding, Kind};
use crate::print::{Count, Grouped};

/// The option that raises a budget.
pub(crate) fn flag(budget: Budget) -> &'static str {
    match budget {
        Budget::FamilySeries => "--budget.family-series",
        Budget::FileBytes => "--budget.file-bytes",
        Budget::Files => "--budget.files",
        Budget::LabelBytes => "--budget.label-bytes",
        Budget::Labels => "--budget.labels",
        Budget::Series => "--budget.series",
        _ => "--budget",
    }
}

/// The metric that a conflict is about.
pub(super) fn family(conflict: &Conflict) -> &str {
    match conflict {
        Conflict::Buckets { family }
        | Conflict::Help { family, .. }
        | Conflict::Mode { family, .. }
        | Conflict::Name { family, .. }
        | Conflict::States { family }
        | Conflict::Times { family, .. }
        | Conflict::Unit { family, .. }
        | Conflict::Worker { family, .. } => family,
        // One that this program does not know yet: the enum is open to more, so that the compiler
        // asks for this arm. A test sees to it that no known kind ends here.
        _ => "",
    }
}

pub(super) fn counted(count: u64, what: &'static str) -> String {
    Count(count, what).to_string()
}

impl Finding {
    /// What it is, in a few words.
    pub(crate) fn title(&self) -> &'static str {
        match self.kind {
            Kind::Directory => "not read",
            Kind::Ledger => "ledger refused",
            Kind::Network => "on a network file system",
            Kind::Shared => "two writers",
            Kind::LeftOut(Budget::FileBytes) => DamageReason::TooLarge.name(),
            Kind::LeftOut(_) => "over budget",
            Kind::Damaged(reason) => reason.name(),
            Kind::Refused => "refused",
            Kind::Conflict(ConflictKind::Buckets) => "different buckets",
            Kind::Conflict(ConflictKind::Help) => "two help texts",
            Kind::Conflict(ConflictKind::Mode) => "two multiprocess modes",
            Kind::Conflict(ConflictKind::Name) => "two metrics of one name",
            Kind::Conflict(ConflictKind::States) => "different states",
            Kind::Conflict(ConflictKind::Times) => "a rule that needs times",
            Kind::Conflict(ConflictKind::Unit) => "two units",
            Kind::Conflict(ConflictKind::Worker) => "two workers of one label",
            Kind::Conflict(ConflictKind::Other) => "conflict",
            Kind::EarlierBoot => "earlier_boot",
            Kind::UserSpace => "on FUSE",
            Kind::PassedOver => "passed_over",
        }
    }

    /// How much there is of it.
    pub(crate) fn extent(&self) -> String {
        let Finding { count, missing, .. } = *self;
        let files = Count(count, "file");
        let partly = match self.partly {
            0 => String::new(),
            partly if partly == count => ", served in part".to_owned(),
            partly => format!(", {} of them served in part", Grouped(partly)),
        };
        match self.kind {
            Kind::Directory | Kind::Network | Kind::UserSpace => counted(count, "director"),
            Kind::LeftOut(budget @ Budget::FileBytes) => {
                format!("{files} over {}{partly}", flag(budget))
            }
            Kind::LeftOut(budget @ Budget::Files) => {
                format!("{} beyond {}", Count(missing, "file"), flag(budget))
            }
            Kind::LeftOut(budget) => {
                let samples = Count(missing, "sample");
                format!("{samples} of {files} beyond {}", flag(budget))
            }
            Kind::Refused => format!("{} of {files}", Count(missing, "series")),
            Kind::Conflict(_) => counted(count, "conflict"),
            Kind::Damaged(_)
            | Kind::EarlierBoot
            | Kind::Ledger
            | Kind::PassedOver
            | Kind::Shared => format!("{files}{partly}"),
        }
    }

    /// Whether the details name what they are about.
    pub(crate) fn details_name(&self) -> bool {
        matches!(
            self.kind,
            Kind::Directory | Kind::Network | Kind::UserSpace | Kind::Conflict(_)
        )
    }

    /// What to do; empty where there is nothing to do, or the detail says it.
    pub(crate) fn advice(&self) -> &'static str {
        match self.kind {
            Kind::Directory | Kind::Network | Kind::PassedOver => "",
            Kind::LeftOut(budget) => over_budget(budget),
            Kind::Ledger => {
                "Nothing is served rather than totals without the dead. Let headcount read it, use the \
                 release that wrote it, or move it away: what dead workers counted before is lost \
                 then."
            }
            Kind::Shared => {
                "They lose each other's counts. Give each container a directory of its own, or name \
                 the workers by process_identifier (Python) or pid_provider (Ruby)."
            }
            Kind::Damaged(reason) => damaged(reason),
            Kind::Refused => {
                "Counted in the worker's memory alone; its standard error says why. Most often the \
                 disk is full: make room. A label value over 65,535 bytes never fits."
            }
            Kind::Conflict(kind) => disagreeing(kind),
            Kind::EarlierBoot => {
                "Not in the sums. Remove such files: no process that wrote one is left."
            }
            Kind::UserSpace => "Use a directory on tmpfs, such as /dev/shm, or on a local disk.",
        }
    }
}

fn over_budget(budget: Budget) -> &'static str {
    match budget {
        Budget::Files => {
            "Nothing of these is served. Remove the files of workers that are long gone, or raise \
             the budget."
        }
        Budget::FileBytes => {
            "Most often a label has a value for each request: mend that in the workers, or raise \
             the budget."
        }
        Budget::Labels | Budget::LabelBytes => {
            "Have a rule drop such labels (drop_labels, --rules.file), or raise the budget."
        }
        _ => {
            "What came last is left out. Have a rule drop the label that has a value for each \
             request (drop_labels, --rules.file), or raise the budget."
        }
    }
}

fn damaged(reason: DamageReason) -> &'static str {
    match reason {
        DamageReason::Foreign => {
            "Move it away if another program put it there. If a worker did, its client is one that \
             headcount does not read."
        }
        DamageReason::Hostile => {
            "Workers write regular files with one name: move it away, let only workers write there, \
             and back up by copies, not by links."
        }
        DamageReason::TooLarge => {
            "Look for a label that holds a whole text, or has a value for each request."
        }
        DamageReason::TornTail => {
            "A worker adds a series just now, or was killed at it. If it stays so, remove the file \
             once the worker has ended."
        }
        DamageReason::Truncated => {
            "Look for what cuts files there: a full disk, a cleaning job, a copy under way. What \
             `headcount serve` has read before stays served."
        }
        DamageReason::Unreadable => {
            "Run headcount as the workers' user, or give both one group and the directory mode 2770."
        }
        DamageReason::Version => "Update headcount: a newer writer made it.",
        _ => {
            "`headcount inspect` shows what can be read of it: mend what writes it, or, for a .bin \
             file, the type that a rule gives it. If headcount-writer made it, please report it."
        }
    }
}

fn disagreeing(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Times => "Give it another mode in the rules, such as max.",
        ConflictKind::Name => "Rename one of the two in the workers' code.",
        ConflictKind::Worker => {
            "Give each directory labels of its own (--rules.file) and each container a directory of \
             its own, or name the workers by process_identifier (Python) or pid_provider (Ruby)."
        }
        ConflictKind::Help | ConflictKind::Mode => {
            "Let all workers run one version of the code, or say in a rule what is right \
             (--rules.file). Files of older workers stay until they are removed."
        }
        _ => {
            "Let all workers run one version of the code; files of older workers stay until they \
             are removed."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headcount_collect::model::{MetricType, Mode};

    use super::*;

    // A rule that needs times was once told of no family at all: its arm was the one for kinds that
    // are not known.
    #[test]
    fn every_conflict_that_is_known_names_its_family() {
        let family: Arc<str> = "level".into();
        let texts = || (Arc::clone(&family), "served".into(), "other".into());
        let help = |(family, served, other)| Conflict::Help {
            family,
            served,
            other,
        };
        let unit = |(family, served, other)| Conflict::Unit {
            family,
            served,
            other,
        };
        let conflicts = [
            Conflict::Buckets {
                family: Arc::clone(&family),
            },
            help(texts()),
            Conflict::Mode {
                family: Arc::clone(&family),
                served: Mode::Max,
                other: Mode::Min,
            },
            Conflict::Name {
                family: Arc::clone(&family),
                served: MetricType::Counter,
                other_family: "other".into(),
                other: MetricType::Gauge,
            },
            Conflict::States {
                family: Arc::clone(&family),
            },
            Conflict::Times {
                family: Arc::clone(&family),
                mode: Mode::MostRecent,
            },
            unit(texts()),
            Conflict::Worker {
                family: Arc::clone(&family),
                label: "pid",
                value: "1".into(),
            },
        ];
        assert_eq!(
            conflicts.each_ref().map(ConflictKind::of),
            ConflictKind::ALL
        );
        for conflict in &conflicts {
            assert_eq!(super::family(conflict), "level", "{conflict:?}");
        }
    }
}
