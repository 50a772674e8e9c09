//! Where the entries of a file stand.
//!
//! Owns the walk from one entry to the next. Knows nothing of what a key says.

/// `[python.header]`: bytes of the count of used bytes and its padding.
pub(super) const HEADER_BYTES: usize = 8;

/// `[python.entry]`: bytes of a value and its time.
pub(super) const VALUE_BYTES: usize = 16;

/// Bytes of a value in the releases before 0.18, which had no time, and in the Ruby clients.
pub(super) const OLD_VALUE_BYTES: usize = 8;

/// An entry that is all there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    /// Where the value begins.
    pub(super) value: usize,
}

/// What stands at a position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    Entry(Entry<'a>),
    /// What begins there may be an entry, and goes on behind what has been read.
    Unfinished,
    /// What no writer leaves there once it has counted it as used.
    Nothing,
}

/// `[python.entry]`: what stands at `position`, if values have this many bytes.
pub(super) fn find(content: &[u8], position: usize, value_bytes: usize) -> Found<'_> {
    let rest = content.get(position..).unwrap_or(&[]);
    let Some(length) = key_length(rest) else {
        return Found::Unfinished;
    };
    if length < 2 {
        return Found::Nothing;
    }
    let padded = padded(length);
    if rest.len() > 4 + 2 && !rest[4..].starts_with(b"[\"") {
        return Found::Nothing;
    }
    if rest.len() < padded + value_bytes {
        return Found::Unfinished;
    }
    let (key, padding) = rest[4..padded].split_at(length);
    // JSON has no zero bytes: where one is, a part of the key is still on its way.
    if !padding.iter().all(|&byte| byte == b' ') || key.contains(&0) {
        return Found::Nothing;
    }
    let value = position + padded;
    Found::Entry(Entry { key, value })
}

/// Where the value of the entry at `position` begins, by its length alone.
pub(super) fn value_offset(content: &[u8], position: usize) -> Option<usize> {
    let length = key_length(content.get(position..)?)?;
    Some(position + padded(length))
}

/// The length of the key of the entry that `rest` begins with; zero for one that no key has.
fn key_length(rest: &[u8]) -> Option<usize> {
    let length = i32::from_le_bytes(*rest.first_chunk()?);
    Some(usize::try_from(length).unwrap_or(0))
}

/// From the start of an entry to its value: the length, the key, and one to eight spaces, up to a
/// multiple of eight.
fn padded(key_length: usize) -> usize {
    (key_length + 4) / 8 * 8 + 8
}

/// Whether the whole content is entries with values of this many bytes, but for the last, which may
/// be cut off where `is_cut`.
pub(super) fn walk(content: &[u8], value_bytes: usize, is_cut: bool) -> bool {
    let mut position = HEADER_BYTES;
    while position < content.len() {
        match find(content, position, value_bytes) {
            Found::Entry(entry) => position = entry.value + value_bytes,
            Found::Unfinished => return is_cut,
            Found::Nothing => return false,
        }
    }
    true
}
