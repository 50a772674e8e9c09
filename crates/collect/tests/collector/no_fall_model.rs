//! The workers of a pool of all dialects: what each has counted, what its file holds, and how much of
//! it a collector has seen.
//!
//! Knows the formats and the clauses, and nothing of the code under test.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use headcount_format::MetricType;
use headcount_format::record::Family;

use crate::entries::{Entries, Form};
use crate::pool::Directory;
use crate::store::{Writer, family};

/// Who writes a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    Python18,
    Python16,
    Python3,
    GitLab,
    Direct2,
    Direct0,
    Text,
    Store,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `jobs_total`, of the worker, of all, and more of the worker.
    Jobs,
    /// The summary `size`.
    Size,
    /// The histogram `took`.
    Took,
}

/// What one value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Bucket(f64),
    Count,
    /// A counter, by its labels in their order.
    Jobs(Vec<(&'static str, String)>),
    Sum,
}

/// One value of a file.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) part: Part,
    /// What the worker has written.
    pub(crate) value: f64,
    /// What of it the collector has seen last, if ever.
    pub(crate) seen: Option<f64>,
    /// What it had seen before the value began again.
    carried: f64,
}

/// One worker and its file.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) kind: Kind,
    pub(crate) ident: String,
    pub(crate) cells: Vec<Cell>,
    /// A store without its values, and where these stand.
    store: Option<(String, Vec<u8>, Vec<usize>)>,
}

/// Totals, by what a sample is printed as; of a histogram what each bound has by itself.
pub(crate) type Totals = BTreeMap<String, f64>;

impl Worker {
    pub(crate) fn new(client: Client, kind: Kind, number: u32, directory: &Directory) -> Worker {
        let ident = format!("{:08x}", number.wrapping_mul(0x9E37_79B9) | 0x1000_0000);
        let own = vec![("worker", ident.clone())];
        let parts = match kind {
            Kind::Jobs => {
                let more = [("n", "0".to_owned()), own[0].clone()].to_vec();
                vec![Part::Jobs(own), Part::Jobs(Vec::new()), Part::Jobs(more)]
            }
            Kind::Size => vec![Part::Count, Part::Sum],
            Kind::Took => {
                let bounds = client.bounds().iter().map(|&bound| Part::Bucket(bound));
                [Part::Sum].into_iter().chain(bounds).collect()
            }
        };
        let cell = |part| Cell {
            part,
            value: 0.0,
            seen: None,
            carried: 0.0,
        };
        let mut worker = Worker {
            client,
            kind,
            ident,
            cells: parts.into_iter().map(cell).collect(),
            store: None,
        };
        if client == Client::Store {
            worker.store = Some(worker.new_store(directory));
        }
        worker
    }

    fn new_store(&self, directory: &Directory) -> (String, Vec<u8>, Vec<usize>) {
        let mut writer = Writer::new(directory, 5);
        let mut places = Vec::new();
        match self.kind {
            Kind::Jobs => {
                for cell in &self.cells {
                    let Part::Jobs(labels) = &cell.part else {
                        unreachable!("it has counters alone");
                    };
                    let number = writer.family(Family {
                        label_names: labels.iter().map(|label| label.0.into()).collect(),
                        ..family(MetricType::Counter, "jobs")
                    });
                    let values: Vec<&str> = labels.iter().map(|label| &*label.1).collect();
                    places.push(writer.series(number, &values, 0).offset as usize);
                }
            }
            Kind::Size | Kind::Took => {
                let number = writer.family(match self.kind {
                    Kind::Size => family(MetricType::Summary, "size"),
                    _ => Family {
                        bounds: vec![1.0, 4.0],
                        ..family(MetricType::Histogram, "took")
                    },
                });
                let first = writer.series(number, &[], 0).offset as usize;
                places.extend((0..self.cells.len()).map(|index| first + 8 * index));
                // The sum stands first.
                if self.kind == Kind::Size {
                    places.reverse();
                }
            }
        }
        let name = writer.file_name();
        // From here on it is bytes: a file that is mapped must not be truncated.
        drop(writer);
        let path = directory.join(&name);
        let bytes = fs::read(&path).expect("it was just written");
        fs::remove_file(path).expect("it is there");
        (name, bytes, places)
    }

