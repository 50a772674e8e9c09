//! Sums that do not depend on the order in which they are added.
//!
//! Owns the arithmetic behind every total. Knows nothing of metrics, files or workers.
//!
//! A total that moves by its last bit because two workers changed places looks like a counter reset
//! to Prometheus. So the exact sum is kept, and rounded once, when it is asked for.

use wide::Wide;

mod wide;

#[cfg(test)]
mod oracle;

/// The exact sum of the numbers that were added, whatever their order and grouping.
///
/// Two floats hold the sum as long as they can, which is nearly always; what they cannot hold goes
/// into a fixed-point number as wide as the whole range of `f64`, made when first needed.
///
/// The bits of [`ExactSum::value`] are a function of the multiset of numbers alone.
///
/// # Example
///
/// ```
/// use headcount_collect::exact::ExactSum;
///
/// let mut sum = ExactSum::new();
/// for value in [1e100, 1.0, -1e100] {
///     sum.add(value);
/// }
/// assert_eq!(sum.value(), 1.0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    /// The sum is `hi + lo + rest`, without any rounding; `hi` and `lo` are finite.
    hi: f64,
    lo: f64,
    rest: Option<Box<Wide>>,
}

impl ExactSum {
    /// The sum of no numbers, 0.0.
    pub const fn new() -> ExactSum {
        ExactSum {
            hi: 0.0,
            lo: 0.0,
            rest: None,
        }
    }

    /// Adds `value`, which may be any float.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let (hi, carried) = two_sum(self.hi, value);
        let (lo, residual) = two_sum(self.lo, carried);
        // An overflow or a value that is not finite leaves a residual of NaN.
        if residual == 0.0 {
            self.hi = hi;
            self.lo = lo;
        } else {
            self.spill(hi, lo, residual, value);
        }
    }

    /// Adds every number that `other` has been given.
    pub fn merge(&mut self, other: &ExactSum) {
        self.add(other.hi);
        self.add(other.lo);
        if let Some(rest) = &other.rest {
            self.rest.get_or_insert_default().merge(rest);
        }
    }

    /// The float nearest to the sum; of two that are equally near, the one whose last bit is zero.
    ///
    /// Infinite if the exact sum rounds to it, not if an intermediate one would. NaN if a NaN or
    /// both infinities were added. Never -0.0: a sum that cancels is 0.0.
    pub fn value(&self) -> f64 {
        match &self.rest {
            // Neither is ever -0.0: both begin at 0.0, and only -0.0 + -0.0 is -0.0.
            None => self.hi + self.lo,
            Some(rest) => {
                let mut total = rest.clone();
                total.add(self.hi);
                total.add(self.lo);
                total.round()
            }
        }
    }

    /// Numbers whose exact sum this is, the greatest first: two in nearly every case, and never
    /// more than forty.
    ///
    /// A sum that rounds to an infinity is that infinity alone, and one that is no number NaN.
    pub fn parts(&self) -> Vec<f64> {
        let value = self.value();
        if !value.is_finite() {
            return vec![value];
        }
        if self.rest.is_none() {
            return vec![self.hi, self.lo];
        }
        let mut parts = Vec::new();
        let mut rest = self.clone();
        loop {
            let part = rest.value();
            if part == 0.0 {
                return parts;
            }
            parts.push(part);
            rest.add(-part);
        }
    }

    #[cold]
    fn spill(&mut self, hi: f64, lo: f64, residual: f64, value: f64) {
        let rest = self.rest.get_or_insert_default();
        if residual.is_finite() {
            self.hi = hi;
            self.lo = lo;
            rest.add(residual);
        } else {
            rest.add(value);
        }
    }
}

