//! The name under which some clients call a unix socket.
//!
//! gRPC libraries of C++, Python, Ruby and Java put the socket's path, as it is or percent-encoded, into the
//! pseudo-header `:authority`. RFC 9113 §8.3.1 wants a host there, and our HTTP/2 library ends the
//! stream with PROTOCOL_ERROR. Nobody reads the name of a unix socket, so on the way in every byte of
//! such a path that no host can hold becomes `-`: same length, so that the connection's header
//! compression (RFC 7541) counts the same on both sides.

use std::ops::Range;

/// The client's first bytes (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// Length, type, flags, stream (RFC 9113 §4.1).
const FRAME_HEAD: usize = 9;
/// The type of a HEADERS frame (RFC 9113 §6.2).
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The largest frame our library takes; a larger one goes to it as it is, to be refused.
const MAX_FRAME: usize = 16 * 1024;
/// `:authority` in the static table (RFC 7541 Appendix A).
const AUTHORITY: usize = 1;

/// One connection's bytes on their way in.
#[derive(Debug)]
pub struct SocketNames {
    /// Bytes that pass as they are.
    passing: usize,
    /// The beginning of a frame that is not whole yet; at most one HEADERS frame.
    held: Vec<u8>,
}

impl Default for SocketNames {
    fn default() -> Self {
        Self { passing: PREFACE, held: Vec::new() }
    }
}

impl SocketNames {
    /// Takes what came and appends to `out` what may go on.
    pub fn take(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let wanted = if self.passing > 0 { self.passing } else { self.missing() };
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            if self.passing > 0 {
                self.passing -= now.len();
                out.extend_from_slice(now);
            } else {
                self.held.extend_from_slice(now);
                self.release(out);
            }
        }
    }

    /// What is held back, when the client will send no more.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    /// How many bytes the frame's head, or the whole frame, still lacks.
    fn missing(&self) -> usize {
        let whole = frame_length(&self.held).map_or(FRAME_HEAD, |length| FRAME_HEAD + length);
        whole - self.held.len()
    }

    /// Lets the frame go when it is of no interest, or whole.
    fn release(&mut self, out: &mut Vec<u8>) {
        let Some(length) = frame_length(&self.held) else { return };
        if self.held[3] != HEADERS || length > MAX_FRAME {
            out.append(&mut self.held);
            self.passing = length;
        } else if self.held.len() == FRAME_HEAD + length {
            let flags = self.held[4];
            rename(&mut self.held[FRAME_HEAD..], flags);
            out.append(&mut self.held);
        }
    }
}

/// The length of a frame's payload, once its head is there.
fn frame_length(frame: &[u8]) -> Option<usize> {
    let head = frame.get(..FRAME_HEAD)?;
    Some(usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]))
}