    pub(crate) fn name(&self) -> String {
        let Worker { ident, kind, .. } = self;
        let prefix = match kind {
            Kind::Jobs => "counter",
            Kind::Size => "summary",
            Kind::Took => "histogram",
        };
        let metric = match kind {
            Kind::Jobs => "jobs_total",
            Kind::Size => "size",
            Kind::Took => "took",
        };
        match self.client {
            Client::Python18 | Client::Python16 | Client::Python3 => {
                format!("{prefix}_{ident}.db")
            }
            Client::GitLab => format!("{prefix}_{ident}-0.db"),
            Client::Direct2 | Client::Direct0 => format!("metric_{metric}___{ident}.bin"),
            Client::Text => format!("{ident}.prom"),
            Client::Store => self.store.as_ref().expect("it has one").0.clone(),
        }
    }

    /// A series that was not there before, where the client can be told without its library.
    pub(crate) fn grow(&mut self) {
        if self.kind == Kind::Jobs && self.client != Client::Store {
            let n = self.cells.len().to_string();
            self.cells.push(Cell {
                part: Part::Jobs(vec![("n", n), ("worker", self.ident.clone())]),
                value: 1.0,
                seen: None,
                carried: 0.0,
            });
        }
    }

    /// Counts: once for a counter, with several observations at this bound for others.
    pub(crate) fn count(&mut self, cell: usize, amount: f64) {
        let is_cumulative = self.client.is_cumulative();
        match self.kind {
            Kind::Jobs => {
                let cell = cell % self.cells.len();
                self.cells[cell].value += amount;
            }
            Kind::Size => self.cells.iter_mut().for_each(|cell| cell.value += amount),
            Kind::Took => {
                let bound = 1 + cell % (self.cells.len() - 1);
                self.cells[0].value += amount;
                let end = match is_cumulative {
                    true => self.cells.len(),
                    false => bound + 1,
                };
                for cell in &mut self.cells[bound..end] {
                    cell.value += amount;
                }
            }
        }
    }

    pub(crate) fn begin_again(&mut self) {
        self.cells.iter_mut().for_each(|cell| cell.value = 0.0);
    }

    /// The collector looks at the file.
    pub(crate) fn be_seen(&mut self) {
        for cell in &mut self.cells {
            let may_fall = cell.part == Part::Sum;
            if let Some(seen) = cell.seen.filter(|&seen| cell.value < seen && !may_fall) {
                // [merge.counter.fall]
                cell.carried += seen;
            }
            cell.seen = Some(cell.value);
        }
    }

    pub(crate) fn is_seen(&self) -> bool {
        self.cells.iter().all(|cell| cell.seen == Some(cell.value))
    }

    /// Adds what the collector has seen.
    pub(crate) fn add_to(&self, totals: &mut Totals) {
        let mut below = 0.0_f64;
        for cell in &self.cells {
            let Some(seen) = cell.seen else {
                continue;
            };
            let mut share = cell.carried + seen;
            if matches!(cell.part, Part::Bucket(_)) && self.client.is_cumulative() {
                // [gitlab.cumulative]
                (below, share) = (below.max(share), (share - below).max(0.0));
            }
            *totals.entry(self.sample(&cell.part)).or_default() += share;
        }
    }

    /// What a part is printed as; buckets so that their names are in the order of their bounds.
    pub(crate) fn sample(&self, part: &Part) -> String {
        match part {
            Part::Jobs(labels) => jobs(labels),
            Part::Bucket(bound) => format!("took_bucket{{le=\"{}\"}}", le(*bound)),
            Part::Count => "size_count".to_owned(),
            Part::Sum if self.kind == Kind::Took => "took_sum".to_owned(),
            Part::Sum => "size_sum".to_owned(),
        }
    }

    /// The file as its worker has written it, and which bytes are values.
    pub(crate) fn content(&self) -> (Vec<u8>, Vec<std::ops::Range<usize>>) {
        let eight = |places: &[usize]| places.iter().map(|&place| place..place + 8).collect();
        match self.client {
            Client::Text => self.text(),
            Client::Store => {
                let (_, bytes, places) = self.store.as_ref().expect("it has one");
                let mut bytes = bytes.clone();
                for (&place, cell) in places.iter().zip(&self.cells) {
                    bytes[place..place + 8].copy_from_slice(&cell.value.to_le_bytes());
                }
                (bytes, eight(places))
            }
            _ => {
                let file = self
                    .cells
                    .iter()
                    .fold(Entries::new(self.client.form()), |file, cell| {
                        file.entry(&self.key(&cell.part), cell.value)
                    });
                (file.on_disk(), eight(&file.places))
            }
        }
    }

