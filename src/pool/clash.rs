//! Which names a family claims, and whether two families want the same.
//!
//! Owns the rule of a clash: where headcount and the pool both have a name, the pool's family is
//! served and headcount's is left to its own path. Looks at names alone.

use headcount_collect::model::Family;

/// Whether `own` claims a name that one of `families` claims too.
pub(crate) fn claims_a_name_of(own: &Family, families: &[Family]) -> bool {
    let names: Vec<String> = own.sample_names().collect();
    // A name is a family's own, with a suffix at most: only what begins as ours do can clash.
    let near = families
        .iter()
        .filter(|family| family.name.starts_with(PREFIX));
    near.flat_map(Family::sample_names)
        .any(|name| names.contains(&name))
}

/// How the name of every family of headcount's own begins.
pub(crate) const PREFIX: &str = "headcount";

#[cfg(test)]
mod tests {
    use headcount_collect::model::MetricType;

    use super::*;

    fn family(name: &str, metric_type: MetricType) -> Family {
        Family {
            name: name.into(),
            help: "".into(),
            unit: "".into(),
            metric_type,
            is_bare: false,
            series: Vec::new(),
        }
    }

    #[test]
    fn families_clash_by_any_name_that_both_claim() {
        let ours = family("headcount_series", MetricType::Gauge);
        for (name, metric_type, clash) in [
            ("headcount_series", MetricType::Gauge, true),
            ("headcount_series", MetricType::Counter, true),
            ("headcount.series", MetricType::Histogram, true),
            ("headcount_series_total", MetricType::Gauge, false),
            ("headcount", MetricType::Gauge, false),
            ("series", MetricType::Gauge, false),
        ] {
            let pool = [family("a", MetricType::Info), family(name, metric_type)];
            assert_eq!(
                claims_a_name_of(&ours, &pool),
                clash,
                "{metric_type} {name}"
            );
        }
    }

    #[test]
    fn a_family_clashes_by_the_names_of_its_samples() {
        let counter = family("headcount", MetricType::Histogram);
        for (name, clash) in [
            ("headcount_count", true),
            ("headcount_created", true),
            ("headcount_bucket", true),
            ("headcount_total", false),
        ] {
            let ours = family(name, MetricType::Gauge);
            assert_eq!(
                claims_a_name_of(&ours, std::slice::from_ref(&counter)),
                clash,
                "{name}"
            );
        }
    }
}
