//! Numbers that are drawn, and can be drawn again.

use std::env;
use std::time::SystemTime;

/// A generator of the kind xorshift64 (Marsaglia, 2003).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        // Zero would stay zero.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The seed that `HEADCOUNT_SEED` names, so that a failure can be had again; else another each time.
/// Whoever draws it says which it was when the test fails.
pub(crate) fn seed() -> u64 {
    let named = env::var("HEADCOUNT_SEED").ok();
    let named = named.map(|seed| seed.parse().expect("HEADCOUNT_SEED is a number"));
    named.unwrap_or_else(|| {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
        u64::from(now.subsec_nanos())
    })
}
