//! The records of a catalog: names and places, as bytes.
//!
//! Owns how each record is written and read (`spec/store.md`, chapter 4). Knows nothing of files:
//! what it decodes is a slice that the caller has copied.

mod bytes;
mod ledger;

use std::fmt;

use crate::layout::{MAX_LABELS, MAX_PARTS, record_kind};
use crate::metric::{MetricType, Mode};
use bytes::{Decoder, Encoder};
pub use ledger::{FoldedFile, FoldedStore, Level, Root};

/// A label: its name and its value.
pub type Label = (Box<str>, Box<str>);

/// Bytes of length and kind, with which each record begins.
pub const RECORD_HEADER_BYTES: usize = 8;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// `[store.record.block]`
    Block(Block),
    /// `[store.record.family]`
    Family(Family),
    /// `[store.record.folded]`: files of other clients that a ledger holds.
    FoldedFiles(Vec<FoldedFile>),
    /// `[store.record.folded]`: stores that a ledger holds.
    FoldedStores(Vec<FoldedStore>),
    /// `[store.record.labels]`: pairs of name and value.
    Labels(Vec<Label>),
    /// `[ledger.level]`: whose the value of a series is that is no total.
    Level(Level),
    /// `[store.record.removal]`
    Removal {
        /// The number of the series, counted from zero in the order of their records.
        series: u32,
    },
    /// `[ledger.root]`: where a ledger comes from.
    Root(Root),
    /// `[store.record.segment]`
    Segment {
        /// Where the catalog goes on, in bytes from the start of the file.
        offset: u64,
        /// Bytes of that segment.
        length: u64,
    },
    /// `[store.record.series]`
    Series(Series),
    /// A kind that this release does not know, and passes over.
    Unknown(u32),
}

/// A block: a run of bytes that holds one kind of thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    /// One of [`crate::layout::block_kind`], or a kind that this release does not know.
    pub kind: u32,
    /// The lane, for additive cells; zero is the lane that all threads share.
    pub lane: u32,
    /// Bytes from the start of the file; a multiple of 4096.
    pub offset: u64,
    /// Bytes; a multiple of 4096, at least 4096.
    pub length: u64,
    /// The number of the first cell or register in the block, counted over all blocks of the kind
    /// and lane.
    pub first: u64,
}

/// A family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The type.
    pub metric_type: MetricType,
    /// The multiprocess mode of a gauge or a state set; [`Mode::All`] for other types.
    pub mode: Mode,
    /// Without `_total`, `_info` and the like.
    pub name: Box<str>,
    /// May be empty.
    pub help: Box<str>,
    /// May be empty.
    pub unit: Box<str>,
    /// The names of the labels whose values each series has.
    pub label_names: Vec<Box<str>>,
    /// A histogram's upper bounds, ascending, without `+Inf`.
    pub bounds: Vec<f64>,
    /// A state set's states.
    pub states: Vec<Box<str>>,
    /// `[ledger.bare]`: whether it is a counter of a ledger whose samples have its own name.
    pub is_bare: bool,
}

/// A series of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The number of the family, counted from zero in the order of their records.
    pub family: u32,
    /// The number of the series' first cell or register; zero for an info, which has none.
    pub cell: u32,
    /// When it began to count, in nanoseconds since 1970; zero where that is not known.
    pub created: u64,
    /// One value for each of the family's label names.
    pub label_values: Vec<Box<str>>,
    /// Labels that this series alone has: what an info tells.
    pub extra_labels: Vec<Label>,
}

