//! headcount's own metrics: what a pass tells about the pool itself.
//!
//! Owns their names, help and labels. All are gauges that describe one pass, so that nothing is
//! consumed by reading and two scrapers see the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use headcount_collect::budget::Budget;
use headcount_collect::collector::Collection;
use headcount_collect::model::{Family, Labels, MetricType, Series, Value};
use headcount_collect::report::{
    DamageReason, Dialect, FileReport, FileState, LedgerReport, LedgerState, Liveness, Worker,
};

use crate::findings::ConflictKind;
use crate::pool::left_out::LeftOut;
use crate::pool::liveness::Methods;
use crate::pool::ruling::Ruling;
use crate::pool::{FoldState, Pass};

/// How many workers a pass found, by whether they run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Census {
    pub(crate) dead: usize,
    pub(crate) live: usize,
    pub(crate) unknown: usize,
}

/// Counts the workers behind the files of `collection`. One with several files counts once, but two
/// directories, such as two containers have, may hold two workers of one pid.
pub(crate) fn count_workers(collection: &Collection) -> Census {
    let mut workers: HashMap<(Option<&Path>, &Worker), Liveness> = HashMap::new();
    for file in &collection.files {
        // What holds nothing proves no worker.
        if let Some(worker) = file.worker.as_ref().filter(|_| is_written(file)) {
            let key = (file.path.parent(), worker);
            let liveness = workers.entry(key).or_insert(file.verdict.liveness);
            *liveness = livelier(*liveness, file.verdict.liveness);
        }
    }
    let mut census = Census::default();
    for liveness in workers.into_values() {
        match liveness {
            Liveness::Dead => census.dead += 1,
            Liveness::Live => census.live += 1,
            Liveness::Unknown => census.unknown += 1,
        }
    }
    census
}

/// Counts the workers that run, as far as can be told, and have found no room for a series. What a
/// dead one had in its memory is gone, and more room brings nothing back.
fn count_degraded(collection: &Collection) -> usize {
    let files = collection.files.iter();
    let degraded = files.filter(|file| file.refused > 0 && file.verdict.liveness != Liveness::Dead);
    let workers: HashSet<_> = degraded
        .map(|file| (file.path.parent(), file.worker.as_ref()))
        .collect();
    workers.len()
}

fn is_written(file: &FileReport) -> bool {
    file.series > 0 || matches!(file.state, FileState::Good | FileState::Empty)
}

