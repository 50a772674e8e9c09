//! `headcount collect` beside prometheus_client's own merge, over directories whose workers live.
//!
//! Where headcount differs on purpose, spec/merge.md says why; a test below is named after each.

use std::fs;

use crate::support::TempDir;
use crate::support::exposition::{Exposition, bits, number};
use crate::support::files;
use crate::support::processes::Finished;
use crate::support::prometheus::promtool_check_metrics;
use crate::support::python::{Corpus, OpenMetrics, parse_openmetrics};
use crate::support::sidecar::collect;

#[test]
fn every_type_and_mode_merges_as_the_peer_merges_it() {
    agree_on(&Corpus::start("types"));
}

#[test]
fn odd_labels_come_out_as_the_peer_prints_them() {
    agree_on(&Corpus::start("labels"));
}

#[test]
fn floats_of_every_size_come_out_as_the_peer_prints_them() {
    agree_on(&Corpus::start("floats"));
}

#[test]
fn sums_are_rounded_once() {
    agree_on(&Corpus::start("sums"));
}

#[test]
fn nan_and_infinities_merge_as_the_peer_merges_them() {
    let corpus = Corpus::start("special");
    let mut text = agree_on_text(&corpus);
    // OpenMetrics forbids some of these values. Its parser refuses what the peer makes of them;
    // of ours it takes every sample, in families that claim no type. It also wants no sum, and
    // then no count, beside buckets below zero.
    for forbidden in ["below_zero_seconds_count", "below_zero_seconds_sum"] {
        assert!(text.samples.remove(forbidden).is_some(), "{forbidden}");
    }
    let openmetrics = parse_openmetrics(&collect(&corpus.directory, "openmetrics"));
    assert_same_samples(&openmetrics, &text);
}

#[test]
fn help_texts_are_escaped_as_the_peer_escapes_them() {
    agree_on(&Corpus::start("help"));
}

#[test]
fn metrics_made_before_the_fork_merge_as_the_peer_merges_them() {
    agree_on(&Corpus::start("preload"));
}

#[test]
fn files_that_grew_merge_as_the_peer_merges_them() {
    agree_on(&Corpus::start("grown"));
}

#[test]
fn random_corpora_merge_as_the_peer_merges_them() {
    for seed in 1..=RANDOM_CORPORA {
        agree_on(&Corpus::start_seeded("random", seed));
    }
}

#[test]
fn the_dead_count_as_they_do_for_the_peer() {
    let mut corpus = Corpus::start("types");
    corpus.end_workers();
    let ours = Exposition::parse(&collect(&corpus.directory, "text"));
    for (sample, value) in &corpus.exposition().samples {
        // A dead worker's live gauges go, whether or not somebody called mark_process_dead.
        if !sample.starts_with("level_live") && !sample.starts_with("untouched_live") {
            assert_eq!(ours.samples.get(sample), Some(value), "{sample}");
        }
    }
}

#[test]
fn two_collects_of_one_directory_are_equal_byte_for_byte() {
    let corpus = Corpus::start("types");
    for format in ["text", "openmetrics", "json"] {
        assert_eq!(
            collect(&corpus.directory, format),
            collect(&corpus.directory, format)
        );
    }
}

#[test]
fn json_holds_every_sample() {
    let corpus = Corpus::start("pool");
    let json = collect(&corpus.directory, "json");
    serde_json::from_str::<serde_json::Value>(&json).expect("it is JSON");
    for name in [
        "jobs",
        "busy_workers",
        "backlog",
        "job_seconds",
        "sent_bytes",
    ] {
        assert!(
            json.contains(&format!("\"{name}")),
            "{name} is missing in {json}"
        );
    }
}

// On purpose, we differ in what follows.

#[test]
fn nan_in_min_and_max_is_ignored_unless_all_are_nan() {
    let corpus = Corpus::start("nan_in_extremes");
    let ours = Exposition::parse(&collect(&corpus.directory, "text"));
    for (mode, extreme) in [
        ("min", 1.0),
        ("livemin", 1.0),
        ("max", 2.0),
        ("livemax", 2.0),
    ] {
        assert_eq!(
            ours.value(&format!("mixed_{mode}")),
            Some(extreme),
            "{mode}"
        );
        let barren = ours.value(&format!("barren_{mode}"));
        assert!(barren.is_some_and(f64::is_nan), "{mode}: {barren:?}");
    }
}

#[test]
fn of_two_most_recent_values_with_one_timestamp_the_greater_wins() {
    let corpus = Corpus::start("tied_timestamps");
    let ours = Exposition::parse(&collect(&corpus.directory, "text"));
    assert_eq!(ours.value("tied_mostrecent"), Some(9.0));
    assert_eq!(ours.value("tied_livemostrecent"), Some(9.0));
}

#[test]
fn a_family_without_any_sample_is_not_declared() {
    let corpus = Corpus::start("types");
    // A most recent value that was never set is no sample.
    let never_set = String::from("untouched_mostrecent");
    assert!(corpus.exposition().types.contains_key(&never_set));
    let ours = Exposition::parse(&collect(&corpus.directory, "text"));
    assert!(!ours.types.contains_key(&never_set) && !ours.help.contains_key(&never_set));
    assert!(ours.types.contains_key("untouched_max"));
}

#[test]
fn a_histogram_without_any_bucket_is_not_exposed() {
    let corpus = Corpus::start("no_buckets");
    let text = collect(&corpus.directory, "text");
    let ours = Exposition::parse(&text);
    assert_eq!(
        ours.samples.keys().collect::<Vec<_>>(),
        ["whole_total"],
        "{text}"
    );
    parse_openmetrics(&collect(&corpus.directory, "openmetrics"));
}

