//! The collector, by `spec/merge.md` and `spec/dialects.md`: directories in, families out.
//!
//! What is expected here was worked out by hand from the clauses that stand above each test, never
//! by the code under test.

mod conflicts;
mod damage;
mod dialects;
mod entry;
mod falls;
mod files;
mod hostile;
mod pool;
mod python;
mod store;
mod values;
