//! The lines of a family, as text 0.0.4 and OpenMetrics share them.
//!
//! Owns which samples a value has, and the syntax of a line. Knows no format's own rules.

use std::borrow::Cow;

use crate::exposition::{escape, float, labels::Varying};
use crate::model::{Bucket, Family, Labels, Quantile, Series, Value};

/// Appends the lines of one family.
pub(super) struct Lines<'a> {
    family: &'a Family,
    name: Cow<'a, str>,
    only: Option<&'static str>,
    varying: Varying,
    bounds: Bounds,
    out: &'a mut Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(family: &'a Family, out: &'a mut Vec<u8>) -> Lines<'a> {
        Lines {
            family,
            name: escape::metric_name(&family.name),
            only: None,
            varying: Varying::default(),
            bounds: Bounds::default(),
            out,
        }
    }

    /// Leaves out the samples of every other suffix from now on.
    pub(super) fn only(&mut self, suffix: &'static str) {
        self.only = Some(suffix);
    }

    /// The family's name as it is written.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `# KEYWORD name_suffix text`.
    pub(super) fn metadata(&mut self, keyword: &str, suffix: &str, text: &str) {
        let parts = ["# ", keyword, " ", &self.name, suffix, " ", text, "\n"];
        parts
            .iter()
            .for_each(|part| self.out.extend_from_slice(part.as_bytes()));
    }

    /// `# HELP name_suffix help`, the help escaped by `escape`.
    pub(super) fn help(&mut self, suffix: &str, escape: fn(&str, &mut Vec<u8>)) {
        let parts = ["# HELP ", &self.name, suffix, " "];
        parts
            .iter()
            .for_each(|part| self.out.extend_from_slice(part.as_bytes()));
        escape(&escape::help(&self.family.help), self.out);
        self.out.push(b'\n');
    }

    /// Every sample of `series` but its created one.
    pub(super) fn series(&mut self, series: &Series) {
        let labels = &series.labels;
        match &series.value {
            // [exposition.counter.bare]
            Value::Counter(value) if self.family.is_bare => self.sample("", labels, *value),
            Value::Counter(value) => self.sample("_total", labels, *value),
            Value::Gauge(value) | Value::Unknown(value) => self.sample("", labels, *value),
            Value::Histogram { buckets, sum } => {
                self.buckets(labels, buckets);
                if let Some(sum) = sum {
                    self.sample("_sum", labels, *sum);
                }
                if let Some(last) = buckets.last() {
                    self.sample("_count", labels, last.count);
                }
            }
            Value::Info => self.sample("_info", labels, 1.0),
            Value::StateSet { states, flags } => self.states(labels, states, flags),
            Value::Summary {
                count,
                sum,
                quantiles,
            } => {
                self.quantiles(labels, quantiles);
                if let Some(count) = count {
                    self.sample("_count", labels, *count);
                }
                if let Some(sum) = sum {
                    self.sample("_sum", labels, *sum);
                }
            }
        }
    }

    /// `name_suffix{labels} value`.
    pub(super) fn sample(&mut self, suffix: &'static str, labels: &Labels, value: f64) {
        if self.skips(suffix) {
            return;
        }
        self.out.extend_from_slice(self.name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        let labels = labels.rendered();
        if !labels.is_empty() {
            self.out.push(b'{');
            self.out.extend_from_slice(labels);
            self.out.push(b'}');
        }
        self.out.push(b' ');
        float::write(value, self.out);
        self.out.push(b'\n');
    }

    /// The samples of a histogram's buckets.
    pub(super) fn buckets(&mut self, labels: &Labels, buckets: &[Bucket]) {
        if self.skips("_bucket") {
            return;
        }
        self.varying.set(labels, "le");
        self.bounds.set(buckets);
        let mut start = 0;
        for (bucket, &(_, end)) in buckets.iter().zip(&self.bounds.ends) {
            let bound = &self.bounds.text[start..end];
            start = end;
            let label = |out: &mut Vec<u8>| out.extend_from_slice(bound);
            varying_sample(
                self.out,
                &self.name,
                "_bucket",
                &self.varying,
                label,
                bucket.count,
            );
        }
    }

    fn quantiles(&mut self, labels: &Labels, quantiles: &[Quantile]) {
        if quantiles.is_empty() || self.skips("") {
            return;
        }
        self.varying.set(labels, "quantile");
        for &Quantile { quantile, value } in quantiles {
            let label = |out: &mut Vec<u8>| float::write(quantile, out);
            varying_sample(self.out, &self.name, "", &self.varying, label, value);
        }
    }

    fn states(&mut self, labels: &Labels, states: &[Box<str>], flags: &[bool]) {
        if self.skips("") {
            return;
        }
        self.varying.set(labels, &self.family.name);
        for (state, &flag) in states.iter().zip(flags) {
            let value = if flag { 1.0 } else { 0.0 };
            let label = |out: &mut Vec<u8>| escape::write_value(state, out);
            varying_sample(self.out, &self.name, "", &self.varying, label, value);
        }
    }

    fn skips(&self, suffix: &str) -> bool {
        self.only.is_some_and(|only| only != suffix)
    }
}

fn varying_sample(
    out: &mut Vec<u8>,
    name: &str,
    suffix: &str,
    varying: &Varying,
    label: impl FnOnce(&mut Vec<u8>),
    value: f64,
) {
    let (before, after) = varying.around();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.push(b'{');
    out.extend_from_slice(before);
    label(out);
    out.extend_from_slice(after);
    out.extend_from_slice(b"} ");
    float::write(value, out);
    out.push(b'\n');
}

/// The bounds of the last histogram, written; the next one's are nearly always the same, and to
/// write a fraction costs more than the rest of its line.
#[derive(Default)]
struct Bounds {
    text: Vec<u8>,
    /// For each bound its bits, and where it ends in `text`.
    ends: Vec<(u64, usize)>,
}

impl Bounds {
    fn set(&mut self, buckets: &[Bucket]) {
        let bits = buckets.iter().map(|bucket| bucket.upper_bound.to_bits());
        if bits.eq(self.ends.iter().map(|&(bits, _)| bits)) {
            return;
        }
        self.text.clear();
        self.ends.clear();
        for bucket in buckets {
            float::write(bucket.upper_bound, &mut self.text);
            self.ends
                .push((bucket.upper_bound.to_bits(), self.text.len()));
        }
    }
}
