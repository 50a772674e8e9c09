//! `headcount serve` under bad input, on the wire, and from start to end.

mod damage;
mod life;
mod wire;