/// The families, ordered by name.
pub(super) fn families(pass: &Pass) -> Vec<Family> {
    let collection = &pass.collection;
    let bad_files = by_reason(collection);
    let left_out = LeftOut::of(collection, &pass.budgets);
    let by_budget = |counts: &BTreeMap<Budget, u64>| {
        let counts = counts.iter();
        let values =
            counts.map(|(budget, &count)| (labelled("budget", budget.name()), count as f64));
        values.collect::<Vec<_>>()
    };
    let workers = count_workers(collection);
    let series: usize = collection
        .families
        .iter()
        .map(|family| family.series.len())
        .sum();
    let refused: u64 = collection.files.iter().map(|file| file.refused).sum();
    let bytes = collection.directories.iter().map(|directory| {
        let files = collection.files.iter();
        let inside = files.filter(|file| file.path.parent() == Some(&*directory.path));
        let bytes: u64 = inside.map(|file| file.bytes).sum();
        (
            vec![("directory", directory.path.to_string_lossy().into_owned())],
            bytes as f64,
        )
    });
    let up = collection.directories.iter().map(|directory| {
        let labels = vec![("directory", directory.path.to_string_lossy().into_owned())];
        (labels, f64::from(u8::from(directory.error.is_none())))
    });
    // Every method is there from the first scrape, so that a rule sees 0 turn to 1.
    let methods = collection.directories.iter().flat_map(|directory| {
        let path = directory.path.to_string_lossy().into_owned();
        let methods: Vec<_> = Methods::of(collection, &directory.path).counts().collect();
        methods.into_iter().map(move |(method, count)| {
            let labels = vec![
                ("directory", path.clone()),
                ("method", method.name().to_owned()),
            ];
            (labels, count as f64)
        })
    });
    let build = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("os", std::env::consts::OS.to_owned()),
        ("arch", std::env::consts::ARCH.to_owned()),
    ];
    let mut families = vec![
        gauge(
            "headcount_bad_files",
            "Files that are set aside, by what is wrong with them.",
            bad_files
                .into_iter()
                .map(|(reason, count)| (labelled("reason", reason), count as f64)),
        ),
        gauge(
            "headcount_build_info",
            "A constant 1; the labels tell which headcount this is.",
            [(build.to_vec(), 1.0)],
        ),
        gauge(
            "headcount_conflicts",
            "Disagreements between workers about a metric, by what they disagree about.",
            by_kind(collection)
                .into_iter()
                .map(|(kind, count)| (labelled("kind", kind), count as f64)),
        ),
        gauge(
            "headcount_degraded_workers",
            "Workers that run and count a series in memory alone, for want of room in their file.",
            [(Vec::new(), count_degraded(collection) as f64)],
        ),
        gauge(
            "headcount_directories_up",
            "Whether the directory can be read: 1 or 0.",
            up,
        ),
        gauge(
            "headcount_directory_bytes",
            "Size of all files of the pool in the directory.",
            bytes,
        ),
        gauge(
            "headcount_files",
            "Files in the pool's directories, by the client that wrote them and by state.",
            by_dialect_and_state(collection)
                .into_iter()
                .map(|((dialect, state), count)| {
                    (
                        vec![("dialect", dialect.to_owned()), ("state", state.to_owned())],
                        count as f64,
                    )
                }),
        ),
        gauge(
            "headcount_ledger_bytes",
            "Size of the ledger, which holds what dead workers counted.",
            of_ledger(collection, |ledger| ledger.bytes as f64),
        ),
        gauge(
            "headcount_ledger_files",
            "Files of dead workers that the ledger lists as folded, of the last day at most.",
            of_ledger(collection, |ledger| ledger.folded.len() as f64),
        ),
        gauge(
            "headcount_ledger_refused",
            "Whether there is a ledger that cannot be read, so that nothing is served: 1 or 0.",
            of_ledger(collection, |ledger| {
                f64::from(u8::from(matches!(ledger.state, LedgerState::Refused(_))))
            }),
        ),
        gauge(
            "headcount_ledger_series",
            "Series that the ledger holds.",
            of_ledger(collection, |ledger| ledger.series as f64),
        ),
        gauge(
            "headcount_left_out_files",
            "Files that are left out, by the budget that has no room for them.",
            by_budget(&left_out.files),
        ),
        gauge(
            "headcount_left_out_samples",
            "Samples in files that are left out, by the budget that has no room for them.",
            by_budget(&left_out.samples),
        ),
        gauge(
            "headcount_liveness_files",
            "Files of workers, by how it is known whether the worker runs; none: it is not known.",
            methods,
        ),
        gauge(
            "headcount_refused_series",
            "Series that a worker counts in its memory alone, for want of room in its file.",
            [(Vec::new(), refused as f64)],
        ),
        gauge(
            "headcount_scrape_duration_seconds",
            "Time that the merge for this scrape took.",
            [(Vec::new(), pass.duration.as_secs_f64())],
        ),
        gauge(
            "headcount_series",
            "Series of the pool after the merge.",
            [(Vec::new(), series as f64)],
        ),
        gauge(
            "headcount_shared_files",
            "Files that two live workers of one pid write, and lose each other's counts.",
            [(Vec::new(), pass.shared.len() as f64)],
        ),
        gauge(
            "headcount_workers",
            "Worker processes whose files are here, by whether they still run.",
            [
                ("dead", workers.dead),
                ("live", workers.live),
                ("unknown", workers.unknown),
            ]
            .map(|(state, count)| (labelled("state", state), count as f64)),
        ),
    ];
    families.extend(pass.ruling.into_iter().flat_map(about_rules));
    families.extend((!pass.folds.is_empty()).then(|| about_folds(pass)));
    families.sort_by(|left, right| left.name.cmp(&right.name));
    families
}

/// How folding fares, every state from the first scrape on.
fn about_folds(pass: &Pass) -> Family {
    let directories = pass.collection.directories.iter().zip(&pass.folds);
    let states = directories.flat_map(|(directory, fold)| {
        let path = directory.path.to_string_lossy();
        FoldState::NAMES.map(|state| {
            let labels = vec![
                ("directory", path.clone().into_owned()),
                ("state", state.to_owned()),
            ];
            (labels, f64::from(u8::from(fold.name == state)))
        })
    });
    gauge(
        "headcount_fold_state",
        "How folding dead workers' files into the ledger fares: 1 for the state that holds.",
        states.collect::<Vec<_>>(),
    )
}

