//! A number wide enough for any sum of floats.
//!
//! Owns the limbs, their carries and the one rounding. Knows not when it is needed.

use std::iter;

/// A fixed-point number in two's complement that every finite `f64` fits exactly (Kulisch).
///
/// Bit 0 weighs 2^-1074, the least subnormal. A float reaches bit 2097 and the sign takes the last
/// bit of 34 * 64 = 2176, so 2^77 additions cannot overflow.
#[derive(Clone, Debug)]
pub(super) struct Wide {
    /// The least significant first.
    limbs: [u64; LIMBS],
    /// The sum of what was not finite; 0.0 if nothing was.
    special: f64,
}

impl Wide {
    /// Adds `value`, which may be any float.
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.special += value;
            return;
        }
        let bits = value.to_bits();
        let exponent = (bits >> FRACTION_BITS) & 0x7ff;
        let fraction = bits & (IMPLICIT_BIT - 1);
        let (mantissa, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | IMPLICIT_BIT, exponent - 1),
        };
        let spread = u128::from(mantissa) << (shift % 64);
        let step = if value.is_sign_negative() {
            u64::borrowing_sub
        } else {
            u64::carrying_add
        };
        let parts = [spread as u64, (spread >> 64) as u64];
        self.apply((shift / 64) as usize, &parts, step);
    }

    /// Adds what `other` holds.
    pub(super) fn merge(&mut self, other: &Wide) {
        self.apply(0, &other.limbs, u64::carrying_add);
        self.special += other.special;
    }

    /// Adds or subtracts `parts`, the first of which meets limb `first`.
    fn apply(&mut self, first: usize, parts: &[u64], step: fn(u64, u64, bool) -> (u64, bool)) {
        let mut carry = false;
        let padded = parts.iter().copied().chain(iter::repeat(0));
        for (index, (limb, part)) in self.limbs[first..].iter_mut().zip(padded).enumerate() {
            if index >= parts.len() && !carry {
                break;
            }
            (*limb, carry) = step(*limb, part, carry);
        }
    }

    /// The nearest float, never -0.0.
    pub(super) fn round(&self) -> f64 {
        if self.special.is_nan() {
            return f64::NAN;
        }
        if self.special.is_infinite() {
            return self.special;
        }
        let mut magnitude = self.clone();
        let negative = self.limbs[LIMBS - 1] >> 63 == 1;
        if negative {
            magnitude.limbs = [0; LIMBS];
            magnitude.apply(0, &self.limbs, u64::borrowing_sub);
        }
        let absolute = f64::from_bits(magnitude.round_bits());
        // Nothing but a sum of exactly zero rounds to zero, and it is not negative.
        if negative { -absolute } else { absolute }
    }

    /// The bits of the nearest float, for a number that is not negative.
    fn round_bits(&self) -> u64 {
        let Some(top) = self.limbs.iter().rposition(|&limb| limb != 0) else {
            return 0;
        };
        let length = top as u64 * 64 + u64::from(64 - self.limbs[top].leading_zeros());
        // Below the 53rd bit the number is in units of the least subnormal, as the bits of a float
        // are.
        let Some(shift) = length
            .checked_sub(FRACTION_BITS + 1)
            .filter(|&shift| shift > 0)
        else {
            return self.limbs[0];
        };
        let mantissa = self.window(shift) & (IMPLICIT_BIT * 2 - 1);
        let half = self.bit(shift - 1);
        let up = half && (mantissa & 1 == 1 || self.any_below(shift - 1));
        // A mantissa that overflows carries into the exponent, which is what it should do.
        let bits = (shift << FRACTION_BITS) + mantissa + u64::from(up);
        bits.min(f64::INFINITY.to_bits())
    }

    /// The 64 bits from bit `from` upwards.
    fn window(&self, from: u64) -> u64 {
        let at = (from / 64) as usize;
        let high = self.limbs.get(at + 1).copied().unwrap_or(0);
        let both = u128::from(self.limbs[at]) | u128::from(high) << 64;
        (both >> (from % 64)) as u64
    }

    fn bit(&self, index: u64) -> bool {
        self.window(index) & 1 == 1
    }

    fn any_below(&self, index: u64) -> bool {
        let at = (index / 64) as usize;
        let mask = (1 << (index % 64)) - 1;
        self.limbs[at] & mask != 0 || self.limbs[..at].iter().any(|&limb| limb != 0)
    }
}

impl Default for Wide {
    fn default() -> Wide {
        Wide {
            limbs: [0; LIMBS],
            special: 0.0,
        }
    }
}

const LIMBS: usize = 34;
const FRACTION_BITS: u64 = 52;
const IMPLICIT_BIT: u64 = 1 << FRACTION_BITS;
