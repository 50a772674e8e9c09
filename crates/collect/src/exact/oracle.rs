//! Another way to the exact sum, for tests alone.
//!
//! Shares nothing with what it judges: other digits, no two's complement, and a search in place of
//! rounding.

use std::cmp::Ordering;

/// The rounded sum, found another way: schoolbook integers in units of 2^-1074, and a search
/// among all floats for the two neighbours of the total.
pub(super) fn oracle(values: &[f64]) -> f64 {
    if values.iter().any(|value| !value.is_finite()) {
        let special: f64 = values.iter().filter(|value| !value.is_finite()).sum();
        return if special.is_nan() { f64::NAN } else { special };
    }
    let (negative, positive): (Vec<f64>, Vec<f64>) = values.iter().partition(|&&value| value < 0.0);
    let [gain, loss] = [positive, negative].map(|side| {
        side.iter().fold(Integer::default(), |sum, value| {
            sum.plus(&Integer::of(value.abs()))
        })
    });
    match gain.compare(&loss) {
        Ordering::Equal => 0.0,
        Ordering::Greater => gain.minus(&loss).nearest(),
        Ordering::Less => -loss.minus(&gain).nearest(),
    }
}

/// Digits to the base of 2^16, the least significant first.
#[derive(Default)]
struct Integer(Vec<u16>);

impl Integer {
    fn of(value: f64) -> Integer {
        let bits = value.to_bits();
        let exponent = bits >> 52;
        let fraction = bits % (1 << 52);
        match exponent {
            0 => Integer::shifted(fraction, 0),
            _ => Integer::shifted(fraction + (1 << 52), exponent - 1),
        }
    }

    fn shifted(mut value: u64, shift: u64) -> Integer {
        let mut digits = vec![0; (shift / 16) as usize];
        let mut carry = 0;
        while value != 0 || carry != 0 {
            let digit = (value % 65536) << (shift % 16) | carry;
            digits.push((digit % 65536) as u16);
            carry = digit / 65536;
            value /= 65536;
        }
        Integer(digits)
    }

    fn digit(&self, index: usize) -> i64 {
        self.0.get(index).copied().unwrap_or(0).into()
    }

    fn combine(&self, other: &Integer, sign: i64) -> Integer {
        let mut carry = 0;
        let length = self.0.len().max(other.0.len()) + 1;
        let digits = (0..length).map(|index| {
            let total = self.digit(index) + sign * other.digit(index) + carry;
            carry = total.div_euclid(65536);
            total.rem_euclid(65536) as u16
        });
        Integer(digits.collect())
    }

    fn plus(&self, other: &Integer) -> Integer {
        self.combine(other, 1)
    }

    fn minus(&self, other: &Integer) -> Integer {
        self.combine(other, -1)
    }

    fn compare(&self, other: &Integer) -> Ordering {
        let length = self.0.len().max(other.0.len());
        let digits = (0..length).rev();
        digits.fold(Ordering::Equal, |found, index| {
            found.then(self.digit(index).cmp(&other.digit(index)))
        })
    }

    fn nearest(&self) -> f64 {
        let (mut low, mut high) = (0, f64::INFINITY.to_bits());
        while high - low > 1 {
            let middle = (low + high) / 2;
            match Integer::of(f64::from_bits(middle)).compare(self) {
                Ordering::Greater => high = middle,
                _ => low = middle,
            }
        }
        // Infinity stands for 2^1024 here, which its bits read as a float would be.
        let neighbours = [low, high].map(|bits| Integer::of(f64::from_bits(bits)));
        let between = neighbours[0].plus(&neighbours[1]);
        f64::from_bits(match self.plus(self).compare(&between) {
            Ordering::Less => low,
            Ordering::Greater => high,
            Ordering::Equal => low + low % 2,
        })
    }
}