/// A number about each directory's ledger.
fn of_ledger(
    collection: &Collection,
    number: impl Fn(&LedgerReport) -> f64,
) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let directories = collection.directories.iter();
    let numbers = directories.map(|directory| {
        let labels = vec![("directory", directory.path.to_string_lossy().into_owned())];
        (labels, number(&directory.ledger))
    });
    numbers.collect()
}

/// Named as those of Prometheus about its own configuration.
fn about_rules(ruling: Ruling) -> [Family; 2] {
    let since = ruling.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    [
        gauge(
            "headcount_rules_last_reload_success_timestamp_seconds",
            "When the rules that apply were read, in seconds since 1970.",
            [(Vec::new(), since.as_secs_f64())],
        ),
        gauge(
            "headcount_rules_reload_successful",
            "Whether the rules file could be used when it was last read: 1 or 0.",
            [(Vec::new(), f64::from(u8::from(ruling.is_current)))],
        ),
    ]
}

/// A worker runs if any of its files says so, and is dead only if all do.
fn livelier(one: Liveness, other: Liveness) -> Liveness {
    match (one, other) {
        (Liveness::Live, _) | (_, Liveness::Live) => Liveness::Live,
        (Liveness::Unknown, _) | (_, Liveness::Unknown) => Liveness::Unknown,
        (Liveness::Dead, Liveness::Dead) => Liveness::Dead,
    }
}

/// Every reason is there from the first scrape, so that a rule sees 0 turn to 1.
fn by_reason(collection: &Collection) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<_, _> = DamageReason::ALL.map(|reason| (reason.name(), 0)).into();
    for file in &collection.files {
        if let FileState::Damaged(damage) = &file.state {
            *counts.entry(damage.reason.name()).or_default() += 1;
        }
    }
    counts
}

/// Likewise.
fn by_kind(collection: &Collection) -> BTreeMap<&'static str, usize> {
    let mut counts: BTreeMap<_, _> = ConflictKind::ALL.map(|kind| (kind.name(), 0)).into();
    for conflict in &collection.conflicts {
        let kind = ConflictKind::of(conflict);
        *counts.entry(kind.name()).or_default() += 1;
    }
    counts
}

fn by_dialect_and_state(collection: &Collection) -> BTreeMap<(&'static str, &'static str), usize> {
    let states = [
        FileState::Good,
        FileState::Empty,
        FileState::EarlierBoot,
        FileState::PassedOver(""),
    ];
    let states = states.iter().map(FileState::name).chain([DAMAGED]);
    let dialects = || {
        Dialect::ALL
            .map(Dialect::name)
            .into_iter()
            .chain([NO_DIALECT])
    };
    let pairs = states.flat_map(|state| dialects().map(move |dialect| ((dialect, state), 0)));
    let mut counts: BTreeMap<_, _> = pairs.collect();
    for file in &collection.files {
        let dialect = file.dialect.map_or(NO_DIALECT, Dialect::name);
        *counts.entry((dialect, file.state.name())).or_default() += 1;
    }
    counts
}

fn labelled(name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    vec![(name, value.to_owned())]
}

fn gauge(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Vec<(&'static str, String)>, f64)>,
) -> Family {
    let series = values.into_iter().map(|(labels, value)| Series {
        labels: Arc::new(Labels::new(
            labels
                .into_iter()
                .map(|(name, value)| (name.into(), value.into_boxed_str())),
        )),
        value: Value::Gauge(value),
        created: None,
    });
    let mut series: Vec<Series> = series.collect();
    series.sort_by(|left, right| left.labels.cmp(&right.labels));
    // Two directories whose names differ only in what is no UTF-8 look the same.
    series.dedup_by(|later, earlier| later.labels == earlier.labels);
    Family {
        name: name.into(),
        help: help.into(),
        unit: "".into(),
        metric_type: MetricType::Gauge,
        is_bare: false,
        series,
    }
}

/// The dialect of a file whose content does not tell.
const NO_DIALECT: &str = "unknown";

/// [`FileState::Damaged`] by its name.
const DAMAGED: &str = "damaged";

#[cfg(test)]
mod tests;
