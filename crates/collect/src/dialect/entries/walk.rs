//! Where the entries of a file stand.
//!
//! Owns the walk from one entry to the next, and how far a file can be walked. Knows nothing of what
//! a key says.

/// `[python.header]`: bytes of the count of used bytes and its padding.
pub(super) const HEADER_BYTES: usize = 8;

/// How entries are laid out, which differs between the clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::dialect) struct Layout {
    /// Bytes of a value, with its time where it has one: 16 or 8.
    pub(in crate::dialect) value_bytes: usize,
    /// What the key is, and what its length counts.
    pub(in crate::dialect) key: KeyText,
}

/// What stands between the length of a key and the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::dialect) enum KeyText {
    /// `[python.entry]`: JSON, and padding that is not counted.
    Json,
    /// `[direct.entry]`: labels as in the query of an address, and padding that is counted.
    Query,
}

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

/// How far a file can be walked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Walk {
    /// How many entries there are.
    pub(super) entries: usize,
    /// Whether the last of them ends where the content does, or may go on behind it.
    pub(super) is_whole: bool,
}

impl Layout {
    /// What stands at `position`.
    pub(super) fn find(self, content: &[u8], position: usize) -> Found<'_> {
        let rest = content.get(position..).unwrap_or(&[]);
        let Some(length) = key_length(rest) else {
            return Found::Unfinished;
        };
        if length < 2 || (self.key == KeyText::Query && !(length + 4).is_multiple_of(8)) {
            return Found::Nothing;
        }
        let padded = self.padded(length);
        let begin = &rest[4..];
        if !self.may_begin(&begin[..begin.len().min(padded - 4)]) {
            return Found::Nothing;
        }
        if rest.len() < padded.saturating_add(self.value_bytes) {
            return Found::Unfinished;
        }
        let text = &rest[4..padded];
        let key = match self.key {
            KeyText::Json => &text[..length],
            KeyText::Query => text.trim_ascii_end(),
        };
        if !self.is_key(key, text) {
            return Found::Nothing;
        }
        let value = position + padded;
        Found::Entry(Entry { key, value })
    }

    /// Where the value of the entry at `position` begins, by its length alone.
    pub(super) fn value_offset(self, content: &[u8], position: usize) -> Option<usize> {
        let length = key_length(content.get(position..)?)?;
        Some(position + self.padded(length))
    }

    /// How far the content is entries, up to so many of them; `is_cut` where the file goes on behind
    /// it.
    pub(super) fn walk(self, content: &[u8], is_cut: bool, most: usize) -> Walk {
        let mut position = HEADER_BYTES;
        let mut entries = 0;
        while position < content.len() && entries < most {
            match self.find(content, position) {
                Found::Entry(entry) => position = entry.value + self.value_bytes,
                Found::Unfinished if is_cut => break,
                _ => {
                    let is_whole = false;
                    return Walk { entries, is_whole };
                }
            }
            entries += 1;
        }
        let is_whole = position >= content.len() || entries < most;
        Walk { entries, is_whole }
    }

    /// From the start of an entry to its value: the length, the key, and its padding.
    fn padded(self, length: usize) -> usize {
        match self.key {
            KeyText::Json => (length + 4) / 8 * 8 + 8,
            KeyText::Query => length + 4,
        }
    }

    /// Whether a key may begin so: what is no key is told by its first bytes, however long it claims
    /// to be.
    fn may_begin(self, begin: &[u8]) -> bool {
        match self.key {
            KeyText::Json => begin.len() < 2 || begin.starts_with(b"[\""),
            KeyText::Query => begin
                .iter()
                .take(8)
                .all(|&byte| is_query(byte) || byte == b' '),
        }
    }

    /// Whether `text` is `key` and padding.
    fn is_key(self, key: &[u8], text: &[u8]) -> bool {
        let padding = &text[key.len()..];
        let is_padded =
            (1..=8).contains(&padding.len()) && padding.iter().all(|&byte| byte == b' ');
        is_padded
            && match self.key {
                // JSON has no zero bytes: where one is, a part of the key is still on its way.
                KeyText::Json => !key.contains(&0),
                KeyText::Query => key.iter().all(|&byte| is_query(byte)),
            }
    }
}

/// `[direct.walk]`: what the keys of a DirectFileStore are made of.
fn is_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"%&=+._-*~".contains(&byte)
}

/// The length of the key of the entry that `rest` begins with; zero for one that no key has.
fn key_length(rest: &[u8]) -> Option<usize> {
    let length = i32::from_le_bytes(*rest.first_chunk()?);
    Some(usize::try_from(length).unwrap_or(0))
}
