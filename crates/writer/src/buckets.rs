//! The upper bounds of a histogram.

use std::fmt;

use headcount_format::layout::MAX_PARTS;

/// The upper bounds of a histogram's buckets, ascending; `+Inf` follows the last by itself.
///
/// ```
/// use headcount_writer::Buckets;
///
/// assert_eq!(Buckets::linear(1.0, 2.0, 3)?.bounds(), [1.0, 3.0, 5.0]);
/// assert_eq!(Buckets::exponential(1.0, 10.0, 3)?.bounds(), [1.0, 10.0, 100.0]);
/// assert_eq!(Buckets::new([0.5, 1.0, f64::INFINITY])?.bounds(), [0.5, 1.0]);
/// assert!(Buckets::new([1.0, 0.5]).is_err());
/// # Ok::<(), headcount_writer::BucketsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets(Vec<f64>);

impl Buckets {
    /// Explicit bounds.
    ///
    /// # Errors
    ///
    /// [`BucketsError`] when they do not ascend, are not numbers, or are more than 4096. A last
    /// bound of `+Inf` is left out; no bounds at all leave one bucket for everything.
    pub fn new(bounds: impl IntoIterator<Item = f64>) -> Result<Buckets, BucketsError> {
        let mut bounds: Vec<f64> = bounds.into_iter().collect();
        if bounds.last() == Some(&f64::INFINITY) {
            bounds.pop();
        }
        if bounds.len() > MAX_PARTS {
            return Err(BucketsError::TooMany {
                count: bounds.len(),
            });
        }
        if let Some(&bound) = bounds.iter().find(|bound| !bound.is_finite()) {
            return Err(BucketsError::NotFinite { bound });
        }
        if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(BucketsError::NotAscending {
                bound: pair[0],
                next: pair[1],
            });
        }
        Ok(Buckets(bounds))
    }

    /// `count` bounds from `start` on, each `width` above the last.
    ///
    /// # Errors
    ///
    /// [`BucketsError`] as for [`Buckets::new`].
    pub fn linear(start: f64, width: f64, count: usize) -> Result<Buckets, BucketsError> {
        Buckets::new((0..count).map(|index| start + width * index as f64))
    }

    /// `count` bounds from `start` on, each `factor` times the last.
    ///
    /// # Errors
    ///
    /// [`BucketsError`] as for [`Buckets::new`].
    pub fn exponential(start: f64, factor: f64, count: usize) -> Result<Buckets, BucketsError> {
        let bounds = std::iter::successors(Some(start), |bound| Some(bound * factor));
        Buckets::new(bounds.take(count))
    }

    /// client_python's defaults, for the seconds of a request: 5 milliseconds to 10 seconds, 14
    /// bounds. The default of a histogram.
    pub fn client_python() -> Buckets {
        Buckets(vec![
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
        ])
    }

    /// The defaults of Prometheus' Go client, for the seconds of a request: 5 milliseconds to 10
    /// seconds, 11 bounds.
    pub fn prometheus() -> Buckets {
        Buckets(vec![
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
    }

    /// The bounds, without `+Inf`.
    pub fn bounds(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn into_bounds(self) -> Vec<f64> {
        self.0
    }
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets::client_python()
    }
}

/// Why bounds are not those of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum BucketsError {
    /// One is not above the one before it.
    NotAscending {
        /// The one before.
        bound: f64,
        /// The one that should be greater.
        next: f64,
    },
    /// One is infinite, and not the last, or no number.
    NotFinite {
        /// That bound.
        bound: f64,
    },
    /// There are more than 4096.
    TooMany {
        /// How many there are.
        count: usize,
    },
}

impl fmt::Display for BucketsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BucketsError::NotAscending { bound, next } => write!(
                formatter,
                "the bucket bounds do not ascend: {next} comes after {bound}"
            ),
            BucketsError::NotFinite { bound } => write!(
                formatter,
                "the bucket bound {bound} is not a number that can be compared: leave it out, +Inf \
                 is there by itself"
            ),
            BucketsError::TooMany { count } => {
                write!(
                    formatter,
                    "{count} bucket bounds are too many: 4096 is the limit"
                )
            }
        }
    }
}

impl std::error::Error for BucketsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_cannot_be_buckets_are_refused() {
        let nan = Buckets::new([f64::NAN]);
        assert!(matches!(nan, Err(BucketsError::NotFinite { .. })));
        let inner = Buckets::new([f64::INFINITY, 1.0]);
        assert!(matches!(inner, Err(BucketsError::NotFinite { .. })));
        let flat = Buckets::exponential(1.0, 1.0, 2);
        assert_eq!(
            flat,
            Err(BucketsError::NotAscending {
                bound: 1.0,
                next: 1.0
            })
        );
        let many = Buckets::linear(0.0, 1.0, 4097);
        assert_eq!(many, Err(BucketsError::TooMany { count: 4097 }));
    }
}