/// What is wrong with the bytes of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordError {
    /// A number is outside what its field may hold.
    Field(&'static str),
    /// It ends inside the named field.
    Short(&'static str),
    /// The named text is not UTF-8.
    Text(&'static str),
    /// `[store.limit.refuse]`: the named text or list is longer than the limits allow.
    TooLong(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Field(field) => write!(formatter, "{field} is out of range"),
            RecordError::Short(field) => write!(formatter, "the record ends inside {field}"),
            RecordError::Text(field) => write!(formatter, "{field} is not UTF-8"),
            RecordError::TooLong(field) => write!(formatter, "{field} is over its limit"),
        }
    }
}

impl std::error::Error for RecordError {}

impl Record {
    /// The record's bytes, a multiple of eight.
    ///
    /// # Panics
    ///
    /// For [`Record::Unknown`], which nobody writes, and for more than 2^32 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        let kind = match self {
            Record::Block(block) => {
                out.u32(block.kind);
                out.u32(block.lane);
                out.u64(block.offset);
                out.u64(block.length);
                out.u64(block.first);
                record_kind::BLOCK
            }
            Record::Family(family) => {
                family.encode(&mut out);
                record_kind::FAMILY
            }
            Record::FoldedFiles(files) => {
                ledger::encode_files(files, &mut out);
                record_kind::FOLDED_FILES
            }
            Record::FoldedStores(stores) => {
                ledger::encode_stores(stores, &mut out);
                record_kind::FOLDED_STORES
            }
            Record::Level(level) => {
                level.encode(&mut out);
                record_kind::LEVEL
            }
            Record::Labels(labels) => {
                out.count(labels.len());
                out.pairs(labels);
                record_kind::LABELS
            }
            Record::Removal { series } => {
                out.u32(*series);
                record_kind::REMOVAL
            }
            Record::Root(root) => {
                root.encode(&mut out);
                record_kind::ROOT
            }
            Record::Segment { offset, length } => {
                out.u64(*offset);
                out.u64(*length);
                record_kind::SEGMENT
            }
            Record::Series(series) => {
                series.encode(&mut out);
                record_kind::SERIES
            }
            Record::Unknown(kind) => panic!("a record of the unknown kind {kind} is never written"),
        };
        out.finish(kind)
    }

    /// The record of kind `kind` whose bytes after length and kind are `body`.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for bytes that no writer makes.
    pub fn decode(kind: u32, body: &[u8]) -> Result<Record, RecordError> {
        let mut from = Decoder::new(body);
        Ok(match kind {
            record_kind::BLOCK => Record::Block(Block {
                kind: from.u32("block kind")?,
                lane: from.u32("lane")?,
                offset: from.u64("block offset")?,
                length: from.u64("block length")?,
                first: from.u64("first cell")?,
            }),
            record_kind::FAMILY => Record::Family(Family::decode(&mut from)?),
            record_kind::FOLDED_FILES => Record::FoldedFiles(ledger::decode_files(&mut from)?),
            record_kind::FOLDED_STORES => Record::FoldedStores(ledger::decode_stores(&mut from)?),
            record_kind::LEVEL => Record::Level(Level::decode(&mut from)?),
            record_kind::LABELS => {
                let count = from.count("label count", MAX_LABELS)?;
                Record::Labels(from.pairs(count)?)
            }
            record_kind::REMOVAL => Record::Removal {
                series: from.u32("series number")?,
            },
            record_kind::ROOT => Record::Root(Root::decode(&mut from)?),
            record_kind::SEGMENT => Record::Segment {
                offset: from.u64("segment offset")?,
                length: from.u64("segment length")?,
            },
            record_kind::SERIES => Record::Series(Series::decode(&mut from)?),
            unknown => Record::Unknown(unknown),
        })
    }
}

