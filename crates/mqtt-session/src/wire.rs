//! The data types of MQTT (5.0 §1.5), read from bytes of a peer.

use crate::codes::Problem;

/// The longest value of a variable byte integer (§1.5.5).
pub(crate) const LONGEST: u32 = 268_435_455;

/// Reads one after the other. Nothing is copied.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Problem::malformed("a packet that ends within a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Problem::malformed("a packet that ends within a field"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Problem> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn two_bytes(&mut self) -> Result<u16, Problem> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn four_bytes(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer, in the fewest bytes it can be written with (§1.5.5).
    pub(crate) fn variable(&mut self) -> Result<u32, Problem> {
        let mut value = 0_u32;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                let shortest = place == 0 || byte != 0;
                return shortest
                    .then_some(value)
                    .ok_or(Problem::malformed("a length in more bytes than it needs"));
            }
        }
        Err(Problem::malformed("a length of more than four bytes"))
    }

    /// An id of a packet, which is never zero (§2.2.1).
    pub(crate) fn packet_id(&mut self) -> Result<u16, Problem> {
        match self.two_bytes()? {
            0 => Err(Problem::protocol("the packet identifier 0")),
            id => Ok(id),
        }
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Problem> {
        let length = self.two_bytes()?;
        self.take(usize::from(length))
    }

    /// A string of UTF-8 without U+0000 (§1.5.4).
    pub(crate) fn text(&mut self) -> Result<&'a str, Problem> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Problem::malformed("a string that is not UTF-8"))?;
        match text.contains('\0') {
            true => Err(Problem::malformed("a string with U+0000")),
            false => Ok(text),
        }
    }
}

/// Writes a variable byte integer. What is longer than [`LONGEST`] is written as that: no frame of ours gets that long.
pub(crate) fn put_variable(out: &mut Vec<u8>, value: usize) {
    let mut value = u32::try_from(value).unwrap_or(LONGEST).min(LONGEST);
    loop {
        let low = value.to_le_bytes()[0] & 0x7F;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Writes a string. What is longer than one can be is cut, which nothing of ours is.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend(text.bytes().take(usize::from(length)));
}

/// Whether a text of a client has characters that brokers may refuse and that no name needs: controls and what Unicode
/// calls no characters (§1.5.4).
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| {
        c.is_control() || matches!(u32::from(c), 0xFDD0..=0xFDEF) || u32::from(c) & 0xFFFE == 0xFFFE
    })
}

/// Whether this names one topic (§4.7): not empty, no wildcards.
pub(crate) fn is_topic(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#']) && is_bounded(text)
}

/// Whether this is a topic filter (§4.7.1): `+` a whole level, `#` the last.
pub(crate) fn is_filter(text: &str) -> bool {
    let mut levels = text.split('/').peekable();
    let mut good = !text.is_empty() && is_bounded(text);
    while let Some(level) = levels.next() {
        good &= match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            level => !level.contains(['+', '#']),
        };
    }
    good
}

/// Brokers have died of too many levels (CVE-2019-11779); nobody needs more than these.
const LEVELS: usize = 200;

fn is_bounded(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'/').count() < LEVELS
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_spelling() {
        let check = |bytes: &[u8], expect: Option<u32>| {
            assert_eq!(Reader::new(bytes).variable().ok(), expect, "{bytes:x?}");
        };
        check(&[0], Some(0));
        check(&[0x7F], Some(127));
        check(&[0x80, 1], Some(128));
        check(&[0xFF, 0xFF, 0xFF, 0x7F], Some(LONGEST));
        check(&[0x80, 0], None);
        check(&[0x81, 0x80, 0], None);
        check(&[0x80, 0x80, 0x80, 0x80, 1], None);
        check(&[0xFF], None);
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, LONGEST] {
            let mut out = Vec::new();
            put_variable(&mut out, usize::try_from(value).unwrap());
            check(&out, Some(value));
        }
    }

    #[test]
    fn topics_and_filters() {
        for (text, topic, filter) in [
            ("a", true, true),
            ("/", true, true),
            ("a//b", true, true),
            ("$SYS/x", true, true),
            ("", false, false),
            ("a/+", false, true),
            ("+", false, true),
            ("#", false, true),
            ("a/#", false, true),
            ("a/#/b", false, false),
            ("a#", false, false),
            ("a+/b", false, false),
            ("##", false, false),
        ] {
            assert_eq!(is_topic(text), topic, "{text}");
            assert_eq!(is_filter(text), filter, "{text}");
        }
    }

    #[test]
    fn cve_2019_11779_a_filter_of_very_many_levels_is_none() {
        assert!(is_filter(&"a/".repeat(LEVELS - 1)));
        assert!(!is_filter(&"/".repeat(LEVELS)));
        assert!(!is_topic(&"/".repeat(65_000)));
    }
}
