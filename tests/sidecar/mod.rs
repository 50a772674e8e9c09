//! `headcount serve` under bad and hostile input, on the wire, with rules, and from start to end.

mod damage;
mod directory;
mod hostile;
pub(crate) mod life;
mod many;
mod rules;
mod truncation;
mod wire;
