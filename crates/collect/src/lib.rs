//! Reads the files of a pool of workers and merges them into one set of metric families.
//!
//! The way of a value: a file in a [`dialect`](report::Dialect), a series and a slot in a table, a
//! [`Family`](model::Family), an [`exposition`]. [`Collector`](collector::Collector) goes it from
//! one end to the other; what it does at each step is a clause in `spec/merge.md`,
//! `spec/dialects.md` or `spec/exposition.md`, and stands in brackets in this crate.
//!
//! It has no clock, no network and no runtime, and does not look up who lives: whoever uses it
//! tells it. It reads Linux directories, since that is where pools live.

#![forbid(unsafe_code)]

pub mod budget;
pub mod collector;
mod dialect;
mod directory;
pub mod exact;
pub mod exposition;
pub mod fold;
mod intake;
mod merge;
pub mod model;
pub mod parser;
mod places;
pub mod report;
pub mod rules;
mod table;
