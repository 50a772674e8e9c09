//! From slots to families: what is served, in which order, and what did not agree.
//!
//! Owns the order of everything and the choice between what cannot all be served
//! (`spec/merge.md`, chapters 4 and 5). Knows no files and no encodings.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::sync::Arc;

use headcount_format::MetricType;

use crate::model::{Bucket, Family, Labels, Quantile, Series, Value};
use crate::report::Conflict;
use crate::table::{Parts, SeriesId, SlotId, Table};

/// The order of families and series, kept from pass to pass until something new comes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    revision: Option<u64>,
    families: Vec<(u32, Vec<Row>)>,
}

/// One series of the exposition.
#[derive(Debug)]
struct Row {
    labels: Arc<Labels>,
    series: SeriesId,
    /// Those of a gauge or a state set, for one worker or for all.
    slots: Vec<SlotId>,
    /// `[merge.gauge.pid]`: those of series that differ in nothing but a label `pid` of their own,
    /// which gives way to the worker's.
    others: Vec<Vec<SlotId>>,
}

/// What may be served, before names are given away.
struct Candidate {
    family: u32,
    served: Family,
}

impl Plan {
    /// The families of this pass, ordered by name, and what did not agree.
    pub(crate) fn families(&mut self, table: &mut Table) -> (Vec<Family>, Vec<Conflict>) {
        if self.revision != Some(table.revision) {
            self.arrange(table);
        }
        let mut conflicts = BTreeSet::new();
        let mut candidates = Vec::new();
        for (family, rows) in &self.families {
            let series: Vec<Series> = rows.iter().filter_map(|row| series(table, row)).collect();
            for row in rows {
                report_contest(table, row, &mut conflicts);
            }
            report_missing_times(table, *family, rows, &series, &mut conflicts);
            // [merge.family.empty]
            if !series.is_empty() {
                let served = describe(table, *family, series, &mut conflicts);
                let family = *family;
                candidates.push(Candidate { family, served });
            }
        }
        let families = give_names(table, candidates, &mut conflicts);
        (families, conflicts.into_iter().collect())
    }

    /// `[merge.order]`: families by name, series by labels.
    fn arrange(&mut self, table: &Table) {
        self.revision = Some(table.revision);
        self.families.clear();
        for family in (0..).take(table.families().len()) {
            let mut rows: Vec<Row> = table
                .series_of(family)
                .flat_map(|series| rows(table, series))
                .collect();
            let own = |row: &Row| Arc::clone(&table.entry(row.series).labels);
            rows.sort_by(|left, right| {
                let labels = left.labels.cmp(&right.labels);
                labels.then_with(|| own(left).cmp(&own(right)))
            });
            rows.dedup_by(|later, earlier| {
                let is_same = later.labels == earlier.labels;
                if is_same {
                    earlier.others.push(std::mem::take(&mut later.slots));
                }
                is_same
            });
            self.families.push((family, rows));
        }
        self.families
            .sort_by(|left, right| name(table, left.0).cmp(&name(table, right.0)));
    }
}

fn name(table: &Table, family: u32) -> (&str, MetricType, bool) {
    let family = &table.families()[family as usize];
    (&family.name, family.metric_type, family.is_bare)
}

fn rows(table: &Table, series: SeriesId) -> Vec<Row> {
    let entry = table.entry(series);
    let Parts::Gauge { shared, per_worker } = &entry.parts else {
        let labels = Arc::clone(&entry.labels);
        return vec![Row {
            labels,
            series,
            slots: Vec::new(),
            others: Vec::new(),
        }];
    };
    let shared = shared.iter().map(|slots| (&entry.labels, slots));
    let own = per_worker.values().map(|own| (&own.labels, &own.slots));
    let row = |(labels, slots): (&Arc<Labels>, &Vec<SlotId>)| Row {
        labels: Arc::clone(labels),
        series,
        slots: slots.clone(),
        others: Vec::new(),
    };
    shared.chain(own).map(row).collect()
}

