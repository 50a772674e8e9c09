//! From cumulative buckets to own ones.
//!
//! Owns the conversion for dialects in which a bucket holds all that is at most its bound, where
//! others hold what is above the bound before it (`spec/merge.md`, `[merge.histogram.mixed]`).

/// What each bucket has by itself, of `cumulative` ones in ascending order of their bounds.
///
/// `[gitlab.cumulative]`: a reader may meet an observation that is half written, the higher bounds
/// before the lower or the other way round, so each bucket holds at least what the one below does.
/// What is no number is nothing.
pub(super) fn own_counts(cumulative: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    cumulative.scan(0.0_f64, |below, here| {
        let before = *below;
        *below = below.max(here);
        // Of two that are infinite, the upper one has nothing by itself.
        Some(if *below > before {
            *below - before
        } else {
            0.0
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(cumulative: &[f64]) -> Vec<f64> {
        own_counts(cumulative.iter().copied()).collect()
    }

    // [gitlab.cumulative]
    #[test]
    fn each_bucket_has_what_the_one_below_lacks() {
        assert_eq!(own(&[1.0, 3.0, 3.0, 7.0]), [1.0, 2.0, 0.0, 4.0]);
        assert_eq!(own(&[]), [0.0; 0]);
    }

    // [gitlab.cumulative]
    #[test]
    fn an_observation_that_is_half_written_takes_nothing_away() {
        assert_eq!(own(&[2.0, 1.0, 1.0, 2.0]), [2.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_no_count_counts_nothing() {
        let infinity = f64::INFINITY;
        assert_eq!(own(&[-1.0, f64::NAN, 2.0]), [0.0, 0.0, 2.0]);
        assert_eq!(own(&[infinity, infinity]), [infinity, 0.0]);
    }
}