impl Family {
    fn encode(&self, out: &mut Encoder) {
        let parts = match self.metric_type {
            MetricType::StateSet => self.states.len(),
            _ => self.bounds.len(),
        };
        out.u8(type_number(self.metric_type));
        out.u8(mode_number(self));
        out.u16(self.label_names.len());
        out.count(parts);
        self.bounds
            .iter()
            .for_each(|bound| out.u64(bound.to_bits()));
        out.text(&self.name);
        out.text(&self.help);
        out.text(&self.unit);
        self.label_names.iter().for_each(|name| out.text(name));
        self.states.iter().for_each(|state| out.text(state));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Family, RecordError> {
        let metric_type = type_of_number(from.u8("type")?)?;
        let (mode, is_bare) = match (metric_type, from.u8("mode")?) {
            (MetricType::Counter, BARE) => (Mode::All, true),
            (metric_type, number) => (mode_of_number(metric_type, number)?, false),
        };
        let label_count = from.u16("label count")?;
        if label_count > MAX_LABELS {
            return Err(RecordError::TooLong("the list of label names"));
        }
        let parts = from.count("part count", MAX_PARTS)?;
        let (bound_count, state_count) = match metric_type {
            MetricType::Histogram => (parts, 0),
            MetricType::StateSet => (0, parts),
            _ if parts == 0 => (0, 0),
            _ => return Err(RecordError::Field("part count")),
        };
        let bounds = (0..bound_count)
            .map(|_| Ok(f64::from_bits(from.u64("bound")?)))
            .collect::<Result<Vec<f64>, RecordError>>()?;
        let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || !bounds.iter().all(|bound| bound.is_finite()) {
            return Err(RecordError::Field("bound"));
        }
        Ok(Family {
            metric_type,
            mode,
            name: from.text("family name")?,
            help: from.text("help")?,
            unit: from.text("unit")?,
            label_names: from.texts("label name", label_count)?,
            bounds,
            states: from.texts("state", state_count)?,
            is_bare,
        })
    }
}

impl Series {
    fn encode(&self, out: &mut Encoder) {
        out.u32(self.family);
        out.u32(self.cell);
        out.u64(self.created);
        out.u16(self.label_values.len());
        out.u16(self.extra_labels.len());
        self.label_values.iter().for_each(|value| out.text(value));
        out.pairs(&self.extra_labels);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Series, RecordError> {
        let family = from.u32("family number")?;
        let cell = from.u32("cell")?;
        let created = from.u64("creation time")?;
        let value_count = from.u16("label count")?;
        let extra_count = from.u16("extra label count")?;
        if value_count + extra_count > MAX_LABELS {
            return Err(RecordError::TooLong("the list of labels"));
        }
        Ok(Series {
            family,
            cell,
            created,
            label_values: from.texts("label value", value_count)?,
            extra_labels: from.pairs(extra_count)?,
        })
    }
}

fn type_number(metric_type: MetricType) -> u8 {
    match metric_type {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::Summary => 4,
        MetricType::Info => 5,
        MetricType::StateSet => 6,
    }
}

fn type_of_number(number: u8) -> Result<MetricType, RecordError> {
    Ok(match number {
        0 => MetricType::Unknown,
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::Summary,
        5 => MetricType::Info,
        6 => MetricType::StateSet,
        _ => return Err(RecordError::Field("type")),
    })
}

/// `[ledger.bare]`: the mode of a counter that is bare.
const BARE: u8 = 11;

fn mode_number(family: &Family) -> u8 {
    if family.is_bare {
        return BARE;
    }
    if !has_mode(family.metric_type) {
        return 0;
    }
    match family.mode {
        Mode::All => 1,
        Mode::LiveAll => 2,
        Mode::Max => 3,
        Mode::LiveMax => 4,
        Mode::Min => 5,
        Mode::LiveMin => 6,
        Mode::MostRecent => 7,
        Mode::LiveMostRecent => 8,
        Mode::Sum => 9,
        Mode::LiveSum => 10,
    }
}

fn mode_of_number(metric_type: MetricType, number: u8) -> Result<Mode, RecordError> {
    Ok(match (has_mode(metric_type), number) {
        (false, 0) | (true, 1) => Mode::All,
        (true, 2) => Mode::LiveAll,
        (true, 3) => Mode::Max,
        (true, 4) => Mode::LiveMax,
        (true, 5) => Mode::Min,
        (true, 6) => Mode::LiveMin,
        (true, 7) => Mode::MostRecent,
        (true, 8) => Mode::LiveMostRecent,
        (true, 9) => Mode::Sum,
        (true, 10) => Mode::LiveSum,
        _ => return Err(RecordError::Field("mode")),
    })
}

fn has_mode(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Gauge | MetricType::StateSet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::Incarnation;

    fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let (header, body) = bytes.split_at(RECORD_HEADER_BYTES);
        assert_eq!(bytes.len() % 8, 0);
        assert_eq!(header[..4], (bytes.len() as u32).to_le_bytes());
        Record::decode(
            u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
            body,
        )
    }

    fn text() -> impl Strategy<Value = Box<str>> {
        ".{0,20}".prop_map(String::into_boxed_str)
    }

    fn texts() -> impl Strategy<Value = Vec<Box<str>>> {
        prop::collection::vec(text(), 0..6)
    }

    fn pairs() -> impl Strategy<Value = Vec<Label>> {
        prop::collection::vec((text(), text()), 0..6)
    }

    fn family() -> impl Strategy<Value = Family> {
        let types = prop::sample::select(vec![
            MetricType::Counter,
            MetricType::Gauge,
            MetricType::Histogram,
            MetricType::Info,
            MetricType::StateSet,
            MetricType::Summary,
            MetricType::Unknown,
        ]);
        let modes = prop::sample::select(Mode::ALL.to_vec());
        let bounds = prop::collection::btree_set(-1000_i32..1000, 0..20);
        (
            types,
            modes,
            text(),
            text(),
            text(),
            texts(),
            bounds,
            texts(),
        )
            .prop_map(
                |(metric_type, mode, name, help, unit, label_names, bounds, states)| Family {
                    metric_type,
                    mode: if has_mode(metric_type) {
                        mode
                    } else {
                        Mode::All
                    },
                    name,
                    help,
                    unit,
                    label_names,
                    bounds: match metric_type {
                        MetricType::Histogram => bounds.into_iter().map(f64::from).collect(),
                        _ => Vec::new(),
                    },
                    states: match metric_type {
                        MetricType::StateSet => states,
                        _ => Vec::new(),
                    },
                    is_bare: metric_type == MetricType::Counter && !mode.is_live(),
                },
            )
    }

