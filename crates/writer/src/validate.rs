//! Which names, labels and help texts Prometheus takes, and what to change in those that it does
//! not.
//!
//! Owns the rules of OpenMetrics 1.0 (sections "Metric" and "Label") and of Prometheus' data model.

use headcount_format::layout::{MAX_LABELS, MAX_PARTS, MAX_TEXT_BYTES};
use headcount_format::record::{Family, Label};
use headcount_format::{MetricType, Mode};

use crate::error::{LabelError, RegisterError};

/// Brings the name into the form of OpenMetrics (without `_total` and `_info`, with the unit) and
/// checks all that the family says of itself.
pub(crate) fn family(family: &mut Family, all_labels: &[Label]) -> Result<(), RegisterError> {
    complete_name(family)?;
    let name = || family.name.to_string();
    if family.help.len() > MAX_TEXT_BYTES {
        let bytes = family.help.len();
        return Err(RegisterError::Help {
            name: name(),
            bytes,
        });
    }
    if family.metric_type == MetricType::StateSet {
        states(family)?;
    }
    let labels = all_labels.iter().map(|(label, _)| label);
    let labels: Vec<&str> = labels
        .chain(&family.label_names)
        .map(|label| &**label)
        .collect();
    let invalid = |source| RegisterError::Label {
        name: name(),
        source,
    };
    label_names(&labels).map_err(invalid)?;
    match labels.iter().find_map(|label| reserved(family, label)) {
        Some(error) => Err(invalid(error)),
        None => Ok(()),
    }
}

/// The labels of all series: names, values, and that none comes twice.
pub(crate) fn labels(labels: &[Label]) -> Result<(), LabelError> {
    let names: Vec<&str> = labels.iter().map(|(name, _)| &**name).collect();
    label_names(&names)?;
    labels
        .iter()
        .try_for_each(|(name, value)| label_value(name, value))
}

/// One label value.
pub(crate) fn label_value(label: &str, value: &str) -> Result<(), LabelError> {
    if value.len() > MAX_TEXT_BYTES {
        return Err(LabelError::Value {
            label: label.to_owned(),
            bytes: value.len(),
        });
    }
    Ok(())
}

/// Every name that the family's samples have, and its own.
pub(crate) fn sample_names(family: &Family) -> Vec<String> {
    let suffixes = family.metric_type.sample_suffixes().iter();
    suffixes
        .map(|suffix| format!("{}{suffix}", family.name))
        .collect()
}

fn complete_name(family: &mut Family) -> Result<(), RegisterError> {
    let suffix = match family.metric_type {
        MetricType::Counter => "_total",
        MetricType::Info => "_info",
        _ => "",
    };
    let given = family.name.to_string();
    let mut name = given.strip_suffix(suffix).unwrap_or(&given).to_owned();
    let unit_problem = match family.metric_type {
        _ if family.unit.is_empty() => None,
        MetricType::Info | MetricType::StateSet => Some("a state or an info has no unit"),
        _ if !has_name_form(&family.unit, false) => {
            Some("use letters, digits and underscores, like `seconds`")
        }
        _ => None,
    };
    if let Some(problem) = unit_problem {
        let unit = family.unit.to_string();
        return Err(RegisterError::Unit {
            name,
            unit,
            problem,
        });
    }
    if !family.unit.is_empty() && !name.ends_with(&format!("_{}", family.unit)) {
        name = format!("{name}_{}", family.unit);
    }
    let problem = if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_TEXT_BYTES - "_created".len() {
        Some("it is longer than 65535 bytes")
    } else if !has_name_form(&name, true) {
        Some(
            "begin with a letter or an underscore, and go on with letters, digits, underscores and \
             colons",
        )
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(RegisterError::Name {
            name: given,
            problem,
        });
    }
    family.name = name.into();
    Ok(())
}

fn states(family: &Family) -> Result<(), RegisterError> {
    let states = &family.states;
    let problem = if states.is_empty() {
        Some("name one at least")
    } else if states.len() > MAX_PARTS {
        Some("4096 is the limit")
    } else if states.iter().any(|state| state.len() > MAX_TEXT_BYTES) {
        Some("one is longer than 65535 bytes")
    } else if (1..states.len()).any(|index| states[..index].contains(&states[index])) {
        Some("one comes twice")
    } else {
        None
    };
    let name = family.name.to_string();
    if let Some(problem) = problem {
        return Err(RegisterError::States { name, problem });
    }
    if matches!(family.mode, Mode::Sum | Mode::LiveSum) {
        let mode = family.mode;
        return Err(RegisterError::Mode { name, mode });
    }
    Ok(())
}

