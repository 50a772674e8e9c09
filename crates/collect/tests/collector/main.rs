//! The collector, by `spec/merge.md` and `spec/dialects.md`: directories in, families out.
//!
//! What is expected here was worked out by hand from the clauses that stand above each test, never
//! by the code under test.

mod allocator;
mod budgets;
mod conflicts;
mod damage;
mod dialects;
mod direct;
mod entries;
mod entry;
mod falls;
mod files;
mod fold;
mod gitlab;
mod hostile;
mod many_files;
mod no_fall;
mod no_fall_deeds;
mod no_fall_model;
mod no_fall_returns;
mod places;
mod pool;
mod python;
mod renamed;
mod rules;
mod seeds;
mod settled;
mod store;
mod text;
mod values;
