//! Any bytes, a few thousand mutations of the fuzzer's seeds, and texts made to be slow.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use headcount_collect::parser::{Document, ParseErrorKind};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::entry;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // [text.hostile] [text.error]
    #[test]
    fn any_bytes_cost_the_lines_in_which_they_are_wrong(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        entry::text(&bytes);
    }

    // [text.hostile] [text.error] [text.distinct] [text.label.twice]
    #[test]
    fn any_tokens_cost_the_lines_in_which_they_are_wrong(text in soup()) {
        entry::text(text.as_bytes());
    }

    // [text.error]
    #[test]
    fn a_line_of_garbage_is_one_error_more(
        text in soup(),
        garbage in garbage(),
        place in any::<Index>(),
    ) {
        let alone = entry::text(text.as_bytes());
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::as_bytes).collect();
        let line = [&garbage[..], b"\n"].concat();
        lines.insert(place.index(lines.len() + 1), &line);
        let with = lines.concat();
        let with = entry::text(&with);
        prop_assert_eq!(with.errors.total, alone.errors.total + 1);
        prop_assert_eq!(with.is_cut, alone.is_cut);
        prop_assert_eq!(without_lines(with), without_lines(alone));
    }

    // [text.cut]
    #[test]
    fn a_text_cut_anywhere_says_what_its_whole_lines_say(text in soup(), place in any::<Index>()) {
        let cut = &text.as_bytes()[..place.index(text.len() + 1)];
        let end = cut.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let whole = entry::text(&cut[..end]);
        let found = entry::text(cut);
        prop_assert_eq!(found.is_cut, end < cut.len());
        prop_assert_eq!(found.errors, whole.errors);
        prop_assert_eq!(format!("{:?}", found.families), format!("{:?}", whole.families));
    }
}

// [text.hostile]
#[test]
fn mutated_seeds_cost_the_lines_in_which_they_are_wrong() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/text");
    let mut seen = 0;
    for seed in fs::read_dir(seeds).expect("there are seeds") {
        let seed = fs::read(seed.expect("it has a name").path()).expect("it can be read");
        entry::text(&seed);
        // What a byte does to its line does not hang on how long the text is.
        let seed = &seed[..seed.len().min(600)];
        for at in 0..seed.len() {
            for byte in *b"\0\n \"\\{},1\xff" {
                let mut mutated = seed.to_vec();
                mutated[at] = byte;
                entry::text(&mutated);
            }
        }
        seen += 1;
    }
    assert!(seen >= 4, "{seen} seeds");
}

// [text.hostile]
//
// Takes seconds where the time is linear; where it is not, nobody waits for the end.
#[test]
fn no_text_is_slow() {
    const LINES: usize = 100_000;
    const BYTES: usize = 4 << 20;
    let lines = |line: fn(usize) -> String| (0..LINES).map(line).collect::<String>();

    let document = entry::text(lines(|at| format!("x{at} 1\n")).as_bytes());
    assert_eq!(document.families.len(), LINES);
    let document = entry::text(lines(|at| format!("x{{l=\"{at}\"}} 1\n")).as_bytes());
    assert_eq!(document.families[0].samples.len(), LINES);
    let document = entry::text("x{l=\"1\"} 1\n".repeat(LINES).as_bytes());
    assert_eq!(document.errors.total, LINES - 1);
    assert_eq!(document.errors.first[0].kind, ParseErrorKind::SampleTwice);

    let mut labels = String::from("x{");
    for at in 0..LINES {
        write!(labels, "l{at}=\"\\\\\",").expect("a string takes all");
    }
    labels.push_str("} 1\n");
    let document = entry::text(labels.as_bytes());
    assert_eq!(document.families[0].samples[0].labels.len(), LINES);
    let document = entry::text(labels.replace("l7=", "l8=").as_bytes());
    assert_eq!(document.errors.first[0].kind, ParseErrorKind::LabelTwice);

    for (unit, is_error) in [
        ("x", true),
        ("1", true),
        (" ", false),
        ("#", false),
        ("\\", true),
        ("x{", true),
        ("x{a=\"", true),
        ("\0", true),
        ("\u{e9}", true),
    ] {
        let mut line = unit.repeat(BYTES / unit.len());
        line.push('\n');
        let document = entry::text(line.as_bytes());
        assert_eq!(document.errors.total, usize::from(is_error), "{unit:?}");
    }
    // Digits behind the point, which can still be a float.
    let digits = format!("x 0.{}\n", "1".repeat(BYTES));
    let document = entry::text(digits.as_bytes());
    assert_eq!(document.families[0].samples[0].value, 1.0 / 9.0);
}

/// Lines that are nearly right, and often about the same names.
fn soup() -> impl Strategy<Value = String> {
    let token = select(
        &[
            "x",
            "y",
            "x_sum",
            "x_bucket",
            "x_count",
            "le",
            "quantile",
            "{",
            "}",
            "{}",
            "=",
            "\"",
            "\"1\"",
            "le=\"1\"",
            "a=\"\"",
            "a=\"b\"",
            "{le=\"1\"}",
            "{quantile=\"0.5\"}",
            ",",
            " ",
            " ",
            " ",
            "\t",
            "1",
            "NaN",
            "-Inf",
            "1e5",
            "#",
            "# ",
            "# TYPE ",
            "# HELP ",
            "# TYPE x ",
            "# TYPE x histogram",
            "# TYPE x summary",
            "counter",
            "untyped",
            "histogram",
            "\\",
            "\\n",
            "\\\"",
            "\u{e9}",
            "\0",
            "\r",
        ][..],
    );
    let sample = select(
        &[
            "x 1",
            "x{a=\"b\"} 1",
            "x_sum 2 3",
            "x_bucket{le=\"1\"} 4",
            "x{quantile=\"1\"} 1",
            "x_count 1",
            "y{a=\"b\",c=\"d\"} 1",
            "y{c=\"d\",a=\"b\"} 2",
            "y 3",
            "# TYPE x histogram",
            "# TYPE x summary",
            "# TYPE y gauge",
            "# HELP y Y.",
        ][..],
    );
    let line = prop_oneof![
        prop::collection::vec(token, 0..8).prop_map(|tokens| tokens.concat()),
        sample.prop_map(str::to_owned),
    ];
    prop::collection::vec(line, 0..12)
        .prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

/// A line that cannot be right, because of how it begins.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let first = select(b"1-{}\"=,.\\\0\x7f\xff\r".to_vec());
    let rest = prop::collection::vec(any::<u8>().prop_filter("a line", |&b| b != b'\n'), 0..20);
    (first, rest).prop_map(|(first, rest)| [vec![first], rest].concat())
}

/// The families, but for the numbers of their lines.
fn without_lines(document: Document) -> String {
    let mut families = document.families;
    let samples = families.iter_mut().flat_map(|family| &mut family.samples);
    samples.for_each(|sample| sample.line = 0);
    format!("{families:?}")
}