fn label_names(names: &[&str]) -> Result<(), LabelError> {
    if names.len() > MAX_LABELS {
        return Err(LabelError::TooMany { count: names.len() });
    }
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            let label = (*name).to_owned();
            return Err(LabelError::Duplicate { label });
        }
        let problem = if !has_name_form(name, false) {
            "begin with a letter or an underscore, and go on with letters, digits and underscores"
        } else if name.starts_with("__") {
            "two underscores at the start are reserved for Prometheus: take one away"
        } else if name.len() > MAX_TEXT_BYTES {
            "it is longer than 65535 bytes"
        } else {
            continue;
        };
        let label = (*name).to_owned();
        return Err(LabelError::Name { label, problem });
    }
    Ok(())
}

fn reserved(family: &Family, label: &str) -> Option<LabelError> {
    let is_gauge = matches!(family.metric_type, MetricType::Gauge | MetricType::StateSet);
    let problem = match label {
        "le" if family.metric_type == MetricType::Histogram => "a histogram's buckets have it",
        "quantile" if family.metric_type == MetricType::Summary => "a summary's quantiles have it",
        "pid" if is_gauge && family.mode.is_per_worker() => {
            "the mode all tells workers apart by it: use another name or another mode"
        }
        label if family.metric_type == MetricType::StateSet && label == &*family.name => {
            "a state set's samples name their state by it"
        }
        _ => return None,
    };
    let label = label.to_owned();
    Some(LabelError::Name { label, problem })
}

fn has_name_form(name: &str, colons: bool) -> bool {
    let is_letter =
        |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(metric_type: MetricType, name: &str, unit: &str, labels: &[&str]) -> Family {
        Family {
            metric_type,
            mode: Mode::All,
            name: name.into(),
            help: "".into(),
            unit: unit.into(),
            label_names: labels.iter().map(|&label| label.into()).collect(),
            bounds: Vec::new(),
            states: Vec::new(),
            is_bare: false,
        }
    }

    fn named(metric_type: MetricType, name: &str, unit: &str) -> String {
        let mut described = described(metric_type, name, unit, &[]);
        family(&mut described, &[]).unwrap();
        described.name.into()
    }

    fn error(mut described: Family) -> String {
        family(&mut described, &[]).unwrap_err().to_string()
    }

    #[test]
    fn names_take_the_form_of_openmetrics() {
        assert_eq!(named(MetricType::Counter, "requests_total", ""), "requests");
        assert_eq!(named(MetricType::Counter, "cpu", "seconds"), "cpu_seconds");
        assert_eq!(
            named(MetricType::Counter, "cpu_seconds_total", "seconds"),
            "cpu_seconds"
        );
        assert_eq!(
            named(MetricType::Gauge, "requests_total", ""),
            "requests_total"
        );
        assert_eq!(named(MetricType::Info, "build_info", ""), "build");
    }

    #[test]
    fn an_error_says_what_to_change() {
        let empty = error(described(MetricType::Counter, "_total", "", &[]));
        assert!(empty.ends_with("it is empty"), "{empty}");
        let digit = error(described(MetricType::Gauge, "1st", "", &[]));
        assert!(digit.contains("begin with a letter"), "{digit}");
        let label = error(described(MetricType::Gauge, "g", "", &["a-b"]));
        assert!(
            label.contains("\"a-b\"") && label.contains("underscores"),
            "{label}"
        );
        let twice = error(described(MetricType::Gauge, "g", "", &["a", "a"]));
        assert!(twice.contains("a comes twice"), "{twice}");
        let le = error(described(MetricType::Histogram, "h", "", &["le"]));
        assert!(le.contains("buckets"), "{le}");
        let pid = error(described(MetricType::Gauge, "g", "", &["pid"]));
        assert!(pid.contains("another mode"), "{pid}");
        let unit = error(described(MetricType::Info, "build", "seconds", &[]));
        assert!(unit.contains("no unit"), "{unit}");
        let reserved = error(described(MetricType::Gauge, "g", "", &["__name__"]));
        assert!(reserved.contains("reserved"), "{reserved}");
    }

    #[test]
    fn a_label_of_all_series_and_one_of_the_metric_may_not_share_a_name() {
        let all = [("a".into(), "1".into())];
        let outcome = family(&mut described(MetricType::Gauge, "g", "", &["a"]), &all);
        assert!(outcome.unwrap_err().to_string().contains("a comes twice"));
    }
}