#[test]
fn a_worker_id_with_underscores_is_kept_whole() {
    let corpus = Corpus::start("underscores");
    let ours = Exposition::parse(&collect(&corpus.directory, "text"));
    assert_eq!(ours.value("level{pid=\"web_worker_0\"}"), Some(0.0));
    assert_eq!(ours.value("level{pid=\"web_worker_1\"}"), Some(1.0));
    assert_eq!(ours.value("jobs_total"), Some(3.0));
}

#[test]
fn a_conflict_is_resolved_alike_whatever_the_listing_says() {
    let corpus = Corpus::start("conflict");
    let text = collect(&corpus.directory, "text");
    let mut files = files::named(&corpus.directory, "");
    for _ in 0..files.len() {
        files.rotate_left(1);
        let reordered = TempDir::new();
        for file in &files {
            let name = file.file_name().expect("a file has a name");
            fs::copy(file, reordered.join(name)).expect("a file can be copied");
        }
        assert_eq!(collect(reordered.path(), "text"), text);
    }
    assert_accepted(&promtool_check_metrics(&text), &text);
    parse_openmetrics(&collect(&corpus.directory, "openmetrics"));
    let ours = Exposition::parse(&text);
    assert_eq!(ours.value("helped_total"), Some(3.0));
}

/// Text and OpenMetrics agree with the peer, and the tools of the trade accept both.
fn agree_on(corpus: &Corpus) {
    let text = agree_on_text(corpus);
    agree_on_openmetrics(corpus, &text);
}

fn agree_on_text(corpus: &Corpus) -> Exposition {
    let text = collect(&corpus.directory, "text");
    let (ours, mut peer) = (Exposition::parse(&text), corpus.exposition());
    peer.forget_families_without_samples();
    assert_eq!(ours.types, peer.types);
    assert_eq!(ours.help, peer.help);
    let missing = peer
        .samples
        .keys()
        .filter(|sample| !ours.samples.contains_key(*sample));
    let added = ours
        .samples
        .keys()
        .filter(|sample| !peer.samples.contains_key(*sample));
    assert_eq!(missing.collect::<Vec<_>>(), NONE, "missing");
    assert_eq!(added.collect::<Vec<_>>(), NONE, "added");

    let differences = peer.samples.iter().filter_map(|(sample, peers)| {
        let ours = &ours.samples[sample];
        let complaint = compare(corpus, sample, ours, peers)?;
        Some(format!(
            "{sample}: ours {ours}, the peer's {peers}: {complaint}"
        ))
    });
    let differences: Vec<_> = differences.collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_accepted(&promtool_check_metrics(&text), &text);
    ours
}

/// What is wrong with our value, beside the peer's and the exact one.
fn compare(corpus: &Corpus, sample: &str, ours: &str, peers: &str) -> Option<String> {
    let (our_value, peers_value) = (number(ours), number(peers));
    if let Some(sum) = corpus.sums.get(sample) {
        if bits(our_value) != bits(sum.value) {
            return Some(format!("the exact sum rounds to {:?}", sum.value));
        }
        if (our_value - peers_value).abs() > sum.bound {
            return Some(format!("they are more than {:?} apart", sum.bound));
        }
    } else if bits(our_value) != bits(peers_value) {
        return Some("nothing was summed here, so they should be equal".to_owned());
    }
    let printed_otherwise = bits(our_value) == bits(peers_value) && ours != peers;
    printed_otherwise.then(|| "equal, but not printed alike".to_owned())
}

fn agree_on_openmetrics(corpus: &Corpus, text: &Exposition) {
    let ours = collect(&corpus.directory, "openmetrics");
    assert!(ours.ends_with("# EOF\n"), "no # EOF at the end");
    let ours = parse_openmetrics(&ours);
    assert_same_samples(&ours, text);
    for (family, metric_type) in &ours.types {
        let total = if metric_type == "counter" {
            "_total"
        } else {
            ""
        };
        let name = format!("{family}{total}");
        assert_eq!(text.types.get(&name), Some(metric_type), "{name}");
        // The parser drops space at the ends.
        assert_eq!(
            unescape(&text.help[&name]).trim(),
            ours.help[family].trim(),
            "{name}"
        );
    }
    assert_eq!(ours.types.len(), text.types.len());
}

/// Both formats have the same samples, by name, labels and the bits of the value.
fn assert_same_samples(ours: &OpenMetrics, text: &Exposition) {
    let missing = text
        .samples
        .keys()
        .filter(|sample| !ours.samples.contains_key(*sample));
    assert_eq!(missing.collect::<Vec<_>>(), NONE, "missing in OpenMetrics");
    for (sample, value) in &ours.samples {
        let in_text = text.samples.get(sample).map(|value| bits(number(value)));
        assert_eq!(Some(bits(*value)), in_text, "{sample} {value:?}");
    }
}

/// Undoes what the text format does to a help text.
fn unescape(help: &str) -> String {
    let mut unescaped = String::new();
    let mut characters = help.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                other => other.unwrap_or('\\'),
            },
            other => other,
        };
        unescaped.push(character);
    }
    unescaped
}

/// promtool exits with 3 if it only finds the names, the help or the like in bad style.
fn assert_accepted(finished: &Finished, text: &str) {
    let accepted = matches!(finished.status.code(), Some(0 | 3));
    assert!(accepted, "{}\n{text}", finished.stderr);
}

const RANDOM_CORPORA: u32 = 16;

const NONE: [&String; 0] = [];