/// The value of a row; `None` where nobody contributes.
fn series(table: &Table, row: &Row) -> Option<Series> {
    let entry = table.entry(row.series);
    let metric_type = table.families()[entry.family() as usize].metric_type;
    let value = match (&entry.parts, metric_type) {
        (Parts::Gauge { .. }, MetricType::StateSet) => state_set(table, entry.family(), row)?,
        (Parts::Gauge { .. }, _) => {
            let all = iter::once(&row.slots).chain(&row.others);
            let values = all.filter_map(|slots| table.value(*slots.first()?));
            // One alone keeps its sign of zero.
            Value::Gauge(values.reduce(|one, other| one + other)?)
        }
        (Parts::Histogram { sum, buckets }, _) => {
            let sum = sum.and_then(|sum| table.value(sum));
            let buckets = buckets.iter().map(|(bound, slot)| (bound.value(), *slot));
            Value::Histogram {
                buckets: cumulate(table, buckets)?,
                sum,
            }
        }
        (
            Parts::Summary {
                count,
                sum,
                quantiles,
            },
            _,
        ) => {
            let count = count.and_then(|count| table.value(count));
            let sum = sum.and_then(|sum| table.value(sum));
            let quantiles = quantiles.iter().filter_map(|(quantile, slot)| {
                let (quantile, value) = (quantile.value(), table.value(*slot)?);
                Some(Quantile { quantile, value })
            });
            let quantiles: Vec<Quantile> = quantiles.collect();
            if count.or(sum).is_none() && quantiles.is_empty() {
                return None;
            }
            Value::Summary {
                count,
                sum,
                quantiles,
            }
        }
        (Parts::Single(slot), metric_type) => {
            let value = table.value(*slot)?;
            match metric_type {
                MetricType::Counter => Value::Counter(value),
                MetricType::Info => Value::Info,
                _ => Value::Unknown(value),
            }
        }
    };
    Some(Series {
        labels: Arc::clone(&row.labels),
        value,
        created: entry.created_seconds(),
    })
}

/// `[merge.histogram.cumulate]`: what is at most each bound; `[merge.histogram.inf]`: the last
/// bucket holds everything. `None` where no bucket has been counted.
fn cumulate(table: &Table, slots: impl Iterator<Item = (f64, SlotId)>) -> Option<Vec<Bucket>> {
    let mut count = 0.0;
    let mut is_set = false;
    let mut buckets: Vec<Bucket> = slots
        .map(|(upper_bound, slot)| {
            let value = table.value(slot);
            is_set |= value.is_some();
            count += value.unwrap_or(0.0);
            Bucket { upper_bound, count }
        })
        .collect();
    if buckets
        .last()
        .is_some_and(|last| last.upper_bound < f64::INFINITY)
    {
        let upper_bound = f64::INFINITY;
        buckets.push(Bucket { upper_bound, count });
    }
    is_set.then_some(buckets)
}

/// `[merge.worker.twice]`: reports a series that two workers claim for themselves.
fn report_contest(table: &Table, row: &Row, conflicts: &mut BTreeSet<Conflict>) {
    let is_contested = row.slots.iter().any(|&slot| table.is_contested(slot));
    let family = table.entry(row.series).family();
    let family = &table.families()[family as usize];
    let label = family.wanted.worker_label().label();
    if let Some(value) = row.labels.get(label).filter(|_| is_contested) {
        conflicts.insert(Conflict::Worker {
            family: Arc::clone(&family.name),
            label,
            value: value.into(),
        });
    }
}

/// `[rules.mode]`: reports a family of which nothing is left by a rule that needs times.
fn report_missing_times(
    table: &Table,
    family: u32,
    rows: &[Row],
    series: &[Series],
    conflicts: &mut BTreeSet<Conflict>,
) {
    let entry = &table.families()[family as usize];
    let mode = entry.wanted.mode.filter(|mode| mode.is_most_recent());
    if let Some(mode) = mode
        && series.is_empty()
        && rows.iter().any(|row| !row.slots.is_empty())
    {
        let family = Arc::clone(&entry.name);
        conflicts.insert(Conflict::Times { family, mode });
    }
}

fn state_set(table: &Table, family: u32, row: &Row) -> Option<Value> {
    let states = table.families()[family as usize].all_states();
    let all = || iter::once(&row.slots).chain(&row.others);
    let flag = |state: usize| {
        let slots = all().filter_map(|slots| slots.get(state));
        let flags = slots.filter_map(|&slot| table.value(slot));
        flags.reduce(f64::max)
    };
    let flags: Vec<Option<f64>> = (0..row.slots.len()).map(flag).collect();
    if flags.iter().all(Option::is_none) || flags.len() < states.len() {
        return None;
    }
    let flags = flags
        .iter()
        .take(states.len())
        .map(|flag| flag.is_some_and(|workers| workers >= 1.0))
        .collect();
    Some(Value::StateSet { states, flags })
}

