//! From the slots of a table to the series of a ledger.
//!
//! Owns which family and series of a ledger a value goes to. Knows neither files nor times.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use headcount_format::layout::MAX_PARTS;
use headcount_format::record::{Family, Level, Series};
use headcount_format::{LedgerImage, LedgerValue, MetricType};

use super::Death;
use crate::table::{Parts, SeriesId, SlotId, Table};

/// Writes what a table holds into a ledger.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    image: &'a mut LedgerImage,
    /// The families that there are: the table's, with label names and bounds.
    families: HashMap<FamilyKey, u32>,
}

/// The number of a family in the table, its label names, and the bits of its bounds.
type FamilyKey = (u32, Vec<Box<str>>, Vec<u64>);

/// The value of a series that is no total, and what identifies its worker; empty for all together.
#[derive(Clone, Debug)]
pub(super) struct Found {
    series: SeriesId,
    worker: Arc<str>,
    value: f64,
    stamp: f64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(image: &'a mut LedgerImage) -> Writer<'a> {
        Writer {
            image,
            families: HashMap::new(),
        }
    }

    /// Writes every total that something has contributed to.
    pub(super) fn totals(&mut self, table: &Table) {
        for series in in_order(table) {
            let parts = |slot: &SlotId| table.sum(*slot).map(|sum| sum.parts());
            match &table.entry(series).parts {
                Parts::Single(slot) if is_counter(table, series) => {
                    if let Some(total) = parts(slot) {
                        self.add(table, series, &[], LedgerValue::Totals(&[total]));
                    }
                }
                Parts::Histogram { sum, buckets } => {
                    let sum = sum.as_ref().and_then(parts);
                    let buckets = buckets
                        .iter()
                        .map(|(bound, slot)| (bound.value(), parts(slot)));
                    self.histogram(table, series, sum, buckets.collect());
                }
                Parts::Summary { count, sum, .. } => {
                    let sum = sum.as_ref().and_then(parts);
                    let count = count.as_ref().and_then(parts);
                    if sum.is_some() || count.is_some() {
                        let cells = [sum.unwrap_or_default(), count.unwrap_or_default()];
                        self.add(table, series, &[], LedgerValue::Totals(&cells));
                    }
                }
                Parts::Single(_) | Parts::Gauge { .. } => {}
            }
        }
    }

    /// `[ledger.bounds]`: what is more than a family can hold is in a second, which adds up to the
    /// same when it is read.
    fn histogram(
        &mut self,
        table: &Table,
        series: SeriesId,
        sum: Option<Vec<f64>>,
        buckets: Vec<(f64, Option<Vec<f64>>)>,
    ) {
        if sum.is_none() && buckets.iter().all(|(_, count)| count.is_none()) {
            return;
        }
        let mut sum = sum.unwrap_or_default();
        let mut above: Vec<f64> = Vec::new();
        let mut finite: Vec<(f64, Vec<f64>)> = Vec::new();
        // What is at most -Inf, a bound that no store has, is at most the next bound, too.
        let mut below = Vec::new();
        for (bound, count) in buckets {
            let count = count.unwrap_or_default();
            match bound {
                f64::INFINITY => above.extend(count),
                f64::NEG_INFINITY => below.extend(count),
                _ => finite.push((bound, count)),
            }
        }
        finite
            .first_mut()
            .map_or(&mut above, |(_, count)| count)
            .append(&mut below);
        let mut rest = &finite[..];
        loop {
            let (these, others) = rest.split_at(rest.len().min(MAX_PARTS));
            let counts = these.iter().map(|(_, count)| count.clone());
            let mut cells = vec![std::mem::take(&mut sum)];
            cells.extend(counts);
            cells.push(std::mem::take(&mut above));
            let bounds: Vec<f64> = these.iter().map(|(bound, _)| *bound).collect();
            self.add(table, series, &bounds, LedgerValue::Totals(&cells));
            rest = others;
            if rest.is_empty() {
                return;
            }
        }
    }

    /// `[ledger.level]`: writes levels, each with the time of death of those whose it is. What is kept
    /// one by one keeps its own time.
    pub(super) fn levels(
        &mut self,
        table: &Table,
        levels: Vec<(u64, Vec<Found>)>,
        deaths: &HashMap<Arc<str>, Death>,
    ) {
        let mut kept: BTreeMap<u64, Vec<Found>> = BTreeMap::new();
        let mut own = Vec::new();
        for (told, found) in levels {
            for found in found {
                match deaths.get(&found.worker) {
                    Some(death) => own.push((death.died.unwrap_or(told), death, found)),
                    None => kept.entry(told).or_default().push(found),
                }
            }
        }
        // [merge.dead.own]: of the last workers alone.
        own.sort_by(|(died, one, found), (later, other, next)| {
            let (one, other) = (
                (died, one.started, &found.worker),
                (later, other.started, &next.worker),
            );
            other.cmp(&one)
        });
        let mut heirs = HashSet::new();
        own.retain(|(_, death, _)| {
            let heir = (&death.pid, death.place);
            heirs.contains(&heir) || (heirs.len() < OWN_LEVELS && heirs.insert(heir))
        });
        // [merge.gauge.youngest]: of those of one pid in one place.
        let mut tellers = HashMap::new();
        for (died, death, found) in own {
            let key = (found.series, &death.pid, death.place);
            let teller = Arc::clone(&found.worker);
            if *tellers.entry(key).or_insert(teller) == found.worker {
                kept.entry(died).or_default().push(found);
            }
        }
        for (died, found) in kept {
            for Found {
                series,
                worker,
                value,
                stamp,
            } in found
            {
                let family = &table.families()[table.entry(series).family() as usize];
                let has_stamp = is_moded(family.metric_type) && family.mode().is_most_recent();
                let value = match family.metric_type {
                    MetricType::Info => LedgerValue::Labels,
                    _ if has_stamp => LedgerValue::Stamped(value, stamp),
                    _ => LedgerValue::Register(value),
                };
                let series = self.add(table, series, &[], value);
                let death = deaths.get(&worker);
                self.image.add_level(Level {
                    series,
                    died,
                    started: death.map_or(0, |death| death.started),
                    place: death.and_then(|death| death.place),
                    pid: death.map_or_else(Box::default, |death| (*death.pid).into()),
                });
            }
        }
    }

    fn add(
        &mut self,
        table: &Table,
        series: SeriesId,
        bounds: &[f64],
        value: LedgerValue<'_>,
    ) -> u32 {
        let entry = table.entry(series);
        let names: Vec<Box<str>> = entry.labels.iter().map(|(name, _)| name.into()).collect();
        let values = entry.labels.iter().map(|(_, value)| value.into()).collect();
        let bits = bounds.iter().map(|bound| bound.to_bits()).collect();
        let key = (entry.family(), names.clone(), bits);
        let image = &mut *self.image;
        let family = *self.families.entry(key).or_insert_with(|| {
            let family = &table.families()[entry.family() as usize];
            image.add_family(Family {
                metric_type: family.metric_type,
                mode: family.mode(),
                name: (*family.name).into(),
                help: (*family.help()).into(),
                unit: family
                    .units
                    .first()
                    .map(|unit| (**unit).into())
                    .unwrap_or_default(),
                label_names: names,
                bounds: bounds.to_vec(),
                states: family.all_states().to_vec(),
                is_bare: family.is_bare,
            })
        });
        let series = Series {
            family,
            cell: 0,
            created: entry.created_nanoseconds(),
            label_values: values,
            extra_labels: Vec::new(),
        };
        self.image.add_series(series, value)
    }
}

/// The levels that something has contributed to.
pub(super) fn levels(table: &Table) -> Vec<Found> {
    let mut all = Vec::new();
    for series in in_order(table) {
        let entry = table.entry(series);
        let mut add = |worker: &str, slots: &[SlotId]| {
            let metric_type = table.families()[entry.family() as usize].metric_type;
            for (value, stamp) in values(table, metric_type, slots) {
                let worker = worker.into();
                all.push(Found {
                    series,
                    worker,
                    value,
                    stamp,
                });
            }
        };
        match &entry.parts {
            Parts::Gauge { shared, per_worker } => {
                if let Some(slots) = shared {
                    add("", slots);
                }
                for (worker, own) in per_worker {
                    add(worker, &own.slots);
                }
            }
            Parts::Single(slot) if !is_counter(table, series) => add("", &[*slot]),
            _ => {}
        }
    }
    all
}

/// Value and time of a level: of a state set the number of each state that holds, and one that no
/// state has if none does.
fn values(table: &Table, metric_type: MetricType, slots: &[SlotId]) -> Vec<(f64, f64)> {
    let told = |slot: &SlotId| Some((table.value(*slot)?, table.stamp(*slot)));
    if metric_type != MetricType::StateSet {
        return slots.first().and_then(told).into_iter().collect();
    }
    let flags: Vec<_> = slots.iter().map(told).collect();
    let holding = (0..).zip(&flags).filter_map(|(state, flag)| {
        let (value, stamp) = (*flag)?;
        (value >= 1.0).then_some((f64::from(state), stamp))
    });
    let holding: Vec<(f64, f64)> = holding.collect();
    match flags.iter().flatten().next() {
        Some(&(_, stamp)) if holding.is_empty() => vec![(flags.len() as f64, stamp)],
        _ => holding,
    }
}

fn is_counter(table: &Table, series: SeriesId) -> bool {
    let family = table.entry(series).family();
    table.families()[family as usize].metric_type == MetricType::Counter
}

fn is_moded(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Gauge | MetricType::StateSet)
}

/// Every series, by family and labels, so that the same files make the same ledger.
fn in_order(table: &Table) -> Vec<SeriesId> {
    let key = |family: &u32| {
        let family = &table.families()[*family as usize];
        (&family.name, family.metric_type, family.is_bare)
    };
    let mut families: Vec<u32> = (0..).take(table.families().len()).collect();
    families.sort_by(|one, other| key(one).cmp(&key(other)));
    let mut all = Vec::new();
    for family in families {
        let mut series: Vec<SeriesId> = table.series_of(family).collect();
        series.sort_by(|one, other| table.entry(*one).labels.cmp(&table.entry(*other).labels));
        all.extend(series);
    }
    all
}

/// `[merge.dead.own]`: of how many workers own levels are kept.
const OWN_LEVELS: usize = 64;