/// Changes the name in a HEADERS frame's payload, when it is a path. A block that cannot be read stays as it is, for
/// the library to refuse.
fn rename(payload: &mut [u8], flags: u8) {
    let mut start = 0;
    let mut end = payload.len();
    if flags & PADDED != 0 {
        let padding = payload.first().copied().map_or(0, usize::from);
        start += 1;
        end = end.saturating_sub(padding);
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    let Some(block) = payload.get_mut(start..end) else { return };
    let Some(name) = authority(block) else { return };
    let Some(name) = block.get_mut(name) else { return };
    if name.iter().any(|byte| matches!(byte, b'%' | b'/')) {
        for byte in name.iter_mut().filter(|byte| !byte.is_ascii_alphanumeric() && **byte != b'.') {
            *byte = b'-';
        }
    }
}

/// Where the value of `:authority` stands in a header block, when it stands there in plain bytes (RFC 7541 §6).
fn authority(block: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    loop {
        let first = *block.get(at)?;
        if first & 0x80 != 0 {
            // An indexed field.
            at = integer(block, at, 7)?.1;
            continue;
        }
        if first & 0xe0 == 0x20 {
            // A new size of the table.
            at = integer(block, at, 5)?.1;
            continue;
        }
        let prefix = if first & 0x40 != 0 { 6 } else { 4 };
        let (index, next) = integer(block, at, prefix)?;
        let (named, value_at) = match index {
            0 => {
                let (_, name) = string(block, next)?;
                (block.get(name.clone())? == b":authority", name.end)
            }
            index => (index == AUTHORITY, next),
        };
        let (huffman, value) = string(block, value_at)?;
        if named && !huffman {
            return Some(value);
        }
        at = value.end;
    }
}

/// A string literal: whether it is Huffman-coded, and where it stands (RFC 7541 §5.2).
fn string(block: &[u8], at: usize) -> Option<(bool, Range<usize>)> {
    let huffman = block.get(at)? & 0x80 != 0;
    let (length, start) = integer(block, at, 7)?;
    let end = start.checked_add(length).filter(|end| *end <= block.len())?;
    Some((huffman, start..end))
}

/// An integer with a prefix of `bits`, and where it ends (RFC 7541 §5.1).
fn integer(block: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let mask = (1_usize << bits) - 1;
    let mut value = usize::from(*block.get(at)?) & mask;
    if value < mask {
        return Some((value, at + 1));
    }
    // Four more bytes say more than a frame can hold.
    for (index, shift) in (at + 1..at + 5).zip([0, 7, 14, 21]) {
        let byte = usize::from(*block.get(index)?);
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// A block with a method from the table, then a literal under this first byte.
    fn block(first: &[u8], value: &str) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        [&[0x83], first, &[length], value.as_bytes(), &[0x86]].concat()
    }

    fn passed(stream: &[u8], step: usize) -> Vec<u8> {
        let (mut names, mut out) = (SocketNames::default(), Vec::new());
        for part in stream.chunks(step) {
            names.take(part, &mut out);
        }
        names.end(&mut out);
        out
    }

    #[track_caller]
    fn check(sent: Vec<u8>, expect: Vec<u8>) {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
        // Another frame before and after, so that a lost byte shows.
        let around =
            |middle: &[u8]| [preface, &frame(4, 0, &[0; 6]), middle, &frame(0, 1, b"/%/")].concat();
        for step in [1, 7, 4096] {
            assert_eq!(passed(&around(&sent), step), around(&expect), "{step} bytes at a time");
        }
    }

    #[test]
    fn a_socket_path_becomes_a_name() {
        let path = "run%2Fpostern%2Fagent.sock";
        let name = "run-2Fpostern-2Fagent.sock";
        let literal_name = [&[0x40, 10][..], b":authority"].concat();
        let rows: [(&str, &[u8], &str, &str); 8] = [
            ("percent-encoded, to be remembered", &[0x41], path, name),
            ("not to be remembered", &[0x01], path, name),
            ("never to be remembered", &[0x11], path, name),
            ("its name spelled out", &literal_name, path, name),
            ("as it is", &[0x41], "/run/postern/agent.sock", "-run-postern-agent.sock"),
            ("a host stays", &[0x41], "localhost:443", "localhost:443"),
            ("an address stays", &[0x41], "[::1]:443", "[::1]:443"),
            ("another field stays", &[0x44], "/a%2Fb", "/a%2Fb"),
        ];
        for (row, first, sent, expect) in rows {
            let wrap = |value| frame(HEADERS, 4, &block(first, value));
            assert_eq!(sent.len(), expect.len(), "{row}");
            check(wrap(sent), wrap(expect));
        }
    }

    #[test]
    fn padding_and_priority_are_stepped_over() {
        let wrap = |value| {
            let payload = [&[2, 0, 0, 0, 0, 9], block(&[0x41], value).as_slice(), &[0, 0]].concat();
            frame(HEADERS, PADDED | PRIORITY, &payload)
        };
        check(wrap("a/b"), wrap("a-b"));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_none_added(stream in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
            prop_assert_eq!(passed(&stream, step).len(), stream.len());
            prop_assert_eq!(passed(&stream, step), passed(&stream, 400));
        }

        #[test]
        fn no_block_panics(payload in prop::collection::vec(any::<u8>(), 0..200), flags in any::<u8>()) {
            let mut changed = payload.clone();
            rename(&mut changed, flags);
            prop_assert_eq!(changed.len(), payload.len());
        }
    }
}
