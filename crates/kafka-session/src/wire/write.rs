//! Writes primitives.

/// Bytes that grow with what is written.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The low bytes of a number, as many as `width` says.
    pub(crate) fn number(&mut self, number: i64, width: usize) {
        let bytes = number.to_be_bytes();
        self.raw(bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default());
    }

    /// An unsigned varint.
    pub(crate) fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    /// A length or a count, as [`Reader::length`](super::Reader::length) reads it.
    pub(crate) fn length(&mut self, length: Option<usize>, width: usize, compact: bool) {
        let length = length.and_then(|length| i64::try_from(length).ok());
        match (compact, length) {
            (true, length) => self.varint(length.map_or(0, |length| length.unsigned_abs() + 1)),
            (false, length) => self.number(length.unwrap_or(-1), width),
        }
    }

    /// Text, or null. Names come from requests, where the same length was written before.
    pub(crate) fn text(&mut self, text: Option<&str>, compact: bool) {
        self.length(text.map(str::len), 2, compact);
        self.raw(text.unwrap_or_default().as_bytes());
    }
}

/// A count alone, as it stands before the items of an array.
pub(crate) fn count(count: usize, compact: bool) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.length(Some(count), 4, compact);
    writer.into_bytes()
}
