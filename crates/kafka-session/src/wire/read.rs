//! Reads primitives. Nothing is allocated, and no length is believed that the bytes do not hold.

use std::ops::Range;

use message_access::SessionEnd;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They end too early.
    Short,
    /// This is wrong about them.
    Wrong(&'static str),
}

impl From<Unreadable> for SessionEnd {
    fn from(unreadable: Unreadable) -> Self {
        Self::Malformed(match unreadable {
            Unreadable::Short => "a message that ends too early".to_owned(),
            Unreadable::Wrong(problem) => problem.to_owned(),
        })
    }
}

/// What was read.
pub(crate) type Read<T> = Result<T, Unreadable>;

/// What a length of two bytes can say; Kafka writes nothing longer where lengths are compact either.
const LONGEST_TEXT: usize = 32_767;

/// A place in a frame that moves on with what is read.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
    /// How many items of arrays were passed.
    items: usize,
}

impl<'a> Reader<'a> {
    /// Begins at a place in a frame.
    pub(crate) const fn at(frame: &'a [u8], at: usize) -> Self {
        Self { frame, at, items: 0 }
    }

    /// Where in the frame it stands.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Passes an item of an array.
    pub(crate) const fn pass_item(&mut self) {
        self.items = self.items.saturating_add(1);
    }

    /// How many items of arrays were passed.
    pub(crate) const fn items(&self) -> usize {
        self.items
    }

    /// As many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or(Unreadable::Short)?;
        let bytes = self.frame.get(self.at..end).ok_or(Unreadable::Short)?;
        self.at = end;
        Ok(bytes)
    }

    fn chunk<const SIZE: usize>(&mut self) -> Read<[u8; SIZE]> {
        self.take(SIZE)?.first_chunk().copied().ok_or(Unreadable::Short)
    }

    /// A signed number of so many bytes, one to eight.
    pub(crate) fn number(&mut self, width: usize) -> Read<i64> {
        Ok(match width {
            1 => i64::from(i8::from_be_bytes(self.chunk()?)),
            2 => i64::from(i16::from_be_bytes(self.chunk()?)),
            4 => i64::from(i32::from_be_bytes(self.chunk()?)),
            _ => i64::from_be_bytes(self.chunk()?),
        })
    }

    /// An unsigned varint of 32 bits: at most five bytes.
    pub(crate) fn varint(&mut self) -> Read<u32> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.chunk()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value)
                    .map_err(|_| Unreadable::Wrong("a varint of more than 32 bits"));
            }
        }
        Err(Unreadable::Wrong("a varint of more than five bytes"))
    }

    /// A length or a count: `width` bytes where it is -1 for null, or compact, a varint of one more, 0 for null.
    pub(crate) fn length(&mut self, width: usize, compact: bool) -> Read<Option<usize>> {
        const NEGATIVE: Unreadable = Unreadable::Wrong("a negative length");
        if compact {
            let Some(length) = self.varint()?.checked_sub(1) else { return Ok(None) };
            return usize::try_from(length).map(Some).map_err(|_| NEGATIVE);
        }
        match self.number(width)? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| NEGATIVE),
        }
    }

    /// Text: its place in the frame, `None` where it is null.
    pub(crate) fn text(&mut self, compact: bool) -> Read<Option<Range<usize>>> {
        let Some(length) = self.length(2, compact)? else { return Ok(None) };
        if length > LONGEST_TEXT {
            return Err(Unreadable::Wrong("a name of more than 32,767 bytes"));
        }
        self.take(length)?;
        Ok(Some(self.at - length..self.at))
    }

    /// Passes over the tagged fields that stand at the end of a record of a flexible version: ascending tags, each once.
    pub(crate) fn tags(&mut self) -> Read<()> {
        let mut next = 0_u64;
        for _ in 0..self.varint()? {
            let tag = u64::from(self.varint()?);
            if tag < next {
                return Err(Unreadable::Wrong("tagged fields out of order"));
            }
            next = tag + 1;
            let length =
                usize::try_from(self.varint()?).map_err(|_| Unreadable::Wrong("a long tag"))?;
            self.take(length)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        let check = |bytes: &[u8], expect: Read<u32>| {
            assert_eq!(Reader::at(bytes, 0).varint(), expect, "{bytes:x?}");
        };
        check(&[0], Ok(0));
        check(&[0x7f], Ok(127));
        check(&[0x80, 0x01], Ok(128));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Ok(u32::MAX));
        check(
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            Err(Unreadable::Wrong("a varint of more than 32 bits")),
        );
        check(
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            Err(Unreadable::Wrong("a varint of more than five bytes")),
        );
        check(&[0x80], Err(Unreadable::Short));
        check(&[], Err(Unreadable::Short));
    }

    #[test]
    fn no_text_is_longer_than_kafka_writes() {
        let long = [&[0x80, 0x80, 0x02][..], &[b'a'; 32_767]].concat();
        assert_eq!(Reader::at(&long, 0).text(true), Ok(Some(3..32_770)));
        let longer = [&[0x81, 0x80, 0x02][..], &[b'a'; 32_768]].concat();
        assert!(matches!(Reader::at(&longer, 0).text(true), Err(Unreadable::Wrong(_))));
    }

    #[test]
    fn lengths_are_not_believed() {
        assert_eq!(Reader::at(b"\x7f\xffa", 0).text(false), Err(Unreadable::Short));
        assert_eq!(Reader::at(b"\x7fa", 0).text(true), Err(Unreadable::Short));
        assert_eq!(
            Reader::at(b"\xff\xfe", 0).text(false),
            Err(Unreadable::Wrong("a negative length"))
        );
        assert_eq!(Reader::at(b"\xff\xff", 0).text(false), Ok(None));
        assert_eq!(Reader::at(b"\x00", 0).text(true), Ok(None));
        assert_eq!(Reader::at(b"\x02a", 0).text(true), Ok(Some(1..2)));
    }

    #[test]
    fn tags_are_passed_over() {
        let mut reader = Reader::at(b"\x02\x00\x01a\x05\x00z", 0);
        reader.tags().unwrap();
        assert_eq!(reader.position(), 6);
        assert!(Reader::at(b"\x02\x00\x00\x00\x00", 0).tags().is_err(), "the same tag twice");
    }
}