/// The family's metadata, and what its contributors do not agree about.
fn describe(
    table: &Table,
    family: u32,
    series: Vec<Series>,
    conflicts: &mut BTreeSet<Conflict>,
) -> Family {
    let entry = &table.families()[family as usize];
    let name = &entry.name;
    // [merge.conflict.help] [merge.conflict.unit]
    let help = entry.help();
    let unit = entry.units.first().cloned().unwrap_or_default();
    // What a rule settles is no conflict any more.
    let is_settled = entry.wanted.help.is_some();
    for other in entry.helps.iter().skip(1).filter(|_| !is_settled).cloned() {
        let (family, served) = (Arc::clone(name), Arc::clone(&help));
        conflicts.insert(Conflict::Help {
            family,
            served,
            other,
        });
    }
    for other in entry.units.iter().skip(1).cloned() {
        let (family, served) = (Arc::clone(name), Arc::clone(&unit));
        conflicts.insert(Conflict::Unit {
            family,
            served,
            other,
        });
    }
    let is_settled = entry.wanted.mode.is_some();
    for other in entry.modes.iter().skip(1).filter(|_| !is_settled) {
        let (family, other) = (Arc::clone(name), other.1);
        conflicts.insert(Conflict::Mode {
            family,
            served: entry.mode(),
            other,
        });
    }
    if entry.buckets_differ {
        conflicts.insert(Conflict::Buckets {
            family: Arc::clone(name),
        });
    }
    if entry.states.len() > 1 {
        conflicts.insert(Conflict::States {
            family: Arc::clone(name),
        });
    }
    Family {
        name: Arc::clone(name),
        help,
        unit,
        metric_type: entry.metric_type,
        is_bare: entry.is_bare,
        series,
    }
}

/// `[merge.conflict.name]`: a name goes to the family that has had it, and else to the one whose
/// type ranks higher, and then to the one whose name is less.
fn give_names(
    table: &mut Table,
    mut candidates: Vec<Candidate>,
    conflicts: &mut BTreeSet<Conflict>,
) -> Vec<Family> {
    let precedence = |candidate: &Candidate| {
        let is_served = table.families()[candidate.family as usize].is_served;
        (
            Reverse(is_served),
            rank(candidate.served.metric_type),
            candidate.served.is_bare,
            Arc::clone(&candidate.served.name),
        )
    };
    candidates.sort_by_cached_key(precedence);
    // By each name, what it was given to: a family, in the order below.
    let mut given: HashMap<String, usize> = HashMap::new();
    let mut families: Vec<Family> = Vec::with_capacity(candidates.len());
    for Candidate { family, served } in candidates {
        let names: Vec<String> = served.sample_names().collect();
        if let Some(&holder) = names.iter().find_map(|name| given.get(name)) {
            conflicts.insert(name_conflict(&families[holder], &served));
            continue;
        }
        given.extend(names.into_iter().map(|name| (name, families.len())));
        table.set_served(family);
        families.push(served);
    }
    families.sort_by(|left, right| left.name.cmp(&right.name));
    families
}

/// That `served` goes before `other`. Two counters differ in their suffix alone.
fn name_conflict(served: &Family, other: &Family) -> Conflict {
    let are_counters = [served, other].map(|family| family.metric_type == MetricType::Counter);
    let shown = |family: &Family| match are_counters == [true; 2] && !family.is_bare {
        true => format!("{}_total", family.name).into(),
        false => Arc::clone(&family.name),
    };
    Conflict::Name {
        family: shown(served),
        served: served.metric_type,
        other_family: shown(other),
        other: other.metric_type,
    }
}

/// What would look like a reset if it went comes first.
fn rank(metric_type: MetricType) -> u8 {
    match metric_type {
        MetricType::Counter => 0,
        MetricType::Histogram => 1,
        MetricType::Summary => 2,
        MetricType::Info => 3,
        MetricType::StateSet => 4,
        MetricType::Gauge => 5,
        _ => 6,
    }
}