    fn key(&self, part: &Part) -> String {
        let none: &[(&str, String)] = &[];
        let (family, suffix, labels) = match part {
            Part::Jobs(labels) => ("jobs", "_total", labels.clone()),
            Part::Bucket(bound) => ("took", "_bucket", [("le", le(*bound))].to_vec()),
            Part::Sum if self.kind == Kind::Took => ("took", "_sum", none.to_vec()),
            Part::Sum => ("size", "_sum", none.to_vec()),
            Part::Count => ("size", "_count", none.to_vec()),
        };
        let quoted = |list: Vec<&str>, comma: &str| {
            let list = list.iter().map(|item| format!("\"{item}\""));
            list.collect::<Vec<_>>().join(comma)
        };
        let names = labels.iter().map(|label| label.0).collect();
        let values = labels.iter().map(|label| &*label.1).collect();
        // [python.bare] [gitlab.sample]: there the family has the sample's name.
        let old = if family == "jobs" {
            "jobs_total"
        } else {
            family
        };
        let sample = format!("{family}{suffix}");
        match self.client {
            Client::Python18 | Client::Python16 => {
                let pair = |(name, value): &(&str, String)| format!("\"{name}\": \"{value}\"");
                let pairs: Vec<_> = labels.iter().map(pair).collect();
                let pairs = pairs.join(", ");
                format!("[\"{family}\", \"{sample}\", {{{pairs}}}, \"Help.\"]")
            }
            Client::Python3 => {
                let (names, values) = (quoted(names, ", "), quoted(values, ", "));
                format!("[\"{old}\", \"{sample}\", [{names}], [{values}]]")
            }
            Client::GitLab => {
                let (names, values) = (quoted(names, ","), quoted(values, ","));
                format!("[\"{old}\",\"{sample}\",[{names}],[{values}]]")
            }
            Client::Direct2 | Client::Direct0 => {
                let labels = match part {
                    Part::Sum if self.kind == Kind::Took => [("le", "sum".to_owned())].to_vec(),
                    Part::Sum => [("quantile", "sum".to_owned())].to_vec(),
                    Part::Count => [("quantile", "count".to_owned())].to_vec(),
                    _ => labels,
                };
                let pair = |(name, value): &(&str, String)| {
                    format!("{name}={}", value.replace('+', "%2B"))
                };
                labels.iter().map(pair).collect::<Vec<_>>().join("&")
            }
            Client::Text | Client::Store => unreachable!("it has no entries"),
        }
    }

    fn text(&self) -> (Vec<u8>, Vec<std::ops::Range<usize>>) {
        let mut text = String::from(match self.kind {
            Kind::Jobs => "# TYPE jobs_total counter\n",
            Kind::Size => "# TYPE size summary\n",
            Kind::Took => "# TYPE took histogram\n",
        });
        let mut values = Vec::new();
        for cell in &self.cells {
            let _ = write!(text, "{} ", self.sample(&cell.part));
            let start = text.len();
            let _ = writeln!(text, "{}", cell.value);
            values.push(start..text.len() - 1);
        }
        (text.into_bytes(), values)
    }
}

impl Client {
    pub(crate) const ALL: [Client; 8] = [
        Client::Python18,
        Client::Python16,
        Client::Python3,
        Client::GitLab,
        Client::Direct2,
        Client::Direct0,
        Client::Text,
        Client::Store,
    ];

    fn form(self) -> Form {
        match self {
            Client::Python18 => Form::Json16,
            Client::Direct2 => Form::Query16,
            Client::Direct0 => Form::Query8,
            _ => Form::Json8,
        }
    }

    fn bounds(self) -> &'static [f64] {
        match self {
            Client::Python18 | Client::Python16 | Client::Python3 => &[1.0, 2.0, f64::INFINITY],
            Client::GitLab => &[0.5, 2.0, f64::INFINITY],
            Client::Direct2 | Client::Direct0 => &[2.0, 8.0, f64::INFINITY],
            Client::Text => &[1.0, 16.0, f64::INFINITY],
            Client::Store => &[1.0, 4.0, f64::INFINITY],
        }
    }

    pub(crate) fn is_cumulative(self) -> bool {
        matches!(self, Client::GitLab | Client::Text)
    }
}

/// The counter with these labels.
fn jobs(labels: &[(&str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| format!("{name}=\"{value}\"");
    let pairs: Vec<_> = labels.iter().map(pair).collect();
    match pairs.is_empty() {
        true => "jobs_total".to_owned(),
        false => format!("jobs_total{{{}}}", pairs.join(",")),
    }
}

/// A bound as we print it, and as each client may write it.
pub(crate) fn le(bound: f64) -> String {
    match bound.is_infinite() {
        true => "+Inf".to_owned(),
        false => format!("{bound:?}"),
    }
}

impl Cell {
    /// Another file: nobody has seen it.
    pub(crate) fn forget(&mut self) {
        (self.seen, self.carried) = (None, 0.0);
    }
}
