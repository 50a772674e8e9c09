//! What the fuzz target `text` runs, and `hostile` too: any bytes as a text of metrics.
//!
//! Knows nothing of how the bytes were found, and uses nothing but this file.

use std::collections::BTreeSet;

use headcount_collect::parser::{Document, Errors, parse};

/// Panics if the bytes do more than cost the lines in which they are wrong.
pub(crate) fn text(bytes: &[u8]) -> Document {
    let document = parse(bytes);
    check_shape(&document);
    check_losses(bytes, &document);
    document
}

/// What holds for every document.
fn check_shape(document: &Document) {
    let errors = &document.errors;
    assert_eq!(errors.first.len(), errors.total.min(Errors::KEPT));
    assert!(
        errors
            .first
            .is_sorted_by(|left, right| left.line < right.line)
    );

    let mut names = BTreeSet::new();
    let mut lines: BTreeSet<_> = errors.first.iter().map(|error| error.line).collect();
    let mut identities = BTreeSet::new();
    for family in &document.families {
        assert!(names.insert(&family.name), "{} twice", family.name);
        assert!(family.samples.is_sorted_by_key(|sample| sample.line));
        for sample in &family.samples {
            assert!(sample.name.starts_with(&*family.name));
            assert!(lines.insert(sample.line), "line {} twice", sample.line);
            assert!(sample.labels.is_sorted_by(|left, right| left.0 < right.0));
            let labels = sample.labels.iter().filter(|label| !label.1.is_empty());
            let identity = (&sample.name, labels.collect::<Vec<_>>());
            assert!(identities.insert(identity), "line {} again", sample.line);
        }
    }
}

/// The text says the same without the lines that were wrong.
fn check_losses(bytes: &[u8], document: &Document) {
    let errors = &document.errors;
    if errors.total > Errors::KEPT {
        return;
    }
    let wrong: BTreeSet<_> = errors.first.iter().map(|error| error.line).collect();
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let kept = (1..)
        .zip(lines)
        .flat_map(|(number, line)| match wrong.contains(&number) {
            true => b"\n",
            false => line,
        });
    let kept: Vec<u8> = kept.copied().collect();
    let again = parse(&kept);
    assert!(again.errors.is_empty(), "{:?}", again.errors);
    assert_eq!(again.is_cut, document.is_cut);
    // NaN is not equal to itself.
    assert_eq!(
        format!("{:?}", again.families),
        format!("{:?}", document.families)
    );
}