    /// What a ledger holds.
    fn lists() -> impl Strategy<Value = Record> {
        let stores = any::<([u8; 16], u64, u64, u32, u32)>().prop_map(
            |(incarnation, when, started, pid, bytes)| FoldedStore {
                incarnation: Incarnation(incarnation),
                when,
                started,
                pid,
                bytes,
            },
        );
        let files =
            (any::<[u64; 4]>(), text()).prop_map(|([inode, born, when, bytes], name)| FoldedFile {
                inode,
                born,
                when,
                bytes,
                name,
            });
        prop_oneof![
            prop::collection::vec(stores, 0..6).prop_map(Record::FoldedStores),
            prop::collection::vec(files, 0..6).prop_map(Record::FoldedFiles),
        ]
    }

    fn record() -> impl Strategy<Value = Record> {
        let series = (any::<u32>(), any::<u32>(), any::<u64>(), texts(), pairs()).prop_map(
            |(family, cell, created, label_values, extra_labels)| {
                Record::Series(Series {
                    family,
                    cell,
                    created,
                    label_values,
                    extra_labels,
                })
            },
        );
        let block =
            any::<(u32, u32, u64, u64, u64)>().prop_map(|(kind, lane, offset, length, first)| {
                Record::Block(Block {
                    kind,
                    lane,
                    offset,
                    length,
                    first,
                })
            });
        prop_oneof![
            family().prop_map(Record::Family),
            series,
            block,
            pairs().prop_map(Record::Labels),
            lists(),
            any::<([u8; 16], u64)>().prop_map(|(first, forgotten)| {
                let first = Incarnation(first);
                Record::Root(Root { first, forgotten })
            }),
            (any::<(u32, u32, u64, u64)>(), text()).prop_map(
                |((series, place, died, started), pid)| {
                    let place = place.checked_sub(1);
                    Record::Level(Level {
                        series,
                        died,
                        started,
                        place,
                        pid,
                    })
                }
            ),
            any::<u32>().prop_map(|series| Record::Removal { series }),
            any::<(u64, u64)>().prop_map(|(offset, length)| Record::Segment { offset, length }),
        ]
    }

    proptest! {
        // [store.record]
        #[test]
        fn a_record_reads_back_as_it_was_written(record in record()) {
            prop_assert_eq!(decode(&record.encode()), Ok(record));
        }

        // [store.record.total]
        #[test]
        fn a_record_that_ends_early_is_an_error_and_no_panic(record in record(), keep in 0.0..1.0) {
            let bytes = record.encode();
            let body = &bytes[RECORD_HEADER_BYTES..];
            let kind = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let kept = (body.len() as f64 * keep) as usize;
            if let Ok(other) = Record::decode(kind, &body[..kept]) {
                // What is cut off was padding.
                prop_assert_eq!(other, record);
            }
        }

        // [store.record.total]
        #[test]
        fn any_bytes_are_decoded_or_refused(kind in 0_u32..9, body: Vec<u8>) {
            let _outcome = Record::decode(kind, &body);
        }
    }

    // [store.record.unknown]
    #[test]
    fn an_unknown_kind_is_passed_over() {
        assert_eq!(Record::decode(77, b"whatever"), Ok(Record::Unknown(77)));
    }

    // [store.record.family]
    #[test]
    fn bounds_that_do_not_ascend_are_refused() {
        for bounds in [
            vec![1.0, 1.0],
            vec![2.0, 1.0],
            vec![f64::NAN],
            vec![f64::INFINITY],
        ] {
            let family = Family {
                metric_type: MetricType::Histogram,
                mode: Mode::All,
                name: "h".into(),
                help: "".into(),
                unit: "".into(),
                label_names: Vec::new(),
                bounds,
                states: Vec::new(),
                is_bare: false,
            };
            let decoded = decode(&Record::Family(family).encode());
            assert_eq!(decoded, Err(RecordError::Field("bound")));
        }
    }
}