/// The rounded sum and what the rounding lost: together exactly `left + right`, for any two floats
/// whose sum is finite (Knuth, The Art of Computer Programming, volume 2, section 4.2.2).
#[inline]
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let right_part = sum - left;
    let left_part = sum - right_part;
    (sum, (left - left_part) + (right - right_part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::oracle::oracle;
    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::new();
        values.iter().for_each(|&value| sum.add(value));
        sum
    }

    fn bits(values: &[f64]) -> u64 {
        sum(values).value().to_bits()
    }

    #[test]
    fn nothing_and_all_that_cancels_is_positive_zero() {
        for values in [
            &[][..],
            &[-0.0],
            &[-0.0, -0.0],
            &[1.5, -1.5],
            &[-1e300, 1e300, -0.0],
        ] {
            assert_eq!(bits(values), 0, "{values:?}");
        }
        // The last two go through the wide sum.
        assert_eq!(bits(&[1e300, 1.0, 1e-300, -1.0, -1e-300, -1e300]), 0);
        assert_eq!(bits(&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX]), 0);
    }

    #[test]
    fn counts_and_seconds_never_leave_the_two_floats() {
        let (mut counts, mut seconds) = (ExactSum::new(), ExactSum::new());
        for number in 0..10_000 {
            counts.add(9e15 + f64::from(number));
            seconds.add(f64::from(number) / 997.0);
        }
        assert!(counts.rest.is_none());
        assert!(seconds.rest.is_none());
    }

    #[test]
    fn only_an_exact_total_that_overflows_is_infinite() {
        let half_step = f64::MAX - f64::MAX.next_down();
        let half_step = half_step / 2.0;
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert_eq!(sum(&[f64::MAX, half_step.next_down()]).value(), f64::MAX);
        assert_eq!(sum(&[f64::MAX, half_step]).value(), f64::INFINITY);
        assert_eq!(
            sum(&[f64::MAX, half_step, 1e-300, -1e-300]).value(),
            f64::INFINITY
        );
        assert_eq!(sum(&[f64::MAX, half_step, -5e-324]).value(), f64::MAX);
        assert_eq!(sum(&[-f64::MAX, -f64::MAX]).value(), f64::NEG_INFINITY);
    }

    #[test]
    fn what_is_not_finite_decides_alone() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(sum(&[1.0, inf, -f64::MAX, inf]).value(), inf);
        assert_eq!(sum(&[-inf, 1.0]).value(), -inf);
        assert_eq!(bits(&[inf, 1.0, -inf]), nan.to_bits());
        assert_eq!(bits(&[1.0, -nan, inf]), nan.to_bits());
    }

    #[test]
    fn a_sum_equals_that_of_another_implementation() {
        // python3 -c 'import math; print(math.fsum(VALUES))', CPython 3.11.
        let vectors: [(&[f64], f64); 9] = FSUM;
        for (values, expected) in vectors {
            assert_eq!(bits(values), expected.to_bits(), "{values:?}");
        }
    }

    const FSUM: [(&[f64], f64); 9] = [
        (&[0.1; 10], 1.0),
        (&[1e16, 1.0, 1e-16], 1.0000000000000002e16),
        (&[1e16, 1.0, 1e16], 2e16),
        (&[9007199254740992.0, -0.5, -5e-324], 9007199254740991.0),
        (&[1.0, 1e100, 1.0, -1e100], 2.0),
        (&[9007199254740992.0, 1.0], 9007199254740992.0),
        (&[9007199254740992.0, 1.0, 5e-324], 9007199254740994.0),
        (
            &[5e-324, 2.2250738585072014e-308, 5e-324],
            2.2250738585072024e-308,
        ),
        (
            &[1.7976931348623157e308, -8.98846567431158e307, 1e-10, -3.3],
            8.988465674311578e307,
        ),
    ];

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite()),
            2 => (-1000i32..1000).prop_map(f64::from),
            2 => -1e6..1e6f64,
            1 => (0..4096u64).prop_map(f64::from_bits),
            1 => prop::sample::select(&[f64::MAX, f64::MIN, -0.0, f64::MIN_POSITIVE, 1e-300]),
        ]
    }

    /// Many numbers, some of which come back with the other sign.
    fn numbers() -> impl Strategy<Value = Vec<f64>> {
        (
            prop::collection::vec(number(), 0..24),
            any::<prop::sample::Index>(),
        )
            .prop_map(|(mut values, index)| {
                let cancelled = index.index(values.len() + 1);
                values.extend(values[..cancelled].to_vec().iter().map(|value| -value));
                values
            })
    }

    fn any_numbers() -> impl Strategy<Value = Vec<f64>> {
        prop_oneof![
            8 => numbers(),
            1 => prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..300),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_sum_is_the_exact_one_rounded_once(values in any_numbers()) {
            prop_assert_eq!(bits(&values), oracle(&values).to_bits());
        }

        // [ledger.sums]
        #[test]
        fn the_parts_of_a_sum_add_up_to_it_with_anything(values in any_numbers(), more in number()) {
            let whole = sum(&values);
            let parts = whole.parts();
            prop_assert!(parts.len() <= 40, "{}", parts.len());
            let again = sum(&parts);
            prop_assert_eq!(again.value().to_bits(), whole.value().to_bits());
            // Unrounded: what is added later meets the same sum.
            if whole.value().is_finite() {
                let with = |parts: &[f64]| bits(&[parts, &[more]].concat());
                prop_assert_eq!(with(&parts), with(&values));
            }
        }

        #[test]
        fn neither_order_nor_grouping_moves_a_bit(
            (values, shuffled) in any_numbers()
                .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
            sizes in prop::collection::vec(1..5usize, 1..200),
        ) {
            let mut groups = Vec::new();
            let mut rest = &shuffled[..];
            for size in sizes {
                let (group, left) = rest.split_at(size.min(rest.len()));
                groups.push(sum(group));
                rest = left;
            }
            groups.push(sum(rest));
            while groups.len() > 1 {
                let last = groups.remove(groups.len() - 1);
                let middle = groups.len() / 2;
                groups[middle].merge(&last);
            }
            prop_assert_eq!(groups[0].value().to_bits(), bits(&values));
        }
    }
}
