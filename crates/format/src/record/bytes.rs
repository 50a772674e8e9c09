//! Numbers and texts as a record holds them.
//!
//! Owns their encoding (`spec/store.md`, chapter 3). Knows no record.

use super::{Label, RECORD_HEADER_BYTES, RecordError};
use crate::layout::MAX_TEXT_BYTES;

/// Bytes that are being written.
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    /// Room for length and kind, which come last.
    pub(super) fn new() -> Encoder {
        Encoder(vec![0; RECORD_HEADER_BYTES])
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u16(&mut self, number: usize) {
        let number = u16::try_from(number).expect("the registry limits lists to less than 2^16");
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn count(&mut self, number: usize) {
        self.u32(u32::try_from(number).expect("a list in memory is shorter than 2^32"));
    }

    /// How many entries of whole words follow.
    pub(super) fn list(&mut self, number: usize) {
        self.count(number);
        self.u32(0);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn pairs(&mut self, pairs: &[Label]) {
        for (name, value) in pairs {
            self.text(name);
            self.text(value);
        }
    }

    /// Pads with zeros to a multiple of eight and fills in length and kind.
    pub(super) fn finish(mut self, kind: u32) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let length = u32::try_from(self.0.len()).expect("a record is shorter than 2^32 bytes");
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0[4..8].copy_from_slice(&kind.to_le_bytes());
        self.0
    }
}

/// Bytes that are being read, and not believed.
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder(bytes)
    }

    pub(super) fn take<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or(RecordError::Short(field))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, RecordError> {
        Ok(self.take::<1>(field)?[0])
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<usize, RecordError> {
        Ok(u16::from_le_bytes(self.take(field)?).into())
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.take(field)?))
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.take(field)?))
    }

    pub(super) fn count(
        &mut self,
        field: &'static str,
        limit: usize,
    ) -> Result<usize, RecordError> {
        let count = self.u32(field)?;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= limit)
            .ok_or(RecordError::TooLong(field))
    }

    /// How many entries of whole words follow; a count alone allocates nothing.
    pub(super) fn list(&mut self, field: &'static str) -> Result<u32, RecordError> {
        let count = self.u32(field)?;
        self.u32("zero")?;
        Ok(count)
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<Box<str>, RecordError> {
        let length = self.count(field, MAX_TEXT_BYTES)?;
        let (text, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RecordError::Short(field))?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| RecordError::Text(field))?;
        Ok(text.into())
    }

    /// Grows with what is read, so that a count alone allocates nothing.
    pub(super) fn texts(
        &mut self,
        field: &'static str,
        count: usize,
    ) -> Result<Vec<Box<str>>, RecordError> {
        (0..count).map(|_| self.text(field)).collect()
    }

    pub(super) fn pairs(&mut self, count: usize) -> Result<Vec<Label>, RecordError> {
        (0..count)
            .map(|_| Ok((self.text("label name")?, self.text("label value")?)))
            .collect()
    }
}
