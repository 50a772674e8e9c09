//! What holds for the repository as a whole: clauses and their citations, and the rules of the tree.
//!
//! Reads files and runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::workspace;

#[test]
fn the_id_of_a_clause_is_given_once() {
    let mut seen = BTreeMap::new();
    for (path, id) in defined() {
        if let Some(other) = seen.insert(id.clone(), path.clone()) {
            panic!("[{id}] stands in {other} and in {path}");
        }
    }
    assert!(seen.len() > 20, "the clauses were not found: {seen:?}");
}

#[test]
fn every_clause_is_cited_by_a_source_or_a_test() {
    let cited: BTreeSet<String> = cited(&sources()).into_keys().collect();
    let uncited: Vec<_> = defined()
        .into_iter()
        .filter(|(_, id)| !cited.contains(id))
        .map(|(path, id)| format!("{path}: [{id}]"))
        .collect();
    assert!(uncited.is_empty(), "nobody cites\n{}", uncited.join("\n"));
}

#[test]
fn every_cited_clause_exists() {
    let defined: BTreeSet<String> = defined().into_iter().map(|(_, id)| id).collect();
    let mut texts = sources();
    texts.extend(specs());
    let unknown: Vec<_> = cited(&texts)
        .into_iter()
        .filter(|(id, _)| !defined.contains(id))
        .map(|(id, paths)| format!("[{id}], cited in {paths:?}"))
        .collect();
    assert!(unknown.is_empty(), "spec/ has no\n{}", unknown.join("\n"));
}

#[test]
fn sources_and_manifests_are_ascii() {
    for (path, text) in files(&["rs", "toml"]) {
        for (number, line) in (1..).zip(text.lines()) {
            assert!(line.is_ascii(), "{path}:{number}: {line}");
        }
    }
}

#[test]
fn no_source_file_is_longer_than_a_person_reads() {
    let long: Vec<_> = files(&["rs"])
        .into_iter()
        .filter(|(path, _)| is_product(path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|&(_, lines)| lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn unsafe_code_stays_in_its_rooms() {
    for (path, text) in files(&["rs"]) {
        if !is_product(&path) || UNSAFE_ROOMS.contains(&&*path) {
            continue;
        }
        let tests = text.find("#[cfg(test)]").unwrap_or(text.len());
        for (number, line) in (1..).zip(text[..tests].lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let mut words = code.split(|character: char| !is_word(character));
            assert!(
                !words.any(|word| word == "unsafe"),
                "{path}:{number}: {line}"
            );
        }
    }
    for room in UNSAFE_ROOMS {
        assert!(workspace().join(room).is_file(), "{room} is gone");
    }
}

/// Every clause of `spec/`, with its file: a list item or a row of a table begins with its id.
fn defined() -> Vec<(String, String)> {
    let mut defined = Vec::new();
    for (path, text) in specs() {
        let starts = ["- **[", "- `[", "| `["];
        for line in text.lines() {
            let rest = starts
                .iter()
                .find_map(|start| line.trim().strip_prefix(start));
            let id = rest.and_then(|rest| rest.split_once(']')).map(|(id, _)| id);
            defined.extend(
                id.filter(|id| is_id(id))
                    .map(|id| (path.clone(), id.to_owned())),
            );
        }
    }
    defined
}

/// Every id in brackets, with the files in which it stands.
fn cited(texts: &[(String, String)]) -> BTreeMap<String, BTreeSet<&str>> {
    let mut cited: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (path, text) in texts {
        let parts = text.split('[').skip(1);
        let ids = parts.filter_map(|part| part.split_once(']').map(|(id, _)| id));
        for id in ids.filter(|id| is_id(id)) {
            cited.entry(id.to_owned()).or_default().insert(path);
        }
    }
    cited
}

/// A chapter's word, and words behind dots.
fn is_id(text: &str) -> bool {
    let mut words = text.split('.');
    let is_word = |word: &str| {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !word.is_empty() && word.bytes().all(is_part)
    };
    // What ends in `.md` is the name of a page.
    words.next().is_some_and(|word| CHAPTERS.contains(&word))
        && text.contains('.')
        && !text.ends_with(".md")
        && words.all(is_word)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_product(path: &str) -> bool {
    let in_crate = path
        .strip_prefix("crates/")
        .and_then(|path| path.split_once('/'));
    path.starts_with("src/") || in_crate.is_some_and(|(_, path)| path.starts_with("src/"))
}

fn specs() -> Vec<(String, String)> {
    let specs = files(&["md"]).into_iter();
    specs
        .filter(|(path, _)| path.starts_with("spec/"))
        .collect()
}

/// What may cite a clause: programs of every language that is used here.
fn sources() -> Vec<(String, String)> {
    files(&["rs", "py"])
}

/// Every file of the repository with one of these extensions: its path from the root, and its text.
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    let root = workspace();
    let mut found = Vec::new();
    for entry in entries(root) {
        let name = entry
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if ROOT_FOLDERS.contains(&name) || entry.is_file() {
            walk(&entry, extensions, &mut found);
        }
    }
    found.sort();
    let text = |path: PathBuf| {
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.strip_prefix(root).unwrap_or(&path);
        (
            path.display().to_string(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    found.into_iter().map(text).collect()
}

fn walk(path: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        // What is built, and what a dependency brings, is not ours.
        let is_built = ["target", ".venv", "venv"]
            .iter()
            .any(|built| path.ends_with(built));
        if !is_built {
            entries(path)
                .iter()
                .for_each(|entry| walk(entry, extensions, found));
        }
    } else if path
        .extension()
        .is_some_and(|own| extensions.iter().any(|known| own == *known))
    {
        found.push(path.to_owned());
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.flatten().map(|entry| entry.path()).collect()
}

/// The first words of the ids of clauses.
const CHAPTERS: [&str; 13] = [
    "dialect",
    "direct",
    "exposition",
    "fold",
    "gitlab",
    "ledger",
    "life",
    "merge",
    "python",
    "rules",
    "store",
    "text",
    "vinted",
];

const ROOT_FOLDERS: [&str; 7] = [
    "benches", "crates", "examples", "fuzz", "spec", "src", "tests",
];

const UNSAFE_ROOMS: [&str; 6] = [
    "crates/format/src/fork.rs",
    "crates/format/src/lease.rs",
    "crates/format/src/lock.rs",
    "crates/format/src/mapping.rs",
    "crates/format/src/page.rs",
    "crates/format/src/stderr.rs",
];

/// Beyond it a file wants to be a folder.
const MAX_LINES: usize = 600;
